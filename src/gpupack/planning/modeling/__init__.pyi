from .amounts import (
    amount_in_words,
    told_apart,
    told_to_divide,
)
from .best_load_points import best_records
from .diagnosis import too_large_alone
from .load_levels import (
    FULL_LOAD,
    LoadLevel,
    levels_above,
    levels_up_to,
)
from .missing_for import (
    Readiness,
    assumed,
    readiness,
)
from .question import (
    CapacityQuestion,
    ask,
)
from .sizes import (
    READING_TOLERANCE,
    ServerNeeds,
    capacity_for,
    evening_loads,
    item_size,
    item_sizes,
    model_bytes,
    packed_sizes,
    reading,
    require_readings,
)
from .supply import (
    Supply,
    supplies_of,
)
from .translation import Translation

__all__ = [
    "FULL_LOAD",
    "READING_TOLERANCE",
    "CapacityQuestion",
    "LoadLevel",
    "Readiness",
    "ServerNeeds",
    "Supply",
    "Translation",
    "amount_in_words",
    "ask",
    "assumed",
    "best_records",
    "capacity_for",
    "evening_loads",
    "item_size",
    "item_sizes",
    "levels_above",
    "levels_up_to",
    "model_bytes",
    "packed_sizes",
    "readiness",
    "reading",
    "require_readings",
    "supplies_of",
    "told_apart",
    "told_to_divide",
    "too_large_alone",
]
