"""Rounds of blocks: every model alone and all together, in random order, until known.

One model's windows of a second vary by a tenth and more, and a host is slow for a while
now and then. A reading alone, and one together minutes later, tell such a while from
neighbors no more than chance does. In rounds the two are seconds apart, many times.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from gpupack.verifying.block_clients import Clients
from gpupack.verifying.measurement import Block, colocation_record
from gpupack.verifying.paired import retention_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpupack.profiling import Measurement
    from gpupack.records.colocation import CoLocation
    from gpupack.verifying.block_clients import MeasuredGpu
    from gpupack.verifying.round_options import Member

_Block = TypeVar("_Block")

LEAST_ROUNDS = 3
"""Fewer have no interval worth the name."""
FINEST = 0.25
"""A promise that stays undecided is measured on until so much of the precision."""
FOR_ALL_SHARE = 0.6
"""Of the time for narrow intervals of all models; the rest is for undecided promises
where there are any."""
_SHARE_BEFORE = 0.25
"""Of the time, for what can be measured only before replicas are loaded."""


class RestartedError(Exception):
    """A server was restarted while it was measured; says what shows it."""


class Rounds:
    """Measures the models of one GPU.

    Args:
        gpu: Where they are.
        members: Every instance that is sent requests.
        find_undecided: Returns the places among ``members`` of those whose promises
            the measurements so far neither keep nor break.
    """

    def __init__(
        self,
        gpu: MeasuredGpu,
        members: Sequence[Member],
        find_undecided: Callable[[Sequence[CoLocation]], Collection[int]],
    ) -> None:
        self._gpu = gpu
        self._members = members
        self._find_undecided = find_undecided
        self._alone: defaultdict[Member, list[Block]] = defaultdict(list)
        self._together: list[Block] = []
        self._begin_s = time.monotonic()
        self._round_index = 0
        self._strangers: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        """Requests by model, in the blocks of this round."""
        self._round_s = 0.0
        """How long the last round took."""

    def measure_before(self, members: Collection[Member]) -> None:
        """Measure these alone, before replicas of them are loaded.

        Raises:
            ServerError: The server is lost, or a model fails (``LoadPointError``).
            RestartedError: It was restarted.
        """
        cap_s = _SHARE_BEFORE * self._gpu.options.max_seconds
        with ExitStack() as stack:
            session = Clients(self._gpu, stack)
            for member in members:
                session.add_alone(member)
            while self._goes_on(cap_s):
                for member in self._shuffled(list(members)):
                    self._measure_alone(session, member)
                self._end_round()
                widths = [
                    one.throughput_ci_ratio
                    for found in self._solo_records(members)
                    for one in found.models
                ]
                if self._round_index >= LEAST_ROUNDS and all(
                    width is not None and width <= self._gpu.options.precision
                    for width in widths
                ):
                    return

    def measure(self, alone: Collection[Member]) -> tuple[CoLocation, ...]:
        """Measure rounds until every retention is known, or time is up.

        Args:
            alone: Those measured alone in these rounds; the others were before.

        Returns:
            Every different member alone, and then all together if there are several.

        Raises:
            ServerError: The server is lost, or a model fails (``LoadPointError``).
            RestartedError: It was restarted.
        """
        with ExitStack() as stack:
            session = Clients(self._gpu, stack)
            for member in alone:
                session.add_alone(member)
            if len(self._members) > 1:
                session.add_together(self._members)
            first_index = self._round_index
            unknown = set(range(len(self._members)))
            to_measure_alone = set(unknown)
            while unknown and (
                self._round_index == first_index
                or self._goes_on(self._gpu.options.max_seconds)
            ):
                begin_s = time.monotonic()
                blocks: list[Member | None] = [
                    member
                    for member in alone
                    if any(self._members[place] == member for place in to_measure_alone)
                    # What is sent to it alone is known after once.
                    and (
                        member.offered_infer_per_sec is None
                        or not self._alone[member]
                        or len(self._members) == 1
                    )
                ]
                if len(self._members) > 1:
                    # A block together tells of all models: for the least error in a
                    # given time the blocks are as the square roots of their costs.
                    num_together = max(1, round(math.sqrt(len(blocks))))
                    blocks += [None] * num_together
                for block in self._shuffled(blocks):
                    if block is None:
                        self._measure_together(session, len(unknown))
                    else:
                        self._measure_alone(session, block)
                self._end_round()
                self._round_s = time.monotonic() - begin_s
                if self._round_index - first_index >= LEAST_ROUNDS:
                    unknown, to_measure_alone = self._find_unknown()
        return self._records()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first block."""
        return time.monotonic() - self._begin_s

    def _goes_on(self, cap_s: float) -> bool:
        """Whether there is time for another round."""
        return self.elapsed_s + self._round_s < cap_s

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the verdicts should know."""
        if not self._strangers:
            return ()
        told = "; ".join(
            f"{name} (in {count} of {self._round_index} rounds)"
            for name, count in self._strangers.items()
        )
        return (f"other processes were on the GPU while it was measured: {told}",)

    def _end_round(self) -> None:
        self._round_index += 1
        if self._gpu.own_pids:
            found = self._gpu.device.foreign_processes(self._gpu.own_pids)
            self._strangers.update(found)
        restart = self._gpu.watch.find_restart(self._answered)
        self._answered.clear()
        if restart is not None:
            raise RestartedError(restart)

    def _shuffled(self, blocks: list[_Block]) -> list[_Block]:
        seed = f"{self._gpu.options.seed}/{self._gpu.gpu_index}/{self._round_index}"
        random.Random(seed).shuffle(blocks)
        return blocks

    def _measure_alone(self, session: Clients, member: Member) -> None:
        self._say(f"{member.model_name} alone")
        self._alone[member].append(self._block(session.measure_alone(member)))

    def _measure_together(self, session: Clients, num_unknown: int) -> None:
        names = ", ".join(one.model_name for one in self._members)
        left = ""
        if self._round_index >= LEAST_ROUNDS:
            left = (
                f"; {num_unknown} of {len(self._members)} not yet known to "
                f"±{100 * self._gpu.options.precision:g} %"
            )
        self._say(f"{names} together{left}")
        self._together.append(self._block(session.measure_together()))

    def _block(self, measured: Measurement) -> Block:
        for one in measured.loads:
            self._answered[one.load.signature.name] += len(one.latencies_us)
        return Block(self._round_index, measured)

    def _say(self, text: str) -> None:
        self._gpu.say(
            f"GPU {self._gpu.gpu_index}, round {self._round_index + 1} "
            f"({self.elapsed_s:.0f} s): {text}"
        )

    def _find_unknown(self) -> tuple[set[int], set[int]]:
        """Return the places of the members of which more is to be measured.

        Of all of them, and of those whose rate alone, too, is not known well enough.
        Towards the end of the time only those count whose promises are undecided.
        """
        records = self._records()
        precision = self._gpu.options.precision
        alone = {
            (one.models[0].key, one.models[0].offered_infer_per_sec): one.models[0]
            for one in records
            if len(one.models) == 1
        }
        undecided = set(self._find_undecided(records))
        imprecise = set()
        for place, beside in enumerate(records[-1].models):
            own = alone[beside.key, beside.offered_infer_per_sec]
            if own.offered_infer_per_sec is not None:
                continue  # its promises are of requests, not of a ratio
            kept = retention_interval(own, beside)
            width = None if kept is None else kept.half_width
            if len(self._members) == 1:
                width = own.throughput_ci_ratio
            if width is None or width > precision:
                imprecise.add(place)
            elif place in undecided and width < FINEST * precision:
                undecided.remove(place)
        if undecided and self.elapsed_s > FOR_ALL_SHARE * self._gpu.options.max_seconds:
            return undecided, imprecise & undecided
        return imprecise | undecided, imprecise

    def _records(self) -> tuple[CoLocation, ...]:
        solos = self._solo_records(dict.fromkeys(self._members))
        if not self._together:
            return solos
        return (*solos, self._record(self._together, "together"))

    def _solo_records(self, members: Collection[Member]) -> tuple[CoLocation, ...]:
        return tuple(self._record(self._alone[one], "alone") for one in members)

    def _record(self, blocks: Sequence[Block], label: str) -> CoLocation:
        return colocation_record(
            self._gpu.server,
            blocks,
            self._gpu.device,
            self._gpu.sharing_mode,
            label=label,
            precision=self._gpu.options.precision,
        )
