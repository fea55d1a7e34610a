from .bounds import (
    conflict_clique_bound,
    dual_feasible_bound,
    lower_bound,
    named_bounds,
    volume_bound,
)
from .heuristics import constructive_packings
from .lifting import lifted_bounds
from .small_search import (
    MAX_SMALL_ITEMS,
    pack_into,
    place_copies,
)
from .tie_break import even_out

__all__ = [
    "MAX_SMALL_ITEMS",
    "conflict_clique_bound",
    "constructive_packings",
    "dual_feasible_bound",
    "even_out",
    "lifted_bounds",
    "lower_bound",
    "named_bounds",
    "pack_into",
    "place_copies",
    "volume_bound",
]
