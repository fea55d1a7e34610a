from .fewer_gpus import Rightsizing, rightsize

__all__ = [
    "Rightsizing",
    "rightsize",
]
