from .answering import answer
from .building import Clash, build_placement
from .check import check_placement
from .frontier_steps import FrontierSteps, StepProgress
from .step_clock import StepClock

__all__ = [
    "Clash",
    "FrontierSteps",
    "StepClock",
    "StepProgress",
    "answer",
    "build_placement",
    "check_placement",
]
