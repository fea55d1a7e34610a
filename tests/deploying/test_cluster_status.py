"""What ``kubectl get -o json`` printed, against what was written."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from gpupack.cli.app import app
from gpupack.deploying import DifferenceKind, check_status, deploy
from gpupack.errors import InvalidInputError, StoreError, UnknownNameError
from gpupack.records.environment import SharingMode
from tests.deploying.random_placements import H200, random_placement, write_models
from tests.deploying.real_tools import documents

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Objects = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(params=["kubernetes", "helm", "dra"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    placement = random_placement(
        1, gpu_type=H200, sharing_mode=SharingMode.MPS, most_gpus=6
    )
    out = tmp_path / "out"
    models = write_models(tmp_path / "models")
    deploy(placement, request.param, model_repository=models, output=out)
    return out


def live(out: Path) -> Objects:
    """What a cluster would answer: with defaults filled in, quantities canonical."""
    record = json.loads((out / "deployment.json").read_text())
    found: Objects = {}
    for path in record["manifests"]:
        for one in documents((out / path).read_text()):
            found[one["kind"], one["metadata"]["name"]] = one
    for (kind, name), one in list(found.items()):
        one["metadata"] |= {"uid": "0", "resourceVersion": "1", "namespace": "ml"}
        if kind == "Deployment":
            spec = one["spec"]
            spec |= {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
            pod = spec["template"]["spec"]
            pod |= {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
            for container in pod["containers"]:
                container["imagePullPolicy"] = "IfNotPresent"
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["defaultMode"] = 420
                if volume["name"] == "shared-memory":
                    assert volume["emptyDir"]["sizeLimit"] == "1024Mi"
                    volume["emptyDir"]["sizeLimit"] = "1Gi"
            one["status"] = {"readyReplicas": spec["replicas"]}
            labels = spec["template"]["metadata"]["labels"]
            found["Pod", f"{name}-x"] = {
                "kind": "Pod",
                "metadata": {"name": f"{name}-x", "labels": labels},
                "status": {
                    "phase": "Running",
                    "containerStatuses": [{"name": "triton", "ready": True}],
                },
            }
        if kind == "Service":
            one["spec"]["clusterIP"] = "10.0.0.1"
        if kind == "ResourceClaim":
            one["status"] = {"allocation": {"devices": {}}}
    return found


def saved(objects: Objects, path: Path) -> Path:
    path.write_text(json.dumps({"kind": "List", "items": list(objects.values())}))
    return path


def test_a_cluster_that_is_as_planned_is_equal(written: Path, tmp_path: Path) -> None:
    found = check_status(written, cluster=saved(live(written), tmp_path / "c.json"))
    assert found.differences == ()
    assert found.is_equal
    assert any("objects of the cluster" in one for one in found.equal)


def first(objects: Objects, kind: str) -> dict[str, Any]:
    return next(one for (of, _), one in sorted(objects.items()) if of == kind)


def pod_of(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = first(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


CHANGES: list[tuple[str, DifferenceKind, str, Callable[[Objects], object]]] = [
    (
        "image",
        DifferenceKind.WRONG,
        'image is "other:1"',
        lambda objects: pod_of(objects)["containers"][0].update(image="other:1"),
    ),
    (
        "replicas",
        DifferenceKind.WRONG,
        "spec.replicas is 7",
        lambda objects: first(objects, "Deployment")["spec"].update(replicas=7),
    ),
    (
        "not ready",
        DifferenceKind.NOT_RUNNING,
        "0 of 1 pods are ready",
        lambda objects: first(objects, "Deployment").pop("status"),
    ),
    (
        "configuration",
        DifferenceKind.WRONG,
        "data.",
        lambda objects: first(objects, "ConfigMap")["data"].update(
            {next(iter(first(objects, "ConfigMap")["data"])): "changed"}
        ),
    ),
    (
        "more configuration",
        DifferenceKind.WRONG,
        "data.more was not planned",
        lambda objects: first(objects, "ConfigMap")["data"].update(more=""),
    ),
    (
        "selector",
        DifferenceKind.WRONG,
        "spec.selector.more was not planned",
        lambda objects: first(objects, "Service")["spec"]["selector"].update(more="1"),
    ),
    (
        "command",
        DifferenceKind.WRONG,
        "command[0] is",
        lambda objects: pod_of(objects)["containers"][0]["command"].__setitem__(
            0, "sh"
        ),
    ),
    (
        "another container",
        DifferenceKind.WRONG,
        "containers has",
        lambda objects: pod_of(objects)["containers"].append({"name": "more"}),
    ),
    (
        "volume",
        DifferenceKind.WRONG,
        "volumes lacks",
        lambda objects: pod_of(objects)["volumes"].pop(1),
    ),
    (
        "pending",
        DifferenceKind.NOT_RUNNING,
        "its phase is Pending: no GPU left",
        lambda objects: first(objects, "Pod").update(
            status={
                "phase": "Pending",
                "conditions": [{"status": "False", "message": "no GPU left"}],
            }
        ),
    ),
    (
        "crashing",
        DifferenceKind.NOT_RUNNING,
        "container triton: CrashLoopBackOff",
        lambda objects: first(objects, "Pod")["status"].update(
            containerStatuses=[
                {
                    "name": "triton",
                    "ready": False,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                }
            ]
        ),
    ),
]


@pytest.mark.parametrize(
    ("kind", "told", "change"),
    [pytest.param(*one[1:], id=one[0]) for one in CHANGES],
)
def test_each_change_is_named_and_nothing_else(
    kind: DifferenceKind,
    told: str,
    change: Callable[[Objects], object],
    written: Path,
    tmp_path: Path,
) -> None:
    objects = copy.deepcopy(live(written))
    change(objects)
    found = check_status(written, cluster=saved(objects, tmp_path / "c.json"))
    told_all = [one for one in found.differences if told in one.detail]
    assert [one.kind for one in told_all] == [kind], str(found)
    # A wrong number of replicas is one that is not ready, too.
    assert len(found.differences) <= (2 if told.startswith("spec.replicas") else 1)


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap"])
def test_what_is_gone_is_missing_and_what_was_added_is_extra(
    kind: str, written: Path, tmp_path: Path
) -> None:
    objects = live(written)
    key = next(key for key in sorted(objects) if key[0] == kind)
    other = copy.deepcopy(objects.pop(key))
    other["metadata"]["name"] = "another"
    objects[kind, "another"] = other
    stranger = copy.deepcopy(other)
    stranger["metadata"] = {"name": "stranger", "labels": {}}
    objects[kind, "stranger"] = stranger
    found = check_status(written, cluster=saved(objects, tmp_path / "c.json"))
    assert [(one.kind, one.what) for one in found.differences] == [
        (DifferenceKind.MISSING, f"{kind} {key[1]}"),
        (DifferenceKind.EXTRA, f"{kind} another"),
    ]


def test_kinds_that_were_not_asked_for_are_said(written: Path, tmp_path: Path) -> None:
    objects = {key: one for key, one in live(written).items() if key[0] == "Service"}
    found = check_status(written, cluster=saved(objects, tmp_path / "c.json"))
    assert found.is_equal
    assert "objects of kind Deployment: the output has none" in found.unchecked


def test_what_cannot_be_compared_is_refused(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "c.json"
    with pytest.raises(
        InvalidInputError, match="does not say where its servers answer"
    ):
        check_status(written)
    other.write_text("NAME READY\n")
    with pytest.raises(StoreError, match="kubectl get"):
        check_status(written, cluster=other)
    other.write_text('{"kind": "List", "items": []}')
    with pytest.raises(InvalidInputError, match="no object of the kinds"):
        check_status(written, cluster=other)
    with pytest.raises(UnknownNameError, match="no server 'gpu-99'"):
        check_status(written, urls={"gpu-99": "http://localhost:8000"})
    with pytest.raises(StoreError, match="gpupack deploy writes one"):
        check_status(other)


def test_the_command_line_ends_with_4_where_the_cluster_differs(
    written: Path, tmp_path: Path
) -> None:
    objects = live(written)
    path = saved(objects, tmp_path / "c.json")
    arguments = ["status", str(written), "--cluster", str(path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    del objects[next(key for key in objects if key[0] == "Service")]
    saved(objects, path)
    shell = CliRunner().invoke(app, arguments)
    assert shell.exit_code == 4
    assert "missing" in shell.output


def test_a_url_without_a_server_is_that_of_the_only_one(
    written: Path, tmp_path: Path
) -> None:
    servers = json.loads((written / "deployment.json").read_text())["servers"]
    assert len(servers) > 1
    nobody = "http://127.0.0.1:9"
    arguments = ["status", str(written), "--url"]
    shell = CliRunner().invoke(app, [*arguments, nobody])
    assert isinstance(shell.exception, InvalidInputError)
    assert f"say which, such as {servers[0]['name']}={nobody}" in str(shell.exception)
    shell = CliRunner().invoke(app, [*arguments, f"{servers[0]['name']}={nobody}"])
    assert shell.exit_code == 4
    assert f"{servers[0]['name']}: unreachable" in shell.output
    assert f"not compared: server {servers[1]['name']}" in shell.output
