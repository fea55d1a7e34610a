"""Clients of one GPU's models that stay ready between blocks."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.errors import LoadPointError
from gpupack.profiling import BlockRule, DrivenModel, measure_driven
from gpupack.records.gpu import DeviceKind
from gpupack.records.request.arrivals import POISSON
from gpupack.verifying.measurement import model_loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack

    from gpupack.profiling import (
        Device,
        InputOptions,
        KernelProbe,
        Measurement,
        RestartWatch,
        TritonServer,
    )
    from gpupack.records.environment import SharingMode
    from gpupack.records.request.arrivals import Arrivals
    from gpupack.verifying.round_options import Member, RoundOptions

_BLOCK_S = {DeviceKind.HOST: 0.5, DeviceKind.GPU: 1.0}
_OPEN_LOOP_BLOCK_S = 2.0
_LONGEST_BLOCK_S = 5.0
_WARM_BLOCK_S = {DeviceKind.HOST: 0.0, DeviceKind.GPU: 0.25}
"""To drive a model before a block, where it was driven seconds ago."""
LEAST_LEAD_S, MOST_LEAD_S = 0.5, 5.0
"""The same where requests arrive: queues have to build up, which takes the longer the
busier the server is."""
_FULL = 0.98
"""Share of the time from which a queue builds up for longer than anybody waits."""


def lead_in_s(service_s: float, busy_share: float) -> float:
    """Return how long requests arrive before those whose latencies count.

    That is one relaxation time of the queue, ``S / (1 − √ρ)²``: after it a percentile
    of the latencies that follow is within a few percent of the one that they have in
    the long run (M/M/1, M/D/1).

    Args:
        service_s: How long a request is served.
        busy_share: Of the time that is planned to be taken by requests, ρ.

    References:
        Cohen, "The Single Server Queue", 1982, III.7.3.
    """
    busy = min(_FULL, max(0.0, busy_share))
    relaxed_s = service_s / (1 - math.sqrt(busy)) ** 2
    return min(MOST_LEAD_S, max(LEAST_LEAD_S, relaxed_s))


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
        own_pids: Processes that are no strangers on the device.
        lead_s: How long requests of planned traffic arrive before they count.
        demand: In infer/sec, of all replicas of a model together, wherever they are.
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
    own_pids: tuple[int, ...] = ()
    lead_s: float = LEAST_LEAD_S
    demand: Mapping[str, float] = field(default_factory=dict)

    def arrivals_at(self, member: Member) -> Arrivals:
        """Return how requests arrive at one instance: its part of the model's."""
        arrivals, sent = self.arrivals or POISSON, member.offered_infer_per_sec
        whole = self.demand.get(member.model_name)
        return arrivals.part(sent / whole) if sent and whole else arrivals


class Clients:
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
        """Make a member's client ready."""
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
        """Measure a block of one member."""
        probe = None if member in self._probed else self._gpu.probe
        self._probed.add(member)
        return self._measure([self._alone[member]], probe)

    def measure_together(self) -> Measurement:
        """Measure a block of all."""
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
            warm_up_s = max(warm_up_s, self._gpu.lead_s)
        self._driven |= names
        rules = [self._rule(one, kind) for one in driven]
        found = measure_driven(
            driven,
            rules,
            self._sampler,
            warm_up_s=warm_up_s,
            cap_s=max(one.max_duration_s for one in rules),
            server_pid=self._gpu.server_pid,
            probe=probe,
        )
        for one, num_left in zip(driven, found.num_unanswered, strict=True):
            if num_left:
                raise LoadPointError(
                    f"{num_left} of its requests were still unanswered "
                    f"{options.request_timeout_s:g} s after the last was sent, and "
                    "would be computed into what is measured next",
                    stage="measure",
                    model_name=one.model_name,
                )
        return found

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
            arrivals=[gpu.arrivals_at(one) for one in members],
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
