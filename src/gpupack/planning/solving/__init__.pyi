from .answering import answer
from .building import build_placement
from .check import check_placement
from .found import Clash
from .frontier_steps import FrontierProgress, FrontierSteps
from .step_clock import StepClock

__all__ = [
    "Clash",
    "FrontierProgress",
    "FrontierSteps",
    "StepClock",
    "answer",
    "build_placement",
    "check_placement",
]
