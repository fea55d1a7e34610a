"""The one door to Ray: a cluster, workers on its machines, and what becomes of them."""

from __future__ import annotations

import logging
import platform
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gpupack.errors import InvalidInputError, MissingExtraError, ServerUnavailableError
from gpupack.profiling.distributed.worker import (
    FAULT,
    Assignment,
    PointWorker,
    WorkerFacts,
    fault_of,
)
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpupack.profiling.distributed.chunks import Chunk
    from gpupack.profiling.distributed.worker import Told

logger = logging.getLogger(__name__)

AUTO, LOCAL = "auto", "local"
_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_REACH_S = 5.0
_VERSIONS = re.compile(r"Python:? *(\d+\.\d+\.\d+)")


class WorkerLostError(Exception):
    """A worker, or its machine, is gone: what it was doing is not done."""


@dataclass(frozen=True)
class Place:
    """One worker's place: a machine of the cluster, and one of its GPUs or none."""

    node_id: str
    host: str
    has_gpu: bool


class RayCluster:
    """A context that is connected to a Ray cluster.

    Args:
        address: ``"auto"`` for the cluster of this machine, ``"HOST:PORT"`` of a head
            node, or ``"local"`` for a new one on this machine alone.

    Raises:
        InvalidInputError: The address is none.
        MissingExtraError: Ray is not installed.
        ServerUnavailableError: There is no cluster, or it runs another Python or Ray.
    """

    def __init__(self, address: str) -> None:
        self.address = address.strip()
        self._is_ours = False
        self._ray: Any = None

    def __enter__(self) -> Self:
        try:
            import ray
        except ImportError as err:
            raise MissingExtraError(
                "profiling on several machines needs Ray: pip install 'gpupack[ray]'"
            ) from err
        self._ray = ray
        if self.address not in (AUTO, LOCAL):
            self._check_address()
        if ray.is_initialized():
            return self  # the caller's, who ends it
        try:
            ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if self.address == LOCAL else None,
                configure_logging=False,
            )
        except Exception as err:
            raise self._not_connected(err) from err
        self._is_ours = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._ray.shutdown()
            self._is_ours = False

    def places(self, *, on_hosts: bool) -> list[Place]:
        """Return where workers can be: one for each GPU, or for each machine.

        Args:
            on_hosts: Whether machines' processors are measured rather than GPUs.
        """
        found = []
        for node in self._nodes():
            host, node_id = node["NodeManagerHostname"], node["NodeID"]
            resources = node["Resources"]
            if on_hosts and resources.get("CPU", 0) >= 1:
                found.append(Place(node_id, host, has_gpu=False))
            elif not on_hosts:
                number = int(resources.get("GPU", 0))
                found += [Place(node_id, host, has_gpu=True)] * number
        return found

    def is_alive(self, place: Place) -> bool:
        """Whether the machine of a place is still part of the cluster."""
        return any(node["NodeID"] == place.node_id for node in self._nodes())

    def worker(self, place: Place, assignment: Assignment) -> RayWorker:
        """Return a worker at a place; it waits until the place is free."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(_RemoteWorker).options(
            num_cpus=1,
            num_gpus=1 if place.has_gpu else 0,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(
                place.node_id, soft=False
            ),
        )
        handle = actor.remote(assignment, place.has_gpu)
        return RayWorker(self._ray, handle, place)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _check_address(self) -> None:
        found = _ADDRESS.fullmatch(self.address)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise InvalidInputError(
                f"{quoted(self.address)} is no address of a Ray cluster; give "
                f"HOST:PORT of its head node, such as 10.0.0.1:6379, {AUTO} for the "
                f"cluster of this machine, or {LOCAL} for a new one"
            )
        try:
            place = found["host"].strip("[]"), int(found["port"])
            socket.create_connection(place, timeout=_REACH_S).close()
        except OSError as err:
            raise ServerUnavailableError(
                f"no Ray cluster answers at {self.address}: {err.strerror or err}; "
                "`ray status` on its head node says its address"
            ) from err

    def _not_connected(self, err: Exception) -> ServerUnavailableError:
        told = " ".join(str(err).split())
        versions = _VERSIONS.findall(told)
        if "ersion mismatch" in told:
            there = f" Python {versions[0]} and" if versions else ""
            return ServerUnavailableError(
                f"the Ray cluster at {self.address} runs{there} another version than "
                f"this Python {platform.python_version()} with Ray "
                f"{self._ray.__version__}: use the same on every machine"
            )
        if isinstance(err, ConnectionError) or "ConnectionError" in type(err).__name__:
            return ServerUnavailableError(
                f"there is no Ray cluster at {self.address!r}: `ray start --head` "
                f"starts one, and {LOCAL} uses this machine alone"
            )
        return ServerUnavailableError(
            f"the Ray cluster at {self.address} cannot be used: {told[:500]}"
        )


class _RemoteWorker:
    """A ``PointWorker`` in a process of Ray's, on the GPU that Ray gave it."""

    def __init__(self, assignment: Assignment, has_gpu: bool) -> None:
        gpu: int | str = "host"
        if has_gpu:
            import ray

            (given,) = ray.get_runtime_context().get_accelerator_ids()["GPU"][:1]
            gpu = int(given) if str(given).isdecimal() else str(given)
        self._worker = PointWorker(assignment, gpu)

    def open(self) -> WorkerFacts | str:
        """Return what it says of itself, or its fault as text."""
        try:
            return self._worker.open()
        except Exception as err:
            return fault_of(err)

    def measure(self, chunk: Chunk, known: Sequence[str]) -> Iterator[Told]:
        """Yield what is told; a fault is the last of it."""
        try:
            yield from self._worker.measure(chunk, known)
        except Exception as err:
            yield FAULT, fault_of(err)

    def close(self) -> None:
        """Stop its server."""
        self._worker.close()


class RayWorker:
    """A worker as the driver sees it."""

    def __init__(self, ray: Any, handle: Any, place: Place) -> None:
        self._ray = ray
        self._handle = handle
        self.place = place

    def open(self) -> WorkerFacts | str:
        """Wait for the worker; return what it says of itself, or its fault.

        Raises:
            WorkerLostError: It is gone.
        """
        found: WorkerFacts | str = self._get(self._handle.open.remote())
        return found

    def measure(self, chunk: Chunk, known: Sequence[str]) -> Iterator[Told]:
        """Yield what the worker tells, each once it is told.

        Raises:
            WorkerLostError: It is gone.
        """
        try:
            stream = self._handle.measure.options(num_returns="streaming").remote(
                chunk, list(known)
            )
            for reference in stream:
                yield self._get(reference)
        except self._ray.exceptions.RayError as err:
            raise WorkerLostError(_first_line(err)) from err

    def close(self) -> None:
        """Stop the worker's server, and then the worker; wait for neither long."""
        try:
            self._ray.get(self._handle.close.remote(), timeout=10)
        except self._ray.exceptions.RayError as err:
            logger.debug("a worker on %s did not close: %s", self.place.host, err)
        self._ray.kill(self._handle, no_restart=True)

    def give_up(self) -> None:
        """End what may be left of a lost worker."""
        self._ray.kill(self._handle, no_restart=True)

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as err:
            raise WorkerLostError(_first_line(err)) from err


def _first_line(err: BaseException) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return (lines or [type(err).__name__])[0][:300].rstrip(".")
