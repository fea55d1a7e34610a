from .purchase import recommend

__all__ = ["recommend"]
