"""What every target requests of the host, for what is on each GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

import gpupack
from gpupack.deploying import DeployOptions, deploy
from gpupack.deploying.plan import dns_names
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import Environment, SharingMode
from gpupack.records.gpu import GpuType
from gpupack.records.profile import LoadPoint, ServerBaseline
from tests.deploying.random_placements import H200, HOST, MIB, write_models
from tests.deploying.real_tools import documents, output_of, rendered, tool
from tests.factories import make_record

if TYPE_CHECKING:
    from pathlib import Path

CLUSTERS = ("kubernetes", "helm", "dra")
CORES = {"alpha": 1.5, "Beta_2": 0.25}
HELD_MIB = {"alpha": 900, "Beta_2": 700}
SERVER_MIB = 300


@pytest.fixture(scope="module")
def python_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that share one server."""
    return write_models(tmp_path_factory.mktemp("models"), ("alpha", "Beta_2"))


@pytest.fixture(scope="module")
def onnx_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with a server each."""
    folder = write_models(tmp_path_factory.mktemp("onnx"), ("alpha", "Beta_2"))
    for path in folder.glob("*/config.pbtxt"):
        text = path.read_text().replace('"python"', '"onnxruntime"')
        path.write_text(text.replace("KIND_CPU", "KIND_GPU"))
    return folder


def placed(
    *,
    backend: str = "python",
    gpu_type: GpuType = H200,
    unmeasured: tuple[str, ...] = (),
    sharing_mode: SharingMode | None = SharingMode.TIME_SLICING,
    **asked: Any,
) -> gpupack.Placement:
    """Both models on one GPU, each measured at 100 infer/sec."""
    records = tuple(
        make_record(
            name,
            gpu_type=gpu_type,
            load_point=LoadPoint(batch_size=1, concurrency=1),
            throughput_infer_per_sec=100.0,
            gpu_memory_used_bytes=500 * MIB,
            environment=Environment(
                source="test", backend=backend, sharing_mode=sharing_mode
            ),
            host_cpu_cores=None if name in unmeasured else CORES[name],
            host_memory_bytes=None if name in unmeasured else HELD_MIB[name] * MIB,
        )
        for name in CORES
    )
    baseline = ServerBaseline.with_reason(
        "not measured in this test",
        gpu_type=gpu_type,
        environment=Environment(source="test"),
        gpu_utilization_percent=0.0,
        memory_utilization_percent=0.0,
        gpu_memory_used_bytes=40 * MIB,
        host_memory_bytes=SERVER_MIB * MIB,
    )
    return gpupack.place(ProfileSet(records=records, baselines=(baseline,)), **asked)


def in_mib(quantity: str) -> float:
    """Docker-compose writes bytes, or what it was given, by its version."""
    if quantity.endswith("m"):
        return float(quantity[:-1])
    return int(quantity) / MIB


def containers_of(target: str, files: Any) -> list[dict[str, Any]]:
    texts = [
        text
        for path, text in files.items()
        if path == "objects.yaml" or path.startswith("base/gpu-")
    ]
    return [
        container
        for text in texts
        for one in documents(text)
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize("target", ["kubernetes", "helm"])
def test_a_pod_requests_what_its_models_took_and_is_not_limited(
    target: str, python_models: Path
) -> None:
    made = deploy(placed(), target, model_repository=python_models)

    (container,) = containers_of(target, made.files)
    assert container["resources"] == {
        "limits": {"nvidia.com/gpu": "1"},
        # One server, and what each model held beside it.
        "requests": {"cpu": "1750m", "memory": f"{300 + 600 + 400}Mi"},
    }


def test_the_chart_makes_pods_with_these_requests(
    python_models: Path, tmp_path: Path
) -> None:
    deploy(placed(), "helm", model_repository=python_models, output=tmp_path / "o")

    (pods,) = [
        one for one in rendered(tmp_path / "o" / "chart") if one["kind"] == "Deployment"
    ]
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1750m", "memory": "1300Mi"}


def test_servers_of_one_container_hold_a_server_each(onnx_models: Path) -> None:
    made = deploy(placed(backend="onnxruntime"), "helm", model_repository=onnx_models)

    (container,) = containers_of("helm", made.files)
    assert container["resources"]["requests"] == {
        "cpu": "1750m",
        "memory": f"{900 + 700}Mi",
    }


def test_containers_that_share_a_claim_request_for_their_own_models(
    onnx_models: Path,
) -> None:
    made = deploy(placed(backend="onnxruntime"), "dra", model_repository=onnx_models)

    found = containers_of("dra", made.files)
    labels = dns_names(CORES, reserved=set())
    assert {one["name"]: one["resources"]["requests"] for one in found} == {
        "gpu-0-alpha": {"cpu": "1500m", "memory": "900Mi"},
        f"gpu-0-{labels['Beta_2']}": {"cpu": "250m", "memory": "700Mi"},
    }
    assert all(one["resources"]["claims"] for one in found)


def test_compose_reserves_it_for_each_service(
    onnx_models: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    deploy(
        placed(backend="onnxruntime"),
        "compose",
        model_repository=onnx_models,
        output=out,
    )

    text = output_of(tool("docker-compose"), "-f", str(out / "compose.yaml"), "config")
    services = yaml.safe_load(text)["services"]
    labels = dns_names(CORES, reserved=set())
    reserved = {
        name: one["deploy"]["resources"]["reservations"]
        for name, one in services.items()
    }
    assert {
        name: (float(one["cpus"]), in_mib(one["memory"]))
        for name, one in reserved.items()
    } == {
        "gpu-0-alpha": (1.5, 900),
        f"gpu-0-{labels['Beta_2']}": (0.25, 700),
    }
    assert all(one["devices"] for one in reserved.values())
    assert not any("limits" in one["deploy"]["resources"] for one in services.values())


def test_cores_are_those_of_the_traffic_and_headroom_is_requested(
    python_models: Path,
) -> None:
    placement = placed(
        demand={"alpha": 50, "Beta_2": 100},
        headroom={"host_cpu": 0.5, "host_memory": 0.8},
        host_cpus_per_gpu=8,
        host_memory_per_gpu="64GB",
    )
    made = deploy(placement, "kubernetes", model_repository=python_models)

    (container,) = containers_of("kubernetes", made.files)
    # Half of alpha's cores and all of the other's, of which half may be used.
    assert container["resources"]["requests"] == {
        "cpu": f"{(1500 // 2 + 250) * 2}m",
        "memory": f"{1300 * 10 // 8}Mi",
    }


def test_cores_follow_the_traffic_where_nothing_is_said_of_the_host(
    python_models: Path,
) -> None:
    placement = placed(demand={"alpha": 50, "Beta_2": 100})
    made = deploy(placement, "kubernetes", model_repository=python_models)

    (container,) = containers_of("kubernetes", made.files)
    assert container["resources"]["requests"]["cpu"] == "1000m"


@pytest.mark.parametrize("target", CLUSTERS)
def test_nothing_is_requested_of_a_host_that_was_not_measured(
    target: str, python_models: Path
) -> None:
    made = deploy(
        placed(unmeasured=("Beta_2",)), target, model_repository=python_models
    )

    (container,) = containers_of(target, made.files)
    assert "requests" not in container["resources"]
    assert "not measured" in made.files["DEPLOYMENT.md"]
    assert any("'Beta_2'" in one and "of the host" in one for one in made.notes)


def test_a_host_in_the_place_of_a_gpu_is_asked_for_cores_too(
    python_models: Path,
) -> None:
    placement = placed(gpu_type=HOST, sharing_mode=None)
    made = deploy(placement, "kubernetes", model_repository=python_models)

    (container,) = containers_of("kubernetes", made.files)
    planned_mib = -(-placement.gpus[0].memory_bytes // MIB)
    assert container["resources"] == {
        "requests": {"cpu": "1750m", "memory": f"{planned_mib}Mi"}
    }


def test_hamis_limits_stay_beside_the_requests(python_models: Path) -> None:
    made = deploy(
        placed(),
        "kubernetes",
        model_repository=python_models,
        options=DeployOptions(hami=True),
    )

    (container,) = containers_of("kubernetes", made.files)
    assert container["resources"]["limits"]["nvidia.com/gpucores"] == "100"
    assert container["resources"]["requests"]["cpu"] == "1750m"
