"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import inspect
from pathlib import Path

import gpupack

project = "gpupack"
author = "The gpupack developers"
project_copyright = "The gpupack developers, Apache-2.0"
version = release = gpupack.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "schema", "**.ipynb_checkpoints"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # they are kept with their outputs, which tests keep fresh
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": "BaseModel,Exception"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "gpupack"
html_static_path = ["_static"]
html_css_files = ["gpupack.css"]
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#2350a8",
        "color-brand-content": "#2350a8",
    },
    "dark_css_variables": {
        "color-brand-primary": "#93b7ff",
        "color-brand-content": "#93b7ff",
    },
}


def write_reference(app: object) -> None:
    """Write a page with every public name, so that none can be forgotten."""
    groups: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in gpupack.__all__:
        value = getattr(gpupack, name)
        if not inspect.isclass(value):
            groups["Functions"].append(f".. autofunction:: {name}")
        elif issubclass(value, Exception):
            groups["Errors"].append(f".. autoexception:: {name}")
        else:
            groups["Classes"].append(f".. autoclass:: {name}")
    lines = [
        "# Python",
        "",
        "Everything here is imported from `gpupack` itself; anything else is internal.",
        "Importing gpupack is quick and needs no GPU, server or solver.",
    ]
    for title, directives in groups.items():
        lines += ["", f"## {title}", "", "```{eval-rst}", ".. currentmodule:: gpupack"]
        lines += ["", "\n\n".join(sorted(directives)), "```"]
    page = Path(__file__).parent / "reference" / "python.md"
    text = "\n".join(lines) + "\n"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app) -> None:
    """Let Sphinx call what is written above."""
    app.connect("builder-inited", write_reference)
