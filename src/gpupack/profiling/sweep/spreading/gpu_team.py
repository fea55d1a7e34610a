"""A team of processes, one for each GPU, that share the work of a sweep."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gpupack import errors
from gpupack.errors import GpupackError, InvalidInputError, ServerError
from gpupack.profiling.devices import open_device
from gpupack.profiling.embedded import find_installation, install_server
from gpupack.profiling.sweep.spreading.core_shares import share_cores, usable_cores
from gpupack.profiling.sweep.spreading.gpu_process import GpuTask, GpuWorker
from gpupack.profiling.sweep.sweep_work import OTHERS_USE_IT
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import FailedLoadPoint, ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from gpupack.profiling.devices import Device
    from gpupack.profiling.embedded import InstallProgress
    from gpupack.profiling.sweep.spreading.work_order import WorkOrder
    from gpupack.profiling.sweep.sweep_progress import SweepProgress
    from gpupack.profiling.sweep.sweep_store import SweepStore
    from gpupack.records.profile import LoadPoint

logger = logging.getLogger(__name__)

UNDISTURBED_RATIO = 0.95
"""Beside the other GPUs the control point keeps so much, or they disturb each other."""
_MOST_SPREAD_RATIO = 0.25
"""No interval is so wide that a larger loss would not be told."""
_MOST_TRIES = 2
"""A model whose process ended so often is not given to another."""


class GpuTeam:
    """What is done with the workers; each error of one leaves it out.

    Args:
        workers: At least one.
        store: Where records go.
        progress: Told how the sweep goes on.
        num_loads: So many loads of each load point are wanted.
    """

    def __init__(
        self,
        workers: Sequence[GpuWorker],
        store: SweepStore,
        progress: SweepProgress,
        *,
        num_loads: int = 1,
    ) -> None:
        self.workers = list(workers)
        self._num_loads = num_loads
        self._store = store
        self._progress = progress
        self._last_error: GpupackError | None = None

    def start(self) -> None:
        """Wait until every server is up."""
        for worker in list(self.workers):
            self._until(worker, "started")

    def ask(self, *task: Any) -> Any:
        """Have the first worker do something alone; return what it answers."""
        answer: Any = None
        while True:
            worker = self.workers[0]
            worker.send(*task)
            for title, *told in self._messages(worker):
                if title == "names":
                    (answer,) = told
                if title == "done":
                    return answer

    def tell(self, *task: Any, gpus: Collection[int | str] | None = None) -> None:
        """Have every worker, or those of some GPUs, do something that takes no time."""
        for worker in list(self.workers):
            if gpus is None or worker.gpu in gpus:
                worker.send(*task)
                self._until(worker, "done")

    def control(
        self, workers: Collection[GpuWorker], name: str, point: LoadPoint
    ) -> dict[int | str, ProfileRecord]:
        """Measure one load point on several GPUs at the same time.

        Returns what those measured, by GPU, that could.
        """
        found: dict[int | str, ProfileRecord] = {}
        waiting = {worker.pipe: worker for worker in workers}
        ready: list[GpuWorker] = []
        has_begun = False
        for worker in workers:
            worker.send("control", name, point)
        while waiting:
            for pipe in multiprocessing.connection.wait(list(waiting)):
                worker = waiting[pipe]  # type: ignore[index]
                title, *told = worker.receive()
                if title == "ready" and has_begun:
                    worker.send("go")
                elif title == "ready":
                    ready.append(worker)
                elif title == "control" and isinstance(told[0], ProfileRecord):
                    found[worker.gpu] = told[0]
                elif title in ("done", "error", "ended"):
                    del waiting[worker.pipe]
                    if title != "done":
                        self._leave_out(worker, title, told)
            if not has_begun and len(ready) == len(waiting):
                has_begun = True
                for worker in ready:
                    worker.send("go")
        return found

    def measure(self, tasks: Sequence[GpuTask]) -> None:
        """Measure all load points, each task on the next GPU that is free.

        Raises:
            GpupackError: No GPU is left.
        """
        left = deque(tasks)
        for worker in self.workers:
            self._give(worker, left)
        while any(worker.task for worker in self.workers):
            busy = [worker.pipe for worker in self.workers if worker.task]
            for pipe in multiprocessing.connection.wait(busy):
                (worker,) = [one for one in self.workers if one.pipe is pipe]
                title, *told = worker.receive()
                if title == "done":
                    worker.task = None
                    self._give(worker, left)
                elif title in ("error", "ended"):
                    task, worker.task = worker.task, None
                    self._leave_out(worker, title, told)
                    if task is not None:
                        left.append(replace(task, num_tries=task.num_tries + 1))
                    for other in self.workers:
                        if other.task is None:
                            self._give(other, left)
                else:
                    self._take(worker, title, told)

    def _give(self, worker: GpuWorker, left: deque[GpuTask]) -> None:
        """Give a worker the next task, without the points that are in the store."""
        while left:
            task = left.popleft()
            points = tuple(
                point
                for point in task.points
                if task.num_tries == 0
                or not self._store.is_finished(
                    task.name, point, num_loads=self._num_loads
                )
            )
            if not points:
                continue
            if task.num_tries >= _MOST_TRIES:
                logger.warning(
                    "%s is not measured: the process of its GPU ended %d times; the "
                    "same command tries again",
                    task.name,
                    task.num_tries,
                )
                continue
            worker.task = replace(task, points=points)
            worker.send("measure", task.name, points, self._store.records_of(task.name))
            return

    def _until(self, worker: GpuWorker, wanted: str) -> None:
        for title, *_ in self._messages(worker):
            if title == wanted:
                return

    def _messages(self, worker: GpuWorker) -> Iterator[tuple[Any, ...]]:
        """Yield a worker's messages, until it is left out."""
        while True:
            title, *told = worker.receive()
            if title in ("error", "ended"):
                self._leave_out(worker, title, told)
                return
            self._take(worker, title, told)
            yield title, *told

    def _take(self, worker: GpuWorker, title: str, told: Sequence[Any]) -> None:
        if title == "record":
            (record,) = told
            self._store.add(record)
            if isinstance(record, FailedLoadPoint) or (
                isinstance(record, ProfileRecord)
                and record.num_loads <= self._num_loads
            ):
                self._progress.finished(record)
        elif title == "working":
            self._progress.working(f"GPU {worker.gpu}: {told[0]}")

    def _leave_out(self, worker: GpuWorker, title: str, told: Sequence[Any]) -> None:
        """Go on without a worker.

        Raises:
            GpupackError: It was the last.
        """
        worker.close()
        self.workers.remove(worker)
        error: GpupackError
        if title == "error":
            name, message = told
            error = getattr(errors, name, ServerError)(message)
        else:
            error = ServerError(f"GPU {worker.gpu}: {told[0]}")
        if not self.workers:
            raise error
        others = ", ".join(str(one.gpu) for one in self.workers)
        logger.warning(
            "GPU %s is left out, the sweep goes on with %s: %s",
            worker.gpu,
            others,
            error,
        )


def sweep_over_gpus(
    order: WorkOrder,
    gpus: Sequence[int | str],
    *,
    names: Sequence[str] | None,
    store: SweepStore,
    progress: SweepProgress,
    install_progress: InstallProgress | None = None,
) -> None:
    """Measure models on several GPUs of one type at once.

    The baseline and a control point are measured on the first GPU alone, and the
    control point on all of them together: where one keeps less than 95 % of it, a
    warning says so, also in that GPU's records, and whether others use that GPU.

    Args:
        order: What one GPU would be told.
        gpus: At least two, as ``open_device`` takes them.
        names: The models; None for the whole repository.
        store: Where records go; open.
        progress: Told how the sweep goes on.
        install_progress: Told about the installation of the embedded server.

    Raises:
        InvalidInputError: They are not several GPUs of one type, there are too few
            cores for them, or the server is a running one.
        GpupackError: Not one GPU could be used to the end.
    """
    if order.server.url is not None:
        raise InvalidInputError(
            "several GPUs need a server each, which gpupack starts: give "
            "--model-repository or model files, not --url"
        )
    devices = _devices(gpus)
    shares = share_cores(usable_cores(), [one.near_cores() for one in devices])
    if order.server.root is None and find_installation() is None:
        install_server(progress=install_progress)
    with ExitStack() as stack:
        workers = []
        for gpu, cores in zip(gpus, shares, strict=True):
            logger.info("GPU %s has the cores %s", gpu, sorted(cores))
            workers.append(GpuWorker(order, gpu, cores))
            stack.callback(workers[-1].close)
        team = GpuTeam(workers, store, progress, num_loads=order.loads or 1)
        team.start()
        # Told by one: the others find the same repository.
        found = team.ask("prepare", names)
        store.check_fits(found, devices[0].gpu_type.name)
        to_do = order.to_do(found, store)
        progress.begin(*_counts(order, found, to_do, store))
        team.tell("prepare", found)
        if store.baseline is None:
            team.ask("baseline")
        refused = {name: to_do.pop(name, []) for name in order.refused}
        if any(refused.values()):
            team.ask("refuse", refused)
        if sum(map(len, to_do.values())) > len(team.workers):
            name, point = _compare_control(team, to_do, store)
            if order.loads is None or store.num_loads(name, point) >= order.loads:
                to_do[name] = [one for one in to_do[name] if one != point]
        team.measure(_tasks(to_do, len(team.workers)))


def _counts(
    order: WorkOrder,
    names: Collection[str],
    to_do: dict[str, list[LoadPoint]],
    store: SweepStore,
) -> tuple[int, int]:
    """Return how many load points there are, in every load, and are finished."""
    loads = order.loads or 1
    num_points = loads * sum(len(order.points_of(name)) for name in names)
    num_left = sum(
        loads - min(loads - 1, store.num_loads(name, point))
        for name, points in to_do.items()
        for point in points
    )
    return num_points, num_points - num_left


def _devices(gpus: Sequence[int | str]) -> list[Device]:
    devices = [open_device(gpu) for gpu in gpus]
    types = {one.gpu_type.name for one in devices}
    uuids = [one.environment_fields().get("gpu_uuid") for one in devices]
    if any(one.gpu_type.kind is not DeviceKind.GPU for one in devices):
        raise InvalidInputError(
            "several devices at once are GPUs; the host is measured alone: --gpu host"
        )
    if len(types) > 1:
        raise InvalidInputError(
            f"the GPUs are of several types ({', '.join(sorted(types))}): profile once "
            "per type, each with a store of its own"
        )
    if len(set(uuids)) < len(uuids):
        raise InvalidInputError("gpus: one GPU is named twice")
    return devices


def _compare_control(
    team: GpuTeam, to_do: dict[str, list[LoadPoint]], store: SweepStore
) -> tuple[str, LoadPoint]:
    """Measure a point alone and together, tell what that costs, and return it."""
    name, points = next((name, some) for name, some in to_do.items() if some)
    # The one that is busiest feels the others most.
    point = max(points, key=lambda one: one.sort_key)
    team.ask("measure", name, (point,), store.records_of(name))
    alone = store.record_of(name, point)
    if alone is None or not alone.throughput_infer_per_sec:
        logger.warning(
            "whether the GPUs disturb each other is not known: the control point, %s "
            "at %s, could not be measured",
            name,
            point,
        )
        return name, point
    together = team.control(tuple(team.workers), name, point)
    ratios = {
        gpu: (record.throughput_infer_per_sec or 0) / alone.throughput_infer_per_sec
        for gpu, record in together.items()
    }
    told = ", ".join(
        f"{100 * ratio:.0f} % on GPU {gpu}" for gpu, ratio in ratios.items()
    )
    logger.info("the control point, %s at %s, kept %s", name, point, told)
    widths = [alone, *together.values()]
    spread = max(one.throughput_ci_ratio or 0.0 for one in widths)
    least = UNDISTURBED_RATIO - min(spread, _MOST_SPREAD_RATIO)
    slow = {gpu for gpu, ratio in ratios.items() if ratio < least}
    shared = {
        gpu
        for gpu in slow
        if any(text.startswith(OTHERS_USE_IT) for text in together[gpu].warnings)
    }
    for gpu in sorted(shared, key=str):
        warning = (
            f"others slow GPU {gpu} down: {name} at {point} keeps "
            f"{100 * ratios[gpu]:.0f} % there of what it reaches on another GPU; end "
            "them, or leave this GPU out (--gpus)"
        )
        logger.warning(warning)
        team.tell("beside", (warning,), gpus={gpu})
    if slow - shared:
        warning = (
            f"the GPUs disturb each other: beside the others, {name} at {point} keeps "
            f"{told} of what it reaches alone; measure fewer at once (--gpus)"
        )
        logger.warning(warning)
        team.tell("beside", (warning,), gpus=slow - shared)
    return name, point


def _tasks(to_do: dict[str, list[LoadPoint]], num_gpus: int) -> list[GpuTask]:
    """Return tasks: a model each, or parts of one where there are too few models.

    A part has one variant and one batch size: what needs another load anyway, or
    memory that is taken anew.
    """
    with_work = {name: points for name, points in to_do.items() if points}
    if len(with_work) >= num_gpus:
        return [GpuTask(name, tuple(points)) for name, points in with_work.items()]
    return [
        GpuTask(name, tuple(some))
        for name, points in with_work.items()
        for _, some in groupby(points, key=lambda one: (one.variant, one.batch_size))
    ]
