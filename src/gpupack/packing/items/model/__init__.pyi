from .ladder import Correspondence, Ladder, Letterbox
from .problem import (
    MAX_TOTAL,
    Bin,
    ItemType,
    PackingProblem,
    PackingResult,
    SolveStatus,
    canonicalize,
    check_packing,
    check_result,
    conflict_matrix,
    count_bins,
    max_copies,
    merge_bins,
)
from .vbp import (
    format_vbp,
    parse_vbp,
)

__all__ = [
    "MAX_TOTAL",
    "Bin",
    "Correspondence",
    "ItemType",
    "Ladder",
    "Letterbox",
    "PackingProblem",
    "PackingResult",
    "SolveStatus",
    "canonicalize",
    "check_packing",
    "check_result",
    "conflict_matrix",
    "count_bins",
    "format_vbp",
    "max_copies",
    "merge_bins",
    "parse_vbp",
]
