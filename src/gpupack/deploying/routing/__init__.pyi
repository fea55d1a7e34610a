from .envoy import envoy_configuration
from .nginx import nginx_configuration
from .weights import Share, cluster_weights, host_weights, shares_of, whole_weights

__all__ = [
    "Share",
    "cluster_weights",
    "envoy_configuration",
    "host_weights",
    "nginx_configuration",
    "shares_of",
    "whole_weights",
]
