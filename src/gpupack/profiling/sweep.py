"""``gpupack.profile``: every model alone, at every load point, nothing lost."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpupack.errors import (
    InvalidInputError,
    LoadPointError,
    ServerError,
    UnknownNameError,
)
from gpupack.profiling.driven_model import ModelLoad
from gpupack.profiling.exports import (
    PROFILE_FILE,
    prepare_folder,
    write_article_tables,
)
from gpupack.profiling.input_options import InputOptions
from gpupack.profiling.load import LoadProcess
from gpupack.profiling.measure import MeasureOptions, measure
from gpupack.profiling.own_server import own_server
from gpupack.profiling.recording import (
    Circumstances,
    failed_load_point,
    profile_record,
    server_baseline,
)
from gpupack.profiling.session import ServerSession
from gpupack.profiling.settling import SettledMemory, wait_until_settled
from gpupack.profiling.sweep_store import INPUTS_STAGE, SweepStore
from gpupack.profiling.tensors import make_inputs
from gpupack.profiling.triton import LOAD_TIMEOUT_S, UNLOAD_TIMEOUT_S
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import FailedLoadPoint, LoadPoint, ProfileRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpupack.profile_set import ProfileSet
    from gpupack.profiling.embedded import EmbeddedServer
    from gpupack.profiling.installation import InstallProgress
    from gpupack.profiling.server_url import TlsOptions
    from gpupack.profiling.signature import ModelSignature

logger = logging.getLogger(__name__)

_BASELINE_S = {DeviceKind.HOST: 0.3, DeviceKind.GPU: 2.0}
_QUIET_S = {DeviceKind.HOST: 0.1, DeviceKind.GPU: 0.5}
"""Memory has settled after so long without change, where the server has said that no
model is loaded and none is being unloaded."""


class SweepProgress(Protocol):
    """Told how a sweep goes on."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """The sweep has so many load points, of which some are in the store."""
        ...

    def working(self, text: str) -> None:
        """What is being done now."""
        ...

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """One load point is in the store."""
        ...


class SilentProgress:
    """Tells nobody."""

    def begin(self, num_points: int, num_finished: int) -> None:
        """Do nothing."""

    def working(self, text: str) -> None:
        """Do nothing."""

    def finished(self, outcome: ProfileRecord | FailedLoadPoint) -> None:
        """Do nothing."""


def profile(
    models: str | Sequence[str] | None = None,
    *,
    server: EmbeddedServer | str | None = None,
    model_repository: Path | str | None = None,
    batch_sizes: Sequence[int] = (1, 2, 4),
    concurrency: Sequence[int] = (1, 2, 4),
    gpus: int | str | Sequence[int | str] | None = None,
    store: Path | str | None = None,
    export_path: Path | str | None = None,
    strict: bool = False,
    options: MeasureOptions | None = None,
    inputs: InputOptions | None = None,
    tls: TlsOptions | None = None,
    server_python: Path | str | None = None,
    server_root: Path | str | None = None,
    server_environment: Mapping[str, str] | None = None,
    load_timeout_s: float = LOAD_TIMEOUT_S,
    retry_failed: bool = False,
    retry_unstable: bool = False,
    sharing: SharingMode | str | None = None,
    command: str | None = None,
    progress: SweepProgress | None = None,
    install_progress: InstallProgress | None = None,
) -> ProfileSet:
    """Measure each model alone, at every batch size × concurrency.

    The server-only baseline comes first. Each load point is on the disk before the
    next begins; the same call with the same ``store`` goes on where it was stopped.
    A load point that fails becomes a failure in the result, and the sweep goes on.

    Args:
        models: Names of models; None takes the whole repository.
        server: URL of a running Triton (``http://``, ``https://``, ``grpc://``,
            ``grpcs://``) with explicit model control, or an ``EmbeddedServer``. None
            starts an embedded one on ``model_repository``.
        model_repository: Folder of models, for the embedded server.
        batch_sizes: Inputs per request.
        concurrency: Requests kept in flight.
        gpus: The GPU to measure on: index, ``"GPU:MIG"`` indices, UUID, or ``"host"``.
            For a server on another host, the name of its GPU type.
        store: File to keep the records in, as they come; by default gpupack's own
            file in ``export_path``, nowhere without that.
        export_path: Folder for the three CSV tables, written at the end, and gpupack's
            own file, ``profiles.jsonl``.
        strict: Refuse, rather than warn, when other processes use the GPU.
        options: How well to measure, and by which stopping rule.
        inputs: Shapes of dynamic inputs, real data, seed.
        tls: Certificates, for ``https`` and ``grpcs``.
        server_python: Python that models run in, for the embedded server.
        server_root: A server tree unpacked by other means, for the embedded server.
        server_environment: Variables for the embedded server.
        load_timeout_s: How long a model may take to load.
        retry_failed: Measure again what failed in an earlier run of this store.
        retry_unstable: Measure again what did not settle then; a record is replaced
            once its new measurement is there.
        sharing: How the server's processes share the GPU. ``"mps"`` puts a private MPS
            daemon under the embedded server that is started here; for another server
            it says what is so, if the device cannot tell.
        command: What to note in the records as the command that measured.
        progress: Told how the sweep goes on.
        install_progress: Told about the installation of the embedded server.

    Returns:
        Baseline, records and failures: those of this call, and of the store.

    Raises:
        InvalidInputError: Something that was asked for cannot be; also when not one
            load point could be measured because of what was asked for.
        ServerError: The server cannot be started or reached.
        StoreError: The store cannot be used; all before this point is in it.
    """
    points = _load_points(batch_sizes, concurrency)
    names = _model_names(models)
    chosen = options or MeasureOptions()
    chosen.check()
    gpu = _one_gpu(gpus)
    if export_path is not None:
        # Before anything is measured: a sweep must not end in a folder it cannot use.
        folder = prepare_folder(export_path)
        store = folder / PROFILE_FILE if store is None else store
    mode = None if sharing is None else SharingMode.parse(sharing)
    with ExitStack() as stack:
        target = server or own_server(
            stack,
            _repository(model_repository),
            gpu=gpu,
            sharing=mode,
            python=server_python,
            root=server_root,
            environment=server_environment,
            install_progress=install_progress,
        )
        sweep_store = stack.enter_context(
            SweepStore(Path(store) if store is not None else None)
        )
        session = ServerSession(target, gpu=gpu, tls=tls)
        gpu_name = session.device.gpu_type.name
        sweep_store.check_fits(names, gpu_name)
        asked = inputs or InputOptions()
        sweep_store.check_inputs(asked)
        sweep_store.check_sharing(mode)
        sweep_store.warn_of_other_options(_told_options(chosen, mode))
        sweep = Sweep(
            session,
            sweep_store,
            points=points,
            options=chosen,
            inputs=asked,
            strict=strict,
            load_timeout_s=load_timeout_s,
            retry_failed=retry_failed,
            retry_unstable=retry_unstable,
            sharing_mode=mode,
            command=command,
            progress=progress or SilentProgress(),
        )
        if names is None or sweep_store.baseline is None or sweep.has_work(names):
            with session:
                sweep.run(names)
        profiles = sweep_store.profiles()
    if export_path is not None:
        write_article_tables(profiles, export_path)
    bad = [failure for failure in profiles.failures if failure.stage == INPUTS_STAGE]
    if bad and not profiles.records:
        raise InvalidInputError(bad[0].message)
    return profiles


@dataclass
class Sweep:
    """The work of one ``profile`` call on an open session."""

    session: ServerSession
    store: SweepStore
    points: Sequence[LoadPoint]
    options: MeasureOptions
    inputs: InputOptions
    strict: bool
    load_timeout_s: float
    retry_failed: bool
    retry_unstable: bool
    sharing_mode: SharingMode | None
    command: str | None
    progress: SweepProgress
    _circumstances: Circumstances = field(init=False)
    _process: LoadProcess | None = field(default=None, init=False)
    _tried: set[tuple[str, LoadPoint]] = field(default_factory=set, init=False)

    def has_work(self, names: Iterable[str]) -> bool:
        """Whether any load point of these models is still to be measured."""
        return any(self._to_do(name) for name in names)

    def run(self, names: Sequence[str] | None) -> None:
        """Measure the baseline, then every model that has work left."""
        server = self.session.server
        known = [model.name for model in server.repository()]
        if names is None:
            names = self._models_among(known)
            self.store.check_fits(names, self.session.device.gpu_type.name)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UnknownNameError(
                f"the repository of {server.url} has no model "
                f"{', '.join(map(repr, unknown))}; it has {', '.join(known) or 'none'}"
            )
        if not names:
            raise InvalidInputError(f"the repository of {server.url} is empty")
        server_name, server_version = server.version()
        self._circumstances = Circumstances(
            server_name=server_name,
            server_version=server_version,
            command=self.command,
            seed=self.inputs.seed,
            sharing_mode=self.sharing_mode,
            measure_options=_told_options(self.options, self.sharing_mode),
        )
        to_do = {name: self._to_do(name) for name in names}
        num_points = len(names) * len(self.points)
        self.progress.begin(num_points, num_points - sum(map(len, to_do.values())))
        try:
            self._check_isolation()
            if self.store.baseline is None:
                self._measure_baseline()
            with_work = [name for name in names if to_do[name]]
            for name in with_work:
                self._measure_model(name, to_do[name], is_last=name == with_work[-1])
        finally:
            self._end_process()

    def _to_do(self, name: str) -> list[LoadPoint]:
        return [point for point in self.points if not self._is_finished(name, point)]

    def _is_finished(self, name: str, point: LoadPoint) -> bool:
        is_new = (name, point) not in self._tried
        return self.store.is_finished(
            name,
            point,
            retry_failed=self.retry_failed and is_new,
            retry_unstable=self.retry_unstable and is_new,
        )

    def _models_among(self, names: Sequence[str]) -> list[str]:
        """Leave out folders of our own server's repository that are no models."""
        if self.session.embedded is None:
            return list(names)
        repository = self.session.embedded.model_repository
        return [
            name
            for name in names
            if (repository / name / "config.pbtxt").is_file()
            or any(child.name.isdecimal() for child in (repository / name).iterdir())
        ]

    def _is_unloaded(self, name: str) -> bool:
        """Whether a failed load left nothing behind."""
        try:
            states = {one.name: one.state for one in self.session.server.repository()}
        except ServerError:
            return False
        return states.get(name, "") in ("", "UNAVAILABLE")

    def _check_isolation(self) -> tuple[str, ...]:
        strangers = self.session.device.foreign_processes(self.session.own_pids)
        if not strangers:
            return ()
        warning = f"other processes use the GPU: {'; '.join(strangers)}"
        if self.strict:
            raise InvalidInputError(
                f"{warning}. Stop them, or measure without --strict; what was "
                "measured so far is kept"
            )
        logger.warning(warning)
        return (warning,)

    def _measure_baseline(self) -> None:
        self.progress.working("server only")
        device = self.session.device
        duration_s = _BASELINE_S[device.gpu_type.kind]
        with device.sampler() as sampler:
            sampler.reset()
            settled = self._settle(quiet_s=duration_s)
            if settled.has_moved or settled.waited_s < duration_s:
                sampler.reset()
                time.sleep(duration_s)
            readings = sampler.readings()
        self.store.add(
            server_baseline(readings, device=device, circumstances=self._circumstances)
        )

    def _settle(self, *, quiet_s: float | None = None) -> SettledMemory:
        device, baseline = self.session.device, self.store.baseline
        settled = wait_until_settled(
            device.memory_used_bytes,
            at_most_bytes=None if baseline is None else baseline.gpu_memory_used_bytes,
            quiet_s=_QUIET_S[device.gpu_type.kind] if quiet_s is None else quiet_s,
        )
        if not settled.is_settled and settled.memory_used_bytes is not None:
            logger.warning(
                "memory has not settled after %.0f s: %d bytes in use",
                settled.waited_s,
                settled.memory_used_bytes,
            )
        return settled

    def _measure_model(
        self, name: str, points: Sequence[LoadPoint], *, is_last: bool
    ) -> None:
        signature: ModelSignature | None = None
        is_warm = False
        for number, point in enumerate(points):
            self._tried.add((name, point))
            if signature is None:
                try:
                    signature = self._load(name)
                except ServerError as err:
                    message = self.session.explain(str(err))
                    for left in points[number:]:
                        self._fail(name, left, "load", message)
                    if not self._is_unloaded(name):
                        self._recover()
                    return
            self.progress.working(f"{name} at {point}")
            warnings = self._check_isolation()
            try:
                self._measure_point(signature, point, warnings, is_warm=is_warm)
                is_warm = True
            except InvalidInputError as err:
                self._fail(name, point, INPUTS_STAGE, str(err))
            except LoadPointError as err:
                message = self.session.explain(str(err))
                self._fail(name, point, err.stage, message)
                self._recover(name)
                signature, is_warm = None, False
        if signature is None or (is_last and self.session.is_owned):
            return  # a server that is about to be stopped need not unload first
        self._unload(name, wait=not is_last)

    def _load(self, name: str) -> ModelSignature:
        self.progress.working(f"loading {name}")
        if self._process is None:
            # Its start overlaps with the load.
            self._process = LoadProcess(
                self.session.server.url, self.session.server.tls
            )
        self.session.server.load(name, timeout_s=self.load_timeout_s)
        return self.session.server.signature(name)

    def _measure_point(
        self,
        signature: ModelSignature,
        point: LoadPoint,
        warnings: tuple[str, ...],
        *,
        is_warm: bool,
    ) -> None:
        tensors = make_inputs(
            signature,
            point.batch_size,
            shapes=self.inputs.shapes_of(signature),
            data_path=self.inputs.data_of(signature.name),
            seed=self.inputs.seed,
        )
        measurement = measure(
            self.session.server,
            ModelLoad(signature, point, tensors),
            device=self.session.device,
            options=self.options,
            server_pid=self.session.server_pid,
            process=self._process,
            is_warm=is_warm,
        )
        record = profile_record(
            measurement,
            0,
            device=self.session.device,
            circumstances=self._circumstances,
            input_data_sha256=self.inputs.data_sha256_of(signature.name),
            warnings=warnings,
        )
        self.store.add(record)
        self.progress.finished(record)

    def _unload(self, name: str, *, wait: bool = True) -> None:
        self.progress.working(f"unloading {name}")
        try:
            self.session.server.unload(name, timeout_s=UNLOAD_TIMEOUT_S, wait=wait)
        except ServerError as err:
            logger.warning("%s", err)
            self._recover()
            return
        if wait:
            self._settle()

    def _fail(self, name: str, point: LoadPoint, stage: str, message: str) -> None:
        failure = failed_load_point(
            name,
            point,
            stage=stage,
            message=message,
            device=self.session.device,
            circumstances=self._circumstances,
        )
        self.store.add(failure)
        self.progress.finished(failure)

    def _recover(self, name: str | None = None) -> None:
        """Start over with a fresh client and, if it is ours, a fresh server."""
        self._end_process()
        if self.session.embedded is not None:
            self.session.recover()
        elif name is not None:
            self._unload(name)

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()


def _told_options(
    options: MeasureOptions, sharing: SharingMode | None
) -> dict[str, str]:
    """Return what was asked for, as records keep it."""
    return options.as_text() | ({"sharing": sharing.value} if sharing else {})


def _load_points(
    batch_sizes: Sequence[int], concurrency: Sequence[int]
) -> tuple[LoadPoint, ...]:
    for title, values in (("batch size", batch_sizes), ("concurrency", concurrency)):
        if isinstance(values, str | bytes) or not len(values):
            raise InvalidInputError(f"give at least one {title}, such as 1,2,4")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInputError(
                    f"a {title} is a whole number of at least 1, got {value!r}"
                )
    return tuple(
        LoadPoint(batch_size=batch_size, concurrency=in_flight)
        for batch_size in sorted(set(batch_sizes))
        for in_flight in sorted(set(concurrency))
    )


def _model_names(models: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if models is None:
        return None
    names = (models,) if isinstance(models, str) else tuple(models)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidInputError(
            "name at least one model, or leave models out for the whole repository"
        )
    return tuple(dict.fromkeys(names))


def _repository(model_repository: Path | str | None) -> Path | str:
    if model_repository is None:
        raise InvalidInputError(
            "nothing to profile: give the URL of a running Triton, or a model "
            "repository for the embedded server"
        )
    return model_repository


def _one_gpu(gpus: int | str | Sequence[int | str] | None) -> int | str | None:
    if gpus is None or isinstance(gpus, int | str):
        return gpus
    if len(gpus) != 1:
        raise InvalidInputError(
            f"each model is measured alone on one GPU, got {len(gpus)} of them; "
            "profile once per kind of GPU, each with a store of its own"
        )
    return gpus[0]
