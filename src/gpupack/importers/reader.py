"""Read profiles whoever wrote them: the file itself says what it is."""

from __future__ import annotations

import itertools
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.arguments import by_name, require_kind
from gpupack.errors import (
    InvalidInputError,
    NotProfilesError,
    ProfileDataError,
    StoreError,
)
from gpupack.files import (
    AnyPath,
    as_path,
    decode,
    file_mode,
    what_it_is,
)
from gpupack.given_numbers import whole_number
from gpupack.importers.agreement.latencies import doubtful_latencies
from gpupack.importers.agreement.merging import merged
from gpupack.importers.collecting import without_collecting
from gpupack.importers.folders import (
    checkpoints_in,
    further_tables,
    summaries_in,
    tables_in,
)
from gpupack.importers.model_analyzer.model_analyzer_search import (
    GPU_FILE,
    INFERENCE_FILE,
    SERVER_FILE,
)
from gpupack.importers.model_analyzer.model_analyzer_tables import (
    is_model_analyzer_table,
    parse_model_analyzer,
)
from gpupack.importers.model_analyzer_checkpoint import (
    is_checkpoint,
    is_checkpoint_text,
    parse_checkpoint,
)
from gpupack.importers.perf_analyzer.genai_perf import (
    SUMMARY_PATTERNS,
    is_summary,
    is_summary_table,
    load_json,
    parse_summary,
    refuse_other_artifacts,
    refuse_summary_table,
)
from gpupack.importers.perf_analyzer.perf_analyzer_json import parse_perf_analyzer_json
from gpupack.importers.perf_analyzer.perf_analyzer_tables import (
    is_perf_analyzer_table,
    parse_perf_analyzer_csv,
)
from gpupack.importers.source_text import (
    ending_of,
    read_source_parts,
    read_source_text,
    stem_of,
)
from gpupack.importers.table import read_table
from gpupack.importers.tables.layout import flat_json
from gpupack.importers.tables.layout.csv_text import first_titles
from gpupack.importers.tables.layout.json_text import json_of, require_unicode
from gpupack.importers.tables.reading import Reading, SourceReading
from gpupack.json_lines import split_lines
from gpupack.profile_set import ProfileSet
from gpupack.quoting import listed, quoted
from gpupack.records.gpu import GpuType, find_gpu_type
from gpupack.store import PROFILE_FILE, parse_profile_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ENDINGS = (".csv", ".tsv", ".json", ".jsonl")
"""Of files that may hold profiles."""
_OWN = "gpupack's own file"
_BOM = b"\xef\xbb\xbf"
_MOST_OF_A_LINE = 8
"""Pieces of a file, of a MiB each, that its first line is looked for in."""


@dataclass(frozen=True)
class _Given:
    """What the caller knows of a source."""

    gpu_type: GpuType | None = None
    model_name: str | None = None
    batch_size: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def read_profiles(
    path: AnyPath,
    *,
    gpu: str | GpuType | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> ProfileSet:
    """Return the profiles in a file or folder.

    What was left out or assumed stands in the set's ``notes`` and the records'
    ``warnings``; ``gpupack read`` shows how each column was understood.

    Args:
        path: gpupack's own JSON Lines; any CSV table (columns in
            ``gpupack.importers.table``); an export of Model Analyzer, or the folder
            with its three ``metrics-*.csv``; gpupack's own such folder, of which
            ``profiles.jsonl`` is taken; Model Analyzer's checkpoint, or the folder
            that holds it; an export of perf_analyzer (CSV, JSON); a summary of
            GenAI-Perf or AIPerf (JSON), or the folder of its artifacts.
        gpu: What was measured on, for files that do not say: a catalogue name,
            ``"NAME:MIB"`` or a GPU type.
        model_name: For exports that do not name the model, such as perf_analyzer's;
            left out, the file's name without its suffix.
        batch_size: For exports that do not say it; left out, perf_analyzer's default
            of 1 is taken, and the records say so in ``warnings``.
        columns: What columns mean whose titles are not understood, by title:
            ``{"tput": "throughput_infer_per_sec"}``; ``"ignore"`` leaves one out.
        units: Units that titles do not name, by title or quantity:
            ``{"memory": "GB", "latency": "ms"}``.

    Raises:
        StoreError: If the file cannot be read or is of another schema version.
        ProfileDataError: Naming row, column and value of what cannot be used.
        InvalidInputError: If an argument cannot be used.
    """
    return examine(
        path,
        gpu=gpu,
        model_name=model_name,
        batch_size=batch_size,
        columns=columns,
        units=units,
    ).profiles


def examine(
    path: AnyPath,
    *,
    gpu: str | GpuType | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Reading:
    """Return the profiles in a file or folder, and how it was understood.

    Arguments and errors are those of ``read_profiles``.
    """
    source = as_path(path)
    if batch_size is not None:
        number = whole_number(batch_size)
        if number is None or number < 1:
            raise InvalidInputError(
                f"batch_size is {quoted(batch_size)}; it must be a whole number ≥ 1"
            )
        batch_size = number
    if model_name is not None:
        require_kind("model_name", model_name, str, "text")
    if gpu is not None:
        require_kind("gpu", gpu, (str, GpuType), "a name or a GpuType")
    given = _Given(
        gpu_type=find_gpu_type(gpu) if isinstance(gpu, str) else gpu,
        model_name=model_name,
        batch_size=batch_size,
        columns=_texts("columns", columns, '{"tput": "throughput_infer_per_sec"}'),
        units=_texts("units", units, '{"memory": "GB"}'),
    )
    mode = file_mode(source)
    try:
        with without_collecting():
            reading = (
                _read_folder(source, given)
                if mode is not None and stat.S_ISDIR(mode)
                else _read(source, given)
            )
            if any(one.what == _OWN for one in reading.sources):
                return reading
            records = reading.profiles.records
            return reading.with_notes(doubtful_latencies(records, quoted(str(source))))
    except ProfileDataError as err:
        if str(source) in str(err):
            raise
        # What records say of each other, they say without knowing the file.
        raise ProfileDataError(f"{quoted(str(source))}: {err}") from err


def _texts(
    argument: str, given: Mapping[str, str] | None, example: str
) -> dict[str, str]:
    texts = by_name(argument, given or {}, example)
    for name, text in texts.items():
        require_kind(f"{argument}[{quoted(name)}]", text, str, f"text, as in {example}")
    return texts


def _read(source: Path, given: _Given) -> Reading:
    parts = read_source_parts(source)
    if _is_own(parts):
        return _own(source, parts)
    where = quoted(str(source))
    content = b"".join(parts)
    parts.clear()
    text = decode(content, source).lstrip("\ufeff")
    del content
    if "\0" in text:
        what = what_it_is(text[:20].encode()) or (
            "binary, or UTF-16 without a byte order mark; save it as UTF-8 text, a "
            "table as CSV"
        )
        raise StoreError(f"{where} has zero bytes: it is {what}")
    if not text.strip():
        raise ProfileDataError(f"{where}: the file is empty")
    if not text.lstrip().startswith("{"):
        listed_values = json_of(text) if text.lstrip().startswith("[") else None
        as_table = flat_json.csv_of(listed_values)
        if as_table is None and isinstance(listed_values, list):
            raise NotProfilesError(
                f"{where}: not profiles: a JSON list, but not of objects with names "
                "and numbers alone, one for each model and load point"
            )
        return _read_csv(as_table or text, where, given, default_name=stem_of(source))
    found = json_of(text)
    as_table = flat_json.csv_of_text(text, found)
    if as_table is not None:
        return _read_csv(as_table, where, given, default_name=stem_of(source))
    if found is None:
        refuse_other_artifacts(json_of(text.lstrip().partition("\n")[0]), where)
        if '"experiments"' in text[:1000] or is_checkpoint_text(text):
            load_json(text, where)  # says what is wrong
        flat_json.refuse_broken_line(text, where)
        return _own(source, deque([text.encode()]))
    require_unicode(text, found, where)
    if isinstance(found, dict) and "kind" in found and not is_checkpoint(found):
        return _own(source, deque([text.encode()]))
    del text  # which takes as much memory again
    return _read_object(found, source, given)


def _read_object(found: object, source: Path, given: _Given) -> Reading:
    """Return what one JSON value, which is no record of gpupack's, says."""
    where = quoted(str(source))
    if isinstance(found, dict) and "experiments" in found:
        return parse_perf_analyzer_json(
            found,
            where,
            model_name=given.model_name or stem_of(source),
            batch_size=given.batch_size,
            gpu_type=given.gpu_type,
        )
    if isinstance(found, dict) and is_checkpoint(found):
        return parse_checkpoint(found, where, gpu_type=given.gpu_type)
    if isinstance(found, dict) and is_summary(found):
        return parse_summary(
            found,
            where,
            model_name=given.model_name,
            batch_size=given.batch_size,
            gpu_type=given.gpu_type,
        )
    refuse_other_artifacts(found, where)
    keys = listed(list(found)) if isinstance(found, dict) else ""
    raise NotProfilesError(
        f"{where}: not profiles: a JSON object with {keys or 'nothing'}: none of "
        "gpupack's own, perf_analyzer's request times, a checkpoint of Model "
        "Analyzer, or a summary of GenAI-Perf or AIPerf"
    )


def _is_own(parts: deque[bytes]) -> bool:
    """Return whether the first line is a record of gpupack's own."""
    if not parts or not parts[0].removeprefix(_BOM).lstrip().startswith(b"{"):
        return False
    beginning = list(itertools.islice(parts, _MOST_OF_A_LINE))
    if len(parts) > len(beginning) and not any(b"\n" in one for one in beginning):
        return False
    line = next(split_lines(deque(beginning)))
    first = json_of(line.removeprefix(_BOM).decode(errors="replace"))
    return isinstance(first, dict) and "kind" in first


def _own(source: Path, parts: deque[bytes]) -> Reading:
    profiles = parse_profile_file(parts, source)
    num_rows = len(profiles.records) + len(profiles.baselines)
    return Reading(profiles, (SourceReading(quoted(str(source)), _OWN, num_rows),))


def _read_csv(text: str, where: str, given: _Given, *, default_name: str) -> Reading:
    if is_summary_table(text):
        refuse_summary_table(where)
    if is_perf_analyzer_table(text):
        return parse_perf_analyzer_csv(
            text,
            where,
            model_name=given.model_name,
            default_name=default_name,
            batch_size=given.batch_size,
            gpu_type=given.gpu_type,
            columns=given.columns,
            units=given.units,
        )
    if is_model_analyzer_table(text):
        return parse_model_analyzer(
            {where: text},
            gpu_type=given.gpu_type,
            columns=given.columns,
            units=given.units,
        )
    return read_table(
        text,
        where,
        gpu_type=given.gpu_type,
        model_name=given.model_name,
        batch_size=given.batch_size,
        columns=given.columns,
        units=given.units,
    )


def _read_folder(folder: Path, given: _Given) -> Reading:
    own = folder / PROFILE_FILE
    if own.is_file():
        # The tables beside it do not say what never settled, nor which readings lack.
        return _own(own, read_source_parts(own))
    tables = tables_in(folder)
    if tables:
        reading = _read_tables(folder, tables, given)
        further = further_tables(folder, tables)
        return reading.with_notes(
            [f"not read, as of another search: {listed(further)}"] if further else []
        )
    found = checkpoints_in(folder) or summaries_in(folder)
    if found:
        return merged([_read(path, given) for path in found])
    readings, others = _read_each(folder, given)
    if readings:
        return merged(readings, others)
    names = sorted(path.name for path in folder.iterdir())
    raise StoreError(
        f"{quoted(str(folder))} is a folder without Model Analyzer's tables "
        f"({INFERENCE_FILE}, {GPU_FILE}, {SERVER_FILE}) or checkpoints, summaries of "
        f"GenAI-Perf or AIPerf ({', '.join(SUMMARY_PATTERNS)}), {PROFILE_FILE} or "
        f"tables of profiles; it has {listed(names) or 'nothing'}"
        + (": not profiles" if others else "")
        + ("; name a file" if names else "")
    )


def _read_each(folder: Path, given: _Given) -> tuple[list[Reading], list[str]]:
    """Return what the files of profiles in a folder say, and the names of the others.

    Raises:
        ProfileDataError: If one of them has profiles that cannot be used.
    """
    readings, others = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if ending_of(path) not in _ENDINGS:
            others.append(path.name)
            continue
        try:
            readings.append(_read(path, given))
        except NotProfilesError:
            others.append(path.name)
    return readings, others


def _read_tables(folder: Path, present: Sequence[Path], given: _Given) -> Reading:
    texts = {quoted(str(path)): read_source_text(path) for path in present}
    texts = {where: text for where, text in texts.items() if text.strip()}
    if not texts:
        raise ProfileDataError(f"{quoted(str(folder))}: its tables are empty")
    if any(is_model_analyzer_table(text) for text in texts.values()):
        return parse_model_analyzer(
            texts, gpu_type=given.gpu_type, columns=given.columns, units=given.units
        )
    if present[0].name == INFERENCE_FILE:
        # In the article's tables this one repeats the readings of the GPU table.
        texts.pop(quoted(str(folder / GPU_FILE)), None)
    return merged(
        [
            _read_csv(text, where, given, default_name=folder.name)
            for where, text in texts.items()
            if first_titles(text) and text.strip().count("\n")
        ]
    )
