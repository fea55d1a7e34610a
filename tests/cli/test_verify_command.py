"""``gpupack verify`` as a person meets it: what it takes, and what stops it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gpupack
from gpupack.records.gpu import DeviceKind, GpuType
from gpupack.store import read_verifications, write_placement
from tests.factories import MIB, make_baseline, make_profiles, make_record
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)
from tests.profiling.served_models import write_model

QUICK = ["--max-seconds=0.8", "--precision=10", "--percentile=50"]
HOST = GpuType(name="host", memory_bytes=1000 * MIB, kind=DeviceKind.HOST)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gpupack", "verify", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False
    )


def write_placed(folder: Path, *names: str, memory_mib: int = 100) -> Path:
    """A placement that promises one infer/sec of each model."""
    records = [
        make_record(
            name,
            gpu_type=HOST,
            throughput_infer_per_sec=1.0,
            gpu_memory_used_bytes=memory_mib * MIB,
        )
        for name in names
    ]
    profiles = make_profiles(*records)
    profiles = profiles.model_copy(update={"baselines": (make_baseline(0, HOST),)})
    path = folder / "placement.json"
    write_placement(gpupack.place(profiles), path)
    return path


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_a_dynamic_input_needs_its_shape_and_quiet_is_quiet(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "dynamic", dims="[ -1, 4 ]")
    path = write_placed(tmp_path, "dynamic")
    arguments = [str(path), f"--model-repository={tmp_path / 'models'}", *QUICK]

    without = run(*arguments)
    assert without.returncode == 2
    assert "--shape" in without.stderr

    done = run(*arguments, "--shape=dynamic/X:3,4", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_optional_inputs_are_filled_as_they_were_when_profiled(tmp_path: Path) -> None:
    write_model(
        tmp_path / "models",
        "choosy",
        execute="""if pb_utils.get_input_tensor_by_name(request, "Z") is None:
                raise ValueError("Z is missing")""",
        extra='input [{ name: "Z" data_type: TYPE_FP32 dims: [ 4 ] optional: true }]',
    )
    path = write_placed(tmp_path, "choosy")
    arguments = [str(path), f"--model-repository={tmp_path / 'models'}", *QUICK]

    left_out = run(*arguments)
    assert left_out.returncode == 4
    assert "Z is missing" in left_out.stdout + left_out.stderr

    assert run(*arguments, "--fill-optional").returncode == 0


@pytest.mark.triton
@pytest.mark.usefixtures("installed")
def test_an_interrupted_verification_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_model(tmp_path / "models", name, execute="time.sleep(0.002)")
    path = write_placed(tmp_path, "first", "second", memory_mib=700)
    store = tmp_path / "verified.jsonl"
    arguments = [
        *(str(path), f"--model-repository={tmp_path / 'models'}"),
        *(f"--store={store}", *QUICK),
    ]
    started = subprocess.Popen(
        command(*arguments),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A test run in the background may have inherited that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (store.exists() and store.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=60)
    assert started.returncode == 130
    assert f"every finished GPU is in {store}" in told.replace("\n", " ")
    (finished,) = read_verifications(store)

    again = run(*arguments)
    assert again.returncode == 0
    assert "every promise was kept" in again.stdout
    assert read_verifications(store)[0] == finished
    assert [one.gpu_index for one in read_verifications(store)] == [0, 1]


def test_options_that_cannot_be_used_are_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "models" / "first").mkdir(parents=True)
    (tmp_path / "models" / "first" / "config.pbtxt").touch()
    path = write_placed(tmp_path, "first")
    for option, told in (
        ("--max-seconds=0", "--max-seconds 0: give a number above 0"),
        ("--shape=X", "give NAME:SIZES"),
        ("--batch-dim=x", "give a whole number from 0, or none"),
        ("--stability=confidence", "No such option: --stability"),
        ("--window-seconds=5", "No such option: --window-seconds"),
        ("--data=nowhere.npz", "there is no file"),
        ("--tls-insecure", "leave them out"),
    ):
        done = run(str(path), f"--model-repository={tmp_path / 'models'}", option)
        assert done.returncode == 2, option
        assert told in done.stderr.replace("\n", " "), option
