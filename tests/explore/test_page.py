"""The page in a real Chromium: what somebody asks, and what stands there then."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

import gpupack
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served

pytestmark = needs_chromium


def num_gpus(opened: Opened) -> int:
    return int(opened.settled().inner_text("#num-gpus"))


def test_it_opens_with_an_answer_and_without_a_complaint(
    opened: Opened, medical: Served
) -> None:
    assert num_gpus(opened) == gpupack.place("medical").num_gpus
    assert opened.complaints == []
    assert all(one.startswith(medical.url) for one in opened.requests)


def test_a_slider_asks_and_the_answer_is_what_place_gives(opened: Opened) -> None:
    for percent in (80, 70, 90):
        opened.slide("#c-headroom", percent)
        expected = gpupack.place("medical", headroom=percent / 100)
        expect(opened.page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
        assert f"--headroom {percent / 100:g}" in opened.command()
    assert opened.complaints == []


def test_two_browsers_stay_apart(
    browser: Browser, opened: Opened, medical: Served
) -> None:
    other = Opened(browser, medical.url)
    other.settled()

    opened.slide("#c-headroom", 70)
    other.slide("#c-headroom", 80)

    expected = [gpupack.place("medical", headroom=h).num_gpus for h in (0.7, 0.8)]
    assert expected[0] != expected[1]
    expect(opened.page.locator("#num-gpus")).to_have_text(str(expected[0]))
    expect(other.page.locator("#num-gpus")).to_have_text(str(expected[1]))
    other.close()
