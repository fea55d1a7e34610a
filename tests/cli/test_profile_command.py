"""``gpupack profile``, ``gpupack server`` and the live demo, as a person meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpupack
from gpupack.cli.commands.live_demo import run_live_demo
from gpupack.errors import ServerUnavailableError
from gpupack.profiling.embedded.installation import install_server
from gpupack.store import read_placement, write_placement
from tests.factories import make_profiles, make_record
from tests.profiling.peers import grpc_server
from tests.profiling.served_models import write_model


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records are kept in the working directory where no other file is named."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpupack", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "100"} | variables,
        timeout=120,
        check=False,
    )


@pytest.mark.triton
def test_the_live_demo_measures_three_models_and_places_them(tmp_path: Path) -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")

    path = run_live_demo(tmp_path, quiet=True)

    assert path is not None
    placed = {
        assignment.model_name
        for gpu in read_placement(path).gpus
        for assignment in gpu.assignments
    }
    assert placed == {"classifier", "ranker", "segmenter"}


@pytest.mark.triton
def test_the_articles_words_are_understood(tmp_path: Path) -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")
    for name in ("a", "b", "c"):
        write_model(tmp_path / "models", name)
    command = "profile --batch 1,2 --concurrency 1 --model-names a,b"
    command += " --model-folder models --export --gpu host"

    done = run(*command.split(), "--max-seconds=0.2", "--warm-up=0.05")
    elsewhere = run(*command.split(), "--store=profiles.jsonl", "--export-path=tables")

    assert (done.returncode, elsewhere.returncode) == (0, 0), done.stderr
    for folder in (tmp_path, tmp_path / "tables"):
        assert {one.name for one in folder.glob("*.csv")} == {
            "metrics-server-only.csv",
            "metrics-model-inference.csv",
            "metrics-model-gpu.csv",
        }
        rows = (folder / "metrics-model-inference.csv").read_text().splitlines()
        assert len(rows) == 1 + 2 * 2


@pytest.mark.triton
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_why_points_failed_is_told_once(tmp_path: Path, quiet: list[str]) -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")
    write_model(tmp_path, "refuser", initialize='raise RuntimeError("no weights here")')
    options = [f"--model-repository={tmp_path}", "--batch=1,2", "--concurrency=1,2"]

    done = run("profile", *options, *quiet)

    assert done.returncode == 2
    assert (done.stdout + done.stderr).count("no weights here") == 1
    assert "warning: refuser 1x1, 1x2, 2x1, 2x2 failed (load): " in done.stderr


@pytest.mark.triton
def test_how_to_go_on_is_told_for_what_did_not_settle_and_what_failed(
    tmp_path: Path,
) -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")
    models = tmp_path / "models"
    write_model(models, "refuser", initialize='raise RuntimeError("no weights here")')
    write_model(models, "sleeper", execute="time.sleep(0.002)")
    # No interval is as narrow as a millionth.
    options = [f"--model-repository={models}", "--batch=1", "--concurrency=1,2", "-q"]
    options += ["--max-seconds=0.2", "--percentile=50", "--precision=0.0001%"]

    by_default = run("profile", *options)
    named = run("profile", *options, f"--store={tmp_path / 'store.jsonl'}")

    assert "2 of 2 load points did not settle" in by_default.stderr
    assert (tmp_path / "profiles.jsonl").exists()
    for done in (by_default, named):
        assert "again with --retry-unstable and a higher --max-seconds" in done.stderr
        assert "2 load points failed: " in done.stderr
        assert "again with --retry-failed" in done.stderr


def test_a_precision_below_1_without_a_percent_sign_is_told_how_it_is_read() -> None:
    options = ["--url=http://127.0.0.1:9", "--batch=1"]
    told = run("profile", *options, "--precision=0.5").stderr
    assert "warning: --precision 0.5 is a share, 50%" in told
    assert "it was 0.5% in earlier versions" in told
    for text in ("0.5%", "5", "5%"):
        told = run("profile", *options, f"--precision={text}").stderr
        assert "is a share" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to measure"),
        (["--embedded"], "embedded server (--model-repository)"),
        (["--batch=0"], "--batch '0': every number is at least 1"),
        (["--batch=two"], "--batch 'two': give whole numbers"),
        (["--concurrency=-1"], "--concurrency '-1': every number is at least 1"),
        (["--models=,"], "--models: name at least one"),
        (["--url=localhost:8000"], "is no server URL"),
        (["--url=grpc://127.0.0.1:9"], "is the server running there"),
        (
            ["--url=https://127.0.0.1:9", "--tls-ca=nowhere.pem"],
            "cannot read 'nowhere",
        ),
        (["--url=http://127.0.0.1:9", "--tls-insecure"], "leave them out, or change"),
        (["--model-repository=.", "--tls-insecure"], "for an embedded server"),
        (["--url=http://x:1", "--embedded"], "leave out --embedded"),
        (["--url=http://192.0.2.1:8000"], "name its type"),
        (["--model-repository=nowhere"], "no model repository at 'nowhere'"),
        (["--model-repository=.", "--stability=feeling"], "no stopping rule 'feeling'"),
        (["--model-repository=.", "--gpu=99"], "99"),
        (["--model-repository=.", "--sharing=magic"], "unknown sharing 'magic'"),
        (["--model-repository=.", "--sharing=mps", "--gpu=host"], "or name a GPU"),
        (["--model-repository=.", "--shape=image"], "--shape 'image': give NAME:SIZES"),
        (["--model-repository=.", "--data=no.npz"], "there is no file 'no.npz'"),
        (["--model-repository=.", "--server-python=/no/python"], "no Python at"),
        (["--model-repository=.", "--server-root=/no/tree"], "no embedded server"),
        (["--model-repository=.", "--store=/no/folder/x"], "cannot write"),
        (["--model-repository=.", "--percentile=100"], "below 100"),
        (["--model-repository=.", "--precision=-3"], "--precision -3: give a number"),
        (["--model-repository=.", "--max-seconds=0"], "--max-seconds 0: give a number"),
        (["--model-repository=.", "--load-timeout=nan"], "--load-timeout nan: give"),
        (["--model-repository=.", "--warm-up=-1"], "--warm-up -1: give a number from"),
        (["--model-repository=.", "--seed=-1"], "--seed -1: give a whole number from"),
        (["--model-repository=.", "--min-seconds=11"], "is more than --max-seconds 10"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(
    arguments: list[str], told: str
) -> None:
    done = run("profile", *arguments)

    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["profile", "verify"])
def test_a_model_given_as_a_repository_is_named_with_the_folder_it_is_in(
    tmp_path: Path, command: str
) -> None:
    write_model(tmp_path, "resnet")
    profiles = make_profiles(make_record("resnet"))
    write_placement(gpupack.place(profiles), tmp_path / "placement.json")
    placement = {"verify": [str(tmp_path / "placement.json")]}.get(command, [])

    done = run(command, *placement, f"--model-repository={tmp_path / 'resnet'}")

    assert done.returncode == 2
    assert f"the folder that it is in, {tmp_path}" in " ".join(done.stderr.split())


@pytest.mark.parametrize("scheme", ["http", "grpcs"])
def test_the_port_of_another_protocol_is_one_message_too(scheme: str) -> None:
    with grpc_server() as port:
        done = run("profile", f"--url={scheme}://localhost:{port}")

    assert done.returncode == 2, done.stderr
    assert f"give grpc://localhost:{port}" in done.stderr
    # Nothing beside it: no traceback, no log of the gRPC library.
    assert done.stderr.strip().startswith("error: ")
    assert "\n" not in done.stderr.strip()


def test_a_server_that_is_not_there_is_shown_and_removed_all_the_same(
    tmp_path: Path,
) -> None:
    cache = str(tmp_path / "cache")

    info = run("server", "info", GPUPACK_CACHE_DIR=cache)
    remove = run("server", "remove", GPUPACK_CACHE_DIR=cache)

    assert "not installed" in info.stdout
    assert "nothing to remove" in remove.stdout


def test_without_a_package_index_the_message_names_the_wheel_option(
    tmp_path: Path,
) -> None:
    done = run(
        "server",
        "install",
        GPUPACK_CACHE_DIR=str(tmp_path / "cache"),
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path),
        PIP_CONFIG_FILE=os.devnull,
    )

    assert done.returncode == 2
    assert "--wheel FILE" in " ".join(done.stderr.split())
    assert not (tmp_path / "cache" / "triton-0.7.0").exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    done = run("server", "install", GPUPACK_CACHE_DIR=str(file / "cache"))

    assert done.returncode == 2
    assert "GPUPACK_CACHE_DIR" in done.stderr
