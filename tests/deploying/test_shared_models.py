"""Models that share a composing model have it once: in one server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import gpupack
from gpupack.deploying import DeployOptions, deploy
from gpupack.deploying.plan import plan_servers
from gpupack.errors import InvalidInputError
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.profile import HelperMemory
from tests.deploying.random_placements import H200, MIB
from tests.factories import make_baseline, make_record

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.records.profile import ProfileRecord

CONFIG = """
name: "{name}"
backend: "{backend}"
max_batch_size: 8
input [{{ name: "X" data_type: TYPE_FP32 dims: [ 4 ] }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }}]
instance_group [{{ kind: KIND_GPU }}]
"""


def write_models(folder: Path, backends: dict[str, str]) -> Path:
    for name, backend in backends.items():
        (folder / name / "1").mkdir(parents=True)
        text = CONFIG.format(name=name, backend=backend)
        (folder / name / "config.pbtxt").write_text(text)
    return folder


def record(name: str, backend: str, mode: SharingMode, *, core: int) -> ProfileRecord:
    helpers = ("core",) if core else ()
    return make_record(
        name,
        gpu_type=H200,
        gpu_memory_used_bytes=(40 + 1000 + core) * MIB,
        gpu_utilization_percent=5.0,
        memory_utilization_percent=5.0,
        environment=Environment(source="test", backend=backend, sharing_mode=mode),
        helpers=helpers,
        helper_memory=tuple(
            HelperMemory(model_name=one, memory_bytes=core * MIB) for one in helpers
        ),
    )


def placed(backends: dict[str, str], mode: SharingMode) -> gpupack.Placement:
    """Two models that call ``core``, and one that does not, on one GPU."""
    records = tuple(
        record(name, backends[name], mode, core=3000 if name != "other" else 0)
        for name in ("first", "other", "second")
    )
    profiles = ProfileSet(records=records, baselines=(make_baseline(40, H200),))
    placement = gpupack.place(profiles, sharing=mode.value)
    assert placement.gpus[0].memory_bytes == (40 + 3 * 1000 + 3000) * MIB
    return placement


def servers(placement: gpupack.Placement, models: Path, **options: Any) -> list[Any]:
    (gpu,) = plan_servers(
        placement, models, DeployOptions(**options), on_one_host=True
    ).gpus
    return [sorted(one.name for one in server.models) for server in gpu.servers]


@pytest.mark.parametrize("mode", [SharingMode.MPS, SharingMode.TIME_SLICING])
def test_callers_that_would_have_servers_of_their_own_share_one(
    tmp_path: Path, mode: SharingMode
) -> None:
    backends = dict.fromkeys(("first", "second", "other", "core"), "onnxruntime")
    models = write_models(tmp_path / "models", backends)
    placement = placed(backends, mode)

    assert servers(placement, models) == [["core", "first", "second"], ["other"]]
    made = deploy(placement, "kubernetes", model_repository=models)
    assert any("'first', 'second' share composing models" in n for n in made.notes)
    (gpu,) = plan_servers(placement, models, DeployOptions(), on_one_host=True).gpus
    # A second server has the memory of an idle one; core is there once.
    assert gpu.memory_bytes == (2 * 40 + 3 * 1000 + 3000) * MIB
    if mode is SharingMode.MPS:
        limits = [server.memory_limit_bytes for server in gpu.servers]
        assert limits == [(40 + 2 * 1000 + 3000) * MIB, (40 + 1000) * MIB]


@pytest.mark.parametrize("mode", list(SharingMode))
def test_python_models_share_the_common_server(
    tmp_path: Path, mode: SharingMode
) -> None:
    backends = dict.fromkeys(("first", "second", "other", "core"), "python")
    models = write_models(tmp_path / "models", backends)

    assert servers(placed(backends, mode), models) == [
        ["core", "first", "other", "second"]
    ]


def test_a_caller_with_a_server_of_its_own_joins_the_one_of_python(
    tmp_path: Path,
) -> None:
    backends = dict.fromkeys(("first", "core"), "python")
    backends |= dict.fromkeys(("second", "other"), "onnxruntime")
    models = write_models(tmp_path / "models", backends)

    found = servers(placed(backends, SharingMode.MPS), models)

    assert found == [["core", "first", "second"], ["other"]]


@pytest.mark.parametrize("target", ["triton", "compose", "kubernetes", "helm", "dra"])
def test_every_target_has_the_composing_model_once_on_a_gpu(
    tmp_path: Path, target: str
) -> None:
    backends = dict.fromkeys(("first", "second", "other", "core"), "onnxruntime")
    models = write_models(tmp_path / "models", backends)

    made = deploy(placed(backends, SharingMode.MPS), target, model_repository=models)

    assert [one for one in made.files if one.endswith("core/configs/gpu-0.pbtxt")] == [
        one
        for one in made.files
        if "core" in one and one.endswith(".pbtxt") and "configs" in one
    ]
    text = "\n".join(made.files.values())
    assert text.count("--load-model=core") <= max(1, text.count("--load-model=first"))


def test_what_is_true_of_many_gpus_is_told_once(tmp_path: Path) -> None:
    backends = dict.fromkeys(("first", "second", "other", "core"), "onnxruntime")
    models = write_models(tmp_path / "models", backends)
    one = placed(backends, SharingMode.MPS)
    run = one.gpus.runs[0]
    many = one.model_copy(
        update={
            "num_gpus": 5,
            "gpus": [run.gpu(index) for index in range(5)],
        }
    )

    made = deploy(many, "kubernetes", model_repository=models)

    assert len([note for note in made.notes if "share composing models" in note]) == 1


def test_a_share_of_the_multiprocessors_is_not_for_one_of_several(
    tmp_path: Path,
) -> None:
    backends = dict.fromkeys(("first", "second", "other", "core"), "onnxruntime")
    models = write_models(tmp_path / "models", backends)
    placement = placed(backends, SharingMode.MPS)

    assert servers(placement, models, mps_shares_percent={"other": 30.0})
    with pytest.raises(InvalidInputError, match="shares a composing model with second"):
        servers(placement, models, mps_shares_percent={"first": 30.0})
