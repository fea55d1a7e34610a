from .envoy import envoy_configuration
from .nginx import nginx_configuration
from .weights import Share, shares_of, weights_json, whole_weights

__all__ = [
    "Share",
    "envoy_configuration",
    "nginx_configuration",
    "shares_of",
    "weights_json",
    "whole_weights",
]
