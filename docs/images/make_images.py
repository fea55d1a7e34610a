"""Photograph the report of the medical example for the README: needs Chromium.

Run from the repository's root: ``python docs/images/make_images.py``. The picture holds
a digest of the report that it shows, by which a test tells whether it is today's.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import sync_playwright

import gpupack

PICTURE = Path(__file__).parent / "report.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_KEY = "report"
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)? s\b")
_NOT_SHOWN = re.compile(r"<(style|script)\b.*?</\1>|<[^>]+>", re.DOTALL)


def report() -> str:
    """Return today's report of the README's example."""
    profiles = gpupack.load_example("medical")
    return gpupack.place(profiles, "max_throughput", workers=1).to_html()


def digest_of(page: str) -> str:
    """Return what tells the texts of reports apart, but for how long searches took."""
    told = " ".join(_SECONDS.sub("", _NOT_SHOWN.sub(" ", page)).split())
    return hashlib.sha256(told.encode()).hexdigest()


def digest_in(picture: Path) -> str | None:
    """Return the digest of the report that a picture shows."""
    with Image.open(picture) as image:
        found = image.info.get(_KEY)
    return None if found is None else str(found)


def photograph(page: str, picture: Path) -> None:
    """Write a picture of a report, from its head to the last GPU."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1180, "height": 2400})
        tab.goto(path.as_uri())
        # The page leaves rows out of sight unpainted, and guesses how high they are.
        tab.add_style_tag(content="* { content-visibility: visible !important; }")
        tab.evaluate("document.getElementById('tools').hidden = true")
        bottom = tab.locator(".gpus").bounding_box()
        assert bottom is not None
        tab.screenshot(
            path=picture,
            full_page=True,
            clip={
                "x": 0,
                "y": 0,
                "width": 1180,
                "height": bottom["y"] + bottom["height"] + 20,
            },
        )
        browser.close()
    image = Image.open(picture).convert("RGB")
    shown = PngInfo()
    shown.add_text(_KEY, digest_of(page))
    image.quantize(colors=128, dither=Image.Dither.NONE).save(
        picture, optimize=True, pnginfo=shown
    )


def main() -> None:
    photograph(report(), PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
