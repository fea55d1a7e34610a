# Long because first fit with loads, rules and several bin types is one algorithm.
"""First fit decreasing for jobs with options, demands and several types of bins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.capacity.model import OpenBins, copied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gpupack.packing.capacity.model import CapacityProblem

    Array = NDArray[np.float64]

ENOUGH = 0.5
"""Share of what a copy could serve alone, from which on an open bin is as good."""
NEGLIGIBLE = 1e-9
"""Share of a demand that is as good as nothing."""
MANY = 16
"""Bins of one job alone, from which on they are not filled any further."""
MAX_COPIES = 10_000
"""Of one job that are placed one by one."""
MAX_ASKED = 8
"""Bins whose neighbors are asked about one copy; beyond it goes into a new bin."""


class FirstFit:
    """Fills bins with jobs, one after the other.

    Args:
        problem: What is planned.
        weights: Of dimensions, by which sizes are compared.
        prices: Of a bin of each type.
        rates_count: Whether faster options of jobs of whole copies are worth more.
    """

    def __init__(
        self,
        problem: CapacityProblem,
        weights: Array,
        prices: Array,
        *,
        rates_count: bool = False,
    ) -> None:
        self._problem = problem
        self._prices = prices
        self._rates_count = rates_count
        self.bins = OpenBins(problem)
        self._type = np.array([one.bin_type for one in problem.options], dtype=np.int64)
        capacity = np.maximum(self.bins.capacity, 1.0)[self._type]
        self._fixed = self.bins.fixed / capacity * weights
        self._loaded = self.bins.loaded / capacity * weights
        self._open_share = [1.0 if job.demand else 0.0 for job in problem.jobs]
        self._num_copies = [0] * len(problem.jobs)
        self._log: list[tuple[int, int, int, int, float]] = []
        self.num_steps = 0
        self.num_looks = 0

    def place_required(self, *, share: float = 1.0) -> bool:
        """Place every job that must be there; return whether all found room.

        Args:
            share: Of every demand; where rates count, also the least share of the
                fastest rate at which jobs of whole copies run.
        """
        required = [
            index for index, job in enumerate(self._problem.jobs) if not job.is_optional
        ]
        return all(self._place(index, share) for index in self._by_size(required))

    def place_optional(self) -> None:
        """Place the others, the most valuable for their size first, where they fit."""
        jobs = self._problem.jobs
        others = [
            index
            for index, job in enumerate(jobs)
            if job.is_optional and not self._num_copies[index]
        ]
        worth = {index: self._density(index) for index in others}
        for index in sorted(others, key=lambda one: (-worth[one], one)):
            self._log.clear()
            share = 0.0 if jobs[index].is_whole else 1.0
            if not self._place(index, share) and (
                jobs[index].is_whole or self._num_copies[index] < jobs[index].copies
            ):
                self._undo(index)

    def _undo(self, job: int) -> None:
        for bin_type, at, option, copies, load in reversed(self._log):
            self.bins.add(bin_type, at, option, -copies, -load)
        self._num_copies[job] = 0
        self._open_share[job] = 1.0 if self._problem.jobs[job].demand else 0.0

    def _by_size(self, jobs: Sequence[int]) -> list[int]:
        """Return jobs in the order to place them: the largest share of a bin first."""
        size = {}
        for index in jobs:
            options = self._options(index)
            if not len(options):
                return list(jobs)
            full = self._fixed[options].max(axis=1)
            job = self._problem.jobs[index]
            if job.demand:
                rates = np.array([self._problem.options[i].rate for i in options])
                loads = np.minimum(1.0, job.demand / rates)
                full = (
                    self._fixed[options] + self._loaded[options] * loads[:, None]
                ).max(axis=1)
            size[index] = float(full.min())
        return sorted(jobs, key=lambda one: (-size[one], one))

    def _options(self, job: int) -> NDArray[np.int64]:
        return np.array(self._problem.options_by_job[job], dtype=np.int64)

    def _density(self, index: int) -> float:
        """Return the weighted service of a job per share of a bin, about."""
        options = self._options(index)
        if not len(options):
            return 0.0
        rates = np.array([self._problem.options[i].rate for i in options], dtype=float)
        room = (self._fixed[options] + self._loaded[options]).max(axis=1)
        return float(
            self._problem.jobs[index].weight * (rates / np.maximum(room, 1e-9)).max()
        )

    def _place(self, index: int, share: float) -> bool:
        """Place one job; return whether it has all that it must."""
        job = self._problem.jobs[index]
        if job.demand:
            wanted = share * job.demand
            if wanted > NEGLIGIBLE * job.demand and not self._serve(index, wanted):
                return False
        least = share if job.is_whole and self._rates_count else 0.0
        return self._add_copies(index, job.copies - self._num_copies[index], least)

    def _add_copies(self, index: int, num_copies: int, least: float) -> bool:
        """Place copies that serve nothing in proportion; return whether all fit.

        Args:
            index: Of the job.
            num_copies: To be placed.
            least: Share of the fastest rate below which an option is not used.
        """
        if num_copies <= 0:
            return True
        options = self._options(index)
        if not len(options):
            return False
        if least:
            rates = np.array([self._problem.options[i].rate for i in options])
            options = options[rates >= least * rates.max()]
        score = self._prices[self._type[options]] * self._fixed[options].max(axis=1)
        ranked = [int(one) for one in options[np.argsort(score, kind="stable")]]
        for option in ranked:
            num_copies -= self._join(index, option, num_copies)
            if not num_copies:
                return True
        for option in ranked:
            num_copies -= self._open_for_copies(index, option, num_copies)
            if not num_copies:
                return True
        return False

    def _join(self, index: int, option: int, num_copies: int) -> int:
        """Put copies into open bins that have room; return how many."""
        self.num_looks += 1
        bin_type = int(self._type[option])
        first, rooms = self.bins.rooms(bin_type)
        if not len(rooms):
            return 0
        fits = (rooms + self.bins.slack(bin_type) >= self.bins.fixed[option]).all(
            axis=1
        )
        placed = 0
        asked = 0
        for at in np.flatnonzero(fits):
            place = first + int(at)
            here = self._fill_up(index, bin_type, place, option, num_copies - placed)
            placed += here
            asked += not here
            if placed == num_copies or asked > MAX_ASKED:
                break
        return placed

    def _fill_up(
        self, index: int, bin_type: int, place: int, option: int, num_copies: int
    ) -> int:
        """Put as many copies into a bin as there is room for; return how many."""
        fixed = self.bins.fixed[option]
        room = self.bins.room(bin_type, place) + self.bins.slack(bin_type)
        taken = fixed > 0
        fitting = (room[taken] // fixed[taken]).min(initial=num_copies)
        copies = max(0, int(min(num_copies, fitting)))
        if self._problem.rule is not None:
            content = self.bins.contents[bin_type][place]
            held = int(content.get(option, [0])[0])
            for more in range(1, copies + 1):
                counts = {one: int(n) for one, (n, _) in content.items()}
                counts[option] = held + more
                if not self._problem.is_allowed(
                    bin_type, tuple(sorted(counts.items()))
                ):
                    copies = more - 1
                    break
        if copies:
            self._add(index, bin_type, place, option, copies, 0.0)
        return copies

    def _open_for_copies(self, index: int, option: int, num_copies: int) -> int:
        """Put copies into new bins as long as there are any; return how many."""
        bin_type = int(self._type[option])
        placed = 0
        while placed < num_copies and self.bins.num_available(bin_type) >= 1:
            place = self.bins.open(bin_type)
            content = self.bins.contents[bin_type][place]
            here = self._fill_up(index, bin_type, place, option, num_copies - placed)
            if not here:
                break
            placed += here
            number = int(
                min(
                    (num_copies - placed) // here,
                    self.bins.num_available(bin_type),
                )
            )
            if number >= MANY:
                self.bins.add_closed(bin_type, copied(content), number)
                self._num_copies[index] += here * number
                placed += here * number
        return placed

    def _serve(self, index: int, wanted: float) -> bool:
        """Place copies until they serve so much; return whether they do."""
        job = self._problem.jobs[index]
        demand = job.demand or 1
        options = self._options(index)
        if not len(options):
            return False
        rates = np.array([self._problem.options[i].rate for i in options], dtype=float)
        open_service = wanted
        for _ in range(MAX_COPIES):
            if open_service <= NEGLIGIBLE * demand:
                break
            copies_left = (
                math.inf
                if job.max_copies is None
                else job.max_copies - self._num_copies[index]
            )
            if copies_left < 1:
                return False
            needed = open_service / copies_left
            loads = np.minimum(1.0, open_service / rates)
            room = (self._fixed[options] + self._loaded[options] * loads[:, None]).max(
                axis=1
            )
            score = self._prices[self._type[options]] * room / (loads * rates)
            score = np.where(rates >= needed, score, score + 1e9 / rates)
            ranked = options[np.argsort(score, kind="stable")]
            served = self._serve_openly(index, ranked, open_service, needed)
            if not served:
                served = self._serve_anew(index, ranked, open_service, copies_left)
            if not served:
                served = self._serve_openly(index, ranked, open_service, 0.0, least=0.0)
            if served <= NEGLIGIBLE * demand:
                return False
            open_service -= served
            self._open_share[index] = max(
                0.0, self._open_share[index] - served / demand
            )
        return open_service <= NEGLIGIBLE * demand

    def _serve_openly(
        self,
        index: int,
        ranked: Sequence[int] | NDArray[np.int64],
        open_service: float,
        needed: float,
        *,
        least: float = ENOUGH,
    ) -> float:
        """Put one copy into the open bin where it serves most; return the service."""
        for option in (int(one) for one in ranked):
            self.num_looks += 1
            bin_type = int(self._type[option])
            first, rooms = self.bins.rooms(bin_type)
            if not len(rooms):
                continue
            rate = self._problem.options[option].rate
            most = min(1.0, open_service / rate)
            load = self.bins.loads(bin_type, rooms, option, most)
            wanted = max(least * most, min(needed / rate, most) * (1 - NEGLIGIBLE))
            good = np.flatnonzero((load >= wanted) & (load > 0))
            if not len(good):
                continue
            order = good[np.argsort(-load[good], kind="stable")]
            for at in order[:MAX_ASKED]:
                place = first + int(at)
                content = self.bins.contents[bin_type][place]
                if self.bins.is_allowed(bin_type, content, option):
                    here = float(load[at])
                    self._add(index, bin_type, place, option, 1, here)
                    return here * rate
        return 0.0

    def _serve_anew(
        self,
        index: int,
        ranked: Sequence[int] | NDArray[np.int64],
        open_service: float,
        copies_left: float,
    ) -> float:
        """Put copies into a new bin, or many; return what they serve."""
        for option in (int(one) for one in ranked):
            bin_type = int(self._type[option])
            available = self.bins.num_available(bin_type)
            if available < 1:
                continue
            rate = self._problem.options[option].rate
            place = self.bins.open(bin_type)
            content = self.bins.contents[bin_type][place]
            here, copies = 0.0, 0
            while copies < copies_left and open_service - here * rate > 0:
                most = min(1.0, (open_service - here * rate) / rate)
                room = self.bins.room(bin_type, place)[None, :]
                load = float(self.bins.loads(bin_type, room, option, most)[0])
                if load <= 0 or (copies and load < ENOUGH * most):
                    break
                if not self.bins.is_allowed(bin_type, content, option):
                    break
                self._add(index, bin_type, place, option, 1, load)
                here += load
                copies += 1
                if copies >= MAX_COPIES:
                    break
            if not copies:
                continue
            served = here * rate
            number = int(
                min(
                    (open_service - served) // served,
                    available - 1,
                    (copies_left - copies) // copies,
                )
            )
            if number >= MANY:
                self.bins.add_closed(bin_type, copied(content), number)
                self._num_copies[index] += copies * number
                served *= number + 1
            return served
        return 0.0

    def _add(
        self,
        index: int,
        bin_type: int,
        place: int,
        option: int,
        copies: int,
        load: float,
    ) -> None:
        self.bins.add(bin_type, place, option, copies, load)
        self._num_copies[index] += copies
        self._log.append((bin_type, place, option, copies, load))
        self.num_steps += 1

    def serve_more(self) -> None:
        """Let jobs with open demand serve what there is room for."""
        options = self._problem.options
        jobs = self._problem.jobs
        for bin_type, contents in enumerate(self.bins.contents):
            for place, content in enumerate(contents):
                for option, (copies, load) in list(content.items()):
                    index = options[option].job
                    demand = jobs[index].demand
                    if not demand or self._open_share[index] <= NEGLIGIBLE:
                        continue
                    room = self.bins.room(bin_type, place)
                    loaded = self.bins.loaded[option]
                    most = min(
                        copies - load,
                        self._open_share[index] * demand / options[option].rate,
                        *(room[loaded > 0] / loaded[loaded > 0]),
                    )
                    if most > 0:
                        self.bins.add(bin_type, place, option, 0, most)
                        self._open_share[index] -= most * options[option].rate / demand
        hungry = [
            index
            for index, share in enumerate(self._open_share)
            if share > NEGLIGIBLE and self._num_copies[index]
        ]
        worth = {index: self._density(index) for index in hungry}
        for index in sorted(hungry, key=lambda one: (-worth[one], one)):
            self._serve(index, self._open_share[index] * (jobs[index].demand or 0))
