"""Files: profile sets as JSON Lines, placements as one JSON object.

A profile file has one record per line, each with its ``kind`` and
``schema_version``, so that a sweep can append and a reader can tell what it holds.
``gpupack.json_lines`` sees to it that no half of one stays.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError, ProfileDataError, StoreError
from gpupack.files import (
    AnyPath,
    as_path,
    decode,
    read_text,
    read_text_parts,
    write_text,
)
from gpupack.json_lines import JsonLinesFile, split_cut_line, split_lines, write_lines
from gpupack.observed_cluster import ObservedCluster
from gpupack.placement import Placement
from gpupack.profile_set import ProfileSet
from gpupack.quoting import printable, quoted, shortened
from gpupack.record_lines import (
    CLASS_BY_KIND,
    check_schema_version,
    describe_validation_error,
    parse_lines,
)
from gpupack.records.record import Record
from gpupack.records.running.deployment import DeploymentRecord
from gpupack.records.running.verification import GpuVerification

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from gpupack.profile_set import AnyRecord

R = TypeVar("R", bound=Record)

PROFILE_FILE = "profiles.jsonl"
"""gpupack's own file in a folder of exports."""
DEPLOYMENT_FILE = "deployment.json"
"""Says what a folder that ``gpupack deploy`` wrote shall run, and what in it is its."""

PROFILE_KEYS = tuple(
    sorted({key for record in CLASS_BY_KIND.values() for key in record.model_fields})
)
"""What a line of a profile file may begin with."""
_VERIFICATION_KEYS = tuple(GpuVerification.model_fields)


def write_profiles(profiles: ProfileSet, path: AnyPath) -> None:
    """Write a profile set as JSON Lines: baselines, records, the rest.

    Raises:
        StoreError: If the file cannot be written, or a sweep is writing to it.
        InvalidInputError: If it is no profile set, or ``path`` no path.
    """
    require_kind("profiles", profiles, ProfileSet, "a ProfileSet")
    write_lines(path, PROFILE_KEYS, profile_lines(profiles))


def profile_lines(profiles: ProfileSet) -> Iterator[str]:
    """Yield the lines of a profile file: baselines, records, the rest."""
    for records in (
        profiles.baselines,
        profiles.records,
        profiles.failures,
        profiles.calibrations,
    ):
        yield from map(record_line, records)


def record_line(record: Record) -> str:
    """Return a record as a line of a file."""
    return record.model_dump_json(exclude_none=True)


def open_profile_file(path: AnyPath, *, option: str) -> JsonLinesFile:
    """Keep a profile file for oneself, to append to; it is made if there is none.

    Args:
        path: The file.
        option: What another file is named with.

    Raises:
        StoreError: If it cannot be written, or another run writes to it.
    """
    return JsonLinesFile(path, PROFILE_KEYS, writer="sweep", option=option)


def append_record(path: AnyPath, record: AnyRecord) -> None:
    """Append one record and wait until it is on the disk.

    Raises:
        StoreError: If the file cannot be written, then it holds what it held; it
            begins with no record of profiles; or a sweep is writing to it.
    """
    with open_profile_file(path, option="path") as file:
        with as_path(path).open("rb") as stream:
            first, _ = split_cut_line(stream.readline(), PROFILE_KEYS)
        if first.strip() and _kind_of(decode(first, path)) not in CLASS_BY_KIND:
            raise StoreError(
                f"{quoted(str(path))} holds something else than profiles of gpupack's; "
                "nothing was appended: name another file"
            )
        file.append(record_line(record))


def read_profile_file(path: AnyPath, *, recover: bool = False) -> ProfileSet:
    """Read a profile set that gpupack wrote.

    Args:
        path: A JSON Lines file.
        recover: Leave out a last line that is cut off: what a run that was killed
            while writing leaves behind.

    Raises:
        StoreError: If the file cannot be read, a line is not a record of this
            schema version, or the last line is half-written and ``recover`` is off.
        ProfileDataError: If the records contradict each other.
    """
    return parse_profile_file(read_text_parts(path), path, recover=recover)


def parse_profile_file(
    parts: deque[bytes], path: AnyPath, *, recover: bool = False
) -> ProfileSet:
    """Return the profile set that was read from a file.

    Args:
        parts: All of the file, in pieces, which are let go of as they are read.
        path: Its name, for messages.
        recover: See ``read_profile_file``.

    Raises:
        StoreError: As ``read_profile_file``.
        ProfileDataError: If the records contradict each other.
    """
    lines = _whole_lines(split_lines(parts), path, recover=recover)
    first = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    kind = _kind_of(decode(first, path))
    if kind is None:  # it may go over several lines
        rest = list(lines)
        kind = _kind_of(decode(b"\n".join((first, *rest)), path))
        lines = iter(rest)
    if kind in {"placement", "frontier"}:
        raise StoreError(
            f"{quoted(str(path))} is a {kind}, but profiles are wanted: name the file "
            "that it was made from"
        )
    records = list(parse_lines(itertools.chain((first,), lines), path))
    try:
        return ProfileSet.of(records)
    except ProfileDataError as err:
        raise ProfileDataError(f"{quoted(str(path))}: {err}") from err


def _whole_lines(
    lines: Iterator[bytes], path: AnyPath, *, recover: bool
) -> Iterator[bytes]:
    """Yield lines, the last of them only if it was written to its end.

    Raises:
        StoreError: If it was not, and is not to be left out.
    """
    last: bytes | None = None
    for line in lines:
        if last is not None:
            yield last
        last = line
    whole, rest = split_cut_line(last or b"", PROFILE_KEYS)
    if rest and not recover:
        raise StoreError(
            f"{quoted(str(path))} ends within a line: it was not written to the end; "
            "profile again with the same store to mend it, or remove its last line"
        )
    yield whole


def write_placement(placement: Placement, path: AnyPath) -> None:
    """Write a placement as JSON, whole or not at all.

    Raises:
        StoreError: If the file cannot be written.
        InvalidInputError: If it is no placement, or ``path`` no path.
    """
    require_kind("placement", placement, Placement, "what place() returns")
    write_text(path, placement.to_json() + "\n")


def read_placement(path: AnyPath) -> Placement:
    """Read a placement that gpupack wrote.

    Raises:
        StoreError: If the file cannot be read, is not a placement, is of another
            schema version, or its GPUs are not as many as it says, each once.
    """
    placement = read_one(
        path, "placement", Placement, way_out="gpupack place --json writes one"
    )
    if placement.num_gpus != len(placement.gpus):
        raise StoreError(
            f"{quoted(str(path))}: num_gpus is {placement.num_gpus:,}, but gpus are "
            f"{len(placement.gpus):,}; place again"
        )
    twice = placement.gpus.repeated_index
    if twice is not None:
        raise StoreError(
            f"{quoted(str(path))}: GPU {twice} is there twice; place again"
        )
    return placement


def write_observed_cluster(cluster: ObservedCluster, path: AnyPath) -> None:
    """Write what a cluster did as JSON, whole or not at all.

    Raises:
        StoreError: If the file cannot be written.
        InvalidInputError: If it is no such record, or ``path`` no path.
    """
    require_kind("cluster", cluster, ObservedCluster, "what read_prometheus() returns")
    write_text(path, cluster.to_json() + "\n")


def read_observed_cluster(path: AnyPath) -> ObservedCluster:
    """Read what a cluster did, as gpupack wrote it.

    Raises:
        StoreError: If the file cannot be read, is no such record, or is of another
            schema version.
    """
    return read_one(
        path,
        "observed_cluster",
        ObservedCluster,
        way_out="gpupack read-prometheus --json writes one",
    )


def read_deployment(folder: AnyPath) -> DeploymentRecord:
    """Read what ``gpupack deploy`` wrote, from its folder.

    Raises:
        StoreError: If it wrote nothing there, or another version of it did.
    """
    path = as_path(folder)
    return read_one(
        path / DEPLOYMENT_FILE if path.is_dir() else path,
        "deployment",
        DeploymentRecord,
        way_out="gpupack deploy writes one",
    )


def read_one(path: AnyPath, kind: str, record: type[R], *, way_out: str = "") -> R:
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
    where = quoted(str(path))
    hint = f"; {way_out}" if way_out else ""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise StoreError(
            f"{where}: not a gpupack {kind}: not JSON, or not written to the end: "
            f"{err}{hint}"
        ) from err
    if not isinstance(value, dict) or value.get("kind") != kind:
        found = value.get("kind") if isinstance(value, dict) else None
        named = (
            f", but a {shortened(printable(found), 60)}"
            if isinstance(found, str)
            else ""
        )
        raise StoreError(f"{where}: not a gpupack {kind}{named}{hint}")
    newest: int = record.model_fields["schema_version"].default
    check_schema_version(value.get("schema_version"), where, newest=newest)
    try:
        return record.model_validate_json(text)
    except ValidationError as err:
        raise StoreError(f"{where}: {describe_validation_error(err)}") from err
    except InvalidInputError as err:  # the request that it holds
        raise StoreError(f"{where}: request: {err}") from err


def open_verifications(path: AnyPath) -> JsonLinesFile:
    """Keep a file of verified GPUs for oneself; results can then be appended to it.

    It is made if there is none.

    Raises:
        StoreError: If it cannot be written, holds something else, or another run
            writes to it; before hours were spent on measuring.
    """
    file = JsonLinesFile(
        path, _VERIFICATION_KEYS, writer="verification", option="--store"
    )
    file.resume(lambda: read_verifications(path))
    return file


def append_verification(path: AnyPath, result: GpuVerification) -> None:
    """Append one verified GPU and wait until it is on the disk.

    Raises:
        StoreError: If the file cannot be written, or a verification is writing to it.
    """
    with open_verifications(path) as file:
        file.append(record_line(result))


def read_verifications(path: AnyPath) -> tuple[GpuVerification, ...]:
    """Return the verified GPUs in a file.

    A last line that is cut off, what a killed run leaves behind, is left out.

    Raises:
        StoreError: If the file cannot be read or holds something else.
    """
    whole, _ = split_cut_line(b"".join(read_text_parts(path)), _VERIFICATION_KEYS)
    text = decode(whole, path)
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if _kind_of(line) != _VERIFICATION:
            raise _no_verifications(path, text, line_number=number)
        where = f"{quoted(str(path))}, line {number}"
        check_schema_version(json.loads(line).get("schema_version"), where)
        try:
            found.append(GpuVerification.model_validate_json(line))
        except ValidationError as err:
            raise StoreError(
                f"{where}: not a whole verification: {describe_validation_error(err)}; "
                "remove that line, and what it says will be measured again"
            ) from err
    return tuple(found)


_VERIFICATION = "gpu_verification"


def kind_of_file(path: AnyPath) -> str | None:
    """Return what a JSON file calls itself, None if it is none or says nothing.

    Raises:
        StoreError: If it cannot be read.
    """
    return _kind_of(read_text(path))


def _kind_of(text: str) -> str | None:
    """Return what a JSON object calls itself; None if it is none, or says nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


def _no_verifications(path: AnyPath, text: str, *, line_number: int) -> StoreError:
    """Return the error that says what a file is, what it should be, and the way out."""
    kind = _kind_of(text) or _kind_of(text.partition("\n")[0])
    if kind in CLASS_BY_KIND:
        found = "holds profiles"
    elif kind is not None:
        found = f"holds a {shortened(printable(kind), 60)}"
        if kind == _VERIFICATION:
            found = f"holds something else at line {line_number}"
    else:
        found = "is not JSON" if text.lstrip()[:1] not in "{[" else "holds no record"
    return StoreError(
        f"{quoted(str(path))} {found}, but verifications are wanted, one a line: what "
        "`gpupack verify placement.json --model-repository models/ --store "
        "verified.jsonl` writes"
    )
