from .pattern_ladder import climb_patterns
from .pattern_pool import drop_surplus

__all__ = [
    "climb_patterns",
    "drop_surplus",
]
