"""What was read: one number per step, quantity and set of labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gpupack.importers.prometheus.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps in time, one after the other; seconds since 1970, UTC."""

    edges_s: tuple[float, ...]
    """Where the first begins, and where each ends; equal where nothing spans time."""

    @classmethod
    def of(cls, start_s: float, end_s: float, step_s: int) -> Steps:
        """Return the whole steps that end with ``end_s`` and begin after ``start_s``.

        There is at least one.
        """
        number = max(1, int((end_s - start_s) // step_s))
        return cls(tuple(end_s - step_s * back for back in range(number, -1, -1)))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.edges_s) - 1

    def coarser(self, most: int) -> Steps:
        """Return at most so many steps with the same end, each of several of these.

        Together they lack fewer of these than they are, at the beginning.
        """
        size = -(-len(self) // most)
        return Steps(self.edges_s[::-1][::size][::-1])

    @property
    def ends_s(self) -> NDArray[np.float64]:
        """When each ends."""
        return np.array(self.edges_s[1:])

    @property
    def lengths_s(self) -> NDArray[np.float64]:
        """How long each is."""
        return np.diff(np.array(self.edges_s))


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one set of labels, NaN in a step without data."""

    labels: Mapping[str, str]
    values: NDArray[np.float64]

    def label(self, name: str) -> str:
        """Return a label, empty if it is not there: to Prometheus that is the same."""
        return self.labels.get(name, "")


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that was read of a cluster."""

    source: str
    """Where, in words that may be shown."""
    steps: Steps
    coarse_steps: Steps
    """Of the quantities of which only the sum or the maximum is wanted."""
    series: Mapping[Quantity, tuple[Series, ...]]
    notes: tuple[str, ...] = field(default=())
    """What a reader of the numbers should know."""

    def of(self, quantity: Quantity) -> tuple[Series, ...]:
        """Return the series of a quantity, none if it was not there."""
        return self.series.get(quantity, ())


def merged(
    first: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the higher of two values in each step, the one there is if one lacks."""
    return np.fmax(first, other)


def added(
    first: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum in each step; NaN only where both lack."""
    both = np.nan_to_num(first) + np.nan_to_num(other)
    return np.where(np.isnan(first) & np.isnan(other), np.nan, both)
