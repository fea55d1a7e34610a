"""Read profiles whoever wrote them: the file itself says what it is."""

from __future__ import annotations

import stat
from pathlib import Path

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError, ProfileDataError, StoreError
from gpupack.files import AnyPath, as_path, decode, file_mode, read_bytes, read_text
from gpupack.given_numbers import whole_number
from gpupack.importers.model_analyzer import (
    GPU_FILE,
    INFERENCE_FILE,
    SERVER_FILE,
    is_model_analyzer_table,
    parse_model_analyzer,
)
from gpupack.importers.perf_analyzer import (
    is_perf_analyzer_table,
    parse_perf_analyzer_csv,
    parse_perf_analyzer_json,
)
from gpupack.importers.table import parse_rows, parse_table
from gpupack.profile_set import ProfileSet
from gpupack.quoting import quoted
from gpupack.records.gpu import GpuType, find_gpu_type
from gpupack.store import PROFILE_FILE, parse_profile_file, read_profile_file


def read_profiles(
    path: AnyPath,
    *,
    gpu: str | GpuType | None = None,
    model_name: str | None = None,
    batch_size: int | None = None,
) -> ProfileSet:
    """Return the profiles in a file.

    Args:
        path: gpupack's own JSON Lines; a plain CSV (columns in
            ``gpupack.importers.table``); an export of Model Analyzer, or the folder
            with its three ``metrics-*.csv``; gpupack's own such folder, of which
            ``profiles.jsonl`` is taken; an export of perf_analyzer (CSV, JSON).
        gpu: What was measured on, for files that do not say: a catalogue name,
            ``"NAME:MIB"`` or a GPU type.
        model_name: For perf_analyzer's exports, which do not name the model; left
            out, the file's name without its suffix.
        batch_size: For perf_analyzer's exports; left out, perf_analyzer's default
            of 1 is taken, and the records say so in ``warnings``.

    Raises:
        StoreError: If the file cannot be read or is of another schema version.
        ProfileDataError: Naming row, column and value of what cannot be used.
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
    gpu_type = find_gpu_type(gpu) if isinstance(gpu, str) else gpu
    try:
        return _read(source, gpu_type, model_name, batch_size)
    except ProfileDataError as err:
        if str(source) in str(err):
            raise
        # What records say of each other, they say without knowing the file.
        raise ProfileDataError(f"{quoted(str(source))}: {err}") from err


def _read(
    source: Path,
    gpu_type: GpuType | None,
    model_name: str | None,
    batch_size: int | None,
) -> ProfileSet:
    mode = file_mode(source)
    if mode is not None and stat.S_ISDIR(mode):
        return _read_folder(source, gpu_type)
    content = read_bytes(source)
    beginning = content[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if beginning.startswith(b"{") and b'"experiments"' not in beginning:
        return parse_profile_file(content, source)
    text = decode(content, source)
    where = repr(str(source))
    name = model_name if model_name is not None else source.stem
    if not text.strip():
        raise ProfileDataError(f"{where}: the file is empty")
    if text.lstrip().startswith("{"):
        return parse_perf_analyzer_json(
            text, where, model_name=name, batch_size=batch_size, gpu_type=gpu_type
        )
    titles, _ = parse_rows(text, where)
    if is_perf_analyzer_table(titles):
        return parse_perf_analyzer_csv(
            text, where, model_name=name, batch_size=batch_size, gpu_type=gpu_type
        )
    if is_model_analyzer_table(titles):
        return parse_model_analyzer({where: text}, gpu_type=gpu_type)
    return parse_table(text, where, gpu_type=gpu_type)


def _read_folder(folder: Path, gpu_type: GpuType | None) -> ProfileSet:
    own = folder / PROFILE_FILE
    if own.is_file():
        # The tables beside it do not say what never settled, nor which readings lack.
        return read_profile_file(own)
    present = [
        folder / name
        for name in (INFERENCE_FILE, GPU_FILE, SERVER_FILE)
        if (folder / name).is_file()
    ]
    if not present:
        raise StoreError(
            f"{quoted(str(folder))} is a folder without Model Analyzer's tables "
            f"({INFERENCE_FILE}, {GPU_FILE}, {SERVER_FILE}); name a file"
        )
    texts = {repr(str(path)): read_text(path) for path in present}
    if any(
        is_model_analyzer_table(parse_rows(text, where)[0])
        for where, text in texts.items()
    ):
        return parse_model_analyzer(texts, gpu_type=gpu_type)
    if present[0].name == INFERENCE_FILE:
        # In the article's tables this one repeats the readings of the GPU table.
        texts.pop(repr(str(folder / GPU_FILE)), None)
    parts = [
        parse_table(text, where, gpu_type=gpu_type)
        for where, text in texts.items()
        if parse_rows(text, where)[1]
    ]
    return ProfileSet(
        records=tuple(record for part in parts for record in part.records),
        baselines=tuple(one for part in parts for one in part.baselines),
    )
