"""The documentation builds without a warning, and its own links resolve."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import gpupack

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; notebooks are run by ``make docs`` and their own test."""
    pytest.importorskip("sphinx", reason="the docs group is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
            "-D", "nb_execution_mode=off", "-d", str(folder / "doctrees"),
            str(ROOT / "docs"), str(folder / "html"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


class Links(HTMLParser):
    """Where a page's links lead, and the anchors it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors.add(found.get("id") or "")
        target = found.get("href") if tag in ("a", "link") else found.get("src")
        if target:
            self.targets.append(target)


def test_every_link_within_the_site_resolves(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html")}
    broken = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            where = (page.parent / path).resolve() if path else page
            if where.is_dir():
                where = where / "index.html"
            known = pages.get(where)
            if not where.exists() or (
                known is not None and unquote(parts.fragment) not in known.anchors
            ):
                broken.append(f"{page.relative_to(site)} -> {target}")

    assert len(pages) > 8
    assert broken == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    anchors = Links(site / "reference" / "python.html").anchors

    missing = {name for name in gpupack.__all__ if f"gpupack.{name}" not in anchors}
    assert missing == set()


def test_the_readme_links_to_files_that_exist() -> None:
    import re

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text)

    assert len(targets) > 5
    for target in (one or other for one, other in targets):
        assert target.startswith("https://") or (ROOT / target).exists(), target
