from .observing import read_prometheus

__all__ = [
    "read_prometheus",
]
