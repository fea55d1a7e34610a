"""Calibrate a GPU in minutes, with models that come with gpupack.

The reference models (``profiling.reference_models``) run alone and in sets on an
embedded server, and the contention factor is fitted to what they keep. They are not
the user's models, so the factor that fits them is not taken as it is: what counts is
how it compares with the factor that fits the *same* sets on the GPU that gpupack's
defaults are from. By that ratio the default is moved, the further the more sets there
are: few sets say little.
"""

from __future__ import annotations

import itertools
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import gpupack
from gpupack.errors import DeviceError, InvalidInputError, LoadPointError
from gpupack.given_numbers import real_number
from gpupack.planning import (
    DEFAULT_CONTENTION_FACTORS,
    HOST_CONTENTION_FACTOR,
    LAWS,
    PROCESSOR_SHARING,
    SHARING_SHAPES,
    MeasuredSet,
    fit_contention_factor,
    mean_absolute_error,
    measured_sets,
)
from gpupack.profiling import (
    LoadProcess,
    MeasureOptions,
    MpsDaemon,
    ServerOptions,
    write_reference_models,
)
from gpupack.quoting import quoted
from gpupack.records.calibration import Calibration, CalibrationMethod
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import DeviceKind
from gpupack.records.profile import LoadPoint
from gpupack.verifying.measurement import measure_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpupack.profiling import Device, InstallProgress
    from gpupack.records.colocation import CoLocation
    from gpupack.records.gpu import GpuType

DEFAULT_MINUTES = 5.0
REFERENCE_FACTORS = {SharingMode.TIME_SLICING: 1.08, SharingMode.MPS: 1.11}
"""What fits the reference models' sets on two H200: see
``benchmarks/results/reference_models_*.jsonl``."""
PRIOR_SETS = 20
"""The default counts as much as so many sets: two runs of 14 and 16 sets on two H200
differ by 1 % in turns, two of 5 and 7 under MPS by a third."""
LEAST_FACTOR = 0.05
MIN_SETS = 3
"""So many are measured, however little time is given."""
MAX_IDLE_PERCENT = 5.0
"""A GPU that is busier before anything was started is somebody else's."""
_POINT = LoadPoint(batch_size=1, concurrency=1)
_LOAD_TIMEOUT_S = 60.0
_IDLE_LOOK_S = 1.0
_OPTIONS = MeasureOptions(
    half_width_ratio=0.02,
    percentile=50.0,
    min_duration_s=0.9,
    max_duration_s=1.2,
    warm_up_s=0.2,
)


@dataclass(frozen=True)
class QuickCalibration:
    """What the reference models showed.

    Attributes:
        gpu_type: The device they ran on.
        calibrations: One for each way of sharing; none on the host.
        measurements: The models alone and in sets, by way of sharing.
        errors: By way of sharing, mean distance of the retentions predicted for the
            reference models, with the factor that fits them, from the measured ones.
    """

    gpu_type: GpuType
    calibrations: tuple[Calibration, ...]
    measurements: dict[SharingMode | None, tuple[CoLocation, ...]]
    errors: dict[SharingMode | None, float]

    def __str__(self) -> str:
        """Return one line for each way of sharing."""
        by_mode = {one.sharing_mode: one for one in self.calibrations}
        lines = []
        for mode, error in self.errors.items():
            num_sets = len(_sets_of(self.measurements[mode]))
            told = f"from {num_sets} sets of reference models, mean error "
            told += f"{100 * error:.1f} points"
            if mode is None:
                lines.append(
                    f"{self.gpu_type.name}: processes share its cores fairly, {told}; "
                    "there is nothing to calibrate"
                )
                continue
            default = DEFAULT_CONTENTION_FACTORS[mode]
            lines.append(
                f"{self.gpu_type.name}, {mode}: contention factor "
                f"{by_mode[mode].contention_factor:g} (default {default:g}) {told}"
            )
        return "\n".join(lines)


def quick_calibrate(
    *,
    server: ServerOptions | None = None,
    gpu: int | str | None = None,
    sharing: SharingMode | str | None = None,
    minutes: float = DEFAULT_MINUTES,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    install_progress: InstallProgress | None = None,
) -> QuickCalibration:
    """Measure the reference models on a GPU and fit its contention factor.

    Args:
        server: How the embedded server is started; its repository is gpupack's.
        gpu: The device, as for ``profile``.
        sharing: One way of sharing; None takes time slicing, and MPS too where its
            control program is installed.
        minutes: For all ways of sharing; at least three sets are measured of each.
        seed: Of the order of the sets.
        progress: Told what is being done.
        install_progress: Told about the installation of the embedded server.

    Raises:
        InvalidInputError: A time that is none, streams, a server that runs already,
            or MPS on the host.
        DeviceError: There is no GPU, or others use it.
        ServerError: The embedded server cannot be had, or a reference model failed.
    """
    time_s = 60 * (real_number(minutes) or 0.0)
    if not 0 < time_s < 24 * 3600:
        raise InvalidInputError(
            f"minutes is {quoted(minutes)}; give how long to measure, such as 5"
        )
    where = ServerOptions.of(server, gpu=gpu)
    if where.url is not None or where.model_repository is not None:
        raise InvalidInputError(
            "a quick calibration brings its own models and starts a server for them: "
            "leave the URL (--url) and the model repository (--model-repository) out"
        )
    device = where.device()
    modes = _ways_of_sharing(device, where, sharing)
    _require_idle(device)
    say = progress or (lambda text: None)
    measurements: dict[SharingMode | None, tuple[CoLocation, ...]] = {}
    with TemporaryDirectory(prefix="gpupack-reference-") as folder:
        on_gpu = device.gpu_type.kind is DeviceKind.GPU
        names = write_reference_models(Path(folder), on_gpu=on_gpu)
        where = replace(where, model_repository=folder)
        for mode in modes:
            measurements[mode] = tuple(
                _measure(
                    where,
                    names,
                    mode,
                    time_s=time_s / len(modes),
                    chance=random.Random(f"{seed}/{mode}"),
                    say=say,
                    install_progress=install_progress,
                )
            )
    calibrations: list[Calibration] = []
    errors: dict[SharingMode | None, float] = {}
    for mode, found in measurements.items():
        sets = _sets_of(found)
        if mode is None:
            errors[mode] = mean_absolute_error(
                sets, HOST_CONTENTION_FACTOR, PROCESSOR_SHARING
            )
            continue
        calibration = calibration_of(found, mode)
        calibrations.append(calibration)
        errors[mode] = calibration.mean_absolute_error_ratio or 0.0
    return QuickCalibration(device.gpu_type, tuple(calibrations), measurements, errors)


def calibration_of(
    measurements: Sequence[CoLocation], mode: SharingMode
) -> Calibration:
    """Return the calibration that measured reference models give."""
    sets = _sets_of(measurements)
    fitted, error = fit_contention_factor(sets, SHARING_SHAPES[mode])
    ratio = max(fitted, LEAST_FACTOR) / REFERENCE_FACTORS[mode]
    weight = len(sets) / (len(sets) + PRIOR_SETS)
    moved = DEFAULT_CONTENTION_FACTORS[mode] * ratio**weight
    of_gpu = measurements[0].environment
    return Calibration(
        gpu_type_name=measurements[0].gpu_type.name,
        sharing_mode=mode,
        contention_factor=round(moved, 4),
        law=LAWS[mode],
        num_sets=len(sets),
        method=CalibrationMethod.REFERENCE_MODELS,
        mean_absolute_error_ratio=error,
        environment=Environment(
            source="gpupack calibrate --quick",
            measured_at=datetime.now(UTC),
            gpupack_version=gpupack.__version__,
            sharing_mode=mode,
            gpu_uuid=of_gpu.gpu_uuid,
            driver_version=of_gpu.driver_version,
            server_name=of_gpu.server_name,
            server_version=of_gpu.server_version,
        ),
    )


def reference_sets(
    names: Sequence[str], chance: random.Random
) -> Iterator[tuple[str, ...]]:
    """Return sets of two to four models in random order, round by round, for ever."""
    sets = [
        one for size in (2, 3, 4) for one in itertools.combinations(sorted(names), size)
    ]
    # As many of each size: there are fewer pairs than sets of four.
    by_size = {size: [one for one in sets if len(one) == size] for size in (2, 3, 4)}
    while True:
        num = min(len(found) for found in by_size.values())
        drawn = [one for found in by_size.values() for one in chance.sample(found, num)]
        chance.shuffle(drawn)
        yield from drawn


def _ways_of_sharing(
    device: Device, where: ServerOptions, sharing: SharingMode | str | None
) -> tuple[SharingMode | None, ...]:
    wanted = SharingMode.parse(sharing) if isinstance(sharing, str) else sharing
    if device.gpu_type.kind is DeviceKind.HOST:
        if wanted is SharingMode.MPS:
            raise InvalidInputError(
                "MPS shares an NVIDIA GPU between processes, and the host is measured "
                "here: leave --sharing mps out, or name a GPU"
            )
        if where.gpu is None:
            raise DeviceError(
                "there is no NVIDIA GPU here to calibrate; run this on the machine "
                "with the GPU, or try it out on the host: --gpu host"
            )
        return (None,)
    if wanted is SharingMode.STREAMS:
        raise InvalidInputError(
            "the reference models are processes, which share a GPU by time slicing or "
            "MPS; streams are calibrated from what was measured of yours"
        )
    if wanted is not None:
        return (wanted,)
    if not MpsDaemon.is_installed():
        return (SharingMode.TIME_SLICING,)
    return SharingMode.TIME_SLICING, SharingMode.MPS


def _require_idle(device: Device) -> None:
    """Refuse a GPU that others use: what they do would be taken for its nature.

    Raises:
        DeviceError: Others have processes on it, or keep it busy.
    """
    if device.gpu_type.kind is DeviceKind.HOST:
        return
    strangers = device.foreign_processes(())
    if strangers:
        raise DeviceError(
            f"others use {device.gpu_type.name}: {'; '.join(strangers)}. What they do "
            "would be taken for the GPU's nature: end them, or name another GPU with "
            "--gpu"
        )
    with device.sampler() as sampler:
        time.sleep(_IDLE_LOOK_S)
        busy_percent = sampler.readings().gpu_utilization_mean_percent
    if busy_percent is not None and busy_percent > MAX_IDLE_PERCENT:
        raise DeviceError(
            f"{device.gpu_type.name} is {busy_percent:.0f} % busy before anything was "
            "started: somebody else uses it, though their processes cannot be seen "
            "from here. Wait until it is idle, or name another GPU with --gpu"
        )


def _measure(
    where: ServerOptions,
    names: Sequence[str],
    mode: SharingMode | None,
    *,
    time_s: float,
    chance: random.Random,
    say: Callable[[str], None],
    install_progress: InstallProgress | None,
) -> Iterator[CoLocation]:
    """Measure each model alone, sets until the time is over, and each alone again."""
    deadline_s = time.monotonic() + time_s
    way = "on the host" if mode is None else f"{mode}".replace("_", " ")
    with ExitStack() as stack:
        session = where.session(stack, sharing=mode, install_progress=install_progress)
        probe = session.kernel_probe()
        stack.enter_context(session)
        # One after the other: each times its kernels while it has the GPU for itself.
        for name in names:
            say(f"{way}: loading {name}")
            session.server.load(name, timeout_s=_LOAD_TIMEOUT_S)
        processes = {
            name: stack.enter_context(LoadProcess(session.server.url)) for name in names
        }

        def measured(label: str, members: Sequence[str]) -> CoLocation:
            told = ", ".join(one.removeprefix("reference_") for one in members)
            say(f"{way}: {told} {label}")
            try:
                return measure_set(
                    session.server,
                    [(name, _POINT) for name in members],
                    device=session.device,
                    sharing_mode=mode,
                    label=label,
                    options=_OPTIONS,
                    server_pid=session.server_pid,
                    processes=processes,
                    probe=probe if label == "alone" and first else None,
                )
            except LoadPointError as err:
                raise LoadPointError(
                    session.explain(str(err)),
                    stage=err.stage,
                    model_name=err.model_name,
                ) from err

        first = True
        begin_s = time.monotonic()
        yield from [measured("alone", [name]) for name in names]
        first = False
        again_s = (time.monotonic() - begin_s) if probe is None else 1.6 * len(names)
        for number, members in enumerate(reference_sets(names, chance)):
            if number >= MIN_SETS and time.monotonic() + again_s > deadline_s:
                break
            yield measured("together", members)
        # The faster reading of the two counts, see ``measured_sets``.
        yield from [measured("alone", [name]) for name in names]


def _sets_of(measurements: Sequence[CoLocation]) -> list[MeasuredSet]:
    return measured_sets(measurements)
