"""Large neighborhood search: a part of a plan is taken out and put in anew.

In: what is planned, and a plan. Out: one that serves at least as much.
"""

from gpupack.packing.capacity.improving.neighborhoods.reassigning import Reassigner
from gpupack.packing.capacity.improving.neighborhoods.reopening import Reopener

__all__ = ["Reassigner", "Reopener"]
