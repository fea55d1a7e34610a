"""Ruin and recreate: very many bins, of which a few at a time are filled anew.

The bins that waste most are taken away, and in those that stay room is looked for by
simulated annealing (``ruin_recreate.c``): a move empties up to three bins, often such
as hold copies of the same job, and fills them with what they held and some of what is
open. Copies may stay where they are and serve another part of their job. A move costs
microseconds, however many jobs there are.

References:
    Schrimpf, Schneider, Stamm-Wilbrandt and Dueck, "Record breaking optimization
    results using the ruin and recreate principle", Journal of Computational Physics
    159, 2000. Shaw, "Using constraint programming and local search methods to solve
    vehicle routing problems", CP 1998 (to empty together what is related).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.many_jobs.slack_plan import SlackPlan
from gpupack.packing.kernels.capacity.ruin_recreate import Packed, ruin_and_recreate
from gpupack.packing.runtime import call_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpupack.packing.capacity.many_jobs.room_prices import OptionArrays
    from gpupack.packing.kernels.capacity.minimum_slack import Offers

    Array = NDArray[np.float64]
    Integers = NDArray[np.int64]

HOT, COLD = 2e-3, 1e-4
"""First and last temperature, as shares of the price of a bin on average."""
THRIFT = 0.1
"""Share of the price of room that a copy takes in full, which counts as lost: copies
that are not needed make room for others."""
SPARE_SLOTS = 3
"""For copies, beyond the most that a bin holds at the start."""
MAX_PLACES = 1 << 23
"""Slots of all bins, some 300 MB: beyond it bins are left as they are."""
MOVES_TO_TIME = 20_000
NEGLIGIBLE = 1e-12
"""Share of a need that is none."""


@dataclass(frozen=True)
class PackedBins:
    """What each of very many bins holds, with room for more, and what is open.

    Args:
        packed: The arrays.
    """

    packed: Packed

    @classmethod
    def of(cls, plan: SlackPlan, options: OptionArrays) -> PackedBins | None:
        """Return those of a plan; None if they would take too much memory."""
        slots = np.diff(plan.end, prepend=0)
        num_slots = int(slots.max(initial=0)) + SPARE_SLOTS
        if int(plan.number.sum()) * num_slots > MAX_PLACES:
            return None
        filling = np.repeat(np.arange(len(slots)), plan.number)
        num_held = slots[filling]
        is_held = np.arange(num_slots) < num_held[:, None]
        starts = (plan.end - slots)[filling]
        at = (starts[:, None] + np.arange(num_slots))[is_held]
        option = np.zeros(is_held.shape, dtype=np.int64)
        service = np.zeros(is_held.shape)
        option[is_held], service[is_held] = plan.option[at], plan.service[at]
        need = options.need.copy()
        copies = np.zeros(len(need), dtype=np.int64)
        np.subtract.at(need, options.job[plan.option[at]], plan.service[at])
        np.add.at(copies, options.job[plan.option[at]], 1)
        need[need <= NEGLIGIBLE * options.need] = 0.0
        return cls(
            Packed(plan.bin_type[filling], num_held, option, service, need, copies)
        )

    def plan(self, options: OptionArrays, prices: Integers) -> SlackPlan:
        """Return the plan, each bin with a filling of its own, without empty bins."""
        packed = self.packed
        is_used = packed.num_held > 0
        is_held = np.arange(packed.option.shape[1]) < packed.num_held[:, None]
        option, service = packed.option[is_held], packed.service[is_held]
        # Millions of sums and differences may have left a job some roundings short.
        served = np.bincount(options.job[option], service, minlength=len(packed.need))
        is_met = (packed.need <= 0) & (served > 0)
        factor = np.ones(len(packed.need))
        factor[is_met] = options.need[is_met] / served[is_met]
        bin_type = packed.bin_type[is_used]
        return SlackPlan(
            int(prices[bin_type].sum()),
            bin_type,
            np.ones(len(bin_type), dtype=np.int64),
            np.cumsum(packed.num_held[is_used]),
            option,
            service * factor[options.job[option]],
        )

    @property
    def is_open(self) -> bool:
        """Whether any job has an open need."""
        return bool(self.packed.need.any())

    def anneal(
        self,
        offers: Offers,
        *,
        moves_per_bin: int,
        price: float,
        seed: int,
        deadline: float,
    ) -> None:
        """Fill bins anew, a few at a time, so that less is open.

        Args:
            offers: What can be filled in.
            moves_per_bin: On average; fewer if the deadline is near.
            price: Of a bin, on average.
            seed: For every random choice, ≥ 0.
            deadline: On the clock of ``time.perf_counter``.
        """
        num_moves = moves_per_bin * len(self.packed.bin_type)
        started = time.perf_counter()
        first, end = 0, min(num_moves, MOVES_TO_TIME)

        def recreate(stop: NDArray[np.int8]) -> int:
            return ruin_and_recreate(
                offers,
                self.packed,
                moves=range(first, end),
                num_moves=num_moves,
                hot=HOT * price,
                cold=COLD * price,
                thrift=THRIFT,
                seed=seed + first,
                stop=stop,
            )

        while first < end:
            call_until(deadline, recreate)
            first = end
            now = time.perf_counter()
            left_s = deadline - now
            if math.isfinite(left_s):
                # So that it has cooled down by then.
                in_time = int(end * left_s / max(1e-9, now - started))
                num_moves = min(num_moves, first + max(0, in_time))
            end = num_moves
