from .answering import answer
from .building import build_placement
from .check import check_placement
from .found import Clash
from .frontier_steps import FrontierSteps

__all__ = [
    "Clash",
    "FrontierSteps",
    "answer",
    "build_placement",
    "check_placement",
]
