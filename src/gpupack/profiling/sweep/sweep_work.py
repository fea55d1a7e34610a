# Long because what follows each kind of failure stands beside what may fail.
"""The work of a sweep on an open session: baseline, loads, points, failures."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpupack.errors import (
    InvalidInputError,
    LoadPointError,
    ServerError,
    UnknownNameError,
)
from gpupack.profiling.devices import ProcessFamily
from gpupack.profiling.load import LoadProcess, ModelLoad, make_request_inputs
from gpupack.profiling.measuring import (
    Circumstances,
    MeasureOptions,
    SettledMemory,
    failed_load_point,
    measure,
    profile_record,
    server_baseline,
    wait_until_settled,
)
from gpupack.profiling.server import UNLOAD_TIMEOUT_S, ModelSetup
from gpupack.profiling.sweep.loads import merge_load
from gpupack.profiling.sweep.model_unit import QUIET_S, ModelUnits, NotAloneError
from gpupack.profiling.sweep.sweep_store import INPUTS_STAGE, SERVER_STAGE, SweepStore
from gpupack.records.gpu import DeviceKind
from gpupack.records.request.arrivals import POISSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gpupack.profiling.load import InputOptions
    from gpupack.profiling.measuring import KernelProbe
    from gpupack.profiling.server import ModelSignature
    from gpupack.profiling.session import ServerSession
    from gpupack.profiling.sweep.sweep_progress import SweepProgress
    from gpupack.records.environment import SharingMode
    from gpupack.records.profile import LoadPoint, ModelVariant
    from gpupack.records.request.arrivals import Arrivals

logger = logging.getLogger(__name__)

OTHERS_USE_IT = "other processes use the GPU"
"""How a warning about strangers begins."""

_BASELINE_S = {DeviceKind.HOST: 0.3, DeviceKind.GPU: 2.0}
_REJECTIONS = ("Failed to process the request", "unexpected shape", "INVALID_ARG")
"""What Triton says where a model's own code, or its backend, rejects a request."""


@dataclass
class Sweep:
    """The work of one ``profile`` call on an open session, load by load."""

    session: ServerSession
    store: SweepStore
    points: Sequence[LoadPoint]
    options: MeasureOptions
    inputs: InputOptions
    strict: bool
    units: ModelUnits
    retry_failed: bool
    retry_unstable: bool
    sharing_mode: SharingMode | None
    command: str | None
    progress: SweepProgress
    arrivals: Arrivals = POISSON
    loads: int | None = 1
    """Loads of each model; None finds out whether one is enough."""
    setups: Mapping[str, Sequence[ModelSetup]] = field(default_factory=dict)
    """How each model is loaded, one for each of its variants; ``""`` for all others."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a model that was asked for cannot be served, by its name."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    probe: KernelProbe | None = None
    before_point: Callable[[], None] | None = None
    """Called when all is ready for a load point."""
    warnings: tuple[str, ...] = ()
    """What holds for every load point from now on."""
    _circumstances: Circumstances = field(init=False)
    _process: LoadProcess | None = field(default=None, init=False)
    _tried: set[tuple[str, LoadPoint]] = field(default_factory=set, init=False)
    _taken: dict[tuple[str, LoadPoint], LoadPoint] = field(
        default_factory=dict, init=False
    )
    """What points became whose batch size is that of a shape."""
    _adds_load: bool = field(default=False, init=False)
    """Whether what is measured is another load of what is in the store."""
    _lost: str | None = field(default=None, init=False)
    """Why the server cannot be asked any more."""

    @property
    def told_options(self) -> dict[str, str]:
        """What was asked for, as records keep it."""
        mode = self.sharing_mode
        told = self.options.as_text() | ({"sharing": mode.value} if mode else {})
        if any(point.requests_per_sec is not None for point in self.points):
            told["arrivals"] = str(self.arrivals)
        if self.loads is not None and self.loads > 1:
            told["loads"] = str(self.loads)
        return told

    def has_work(self, names: Iterable[str]) -> bool:
        """Whether any load point of these models is still to be measured."""
        return any(self._to_do(name) for name in names)

    def prepare(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Return the models to measure, all of the repository for None.

        Raises:
            UnknownNameError: The repository does not have one.
            InvalidInputError: It has none at all.
            StoreError: The store belongs to another sweep.
        """
        server = self.session.server
        known = [model.name for model in server.repository()]
        if names is None:
            names = self._models_among(known)
            self.store.check_fits(names, self.session.device.gpu_type.name)
        unknown = [name for name in names if name not in {*known, *self.refused}]
        if unknown:
            raise UnknownNameError(
                f"the repository of {server.url} has no model "
                f"{', '.join(map(repr, unknown))}; it has {', '.join(known) or 'none'}"
            )
        if not names:
            embedded = self.session.embedded
            place = server.url if embedded is None else embedded.model_repository
            raise InvalidInputError(
                f"the repository of {place} is empty: it has no folder with a "
                "config.pbtxt or a numbered version"
            )
        self.units.check_names(known)
        server_name, server_version = server.version()
        self._circumstances = Circumstances(
            server_name=server_name,
            server_version=server_version,
            command=self.command,
            seed=self.inputs.seed,
            sharing_mode=self.sharing_mode,
            measure_options=self.told_options,
            libraries=self.libraries,
        )
        for name in names:
            self.store.forget_requests(name, self._points_of(name))
        return tuple(names)

    def to_do(self, names: Iterable[str]) -> dict[str, list[LoadPoint]]:
        """Return the load points that are still to be measured, by model."""
        return {name: self._to_do(name) for name in names}

    def counts(self, names: Iterable[str]) -> tuple[int, int]:
        """Return how many load points models have, in every load, and are finished."""
        points = [(name, point) for name in names for point in self._points_of(name)]
        loads = self.loads or 1
        num_left = sum(
            loads - min(loads - 1, self.store.num_loads(name, point))
            for name, point in points
            if not self._is_finished(name, point)
        )
        return loads * len(points), loads * len(points) - num_left

    def refuse(self, to_do: dict[str, list[LoadPoint]]) -> None:
        """Fail the points of models that cannot be served, and take them out."""
        for name, message in self.refused.items():
            for point in to_do.pop(name, ()):
                self._fail(name, point, INPUTS_STAGE, message)

    def end(self) -> None:
        """End the client process, if one is left."""
        self._end_process()

    @property
    def _batch_sizes(self) -> set[int]:
        return {point.batch_size for point in self.points}

    def _setups_of(self, name: str) -> Sequence[ModelSetup]:
        return self.setups.get(name) or self.setups.get("") or (ModelSetup(),)

    def _points_of(self, name: str) -> list[LoadPoint]:
        """Return the load points of a model, variant after variant."""
        return [
            point.model_copy(update={"variant": setup.variant})
            for setup in self._setups_of(name)
            for point in self.points
        ]

    def _to_do(self, name: str) -> list[LoadPoint]:
        return [
            point
            for point in self._points_of(name)
            if not self._is_finished(name, point)
        ]

    def _is_finished(self, name: str, point: LoadPoint) -> bool:
        is_new = (name, point) not in self._tried
        return self.store.is_finished(
            name,
            point,
            retry_failed=self.retry_failed and is_new,
            retry_unstable=self.retry_unstable and is_new,
            num_loads=self.loads,
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
        warning = _strangers_in_words(strangers)
        if self.strict:
            raise InvalidInputError(
                f"{warning}. Stop them, or measure without --strict; what was "
                "measured so far is kept"
            )
        logger.warning(warning)
        return (warning,)

    def measure_baseline(self) -> None:
        """Measure the server with no model loaded."""
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
            server_baseline(
                readings,
                device=device,
                circumstances=self._circumstances,
                host_memory_bytes=self._host_memory_bytes(),
            )
        )

    def _host_memory_bytes(self) -> int | None:
        """Return what the server holds of the host's memory now; None if unknown."""
        pid = self.session.server_pid
        return None if pid is None else ProcessFamily(pid).read().resident_bytes or None

    def _settle(self, *, quiet_s: float | None = None) -> SettledMemory:
        device, baseline = self.session.device, self.store.baseline
        settled = wait_until_settled(
            device.memory_used_bytes,
            at_most_bytes=None if baseline is None else baseline.gpu_memory_used_bytes,
            quiet_s=QUIET_S[device.gpu_type.kind] if quiet_s is None else quiet_s,
        )
        if not settled.is_settled and settled.memory_used_bytes is not None:
            logger.warning(
                "memory has not settled after %.0f s: %d bytes in use",
                settled.waited_s,
                settled.memory_used_bytes,
            )
        return settled

    def _taken_as(self, name: str, point: LoadPoint) -> LoadPoint:
        return self._taken.get((name, point), point)

    def measure_model(
        self,
        name: str,
        points: Sequence[LoadPoint],
        *,
        is_last: bool,
        leaves_loaded: bool = False,
    ) -> None:
        """Measure load points of one model; every one is in the store at the end.

        ``is_last`` leaves the model loaded where the server is about to be stopped,
        ``leaves_loaded`` in any case.
        """
        signature: ModelSignature | None = None
        variant: ModelVariant | None = None
        is_warm = False
        left = deque(points)
        while left:
            point = left.popleft()
            if signature is not None and point.variant != variant:
                self._unload(name)
                signature, is_warm = None, False
            if self._lost is not None:
                self._fail(name, point, SERVER_STAGE, self._lost)
                continue
            self._tried.add((name, point))
            if signature is None:
                variant = point.variant
                try:
                    signature = self._load(name, variant)
                except NotAloneError as err:
                    for one in (point, *left):
                        self._fail(name, one, SERVER_STAGE, str(err))
                    return
                except InvalidInputError as err:
                    left = self._fail_variant(name, point, left, str(err), INPUTS_STAGE)
                    continue
                except (ServerError, UnknownNameError) as err:
                    if self._is_lost():
                        self._fail(name, point, SERVER_STAGE, str(self._lost))
                        continue
                    if self.units.learn(name, str(err)):
                        self._recover()
                        left.appendleft(point)
                        continue
                    message = self.session.explain(str(err))
                    left = self._fail_variant(name, point, left, message, "load")
                    if not self._is_unloaded(name):
                        self._recover()
                    continue
            self.progress.working(f"{name} at {point}")
            warnings = (*self.warnings, *self._check_isolation())
            if self.before_point is not None:
                self.before_point()
            try:
                num_left = self._measure_point(
                    signature, point, warnings, is_warm=is_warm
                )
                is_warm = True
                if num_left and (left or not (is_last and self.session.is_owned)):
                    # They would be computed into the next measurement.
                    logger.warning(
                        "%s at %s: %d requests were still unanswered %g s after the "
                        "last was sent; the server is freed of them",
                        name,
                        point,
                        num_left,
                        self.options.request_timeout_s,
                    )
                    self._recover(name)
                    signature, is_warm = None, False
            except InvalidInputError as err:
                self._fail(name, point, INPUTS_STAGE, str(err))
            except NotAloneError as err:
                self._fail(name, point, SERVER_STAGE, str(err))
            except LoadPointError as err:
                message = self.session.explain(str(err))
                if err.stage == "warmup" and self.units.learn(name, message):
                    left.appendleft(point)  # again, with what it needs
                else:
                    hint = self._rejection_hint(name, err)
                    self._fail(name, point, err.stage, message + hint)
                if not self._is_lost():
                    self._recover(name)
                signature, is_warm = None, False
        if signature is None or leaves_loaded or (is_last and self.session.is_owned):
            return  # a server that is about to be stopped need not unload first
        self._unload(name, wait=not is_last)

    def _fail_variant(
        self,
        name: str,
        point: LoadPoint,
        left: Iterable[LoadPoint],
        message: str,
        stage: str,
    ) -> deque[LoadPoint]:
        """Fail the points of a variant that does not load; return the others."""
        others: deque[LoadPoint] = deque()
        for one in (point, *left):
            if one.variant == point.variant:
                self._fail(name, one, stage, message)
            else:
                others.append(one)
        return others

    def _rejection_hint(self, name: str, error: LoadPointError) -> str:
        """Return what may be wrong if a model's own code rejected random inputs."""
        told = str(error)
        if (
            error.stage != "warmup"
            or self.inputs.data_of(name) is not None
            or not any(sign in told for sign in _REJECTIONS)
            or "memory" in told.lower()
        ):
            return ""
        return (
            "\nIts inputs were random. If it needs real ones, such as JSON text, "
            "images or token ids, give them with --data (a .npz, perf_analyzer's "
            "--input-data as .json, .jsonl, or a folder of images), and --retry-failed"
        )

    def _is_lost(self) -> bool:
        """Whether a running server, which is not ours to restart, has gone."""
        if self.session.embedded is None:
            try:
                self.session.server.version()
            except ServerError as err:
                self._lost = (
                    f"{err}; start the server again, and the same command measures "
                    "what is left"
                )
        return self._lost is not None

    def _load(self, name: str, variant: ModelVariant | None) -> ModelSignature:
        self.progress.working(f"loading {name}")
        if self._process is None:
            # Its start overlaps with the load.
            self._process = LoadProcess(
                self.session.server.url, self.session.server.tls
            )
        setups = self._setups_of(name)
        return self.units.load(name, next(s for s in setups if s.variant == variant))

    def _measure_point(
        self,
        signature: ModelSignature,
        point: LoadPoint,
        warnings: tuple[str, ...],
        *,
        is_warm: bool,
    ) -> int:
        """Measure and keep a point; return how many requests are left unanswered."""
        signature = self.inputs.with_batch_dim(signature)
        given = self.inputs.given_batch_size(signature)
        if given is not None and given not in self._batch_sizes:
            # A shape with its batch, or the model, says how many items a request has.
            asked, point = point, point.model_copy(update={"batch_size": given})
            self._taken[signature.name, asked] = point
            if not self._adds_load and self._is_finished(signature.name, point):
                return 0
            self._tried.add((signature.name, point))
        tensors = make_request_inputs(self.inputs, signature, point.batch_size)
        self._helpers_of(signature.name)
        measurement = measure(
            self.session.server,
            ModelLoad(
                signature,
                point,
                tensors,
                arrivals=self.arrivals,
                seed=str(self.inputs.seed),
                sequence_length=self.inputs.sequence_length,
            ),
            device=self.session.device,
            options=self.options,
            server_pid=self.session.server_pid,
            process=self._process,
            is_warm=is_warm,
            probe=self.probe,
        )
        helpers = self._helpers_of(signature.name)
        # Who came while it was measured is no less of a stranger.
        came = self.session.device.foreign_processes(self.session.own_pids)
        if came and _strangers_in_words(came) not in warnings:
            warnings = (*warnings, *self._check_isolation())
        record = profile_record(
            measurement,
            0,
            device=self.session.device,
            circumstances=self._circumstances,
            input_data_sha256=self.inputs.data_sha256_of(signature.name),
            helpers=helpers,
            helper_memory=self.units.memory_of(helpers),
            warnings=warnings,
        )
        known = self.store.record_of(signature.name, point)
        if self._adds_load and known is not None:
            record = merge_load(
                known, record, allowed_ratio=2 * self.options.half_width_ratio
            )
        self.store.add(record)
        if self.loads is not None or not self._adds_load:
            self.progress.finished(record)
        return sum(measurement.num_unanswered)

    def _helpers_of(self, name: str) -> tuple[str, ...]:
        """Return what is loaded beside a model; raises if that is not all its own."""
        try:
            return self.units.helpers_of(name)
        except NotAloneError:
            raise
        except ServerError as err:
            raise LoadPointError(str(err), stage="measure", model_name=name) from err

    def _unload(self, name: str, *, wait: bool = True) -> None:
        self.progress.working(f"unloading {name}")
        try:
            self.units.unload(name, timeout_s=UNLOAD_TIMEOUT_S, wait=wait)
        except ServerError as err:
            logger.warning("%s", err)
            self._recover()
            return
        if wait:
            self._settle()

    def _fail(self, name: str, point: LoadPoint, stage: str, message: str) -> None:
        if self._adds_load and self.store.has(name, self._taken_as(name, point)):
            # What was measured in other loads is worth having.
            logger.warning("%s at %s, another load: %s", name, point, message)
            return
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


def _strangers_in_words(strangers: Sequence[str]) -> str:
    return f"{OTHERS_USE_IT}: {'; '.join(strangers)}"
