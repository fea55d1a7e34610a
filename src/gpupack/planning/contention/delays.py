"""Customers of the GPU, and who waits how long for whom under each way of sharing.

The formulas, their symbols and sources are at the top of ``prediction``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.planning.contention.time_slices import TimeSlices

Numbers = TypeVar("Numbers", float, "NDArray[np.float64]")
"""The formulas take one number, or a table of them."""

TYPICAL_SM_SHARE = 2 / 3
TYPICAL_DRAM_SHARE = 0.1
"""Where GPM gives none: two such models lose under MPS what processor sharing with the
factor that fits the sets recorded on an H200 (0.64) says."""
SLICE_S = 0.0015
"""Of time slicing where requests arrive, and in the former law of closed loops; fitted
on an H200."""
_DRAM_OFFSET = 0.01
_SINGLE_OFFSET_MS = 0.005
"""A single kernel's waits below that are not told apart."""


@dataclass(frozen=True, slots=True)
class ProbeTimes:
    """How a model and the kernel probe wait for each other.

    Args:
        request_delay_s: ``e``, what kernels that fill the GPU add to a request.
        spread_wait_s: ``h``, the wait of a spread kernel while the model is on the GPU.
        single_wait_s: ``t``, the wait of a single kernel while it is.
    """

    request_delay_s: float
    spread_wait_s: float
    single_wait_s: float


@dataclass(frozen=True, slots=True)
class CustomerClass:
    """One model as the network sees it, per request.

    Args:
        gpu_demand_s: GPU time of one request that has the GPU for itself, > 0.
        elsewhere_s: Time of one request outside the GPU, ≥ 0.
        num_customers: Requests executed at once, ≥ 1.
        sm_share: Share of the SMs that are busy while it is on the GPU, in (0, 1].
        dram_share: Share of the DRAM bandwidth that it uses then, 0–1.
        probe: What the kernel probe read; None without.
    """

    gpu_demand_s: float
    elsewhere_s: float
    num_customers: int = 1
    sm_share: float = TYPICAL_SM_SHARE
    dram_share: float = TYPICAL_DRAM_SHARE
    probe: ProbeTimes | None = None

    @property
    def most_requests_per_s(self) -> float:
        """How many requests it makes alone, driven as fast as it answers."""
        return self.num_customers / (self.gpu_demand_s + self.elsewhere_s)


def _harmonic(first: Numbers, second: Numbers) -> Numbers:
    return 1 / (1 / first + 1 / second)


@dataclass(frozen=True, slots=True)
class ProbedShape:
    """How kernels of two models wait for each other, by what the probe read of both.

    Attributes:
        strength: Of ``A``, times in ms.
        own_delay_exponent: Of ``e_i``.
        own_time_exponent: Of ``D_i``.
        own_wait_exponent: Of ``t_i``.
        neighbor_wait_exponent: Of ``h_j``.
        neighbor_time_exponent: Of ``D_j``.
        room_strength: Of ``B``.
        room_exponent: Of ``s_j``.
    """

    strength: float = 8.95
    own_delay_exponent: float = 0.35
    own_time_exponent: float = 0.45
    own_wait_exponent: float = -0.25
    neighbor_wait_exponent: float = 0.65
    neighbor_time_exponent: float = 0.2
    room_strength: float = 13.25
    room_exponent: float = 2.5

    def delay_s(
        self,
        own: CustomerClass,
        neighbor: CustomerClass,
        own_probe: ProbeTimes,
        neighbor_probe: ProbeTimes,
    ) -> float:
        """Return ``W_ij`` from the profiles and what the probe read beside each."""
        return float(
            _harmonic(
                self._strength_of(own, own_probe)
                * self._weight_of(neighbor, neighbor_probe),
                self.room_strength
                * own.gpu_demand_s
                * neighbor.sm_share**self.room_exponent,
            )
        )

    def delay_table(
        self, classes: Sequence[CustomerClass], probes: Sequence[ProbeTimes]
    ) -> NDArray[np.float64]:
        """Return ``W_ij`` of every two of the classes."""
        own = [self._strength_of(*pair) for pair in zip(classes, probes, strict=True)]
        weights = [self._weight_of(*pair) for pair in zip(classes, probes, strict=True)]
        return _harmonic(
            np.outer(own, weights),
            np.outer(
                [self.room_strength * one.gpu_demand_s for one in classes],
                [one.sm_share**self.room_exponent for one in classes],
            ),
        )

    def _strength_of(self, own: CustomerClass, probe: ProbeTimes) -> float:
        """Return the part of ``A`` that is the waiting model's."""
        return float(
            self.strength
            * (1e3 * probe.request_delay_s) ** self.own_delay_exponent
            * (1e3 * own.gpu_demand_s) ** self.own_time_exponent
            * (1e3 * probe.single_wait_s + _SINGLE_OFFSET_MS) ** self.own_wait_exponent
        )

    def _weight_of(self, neighbor: CustomerClass, probe: ProbeTimes) -> float:
        """Return the part of ``A`` that is the neighbor's, in s."""
        return float(
            (1e3 * probe.spread_wait_s) ** self.neighbor_wait_exponent
            * (1e3 * neighbor.gpu_demand_s) ** self.neighbor_time_exponent
            / 1e3
        )


@dataclass(frozen=True, slots=True)
class SharingShape:
    """Who waits how long for whom: slice and exponents of the module's formulas.

    Attributes:
        slice_s: ``q``, a time slice; 0 for none.
        own_time_exponent: Of ``D_i``; that of ``D_j`` is the rest to 1.
        own_sm_exponent: Of ``s_i``.
        neighbor_sm_exponent: Of ``s_j``.
        dram_exponent: Of the neighbor's share of DRAM bandwidth ÷ its own.
        is_round_robin: ``D_i`` is done in slices, of which there is at least one, and a
            neighbor's slice, or all of it, goes before each.
        slices: What counts instead where processes take turns; None: nothing else.
        probed: What counts instead where the probe read both; None: nothing else.
    """

    slice_s: float = 0.0
    own_time_exponent: float = 1.0
    own_sm_exponent: float = 0.0
    neighbor_sm_exponent: float = 0.0
    dram_exponent: float = 0.0
    is_round_robin: bool = False
    slices: TimeSlices | None = None
    probed: ProbedShape | None = None

    def delay_s(self, own: CustomerClass, neighbor: CustomerClass) -> float:
        """Return ``W_ij``: how long ``own`` waits for a neighbor at the GPU."""
        if self.slices is not None:
            return float(self.slices.delay_table([own], [neighbor])[0, 0])
        if (
            self.probed is not None
            and own.probe is not None
            and neighbor.probe is not None
        ):
            return self.probed.delay_s(own, neighbor, own.probe, neighbor.probe)
        if self.is_round_robin:
            return self._num_slices(own) * min(self.slice_s, neighbor.gpu_demand_s)
        return self._strength_of(own) * self._weight_of(neighbor) + min(
            self.slice_s, neighbor.gpu_demand_s
        )

    def _num_slices(self, own: CustomerClass) -> float:
        """Return how many slices a request takes, on average over where it begins."""
        return max(1.0, own.gpu_demand_s / self.slice_s)

    def _strength_of(self, own: CustomerClass) -> float:
        """Return the factor of ``W_ij`` that is the waiting model's."""
        return float(
            own.gpu_demand_s**self.own_time_exponent
            * own.sm_share**self.own_sm_exponent
            / (own.dram_share + _DRAM_OFFSET) ** self.dram_exponent
        )

    def _weight_of(self, neighbor: CustomerClass) -> float:
        """Return the factor of ``W_ij`` that is the neighbor's."""
        return float(
            neighbor.gpu_demand_s ** (1 - self.own_time_exponent)
            * neighbor.sm_share**self.neighbor_sm_exponent
            * (neighbor.dram_share + _DRAM_OFFSET) ** self.dram_exponent
        )

    def delay_table(
        self,
        classes: Sequence[CustomerClass],
        neighbors: Sequence[CustomerClass] | None = None,
    ) -> NDArray[np.float64]:
        """Return ``W_ij``, row by row: ``delay_s`` of every two of the classes.

        Args:
            classes: Who waits, by row.
            neighbors: For whom, by column: the same classes, which may spend other
                times elsewhere; those themselves if left out.
        """
        if self.slices is not None:
            return self.slices.delay_table(classes, neighbors or classes)
        if self.is_round_robin:
            return np.outer(
                [self._num_slices(one) for one in classes],
                [min(self.slice_s, one.gpu_demand_s) for one in classes],
            )
        table = np.outer(
            [self._strength_of(one) for one in classes],
            [self._weight_of(one) for one in classes],
        )
        table += [min(self.slice_s, one.gpu_demand_s) for one in classes]
        probes = {
            place: one.probe
            for place, one in enumerate(classes)
            if one.probe is not None
        }
        if self.probed is not None and probes:
            places = list(probes)
            table[np.ix_(places, places)] = self.probed.delay_table(
                [classes[place] for place in places], list(probes.values())
            )
        return table

    def most_table(
        self, classes: Sequence[CustomerClass]
    ) -> NDArray[np.float64] | None:
        """Return ``C_ij``, what is waited at most for each customer of a neighbor.

        None where there is no such bound: queues are as long as they are.
        """
        if self.slices is None:
            return None
        return self.slices.most_table(classes, classes)


PROCESSOR_SHARING = SharingShape()
"""Every request at the GPU gets the same share of it."""
