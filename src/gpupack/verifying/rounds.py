"""Rounds of blocks: every model alone and all together, in random order, until known.

One model's windows of a second vary by a tenth and more, and a host is slow for a while
now and then. A reading alone, and one together minutes later, tell such a while from
neighbors no more than chance does. In rounds the two are seconds apart, many times.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number
from gpupack.profiling import BlockRule, DrivenModel, MeasureOptions, measure_driven
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind
from gpupack.verifying.measurement import Block, colocation_record, model_loads
from gpupack.verifying.paired import retention_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gpupack.profiling import (
        Device,
        InputOptions,
        KernelProbe,
        Measurement,
        RestartWatch,
        TritonServer,
    )
    from gpupack.records.colocation import CoLocation
    from gpupack.records.environment import SharingMode
    from gpupack.records.profile import LoadPoint
    from gpupack.records.request.arrivals import Arrivals

_Block = TypeVar("_Block")

DEFAULT_PRECISION = 0.03
DEFAULT_MAX_SECONDS = 110.0
"""Two minutes with the loads."""
LEAST_ROUNDS = 3
"""Fewer have no interval worth the name."""
FINEST = 0.25
"""A promise that stays undecided is measured on until so much of the precision."""
_BLOCK_S = {DeviceKind.HOST: 0.5, DeviceKind.GPU: 1.0}
_OPEN_LOOP_BLOCK_S = 2.0
_LONGEST_BLOCK_S = 5.0
_WARM_BLOCK_S = {DeviceKind.HOST: 0.0, DeviceKind.GPU: 0.25}
"""To drive a model before a block, where it was driven seconds ago."""
_QUEUES_S = 0.5
_SHARE_BEFORE = 0.25
"""Of the time, for what can be measured only before replicas are loaded."""


class Member(NamedTuple):
    """One model instance of a GPU, and how it is driven."""

    model_name: str
    load_point: LoadPoint
    offered_infer_per_sec: float | None
    """The traffic planned for it; None drives it as fast as it answers."""


@dataclass(frozen=True)
class RoundOptions:
    """Until when rounds are measured.

    Attributes:
        precision: Half-width asked for, of the interval of what every model keeps.
        max_seconds: The time cap of a GPU, loading left aside.
        seed: Of the order in a round.
        measuring: How a block is measured: warm-up, timeouts, percentile, the longest
            block (``max_duration_s``).
    """

    precision: float = DEFAULT_PRECISION
    max_seconds: float = DEFAULT_MAX_SECONDS
    seed: int = 0
    measuring: MeasureOptions = field(default_factory=MeasureOptions)

    @classmethod
    def of(
        cls,
        precision: float | None,
        max_seconds: float | None,
        seed: int,
        measuring: MeasureOptions | None,
    ) -> RoundOptions:
        """Return the options of a call, of which any may be left out.

        Raises:
            InvalidInputError: One is out of its range, or cannot be asked of rounds.
        """
        (measuring or MeasureOptions()).check()
        if measuring is not None and measuring.stopping_rule != "confidence":
            raise InvalidInputError(
                f"the stopping rule {quoted(measuring.stopping_rule)} is for one "
                "measurement; verify measures in rounds, until what every model keeps "
                "is known to a precision: leave stopping_rule out, and say precision "
                "(--precision)"
            )
        if precision is None:
            precision = measuring.half_width_ratio if measuring else DEFAULT_PRECISION
        share = real_number(precision)
        if share is None or not 0 < share < 1:
            raise InvalidInputError(
                f"a precision is a share above 0 and below 1, such as 0.03 or 3%, got "
                f"{quoted(precision)}"
            )
        seconds = real_number(
            DEFAULT_MAX_SECONDS if max_seconds is None else max_seconds
        )
        if seconds is None or not 0 < seconds < float("inf"):
            raise InvalidInputError(
                f"max_seconds is a number of seconds above 0, got {quoted(max_seconds)}"
            )
        return cls(share, seconds, seed, measuring or MeasureOptions())


@dataclass(frozen=True)
class MeasuredGpu:
    """Where the models of a GPU are, and how they are driven there.

    Attributes:
        gpu_index: Of the placement.
        server: Has all of them loaded, but for those of ``servers``.
        device: Read beside the measurements.
        sharing_mode: How the models' processes share the device.
        inputs: Where requests' data come from.
        options: How long to measure.
        say: Told what is being done.
        watch: Notices a restart.
        arrivals: How requests of planned traffic arrive.
        servers: By model, another server that has it loaded.
        server_pid: The server's process, for its CPU share.
        probe: Run beside each model that is alone, once.
    """

    gpu_index: int
    server: TritonServer
    device: Device
    sharing_mode: SharingMode | None
    inputs: InputOptions
    options: RoundOptions
    say: Callable[[str], None]
    watch: RestartWatch
    arrivals: Arrivals | None = None
    servers: Mapping[str, TritonServer] | None = None
    server_pid: int | None = None
    probe: KernelProbe | None = None


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
            session = _Clients(self._gpu, stack)
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
            session = _Clients(self._gpu, stack)
            for member in alone:
                session.add_alone(member)
            if len(self._members) > 1:
                session.add_together(self._members)
            first_index = self._round_index
            unknown = set(range(len(self._members)))
            while unknown and (
                self._round_index == first_index
                or self._goes_on(self._gpu.options.max_seconds)
            ):
                begin_s = time.monotonic()
                blocks: list[Member | None] = [
                    member
                    for member in alone
                    if any(self._members[place] == member for place in unknown)
                    # What is sent to it alone is known after once.
                    and (
                        member.offered_infer_per_sec is None
                        or not self._alone[member]
                        or len(self._members) == 1
                    )
                ]
                if len(self._members) > 1:
                    blocks.append(None)
                for block in self._shuffled(blocks):
                    if block is None:
                        self._measure_together(session, len(unknown))
                    else:
                        self._measure_alone(session, block)
                self._end_round()
                self._round_s = time.monotonic() - begin_s
                if self._round_index - first_index >= LEAST_ROUNDS:
                    unknown = self._find_unknown()
        return self._records()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first block."""
        return time.monotonic() - self._begin_s

    def _goes_on(self, cap_s: float) -> bool:
        """Whether there is time for another round."""
        return self.elapsed_s + self._round_s < cap_s

    def _end_round(self) -> None:
        self._round_index += 1
        restart = self._gpu.watch.find_restart()
        if restart is not None:
            raise RestartedError(restart)

    def _shuffled(self, blocks: list[_Block]) -> list[_Block]:
        seed = f"{self._gpu.options.seed}/{self._gpu.gpu_index}/{self._round_index}"
        random.Random(seed).shuffle(blocks)
        return blocks

    def _measure_alone(self, session: _Clients, member: Member) -> None:
        self._say(f"{member.model_name} alone")
        self._alone[member].append(
            Block(self._round_index, session.measure_alone(member))
        )

    def _measure_together(self, session: _Clients, num_unknown: int) -> None:
        names = ", ".join(one.model_name for one in self._members)
        left = ""
        if self._round_index >= LEAST_ROUNDS:
            left = (
                f"; {num_unknown} of {len(self._members)} not yet known to "
                f"±{100 * self._gpu.options.precision:g} %"
            )
        self._say(f"{names} together{left}")
        self._together.append(Block(self._round_index, session.measure_together()))

    def _say(self, text: str) -> None:
        self._gpu.say(
            f"GPU {self._gpu.gpu_index}, round {self._round_index + 1} "
            f"({self.elapsed_s:.0f} s): {text}"
        )

    def _find_unknown(self) -> set[int]:
        """Return the places of the members of which more is to be measured."""
        records = self._records()
        precision = self._gpu.options.precision
        alone = {
            (one.models[0].key, one.models[0].offered_infer_per_sec): one.models[0]
            for one in records
            if len(one.models) == 1
        }
        undecided = self._find_undecided(records)
        unknown = set()
        for place, beside in enumerate(records[-1].models):
            own = alone[beside.key, beside.offered_infer_per_sec]
            kept = retention_interval(own, beside)
            width = None if kept is None else kept.half_width
            if len(self._members) == 1:
                width = own.throughput_ci_ratio
            if own.offered_infer_per_sec is not None:
                width = 0.0  # its promises are of requests, not of a ratio
            if (
                width is None
                or width > precision
                or (place in undecided and width > FINEST * precision)
                or (place in undecided and own.offered_infer_per_sec is not None)
            ):
                unknown.add(place)
        return unknown

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


class _Clients:
    """Clients of one GPU's models, ready and idle between blocks."""

    def __init__(self, gpu: MeasuredGpu, stack: ExitStack) -> None:
        self._gpu = gpu
        self._stack = stack
        self._sampler = stack.enter_context(gpu.device.sampler())
        self._alone: dict[Member, DrivenModel] = {}
        self._together: list[DrivenModel] = []
        self._entered: list[DrivenModel] = []
        self._driven: set[str] = set()
        self._probed: set[Member] = set()

    def add_alone(self, member: Member) -> None:
        (self._alone[member],) = self._enter([member], "alone")

    def add_together(self, members: Sequence[Member]) -> None:
        """Take the members' clients, their own where they are measured alone."""
        taken: Counter[Member] = Counter()
        others = []
        for member in members:
            if member in self._alone and not taken[member]:
                taken[member] += 1
            else:
                others.append(member)
        entered = iter(self._enter(others, "together") if others else [])
        taken.clear()
        for member in members:
            if member in self._alone and not taken[member]:
                taken[member] += 1
                self._together.append(self._alone[member])
            else:
                self._together.append(next(entered))

    def measure_alone(self, member: Member) -> Measurement:
        probe = None if member in self._probed else self._gpu.probe
        self._probed.add(member)
        return self._measure([self._alone[member]], probe)

    def measure_together(self) -> Measurement:
        return self._measure(self._together, None)

    def _measure(
        self, driven: Sequence[DrivenModel], probe: KernelProbe | None
    ) -> Measurement:
        options = self._gpu.options.measuring
        kind = self._gpu.device.gpu_type.kind
        names = {one.model_name for one in driven}
        warm_up_s = options.warm_up_duration_s(kind, is_warm=False)
        if names <= self._driven:
            warm_up_s = min(warm_up_s, _WARM_BLOCK_S[kind])
        if any(one.load.requests_per_s is not None for one in driven):
            warm_up_s = max(warm_up_s, _QUEUES_S)  # queues have to build up
        self._driven |= names
        rules = [self._rule(one, kind) for one in driven]
        return measure_driven(
            driven,
            rules,
            self._sampler,
            warm_up_s=warm_up_s,
            cap_s=max(one.max_duration_s for one in rules),
            server_pid=self._gpu.server_pid,
            probe=probe,
        )

    def _rule(self, model: DrivenModel, kind: DeviceKind) -> BlockRule:
        options = self._gpu.options.measuring
        least_s = options.min_duration_s
        if least_s is None:
            is_open_loop = model.load.requests_per_s is not None
            least_s = _OPEN_LOOP_BLOCK_S if is_open_loop else _BLOCK_S[kind]
        longest_s = min(options.max_duration_s, max(_LONGEST_BLOCK_S, least_s))
        return BlockRule(
            min_duration_s=min(least_s, longest_s), max_duration_s=longest_s
        )

    def _enter(self, members: Sequence[Member], label: str) -> list[DrivenModel]:
        gpu = self._gpu
        loads = model_loads(
            gpu.server,
            [(one.model_name, one.load_point) for one in members],
            label=label,
            offered_infer_per_sec=[one.offered_infer_per_sec for one in members],
            inputs=gpu.inputs,
            servers=gpu.servers,
            arrivals=gpu.arrivals,
        )
        driven = [
            DrivenModel(
                gpu.server,
                load,
                request_timeout_s=gpu.options.measuring.request_timeout_s,
            )
            for load in loads
        ]
        entered = [self._stack.enter_context(one) for one in driven]
        self._entered += entered
        # After an error all loops end at once: nothing they have is still wanted.
        self._stack.push(lambda kind, *_: self._abandon() if kind is not None else None)
        return entered

    def _abandon(self) -> None:
        for one in self._entered:
            one.process.close()
