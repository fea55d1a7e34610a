"""Photograph the report of the medical example for the README: needs Chromium.

Run from the repository's root: ``python docs/images/make_images.py``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import gpupack

FOLDER = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


def main() -> None:
    placement = gpupack.place(gpupack.load_example("medical"), "max_throughput")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_path = Path(folder) / "report.html"
        page_path.write_text(placement.to_html(), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(page_path.as_uri())
        page.evaluate("document.getElementById('tools').hidden = true")
        bottom = page.locator(".gpus").bounding_box()
        assert bottom is not None
        image_path = FOLDER / "report.png"
        page.screenshot(
            path=image_path,
            full_page=True,
            clip={
                "x": 0,
                "y": 0,
                "width": 1180,
                "height": bottom["y"] + bottom["height"] + 20,
            },
        )
        browser.close()
    image = Image.open(image_path).convert("RGB")
    image.quantize(colors=128, dither=Image.Dither.NONE).save(image_path, optimize=True)
    print(f"{image_path}: {image_path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
