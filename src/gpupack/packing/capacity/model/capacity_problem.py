"""The capacity problem: jobs, their options, and the types of bins they go into."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from gpupack.errors import InvalidInputError

MAX_SIZE = 2**62
"""Largest size, capacity, cost, rate and demand: 64-bit sums of few do not overflow."""
MAX_COPIES = 2**40
"""Copies of a job at most, a million millions: as many as one asks for, or as a demand
needs of its fastest option."""

Counts = tuple[tuple[int, int], ...]
"""Pairs (option, copies ≥ 1), by option."""

Rule = Callable[[int, Counts], bool]
"""Whether these copies may share a bin of this type.

Any one copy may, and what may share a bin may do so without some of it.
"""


class Goal(StrEnum):
    """What a capacity plan is best at."""

    MIN_BINS = "min_bins"
    """The fewest bins that serve every demand in full."""
    MIN_COST = "min_cost"
    """The lowest total cost of bins that serves every demand in full."""
    MAX_SERVICE = "max_service"
    """The most weighted service from a limited number of bins."""
    MAX_MIN_SHARE = "max_min_share"
    """The largest share of its demand that every job gets."""

    @property
    def is_in_full(self) -> bool:
        """Whether every demand must be met."""
        return self in {Goal.MIN_BINS, Goal.MIN_COST}


@dataclass(frozen=True, slots=True)
class BinType:
    """One kind of bin.

    Args:
        capacity: One integer ≥ 0 per dimension.
        cost: Of one bin, an integer ≥ 0.
        count: How many there are; None for as many as needed.
    """

    capacity: tuple[int, ...]
    cost: int = 1
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What shall run.

    Args:
        demand: Service wanted, in integer units ≥ 0; None for a job of whole copies,
            each of which runs at its option's full rate.
        copies: The least number of copies of a job with a demand; the exact number
            of a job of whole copies. At least 1.
        max_copies: The greatest number of copies of a job with a demand; None for as
            many as needed.
        weight: Of one unit of service, where service is what counts.
        is_optional: Whether the job may be left out. One with a demand is left out or
            has its ``copies``; of one without, some copies may be.
        name: What to call it in a message; empty for its index.
    """

    demand: int | None = None
    copies: int = 1
    max_copies: int | None = None
    weight: float = 1.0
    is_optional: bool = False
    name: str = field(default="", compare=False)

    @property
    def is_whole(self) -> bool:
        """Whether the job runs in whole copies, without a demand."""
        return self.demand is None

    @property
    def is_counted(self) -> bool:
        """Whether a copy more than needed would be one too many."""
        return self.is_whole or self.max_copies is not None


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a copy of a job.

    Args:
        job: Index of the job.
        bin_type: Index of the bin type it runs in.
        fixed: Taken in full by every copy, one integer ≥ 0 per dimension.
        proportional: Taken by a copy at its full rate, in proportion when it serves
            less; all 0 for a job of whole copies.
        rate: Service of one copy at most, ≥ 1.
    """

    job: int
    bin_type: int
    fixed: tuple[int, ...]
    proportional: tuple[int, ...]
    rate: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """Room that copies of different jobs in one bin have in common.

    Copies take room of their own; of each common part, as much room as the job takes
    that needs most of it.

    Args:
        bin_type: Index of the bin type.
        dimension: Of the room; nothing is taken of it in proportion.
        own: Pairs (option, room of each copy).
        parts: Of each common part, what each job needs of it: pairs (option, room of
            each copy), which is negative for an option that brings the part along.
    """

    bin_type: int
    dimension: int
    own: tuple[tuple[int, int], ...]
    parts: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]


def _require(what: str, value: object, most: float) -> None:
    """Check that a number is whole, at least 0 and at most so much.

    Raises:
        InvalidInputError: Saying what it is.
    """
    # Another kind, such as numpy's, would overflow where Python's do not.
    if type(value) is not int:
        raise InvalidInputError(
            f"{what} is {value!r}; it must be a whole number of Python's own (int)"
        )
    if not 0 <= value <= most:
        allowed = "≥ 0" if most == math.inf else f"between 0 and {most}"
        raise InvalidInputError(f"{what} is {value}; it must be {allowed}")


@dataclass(frozen=True)
class CapacityProblem:
    """Run every job by copies of its options in bins of which none overflows.

    Args:
        bin_types: What there is.
        jobs: What shall run.
        options: How it can run.
        budget: The total cost of bins may not exceed it; None for no limit.
        rule: Which copies may share a bin; None if all that fit may.
        overlaps: What the rule implies of common room: it allows nothing that takes
            more. Bounds are better for knowing it.

    Raises:
        InvalidInputError: If shapes or indices do not agree, a number is not whole, or
            out of range: beyond ``MAX_SIZE``, or copies beyond ``MAX_COPIES``.
    """

    bin_types: tuple[BinType, ...]
    jobs: tuple[Job, ...]
    options: tuple[Option, ...]
    budget: int | None = None
    rule: Rule | None = field(default=None, repr=False, compare=False)
    overlaps: tuple[Overlap, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.bin_types:
            raise InvalidInputError("a capacity problem needs at least one bin type")
        self._require_numbers()
        shapes = {len(bin_type.capacity) for bin_type in self.bin_types}
        shapes |= {len(one.fixed) for one in self.options}
        shapes |= {len(one.proportional) for one in self.options}
        if len(shapes) != 1:
            raise InvalidInputError(
                f"bins and options have different numbers of dimensions: {shapes}"
            )
        for index, option in enumerate(self.options):
            if not 0 <= option.job < len(self.jobs):
                raise InvalidInputError(f"option {index} is of no job: {option}")
            if not 0 <= option.bin_type < len(self.bin_types):
                raise InvalidInputError(f"option {index} has no bin type: {option}")
            if option.rate < 1 or min(option.fixed + option.proportional) < 0:
                raise InvalidInputError(
                    f"option {index} needs a rate ≥ 1 and sizes ≥ 0: {option}"
                )
            if self.jobs[option.job].is_whole and any(option.proportional):
                raise InvalidInputError(
                    f"option {index} of a job of whole copies takes room in "
                    f"proportion: {option}"
                )
        for index, job in enumerate(self.jobs):
            if job.max_copies is not None and job.max_copies < job.copies:
                raise InvalidInputError(
                    f"job {index} needs {job.copies} copies and may have "
                    f"{job.max_copies}: {job}"
                )
            if job.copies < 1 or (job.demand is not None and job.demand < 0):
                raise InvalidInputError(
                    f"job {index} needs copies ≥ 1 and a demand ≥ 0: {job}"
                )

    def _require_numbers(self) -> None:
        """Check that every number is whole and in range.

        Raises:
            InvalidInputError: Naming the first that is not.
        """
        for index, bin_type in enumerate(self.bin_types):
            what = f"of bin type {index}"
            for most in bin_type.capacity:
                _require(f"a capacity {what}", most, MAX_SIZE)
            _require(f"the cost {what}", bin_type.cost, MAX_SIZE)
            if bin_type.count is not None:
                _require(f"the count {what}", bin_type.count, math.inf)
        if self.budget is not None:
            _require("the budget", self.budget, math.inf)
        for index, job in enumerate(self.jobs):
            what = f"of {job.name or f'job {index}'}"
            if job.demand is not None:
                _require(f"the demand {what}", job.demand, MAX_SIZE)
            _require(f"the number of copies {what}", job.copies, MAX_COPIES)
            if job.max_copies is not None:
                _require(f"the most copies {what}", job.max_copies, math.inf)
            if not math.isfinite(job.weight):
                raise InvalidInputError(
                    f"the weight {what} is {job.weight}; it must be finite"
                )
        for index, option in enumerate(self.options):
            what = f"of option {index}"
            for size in (*option.fixed, *option.proportional):
                _require(f"a size {what}", size, MAX_SIZE)
            _require(f"the rate {what}", option.rate, MAX_SIZE)
        self._require_countable()

    def _require_countable(self) -> None:
        """Check that no demand takes more copies of its fastest option than count.

        Raises:
            InvalidInputError: Naming the job.
        """
        fastest: dict[int, int] = {}
        for option in self.options:
            fastest[option.job] = max(option.rate, fastest.get(option.job, 0))
        for index, job in enumerate(self.jobs):
            if (job.demand or 0) > MAX_COPIES * fastest.get(index, MAX_SIZE):
                raise InvalidInputError(
                    f"the demand of {job.name or f'job {index}'} is {job.demand}, more "
                    f"than {MAX_COPIES} copies of its fastest option serve: "
                    f"{fastest[index]} each"
                )

    @property
    def num_dimensions(self) -> int:
        """Number of dimensions."""
        return len(self.bin_types[0].capacity)

    @cached_property
    def options_by_job(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the options of each job that fit into an empty bin."""
        return self._group([one.job for one in self.options], len(self.jobs))

    @cached_property
    def options_by_bin_type(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the options of each bin type that fit into an empty bin."""
        keys = [one.bin_type for one in self.options]
        return self._group(keys, len(self.bin_types))

    @cached_property
    def undominated_by_bin_type(self) -> tuple[tuple[int, ...], ...]:
        """Indices as in ``options_by_bin_type``, without options that another beats.

        It is of the same job, gives at least as much service for no more fixed room,
        and each unit of it for no more room in proportion. Of equal ones the first
        stays.
        """
        return tuple(
            tuple(sorted(self._undominated(indices)))
            for indices in self.options_by_bin_type
        )

    def _undominated(self, indices: tuple[int, ...]) -> list[int]:
        of_job: dict[int, list[int]] = {}
        for index in indices:
            of_job.setdefault(self.options[index].job, []).append(index)
        found: list[int] = []
        for rivals in of_job.values():
            if len(rivals) == 1:
                found.extend(rivals)
                continue
            rows = []
            for index in rivals:
                one = self.options[index]
                per_unit = [size / one.rate for size in one.proportional]
                rows.append([-one.rate, *one.fixed, *per_unit])
            columns = np.array(rows, dtype=float)
            kept: list[int] = []
            # What beats another comes before it in this order.
            for at in sorted(range(len(rivals)), key=lambda at: (rows[at], at)):
                if not (columns[kept] <= columns[at]).all(axis=1).any():
                    kept.append(at)
            found.extend(rivals[at] for at in kept)
        return found

    def _group(self, keys: list[int], length: int) -> tuple[tuple[int, ...], ...]:
        groups: list[list[int]] = [[] for _ in range(length)]
        for index, (option, key) in enumerate(zip(self.options, keys, strict=True)):
            if self.fits_alone(option):
                groups[key].append(index)
        return tuple(tuple(group) for group in groups)

    def is_allowed(self, bin_type: int, counts: Counts) -> bool:
        """Return whether the rule lets these copies share a bin of this type."""
        return self.rule is None or self.rule(bin_type, counts)

    def prices(self, goal: Goal) -> tuple[int, ...]:
        """Return what a bin of each type adds to the value of a goal."""
        if goal is Goal.MIN_BINS:
            return tuple(1 for _ in self.bin_types)
        if goal is Goal.MIN_COST:
            return tuple(one.cost for one in self.bin_types)
        return tuple(0 for _ in self.bin_types)

    def fits_alone(self, option: Option) -> bool:
        """Return whether one copy fits into an empty bin, if not at its full rate."""
        capacity = self.bin_types[option.bin_type].capacity
        return all(
            size <= most and (taken == 0 or most > size)
            for size, taken, most in zip(
                option.fixed, option.proportional, capacity, strict=True
            )
        )

    def rate_alone(self, index: int) -> float:
        """Return what one copy serves at most in a bin of its own."""
        option = self.options[index]
        capacity = self.bin_types[option.bin_type].capacity
        return option.rate * min(
            (
                min(1.0, (most - size) / loaded)
                for size, loaded, most in zip(
                    option.fixed, option.proportional, capacity, strict=True
                )
                if loaded
            ),
            default=1.0,
        )

    def most_copies(self, index: int) -> int:
        """Return how many copies of an option are of any use in one bin."""
        option = self.options[index]
        job = self.jobs[option.job]
        useful = (
            job.copies
            if job.demand is None
            else max(job.copies, -(-job.demand // option.rate))
        )
        if job.max_copies is not None:
            useful = min(useful, job.max_copies)
        capacity = self.bin_types[option.bin_type].capacity
        for size, most in zip(option.fixed, capacity, strict=True):
            if size:
                useful = min(useful, most // size)
        return useful
