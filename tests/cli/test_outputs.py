"""What a command writes: never over what it reads, and to any terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack
from gpupack.cli.outputs import require_apart
from gpupack.errors import InvalidInputError
from gpupack.records.gpu import GpuType
from tests.cli.test_place_command import run
from tests.factories import MIB, make_profiles, make_record

MEDICAL = gpupack.load_example("medical")


@pytest.mark.parametrize(
    "arguments",
    [
        ("place", "profiles.jsonl", "--json", "./profiles.jsonl"),
        ("place", "profiles.jsonl", "--markdown", "link.jsonl"),
        ("place", "profiles.jsonl", "--json", "new", "--markdown", "./new"),
        ("frontier", "profiles.jsonl", "--json", "profiles.jsonl"),
        ("frontier", "profiles.jsonl", "--plot", "profiles.jsonl"),
        ("report", "placement.json", "-o", "placement.json"),
        ("report", "placement.json", "--frontier", "f.json", "-o", "f.json"),
    ],
)
def test_no_input_is_written_over(arguments: tuple[str, ...], tmp_path: Path) -> None:
    gpupack.write_profiles(MEDICAL, tmp_path / "profiles.jsonl")
    gpupack.write_placement(gpupack.place(MEDICAL), tmp_path / "placement.json")
    (tmp_path / "f.json").write_text("{}")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "profiles.jsonl")
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}

    done = run(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "name another" in done.stderr
    assert Path(arguments[-1]).name in done.stderr
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_pipes_and_examples_are_no_files_to_spare(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    require_apart({"--json": pipe, "--markdown": pipe}, ["medical", pipe, None])
    with pytest.raises(InvalidInputError, match="--b b.txt: .* that --a writes"):
        require_apart({"--a": Path("b.txt"), "--b": Path("b.txt")}, [])


def test_links_that_lead_nowhere_and_names_too_long_are_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    for arguments, message in (
        (("report", "loop"), "cannot read 'loop'"),
        (("place", "loop"), "neither a file nor a built-in example"),
        (("place", "a" * 5000), "neither a file nor a built-in example"),
        (("report", "a" * 5000), "File name too long"),
        (("place", "medical", "-q", "--json", "a" * 5000), "File name too long"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert message in " ".join(done.stderr.split())


def test_names_that_the_output_cannot_spell_are_shown_escaped(tmp_path: Path) -> None:
    gpu_type = GpuType(name="test-gpu", memory_bytes=1000 * MIB)
    profiles = make_profiles(make_record("日本語", gpu_type=gpu_type))
    gpupack.write_profiles(profiles, tmp_path / "profiles.jsonl")
    command = [sys.executable, "-m", "gpupack", "place", "profiles.jsonl"]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5\\u672c\\u8a9e (1x1" in done.stdout


def test_output_that_finds_no_room_is_one_message(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "gpupack", "place", "medical"],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    assert done.returncode == 2
    assert "cannot write the output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_input_is_told_by_the_code_where_nothing_can_be_printed() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "gpupack", "place", "nothing-there.csv"],
            stdout=subprocess.DEVNULL,
            stderr=stream,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/urandom"])
def test_a_source_without_end_is_refused(source: str) -> None:
    done = run("place", source)

    assert done.returncode == 2
    assert f"cannot read '{source}': it is a device" in done.stderr


def test_profiles_come_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    gpupack.write_profiles(MEDICAL, path)
    with path.open("rb") as stream:
        piped = subprocess.run(
            ["cat"], stdin=stream, stdout=subprocess.PIPE, check=True
        ).stdout

    done = subprocess.run(
        [sys.executable, "-m", "gpupack", "place", "/dev/stdin", "-q"],
        input=piped,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, b"")
    (warning,) = done.stderr.decode().splitlines()
    assert warning.startswith("warning: the models on 4 of 4 GPUs cannot all run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "frontier.json"), "but a frontier; gpupack place --json"),
        (("report", "table.csv"), "gpupack place --json writes one"),
        (("place", "placement.json"), "is a placement, but profiles are wanted"),
        (("place", "frontier.json"), "is a frontier, but profiles are wanted"),
        (("place", "medical", "--replicas", "1.5"), "'1.5' is no whole number"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_kind(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    gpupack.write_placement(gpupack.place(MEDICAL), tmp_path / "placement.json")
    frontier = gpupack.frontier(MEDICAL, budgets=[6], find_headroom=False)
    (tmp_path / "frontier.json").write_text(frontier.to_json())
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")

    done = run(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
