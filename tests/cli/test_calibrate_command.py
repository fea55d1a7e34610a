"""``gpupack calibrate`` given files of another kind."""

from pathlib import Path

import pytest

import gpupack
from gpupack.records.running.verification import GpuVerification
from gpupack.store import append_verification
from tests.cli.test_place_command import run
from tests.importers.test_colocations import ALONE, GPU_ALONE, TOGETHER
from tests.importers.test_model_analyzer import SERVER, write_export

HOW_TO_MAKE_ONE = "gpupack verify placement.json --model-repository models/ --store"
MEDICAL = gpupack.load_example("medical")
TABLE = (
    "model_name,batch_size,concurrency,throughput_infer_per_sec,gpu_memory_used_mib\n"
    ",,,,300\na,1,1,10,500"
)


def write_some(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.file"
    if kind == "table":
        path.write_text(TABLE)  # its last line does not end
    elif kind == "profiles":
        gpupack.write_profiles(MEDICAL, path)
    elif kind == "placement":
        gpupack.write_placement(gpupack.place(MEDICAL), path)
    elif kind == "unended placement":
        path.write_text(gpupack.place(MEDICAL).model_dump_json())
    elif kind == "list":
        path.write_text("[1, 2]\n")
    elif kind == "words":
        path.write_text("nothing of the kind")
    return path


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("table", "is not JSON"),
        ("profiles", "holds profiles"),
        ("placement", "holds a placement"),
        ("unended placement", "holds a placement"),
        ("list", "holds no record"),
        ("words", "is not JSON"),
    ],
)
def test_what_to_give_and_how_to_make_it_is_said(
    tmp_path: Path, kind: str, named: str
) -> None:
    profiles = tmp_path / "profiles.jsonl"
    gpupack.write_profiles(MEDICAL, profiles)
    path = write_some(kind, tmp_path)
    before = path.read_bytes(), profiles.read_bytes()

    done = run("calibrate", str(path), "--profiles", str(profiles))

    told = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert str(path) in told
    assert named in told
    assert "verifications" in told
    assert HOW_TO_MAKE_ONE in told
    assert (path.read_bytes(), profiles.read_bytes()) == before


@pytest.mark.parametrize("kind", ["table", "placement", "verifications"])
def test_a_file_that_no_calibration_can_be_added_to_is_named(
    tmp_path: Path, kind: str
) -> None:
    verifications = tmp_path / "verified.jsonl"
    append_verification(
        verifications,
        GpuVerification(placed="x", gpu_index=0, models=(), memory_predicted_bytes=1),
    )
    path = verifications if kind == "verifications" else write_some(kind, tmp_path)
    before = path.read_bytes()

    done = run("calibrate", str(verifications), "--profiles", str(path))

    told = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert str(path) in told
    assert "--profiles" in told
    assert "gpupack read table.csv --to profiles.jsonl" in told
    assert path.read_bytes() == before


def test_an_export_of_models_measured_together_is_taken(tmp_path: Path) -> None:
    for name, rows in (("together", TOGETHER), ("alone", ALONE)):
        (tmp_path / name).mkdir()
        gpu = GPU_ALONE if name == "alone" else ""
        write_export(tmp_path / name, inference=rows, gpu=gpu, server=SERVER)
    profiles = tmp_path / "profiles.jsonl"
    alone = gpupack.read_profiles(tmp_path / "alone", gpu="T4")
    gpupack.write_profiles(alone, profiles)
    command = ["calibrate", str(tmp_path / "together"), "--profiles", str(profiles)]

    refused = run(*command)
    done = run(*command, "--sharing", "streams")

    assert refused.returncode == 2
    assert "does not say how models shared" in " ".join(refused.stderr.split())
    assert done.returncode == 0
    assert "from 1 sets" in done.stdout
    (calibration,) = gpupack.read_profiles(profiles).calibrations
    assert calibration.gpu_type_name == "T4"
