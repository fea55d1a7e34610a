"""Large neighborhood search: a part of a plan is taken out and put in anew.

In: what is planned, and a plan. Out: one that serves at least as much.
"""

from gpupack.packing.capacity.improving.neighborhoods.reassigning import Reassigner
from gpupack.packing.capacity.improving.neighborhoods.reopening import Reopener
from gpupack.packing.capacity.improving.neighborhoods.share_raising import (
    ShareRaiser,
    scaled_to,
    share_given,
)
from gpupack.packing.capacity.improving.neighborhoods.side_by_side import (
    relax_and_serve,
)

__all__ = [
    "Reassigner",
    "Reopener",
    "ShareRaiser",
    "relax_and_serve",
    "scaled_to",
    "share_given",
]
