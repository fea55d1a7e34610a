"""A cluster's objects, as ``kubectl get -o json`` prints them, against the plan's."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpupack.deploying.status.difference import Difference, DifferenceKind
from gpupack.deploying.status.kubectl_output import key_of, namespace_of
from gpupack.quoting import listed, quoted, shortened
from gpupack.spelling import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpupack.deploying.status.kubectl_output import Key, Object

PART_OF = "app.kubernetes.io/part-of"
CLUSTER = "cluster"

_MAY_GROW = ("annotations", "labels", "tolerations", "volumeMounts", "volumes")
"""Lists and maps to which a cluster, or its admission, adds entries of its own."""
_COMPARED = ("metadata", "spec", "data")
_WHOLE = ("data", "nodeSelector", "requests", "limits", "selector", "matchLabels")
"""Maps in which an entry that was not planned is a difference."""
_ABSENT = (
    (re.compile(r"spec"), ("paused",)),
    (
        re.compile(r"spec\.template\.spec"),
        (
            "affinity",
            "hostIPC",
            "hostNetwork",
            "hostPID",
            "initContainers",
            "nodeName",
            "nodeSelector",
            "resourceClaims",
            "runtimeClassName",
            "securityContext",
            "shareProcessNamespace",
            "topologySpreadConstraints",
        ),
    ),
    (
        re.compile(r"spec\.template\.spec\.(initC|c)ontainers\[[0-9]+\]"),
        (
            "args",
            "command",
            "env",
            "envFrom",
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "securityContext",
            "startupProbe",
            "volumeDevices",
            "workingDir",
        ),
    ),
    (
        re.compile(r"spec\.template\.spec\.(initC|c)ontainers\[[0-9]+\]\.resources"),
        ("claims", "limits"),
    ),
)
"""What changes a pod and Kubernetes never fills in, by where: absent if not planned."""
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|)")
_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** n for n, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": Decimal(1024) ** n for n, unit in enumerate("KMGTP", 1)},
}


def cluster_differences(
    planned: Mapping[Key, Object],
    there: Sequence[Object],
    *,
    name: str,
    where: str,
    namespace: str | None = None,
) -> tuple[list[Difference], list[str]]:
    """Return how a cluster's objects differ from those planned, and what does not.

    Every planned object that is not there is missing, also if no other of its kind is:
    whether it was asked for cannot be told. Where several namespaces hold the
    deployment's objects, each is compared, and that is a difference of its own.

    Args:
        planned: As written.
        there: As they are.
        name: Of the deployment; only objects labelled with it can be extra.
        where: What ``there`` was read from, for messages.
        namespace: The only one to compare.
    """
    namespaces = (
        _namespaces(planned, there, name) if namespace is None else (namespace,)
    )
    found: list[Difference] = []
    equal: list[str] = []
    if len(namespaces) > 1:
        detail = (
            f"the namespaces {listed(namespaces)} hold objects of this name each, and "
            f"each is compared: choose one ({setting('namespace', namespaces[0])})"
        )
        found.append(Difference(DifferenceKind.EXTRA, CLUSTER, "", detail))
    is_named = namespace is not None or len(namespaces) > 1
    for one in namespaces:
        prefix = f"{one}/" if len(namespaces) > 1 else ""
        of_namespace = {
            key_of(live): live for live in there if namespace_of(live) in (one, "")
        }
        differing = _differences_in(
            planned,
            of_namespace,
            name=name,
            prefix=prefix,
            where=f"namespace {quoted(one)} of {where}" if is_named else where,
        )
        found += differing
        wrong = {each.what for each in differing}
        same = [key for key in planned if f"{key[0]} {prefix}{key[1]}" not in wrong]
        if same:
            kinds = ", ".join(sorted({kind for kind, _ in same}))
            suffix = f" in namespace {one}" if is_named else ""
            equal.append(f"{len(same)} objects of the cluster ({kinds}){suffix}")
    return found, equal


def _namespaces(
    planned: Mapping[Key, Object], there: Sequence[Object], name: str
) -> tuple[str, ...]:
    """Return the namespaces with objects of a deployment; an empty one if none has."""
    of_names = {namespace_of(one) for one in there if key_of(one) in planned}
    labelled = {namespace_of(one) for one in there if _labels(one).get(PART_OF) == name}
    found = (of_names & labelled) or of_names or labelled
    return tuple(sorted(found - {""})) or ("",)


def _differences_in(
    planned: Mapping[Key, Object],
    there: Mapping[Key, Object],
    *,
    name: str,
    prefix: str,
    where: str,
) -> list[Difference]:
    kinds = {kind for kind, _ in there}
    found: list[Difference] = []
    for (kind, object_name), wanted in sorted(planned.items()):
        what = f"{kind} {prefix}{object_name}"
        live = there.get((kind, object_name))
        if live is None:
            detail = (
                "it is not there"
                if kind in kinds
                else f"no {kind} is in {where}; was it asked for?"
            )
            found.append(Difference(DifferenceKind.MISSING, CLUSTER, what, detail))
            continue
        for key in _COMPARED:
            if key in wanted:
                found += [
                    Difference(DifferenceKind.WRONG, CLUSTER, what, detail)
                    for detail in _object_differences(wanted[key], live.get(key), key)
                ]
        found += _not_running(kind, what, live)
    for (kind, object_name), live in sorted(there.items()):
        if _labels(live).get(PART_OF) != name:
            continue
        what = f"{kind} {prefix}{object_name}"
        if kind == "Pod":
            found += _pod_differences(what, live)
        elif (kind, object_name) not in planned and kind in {k for k, _ in planned}:
            detail = "it belongs to the deployment, and was not planned"
            found.append(Difference(DifferenceKind.EXTRA, CLUSTER, what, detail))
    return found


def _labels(one: Object) -> Mapping[str, str]:
    return one["metadata"].get("labels") or {}


def _object_differences(wanted: Any, live: Any, path: str) -> Iterator[str]:
    name = path.rpartition(".")[2]
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key in sorted(wanted):
            if key not in live:
                yield f"{path}.{key} is missing"
            else:
                yield from _object_differences(wanted[key], live[key], f"{path}.{key}")
        if name in _WHOLE:
            for key in sorted(set(live) - set(wanted)):
                yield f"{path}.{key} was not planned"
        for key in _must_be_absent(path):
            if key not in wanted and live.get(key):
                yield f"{path}.{key} was not planned: {_shown(live[key])}"
    elif isinstance(wanted, list) and isinstance(live, list):
        if name in _MAY_GROW:
            for one in wanted:
                if not any(
                    not list(_object_differences(one, other, "")) for other in live
                ):
                    yield f"{path} lacks {shortened(json.dumps(one), 200)}"
        elif len(wanted) != len(live):
            yield f"{path} has {len(live)} entries, not {len(wanted)}"
        else:
            for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
                yield from _object_differences(one, other, f"{path}[{index}]")
    elif not _is_same(wanted, live):
        yield (
            f"{path} is {shortened(json.dumps(live), 200)}, not "
            f"{shortened(json.dumps(wanted), 200)}"
        )


def _must_be_absent(path: str) -> tuple[str, ...]:
    for pattern, keys in _ABSENT:
        if pattern.fullmatch(path):
            return keys
    return ()


def _shown(value: Any) -> str:
    """Return a value, and of entries with names the names: values may be secrets."""
    if isinstance(value, list) and all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in value
    ):
        return listed([one["name"] for one in value])
    return shortened(json.dumps(value), 200)


def _is_same(wanted: Any, live: Any) -> bool:
    if wanted == live:
        return True
    one, other = (_quantity(value) for value in (wanted, live))
    return one is not None and one == other


def _quantity(value: Any) -> Decimal | None:
    """Return a Kubernetes quantity as a number: 1Gi is 1024Mi, and 1 is "1"."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    found = _QUANTITY.fullmatch(str(value))
    try:
        return None if found is None else Decimal(found[1]) * _FACTORS[found[2]]
    except ArithmeticError:
        return None


def _not_running(kind: str, what: str, live: Object) -> Iterator[Difference]:
    status = live.get("status") or {}
    if kind == "Deployment":
        replicas = (live.get("spec") or {}).get("replicas")
        wanted = 1 if replicas is None else replicas
        ready = status.get("readyReplicas") or 0
        if ready != wanted:
            detail = f"{ready} of {wanted} pods are ready"
            yield Difference(DifferenceKind.NOT_RUNNING, CLUSTER, what, detail)
    elif kind == "ResourceClaim" and not status.get("allocation"):
        detail = "no device was allocated to it"
        yield Difference(DifferenceKind.NOT_RUNNING, CLUSTER, what, detail)


def _pod_differences(what: str, pod: Object) -> Iterator[Difference]:
    status = pod.get("status") or {}
    phase = status.get("phase")
    if phase != "Running":
        reasons = [
            str(condition.get("message"))
            for condition in status.get("conditions") or []
            if condition.get("status") == "False" and condition.get("message")
        ]
        detail = f"its phase is {phase}" + (f": {reasons[0]}" if reasons else "")
        yield Difference(DifferenceKind.NOT_RUNNING, CLUSTER, what, detail)
        return
    for container in status.get("containerStatuses") or []:
        if not container.get("ready"):
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason") or "it is not ready"
            detail = f"container {container.get('name')}: {reason}"
            yield Difference(DifferenceKind.NOT_RUNNING, CLUSTER, what, detail)
