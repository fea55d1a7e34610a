from .assignment import (
    AssignmentModel,
    is_worth_it,
)
from .completion import (
    Clock,
    Completion,
)
from .construction import first_plan
from .local_search import LocalSearch
from .neighborhoods import relax_and_serve
from .plan_diving import dive
from .small_plans import cheapest_plan

__all__ = [
    "AssignmentModel",
    "Clock",
    "Completion",
    "LocalSearch",
    "cheapest_plan",
    "dive",
    "first_plan",
    "is_worth_it",
    "relax_and_serve",
]
