"""The command line of a request asks the same, or says that it needs a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app_of
from gpupack.explore.telling import command_of
from tests.factories import make_load_point, make_profiles

NAMES = ("a=b=c", "it's $HOME", "plain")


def asked_by(command: str, folder: Path) -> gpupack.Request:
    """Return the request of the placement that a command line gives."""
    runner = CliRunner()
    for one in command.split(" && "):
        words = shlex.split(one)
        out = folder / "out.json"
        given = ["--json", str(out)] if words[1] == "place" else []
        result = runner.invoke(app_of(["place", "read"]), [*words[1:], "-q", *given])
        assert result.exit_code == 0, (one, result.output, result.exception)
    request = gpupack.read_placement(folder / "out.json").request
    assert request is not None
    return request


@pytest.mark.parametrize(
    "asked",
    [
        {"models": {"a=b=c": {"demand": 12.5}, "it's $HOME": {"replicas": 2}}},
        {"headroom": {"memory": 0.9, "gpu_utilization": 1.1}},
        {"defaults": {"min_retention": 0.5}, "models": {"plain": {"optional": True}}},
        {"models": {"a=b=c": {"left_out": True}}, "growth": 1.5},
        {"gpus": {"test-gpu": {"count": 3, "price": 1e-06}}, "objective": "min_cost"},
        {
            "gpus": {"test-gpu": {"price": 2, "reserved_price": 0.3}},
            "billing": "reserved",
            "objective": "min_cost",
        },
        {"models": {"a=b=c": {"load_point": "1x1"}}},
        {
            "gpus": {
                "test-gpu": {"host_cpus_per_gpu": 7.5, "host_memory_per_gpu": "64GB"}
            }
        },
        {"defaults": {"one_load_point": True, "load_point": "1x1"}, "seed": 7},
        {"time_limit_s": 1 / 3, "workers": 1, "currency": "R$ & more"},
    ],
    ids=str,
)
def test_a_command_line_asks_what_the_request_asks(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "profiles.jsonl"
    profiles = make_profiles(
        *(
            make_load_point(name, host_cpu_cores=1.0, host_memory_bytes=1 << 20)
            for name in NAMES
        )
    )
    gpupack.write_profiles(profiles, path)
    request = gpupack.Request.model_validate(asked)

    command = command_of(request, profiles.model_names, [str(path)])

    assert not command.needs_file
    found = asked_by(command.text, tmp_path)
    for name in profiles.model_names:
        assert found.of_model(name) == request.of_model(name)
    plain = {"models": {}, "defaults": gpupack.ModelWishes()}
    assert found.model_copy(update=plain) == request.model_copy(update=plain)


@pytest.mark.parametrize(
    "asked",
    [
        {"gpus": {"a=b": {"memory_mib": 4096}}},
        {"models": {"plain": {"one_load_point": True}}},
    ],
    ids=str,
)
def test_what_no_option_says_needs_the_request_file(asked: dict[str, Any]) -> None:
    request = gpupack.Request.model_validate(asked)
    command = command_of(request, NAMES, ["profiles.jsonl"])
    assert command.needs_file
    assert command.text == "gpupack place profiles.jsonl --request request.json"


def test_a_wish_of_a_table_is_taken_back_by_reading_its_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(
        "model_name,batch_size,concurrency,gpu,throughput_infer_per_sec,"
        "gpu_memory_used_mib,gpu_utilization_percent,memory_utilization_percent,demand\n"
        ",,,T4,,300,0,0,\n"
        "ranker,1,1,T4,100,900,30,10,250\n"
    )
    beside = gpupack.Request.model_validate({"models": {"ranker": {"demand": 250}}})
    names = ("ranker",)

    kept = command_of(beside, names, ["mine.csv"], beside=beside)
    taken_back = command_of(gpupack.Request(), names, ["mine.csv"], beside=beside)

    assert kept.text == "gpupack place mine.csv --demand ranker=250"
    assert taken_back.text.startswith("gpupack read mine.csv --to profiles.jsonl && ")
    found = asked_by(taken_back.text, tmp_path)
    assert found.of_model("ranker").demand is None
