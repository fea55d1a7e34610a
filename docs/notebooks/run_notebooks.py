"""Run the notebooks and keep what they print and draw, as a code host shows it.

Run from the repository's root: ``python docs/notebooks/run_notebooks.py``. A test runs
them again and compares.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)? s\b")
_TEXTS = ("text/plain", "text/html", "text/markdown")


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """Return the notebook as it is after running it, without when and how long."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)  # which Python, to the patch
    return notebook


def told(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Return what each code cell tells: its texts, without seconds, and its pictures.

    Of a picture only that there is one: fonts and versions change its bytes. Of a cell
    with the tag ``timed``, whose searches use up their time limit, only how much: what
    they find then is a matter of the machine.
    """
    return [
        [f"{len(cell.outputs)} outputs, as far as time goes"]
        if "timed" in cell.metadata.get("tags", ())
        else [text for output in cell.outputs for text in _told_by(output)]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _told_by(output: nbformat.NotebookNode) -> list[str]:
    if output.output_type == "stream":
        return [_SECONDS.sub("… s", output.text)]
    data = output.get("data", {})
    if any(kind.startswith("image/") for kind in data):
        return ["a picture"]
    return [_SECONDS.sub("… s", data[kind]) for kind in _TEXTS if kind in data]


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(run_notebook(path), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
