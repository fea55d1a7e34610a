"""The command line on a machine whose NVIDIA driver is the tests' stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpupack import place
from gpupack.importers.reader import read_profiles
from gpupack.profiling.sweep.exports import INFERENCE_FILE, SERVER_FILE
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import DeviceKind
from gpupack.store import read_profile_file, write_placement
from tests.profiling.embedded.test_mps import stand_in
from tests.profiling.nvml_standin import MIB, SYSTEM, compile_standin, quiet_gpu
from tests.profiling.served_models import write_model

pytestmark = pytest.mark.triton

STRANGER_PID = 999_999_901


@dataclass(frozen=True)
class StandinHost:
    """Runs gpupack in processes that find the stand-in where a driver would be."""

    library_folder: Path
    repository: Path

    def profile(
        self, folder: Path, *options: str, **numbers: int
    ) -> subprocess.CompletedProcess[str]:
        """Profile one model; ``numbers`` are the GPU's, over a quiet 80-GiB one."""
        busy = {"gpu_utilization": 30, "memory_utilization": 4}
        return self.run(
            folder,
            *("profile", "--embedded", "-q"),
            *("--model-repository", str(self.repository), "--models", "sleeper"),
            *("--batch", "2", "--concurrency", "1"),
            *("--store", str(folder / "store.jsonl")),
            *("--export-path", str(folder / "tables")),
            *options,
            **quiet_gpu(**(busy | numbers)),
        )

    def run(
        self, folder: Path, *arguments: str, **numbers: int
    ) -> subprocess.CompletedProcess[str]:
        """Run a gpupack command beside one GPU with these numbers."""
        lines = [f"0 {key} {value}" for key, value in numbers.items()]
        lines += [f"{SYSTEM} count 1", f"{SYSTEM} stranger_pid {STRANGER_PID}"]
        table = folder / "gpu.txt"
        table.write_text("\n".join(lines))
        return subprocess.run(
            [sys.executable, "-m", "gpupack", *arguments],
            env=os.environ
            | {
                "LD_LIBRARY_PATH": str(self.library_folder),
                "NVML_STANDIN": str(table),
                "CUDA_VISIBLE_DEVICES": "0",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def host(
    installed: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> StandinHost:
    library = compile_standin(tmp_path_factory.mktemp("driver"))
    cuda = Path(__file__).parents[1] / "cuda_standin.c"
    compile_standin(library.parent, source=cuda, soname="libcuda.so.1")
    return StandinHost(library.parent, repository)


def test_a_sweep_on_a_gpu_gives_gpu_records_and_tables_that_read_back(
    host: StandinHost, tmp_path: Path
) -> None:
    done = host.profile(tmp_path)

    assert done.returncode == 0, done.stderr
    profiles = read_profile_file(tmp_path / "store.jsonl")
    (record,) = profiles.records
    (baseline,) = profiles.baselines
    assert record.gpu_type.kind is DeviceKind.GPU
    assert record.gpu_type.name == "NVIDIA Stand-in 80GB"
    assert record.gpu_utilization_percent == 30
    assert record.power_mean_watts == 90
    assert record.gpu_memory_used_bytes == baseline.gpu_memory_used_bytes == 700 * MIB
    assert record.environment.driver_version == "580.159.04"
    # This one is older than Hopper, and counts no energy.
    assert "Hopper" in record.missing["sm_utilization_percent"]
    assert "does not support" in record.missing["energy_joules"]
    again = read_profiles(tmp_path / "tables")
    assert again.records[0].key == record.key
    assert again.records[0].throughput_infer_per_sec == record.throughput_infer_per_sec
    assert again.baselines[0].gpu_memory_used_bytes == 700 * MIB
    assert (tmp_path / "tables" / SERVER_FILE).is_file()
    assert (tmp_path / "tables" / INFERENCE_FILE).is_file()


MEMORY = ("gpu_memory_used_bytes",)
UTILIZATION = (
    "gpu_utilization_percent",
    "gpu_utilization_mean_percent",
    "memory_utilization_percent",
    "memory_utilization_mean_percent",
)


@pytest.mark.parametrize(
    ("numbers", "missing", "reason"),
    [
        ({"gpu_utilization": 37, "memory_utilization": 5}, MEMORY, "unified memory"),
        (
            {
                "gpu_utilization": 37,
                "memory_utilization": 5,
                "memory_total": 0,
                "memory_used": 0,
            },
            MEMORY,
            "unified memory",
        ),
        (
            {"memory_total": 16 * 1024 * MIB, "memory_used": 1024 * MIB},
            UTILIZATION,
            "does not support this",
        ),
    ],
    ids=["no memory", "memory of 0 bytes", "no utilization"],
)
def test_a_reading_that_the_gpu_lacks_is_missing_with_its_reason_and_no_other(
    host: StandinHost,
    tmp_path: Path,
    numbers: dict[str, int],
    missing: tuple[str, ...],
    reason: str,
) -> None:
    store = tmp_path / "store.jsonl"

    done = host.run(
        tmp_path,
        *("profile", "-q", "--models", "sleeper", "--store", str(store)),
        *("--model-repository", str(host.repository), "--batch", "1"),
        *("--concurrency", "1", "--min-seconds", "0.3", "--max-seconds", "0.3"),
        **{"power_mw": 11_000, "num_processes": 0, "mig": 0, **numbers},
    )

    assert done.returncode == 0, done.stderr
    (record,) = read_profile_file(store).records
    assert record.throughput_infer_per_sec > 0
    assert record.power_mean_watts == 11
    for name in (*MEMORY, *UTILIZATION):
        assert (getattr(record, name) is None) == (name in missing)
    for name in missing:
        assert reason in record.missing[name]


def test_a_stranger_on_the_gpu_is_named_and_under_strict_refused(
    host: StandinHost, tmp_path: Path
) -> None:
    stranger = {"num_processes": 1, "pid0": STRANGER_PID, "pid0_used": 512 * MIB}
    named = f"pid {STRANGER_PID}, /usr/bin/train, 512 MiB"

    done = host.profile(tmp_path, "--strict", **stranger)

    assert done.returncode == 2
    assert named in " ".join(done.stderr.split())
    store = tmp_path / "store.jsonl"
    assert not store.exists() or not read_profile_file(store).records


def test_a_gpu_that_is_not_there_is_bad_input(
    host: StandinHost, tmp_path: Path
) -> None:
    done = host.profile(tmp_path, "--gpu", "3")

    assert done.returncode == 2
    assert "GPU '3' does not exist" in " ".join(done.stderr.split())


def test_models_run_on_the_gpu_that_is_watched_also_when_none_was_named(
    host: StandinHost, tmp_path: Path
) -> None:
    seen = tmp_path / "seen.txt"
    write_model(
        tmp_path / "models",
        "witness",
        initialize=f"open({str(seen)!r}, 'w').write("
        "os.environ['CUDA_VISIBLE_DEVICES'])",
    )

    done = host.profile(
        tmp_path,
        *("--model-repository", str(tmp_path / "models"), "--models", "witness"),
        *("--max-seconds", "0.3"),
    )

    assert done.returncode == 0, done.stderr
    (record,) = read_profile_file(tmp_path / "store.jsonl").records
    assert seen.read_text() == record.environment.gpu_uuid


def test_mps_is_a_daemon_for_the_measured_gpu_under_the_server(
    host: StandinHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, repository = tmp_path / "bin", tmp_path / "models"
    programs.mkdir()
    # Each writes down what it was started with.
    keep = "Path({!r}).write_text(json.dumps(dict(os.environ)))"
    of_daemon, of_model = tmp_path / "daemon.json", tmp_path / "model.json"
    stand_in(programs, before=f"import json; {keep.format(str(of_daemon))}")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    write_model(
        repository,
        "witness",
        initialize="import json; from pathlib import Path; "
        + keep.format(str(of_model)),
    )

    done = host.profile(
        tmp_path,
        *("--model-repository", str(repository), "--models", "witness"),
        *("--gpu", "0", "--sharing", "mps", "--loads", "1"),
    )

    assert done.returncode == 0, done.stderr
    (record,) = read_profile_file(tmp_path / "store.jsonl").records
    assert record.environment.sharing_mode is SharingMode.MPS
    # The probe is a client of the same daemon, once the model was measured.
    assert record.probe is not None
    assert record.probe.single_kernel.alone_us == pytest.approx(20)
    assert not any("probe" in one for one in record.warnings)
    daemon, model = (json.loads(path.read_text()) for path in (of_daemon, of_model))
    assert model["CUDA_MPS_PIPE_DIRECTORY"] == daemon["CUDA_MPS_PIPE_DIRECTORY"]
    # By UUID: under a daemon that sees one GPU only, its index would be another.
    uuid = record.environment.gpu_uuid
    assert model["CUDA_VISIBLE_DEVICES"] == daemon["CUDA_VISIBLE_DEVICES"] == uuid
    assert not Path(daemon["CUDA_MPS_PIPE_DIRECTORY"]).exists()

    for path in (of_daemon, of_model):
        path.unlink()
    placement = tmp_path / "placement.json"
    profiles = read_profile_file(tmp_path / "store.jsonl")
    promised = place(profiles, sharing="mps", allow_unstable=True)
    write_placement(promised, placement)
    verified = host.run(
        tmp_path,
        *("verify", str(placement), "--model-repository", str(repository)),
        *("--gpu", "0", "--max-seconds", "0.5", "--tolerance", "0.9"),
        memory_total=81920 * MIB,
        memory_used=700 * MIB,
        gpu_utilization=30,
        memory_utilization=4,
    )
    assert verified.returncode == 0, verified.stderr + verified.stdout
    daemon, model = (json.loads(path.read_text()) for path in (of_daemon, of_model))
    assert model["CUDA_MPS_PIPE_DIRECTORY"] == daemon["CUDA_MPS_PIPE_DIRECTORY"]
    assert model["CUDA_VISIBLE_DEVICES"] == daemon["CUDA_VISIBLE_DEVICES"] == uuid

    without = host.profile(
        tmp_path,
        *("--model-repository", str(repository), "--models", "witness"),
        *("--store", str(tmp_path / "without.jsonl")),
        *("--gpu", "0", "--sharing", "mps", "--no-probe"),
    )
    assert without.returncode == 0, without.stderr
    (record,) = read_profile_file(tmp_path / "without.jsonl").records
    assert record.probe is None

    for sharing, told in (
        (["--sharing", "time_slicing"], "shared through mps, this sweep is through"),
        ([], "shared through mps, this sweep names no --sharing"),
    ):
        mixed = host.profile(
            tmp_path,
            *("--model-repository", str(repository), "--models", "witness"),
            *sharing,
        )
        assert mixed.returncode == 2
        assert told in mixed.stderr


def test_held_back_clocks_are_in_the_record_and_in_a_verification(
    host: StandinHost, tmp_path: Path
) -> None:
    clocks = {"sm_clock": 900, "sm_clock_most": 1980, "slowdowns": 0x40}
    run = host.profile(tmp_path, "--min-seconds=0.2", "--max-seconds=0.4", **clocks)
    assert run.returncode == 0, run.stderr
    (record,) = read_profile_file(tmp_path / "store.jsonl").records
    (told,) = [one for one in record.warnings if "clocks" in one]
    assert "100% of the measurement by its temperature (hardware)" in told
    assert "SM clock 900 of at most 1,980 MHz" in told
    path = tmp_path / "placement.json"
    write_placement(
        place(read_profiles(tmp_path / "store.jsonl"), allow_unstable=True),
        path,
    )
    numbers = {
        "memory_total": 81920 * MIB,
        "memory_used": 700 * MIB,
        "gpu_utilization": 30,
        "memory_utilization": 4,
        "mig": 0,
        "num_processes": 1,
        "pid0": STRANGER_PID,
        "pid0_used": 300 * MIB,
    }
    verified = host.run(
        tmp_path,
        *("verify", str(path), "--model-repository", str(host.repository)),
        *("--max-seconds=1", "--tolerance=0.9"),
        **(numbers | clocks),
    )
    text = " ".join(verified.stdout.split())
    assert "alone: the GPU's clocks were held back in 100% of the measurement" in text
    assert "/usr/bin/train, 300 MiB" in text
    assert "of 1 rounds)" in text or "of 2 rounds)" in text or "of 3 rounds)" in text
