"""Bins that were filled one by one, in arrays: parts of a plan that can be joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SlackPlan:
    """Bins that were filled: arrays by filling, and by slot of one copy each.

    Args:
        cost: Of all bins.
        bin_type: Of each filling.
        number: Of bins that hold it.
        end: Of each filling's slots.
        option: Of each slot, a place in the arrays of options.
        service: Of each slot, in units of need.
    """

    cost: int
    bin_type: Integers
    number: Integers
    end: Integers
    option: Integers
    service: Array

    def of(self, is_kept: NDArray[np.bool_], prices: Integers) -> SlackPlan:
        """Return some of the bins, at the prices of bins."""
        slots = np.diff(self.end, prepend=0)
        has_slot = np.repeat(is_kept, slots)
        bin_type, number = self.bin_type[is_kept], self.number[is_kept]
        return SlackPlan(
            int(prices[bin_type] @ number),
            bin_type,
            number,
            np.cumsum(slots[is_kept]),
            self.option[has_slot],
            self.service[has_slot],
        )


def nothing() -> SlackPlan:
    """Return a plan without a bin."""
    none = np.zeros(0, dtype=np.int64)
    return SlackPlan(0, none, none, none, none, np.zeros(0))


def joined(parts: list[SlackPlan]) -> SlackPlan:
    """Return all bins of several plans as one."""
    offsets = np.cumsum([0, *(len(one.option) for one in parts[:-1])])
    return SlackPlan(
        sum(one.cost for one in parts),
        np.concatenate([one.bin_type for one in parts]),
        np.concatenate([one.number for one in parts]),
        np.concatenate([one.end + at for one, at in zip(parts, offsets, strict=True)]),
        np.concatenate([one.option for one in parts]),
        np.concatenate([one.service for one in parts]),
    )


def without_slots(
    plan: SlackPlan, is_out: NDArray[np.bool_], prices: Integers
) -> SlackPlan:
    """Return a plan without some of its slots, and without bins that are then empty.

    Args:
        plan: What the bins hold.
        is_out: Whether each slot's copy is taken out.
        prices: Of bins.
    """
    sums = np.concatenate([[0], np.cumsum(~is_out)])
    fewer = SlackPlan(
        plan.cost,
        plan.bin_type,
        plan.number,
        sums[plan.end],
        plan.option[~is_out],
        plan.service[~is_out],
    )
    return fewer.of(np.diff(fewer.end, prepend=0) > 0, prices)
