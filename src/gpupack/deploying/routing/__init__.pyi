from .envoy import envoy_configuration
from .nginx import nginx_configuration
from .weights import (
    GroupShare,
    Share,
    cluster_weights,
    group_shares_of,
    host_weights,
    shares_of,
    whole_weights,
)

__all__ = [
    "GroupShare",
    "Share",
    "cluster_weights",
    "envoy_configuration",
    "group_shares_of",
    "host_weights",
    "nginx_configuration",
    "shares_of",
    "whole_weights",
]
