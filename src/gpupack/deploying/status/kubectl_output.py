"""Objects as ``deploy()`` wrote them, and as ``kubectl get -o json`` prints them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml
from pydantic import BaseModel, Field, ValidationError

from gpupack.errors import StoreError
from gpupack.files import read_text
from gpupack.quoting import printable, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gpupack.files import AnyPath

Object: TypeAlias = "dict[str, Any]"
Key: TypeAlias = "tuple[str, str]"
"""Kind and name."""
_WANTED = "what `kubectl get deployments,services,configmaps,pods -o json` prints"


class _Part(BaseModel, strict=True):
    """What is read of a part of an object; it has much more."""


class _Metadata(_Part):
    name: str = Field(min_length=1)
    namespace: str | None = None
    labels: dict[str, str] | None = None


class _Object(_Part):
    kind: str = Field(min_length=1)
    metadata: _Metadata
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class _ConfigMap(_Object):
    data: dict[str, str] | None = None


class _Replicas(_Part):
    replicas: int | None = None
    readyReplicas: int | None = None  # noqa: N815 (as Kubernetes spells it)


class _Deployment(_Object):
    spec: _Replicas | None = None  # type: ignore[assignment]
    status: _Replicas | None = None  # type: ignore[assignment]


class _Waiting(_Part):
    reason: str | None = None


class _State(_Part):
    waiting: _Waiting | None = None


class _Container(_Part):
    name: str
    ready: bool | None = None
    state: _State | None = None


class _Condition(_Part):
    status: str | None = None
    message: str | None = None


class _PodStatus(_Part):
    phase: str | None = None
    conditions: list[_Condition] | None = None
    containerStatuses: list[_Container] | None = None  # noqa: N815


class _Pod(_Object):
    status: _PodStatus | None = None  # type: ignore[assignment]


_SHAPES: dict[str, type[_Object]] = {
    "ConfigMap": _ConfigMap,
    "Deployment": _Deployment,
    "Pod": _Pod,
}


def key_of(one: Object) -> Key:
    """Return an object's kind and name."""
    return one["kind"], one["metadata"]["name"]


def namespace_of(one: Object) -> str:
    """Return an object's namespace, empty where it has none."""
    return one["metadata"].get("namespace") or ""


def read_objects(paths: Iterable[Path]) -> dict[Key, Object]:
    """Return the objects in files of a deployment, by kind and name.

    Raises:
        StoreError: If a file cannot be read, or holds anything else.
    """
    found: dict[Key, Object] = {}
    for path in paths:
        text = read_text(path)
        try:
            # As JSON: every key is text, as in what it is compared with.
            documents = json.loads(json.dumps(list(yaml.safe_load_all(text))))
            for one in documents:
                if one is not None:
                    _check(one)
                    found[key_of(one)] = one
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as err:
            raise StoreError(
                f"{quoted(str(path))} holds no manifests as gpupack deploy writes "
                f"them: {_reason(err)}; deploy again"
            ) from err
    return found


def read_cluster(path: AnyPath) -> tuple[Object, ...]:
    """Return the objects that ``kubectl get -o json`` printed, each once.

    Raises:
        StoreError: If the file cannot be read, or is no such output.
    """
    text, where = read_text(path), quoted(str(path))
    found: dict[tuple[str, Key], Object] = {}
    try:
        content = json.loads(text)
        is_list = isinstance(content, dict) and isinstance(content.get("items"), list)
        for number, one in enumerate(content["items"] if is_list else [content]):
            try:
                _check(one)
            except ValueError as err:
                at = f"items[{number}]: " if is_list else ""
                raise StoreError(
                    f"{where} is not {_WANTED}: {at}{_reason(err)}"
                ) from err
            kind, name = key = key_of(one)
            if found.setdefault((namespace_of(one), key), one) != one:
                raise StoreError(
                    f"{where} has two different objects {kind} {quoted(name)} in one "
                    "namespace: give what one kubectl get prints of one cluster"
                )
    except (ValueError, RecursionError) as err:
        raise StoreError(f"{where} is not {_WANTED}: {_reason(err)}") from err
    return tuple(found.values())


def _check(one: object) -> None:
    """Raise ``ValueError`` unless all that is read of an object is as it should be."""
    kind = one.get("kind") if isinstance(one, dict) else None
    _SHAPES.get(kind if isinstance(kind, str) else "", _Object).model_validate(one)


def _reason(err: Exception) -> str:
    if isinstance(err, ValidationError):
        first = err.errors(include_url=False, include_context=False)[0]
        place = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}"
            for part in first["loc"]
        ).removeprefix(".")
        if first["type"] == "missing":
            return f"{place} is missing"
        given = shortened(printable(repr(first["input"])), 80)
        return f"{place + ' is ' if place else ''}{given}, which is no object's"
    if isinstance(err, RecursionError):
        return "it is nested too deeply"
    return shortened(printable(" ".join(str(err).split())), 200)
