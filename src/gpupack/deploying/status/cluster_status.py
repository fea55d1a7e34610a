"""A cluster's objects, as ``kubectl get -o json`` prints them, against the plan's."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from gpupack.deploying.status.difference import Difference, DifferenceKind
from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import read_text
from gpupack.quoting import quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from gpupack.files import AnyPath

PART_OF = "app.kubernetes.io/part-of"
CLUSTER = "cluster"
Object: TypeAlias = "dict[str, Any]"

_MAY_GROW = ("annotations", "labels", "tolerations", "volumeMounts", "volumes")
"""Lists and maps to which a cluster, or its admission, adds entries of its own."""
_COMPARED = ("metadata", "spec", "data")
_WHOLE = ("data", "nodeSelector", "requests", "limits", "selector", "matchLabels")
"""Maps in which an entry that was not planned is a difference."""
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|)")
_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** n for n, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": Decimal(1024) ** n for n, unit in enumerate("KMGTP", 1)},
}


def read_objects(paths: Iterable[Path]) -> dict[tuple[str, str], Object]:
    """Return the objects in files of a deployment, by kind and name."""
    found: dict[tuple[str, str], Object] = {}
    for path in paths:
        for one in yaml.safe_load_all(read_text(path)):
            if one:
                found[_key(one)] = one
    return found


def read_cluster(path: AnyPath) -> dict[tuple[str, str], Object]:
    """Return the objects that ``kubectl get -o json`` printed, by kind and name.

    Raises:
        StoreError: If the file cannot be read, or is no such output.
    """
    wanted = "what `kubectl get deployments,services,configmaps,pods -o json` prints"
    try:
        content = json.loads(read_text(path))
        items = content["items"] if content["kind"] == "List" else [content]
        return {_key(one): one for one in items}
    except (ValueError, KeyError, TypeError) as err:
        raise StoreError(f"{quoted(str(path))} is not {wanted}") from err


def cluster_differences(
    planned: Mapping[tuple[str, str], Object],
    there: Mapping[tuple[str, str], Object],
    *,
    name: str,
) -> list[Difference]:
    """Return how a cluster's objects differ from those planned.

    Kinds of which the output has none at all are left out: they were not asked for.

    Args:
        planned: As written.
        there: As they are.
        name: Of the deployment; only objects labelled with it can be extra.

    Raises:
        InvalidInputError: If nothing of the kinds planned is in the output.
    """
    kinds = {kind for kind, _ in there}
    if not kinds & {kind for kind, _ in planned}:
        raise InvalidInputError(
            "the cluster's output has no object of the kinds that were planned: "
            f"{', '.join(sorted({kind for kind, _ in planned}))}; ask kubectl for them"
        )
    found: list[Difference] = []
    for (kind, object_name), wanted in sorted(planned.items()):
        if kind not in kinds:
            continue
        what = f"{kind} {object_name}"
        live = there.get((kind, object_name))
        if live is None:
            found.append(
                Difference(DifferenceKind.MISSING, CLUSTER, what, "it is not there")
            )
            continue
        for key in _COMPARED:
            if key in wanted:
                found += [
                    Difference(DifferenceKind.WRONG, CLUSTER, what, detail)
                    for detail in _object_differences(wanted[key], live.get(key), key)
                ]
        found += _not_running(kind, what, live)
    for (kind, object_name), live in sorted(there.items()):
        labels = live.get("metadata", {}).get("labels") or {}
        if labels.get(PART_OF) != name:
            continue
        what = f"{kind} {object_name}"
        if kind == "Pod":
            found += _pod_differences(what, live)
        elif (kind, object_name) not in planned and kind in {k for k, _ in planned}:
            detail = "it belongs to the deployment, and was not planned"
            found.append(Difference(DifferenceKind.EXTRA, CLUSTER, what, detail))
    return found


def _key(one: Object) -> tuple[str, str]:
    return str(one["kind"]), str(one["metadata"]["name"])


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
        wanted = (live.get("spec") or {}).get("replicas", 1)
        ready = status.get("readyReplicas", 0)
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
            reason = waiting.get("reason", "it is not ready")
            detail = f"container {container.get('name')}: {reason}"
            yield Difference(DifferenceKind.NOT_RUNNING, CLUSTER, what, detail)
