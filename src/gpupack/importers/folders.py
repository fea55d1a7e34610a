"""What of a folder is to be read: tables, checkpoints or summaries of one origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.model_analyzer.model_analyzer_rows import (
    TableKind,
    read_table_rows,
)
from gpupack.importers.model_analyzer.model_analyzer_search import (
    GPU_FILE,
    INFERENCE_FILE,
    SERVER_FILE,
)
from gpupack.importers.model_analyzer.model_analyzer_tables import (
    is_model_analyzer_table,
)
from gpupack.importers.perf_analyzer.genai_perf import SUMMARY_PATTERNS
from gpupack.importers.source_text import read_source_text
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def tables_in(folder: Path) -> list[Path]:
    """Return Model Analyzer's tables in a folder, or in its ``results``.

    Raises:
        ProfileDataError: If there are several of a kind: of several searches.
    """
    for place in (folder, folder / "results"):
        named = [place / name for name in (INFERENCE_FILE, GPU_FILE, SERVER_FILE)]
        present = [path for path in named if path.is_file()]
        if present:
            return present
    return _renamed_tables(folder)


def further_tables(folder: Path, tables: Sequence[Path]) -> list[str]:
    """Return the names of Model Analyzer's tables in a folder beside those read."""
    return [
        path.name
        for path in _csv_files(folder)
        if path not in tables and is_model_analyzer_table(read_source_text(path))
    ]


def _renamed_tables(folder: Path) -> list[Path]:
    """Return Model Analyzer's tables under other names, one of each kind at most.

    Raises:
        ProfileDataError: If there are several of a kind: of several searches.
    """
    kinds: dict[TableKind, Path] = {}
    for path in _csv_files(folder):
        text = read_source_text(path)
        if not is_model_analyzer_table(text):
            continue
        kind = read_table_rows(text, quoted(str(path))).kind
        if kind in kinds:
            raise ProfileDataError(
                f"{quoted(str(folder))} has two of Model Analyzer's tables of "
                f"{kind.value}, {kinds[kind].name} and {path.name}; give those of one "
                "search a folder of their own, or name a file"
            )
        kinds[kind] = path
    return list(kinds.values())


def _csv_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the newest of Model Analyzer's checkpoints: it holds the earlier ones."""
    found = [*folder.glob("*.ckpt"), *(folder / "checkpoints").glob("*.ckpt")]
    numbered = [path for path in found if path.stem.isdecimal()]
    newest = max(numbered, key=lambda path: int(path.stem), default=None)
    return found[:1] if newest is None else [newest]


def summaries_in(folder: Path) -> list[Path]:
    """Return the summaries of one run in a folder, or of runs in folders within it."""
    for prefix in ("", "*/"):
        found = {
            path
            for pattern in SUMMARY_PATTERNS
            for path in folder.glob(prefix + pattern)
        }
        if found:
            return sorted(found)
    return []
