"""Files: profile sets as JSON Lines, placements as one JSON object.

A profile file has one record per line, each with its ``kind`` and
``schema_version``, so that a sweep can append and a reader can tell what it holds.
Whole files are written by ``gpupack.whole_file``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from gpupack.errors import ProfileDataError, StoreError
from gpupack.placement import Placement
from gpupack.profile_set import ProfileSet
from gpupack.records.calibration import Calibration
from gpupack.records.profile import FailedLoadPoint, ProfileRecord, ServerBaseline
from gpupack.records.record import SCHEMA_VERSION, Record
from gpupack.records.verification import GpuVerification
from gpupack.whole_file import read_text, replace_file, write_text

if TYPE_CHECKING:
    from gpupack.profile_set import AnyRecord

R = TypeVar("R", bound=Record)

_CLASS_BY_KIND: dict[str, type[AnyRecord]] = {
    "server_baseline": ServerBaseline,
    "profile_record": ProfileRecord,
    "failed_load_point": FailedLoadPoint,
    "calibration": Calibration,
}


def write_profiles(profiles: ProfileSet, path: str | Path) -> None:
    """Write a profile set as JSON Lines: baselines, records, the rest.

    Raises:
        StoreError: If the file cannot be written.
    """
    records: tuple[AnyRecord, ...] = (
        *profiles.baselines,
        *profiles.records,
        *profiles.failures,
        *profiles.calibrations,
    )
    with replace_file(path) as stream:
        stream.writelines(_line(record) for record in records)


def append_record(path: str | Path, record: AnyRecord) -> None:
    """Append one record and wait until it is on the disk.

    Raises:
        StoreError: If the file cannot be written; what it held stays whole, but
            the new line may be half there (``recover=True`` reads such a file).
    """
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(_line(record))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as err:
        raise StoreError(f"cannot append to {str(path)!r}: {err.strerror}") from err


def _line(record: AnyRecord) -> str:
    return record.model_dump_json(exclude_none=True) + "\n"


def read_profile_file(path: str | Path, *, recover: bool = False) -> ProfileSet:
    """Read a profile set that gpupack wrote.

    Args:
        path: A JSON Lines file.
        recover: Leave out a last line without its newline: what a run that was
            killed while writing leaves behind.

    Raises:
        StoreError: If the file cannot be read, a line is not a record of this
            schema version, or the last line is half-written and ``recover`` is off.
        ProfileDataError: If the records contradict each other.
    """
    text = read_text(path)
    kind = _kind_of(text)
    if kind in {"placement", "frontier"}:
        raise StoreError(
            f"{str(path)!r} is a {kind}, but profiles are wanted: name the file that "
            "it was made from"
        )
    if text and not text.endswith("\n"):
        if not recover:
            raise StoreError(
                f"{str(path)!r} ends within a line: it was not written to the end; "
                "profile again with the same store to mend it, or remove its last line"
            )
        text = text[: text.rfind("\n") + 1]
    records = [
        _parse_line(line, f"{str(path)!r}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    try:
        return ProfileSet.of(records)
    except ProfileDataError as err:
        raise ProfileDataError(f"{str(path)!r}: {err}") from err


def _parse_line(line: str, where: str) -> AnyRecord:
    try:
        value = json.loads(line)
    except ValueError as err:
        raise StoreError(f"{where}: not JSON: {err}") from err
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _CLASS_BY_KIND:
        raise StoreError(
            f"{where}: not a gpupack profile record (kind is {kind!r}, expected one of "
            f"{', '.join(_CLASS_BY_KIND)})"
        )
    check_schema_version(value.get("schema_version"), where)
    try:
        return _CLASS_BY_KIND[kind].model_validate_json(line)
    except ValidationError as err:
        raise StoreError(f"{where}: {describe_validation_error(err)}") from err


def check_schema_version(version: object, where: str) -> None:
    """Refuse records of a schema that this release does not read.

    Raises:
        StoreError: If ``version`` is not the current one.
    """
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        way_out = (
            "a newer gpupack wrote it; upgrade gpupack to read it"
            if newer
            else "it was not written by a gpupack release"
        )
        raise StoreError(
            f"{where}: schema version {version!r}, this gpupack reads "
            f"{SCHEMA_VERSION}; {way_out}"
        )


def describe_validation_error(err: ValidationError) -> str:
    """Return the first fault of a record in one line, with the value."""
    first = err.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    more = f" (and {err.error_count() - 1} more)" if err.error_count() > 1 else ""
    value = repr(first.get("input"))
    shown = value if len(value) <= 60 else value[:57] + "..."
    return f"{field} is {shown}: {first['msg']}{more}"


def write_placement(placement: Placement, path: str | Path) -> None:
    """Write a placement as JSON, whole or not at all.

    Raises:
        StoreError: If the file cannot be written.
    """
    write_text(path, placement.to_json() + "\n")


def read_placement(path: str | Path) -> Placement:
    """Read a placement that gpupack wrote.

    Raises:
        StoreError: If the file cannot be read, is not a placement, or is of
            another schema version.
    """
    return read_one(
        path, "placement", Placement, way_out="gpupack place --json writes one"
    )


def read_one(path: str | Path, kind: str, record: type[R], *, way_out: str = "") -> R:
    """Read the one record that a file holds.

    Args:
        path: The JSON file.
        kind: What the file must call itself.
        record: What its content is checked against.
        way_out: What a user with another kind of file is told to do.

    Raises:
        StoreError: If the file cannot be read, is of another kind, or is of another
            schema version.
    """
    text = read_text(path)
    where = repr(str(path))
    hint = f"; {way_out}" if way_out else ""
    try:
        value = json.loads(text)
    except ValueError as err:
        raise StoreError(
            f"{where}: not a gpupack {kind}: not JSON, or not written to the end: "
            f"{err}{hint}"
        ) from err
    if not isinstance(value, dict) or value.get("kind") != kind:
        found = value.get("kind") if isinstance(value, dict) else None
        named = f", but a {found}" if isinstance(found, str) else ""
        raise StoreError(f"{where}: not a gpupack {kind}{named}{hint}")
    check_schema_version(value.get("schema_version"), where)
    try:
        return record.model_validate_json(text)
    except ValidationError as err:
        raise StoreError(f"{where}: {describe_validation_error(err)}") from err


def prepare_verifications(path: str | Path) -> None:
    """Create the file if there is none; results can then be appended to it.

    Raises:
        StoreError: If it cannot be written; before hours were spent on measuring.
    """
    try:
        with Path(path).open("a"):
            pass
    except OSError as err:
        raise StoreError(
            f"cannot write {str(path)!r}: {err.strerror}; give a path in a folder that "
            "exists and can be written to"
        ) from err


def append_verification(path: str | Path, result: GpuVerification) -> None:
    """Append one verified GPU and wait until it is on the disk.

    Raises:
        StoreError: If the file cannot be written.
    """
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(result.model_dump_json(exclude_none=True) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as err:
        raise StoreError(f"cannot append to {str(path)!r}: {err.strerror}") from err


def read_verifications(
    path: str | Path, *, recover: bool = False
) -> tuple[GpuVerification, ...]:
    """Return the verified GPUs in a file.

    A last line that was not written to the end, what a killed run leaves behind, is
    left out.

    Args:
        path: What ``gpupack verify --store`` wrote.
        recover: Also cut that line off, so that results can be appended.

    Raises:
        StoreError: If the file cannot be read or holds something else; it is then
            left as it is.
    """
    text = read_text(path)
    lines = text.split("\n")
    last = lines.pop()
    if last and not _is_begun_verification(last):
        raise _no_verifications(path, text, line_number=len(lines) + 1)
    if _kind_of(last):
        lines.append(last)
    found = []
    for number, line in enumerate(lines, start=1):
        if _kind_of(line) != _VERIFICATION:
            raise _no_verifications(path, text, line_number=number)
        where = f"{str(path)!r}, line {number}"
        check_schema_version(json.loads(line).get("schema_version"), where)
        try:
            found.append(GpuVerification.model_validate_json(line))
        except ValidationError as err:
            raise StoreError(
                f"{where}: not a whole verification: {describe_validation_error(err)}; "
                "remove that line, and what it says will be measured again"
            ) from err
    if recover and last:
        write_text(path, "".join(f"{line}\n" for line in lines))
    return tuple(found)


_VERIFICATION = "gpu_verification"
_VERIFICATION_START = f'{{"kind":"{_VERIFICATION}"'


def _is_begun_verification(line: str) -> bool:
    """Return whether a line may be the beginning of a verification."""
    return line.startswith(_VERIFICATION_START[: len(line)])


def _kind_of(text: str) -> str | None:
    """Return what a JSON object calls itself; None if it is none, or says nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


def _no_verifications(
    path: str | Path, text: str, *, line_number: int = 1
) -> StoreError:
    """Return the error that says what a file is, what it should be, and the way out."""
    kind = _kind_of(text) or _kind_of(text.partition("\n")[0])
    if kind in _CLASS_BY_KIND:
        found = "holds profiles"
    elif kind is not None:
        found = f"holds a {kind}"
        if kind == _VERIFICATION:
            found = f"holds something else at line {line_number}"
    else:
        found = "is not JSON" if text.lstrip()[:1] not in "{[" else "holds no record"
    return StoreError(
        f"{str(path)!r} {found}, but verifications are wanted, one a line: what "
        "`gpupack verify placement.json --model-repository models/ --store "
        "verified.jsonl` writes"
    )
