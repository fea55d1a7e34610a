"""The emitted Triton repositories and command lines, started for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app
from gpupack.deploying import DeployOptions, check_status, deploy
from gpupack.profiling.embedded.embedded_server import EmbeddedServer
from gpupack.profiling.measuring.measure_options import MeasureOptions
from gpupack.profiling.server.triton import TritonServer
from gpupack.records.environment import SharingMode
from gpupack.records.profile import ModelVariant
from gpupack.store import write_placement
from tests.deploying.emitted_servers import free_ports, running, tritonserver_on_path
from tests.deploying.random_placements import random_placement, write_models
from tests.profiling.conftest import installed  # noqa: F401 (a fixture)
from tests.profiling.served_models import write_model
from tests.verifying.test_verify import placement_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.triton, pytest.mark.usefixtures("installed")]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with tritonserver_on_path() as variables:
        yield variables


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def deployed(
    placement: gpupack.Placement, models: Path, folder: Path, **options: object
) -> Path:
    number = 3 * sum(len(gpu.assignments) for gpu in placement.gpus)
    deploy(
        placement,
        "triton",
        model_repository=models,
        output=folder,
        options=DeployOptions(first_port=free_ports(number), **options),  # type: ignore[arg-type]
    )
    return folder


@pytest.mark.parametrize("seed", range(3))
def test_a_random_placement_runs_as_planned_and_keeps_its_promises(
    seed: int, models: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    placement = random_placement(seed)
    folder = deployed(placement, models, tmp_path / "out")
    with running(folder, environment):
        assert check_status(folder).differences == ()
        result = gpupack.verify(
            placement,
            deployment=folder,
            options=MeasureOptions(max_duration_s=0.3, min_duration_s=0.1),
            max_seconds=3.0,
        )
    assert result.is_kept, str(result)
    assert {one.gpu_index for one in result.gpus} == {
        gpu.gpu_index for gpu in placement.gpus
    }


def test_the_served_configuration_has_the_instances_and_batches_of_the_variant(
    environment: dict[str, str], tmp_path: Path
) -> None:
    models = write_models(tmp_path / "models", ("alpha",))
    point = gpupack.LoadPoint.parse("4x2")
    of_tool = ModelVariant(
        name="alpha_config_3",
        num_gpu_instances=0,
        num_cpu_instances=2,
        max_batch_size=16,
        has_dynamic_batching=True,
        preferred_batch_sizes=(4, 16),
    )
    placement = random_placement(1, names=("alpha",), most_gpus=1, most_models=1)
    point = point.model_copy(update={"variant": of_tool})
    gpu = placement.gpus[0]
    twice = (gpu.assignments[0].model_copy(update={"load_point": point}),) * 2
    placement = placement.model_copy(
        update={
            "gpus": (gpu.model_copy(update={"assignments": twice}),),
            "profiles": tuple(
                one.model_copy(update={"load_point": point})
                for one in placement.profiles
            ),
        }
    )
    folder = deployed(placement, models, tmp_path / "out")
    with running(folder, environment) as urls, TritonServer(urls["gpu-0"]) as server:
        config = server.configuration("alpha")
    (group,) = config["instance_group"]
    assert config["max_batch_size"] == 16
    assert (group["kind"], group["count"]) == ("KIND_CPU", 4)  # two instances, twice
    assert config["dynamic_batching"]["preferred_batch_size"] == [4, 16]


@pytest.fixture
def planned(
    models: Path, environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Path, TritonServer]]:
    placement = placement_of("alpha", "Beta_2", "gamma.v1", replicas=1)
    folder = deployed(placement, models, tmp_path / "out")
    for name in ("delta-x", "EPSILON"):  # in the repository, and not of the plan
        (folder / "repository" / name).symlink_to(models / name)
    with running(folder, environment) as urls, TritonServer(urls["gpu-0"]) as server:
        yield folder, server


def told(folder: Path) -> list[str]:
    return [str(one) for one in check_status(folder).differences]


def test_status_names_each_of_ten_planted_differences(
    planned: tuple[Path, TritonServer], tmp_path: Path
) -> None:
    folder, server = planned
    assert told(folder) == []
    name = "alpha"
    own = dict(server.configuration(name))
    group = own["instance_group"][0]
    cases: list[tuple[str, dict[str, object]]] = [
        ("max_batch_size is 4, not 8", {"max_batch_size": 4}),
        (
            "instance_group[0].count is 3, not 1",
            {"instance_group": [group | {"count": 3}]},
        ),
        (
            "instance_group has 2 entries, not 1",
            {"instance_group": [group, group | {"name": "more"}]},
        ),
        (
            "dynamic_batching is set, and was not planned",
            {"dynamic_batching": {"preferred_batch_size": [4]}},
        ),
        (
            "input[0].dims is [17], not [16]",
            {"input": [own["input"][0] | {"dims": [17]}]},
        ),
        (
            "output[0].data_type is TYPE_FP16, not TYPE_FP32",
            {"output": [own["output"][0] | {"data_type": "TYPE_FP16"}]},
        ),
    ]
    cases += [
        (
            "parameters[more] is set, and was not planned",
            {"parameters": {"more": {"string_value": "1"}}},
        ),
        (
            "version_policy is all, not the latest version",
            {"version_policy": {"all": {}}},
        ),
    ]
    for expected, changes in cases:
        server.load(name, config=own | changes)
        assert told(folder) == [f"gpu-0: {name} wrong: {expected}"]
    server.unload(name)
    server.load(name)
    assert told(folder) == []

    server.unload(name)
    (missing,) = told(folder)
    assert missing.startswith(f"gpu-0: {name} ")
    assert "missing" in missing or "not running" in missing
    server.load(name)

    server.load("delta-x")
    assert told(folder) == ["gpu-0: delta-x extra: it is loaded, and was not planned"]
    server.unload("delta-x")

    both = tmp_path / "status.json"
    server.unload("Beta_2")
    server.load("EPSILON")
    shell = CliRunner().invoke(app, ["status", str(folder), "--json", str(both)])
    assert shell.exit_code == 4
    kinds = {
        one["what"]: one["kind"] for one in json.loads(both.read_text())["differences"]
    }
    assert kinds.keys() == {"Beta_2", "EPSILON"}
    assert kinds["EPSILON"] == "extra"


def test_status_says_which_server_does_not_answer(models: Path, tmp_path: Path) -> None:
    folder = deployed(placement_of("alpha"), models, tmp_path / "out")
    (found,) = check_status(folder).differences
    assert (found.kind.value, found.where) == ("unreachable", "gpu-0")


def test_models_that_shared_the_gpu_as_processes_get_a_server_each(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Here each has a share of its own, under a daemon that is a stand-in."""
    models = write_models(tmp_path / "models", ("alpha", "Beta_2", "delta-x"))
    placement = random_placement(
        5, names=("alpha", "Beta_2", "delta-x"), most_gpus=1, most_models=3
    )
    gpu = placement.gpus[0]
    every = tuple(
        gpu.assignments[0].model_copy(
            update={"model_name": one.model_name, "load_point": one.load_point}
        )
        for one in placement.profiles
    )
    placement = placement.model_copy(
        update={
            "gpus": (gpu.model_copy(update={"assignments": every}),),
            "sharing_mode": SharingMode.MPS,
        }
    )
    control = tmp_path / "bin" / "nvidia-cuda-mps-control"
    control.parent.mkdir()
    calls = tmp_path / "mps.log"
    control.write_text(
        '#!/bin/sh\necho "$@ $(test -n "$1" || cat) $CUDA_MPS_PIPE_DIRECTORY"'
        f" >>{calls}\n"
    )
    control.chmod(0o755)
    folder = deployed(
        placement,
        models,
        tmp_path / "out",
        mps_shares_percent={"alpha": 70, "Beta_2": 30},
    )
    names = {one.name for one in gpupack.read_deployment(folder).servers}
    variables = environment | {"PATH": f"{control.parent}:{environment['PATH']}"}
    with running(folder, variables) as urls:
        assert check_status(folder).differences == ()
        assert urls.keys() == names
        assert len(urls) == 3
        placed = gpupack.verify(
            placement,
            deployment=folder,
            options=MeasureOptions(max_duration_s=0.3, min_duration_s=0.1),
            max_seconds=3.0,
        )
        assert placed.is_kept, str(placed)
    begin, end = calls.read_text().splitlines()
    assert begin.startswith("-d ")
    assert end.split()[0] == "quit"
    assert begin.split()[-1] == end.split()[-1]


def test_an_ensemble_is_deployed_with_its_steps(
    environment: dict[str, str], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    write_model(models, "step")
    folder = models / "whole"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(
        'name: "whole"\nplatform: "ensemble"\nmax_batch_size: 8\n'
        'input [{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }]\n'
        'output [{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }]\n'
        'ensemble_scheduling { step [{ model_name: "step" model_version: -1\n'
        '  input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } }] }\n'
    )
    out = deployed(placement_of("whole"), models, tmp_path / "out")
    with running(out, environment):
        assert check_status(out).differences == ()


def test_a_running_server_completes_what_a_model_leaves_to_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    write_model(models, "alpha")
    (models / "alpha" / "config.pbtxt").unlink()
    code = models / "alpha" / "1" / "model.py"
    code.write_text(code.read_text().replace("class TritonPythonModel:\n", COMPLETING))
    with EmbeddedServer(models) as embedded, TritonServer(embedded.url) as server:
        server.load("alpha")
        out = deployed(
            placement_of("alpha"), models, tmp_path / "out", server_url=embedded.url
        )
    text = (out / "repository" / "alpha" / "configs" / "gpu-0.pbtxt").read_text()
    assert 'name: "X"' in text
    with running(out, environment):
        assert check_status(out).differences == ()


COMPLETING = """class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.set_max_batch_size(8)
        config.add_input({"name": "X", "data_type": "TYPE_FP32", "dims": [16]})
        config.add_output({"name": "Y", "data_type": "TYPE_FP32", "dims": [16]})
        return config

"""


def test_configurations_may_go_into_the_users_own_repository(
    environment: dict[str, str], tmp_path: Path
) -> None:
    models = write_models(tmp_path / "models", ("alpha",))
    before = (models / "alpha" / "config.pbtxt").read_bytes()
    out = deployed(placement_of("alpha"), models, tmp_path / "out", in_repository=True)
    assert (models / "alpha" / "configs" / "gpu-0.pbtxt").is_file()
    assert (models / "alpha" / "config.pbtxt").read_bytes() == before
    assert not (out / "repository").exists()
    with running(out, environment):
        assert check_status(out).differences == ()


def test_the_command_line_deploys_and_says_equal(
    models: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    placement = placement_of("alpha", "delta-x")
    path = tmp_path / "placement.json"
    write_placement(placement, path)
    out = tmp_path / "out"
    arguments = [
        "deploy",
        str(path),
        "--to",
        "triton",
        "--model-repository",
        str(models),
    ]
    arguments += ["-o", str(out), "--first-port", str(free_ports(6))]
    shell = CliRunner().invoke(app, arguments)
    assert shell.exit_code == 0, shell.output
    with running(out, environment):
        asked = CliRunner().invoke(app, ["status", str(out)])
    assert asked.exit_code == 0, asked.output
    assert "what runs is what was planned" in asked.output
