"""Lines of a profile file into records: what many lines have in common is read once.

A large sweep writes the same GPU type and the same reasons for missing readings into
every line. Such lines are validated as one is, field by field where they differ.
"""

from __future__ import annotations

import json
import marshal
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError
from pydantic_core import from_json

from gpupack.errors import StoreError
from gpupack.files import decode
from gpupack.quoting import quoted, shortened
from gpupack.records.calibration import Calibration
from gpupack.records.environment import Environment
from gpupack.records.profile import (
    FailedLoadPoint,
    LoadPoint,
    ProfileRecord,
    ServerBaseline,
)
from gpupack.records.record import SCHEMA_VERSION, Record, RecordTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from gpupack.files import AnyPath

    ProfileLine: TypeAlias = (
        ServerBaseline | ProfileRecord | FailedLoadPoint | Calibration
    )

CLASS_BY_KIND: dict[str, type[ProfileLine]] = {
    "server_baseline": ServerBaseline,
    "profile_record": ProfileRecord,
    "failed_load_point": FailedLoadPoint,
    "calibration": Calibration,
}
"""What a line may be, by what it calls itself."""
_NO_PROFILES = "a file of gpupack's own is wanted, as gpupack profile --store writes it"
_IN_COMMON = frozenset(["kind", "schema_version", "gpu_type", "missing"])
_MOST_KEPT = 10_000
"""Load points and environments, and templates, that are kept to be had again."""


def parse_lines(lines: Iterable[bytes], path: AnyPath) -> Iterator[ProfileLine]:
    """Yield the records in the lines of a profile file.

    Raises:
        StoreError: If a line is no such record, or of another schema version; naming
            it.
    """
    where = quoted(str(path))
    parser = _Parser()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = parser.parse(line)
            yield record or _parse(decode(line, path), f"{where}, line {number}")


class _Parser:
    """Reads the lines that are alike."""

    def __init__(self) -> None:
        self._templates: dict[object, RecordTemplate[ProfileRecord]] = {}
        self._known: dict[tuple[type[Record], bytes], Record] = {}

    def parse(self, line: bytes) -> ProfileRecord | None:
        """Return the record in a line; None if it takes a closer look."""
        try:
            value: Any = from_json(line, allow_inf_nan=False, cache_strings="all")
        except ValueError:
            return None
        if not isinstance(value, dict) or value.get("kind") != "profile_record":
            return None
        version = value.get("schema_version")
        if version != SCHEMA_VERSION or isinstance(version, bool):
            return None
        names = tuple([name for name in value if name not in _IN_COMMON])
        try:
            common = [value.get(name) for name in _IN_COMMON]
            template = self._templates.get((names, marshal.dumps(common, 2)))
            if template is None:
                record = ProfileRecord.model_validate_json(line)
                if len(self._templates) >= _MOST_KEPT:
                    self._templates.clear()
                if None not in value.values():
                    self._templates[names, marshal.dumps(common, 2)] = RecordTemplate(
                        record, names
                    )
                    return record
                return None
            value["load_point"] = self._same(LoadPoint, value["load_point"])
            value["environment"] = self._same(Environment, value["environment"])
            return template.record(**{name: value[name] for name in names})
        except (ValidationError, ValueError, KeyError):
            return None  # said by whoever takes the closer look

    def _same(self, record_class: type[Record], value: Any) -> Record:
        """Return the record of a value, the same one for the same value."""
        key = (record_class, marshal.dumps(value, 2))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            found = record_class.model_validate(value)
            self._known[key] = found
        return found


def _parse(line: str, where: str) -> ProfileLine:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as err:
        raise StoreError(f"{where}: not JSON: {err}; {_NO_PROFILES}") from err
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in CLASS_BY_KIND:
        raise StoreError(
            f"{where}: not a gpupack profile record (kind is {quoted(kind)}, expected "
            f"one of {', '.join(CLASS_BY_KIND)}); {_NO_PROFILES}"
        )
    check_schema_version(value.get("schema_version"), where)
    try:
        return CLASS_BY_KIND[kind].model_validate_json(line)
    except ValidationError as err:
        raise StoreError(f"{where}: {describe_validation_error(err)}") from err


def check_schema_version(
    version: object, where: str, *, newest: int = SCHEMA_VERSION
) -> None:
    """Refuse records of a schema that this release does not read.

    Args:
        version: What the record says.
        where: The file, in words.
        newest: The version that this release writes; it reads all before it.

    Raises:
        StoreError: If ``version`` is none of them.
    """
    is_number = isinstance(version, int) and not isinstance(version, bool)
    if not is_number or version not in range(1, newest + 1):
        newer = is_number and cast("int", version) > newest
        way_out = (
            "a newer gpupack wrote it; upgrade gpupack to read it"
            if newer
            else "it was not written by a gpupack release"
        )
        raise StoreError(
            f"{where}: schema version {quoted(version)}, this gpupack reads "
            f"{'1' if newest == 1 else f'1 to {newest}'}; {way_out}"
        )


def describe_validation_error(err: ValidationError) -> str:
    """Return the first fault of a record in one line, with the value."""
    first = err.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    more = f" (and {err.error_count() - 1} more)" if err.error_count() > 1 else ""
    shown = shortened(quoted(first.get("input")), 60)
    return f"{field} is {shown}: {first['msg']}{more}"
