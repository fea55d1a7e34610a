from .needs import expressed, needs_of
from .registry import TARGETS, find_target
from .target import Ability, Expression, How, Target, TargetFiles

__all__ = [
    "TARGETS",
    "Ability",
    "Expression",
    "How",
    "Target",
    "TargetFiles",
    "expressed",
    "find_target",
    "needs_of",
]
