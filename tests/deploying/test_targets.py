"""Every target's files: valid to their readers, and exact in what they run."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

import gpupack
from gpupack.deploying import KUBERNETES_VERSIONS, TARGETS, DeployOptions, deploy
from gpupack.deploying.plan import planning_servers
from gpupack.deploying.targets.target import Ability, How
from gpupack.errors import InvalidInputError
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import GpuType
from gpupack.records.placement import EqualGpus, PlacedGpus
from tests.deploying import cluster_standin
from tests.deploying.published_schemas import DEVICE_PLUGIN, HTTP_ROUTE
from tests.deploying.random_placements import H200, MIB, random_placement, write_models
from tests.deploying.real_tools import documents, kustomized, output_of, rendered, tool

if TYPE_CHECKING:
    from pathlib import Path

GPU_TARGETS = ("triton", "compose", "kubernetes", "helm", "dra")
CLUSTERS = ("kubernetes", "helm", "dra")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def other_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models of a backend whose instances share the server's process."""
    folder = write_models(tmp_path_factory.mktemp("onnx"))
    for path in folder.glob("*/config.pbtxt"):
        text = path.read_text().replace('"python"', '"onnxruntime"')
        path.write_text(text.replace("KIND_CPU", "KIND_GPU"))
    return folder


def a_placement(
    seed: int, mode: SharingMode | None = SharingMode.MPS, **values: Any
) -> Any:
    given: dict[str, Any] = {"gpu_type": H200, "most_gpus": 6, "repeated": 0.5}
    return random_placement(seed, sharing_mode=mode, **(given | values))


def objects_of(target: str, files: Any) -> list[dict[str, Any]]:
    """What a cluster is given; of a chart, what gpupack says that it makes."""
    paths = [path for path in files if path.endswith(".yaml")]
    paths = [
        path
        for path in paths
        if (path == "objects.yaml" if target == "helm" else path.startswith("base/"))
        and not path.endswith("kustomization.yaml")
    ]
    return [one for path in sorted(paths) for one in documents(files[path])]


@pytest.mark.parametrize("target", GPU_TARGETS)
def test_equal_input_gives_equal_bytes(
    target: str, models: Path, tmp_path: Path
) -> None:
    placement = a_placement(3)
    again = gpupack.Placement.model_validate_json(placement.model_dump_json())
    first = deploy(placement, target, model_repository=models, output=tmp_path / "a")
    second = deploy(again, target, model_repository=models, output=tmp_path / "a")
    assert first.files == second.files
    assert first.links == second.links
    assert {
        path: (tmp_path / "a" / path).read_text() for path in first.files
    } == first.files


def test_a_small_change_of_the_plan_is_a_small_change_of_the_files(
    models: Path,
) -> None:
    placement = a_placement(1, repeated=0.0)
    fewer = placement.model_copy(update={"gpus": placement.gpus[:-1]})
    before = deploy(placement, "kubernetes", model_repository=models).files
    after = deploy(fewer, "kubernetes", model_repository=models).files
    gone = f"base/gpu-{placement.gpus[-1].gpu_index}.yaml"
    assert before.keys() - after.keys() == {gone}
    unchanged = [path for path in after if path.startswith("base/gpu-")]
    assert {path: before[path] for path in unchanged} == {
        path: after[path] for path in unchanged
    }


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("target", CLUSTERS)
@pytest.mark.parametrize("backend", ["python", "onnxruntime"])
def test_the_apis_schemas_accept_every_object(
    target: str, version: str, backend: str, models: Path, other_models: Path
) -> None:
    repository = models if backend == "python" else other_models
    made = deploy(
        a_placement(4, backend=backend),
        target,
        model_repository=repository,
        options=DeployOptions(kubernetes_version=version),
    )
    objects = objects_of(target, made.files)
    assert {"ConfigMap", "Deployment", "Service"} <= {one["kind"] for one in objects}
    for one in objects:
        # An API that the version does not have raises as well.
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schema_check_would_notice_a_wrong_key_and_an_api_too_new(
    models: Path,
) -> None:
    made = deploy(a_placement(4), "dra", model_repository=models)
    claim = next(
        one for one in objects_of("dra", made.files) if one["kind"] == "ResourceClaim"
    )
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(claim, "1.33", strict=True)
    claim["spec"]["devices"]["constraint"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(claim, "1.34", strict=True)


@pytest.mark.parametrize("target", ["kubernetes", "dra"])
def test_kustomize_builds_the_base_and_the_routes(
    target: str, models: Path, tmp_path: Path
) -> None:
    made = deploy(
        a_placement(4), target, model_repository=models, output=tmp_path / "o"
    )
    built = kustomized(tmp_path / "o" / "base")
    assert by_name(built) == by_name(objects_of(target, made.files))
    routed = [
        one
        for one in kustomized(tmp_path / "o" / "gateway")
        if one["kind"] == "HTTPRoute"
    ]
    assert routed
    for one in routed:
        jsonschema.validate(one, HTTP_ROUTE)


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


@pytest.mark.parametrize("backend", ["python", "onnxruntime"])
@pytest.mark.parametrize("in_repository", [False, True])
def test_the_chart_makes_what_kubernetes_is_written(
    backend: str, in_repository: bool, models: Path, other_models: Path, tmp_path: Path
) -> None:
    repository = models if backend == "python" else other_models
    placement = a_placement(5, backend=backend)
    chosen = DeployOptions(in_repository=in_repository)
    plain = deploy(placement, "kubernetes", model_repository=repository, options=chosen)
    chosen_copy = deploy(placement, "helm", model_repository=repository, options=chosen)
    for path, text in chosen_copy.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    made = by_name(rendered(tmp_path / "chart"))
    assert made == by_name(objects_of("kubernetes", plain.files))
    assert made == by_name(documents(chosen_copy.files["objects.yaml"]))


def test_the_charts_routes_come_when_they_are_wanted(
    models: Path, tmp_path: Path
) -> None:
    deploy(a_placement(5), "helm", model_repository=models, output=tmp_path / "o")
    chart = str(tmp_path / "o" / "chart")
    text = output_of(
        tool("helm"), "template", "r", chart, "--set", "gateway.enabled=true"
    )
    routes = [one for one in documents(text) if one["kind"] == "HTTPRoute"]
    assert routes
    for one in routes:
        jsonschema.validate(one, HTTP_ROUTE)


@pytest.mark.parametrize("mode", list(SharingMode))
@pytest.mark.parametrize("backend", ["python", "onnxruntime"])
def test_compose_reads_the_file_as_it_is_meant(
    mode: SharingMode, backend: str, models: Path, other_models: Path, tmp_path: Path
) -> None:
    repository = models if backend == "python" else other_models
    placement = a_placement(6, mode, backend=backend)
    out = tmp_path / "o"
    deploy(placement, "compose", model_repository=repository, output=out)
    text = output_of(tool("docker-compose"), "-f", str(out / "compose.yaml"), "config")
    services = yaml.safe_load(text)["services"]
    servers = gpupack.read_deployment(out).servers
    assert {one.name for one in servers} <= services.keys()
    ports = [port for one in services.values() for port in published(one)]
    assert len(ports) == len(set(ports)) == 3 * len(servers)
    for server in servers:
        service = services[server.name]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["device_ids"] == [str(server.gpu_index)]
        loads = {
            one.removeprefix("--load-model=")
            for one in service["command"]
            if one.startswith("--load-model=")
        }
        assert loads == {one.name for one in server.models}
        if mode is SharingMode.MPS:
            daemon = f"gpu-{server.gpu_index}--mps"
            assert service["ipc"] == f"service:{daemon}"
            assert services[daemon]["command"][0] == "nvidia-cuda-mps-control"


def published(service: dict[str, Any]) -> list[int]:
    return [
        int(one["published"] if isinstance(one, dict) else one.split(":")[0])
        for one in service.get("ports", [])
    ]


@pytest.mark.parametrize("target", CLUSTERS)
def test_each_gpu_of_a_cluster_holds_what_was_planned(
    target: str, models: Path, other_models: Path
) -> None:
    """Fifty random placements; the scheduler knows no more than counts."""
    for seed in range(50):
        mode = list(SharingMode)[seed % 3]
        backend = "python" if seed % 2 else "onnxruntime"
        placement = a_placement(seed, mode, backend=backend)
        made = deploy(
            placement,
            target,
            model_repository=models if backend == "python" else other_models,
        )
        nodes = cluster_standin.nodes_for(
            {"NVIDIA H200": len(placement.gpus), "NVIDIA A10": 2},
            memory_bytes=143771 * MIB,
        )
        cluster_standin.run(objects_of(target, made.files), nodes, seed=seed)
        held = [
            tuple(sorted(gpu.models.items()))
            for node in nodes
            for gpu in node.gpus
            if gpu.product == "NVIDIA H200"
        ]
        planned = [tuple(sorted(expected(gpu).items())) for gpu in placement.gpus]
        assert Counter(held) == Counter(planned), f"seed {seed}"
        others = [g for n in nodes for g in n.gpus if g.product == "NVIDIA A10"]
        assert not any(gpu.models for gpu in others)


def expected(gpu: Any) -> Counter[str]:
    """Instances of each model on a GPU: those of its variant, or one, times placed."""
    found: Counter[str] = Counter()
    for one in gpu.assignments:
        variant = one.load_point.variant
        found[one.model_name] += variant.num_gpu_instances if variant else 1
    return found


def test_the_standin_leaves_pods_pending_where_a_gpu_is_missing(models: Path) -> None:
    placement = a_placement(1)
    made = deploy(placement, "kubernetes", model_repository=models)
    nodes = cluster_standin.nodes_for(
        {"NVIDIA H200": len(placement.gpus) - 1}, memory_bytes=143771 * MIB
    )
    with pytest.raises(cluster_standin.UnschedulableError):
        cluster_standin.run(objects_of("kubernetes", made.files), nodes)


def test_hosts_without_a_gpu_get_a_pod_each(models: Path) -> None:
    placement = random_placement(2, most_gpus=3)
    made = deploy(placement, "kubernetes", model_repository=models)
    nodes = [cluster_standin.Node(f"n{index}", []) for index in range(3)]
    cluster_standin.run(objects_of("kubernetes", made.files), nodes)
    assert max(len(node.pods) for node in nodes) == 1
    with pytest.raises(InvalidInputError, match="dra cannot express hosts"):
        deploy(placement, "dra", model_repository=models)


def test_equal_gpus_are_replicas_of_one_deployment(models: Path) -> None:
    placement = a_placement(1, most_gpus=1)
    gpu = placement.gpus[0]
    three = tuple(gpu.model_copy(update={"gpu_index": index}) for index in range(3))
    made = deploy(
        placement.model_copy(update={"gpus": three}),
        "kubernetes",
        model_repository=models,
    )
    (found,) = [
        one
        for one in objects_of("kubernetes", made.files)
        if one["kind"] == "Deployment"
    ]
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["strategy"] == {"type": "Recreate"}


def test_very_many_equal_gpus_are_planned_once_and_told_in_one_line(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placement = a_placement(1, most_gpus=1)
    gpu = placement.gpus[0]
    many = PlacedGpus([EqualGpus.of(gpu, gpu_index=0, num_gpus=1_000)])
    planned = []
    plan = planning_servers._served_models

    def counted(*arguments: Any) -> Any:
        planned.append(arguments)
        return plan(*arguments)

    monkeypatch.setattr(planning_servers, "_served_models", counted)
    made = deploy(
        placement.model_copy(update={"gpus": many}),
        "kubernetes",
        model_repository=models,
    )
    (found,) = [
        one
        for one in objects_of("kubernetes", made.files)
        if one["kind"] == "Deployment"
    ]
    assert found["spec"]["replicas"] == 1_000
    assert len(planned) == 1
    page = made.files["DEPLOYMENT.md"]
    assert "| 0 and 999 more |" in page
    assert len(page) < 10_000


@pytest.mark.parametrize("target", ["triton", "compose"])
def test_no_server_of_many_has_the_routers_port(target: str, models: Path) -> None:
    placement = a_placement(1, most_gpus=1)
    gpu = placement.gpus[0]
    many = tuple(gpu.model_copy(update={"gpu_index": index}) for index in range(30))
    made = deploy(
        placement.model_copy(update={"gpus": many}), target, model_repository=models
    )
    firsts = [one.http_port for one in made.record.servers]
    assert firsts == [8000 + 3 * n for n in range(26)] + [8081, 8084, 8087, 8090]
    assert "    listen 8080;\n" in made.files["router/nginx.conf"]


def test_the_device_plugins_configuration_is_one_that_it_reads(models: Path) -> None:
    made = deploy(a_placement(1), "kubernetes", model_repository=models)
    (one,) = documents(made.files["device-plugin/config-map.yaml"])
    jsonschema.validate(yaml.safe_load(one["data"]["gpupack"]), DEVICE_PLUGIN)
    kubernetes_validate.validate(one, "1.34", strict=True)


@pytest.mark.parametrize("target", ["kubernetes", "helm"])
def test_a_pinned_gpu_is_refused_where_only_counts_are_known(
    target: str, models: Path
) -> None:
    chosen = DeployOptions(gpu_uuids={0: "GPU-5b3c"})
    with pytest.raises(
        InvalidInputError, match=f"{target} cannot express a chosen GPU"
    ):
        deploy(a_placement(1), target, model_repository=models, options=chosen)


def test_a_pinned_gpu_is_said_where_it_can_be(models: Path, tmp_path: Path) -> None:
    placement = a_placement(1)
    uuid = "GPU-5b3c0000-1111-2222-3333-444455556666"
    chosen = DeployOptions(gpu_uuids={0: uuid})
    script = deploy(placement, "triton", model_repository=models, options=chosen)
    assert f"export CUDA_VISIBLE_DEVICES={uuid}\n" in script.files["gpu-0.sh"]
    compose = deploy(placement, "compose", model_repository=models, options=chosen)
    services = yaml.safe_load(compose.files["compose.yaml"])["services"]
    (device,) = services["gpu-0"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"] == [uuid]
    hami = deploy(
        placement,
        "kubernetes",
        model_repository=models,
        options=DeployOptions(gpu_uuids={0: uuid}, hami=True),
    )
    pinned = [
        one["spec"]["template"]
        for one in objects_of("kubernetes", hami.files)
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "gpupack-gpu-0"
    ]
    (template,) = pinned
    assert template["metadata"]["annotations"]["nvidia.com/use-gpuuuid"] == uuid
    limits = template["spec"]["containers"][0]["resources"]["limits"]
    memory = -(-placement.gpus[0].memory_bytes // MIB)
    assert limits["nvidia.com/gpumem"] == str(memory)
    dra = deploy(placement, "dra", model_repository=models, options=chosen)
    claims = {
        one["metadata"]["name"]: one
        for one in objects_of("dra", dra.files)
        if one["kind"] == "ResourceClaim"
    }
    nodes = cluster_standin.nodes_for({"NVIDIA H200": 4}, memory_bytes=143771 * MIB)
    nodes[-1].gpus[-1].uuid = uuid
    _, gpu = cluster_standin.allocate(claims["gpupack-gpu-0"], nodes)
    assert gpu.uuid == uuid


def test_unequal_mps_shares_are_said_or_changed_with_a_word(
    other_models: Path,
) -> None:
    placement = a_placement(3, backend="onnxruntime")
    first = placement.gpus[0].models[0]
    chosen = DeployOptions(mps_shares_percent={first: 70})
    for target, share in (
        ("triton", "exact"),
        ("kubernetes", "changed"),
        ("dra", "changed"),
    ):
        made = deploy(placement, target, model_repository=other_models, options=chosen)
        said = [one for one in made.notes if one.startswith("unequal MPS shares: ")]
        assert len(said) == (share == "changed")
        assert "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=70" in "\n".join(made.files.values())


def test_catalogue_names_wait_for_a_label_unless_one_is_given(models: Path) -> None:
    t4 = GpuType(name="T4", memory_bytes=15360 * MIB)
    placement = a_placement(1, gpu_type=t4)
    made = deploy(placement, "kubernetes", model_repository=models)
    assert any(
        "kubectl label node NODE gpupack/gpu-type=t4-" in one for one in made.notes
    )
    chosen = DeployOptions(gpu_products={"T4": "Tesla-T4"})
    told = deploy(placement, "kubernetes", model_repository=models, options=chosen)
    assert told.notes == made.notes[1:] or not any(
        "label node" in n for n in told.notes
    )
    selectors = [
        one["spec"]["template"]["spec"]["nodeSelector"]
        for one in objects_of("kubernetes", told.files)
        if one["kind"] == "Deployment"
    ]
    assert set(map(json.dumps, selectors)) == {
        json.dumps({"nvidia.com/gpu.product": "Tesla-T4"})
    }


@pytest.mark.parametrize(
    ("planned", "memory_mib", "taken", "left"),
    [
        ("T4", 15360, ["Tesla T4"], ["NVIDIA A10", "NVIDIA L4"]),
        ("A100-40GB", 40960, ["NVIDIA A100-SXM4-40GB"], ["NVIDIA A10"]),
        ("NVIDIA H200", 143771, ["NVIDIA H200"], ["NVIDIA H20", "NVIDIA H100 NVL"]),
    ],
)
def test_claims_take_the_planned_type_and_no_other(
    planned: str, memory_mib: int, taken: list[str], left: list[str], models: Path
) -> None:
    gpu_type = GpuType(name=planned, memory_bytes=memory_mib * MIB)
    made = deploy(
        a_placement(1, gpu_type=gpu_type, most_models=1), "dra", model_repository=models
    )
    claim = next(
        one for one in objects_of("dra", made.files) if one["kind"] == "ResourceClaim"
    )
    expressions = [
        one["cel"]["expression"]
        for one in claim["spec"]["devices"]["requests"][0]["exactly"]["selectors"]
    ]

    def takes(product: str, mib: int) -> bool:
        gpu = cluster_standin.Gpu("GPU-1", product, mib * MIB)
        return all(cluster_standin.selects(one, gpu) for one in expressions)

    assert all(takes(product, memory_mib) for product in taken)
    assert not any(takes(product, memory_mib) for product in left)
    assert not takes(taken[0], memory_mib // 2)
    assert takes("NVIDIA A100-SXM4-80GB", 81920) is False


def test_a_mig_device_is_asked_for_by_its_profile(models: Path) -> None:
    slice_type = GpuType(name="NVIDIA H200 MIG 1g.18gb", memory_bytes=16384 * MIB)
    placement = a_placement(1, gpu_type=slice_type)
    plain = deploy(placement, "kubernetes", model_repository=models)
    one = next(
        one
        for one in objects_of("kubernetes", plain.files)
        if one["kind"] == "Deployment"
    )
    pod = one["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}
    assert pod["containers"][0]["resources"]["limits"] == {
        "nvidia.com/mig-1g.18gb": "1"
    }
    dra = deploy(placement, "dra", model_repository=models)
    claim = next(
        one for one in objects_of("dra", dra.files) if one["kind"] == "ResourceClaim"
    )
    exactly = claim["spec"]["devices"]["requests"][0]["exactly"]
    assert exactly["deviceClassName"] == "mig.nvidia.com"
    told = " ".join(one["cel"]["expression"] for one in exactly["selectors"])
    assert "profile == '1g.18gb'" in told
    for target in ("compose", "kubernetes", "dra"):
        notes = deploy(placement, target, model_repository=models).notes
        assert any(note.startswith("a MIG device: ") for note in notes)


def test_every_target_says_of_every_ability_how_it_is_expressed() -> None:
    for target in TARGETS.values():
        table = target.expressions(DeployOptions())
        assert table.keys() == set(Ability)
        for found in table.values():
            assert re.fullmatch(r"\S.*[^.]", found.words, re.DOTALL)
            assert found.how in How
    assert tuple(TARGETS) == GPU_TARGETS


def test_lines_that_start_servers_of_several_gpus_can_be_pasted(models: Path) -> None:
    """A script is its servers: in front, the first would keep the second waiting."""
    for seed in range(6):
        made = deploy(a_placement(seed), "triton", model_repository=models)
        page = made.files["DEPLOYMENT.md"]
        lines = re.findall(r"^\./gpu-\d+\.sh.*$", page, re.MULTILINE)
        assert len(lines) == sum(path.endswith(".sh") for path in made.files)
        assert len(lines) == 1 or all(line.endswith(" &") for line in lines)


@pytest.mark.parametrize("target", GPU_TARGETS)
def test_the_page_beside_the_files_says_what_was_changed_and_what_to_do(
    target: str, models: Path
) -> None:
    made = deploy(a_placement(3), target, model_repository=models)
    page = made.files["DEPLOYMENT.md"]
    for heading in ("What runs", "How to apply", "How to check", "Files"):
        assert f"\n## {heading}\n" in page
    plain = re.sub(r"\\(.)", r"\1", page)
    for note in made.notes:
        assert f"- {note}\n" in plain
    assert "gpupack status" in page
