"""Requests from files: YAML, TOML or JSON, as people write them and as gpupack does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from gpupack.errors import GpupackError, StoreError
from gpupack.files import AnyPath, read_text
from gpupack.quoting import quoted
from gpupack.record_lines import check_schema_version
from gpupack.records.request import Request, as_path, asked_of

_FORMATS = "YAML, TOML or JSON"


def read_request(path: AnyPath) -> Request:
    """Return the request that a file holds.

    Args:
        path: What it is told by its ending: ``.json``, ``.toml``, ``.yaml`` or
            ``.yml``. A placement as JSON is read for the request that it holds.

    Raises:
        StoreError: If the file cannot be read, is of another kind or a newer version.
        InvalidInputError: If a field is unknown or has a value that it cannot have;
            names its path, such as ``models.resnet.demand``, and what is allowed.
    """
    where = quoted(str(path))
    parse = _PARSER_BY_ENDING.get(Path(path).suffix.lower())
    if parse is None:
        raise StoreError(
            f"{where}: a request is {_FORMATS}, told by the end of the file's name: "
            f"{', '.join(_PARSER_BY_ENDING)}"
        )
    text = read_text(path)
    try:
        value = parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as err:
        told = " ".join(str(err).split())
        raise StoreError(f"{where}: cannot be read as a request: {told}") from err
    if value is None:
        value = {}
    if isinstance(value, dict) and value.get("kind") == "placement":
        value = value.get("request")
        if value is None:
            raise StoreError(
                f"{where}: a placement of an older gpupack, which did not keep what "
                "was asked; write the request, or place again"
            )
    if not isinstance(value, dict) or value.get("kind", "request") != "request":
        found = value.get("kind") if isinstance(value, dict) else type(value).__name__
        raise StoreError(
            f"{where}: not a request, but a {found}; a request holds fields such as "
            "objective, gpus and models"
        )
    newest = Request.model_fields["schema_version"].default
    check_schema_version(
        value.get("schema_version", newest), f"{where}, schema_version", newest=newest
    )
    try:
        request = Request.model_validate(value)
    except GpupackError as err:
        raise type(err)(f"{where}: {err}") from err
    return request.said({path: f"{where}, {as_path(path)}" for path in _paths(request)})


def _paths(request: Request) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all that a request says."""
    for name in request.model_fields_set - {"models", "defaults"}:
        yield (name,)
    for wish, _ in asked_of(request.defaults):
        yield "defaults", wish
    for model_name, wishes in request.models.items():
        yield "models", model_name
        for wish, _ in asked_of(wishes):
            yield "models", model_name, wish


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: If a key is there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{quoted(key)} is given twice")
        found[key] = value
    return found


class _PlainLoader(yaml.SafeLoader):
    """YAML without what people do not write: anchors that multiply, keys given twice.

    ``1e3`` is a number, as in YAML 1.2; a date is a text.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem=f"alias *{event.anchor}: write out what it stands for",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{quoted(key)} is given twice"
                    if isinstance(key, Hashable)
                    else "a name must be text",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"),
    list("-+.0123456789"),
)


def _from_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_PlainLoader)


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


_PARSER_BY_ENDING: dict[str, Callable[[str], Any]] = {
    ".json": _from_json,
    ".toml": tomllib.loads,
    ".yaml": _from_yaml,
    ".yml": _from_yaml,
}
