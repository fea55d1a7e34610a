from .answering import answer
from .building import Clash, Found, build_placement, with_bound
from .check import check_placement
from .frontier_steps import FrontierSteps, StepFound, StepProgress
from .step_clock import StepClock

__all__ = [
    "Clash",
    "Found",
    "FrontierSteps",
    "StepClock",
    "StepFound",
    "StepProgress",
    "answer",
    "build_placement",
    "check_placement",
    "with_bound",
]
