"""The chart ``deploy/helm/gpupack``: what it renders, refuses, and that it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import typer
import yaml

import gpupack
from gpupack.cli.app import app
from gpupack.errors import ServerUnavailableError
from gpupack.profiling.embedded.installation import install_server
from tests.docs.code_blocks import code_blocks
from tests.factories import make_profiles, make_record
from tests.profiling.served_models import write_model
from tests.release.cluster import (
    CHART,
    Node,
    command_of,
    devices_of,
    helm,
    pod_of,
    render,
)
from tests.release.conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {"volume": {"persistentVolumeClaim": {"claimName": "models"}}}
H200 = {"nvidia.com/gpu.product": "NVIDIA-H200"}
NODES = (
    Node("cpu"),
    Node(
        "full",
        labels=H200,
        taints=("nvidia.com/gpu",),
        devices={"nvidia.com/gpu": 0},
    ),
    Node(
        "l4",
        labels={"nvidia.com/gpu.product": "NVIDIA-L4"},
        taints=("nvidia.com/gpu",),
        devices={"nvidia.com/gpu": 4},
    ),
    Node(
        "h200",
        labels=H200,
        taints=("nvidia.com/gpu",),
        devices={"nvidia.com/gpu": 1},
    ),
)


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpupack", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        timeout=120,
        check=False,
    )


def parsed(arguments: list[str]) -> dict[str, object]:
    """Return what the command line makes of arguments, without running them."""
    command = typer.main.get_command(app)
    name, *rest = arguments
    parent = command.make_context("gpupack", [name])
    child = command.get_command(parent, name)  # type: ignore[attr-defined]
    given: dict[str, object] = child.make_context(name, rest, parent=parent).params
    return given


def test_the_chart_is_of_this_version_and_helm_finds_no_fault(tmp_path: Path) -> None:
    stated = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"modelRepository": MODELS}))

    for values in ([], ["--set", "mode=plan"], ["--values", tmp_path / "values.yaml"]):
        done = helm("lint", "--strict", CHART, *values)
        assert done.returncode == 0, done.stdout + done.stderr
    assert stated["version"] == stated["appVersion"] == gpupack.__version__


def test_profiling_takes_one_gpu_of_the_chosen_node(tmp_path: Path) -> None:
    manifests = render(
        tmp_path, {"modelRepository": MODELS, "node": {"selector": H200}}
    )
    pod = pod_of(manifests)

    assert set(manifests) == {"Job", "PersistentVolumeClaim"}
    assert devices_of(pod) == {"nvidia.com/gpu": 1}
    assert [node.name for node in NODES if node.takes(pod)] == ["h200"]
    claim = manifests["PersistentVolumeClaim"]["metadata"]
    assert claim["annotations"]["helm.sh/resource-policy"] == "keep"
    assert {"name": "store", "persistentVolumeClaim": {"claimName": claim["name"]}} in (
        pod["volumes"]
    )
    (container,) = pod["containers"]
    assert container["image"] == f"gpupack:{gpupack.__version__}"
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in (
        container["volumeMounts"]
    )


def test_nothing_runs_as_root_or_writes_beside_its_volumes(tmp_path: Path) -> None:
    for values in ({"modelRepository": MODELS}, {"mode": "plan"}):
        pod = pod_of(render(tmp_path, values))
        mounted = {one["name"] for one in pod["volumes"]}

        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsUser"] > 0
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            secured = container["securityContext"]
            assert secured["runAsNonRoot"] is True
            assert secured["readOnlyRootFilesystem"] is True
            assert secured["capabilities"] == {"drop": ["ALL"]}
            paths = {one["mountPath"] for one in container["volumeMounts"]}
            assert paths >= {"/store", "/tmp", "/work", "/opt/gpupack/cache/logs"}
            assert {one["name"] for one in container["volumeMounts"]} <= mounted


def test_a_running_triton_is_measured_without_a_gpu_or_a_repository(
    tmp_path: Path,
) -> None:
    values = {"profile": {"url": "grpc://triton:8001", "gpu": "A100-80GB"}}

    pod = pod_of(render(tmp_path, values))
    given = parsed(pod["containers"][0]["args"])

    assert devices_of(pod) == {}
    assert {one["name"] for one in pod["volumes"]} == {"store", "scratch"}
    assert given["url"] == "grpc://triton:8001"
    assert given["gpu"] == "A100-80GB"
    assert given["model_repository"] is None


def test_a_mig_device_a_claim_and_a_schedule_of_ones_own(tmp_path: Path) -> None:
    manifests = render(
        tmp_path,
        {
            "modelRepository": MODELS | {"subPath": "repository"},
            "gpu": {"resource": "nvidia.com/mig-3g.71gb", "count": 1},
            "store": {"existingClaim": "mine"},
            "runtimeClassName": "nvidia",
            "image": {"repository": "registry.example/gpupack", "tag": "1"},
            "ttlSecondsAfterFinished": 0,
            "volumes": [{"name": "ca", "secret": {"secretName": "triton-ca"}}],
            "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
            "profile": {"arguments": ["--tls-ca=/ca/ca.pem"]},
            "env": [{"name": "GPUPACK_CACHE_DIR", "value": "/opt/gpupack/cache"}],
        },
    )
    pod = pod_of(manifests)

    assert set(manifests) == {"Job"}
    assert devices_of(pod) == {"nvidia.com/mig-3g.71gb": 1}
    assert manifests["Job"]["spec"]["ttlSecondsAfterFinished"] == 0
    assert pod["containers"][0]["image"] == "registry.example/gpupack:1"
    claims = [
        one["persistentVolumeClaim"]["claimName"]
        for one in pod["volumes"]
        if "persistentVolumeClaim" in one
    ]
    assert claims == ["mine", "models"]
    assert {"name": "ca", "mountPath": "/ca", "readOnly": True} in (
        pod["containers"][0]["volumeMounts"]
    )
    assert pod["volumes"][-1]["name"] == "ca"


@pytest.mark.parametrize(
    "model",
    [
        "{{ .Release.Name }}",
        "$(HOME)",
        '"quoted"',
        "'; touch /tmp/x; '",
        "two\nlines: 1",
        "- dash",
        "../..",
        "модель",
        "x" * 300,
        "no",
        "$$",
    ],
)
def test_hostile_names_arrive_as_they_are(tmp_path: Path, model: str) -> None:
    values = {"modelRepository": MODELS, "profile": {"models": [model, "other"]}}

    (container,) = pod_of(render(tmp_path, values))["containers"]
    given = parsed(command_of(container, {}))

    assert given["models"] == f"{model},other"


def test_the_values_that_the_page_shows_are_taken(tmp_path: Path) -> None:
    page = PROJECT / "docs" / "howto" / "run_in_containers.md"
    (shown,) = [one.code for one in code_blocks(page) if one.language == "yaml"]

    pod = pod_of(render(tmp_path, yaml.safe_load(shown)))

    assert [node.name for node in NODES if node.takes(pod)] == ["h200"]
    assert parsed(pod["containers"][0]["args"])["models"] == "resnet50,bert"


def test_what_cannot_be_meant_is_refused_with_the_way_out(tmp_path: Path) -> None:
    for values, message in (
        ({}, "modelRepository.volume"),
        (
            {"modelRepository": MODELS, "profile": {"url": "http://triton:8000"}},
            "leave modelRepository.volume empty",
        ),
        (
            {"modelRepository": {"volume": {"hostPath": {}, "emptyDir": {}}}},
            "modelRepository/volume",
        ),
        ({"mode": "report"}, "'profile', 'plan'"),
        ({"profile": {"url": "triton:8000"}}, "profile/url"),
        ({"modelRepository": MODELS, "profile": {"batch": []}}, "profile/batch"),
        ({"modelRepository": MODELS, "profile": {"batch": [0]}}, "profile/batch"),
        ({"modelRepository": MODELS, "profile": {"models": ["a,b"]}}, "models"),
        ({"modelRepository": MODELS, "nodeSelector": H200}, "nodeSelector"),
        ({"modelRepository": MODELS, "gpu": {"resource": "gpu"}}, "gpu/resource"),
        ({"mode": "plan", "plan": {"objective": "fast"}}, "plan/objective"),
    ):
        with pytest.raises(RuntimeError) as refused:
            render(tmp_path, values)
        assert message in str(refused.value)


def test_long_names_of_releases_leave_room_and_stay_apart(tmp_path: Path) -> None:
    long = "a" * 53  # helm takes no longer one

    names = {
        render(tmp_path, {"modelRepository": MODELS}, name=name)["Job"]["metadata"][
            "name"
        ]
        for name in ("models", "gpupack", long)
    }

    assert len(names) == 3
    # The pods of a Job have its name and six characters more, in a label of 63.
    assert all(len(name) <= 57 for name in names)


def test_the_plan_is_written_by_the_rendered_commands(tmp_path: Path) -> None:
    store, request = tmp_path / "store", tmp_path / "request"
    store.mkdir()
    request.mkdir()
    records = [
        make_record(f"model {number}", throughput_infer_per_sec=100.0)
        for number in range(3)
    ]
    gpupack.write_profiles(make_profiles(*records), store / "profiles.jsonl")
    values = {
        "mode": "plan",
        "plan": {
            "request": {"models": {"model 0": {"demand": 250.0}}},
            "arguments": ["--headroom=0.9"],
        },
    }

    manifests = render(tmp_path, values)
    (request / "request.yaml").write_text(
        manifests["ConfigMap"]["data"]["request.yaml"]
    )
    pod = pod_of(manifests)
    folders = {"/store": store, "/request": request}
    done = [
        run(command_of(one, folders))
        for one in (*pod["initContainers"], *pod["containers"])
    ]

    assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
    placement = gpupack.read_placement(store / "placement.json")
    served = [
        assignment.model_name
        for gpu in placement.gpus
        for assignment in gpu.assignments
        if assignment.model_name == "model 0"
    ]
    assert len(served) == 3  # 250 of 100 each
    assert "<html" in (store / "report.html").read_text()
    assert (store / "placement.md").read_text().count("|") > 10


@pytest.mark.triton
def test_the_store_is_filled_by_the_rendered_command(tmp_path: Path) -> None:
    try:
        install_server()
    except ServerUnavailableError as err:
        pytest.skip(f"no embedded Triton here: {err}")
    models, store = tmp_path / "models", tmp_path / "store"
    store.mkdir()
    for name in ("first", "second", "third"):
        write_model(models, name)
    values = {
        "modelRepository": MODELS,
        "profile": {
            "models": ["first", "second"],
            "batch": [1, 2],
            "concurrency": [1],
            "gpu": "host",
            "arguments": ["--max-seconds=0.3", "--warm-up=0.1"],
        },
    }

    (container,) = pod_of(render(tmp_path, values))["containers"]
    done = run(command_of(container, {"/models": models, "/store": store}))

    assert done.returncode == 0, done.stderr
    profiles = gpupack.read_profiles(store / "profiles.jsonl")
    measured = {(one.model_name, one.load_point.batch_size) for one in profiles.records}
    assert measured == {
        ("first", 1),
        ("first", 2),
        ("second", 1),
        ("second", 2),
    }
    assert len(list((store / "tables").glob("metrics-*.csv"))) == 3
