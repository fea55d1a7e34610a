from .answering import (
    answer,
    decided_on,
)
from .frontier_steps import FrontierSteps

__all__ = [
    "FrontierSteps",
    "answer",
    "decided_on",
]
