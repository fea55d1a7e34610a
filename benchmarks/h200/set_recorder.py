"""What recordings of models side by side have in common: a server, and rows in a file.

``loaded_models`` starts a server with all models loaded; a ``SetRecorder`` measures
sets of them and appends a row for each, so that a recording that is cut off keeps what
it has. What a row says of a set is the recording's own.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.h200.joined_readings import joined
from gpupack.profiling import (
    EmbeddedServer,
    KernelProbe,
    MeasureOptions,
    ModelLoad,
    MpsDaemon,
    TritonServer,
    measure_together,
    open_device,
)
from gpupack.profiling.load.tensors import make_inputs
from gpupack.profiling.measuring import Circumstances, profile_record
from gpupack.records.environment import SharingMode
from gpupack.records.profile import LoadPoint
from gpupack.records.request.arrivals import Arrivals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpupack.profiling import Device, LoadProcess, Measurement
    from gpupack.records.profile import ProfileRecord

    MakeRow = Callable[[str, Measurement, Mapping[str, Any]], dict[str, Any]]

POINT = LoadPoint(batch_size=1, concurrency=1)
LOAD_TIMEOUT_S = 150


@dataclass(frozen=True)
class LoadedModels:
    """A server that has models loaded, and what reads the GPU beside it.

    Attributes:
        server: The server.
        server_pid: Its process.
        device: What is read.
        names: Of the models that did load.
        sharing: How they share the GPU; None on the host.
        probe: The kernel probe, on a GPU that processes share.
    """

    server: TritonServer
    server_pid: int
    device: Device
    names: tuple[str, ...]
    sharing: SharingMode | None
    probe: KernelProbe | None


@contextmanager
def loaded_models(
    arguments: argparse.Namespace,
    repository: Path,
    names: Sequence[str],
    log_path: Path,
    *,
    gpu_uuids: tuple[str, ...] = (),
    with_mps: bool = True,
) -> Iterator[LoadedModels]:
    """Start a server, under MPS where that is asked for, and load models side by side.

    Args:
        arguments: ``cpu``, ``sharing``, ``server_python`` and ``server_root``.
        repository: Of the models.
        names: Of all models; one that does not load is told and left out.
        log_path: Where the server writes.
        gpu_uuids: For the MPS daemon; empty for every GPU.
        with_mps: Whether the daemon is started here.

    Raises:
        SystemExit: If models do not use the daemon that was started.
    """
    sharing = None if arguments.cpu else SharingMode(arguments.sharing)
    with ExitStack() as stack:
        daemon = None
        if sharing is SharingMode.MPS and with_mps:
            daemon = stack.enter_context(MpsDaemon(gpu_uuids=gpu_uuids))
        embedded = stack.enter_context(
            EmbeddedServer(
                repository,
                python=arguments.server_python,
                root=arguments.server_root,
                environment=daemon.environment if daemon else None,
                log_path=log_path,
            )
        )
        server = stack.enter_context(TritonServer(embedded.url))
        device = open_device("host" if arguments.cpu else None, server_pid=embedded.pid)

        def load(name: str) -> str | None:
            try:
                server.load(name, timeout_s=LOAD_TIMEOUT_S)
            except Exception as err:
                print(f"{name} does not load: {str(err)[-1500:]}", flush=True)
                return None
            return name

        with ThreadPoolExecutor(max_workers=len(names)) as pool:
            loaded = list(pool.map(load, names))
        if daemon is not None and not daemon.server_pids():
            raise SystemExit(f"no model uses the MPS daemon: {daemon.log_tail()}")
        yield LoadedModels(
            server,
            embedded.pid,
            device,
            tuple(name for name in loaded if name is not None),
            sharing,
            _probe(sharing, daemon),
        )


def _probe(sharing: SharingMode | None, daemon: MpsDaemon | None) -> KernelProbe | None:
    if daemon is not None:
        return KernelProbe(daemon.environment)
    if sharing is SharingMode.TIME_SLICING:
        return KernelProbe(in_turns=True)
    return None


class SetRecorder:
    """Measures on one server and appends every row to a file at once.

    Args:
        models: That are loaded.
        path: The file.
        command: Of the recording, for the records' environment.
        make_row: Returns what a measured set's row says, by its label and what else
            the recording knows of it.
        started_s: On the monotonic clock.
        processes: Load generators by model name; None for new ones each time.
    """

    def __init__(
        self,
        models: LoadedModels,
        path: Path,
        *,
        command: str,
        make_row: MakeRow,
        started_s: float,
        processes: Mapping[str, LoadProcess] | None = None,
    ) -> None:
        self.models = models
        self.started_s = started_s
        self.alone_s: dict[str, float] = {}
        """By model, the p99 of its closed loop alone."""
        self._alone: dict[str, Measurement] = {}
        self._path = path
        self._make_row = make_row
        self._processes = processes
        name, version = models.server.version()
        self._circumstances = Circumstances(
            name, version, command=command, seed=0, sharing_mode=models.sharing
        )
        self._loads: dict[str, ModelLoad] = {}

    def say(self, text: str) -> None:
        """Print one line with the time."""
        print(f"{time.monotonic() - self.started_s:6.1f} s  {text}", flush=True)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def load_of(self, name: str) -> ModelLoad:
        """Return a closed loop of one request of a model; its inputs are made once."""
        if name not in self._loads:
            signature = self.models.server.signature(name)
            inputs = make_inputs(signature, POINT.batch_size)
            self._loads[name] = ModelLoad(signature, POINT, inputs)
        return self._loads[name]

    def measure(
        self,
        members: Sequence[tuple[str, float | None]],
        *,
        seconds: float,
        warm_up_s: float,
        seed: str = "",
        probe: KernelProbe | None = None,
    ) -> Measurement:
        """Measure models together; with a rate, by requests that arrive."""
        processes = self._processes
        return measure_together(
            self.models.server,
            [
                replace(
                    self.load_of(name),
                    offered_infer_per_sec=rate,
                    arrivals=Arrivals(),
                    seed=seed,
                )
                for name, rate in members
            ],
            device=self.models.device,
            options=MeasureOptions(
                half_width_ratio=0.001,
                percentile=99.0,
                min_duration_s=seconds,
                max_duration_s=seconds,
                warm_up_s=warm_up_s,
            ),
            server_pid=self.models.server_pid,
            processes=None
            if processes is None
            else [processes[name] for name, _ in members],
            probe=probe,
        )

    def profiles(self, seconds: float) -> list[ProfileRecord]:
        """Measure every model alone, write and return the records of those that ran.

        A model that was measured before gets one record of both readings (the probe
        runs the first time); whoever reads the file takes a model's last.
        """
        found = [self._profile(name, seconds) for name in self.models.names]
        return [one for one in found if one is not None]

    def _profile(self, name: str, seconds: float) -> ProfileRecord | None:
        before = self._alone.get(name)
        try:
            found = self.measure(
                [(name, None)],
                seconds=seconds,
                warm_up_s=0.4,
                probe=self.models.probe if before is None else None,
            )
            if before is not None:
                found = joined(before, found)
            slowest_s = np.percentile(found.loads[0].latencies_us, 99) / 1e6
            record = profile_record(
                found, 0, device=self.models.device, circumstances=self._circumstances
            )
        except Exception as err:
            self.say(f"{name} failed: {err}")
            return None
        self._alone[name] = found
        self.append(record.model_dump(mode="json", exclude_none=True))
        self.append(self._make_row("alone", found, {}))
        self.alone_s[name] = float(slowest_s)
        rates = [
            f"{one.loads[0].throughput_infer_per_sec or 0:.1f}"
            for one in (before, found)
            if one is not None
        ]
        self.say(
            f"{name}: {' then '.join(rates)}/s, GPU "
            f"{record.gpu_utilization_mean_percent}, SM {record.sm_utilization_percent}"
            f", p50 {record.latency_p50_us} p99 {record.latency_p99_us}"
        )
        return record

    def run(
        self,
        label: str,
        members: Sequence[tuple[str, float | None]],
        *,
        seconds: float,
        warm_up_s: float,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Measure one set and write it; a failure leaves the others their turn."""
        names = ",".join(name for name, _ in members)
        seed = f"{label}/{dict(more or {})}/{names}"
        try:
            found = self.measure(
                members, seconds=seconds, warm_up_s=warm_up_s, seed=seed
            )
        except Exception as err:
            self.say(f"failed: {label} {members}: {err}")
            return
        self.append(self._make_row(label, found, more or {}))
