"""Before and after, the way that was gone, links, and the frontier."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Browser, expect

import gpupack
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served

pytestmark = needs_chromium


def test_a_pinned_answer_is_compared_by_what_is_on_the_gpus(opened: Opened) -> None:
    page = opened.page
    page.locator("#pin").click()
    opened.slide("#c-headroom", 80)

    before = gpupack.place("medical", workers=1)
    after = gpupack.place("medical", headroom=0.8, workers=1)
    compared = gpupack.compare(before, after)
    table = page.locator(".comparison table").first
    gpus = table.locator("tr", has_text="GPUs")
    expect(gpus).to_contain_text(f"+{after.num_gpus - before.num_gpus}")
    moves = compared.count(gpupack.Change.MOVES)
    expect(table.locator("tr", has_text="Moves")).to_contain_text(f"{moves} move")
    changes = page.locator(".comparison details")
    expect(changes).to_contain_text(f"{len(compared.changed_models)} models change")

    page.get_by_role("button", name="Back to the pinned question").click()
    expect(page.locator("#num-gpus")).to_have_text(str(before.num_gpus))
    expect(page.locator(".comparison")).to_contain_text("No model changes")
    page.get_by_role("button", name="Unpin").click()
    expect(page.locator(".comparison")).to_have_count(0)
    assert opened.complaints == []


def test_prices_are_compared_where_both_are_known_in_one_currency(
    opened: Opened,
) -> None:
    page = opened.page
    page.locator("#pin").click()
    price = page.get_by_label("Price per hour of 16GB", exact=True)
    price.fill("0.5")
    row = page.locator(".comparison tr", has_text="Per hour")
    expect(row).to_contain_text("no price was known")
    opened.settled()
    page.locator("#pin").click()
    price.fill("0.75")
    # Four GPUs, a quarter more for each.
    expect(row).to_contain_text("+1")
    page.get_by_text("Everything else that can be asked").click()
    page.get_by_label("Currency of the prices").fill("EUR")
    expect(row).to_contain_text("in another currency")


def test_one_walks_back_and_forth_by_the_page_and_by_the_browser(
    opened: Opened,
) -> None:
    page = opened.page
    slider = page.locator("#c-headroom")
    for percent in (80, 70):
        opened.slide("#c-headroom", percent)
        expect(page.locator("#command")).to_have_value(
            re.compile(f"--headroom {percent / 100:g} ")
        )
        opened.settled()

    page.locator("#back").click()
    expect(slider).to_have_value("80")
    expect(page.locator("#num-gpus")).to_have_text("6")
    page.locator("#back").click()
    expect(slider).to_have_value("100")
    page.locator("#forward").click()
    expect(slider).to_have_value("80")
    page.locator("#history").select_option(index=2)
    expect(slider).to_have_value("70")
    opened.settled()

    page.go_back()
    expect(slider).to_have_value("80")
    opened.settled()
    page.go_forward()
    expect(slider).to_have_value("70")


def test_a_link_shows_the_same_view_to_somebody_else(
    browser: Browser, opened: Opened
) -> None:
    page = opened.page
    page.locator("#pin").click()
    opened.slide("#c-headroom", 80)
    page.get_by_label("Demand of segmentation_liver, infer/sec").fill("40")
    expect(page.locator("#command")).to_have_value(re.compile("--demand"))
    opened.settled()
    line = page.inner_text("#line")

    other = Opened(browser, page.url)
    other.settled()

    expect(other.page.locator("#line")).to_have_text(line)
    assert other.command() == opened.command()
    # What was pinned is asked again, and compared.
    expect(other.page.locator(".comparison table").first).to_contain_text("GPUs")
    expect(other.page.locator(".comparison")).to_contain_text("Pinned: 4 × 16GB")
    assert other.complaints == []
    other.close()


def test_a_link_to_other_profiles_says_so_and_keeps_what_it_can(
    browser: Browser, medical: Served
) -> None:
    state = {
        "data": "0" * 24,
        "request": {
            "headroom": 0.8,
            "models": {"segmentation_liver": {"demand": 20}, "gone": {"demand": 1}},
        },
    }
    shown = "".join(f"{one:02x}" for one in json.dumps(state).encode())
    opened = Opened(browser, medical.url)
    page = opened.settled()
    page.evaluate(
        """hex => {
            const text = hex.replace(
                /../g, one => String.fromCharCode(parseInt(one, 16)));
            location.hash = btoa(text).replaceAll('+', '-').replaceAll('/', '_');
        }""",
        shown,
    )

    expect(page.locator(".notice.warn").first).to_contain_text("other profiles")
    expect(page.locator("#command")).to_have_value(
        "gpupack place medical --headroom 0.8 --demand segmentation_liver=20"
    )
    page.evaluate("() => { location.hash = 'broken%%%'; }")
    expect(page.locator("#line")).to_be_visible()
    assert opened.complaints == []
    opened.close()


def test_the_frontier_fills_in_and_a_click_takes_the_plan(opened: Opened) -> None:
    page = opened.page
    expected = gpupack.frontier("medical", find_headroom=False, workers=1)
    page.locator("#draw-map").click()
    expect(page.locator("#map-state")).to_contain_text(f"{len(expected.steps)} steps")
    points = page.locator(".plot .point")
    assert points.count() == len(expected.steps)
    rows = page.locator(".map tbody tr")
    assert rows.count() == len(expected.steps)

    last = expected.placements[-1]
    points.last.click()

    expect(page.locator("#command")).to_have_value(
        re.compile(f"--objective max_throughput --max-gpus {last.num_gpus}")
    )
    expect(page.locator("#num-gpus")).to_have_text(str(last.num_gpus))
    expect(page.locator("#map-state")).to_contain_text("earlier question")
    points.first.focus()
    page.keyboard.press("Enter")
    first = expected.placements[0]
    expect(page.locator("#num-gpus")).to_have_text(str(first.num_gpus))
    assert opened.complaints == []


def test_a_frontier_by_price_without_prices_says_what_it_lacks(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Against").select_option("price")
    expect(page.locator("#map-state")).to_contain_text("price")
    page.get_by_label("Price per hour of 16GB", exact=True).fill("0.5")
    expect(page.locator("#command")).to_have_value(re.compile("--price 16GB=0.5"))
    page.locator("#draw-map").click()
    expect(page.locator(".map tbody tr").last).to_contain_text("3")
