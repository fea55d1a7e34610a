"""How long requests wait for each other where processes take turns on the GPU.

The GPU goes round among the processes that have work, and gives each a slice ``q``; to
go from one to the next takes a switch ``o``. A request of ``D`` takes ``n`` slices of
``a = D / n`` on average, the last of ``l``; it returns after ``Z``, and is at the GPU
for the share ``U = D / (D + Z)`` of its time alone. Alone beside one neighbor ``j``, a
request of ``i`` waits for two things::

    T_ij = P_ij · max(a_j + o − 0.7 Z_i, a_j / 2 + o)        before its first slice
         + (n_i − 1) · π_j · (a_j + 2 o)                     between its slices
    P_ij = U_j · (1 + (1 − U_j) · min(1, l_i / Z_j))
    π_j  = n_j / (n_j + max(0, Z_j / q − 1/2))

* ``P`` is how likely it finds the neighbor there: more likely than by chance, where the
  neighbor came back while the last request was served. Of two that take turns in step
  one waits for the neighbor's slice less the time that it was away itself; else half a
  slice is left.
* ``π`` is how likely the neighbor is there when a slice ends: always, if it is back
  within a slice.

In a network, where the neighbor is at the GPU for more of the time, ``W_ij = T_ij /
U_j`` times its queue is waited, yet never more than one slice of it before each of
one's own: ``C_ij = n_i (a_j + o)`` for each of its customers.

Slice and switch were fitted on an H200. The other constants are those with which these
formulas come nearest to a simulation of slices that go round (1,700 pairs: 1.4 points
of retention on average); see the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SOON = 0.7
"""Of the time away, what is not waited for a neighbor that takes turns in step."""
_MISSED = 0.5
"""Of a slice: a time away as long as one misses half of the ends of slices."""
_EDGE = 0.1
"""Of a slice: a request that needs this much more than so many slices takes one more;
one that needs less takes it now and then, since requests differ."""
_MIN_ELSEWHERE_S = 1e-12


class Customer(Protocol):
    """What counts of a class of customers here."""

    @property
    def gpu_demand_s(self) -> float:
        """GPU time of a request."""

    @property
    def elsewhere_s(self) -> float:
        """Time of a request outside the GPU."""


class _Turns(NamedTuple):
    """What the formulas need of one model."""

    slices: float
    slice_s: float
    last_s: float
    switch_s: float
    presence: float
    met_at_end: float
    elsewhere_s: float


@dataclass(frozen=True, slots=True)
class TimeSlices:
    """Slices that go round among the processes with work for the GPU.

    Args:
        slice_s: ``q``, > 0.
        switch_s: ``o``, from one process to the next, ≥ 0.
    """

    slice_s: float = 0.0021
    switch_s: float = 0.0002

    def delay_table(
        self, own: Sequence[Customer], neighbors: Sequence[Customer]
    ) -> NDArray[np.float64]:
        """Return ``W_ij``, in seconds for each request of the neighbor at the GPU."""
        waiting = [self._turns_of(one) for one in own]
        met = (
            waiting if own is neighbors else [self._turns_of(one) for one in neighbors]
        )
        last = np.array([one.last_s for one in waiting])[:, None]
        away = np.array([one.elsewhere_s for one in waiting])[:, None]
        others = np.array(met)
        slices_s, switches_s, presence = others[:, 1], others[:, 3], others[:, 4]
        in_step = (1 - presence) * np.minimum(
            1, last / np.maximum(others[:, 6], _MIN_ELSEWHERE_S)
        )
        first_s = switches_s + np.maximum(slices_s - _SOON * away, slices_s / 2)
        between_s = others[:, 5] * (slices_s + 2 * switches_s) / presence
        found: NDArray[np.float64] = (1 + in_step) * first_s + np.outer(
            [one.slices - 1 for one in waiting], between_s
        )
        return found

    def most_table(
        self, own: Sequence[Customer], neighbors: Sequence[Customer]
    ) -> NDArray[np.float64]:
        """Return ``C_ij``, in seconds for each customer of the neighbor."""
        met = [self._turns_of(one) for one in neighbors]
        return np.outer(
            [self._num_slices(one) for one in own],
            [one.slice_s + one.switch_s for one in met],
        )

    def _num_slices(self, one: Customer) -> float:
        slices = one.gpu_demand_s / self.slice_s
        whole = float(int(slices))
        return max(1.0, whole + min(1.0, (slices - whole) / _EDGE))

    def _turns_of(self, one: Customer) -> _Turns:
        slices = self._num_slices(one)
        slice_s = one.gpu_demand_s / slices
        return _Turns(
            slices=slices,
            slice_s=slice_s,
            last_s=max(0.0, one.gpu_demand_s - (slices - 1) * self.slice_s),
            # Who is hardly there hardly makes the GPU switch.
            switch_s=min(self.switch_s, slice_s),
            presence=one.gpu_demand_s / (one.gpu_demand_s + one.elsewhere_s),
            met_at_end=slices
            / (slices + max(0.0, one.elsewhere_s / self.slice_s - _MISSED)),
            elsewhere_s=one.elsewhere_s,
        )
