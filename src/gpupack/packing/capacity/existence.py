"""Whether a handful of whole copies fits into bins of several types at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.packing.capacity.model import CapacityProblem

    Sizes = tuple[int, ...]

MAX_COPIES = 24
"""More copies than this are left to other methods."""
NODE_LIMIT = 3_000
"""Of the search: some 20 ms."""


def has_plan(problem: CapacityProblem, *, node_limit: int = NODE_LIMIT) -> bool | None:
    """Return whether every job can run, None where this search cannot tell.

    Copies go in depth first, the largest first, into any bin that has room or a new
    one of any type that is left; bins of the same type with the same room are tried
    once. It tells of problems without demands, which would take fractions, and
    without a rule of who may share; a demand of 0 asks for copies alone.
    """
    if problem.rule is not None or any(job.demand for job in problem.jobs):
        return None
    copies = []
    for job, options in zip(problem.jobs, problem.options_by_job, strict=True):
        if job.is_optional:
            continue
        choices: list[tuple[int, Sizes]] = []
        for index in options:
            one = problem.options[index]
            choices.append((one.bin_type, one.fixed))
        copies.extend([_smallest(choices)] * job.copies)
    if len(copies) > MAX_COPIES:
        return None
    search = _Search(problem, copies, node_limit)
    try:
        return search.place(0, 0)
    except _NodeLimitError:
        return None


class _NodeLimitError(Exception):
    """The search was cut short: nothing is proved."""


def _smallest(choices: Sequence[tuple[int, Sizes]]) -> tuple[tuple[int, Sizes], ...]:
    """Return the choices without those that another of the bin type beats."""
    distinct = sorted(set(choices))
    return tuple(
        one
        for one in distinct
        if not any(
            other != one
            and other[0] == one[0]
            and all(a <= b for a, b in zip(other[1], one[1], strict=True))
            for other in distinct
        )
    )


class _Search:
    """Depth-first search over copies, each a choice of bin type and sizes."""

    def __init__(
        self,
        problem: CapacityProblem,
        copies: list[tuple[tuple[int, Sizes], ...]],
        node_limit: int,
    ) -> None:
        self._capacity = [one.capacity for one in problem.bin_types]
        self._costs = [one.cost for one in problem.bin_types]
        self._closed = [
            len(copies) if one.count is None else one.count for one in problem.bin_types
        ]
        self._budget = problem.budget
        self._copies = sorted(copies, key=self._size, reverse=True)
        self._bins: list[tuple[int, list[int]]] = []
        self._nodes_left = node_limit

    def _size(self, choices: tuple[tuple[int, Sizes], ...]) -> tuple[float, object]:
        """Return the least share of a bin that a copy takes, to sort equal ones too."""
        least = min(
            (
                max(
                    (
                        size / most
                        for size, most in zip(
                            sizes, self._capacity[bin_type], strict=True
                        )
                        if most
                    ),
                    default=0.0,
                )
                for bin_type, sizes in choices
            ),
            default=2.0,
        )
        return least, choices

    def place(self, position: int, cost: int) -> bool:
        """Place the copies from ``position`` on; True if all found room."""
        if position == len(self._copies):
            return True
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise _NodeLimitError
        tried: set[tuple[int, Sizes, Sizes]] = set()
        for bin_type, sizes in self._copies[position]:
            for kind, room in self._bins:
                state = (kind, tuple(room), sizes)
                if kind != bin_type or state in tried:
                    continue
                tried.add(state)
                if any(have < size for have, size in zip(room, sizes, strict=True)):
                    continue
                _add(room, sizes, -1)
                if self.place(position + 1, cost):
                    return True
                _add(room, sizes, 1)
            more = cost + self._costs[bin_type]
            if self._closed[bin_type] == 0 or (
                self._budget is not None and more > self._budget
            ):
                continue
            room = list(self._capacity[bin_type])
            _add(room, sizes, -1)
            self._closed[bin_type] -= 1
            self._bins.append((bin_type, room))
            if self.place(position + 1, more):
                return True
            self._bins.pop()
            self._closed[bin_type] += 1
        return False


def _add(room: list[int], sizes: Sizes, sign: int) -> None:
    for dimension, size in enumerate(sizes):
        room[dimension] += sign * size
