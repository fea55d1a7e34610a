"""Workers of a cluster measure, and this process keeps what they tell."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gpupack
from gpupack.errors import InvalidInputError, ServerUnavailableError
from gpupack.profiling.distributed.chunks import MAX_DEATHS, Chunk, PointsLeft
from gpupack.profiling.distributed.cluster_store import ClusterStore
from gpupack.profiling.distributed.ray_cluster import (
    Place,
    RayCluster,
    RayWorker,
    WorkerLostError,
)
from gpupack.profiling.distributed.worker import (
    BASELINE,
    FAULT,
    RECORD,
    WORKING,
    Assignment,
    WorkerFacts,
    fault_from,
    require_model,
)
from gpupack.profiling.sweep import (
    SERVER_STAGE,
)
from gpupack.record_lines import parse_lines
from gpupack.records.environment import Environment
from gpupack.records.gpu import GpuType, is_same_card
from gpupack.records.profile import (
    FailedLoadPoint,
    LoadPoint,
    ProfileRecord,
    ServerBaseline,
)

if TYPE_CHECKING:
    from gpupack.profiling.sweep import SweepProgress

logger = logging.getLogger(__name__)

HOST = "host"
_OPEN_S = 600.0
"""A worker may wait so long for its GPU, and for the installation of its server."""
_BASELINES_APART_BYTES = 64 * 1024 * 1024
"""Servers alone that differ by more are said to."""


@dataclass
class _Running:
    """A worker, and what it is doing."""

    worker: RayWorker
    place: Place
    facts: WorkerFacts | None = None
    chunk: Chunk | None = None
    done: set[LoadPoint] = field(default_factory=set)
    last_model: str | None = None
    num_losses: int = 0
    """At this place, since a record came from it."""

    @property
    def undone(self) -> list[LoadPoint]:
        """Load points of the chunk that were not told."""
        points = () if self.chunk is None else self.chunk.points
        return [point for point in points if point not in self.done]


_Event = tuple[int, str, Any]
"""The worker's number, what happened, and with what."""
_OPENED, _TOLD, _ENDED, _LOST = "opened", "told", "ended", "lost"


@dataclass
class Dispatch:
    """One sweep over the workers of a cluster.

    Attributes:
        cluster: Open.
        store: Open; nobody else writes to it.
        assignment: What all workers are told.
        names: Of models; None takes those of the repository.
        wanted: GPU types; None for every one, none for the processors of machines.
        progress: Told how it goes on.
    """

    cluster: RayCluster
    store: ClusterStore
    assignment: Assignment
    names: tuple[str, ...] | None
    wanted: tuple[GpuType, ...] | None
    progress: SweepProgress
    _running: dict[int, _Running] = field(default_factory=dict)
    _left: dict[str, PointsLeft] = field(default_factory=dict)
    _events: queue.SimpleQueue[_Event] = field(default_factory=queue.SimpleQueue)
    _num_started: int = 0
    _faults: list[str] = field(default_factory=list)
    _num_points: int = 0
    _num_finished: int = 0

    def run(self) -> None:
        """Measure until nothing is left, or nobody to measure it."""
        on_hosts = self.wanted == ()
        places = self.cluster.places(on_hosts=on_hosts)
        if not places:
            raise InvalidInputError(
                f"no machine of the Ray cluster at {self.cluster.address} offers a "
                "GPU: start its nodes with GPUs, or measure on processors (--gpu host)"
            )
        try:
            for place in places:
                self._start(place)
            self._serve()
        finally:
            closing = [
                threading.Thread(target=one.worker.close, daemon=True)
                for one in self._running.values()
            ]
            for thread in closing:
                thread.start()
            for thread in closing:
                thread.join()
        num_left = sum(map(len, self._left.values()))
        if num_left or not self._left:
            told = "; ".join(dict.fromkeys(self._faults)) or "none started in time"
            rest = f"; {num_left} load points are left" if num_left else ""
            raise ServerUnavailableError(
                f"no worker of the Ray cluster at {self.cluster.address} is left: "
                f"{told}{rest}: the same command goes on with what is left"
            )

    def _serve(self) -> None:
        last_s = time.monotonic()
        while any(one.facts is None or one.chunk for one in self._running.values()):
            try:
                number, kind, content = self._events.get(timeout=1.0)
            except queue.Empty:
                is_measuring = any(one.chunk for one in self._running.values())
                if not is_measuring and time.monotonic() - last_s > _OPEN_S:
                    waited = {one.place.host for one in self._running.values()}
                    self._faults.append(
                        f"workers on {', '.join(sorted(waited))} did not start within "
                        f"{_OPEN_S:.0f} s: their GPUs are in use"
                    )
                    logger.warning("%s", self._faults[-1])
                    return
                continue
            last_s = time.monotonic()
            one = self._running[number]
            if kind == _OPENED:
                self._opened(number, one, content)
            elif kind == _TOLD:
                self._told(number, one, content)
            elif kind == _ENDED:
                one.chunk = None
                self._hand_out(number, one)
            else:
                self._lost(number, one, content)

    def _start(self, place: Place, *, num_losses: int = 0) -> None:
        number = self._num_started
        self._num_started += 1
        worker = self.cluster.worker(place, self.assignment)
        self._running[number] = _Running(worker, place, num_losses=num_losses)

        def open_it() -> None:
            try:
                self._events.put((number, _OPENED, worker.open()))
            except WorkerLostError as err:
                self._events.put((number, _LOST, str(err)))

        threading.Thread(target=open_it, daemon=True).start()

    def _opened(self, number: int, one: _Running, told: WorkerFacts | str) -> None:
        if isinstance(told, str):
            is_input, message = fault_from(told)
            if is_input:
                raise InvalidInputError(message)
            self._drop(number, one, f"the worker on {one.place.host}: {message}")
            return
        one.facts = told
        own = gpupack.__version__
        if told.gpupack_version != own:
            self._drop(
                number,
                one,
                f"{told.host} has gpupack {told.gpupack_version}, and this is {own}: "
                "install the same on every machine",
            )
            return
        if self.wanted and not any(is_same_card(told.gpu_type, w) for w in self.wanted):
            logger.info("%s is not asked for on %s", told.gpu_type.name, told.host)
            self._drop(number, one, None)
            return
        if self.names is None:
            self.names = told.models
            if not self.names:
                raise InvalidInputError(
                    "the repository of "
                    f"{self.assignment.asked.where.model_repository} is empty: it has "
                    "no folder with a config.pbtxt or a numbered version"
                )
        for name in self.names:
            require_model(name, told)
        if told.gpu_type.name not in self._left:
            self._begin(told, self.names)
        self._hand_out(number, one)

    def _begin(self, facts: WorkerFacts, names: tuple[str, ...]) -> None:
        """Find out what is left to be measured on a worker's GPU type."""
        self.store.check(lambda one, name: one.check_fits(names, name))
        gpu_name, asked = facts.gpu_type.name, self.assignment.asked
        points = {
            name: [
                point.model_copy(update={"variant": variant})
                for variant in facts.variants_of(name)
                for point in asked.points
            ]
            for name in names
        }
        left = {
            name: [
                point
                for point in some
                if not self.store.is_finished(
                    gpu_name,
                    name,
                    point,
                    retry_failed=asked.retry_failed,
                    retry_unstable=asked.retry_unstable,
                    num_loads=asked.loads,
                )
            ]
            for name, some in points.items()
        }
        self._left[gpu_name] = PointsLeft(left)
        loads = asked.loads or 1
        num_points = loads * sum(map(len, points.values()))
        num_left = sum(
            loads - min(loads - 1, self.store.of(gpu_name).num_loads(name, point))
            for name, some in left.items()
            for point in some
        )
        self._num_points += num_points
        self._num_finished += num_points - num_left
        self.progress.begin(self._num_points, self._num_finished)

    def _hand_out(self, number: int, one: _Running) -> None:
        """Give a worker its next chunk, if there is one."""
        assert one.facts is not None
        gpu_name = one.facts.gpu_type.name
        alike = sum(
            other.facts is not None and other.facts.gpu_type.name == gpu_name
            for other in self._running.values()
        )
        chunk = self._left[gpu_name].take(alike, last_model=one.last_model)
        if chunk is None:
            return
        one.chunk, one.done, one.last_model = chunk, set(), chunk.model_name
        known = self.store.lines_about(gpu_name, chunk.model_name)
        worker = one.worker

        def measure() -> None:
            try:
                for told in worker.measure(chunk, known):
                    self._events.put((number, _TOLD, told))
                self._events.put((number, _ENDED, None))
            except WorkerLostError as err:
                self._events.put((number, _LOST, str(err)))

        threading.Thread(target=measure, daemon=True).start()

    def _told(self, number: int, one: _Running, told: tuple[str, str]) -> None:
        assert one.facts is not None
        kind, text = told
        if kind == WORKING:
            self.progress.working(f"{text}, on {one.facts.host}")
        elif kind == FAULT:
            is_input, message = fault_from(text)
            if is_input:
                raise InvalidInputError(message)
            self._lost(number, one, message)
        elif kind in (RECORD, BASELINE):
            (record,) = parse_lines([text.encode()], "what a worker measured")
            if isinstance(record, ServerBaseline):
                self._keep_baseline(one.facts.host, record)
                return
            assert isinstance(record, ProfileRecord | FailedLoadPoint)
            self.store.add(record)
            one.num_losses = 0
            num_loads = self.assignment.asked.loads
            if isinstance(record, ProfileRecord) and (
                record.num_loads < (num_loads or 1)
            ):
                self._num_finished += 1
                self.progress.finished(record)
                return  # further loads of it will come
            if (
                num_loads is None
                and isinstance(record, ProfileRecord)
                and record.num_loads > 1
            ):
                return  # another load, to find out whether one is enough
            # A shape with its batch makes another load point of one asked for.
            undone = one.undone or [record.load_point]
            one.done.add(
                record.load_point if record.load_point in undone else undone[0]
            )
            self._num_finished += 1
            self.progress.finished(record)

    def _keep_baseline(self, host: str, baseline: ServerBaseline) -> None:
        known = self.store.of(baseline.gpu_type.name).baseline
        if known is None:
            self.store.add(baseline)
            return
        there, here = known.gpu_memory_used_bytes, baseline.gpu_memory_used_bytes
        if there is not None and here is not None:
            apart = abs(there - here)
            if apart > _BASELINES_APART_BYTES:
                logger.warning(
                    "the server alone takes %d MiB more or less on %s than the "
                    "baseline that is kept for %s says",
                    apart // 2**20,
                    host,
                    baseline.gpu_type.name,
                )

    def _lost(self, number: int, one: _Running, message: str) -> None:
        """Let others measure what a lost worker left, and start one in its place."""
        del self._running[number]
        self._faults.append(f"the worker on {one.place.host} was lost: {message}")
        logger.warning("%s", self._faults[-1])
        one.worker.give_up()
        if one.facts is not None and one.chunk is not None and one.undone:
            left = self._left[one.facts.gpu_type.name]
            name, undone = one.chunk.model_name, one.undone
            if left.count_death(name, undone[0]):
                self._give_up(one.facts, name, undone.pop(0), message)
            left.give_back(name, undone)
        if one.num_losses + 1 < MAX_DEATHS and self.cluster.is_alive(one.place):
            self._start(one.place, num_losses=one.num_losses + 1)
        for other_number, other in self._running.items():
            if other.facts is not None and other.chunk is None:
                self._hand_out(other_number, other)

    def _give_up(
        self, facts: WorkerFacts, name: str, point: LoadPoint, message: str
    ) -> None:
        failure = FailedLoadPoint(
            model_name=name,
            load_point=point,
            gpu_type=facts.gpu_type,
            stage=SERVER_STAGE,
            message=f"{MAX_DEATHS} workers were lost while they measured it: {message}",
            environment=Environment(source="gpupack profile"),
        )
        self.store.add(failure)
        self.progress.finished(failure)

    def _drop(self, number: int, one: _Running, why: str | None) -> None:
        del self._running[number]
        if why is not None:
            self._faults.append(why)
            logger.warning("%s", why)
        threading.Thread(target=one.worker.close, daemon=True).start()
