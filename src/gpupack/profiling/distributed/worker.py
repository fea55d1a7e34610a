"""What a worker does on its machine: one server, one device, chunk after chunk."""

from __future__ import annotations

import json
import platform
import queue
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import gpupack
from gpupack.errors import GpupackError, InvalidInputError
from gpupack.profiling.embedded import find_repository
from gpupack.profiling.session import ServerOptions, own_server
from gpupack.profiling.sweep import AskedSweep, SweptModels, run_sweep
from gpupack.quoting import quoted
from gpupack.records.gpu import GpuType
from gpupack.store import read_profile_file, record_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpupack.profiling.distributed.chunks import Chunk
    from gpupack.records.profile import FailedLoadPoint, ModelVariant, ProfileRecord

RECORD, BASELINE, WORKING, FAULT = "record", "baseline", "working", "fault"
Told = tuple[str, str]
"""What it is, and the text: a line of a profile file, or words."""


@dataclass(frozen=True)
class Assignment:
    """What all workers are told.

    Attributes:
        asked: What to measure; the GPU is the worker's own.
        files: Paths of model files; empty where there is a repository.
    """

    asked: AskedSweep
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says of itself.

    Attributes:
        host: Name of its machine.
        gpu_type: What it measures on.
        models: In its repository.
        gpupack_version: Of the gpupack that measures.
        variants: Of each model; ``""`` for all others. Empty: one only.
    """

    host: str
    gpu_type: GpuType
    models: tuple[str, ...]
    gpupack_version: str
    variants: Mapping[str, tuple[ModelVariant | None, ...]] = field(
        default_factory=dict
    )

    def variants_of(self, name: str) -> tuple[ModelVariant | None, ...]:
        """Return the variants that a model is measured in."""
        return self.variants.get(name) or self.variants.get("") or (None,)


class PointWorker:
    """Measures chunks of load points on one device of this machine.

    Args:
        assignment: What all workers are told.
        gpu: The device, as ``profile`` takes it.
    """

    def __init__(self, assignment: Assignment, gpu: int | str | None) -> None:
        self._assignment = assignment
        self._gpu = gpu
        self._stack = ExitStack()
        self._swept: SweptModels | None = None
        self._baseline = ""

    def open(self) -> WorkerFacts:
        """Start the server, and say what can be measured here.

        Raises:
            GpupackError: The repository, the device or the server cannot be used here.
        """
        told, files = self._assignment.asked, self._assignment.files
        where = replace(told.where, gpu=self._gpu)
        device = where.device()
        try:
            swept = SweptModels.of(
                files or None,
                self._stack,
                where=where,
                files=told.files,
                inputs=told.inputs,
                batch_sizes=told.batch_sizes,
                num_instances=told.instances,
                progress=None,
                install_progress=None,
            )
            if swept.server.model_repository is None:
                raise InvalidInputError(
                    "workers start servers of their own on a repository"
                )
            repository = find_repository(swept.server.model_repository)
        except InvalidInputError as err:
            what = "the files" if files else "the repository"
            raise InvalidInputError(
                f"on {platform.node()}: {err}; every machine needs {what} at the same "
                "path"
            ) from err
        server = own_server(
            self._stack,
            repository,
            gpu=self._gpu,
            sharing=told.sharing,
            python=swept.server.python,
            root=told.where.root,
            environment=told.where.environment,
        )
        self._stack.enter_context(server)
        self._swept = replace(
            swept,
            server=ServerOptions(
                url=server,
                gpu=self._gpu,
                load_timeout_s=told.where.load_timeout_s,
            ),
        )
        return WorkerFacts(
            host=platform.node(),
            gpu_type=device.gpu_type,
            models=swept.names or tuple(_models_in(repository)),
            gpupack_version=gpupack.__version__,
            variants={
                name: tuple(one.variant for one in setups)
                for name, setups in swept.setups.items()
            },
        )

    def measure(self, chunk: Chunk, known: Sequence[str] = ()) -> Iterator[Told]:
        """Yield each record once it is measured, and what is being done before.

        Args:
            chunk: What to measure.
            known: Lines of the store about this model, which decide what is finished.

        Raises:
            GpupackError: The chunk cannot be measured here.
        """
        told: queue.SimpleQueue[Told | BaseException | None] = queue.SimpleQueue()
        # ``profile`` tells as it goes, and a generator has to be asked.
        thread = threading.Thread(
            target=self._profile, args=(chunk, known, told), daemon=True
        )
        thread.start()
        while (one := told.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
        thread.join()

    def close(self) -> None:
        """Stop the server."""
        self._stack.close()

    def _profile(
        self,
        chunk: Chunk,
        known: Sequence[str],
        told: queue.SimpleQueue[Told | BaseException | None],
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="gpupack-") as folder:
            store = Path(folder) / "profiles.jsonl"
            lines = ([self._baseline] if self._baseline else []) + [*known]
            if lines:
                store.write_text("\n".join(lines) + "\n", encoding="utf-8")
            reporter = _Reporter(told, self, store)
            try:
                with ExitStack() as stack:
                    run_sweep(
                        replace(
                            self._assignment.asked,
                            points=chunk.loads,
                            store=store,
                            progress=reporter,
                        ),
                        self._swept_of(chunk),
                        stack,
                    )
                reporter.tell_checked()
            except InvalidInputError as err:
                # Raised in the end where every load point failed, which was told.
                if reporter.num_finished < len(chunk.points):
                    told.put(err)
            except BaseException as err:
                told.put(err)
            told.put(None)

    def _swept_of(self, chunk: Chunk) -> SweptModels:
        """Return the chunk's variant of its model, on the server that runs."""
        assert self._swept is not None
        name = chunk.model_name
        setups = self._swept.setups.get(name) or self._swept.setups.get("") or ()
        of_chunk = tuple(one for one in setups if one.variant == chunk.variant)
        return replace(
            self._swept, names=(name,), setups={name: of_chunk} if of_chunk else {}
        )

    def remember_baseline(self, store: Path) -> str:
        """Return the line of the server's baseline when it is first there, or ''."""
        if self._baseline:
            return ""
        found = read_profile_file(store, recover=True).baselines
        self._baseline = record_line(found[0]) if found else ""
        return self._baseline


class _Reporter:
    """Tells how a chunk goes on."""

    def __init__(
        self,
        told: queue.SimpleQueue[Told | BaseException | None],
        worker: PointWorker,
        store: Path,
    ) -> None:
        self._told = told
        self._worker = worker
        self._store = store
        self.num_finished = 0
        self._num_loads = (
            {
                str(one.load_point): one.num_loads
                for one in read_profile_file(store, recover=True).records
            }
            if store.exists()
            else {}
        )
        """Of the records that were told, or were known before."""

    def begin(self, num_points: int, num_finished: int) -> None:
        self.num_finished = num_finished

    def working(self, text: str) -> None:
        self._told.put((WORKING, text))

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        self.num_finished += 1
        baseline = self._worker.remember_baseline(self._store)
        if baseline:
            self._told.put((BASELINE, baseline))
        self._told.put((RECORD, record_line(outcome)))
        self._num_loads[str(outcome.load_point)] = getattr(outcome, "num_loads", 1)

    def tell_checked(self) -> None:
        """Tell what was measured in further loads without being told as finished."""
        for record in read_profile_file(self._store, recover=True).records:
            if record.num_loads > self._num_loads.get(str(record.load_point), 1):
                self._told.put((RECORD, record_line(record)))


def fault_of(err: BaseException) -> str:
    """Return an error as text that ``fault_from`` takes apart again."""
    kind = "input" if isinstance(err, InvalidInputError) else "other"
    message = (
        str(err) if isinstance(err, GpupackError) else f"{type(err).__name__}: {err}"
    )
    return json.dumps({"kind": kind, "message": message})


def fault_from(text: str) -> tuple[bool, str]:
    """Return whether a fault is one of what was asked for, and its message."""
    found = json.loads(text)
    return found["kind"] == "input", found["message"]


def _models_in(repository: Path) -> Iterator[str]:
    for folder in sorted(repository.iterdir()):
        if folder.is_dir() and (
            (folder / "config.pbtxt").is_file()
            or any(child.name.isdecimal() for child in folder.iterdir())
        ):
            yield folder.name


def require_model(name: str, facts: WorkerFacts) -> None:
    """Check that a worker's repository has a model.

    Raises:
        InvalidInputError: It has not.
    """
    if name not in facts.models:
        raise InvalidInputError(
            f"the repository on {facts.host} has no model {quoted(name)}; it has "
            f"{', '.join(facts.models) or 'none'}"
        )
