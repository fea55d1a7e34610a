"""The README's picture is of the report as it is today."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from docs.images import make_explore_images
from docs.images.make_images import (
    PICTURE,
    digest_in,
    digest_of,
    photograph,
    report,
)

AGAIN = "make it again with python docs/images/make_images.py"
HAS_CHROMIUM = bool(shutil.which("chromium") or shutil.which("chromium-browser"))


def test_the_picture_is_of_todays_report() -> None:
    page = report()

    assert digest_of(page) == digest_of(report())  # nothing in it is by chance
    assert digest_in(PICTURE) == digest_of(page), AGAIN


def test_how_long_the_search_took_makes_no_other_report() -> None:
    assert digest_of("found in 0.25 s") == digest_of("found in 1e-05 s")
    assert digest_of("4 GPUs") != digest_of("5 GPUs")


@pytest.mark.browser
@pytest.mark.skipif(not HAS_CHROMIUM, reason="no Chromium here")
def test_a_picture_taken_now_looks_the_same(tmp_path: Path) -> None:
    taken = tmp_path / "now.png"

    photograph(report(), taken)

    with Image.open(taken) as now, Image.open(PICTURE) as then:
        # By and large: fonts differ between machines.
        assert abs(now.height - then.height) <= 0.03 * then.height, AGAIN
        thumbnails = [one.convert("L").resize((59, 50)) for one in (now, then)]
    difference = ImageStat.Stat(ImageChops.difference(*thumbnails)).mean[0]
    assert difference < 6, AGAIN  # of 255 shades
    assert digest_in(taken) == digest_in(PICTURE)


@pytest.mark.parametrize("name", make_explore_images.PICTURES)
def test_pictures_of_the_page_to_explore_are_of_todays_page(name: str) -> None:
    found = make_explore_images.digest_in(make_explore_images.FOLDER / name)

    assert found == make_explore_images.digest_of_page(), (
        "make them again with python docs/images/make_explore_images.py"
    )
