from .amounts import (
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
    READING_FIELDS,
    READING_TOLERANCE,
    capacity_for,
    evening_loads,
    item_size,
    item_sizes,
    model_memories,
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
    "READING_FIELDS",
    "READING_TOLERANCE",
    "CapacityQuestion",
    "LoadLevel",
    "Readiness",
    "Supply",
    "Translation",
    "ask",
    "assumed",
    "best_records",
    "capacity_for",
    "evening_loads",
    "item_size",
    "item_sizes",
    "levels_above",
    "levels_up_to",
    "model_memories",
    "readiness",
    "reading",
    "require_readings",
    "supplies_of",
    "told_apart",
    "told_to_divide",
    "too_large_alone",
]
