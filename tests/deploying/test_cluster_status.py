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
    return written_to(tmp_path, request.param)


def written_to(folder: Path, target: str) -> Path:
    placement = random_placement(
        1, gpu_type=H200, sharing_mode=SharingMode.MPS, most_gpus=6
    )
    out = folder / "out"
    models = write_models(folder / "models")
    deploy(placement, target, model_repository=models, output=out)
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


@pytest.mark.parametrize("left", [("Service",), ("ConfigMap", "Pod"), ()])
def test_every_planned_object_that_is_not_in_the_file_is_missing(
    left: tuple[str, ...], written: Path, tmp_path: Path
) -> None:
    objects = live(written)
    path = saved({k: one for k, one in objects.items() if k[0] in left}, tmp_path / "c")
    found = check_status(written, cluster=path)
    assert [(one.kind, one.what) for one in found.differences] == [
        (DifferenceKind.MISSING, f"{kind} {name}")
        for kind, name in sorted(objects)
        if kind not in (*left, "Pod")
    ]
    told = [one.detail for one in found.differences if "Deployment " in one.what]
    assert set(told) == {f"no Deployment is in '{path}'; was it asked for?"}


UNPLANNED: list[tuple[str, Callable[[Objects], object]]] = [
    (
        "containers[0].env was not planned: CUDA_VISIBLE_DEVICES",
        lambda objects: pod_of(objects)["containers"][0].update(
            env=[{"name": "CUDA_VISIBLE_DEVICES", "value": "7"}]
        ),
    ),
    (
        'containers[0].args was not planned: ["x"]',
        lambda objects: pod_of(objects)["containers"][0].update(args=["x"]),
    ),
    (
        "containers[0].envFrom was not planned",
        lambda objects: pod_of(objects)["containers"][0].update(
            envFrom=[{"configMapRef": {"name": "x"}}]
        ),
    ),
    (
        "spec.initContainers was not planned: i",
        lambda objects: pod_of(objects).update(initContainers=[{"name": "i"}]),
    ),
    (
        "spec.hostNetwork was not planned: true",
        lambda objects: pod_of(objects).update(hostNetwork=True),
    ),
    (
        "spec.paused was not planned: true",
        lambda objects: first(objects, "Deployment")["spec"].update(paused=True),
    ),
]


@pytest.mark.parametrize(
    ("told", "change"), [pytest.param(*one, id=one[0]) for one in UNPLANNED]
)
def test_settings_of_pods_that_were_not_planned_are_named(
    told: str, change: Callable[[Objects], object], tmp_path: Path
) -> None:
    out = written_to(tmp_path, "kubernetes")
    objects = live(out)
    change(objects)
    found = check_status(out, cluster=saved(objects, tmp_path / "c.json"))
    assert [one.kind for one in found.differences] == [DifferenceKind.WRONG]
    assert told in found.differences[0].detail


def test_what_kubernetes_fills_in_by_itself_is_no_difference(tmp_path: Path) -> None:
    out = written_to(tmp_path, "kubernetes")
    objects = live(out)
    pod = pod_of(objects)
    pod |= {"securityContext": {}, "restartPolicy": "Always", "hostNetwork": False}
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    pod["containers"][0]["volumeMounts"].append(
        {"name": "kube-api-access-x", "mountPath": token, "readOnly": True}
    )
    pod["volumes"].append({"name": "kube-api-access-x", "projected": {}})
    pod["containers"][0] |= {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "env": [],
    }
    found = check_status(out, cluster=saved(objects, tmp_path / "c.json"))
    assert found.differences == ()


def in_namespaces(objects: Objects, *namespaces: str) -> list[dict[str, Any]]:
    found = []
    for namespace in namespaces:
        for one in copy.deepcopy(list(objects.values())):
            one["metadata"]["namespace"] = namespace
            found.append(one)
    return found


@pytest.mark.parametrize("wrong", ["a", "b"])
def test_namespaces_are_kept_apart(wrong: str, written: Path, tmp_path: Path) -> None:
    items = in_namespaces(live(written), "a", "b")
    changed = next(
        one
        for one in items
        if one["kind"] == "Deployment" and one["metadata"]["namespace"] == wrong
    )
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1"
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"kind": "List", "items": items}))
    found = check_status(written, cluster=path)
    assert [(one.kind, one.what) for one in found.differences] == [
        (DifferenceKind.EXTRA, ""),
        (DifferenceKind.WRONG, f"Deployment {wrong}/{changed['metadata']['name']}"),
    ]
    assert "namespaces a, b hold objects" in found.differences[0].detail
    for chosen in ("a", "b"):
        of_one = check_status(written, cluster=path, namespace=chosen)
        assert len(of_one.differences) == (chosen == wrong)
    of_none = check_status(written, cluster=path, namespace="c")
    assert {one.kind for one in of_none.differences} == {DifferenceKind.MISSING}
    assert "is in namespace 'c' of" in of_none.differences[0].detail


def test_a_stranger_of_the_same_name_elsewhere_is_none_of_the_deployment(
    written: Path, tmp_path: Path
) -> None:
    items = in_namespaces(live(written), "ml")
    stranger = next(one for one in items if one["kind"] == "Service")
    stranger = copy.deepcopy(stranger)
    stranger["metadata"] |= {"namespace": "z", "labels": {}}
    stranger["spec"] = {}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"kind": "List", "items": [*items, stranger]}))
    assert check_status(written, cluster=path).differences == ()
    arguments = ["status", str(written), "--cluster", str(path), "--namespace"]
    assert CliRunner().invoke(app, [*arguments, "ml"]).exit_code == 0
    assert CliRunner().invoke(app, [*arguments, "z"]).exit_code == 4
    with pytest.raises(InvalidInputError, match="give both, or neither"):
        check_status(written, namespace="ml")


BROKEN: list[tuple[str, Callable[[Objects], object]]] = [
    ("spec is [1]", lambda objects: first(objects, "Deployment").update(spec=[1])),
    ("spec is 'x'", lambda objects: first(objects, "Service").update(spec="x")),
    ("status is 'x'", lambda objects: first(objects, "Deployment").update(status="x")),
    (
        "status.readyReplicas is 'x'",
        lambda objects: first(objects, "Deployment")["status"].update(
            readyReplicas="x"
        ),
    ),
    (
        "status.containerStatuses[0] is 1",
        lambda objects: first(objects, "Pod")["status"].update(containerStatuses=[1]),
    ),
    (
        "status.conditions[0] is None",
        lambda objects: first(objects, "Pod")["status"].update(conditions=[None]),
    ),
    (
        "metadata.labels is 'x'",
        lambda objects: first(objects, "Pod")["metadata"].update(labels="x"),
    ),
    ("metadata is None", lambda objects: first(objects, "Pod").update(metadata=None)),
    ("kind is 5", lambda objects: first(objects, "Pod").update(kind=5)),
    ("metadata is missing", lambda objects: first(objects, "Pod").pop("metadata")),
]


@pytest.mark.parametrize(
    ("told", "change"), [pytest.param(*one, id=one[0]) for one in BROKEN]
)
def test_objects_that_kubectl_does_not_print_are_refused(
    told: str, change: Callable[[Objects], object], tmp_path: Path
) -> None:
    out = written_to(tmp_path, "kubernetes")
    objects = live(out)
    change(objects)
    path = saved(objects, tmp_path / "c.json")
    with pytest.raises(StoreError) as raised:
        check_status(out, cluster=path)
    assert f"'{path}' is not what `kubectl get" in str(raised.value)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "text", ["a: [", "\x00", "5", "- 1", "kind: Deployment", "{? [1]: 2}", "&a [*a]"]
)
def test_manifests_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    out = written_to(tmp_path, "kubernetes")
    path = saved(live(out), tmp_path / "c.json")
    (out / "base" / "services.yaml").write_text(text)
    with pytest.raises(StoreError, match=r"services\.yaml' holds no manifests"):
        check_status(out, cluster=path)


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "/etc/passwd", "base/../../x.yaml", "", "a\0b"]
)
def test_manifests_outside_the_folder_are_refused(path: str, tmp_path: Path) -> None:
    out = written_to(tmp_path, "kubernetes")
    cluster = saved(live(out), tmp_path / "c.json")
    record = json.loads((out / "deployment.json").read_text())
    record["manifests"] = [path]
    (out / "deployment.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match="no path below the folder"):
        check_status(out, cluster=cluster)


def test_what_cannot_be_compared_is_refused(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "c.json"
    with pytest.raises(
        InvalidInputError, match="does not say where its servers answer"
    ):
        check_status(written)
    other.write_text("NAME READY\n")
    with pytest.raises(StoreError, match="kubectl get"):
        check_status(written, cluster=other)
    other.write_text("[" * 200_000)
    with pytest.raises(StoreError, match="kubectl get"):
        check_status(written, cluster=other)
    twice = list(live(written).values())
    twice.append(twice[0] | {"data": {"x": "y"}, "spec": {}})
    other.write_text(json.dumps({"kind": "List", "items": twice}))
    with pytest.raises(StoreError, match="two different objects"):
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
