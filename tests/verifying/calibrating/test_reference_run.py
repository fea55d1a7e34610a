"""A GPU calibrated with the models that come with gpupack."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

import gpupack
from gpupack.errors import DeviceError, InvalidInputError
from gpupack.planning.contention.calibration import MeasuredSet, SoloBehavior
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    SHARING_SHAPES,
)
from gpupack.profiling.reference_models import REFERENCE_MODELS
from gpupack.profiling.session.server_options import ServerOptions
from gpupack.records.calibration import CalibrationMethod
from gpupack.records.colocation import CoLocatedModel, CoLocation
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint
from gpupack.store import read_profile_file
from gpupack.verifying.calibrating import (
    PRIOR_SETS,
    REFERENCE_FACTORS,
    calibration_of,
    quick_calibrate,
    reference_sets,
)
from tests.cli.test_place_command import run
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)
from tests.profiling.nvml_standin import MIB, SYSTEM, compile_standin, quiet_gpu

NAMES = [one.name for one in REFERENCE_MODELS]
POINT = LoadPoint(batch_size=1, concurrency=1)
T4 = GpuType(name="Tesla T4", memory_bytes=15360 * MIB)
NO_FILE = ("calibrate", "--quick", "--profiles")
STRANGER_PID = 999_999_901
CUDA_SOURCE = Path(__file__).parents[2] / "profiling" / "cuda_reference_standin.c"


def measured(rates: dict[str, float], label: str) -> CoLocation:
    return CoLocation.with_reason(
        "not read",
        label=label,
        models=tuple(
            CoLocatedModel(
                model_name=name,
                load_point=POINT,
                throughput_infer_per_sec=rate,
                is_stable=True,
            )
            for name, rate in rates.items()
        ),
        gpu_type=T4,
        gpu_utilization_mean_percent=60.0,
        environment=Environment(
            source="test",
            measured_at=datetime(2026, 1, 1, tzinfo=UTC),
            sharing_mode=SharingMode.TIME_SLICING,
        ),
    )


def measured_with(factor: float, num_rounds: int) -> list[CoLocation]:
    """Return models alone and pairs of them, as this factor makes them fare."""
    shape = SHARING_SHAPES[SharingMode.TIME_SLICING]
    alone = dict(zip("abcd", (100.0, 200.0, 300.0, 400.0), strict=True))
    found = [measured({name: rate}, "alone") for name, rate in alone.items()]
    for _ in range(num_rounds):
        for first, second in ("ab", "bc", "cd", "ad"):
            pair = tuple(SoloBehavior(alone[one], 0.6, 1) for one in (first, second))
            kept = MeasuredSet((), pair, ()).predicted(factor, shape)
            rates = {
                one: alone[one] * share
                for one, share in zip((first, second), kept, strict=True)
            }
            found.append(measured(rates, "together"))
    return found


@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_the_default_moves_by_how_the_gpu_compares_with_the_reference(
    stretch: float,
) -> None:
    mode = SharingMode.TIME_SLICING
    num_rounds = PRIOR_SETS // 4  # as many sets as the default counts for
    found = calibration_of(
        measured_with(stretch * REFERENCE_FACTORS[mode], num_rounds), mode
    )

    expected = DEFAULT_CONTENTION_FACTORS[mode] * stretch**0.5
    assert found.contention_factor == pytest.approx(expected, rel=0.02)
    assert found.method is CalibrationMethod.REFERENCE_MODELS
    assert found.num_sets == PRIOR_SETS
    assert found.gpu_type_name == "Tesla T4"


def test_few_sets_move_the_default_less_than_many() -> None:
    mode = SharingMode.TIME_SLICING
    few, many = (
        calibration_of(measured_with(2 * REFERENCE_FACTORS[mode], num), mode)
        for num in (1, 12)
    )
    default = DEFAULT_CONTENTION_FACTORS[mode]
    assert default < few.contention_factor < many.contention_factor < 2 * default


def test_sets_of_every_size_come_equally_often_and_in_no_order() -> None:
    drawn = list(islice(reference_sets(NAMES, random.Random(1)), 63))

    assert Counter(map(len, drawn)) == {2: 21, 3: 21, 4: 21}
    assert len(set(drawn)) == len(drawn)
    assert [len(one) for one in drawn] != sorted(len(one) for one in drawn)


@pytest.mark.triton
def test_on_the_host_the_models_run_alone_and_together_and_nothing_is_stored(
    installed: None,  # noqa: F811
) -> None:
    told: list[str] = []
    found = quick_calibrate(gpu="host", minutes=0.01, progress=told.append)

    measurements = found.measurements[None]
    labels = Counter(one.label for one in measurements)
    assert labels == {"alone": 2 * len(NAMES), "together": 3}
    assert all(
        model.throughput_infer_per_sec for one in measurements for model in one.models
    )
    assert found.calibrations == ()
    assert "nothing to calibrate" in str(found)
    assert told[0] == f"on the host: loading {NAMES[0]}"


@dataclass(frozen=True)
class StandinGpu:
    """Runs ``gpupack calibrate --quick`` beside a GPU that is the tests' stand-in."""

    library_folder: Path

    def calibrate(
        self, folder: Path, *options: str, wrong: bool = False, **numbers: int
    ) -> subprocess.CompletedProcess[str]:
        lines = [f"0 {key} {value}" for key, value in quiet_gpu(**numbers).items()]
        lines += [f"{SYSTEM} count 1", f"{SYSTEM} stranger_pid {STRANGER_PID}"]
        (folder / "gpu.txt").write_text("\n".join(lines))
        command = (*NO_FILE, str(folder / "new.jsonl"), "--minutes", "0.01", "-q")
        return subprocess.run(
            [sys.executable, "-m", "gpupack", *command, *options],
            env=os.environ
            | {
                "LD_LIBRARY_PATH": str(self.library_folder),
                "NVML_STANDIN": str(folder / "gpu.txt"),
                "CUDA_VISIBLE_DEVICES": "0",
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            }
            | ({"CUDA_STANDIN_WRONG": "1"} if wrong else {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def gpu(installed: None, tmp_path_factory: pytest.TempPathFactory) -> StandinGpu:  # noqa: F811
    library = compile_standin(tmp_path_factory.mktemp("driver"))
    compile_standin(library.parent, source=CUDA_SOURCE, soname="libcuda.so.1")
    return StandinGpu(library.parent)


@pytest.mark.triton
def test_what_a_gpu_shows_is_stored_where_place_finds_it(
    gpu: StandinGpu, tmp_path: Path
) -> None:
    done = gpu.calibrate(tmp_path, "--sharing", "time_slicing")

    assert done.returncode == 0, done.stderr
    assert "from 3 sets of reference models" in done.stdout
    profiles = read_profile_file(tmp_path / "new.jsonl")
    (calibration,) = profiles.calibrations
    assert calibration.sharing_mode is SharingMode.TIME_SLICING
    assert f"contention factor {calibration.contention_factor:g}" in done.stdout
    assert calibration.num_sets == 3
    medical = gpupack.load_example("medical")
    renamed = calibration.model_copy(
        update={"gpu_type_name": medical.records[0].gpu_type.name}
    )
    placement = gpupack.place(
        medical.model_copy(update={"calibrations": (renamed,)}),
        min_retention=0.5,
    )
    (basis,) = placement.predicted_by.values()
    assert basis == "calibrated on this GPU type (3 sets of reference models)"
    assert f"predicted by: {basis}" in str(placement)


@pytest.mark.triton
@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"num_processes": 1, "pid0": STRANGER_PID, "pid0_used": MIB}, "others use"),
        ({"gpu_utilization": 30}, "is 30 % busy before anything was started"),
    ],
)
def test_a_gpu_that_others_use_is_refused_before_anything_is_stored(
    gpu: StandinGpu, tmp_path: Path, numbers: dict[str, int], told: str
) -> None:
    done = gpu.calibrate(tmp_path, **numbers)

    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "--gpu" in done.stderr
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.triton
def test_a_gpu_that_computes_wrongly_is_told(gpu: StandinGpu, tmp_path: Path) -> None:
    done = gpu.calibrate(tmp_path, "--sharing", "time_slicing", wrong=True)

    assert done.returncode == 2
    assert "the perceptron of gpupack's own computes something else" in " ".join(
        done.stderr.split()
    )
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--quick",), "there is no NVIDIA GPU here to calibrate"),
        (("--quick", "--gpu", "host", "--sharing", "mps"), "leave --sharing mps out"),
        (("--quick", "--gpu", "host", "--minutes", "-1"), "minutes is -1"),
        (("some.jsonl", "--quick"), "leave the file 'some.jsonl' out"),
        (("some.jsonl", "--minutes", "2"), "--minutes is for --quick"),
        (("some.jsonl", "--gpu", "0"), "--gpu is for --quick"),
        ((), "or --quick to measure models that come with gpupack"),
    ],
)
def test_what_cannot_be_calibrated_is_told_with_the_way_out(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = run("calibrate", *arguments, "--profiles", str(tmp_path / "new.jsonl"))

    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not (tmp_path / "new.jsonl").exists()


def test_a_file_that_cannot_be_written_is_told_before_minutes_are_spent() -> None:
    done = run(*NO_FILE, "/proc/none.jsonl", "--gpu", "host")

    assert done.returncode == 2
    assert "cannot write '/proc/none.jsonl'" in " ".join(done.stderr.split())


def test_a_running_server_has_no_place_in_a_quick_calibration() -> None:
    with pytest.raises(InvalidInputError, match="brings its own models"):
        quick_calibrate(server=ServerOptions(url="http://localhost:8000"), gpu="host")


def test_a_host_without_a_gpu_is_named_only_when_it_was_asked_for() -> None:
    with pytest.raises(DeviceError, match="--gpu host"):
        quick_calibrate()
