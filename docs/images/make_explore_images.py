"""Photograph the page of ``gpupack explore`` for the README and the docs.

Run from the repository's root: ``python docs/images/make_explore_images.py``; needs
Chromium and the extra ``explore``. The pictures hold a digest of the page's own files,
by which a test tells whether they are of today's page.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect, sync_playwright

from gpupack.explore.assets import asset_names, read_asset

FOLDER = Path(__file__).parent
PICTURES = ("explore.png", "explore_clash.png", "explore_map.png")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_KEY = "page"


def digest_of_page() -> str:
    """Return what tells today's page from another."""
    digest = hashlib.sha256()
    for name in sorted(asset_names()):
        digest.update(name.encode() + read_asset(name))
    return digest.hexdigest()


def digest_in(picture: Path) -> str | None:
    """Return the digest of the page that a picture shows."""
    with Image.open(picture) as image:
        found = image.info.get(_KEY)
    return None if found is None else str(found)


def slide(page: Page, selector: str, value: float) -> None:
    """Move a slider and wait for what would help."""
    page.locator(selector).evaluate(
        """(one, value) => {
            one.value = value;
            one.dispatchEvent(new Event('input', {bubbles: true}));
        }""",
        value,
    )


def keep(page: Page, name: str, folder: Path) -> None:
    """Write what the window shows, with few colors."""
    taken = folder / name
    page.screenshot(path=taken)
    shown = PngInfo()
    shown.add_text(_KEY, digest_of_page())
    image = Image.open(taken).convert("RGB")
    image.quantize(colors=128, dither=Image.Dither.NONE).save(
        FOLDER / name, optimize=True, pnginfo=shown
    )
    print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB")


def photograph(page: Page, folder: Path) -> None:
    """Walk through the page, and take a picture at three places."""
    page.locator("#num-gpus").wait_for()
    page.get_by_label("Price per hour of 16GB", exact=True).fill("0.5")
    expect(page.locator("#command")).to_have_value(re.compile("--price 16GB=0.5"))
    expect(page.locator("#recommended")).to_be_visible()
    page.locator("#pin").click()
    slide(page, "#c-headroom", 80)
    expect(page.locator(".comparison table").first).to_be_visible()
    expect(page.get_by_text("trying changes")).to_have_count(0)
    page.evaluate("() => document.querySelector('.left').scrollTo(0, 0)")
    keep(page, "explore.png", folder)
    page.get_by_role("button", name="Unpin").click()
    page.get_by_label("Count of 16GB").fill("4")
    expect(page.locator(".clash-box .way").first).to_be_visible()
    expect(page.get_by_text("looking for the smallest changes")).to_have_count(0)
    page.evaluate("() => document.querySelector('#gpus-title').scrollIntoView()")
    page.evaluate("() => scrollTo(0, 0)")
    keep(page, "explore_clash.png", folder)
    page.locator("#reset").click()
    expect(page.locator("#num-gpus")).to_have_text("4")
    page.locator("#draw-map").click()
    expect(page.locator("#map-state")).to_contain_text("steps")
    page.locator("#map-title").scroll_into_view_if_needed()
    page.evaluate("() => document.querySelector('.map').scrollIntoView()")
    keep(page, "explore_map.png", folder)


def main() -> None:
    command = (sys.executable, "-m", "gpupack", "explore", "medical")
    server = subprocess.Popen(
        [*command, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = re.search(r"http://\S+", server.stdout.readline())
    assert url is not None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    expect.set_options(timeout=120_000)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(url.group())
            photograph(page, Path(folder))
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


if __name__ == "__main__":
    main()
