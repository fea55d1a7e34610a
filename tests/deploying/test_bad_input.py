"""What cannot be deployed is refused, in words, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app
from gpupack.deploying import DeployOptions, deploy
from gpupack.errors import GpupackError, InvalidInputError, StoreError, UnknownNameError
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.profile import LoadPoint, ModelVariant
from gpupack.store import write_placement
from tests.deploying.random_placements import H200, MIB, random_placement, write_models
from tests.factories import make_record

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "models", ("alpha", "beta"))


def placed(
    name: str = "alpha",
    *,
    point: LoadPoint | None = None,
    mode: SharingMode | None = None,
    also: tuple[str, ...] = (),
    memory_mib: int = 460,
    **record: Any,
) -> gpupack.Placement:
    """A placement of one instance of each model on one GPU."""
    point = point or LoadPoint(batch_size=2, concurrency=2)
    start = random_placement(0, gpu_type=H200, most_gpus=1, most_models=1)
    records = tuple(
        make_record(
            one,
            gpu_type=H200,
            load_point=point,
            environment=Environment(source="test", backend="python"),
            **record,
        )
        for one in (name, *also)
    )
    gpu = start.gpus[0]
    assignments = tuple(
        gpu.assignments[0].model_copy(
            update={
                "model_name": one.model_name,
                "load_point": point,
                "memory_bytes": memory_mib * MIB,
            }
        )
        for one in records
    )
    return start.model_copy(
        update={
            "profiles": records,
            "sharing_mode": mode,
            "gpus": (gpu.model_copy(update={"assignments": assignments}),),
        }
    )


def refused(
    placement: gpupack.Placement,
    models: Path,
    match: str,
    *,
    to: str = "triton",
    error: type[GpupackError] = InvalidInputError,
    **options: Any,
) -> None:
    """Check that nothing at all is written, neither here nor in the repository."""
    out = models.parent / "out"
    before = contents(models.parent)
    with pytest.raises(error, match=match):
        deploy(
            placement,
            to,
            model_repository=models,
            output=out,
            options=DeployOptions(**options),
        )
    assert contents(models.parent) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_repository_that_lacks_a_model(models: Path) -> None:
    refused(placed("gamma"), models, r"model 'gamma', which is not in .*alpha, beta")


@pytest.mark.parametrize(
    "name", ["..", ".", "alpha/1", "../models/alpha", "x" * 300, "\0"]
)
def test_a_model_name_that_is_no_folder_of_the_repository(
    name: str, models: Path
) -> None:
    refused(placed(name), models, "is not in")


def test_a_model_without_a_version(models: Path) -> None:
    (models / "alpha" / "1").rename(models / "alpha" / "latest")
    refused(placed(), models, "no version")


def test_a_version_that_was_measured_and_is_gone(models: Path) -> None:
    refused(placed(model_version=3), models, r"no version 3 .*; it has 1")


def test_a_version_that_the_configuration_asks_for_and_is_gone(models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    path.write_text(path.read_text() + "version_policy { specific { versions: [2] } }")
    refused(placed(), models, "no version 2")


def test_a_configuration_below_the_batch_of_its_load_point(models: Path) -> None:
    point = LoadPoint(batch_size=16, concurrency=1)
    refused(placed(point=point), models, r"batch size 16, .*max_batch_size 8: raise it")


def test_a_variant_below_the_batch_of_its_load_point(models: Path) -> None:
    variant = ModelVariant(name="alpha_config_1", max_batch_size=1)
    point = LoadPoint(batch_size=4, concurrency=1, variant=variant)
    refused(placed(point=point), models, "its variant alpha_config_1 says")


def test_dynamic_batching_of_a_model_without_batches(models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    path.write_text(path.read_text().replace("max_batch_size: 8", "max_batch_size: 0"))
    variant = ModelVariant(name="alpha_config_1", has_dynamic_batching=True)
    point = LoadPoint(batch_size=1, concurrency=1, variant=variant)
    refused(placed(point=point), models, "max_batch_size 0, which excludes")


def test_dynamic_batching_of_a_model_of_sequences(models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    path.write_text(path.read_text() + "sequence_batching { }")
    variant = ModelVariant(name="alpha_config_1", has_dynamic_batching=True)
    point = LoadPoint(batch_size=1, concurrency=1, variant=variant)
    refused(placed(point=point), models, "sequence_batching in its configuration")


def test_two_variants_of_one_model_on_one_gpu(models: Path) -> None:
    first, second = (
        LoadPoint(batch_size=1, concurrency=1, variant=ModelVariant(name=f"alpha_{n}"))
        for n in "ab"
    )
    placement = placed(point=first)
    gpu = placement.gpus[0]
    both = (
        gpu.assignments[0],
        gpu.assignments[0].model_copy(update={"load_point": second}),
    )
    placement = placement.model_copy(
        update={"gpus": (gpu.model_copy(update={"assignments": both}),)}
    )
    refused(placement, models, "in several configurations")


def test_a_configuration_that_is_none(models: Path) -> None:
    (models / "alpha" / "config.pbtxt").write_text("max_batch_size: eight")
    refused(placed(), models, r"alpha/config.pbtxt is no model configuration: 1:17")


def test_a_configuration_that_names_another_model(models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    text = path.read_text().replace('name: "alpha"', "")
    path.write_text(text + 'name: "other"')
    match = r"names the model 'other', and Triton .*write name: 'alpha'"
    refused(placed(), models, match)
    refused(placed(), models, match, in_repository=True)
    path.write_text(text + 'name: ""')
    deploy(placed(), "triton", model_repository=models)


@pytest.mark.parametrize("kind", ["folder", "link to nothing"])
def test_a_configuration_that_is_no_file(kind: str, models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    refused(placed(), models, r"alpha/config.pbtxt' is no file")


def test_a_model_whose_name_triton_takes_for_all(models: Path) -> None:
    write_models(models, ("*",))
    refused(placed("*"), models, r"model '\*' cannot be deployed: .*rename its folder")
    refused(placed(helpers=("*",)), models, "cannot be deployed")


def test_a_placement_without_the_records_it_needs(models: Path) -> None:
    bare = placed().model_copy(update={"profiles": ()})
    refused(bare, models, "written without the profile record")


def test_a_placement_of_another_schema_version(models: Path) -> None:
    path = models.parent / "placement.json"
    write_placement(placed(), path)
    content = json.loads(path.read_text()) | {"schema_version": 9}
    path.write_text(json.dumps(content))
    shell = run_shell(path, models)
    assert isinstance(shell.exception, StoreError)
    assert "schema version 9" in str(shell.exception)
    assert not (models.parent / "out").exists()


def run_shell(path: Path, models: Path, *more: str) -> Any:
    out = models.parent / "out"
    arguments = ["deploy", str(path), "--to", "triton", "-o", str(out)]
    return CliRunner().invoke(
        app, [*arguments, "--model-repository", str(models), *more]
    )


def test_an_unknown_target_and_an_unknown_version_of_kubernetes(models: Path) -> None:
    refused(
        placed(), models, "unknown target 'nomad'", to="nomad", error=UnknownNameError
    )
    refused(
        placed(),
        models,
        r"no manifests for Kubernetes '1.33'; there are for 1.34",
        error=UnknownNameError,
        kubernetes_version="1.33",
    )


def test_ports_that_collide_or_that_there_are_not(models: Path) -> None:
    placement = random_placement(1, most_gpus=3)
    indices = [gpu.gpu_index for gpu in placement.gpus]
    models = write_models(models.parent / "all")
    assert len(indices) > 1
    taken = {indices[0]: 9000, indices[1]: 9002}
    refused(placement, models, "port 9002 is that of GPU 0 and of GPU 1", ports=taken)
    refused(placement, models, "port 8000 is that", ports={indices[1]: 7999})
    refused(placement, models, "65535 is the last", first_port=65533)
    for port in (8078, 8079, 8080):
        match = r"port 8080 is that of GPU \d and of the router .* router_port"
        refused(placement, models, match, first_port=port)
        refused(placement, models, match, ports={indices[1]: port})
    refused(placement, models, "of the router", router_port=8001)
    refused(placement, models, "router.port=0: give", router_port=0)
    deploy(
        placement,
        "triton",
        model_repository=models,
        options=DeployOptions(first_port=8080, router_port=80),
    )
    refused(placement, models, "three from 1 to 65535", ports={0: 0})
    refused(placement, models, "first.port", first_port=70000)


@pytest.mark.parametrize("to", ["triton", "compose", "kubernetes", "helm", "dra"])
def test_an_output_folder_with_foreign_files(to: str, models: Path) -> None:
    out = models.parent / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refused(placed(), models, r"did not write: notes\.txt", to=to)


def test_a_folder_of_gpupacks_is_replaced_unless_somebody_changed_it(
    models: Path,
) -> None:
    out = models.parent / "out"
    deploy(placed(), "triton", model_repository=models, output=out)
    deploy(placed("beta"), "compose", model_repository=models, output=out)
    assert not (out / "gpu-0.sh").exists()
    assert (out / "compose.yaml").exists()
    (out / "compose.yaml").write_text("services: {}\n")
    refused(placed(), models, r"changed since gpupack wrote them: compose\.yaml")
    (out / "compose.yaml").unlink()
    deploy(placed(), "triton", model_repository=models, output=out)
    (out / "more").symlink_to(models)
    refused(placed(), models, r"did not write: more")


def test_an_output_folder_that_is_no_place_for_it(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for output, match in (
        (models, "is in the model repository"),
        (models / "alpha", "is in the model repository"),
        (models.parent, "holds the model repository"),
        (models / "alpha" / "config.pbtxt", "is in the model repository"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            deploy(placed(), "triton", model_repository=models, output=output)
    with monkeypatch.context() as inside:
        here = models.parent / "here"
        here.mkdir()
        inside.chdir(here)
        with pytest.raises(InvalidInputError, match="the one that you are in"):
            deploy(placed(), "triton", model_repository=models, output=".")
    file = models.parent / "file"
    file.write_text("")
    with pytest.raises(InvalidInputError, match="is no folder"):
        deploy(placed(), "triton", model_repository=models, output=file)
    with pytest.raises(StoreError, match="make it first"):
        deploy(
            placed(),
            "triton",
            model_repository=models,
            output=models.parent / "no" / "such",
        )


def test_a_users_own_configuration_in_the_repository(models: Path) -> None:
    own = models / "alpha" / "configs" / "gpu-0.pbtxt"
    own.parent.mkdir()
    own.write_text("max_batch_size: 3\n")
    refused(placed(), models, "does not begin with", in_repository=True)


def on_gpus(placement: gpupack.Placement, *indices: int) -> gpupack.Placement:
    """The same placement, its one GPU repeated."""
    (gpu,) = placement.gpus
    gpus = tuple(gpu.model_copy(update={"gpu_index": index}) for index in indices)
    return placement.model_copy(update={"gpus": gpus})


def own_configurations(models: Path) -> dict[str, str]:
    return {
        str(path.relative_to(models)): path.read_text()
        for path in models.glob("*/configs/*")
    }


@pytest.mark.parametrize("to", ["triton", "kubernetes"])
def test_a_deployment_replaces_and_removes_its_own_in_the_repository(
    to: str, models: Path
) -> None:
    out, chosen = models.parent / "out", DeployOptions(in_repository=True)

    def deploy_on(*indices: int, name: str = "alpha", batch: int = 1) -> None:
        point = LoadPoint(batch_size=batch, concurrency=1)
        deploy(
            on_gpus(placed(name, point=point), *indices),
            to,
            model_repository=models,
            output=out,
            options=chosen,
        )

    deploy_on(0, 1, 2)
    assert own_configurations(models).keys() == {
        f"alpha/configs/gpu-{index}.pbtxt" for index in range(3)
    }
    mine = models / "alpha" / "configs" / "mine.pbtxt"
    mine.write_text("max_batch_size: 2\n")
    deploy_on(1, batch=4)
    found = own_configurations(models)
    assert found.keys() == {"alpha/configs/gpu-1.pbtxt", "alpha/configs/mine.pbtxt"}
    assert "at 4x1\n" in found["alpha/configs/gpu-1.pbtxt"]
    mine.unlink()
    deploy_on(1, name="beta")
    assert own_configurations(models).keys() == {"beta/configs/gpu-1.pbtxt"}
    assert not (models / "alpha" / "configs").exists()
    deploy(placed(), to, model_repository=models, output=out)
    assert own_configurations(models) == {}


def test_another_deployments_configurations_are_not_written_over(models: Path) -> None:
    other, chosen = models.parent / "other", DeployOptions(in_repository=True)
    deploy(placed(), "triton", model_repository=models, output=other, options=chosen)
    refused(placed(), models, "gpu-0.pbtxt' is of another dep", in_repository=True)
    deploy(on_gpus(placed(), 1), "triton", model_repository=models, options=chosen)
    # Where nothing collides, both are there, and each removes its own alone.
    mine = models.parent / "out"
    deploy(
        on_gpus(placed(), 1),
        "triton",
        model_repository=models,
        output=mine,
        options=chosen,
    )
    deploy(placed("beta"), "triton", model_repository=models, output=mine)
    assert own_configurations(models).keys() == {"alpha/configs/gpu-0.pbtxt"}


def test_a_configuration_that_was_changed_in_the_repository(models: Path) -> None:
    out, chosen = models.parent / "out", DeployOptions(in_repository=True)
    deploy(placed(), "triton", model_repository=models, output=out, options=chosen)
    path = models / "alpha" / "configs" / "gpu-0.pbtxt"
    path.write_text(path.read_text() + "# mine\n")
    refused(placed(), models, "was changed since gpupack wrote", in_repository=True)
    # What is needed no more stays, if somebody changed it.
    deploy(placed(), "triton", model_repository=models, output=out)
    assert path.read_text().endswith("# mine\n")


def test_only_configurations_are_removed_whatever_the_folder_says(
    models: Path,
) -> None:
    out, chosen = models.parent / "out", DeployOptions(in_repository=True)
    deploy(placed(), "triton", model_repository=models, output=out, options=chosen)
    record = json.loads((out / "deployment.json").read_text())
    ((path, digest),) = record["repository_files"].items()
    elsewhere = models.parent / "kept.pbtxt"
    elsewhere.write_bytes(Path(path).read_bytes())
    record["repository_files"] = {str(elsewhere): digest}
    (out / "deployment.json").write_text(json.dumps(record))
    deploy(placed(), "triton", model_repository=models, output=out)
    assert elsewhere.exists()


def test_a_hidden_configuration_of_the_users_is_told(models: Path) -> None:
    own = models / "alpha" / "configs" / "gpu-0.pbtxt"
    own.parent.mkdir()
    own.write_text("max_batch_size: 3\n")
    made = deploy(placed(), "triton", model_repository=models)
    (note,) = [one for one in made.notes if "configs/gpu-0.pbtxt" in one]
    assert note.startswith("alpha: ")
    assert "is not served" in note
    own.write_text(made.files["repository/alpha/configs/gpu-0.pbtxt"])
    again = deploy(placed(), "triton", model_repository=models)
    assert not any("is not served" in one for one in again.notes)


@pytest.mark.parametrize("in_repository", [False, True])
def test_a_failure_midway_leaves_everything_as_it_was(
    in_repository: bool, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = models.parent / "out"
    deploy(
        placed(),
        "triton",
        model_repository=models,
        output=out,
        options=DeployOptions(in_repository=in_repository),
    )
    before = contents(models.parent)
    real: Callable[..., Any] = Path.rename

    def fails(self: Path, target: Path) -> Any:
        if Path(target) == out and self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(StoreError, match="No space left"):
        deploy(
            placed("beta"),
            "triton",
            model_repository=models,
            output=out,
            options=DeployOptions(in_repository=True),
        )
    monkeypatch.undo()
    assert contents(models.parent) == before


def test_servers_that_do_not_fit_onto_the_gpu_together(models: Path) -> None:
    for name in ("alpha", "beta"):
        path = models / name / "config.pbtxt"
        path.write_text(path.read_text().replace('"python"', '"onnxruntime"'))
    half = (143771 - 50) // 2
    placement = placed(also=("beta",), mode=SharingMode.TIME_SLICING, memory_mib=half)
    refused(placement, models, r"runs 2 servers, .*one_server=True")
    made = deploy(
        placement,
        "triton",
        model_repository=models,
        options=DeployOptions(one_server=True),
    )
    assert len(made.record.servers) == 1
    assert any("one server runs all models" in note for note in made.notes)


@pytest.mark.parametrize("to", ["kubernetes", "helm", "dra"])
def test_configurations_that_no_config_map_takes(to: str, models: Path) -> None:
    path = models / "alpha" / "config.pbtxt"
    value = f'parameters {{ key: "k" value {{ string_value: "{"x" * 2**20}" }} }}'
    path.write_text(path.read_text() + value)
    refused(placed(), models, "a ConfigMap takes", to=to)
    options = DeployOptions(in_repository=True)
    made = deploy(placed(), to, model_repository=models, options=options)
    assert any("claim models must hold the model repository" in n for n in made.notes)


def test_options_that_name_what_is_not_placed(models: Path) -> None:
    for options, match in (
        ({"gpu_uuids": {7: "GPU-1"}}, r"no GPU 7"),
        ({"ports": {7: 9000}}, r"no GPU 7"),
    ):
        refused(placed(), models, match, error=UnknownNameError, **options)
    refused(placed(), models, "need MPS", mps_shares_percent={"alpha": 50})
    refused(
        placed(mode=SharingMode.MPS),
        models,
        "no model gamma",
        error=UnknownNameError,
        mps_shares_percent={"gamma": 50},
    )
    refused(placed(), models, "nvidia-smi -L", gpu_uuids={0: "0; rm -rf /"})
    for share in (0, 0.00001, 0.9, 101):
        refused(placed(), models, "from 1 to 100", mps_shares_percent={"alpha": share})
    refused(
        placed(),
        models,
        r"gpu_products: the placement has no GPU of type nosuch; it has NVIDIA H200",
        error=UnknownNameError,
        gpu_products={"nosuch": "abc"},
    )
    for text in ("a..b", "a.-b", "a-.b", ".a", "a.", "-a", "A", "a_b", "a" * 254, ""):
        refused(placed(), models, "model_claim.*DNS name", model_claim=text)
        refused(placed(), models, "gateway.*DNS name", gateway=text)
    DeployOptions(model_claim="a.b-c.0", gateway="a" * 253).check()
    refused(placed(), models, "name", name="Two Words")
    refused(placed(), models, "image", image="a b\nc")


def test_a_helper_that_is_needed_in_two_configurations(models: Path) -> None:
    """Two callers on one GPU were measured with different variants of one helper."""
    write_models(models, ("called",))
    points = [
        LoadPoint(
            batch_size=1,
            concurrency=1,
            variant=ModelVariant(
                name=f"{name}_config_0",
                composing=(
                    ModelVariant(name=f"called_config_{name}", num_gpu_instances=n),
                ),
            ),
        )
        for n, name in enumerate(("0", "1"), 1)
    ]
    placement = placed(also=("beta",), helpers=("called",))
    gpu = placement.gpus[0]
    assignments = tuple(
        one.model_copy(update={"load_point": point})
        for one, point in zip(gpu.assignments, points, strict=True)
    )
    records = tuple(
        one.model_copy(update={"load_point": point})
        for one, point in zip(placement.profiles, points, strict=True)
    )
    placement = placement.model_copy(
        update={
            "profiles": records,
            "gpus": (gpu.model_copy(update={"assignments": assignments}),),
        }
    )
    refused(placement, models, "model 'called' in two configurations")


def test_the_shell_says_what_is_wrong_with_an_option(models: Path) -> None:
    path = models.parent / "placement.json"
    write_placement(placed(), path)
    for more, match in (
        (("--port", "zero=1"), "--port"),
        (("--gpu-uuid", "GPU-1"), "--gpu-uuid"),
        (("--mps-share", "alpha=lots"), "--mps-share"),
        (("--port", "0=1", "--port", "0=2"), "given twice"),
    ):
        shell = run_shell(path, models, *more)
        assert isinstance(shell.exception, InvalidInputError)
        assert match in str(shell.exception)
    assert not (models.parent / "out").exists()
