"""Where a search for a plan in whole bins starts, and what it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.packing.capacity.relaxing.bin_patterns import Pattern
    from gpupack.packing.capacity.relaxing.plan_master import Duals


@dataclass(frozen=True)
class Guide:
    """Where a search for a plan in whole bins starts, and what it goes by.

    Args:
        used: Patterns of the relaxation and how many bins have each.
        duals: What jobs need is worth.
        weights: Per bin type and dimension, what room is worth.
    """

    used: dict[Pattern, float]
    duals: Duals
    weights: tuple[tuple[float, ...], ...]
