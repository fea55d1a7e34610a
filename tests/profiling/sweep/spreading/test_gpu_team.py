"""A sweep over two GPUs of the stand-in driver, each with a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gpupack.store import read_profile_file
from tests.profiling.nvml_standin import MIB, SYSTEM, compile_standin
from tests.profiling.served_models import write_model

pytestmark = [
    pytest.mark.triton,
    pytest.mark.usefixtures("installed"),
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2, reason="two GPUs need two cores"
    ),
]

STRANGER_PID = 999_999_901
QUIET_GPU = {
    "memory_total": 81920 * MIB,
    "memory_used": 700 * MIB,
    "gpu_utilization": 30,
    "memory_utilization": 4,
    "power_mw": 90_000,
    "num_processes": 0,
    "mig": 0,
}
WHERE = """with open({folder!r} + "/" + str(os.getpid()), "w") as file:
                cores = sorted(os.sched_getaffinity(0))
                file.write(f"{{os.environ['CUDA_VISIBLE_DEVICES']}} {{cores}}")
            time.sleep(0.004)"""
LOCKED = """import fcntl
            with open({path!r}, "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                time.sleep(0.01)"""
QUICK = (
    *("--batch", "1", "--concurrency", "1"),
    *("--min-seconds", "0.3", "--max-seconds", "0.3", "--warm-up", "0"),
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_standin(tmp_path_factory.mktemp("driver")).parent


class TwoGpus:
    """Runs gpupack in processes that see two GPUs."""

    def __init__(self, library: Path, folder: Path, **second: int) -> None:
        self.folder = folder
        self.repository = folder / "models"
        self.store = folder / "store.jsonl"
        self._library = library
        lines = [f"{SYSTEM} count 2", f"{SYSTEM} stranger_pid {STRANGER_PID}"]
        for index, numbers in enumerate((QUIET_GPU, QUIET_GPU | second)):
            lines += [f"{index} {key} {value}" for key, value in numbers.items()]
        (folder / "gpus.txt").write_text("\n".join(lines))

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [
            *(sys.executable, "-m", "gpupack", "-v", "profile", "-q"),
            *("--model-repository", str(self.repository)),
            *("--store", str(self.store), *QUICK, *options),
        ]
        environment = os.environ | {
            "LD_LIBRARY_PATH": str(self._library),
            "NVML_STANDIN": str(self.folder / "gpus.txt"),
        }
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        return subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, text=True
        )

    def run(self, *options: str) -> tuple[int, str]:
        with self.start(*options) as process:
            _, told = process.communicate(timeout=120)
        return process.returncode, " ".join(told.split())


def test_two_gpus_share_a_sweep_on_cores_of_their_own(
    library: Path, tmp_path: Path
) -> None:
    host = TwoGpus(library, tmp_path)
    seen = tmp_path / "seen"
    seen.mkdir()
    names = ["one", "two", "three", "four"]
    for name in names:
        write_model(host.repository, name, execute=WHERE.format(folder=str(seen)))

    code, told = host.run("--gpus", "0,1", "--concurrency", "1,2")

    assert code == 0, told
    profiles = read_profile_file(host.store)
    measured = [(one.model_name, str(one.load_point)) for one in profiles.records]
    assert sorted(measured) == sorted(
        (name, point) for name in names for point in ("1x1", "1x2")
    )
    assert len(profiles.baselines) == 1
    assert {one.environment.gpu_index for one in profiles.records} == {0, 1}
    assert "the control point" in told
    cores: dict[str, set[str]] = {}
    for path in seen.iterdir():
        gpu, _, text = path.read_text().partition(" ")
        cores.setdefault(gpu, set()).add(text)
    # Each GPU's models ran on one set of cores, and no core is in both.
    assert len(cores) == 2
    assert all(len(sets) == 1 for sets in cores.values())
    first, second = (set(json.loads(next(iter(one)))) for one in cores.values())
    assert first.isdisjoint(second)

    content = host.store.read_bytes()
    again, _ = host.run("--gpus", "0,1", "--concurrency", "1,2")
    assert again == 0
    assert host.store.read_bytes() == content


def test_gpus_that_disturb_each_other_are_told(library: Path, tmp_path: Path) -> None:
    host = TwoGpus(library, tmp_path)
    lock = LOCKED.format(path=str(tmp_path / "lock"))
    for name in ("one", "two", "three"):
        write_model(host.repository, name, execute=lock)

    code, told = host.run("--gpus", "0,1", "--max-seconds", "1", "--min-seconds", "1")

    assert code == 0, told
    assert "the GPUs disturb each other" in told
    profiles = read_profile_file(host.store)
    warned = [
        one
        for one in profiles.records
        if any("measure fewer at once" in text for text in one.warnings)
    ]
    # All but the control point, which was measured alone.
    assert len(warned) == len(profiles.records) - 1 == 2


def test_a_gpu_that_others_slow_down_is_told_apart(
    library: Path, tmp_path: Path
) -> None:
    host = TwoGpus(
        library, tmp_path, num_processes=1, pid0=STRANGER_PID, pid0_used=512 * MIB
    )
    # A model's process is confined to its GPU's cores: the second GPU has the last.
    last = max(os.sched_getaffinity(0))
    slow = f"time.sleep(0.08 if {last} in os.sched_getaffinity(0) else 0.02)"
    for name in ("one", "two", "three"):
        write_model(host.repository, name, execute=slow)

    code, told = host.run("--gpus", "0,1", "--max-seconds", "1", "--min-seconds", "1")

    assert code == 0, told
    assert "others slow GPU 1 down" in told
    for one in read_profile_file(host.store).records:
        is_warned = any("others slow GPU 1 down" in text for text in one.warnings)
        assert is_warned == (one.environment.gpu_index == 1)


def test_a_gpu_that_others_use_is_left_out_and_the_other_goes_on(
    library: Path, tmp_path: Path
) -> None:
    host = TwoGpus(
        library, tmp_path, num_processes=1, pid0=STRANGER_PID, pid0_used=512 * MIB
    )
    for name in ("one", "two", "three"):
        write_model(host.repository, name)

    code, told = host.run("--gpus", "0,1", "--strict")

    assert code == 0, told
    assert "GPU 1 is left out" in told
    assert "other processes use the GPU" in told
    profiles = read_profile_file(host.store)
    assert {one.model_name for one in profiles.records} == {"one", "two", "three"}
    assert {one.environment.gpu_index for one in profiles.records} == {0}


def test_the_points_of_a_killed_process_are_measured_on_another_gpu(
    library: Path, tmp_path: Path
) -> None:
    host = TwoGpus(library, tmp_path)
    names = [f"model_{number}" for number in range(5)]
    for name in names:
        write_model(host.repository, name, execute="time.sleep(0.003)")

    with host.start("--gpus", "0,1") as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            host.store.is_file() and host.store.read_bytes().count(b"\n") >= 3
        ):
            time.sleep(0.05)
        workers = [
            child
            for child in psutil.Process(process.pid).children()
            if "gpu_worker" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        os.kill(workers[1].pid, signal.SIGKILL)
        _, told = process.communicate(timeout=120)

    assert process.returncode == 0, told
    assert "GPU 1 is left out" in " ".join(told.split())
    profiles = read_profile_file(host.store)
    assert sorted(one.model_name for one in profiles.records) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gpus", "0,0"), "named twice"),
        (("--gpus", "0,host"), "the host is measured alone"),
        (("--gpus", "0,7"), "GPU"),
        (("--gpus", ","), "name at least one"),
        (("--gpus", "0,1", "--gpu", "0"), "give it once"),
    ],
)
def test_gpus_that_cannot_share_a_sweep_are_refused(
    library: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    host = TwoGpus(library, tmp_path)
    write_model(host.repository, "one")

    code, told = host.run(*options)

    assert code == 2
    assert message in told
