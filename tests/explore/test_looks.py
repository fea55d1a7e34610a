"""The page for everybody: keyboard, small screens, dark, large print, hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

import gpupack
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served, served
from tests.factories import make_load_point, make_profiles

pytestmark = needs_chromium
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "__proto__",
    "constructor",
    "a=b=c, 'quoted' \"twice\" $(rm -rf) `x`",
    "back\\slash/../..",
    "line\nbreak\ttab\u202eright-to-left",
    "n" * 300,
    "模型 🚀 é",
]


def faults(page: Page) -> list[Any]:
    from axe_playwright_python.sync_playwright import Axe

    return [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in Axe().run(page).response["violations"]
    ]


def is_too_wide(page: Page) -> bool:
    return bool(
        page.evaluate(
            "() => document.documentElement.scrollWidth > innerWidth"
            " || document.body.scrollWidth > innerWidth"
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 640, 390])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    browser: Browser, medical: Served, scheme: str, width: int
) -> None:
    # 640 is what a window of 1,280 has at 200 % zoom.
    opened = Opened(
        browser,
        medical.url,
        color_scheme=scheme,
        reduced_motion="reduce",
        viewport={"width": width, "height": 800},
    )
    page = opened.settled()
    expect(page.locator("#recommended")).to_be_visible()
    page.locator("#pin").click()
    opened.slide("#c-headroom", 80)
    expect(page.locator(".comparison table").first).to_be_visible()
    page.locator("#draw-map").click()
    # On a machine that does much else not every budget is tried in time.
    expect(page.locator("#map-state")).to_contain_text(" steps")
    expect(page.locator(".plot .point").first).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()

    assert faults(page) == []
    assert not is_too_wide(page)
    if width == 1280:
        opened.slide("#c-headroom", 60)
        expect(page.locator(".clash-box .way").first).to_be_visible()
        assert faults(page) == []
    moving = page.evaluate(
        """() => document.getAnimations().filter(
            one => one.playState === 'running').length"""
    )
    assert moving == 0
    opened.close()


def test_the_keyboard_alone_is_enough(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.locator("#c-headroom").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#num-gpus")).to_have_text("6")
    assert page.locator("#c-headroom").get_attribute("aria-valuetext") == "80 %"
    assert page.evaluate("() => document.activeElement.id") == "c-headroom"
    change = page.locator(".way").first
    change.wait_for()
    change.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#num-gpus")).to_have_text("4")
    # Everything that can be clicked can be reached.
    unreachable = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, summary,'
            + ' [role=button], .scroll')].filter(one => one.tabIndex < 0).length"""
    )
    assert unreachable == 0


def test_on_a_phone_the_answer_stays_in_sight_while_one_asks(
    browser: Browser, fleet: Served
) -> None:
    opened = Opened(browser, fleet.url, viewport={"width": 390, "height": 800})
    page = opened.settled()
    page.locator(".dock").get_by_role("button", name="Question").click()
    expect(page.locator("#c-objective")).to_be_in_viewport()
    page.get_by_role("checkbox", name="big-gpu").check()
    page.get_by_label("Price per hour of big-gpu", exact=True).fill("2.5")
    page.get_by_label("Demand of yolo, infer/sec").fill("300")

    shown = page.locator("#dock-answer")
    expect(shown).to_contain_text("× big-gpu")
    expect(shown).to_contain_text("per hour")
    expect(shown).to_be_in_viewport()
    page.locator("#draw-map").click()
    expect(page.locator("#map-state")).to_contain_text("steps")
    assert not is_too_wide(page)
    # A number is not broken into lines.
    heights = page.evaluate(
        """() => [...document.querySelectorAll('td.n')].map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return new Set([...range.getClientRects()].map(box => box.top)).size;
        })"""
    )
    assert heights
    assert max(heights) == 1
    page.locator(".dock").get_by_role("button", name="Answer").click()
    expect(page.locator("#line")).to_be_in_viewport()
    assert faults(page) == []
    opened.close()


def test_an_answer_is_told_to_who_cannot_see_it(opened: Opened) -> None:
    page = opened.page
    opened.slide("#c-headroom", 80)
    spoken = page.locator("#spoken")
    expect(spoken).to_contain_text("6 × 16GB for 9 models: fewer cannot do.")
    assert spoken.get_attribute("aria-live") == "polite"
    bar = page.locator("svg.bar").first
    assert "classification" in (bar.get_attribute("aria-label") or "")


def test_the_theme_button_turns_light_into_dark(opened: Opened) -> None:
    page = opened.page

    def background() -> str:
        return str(
            page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        )

    light = background()
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Light")).to_be_visible()
    assert background() != light


def test_hostile_and_long_names_stay_text_and_can_be_asked(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.jsonl"
    profiles = make_profiles(*(make_load_point(name, mib=300) for name in HOSTILE))
    gpupack.write_profiles(profiles, path)
    with served(str(path), "--port", "0") as server:
        opened = Opened(browser, server.url, viewport={"width": 390, "height": 800})
        page = opened.settled()
        expect(page.locator("#line")).to_contain_text(f"{len(HOSTILE)} models")
        names = page.locator(".model-name")
        assert names.count() == len(HOSTILE)
        text = page.inner_text("#answer-pane")
        assert HOSTILE[0] in text
        assert "n" * 300 in text
        assert "\u202e" not in text
        assert page.locator("img[onerror]").count() == 0
        for index in range(len(HOSTILE)):
            field = page.locator(".demand input[type=number]").nth(index)
            field.fill(str(10 + index))
        order = sorted(HOSTILE)
        expected = gpupack.place(
            profiles, demand={name: 10 + index for index, name in enumerate(order)}
        )
        expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
        expect(page.locator(".answer tr", has_text="constructor")).to_contain_text("%")
        assert not is_too_wide(page)
        page.locator("#pin").click()
        page.reload()
        expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
        expect(page.locator(".demand input[type=number]").first).to_have_value("10")
        assert opened.complaints == []
        opened.close()
