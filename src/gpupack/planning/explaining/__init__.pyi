from .changes import (
    saving_changes,
    serving_changes,
)
from .proof import needs_and_proof
from .what_if import (
    EXPLANATION_LIMIT_S,
    WhatIf,
)

__all__ = [
    "EXPLANATION_LIMIT_S",
    "WhatIf",
    "needs_and_proof",
    "saving_changes",
    "serving_changes",
]
