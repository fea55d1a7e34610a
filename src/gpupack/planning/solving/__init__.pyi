from .answering import (
    answer,
    decided_on,
)
from .frontier_steps import FrontierProgress, FrontierSteps
from .step_clock import StepClock

__all__ = [
    "FrontierProgress",
    "FrontierSteps",
    "StepClock",
    "answer",
    "decided_on",
]
