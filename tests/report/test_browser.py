"""The HTML report in a real Chromium: what a person clicks, types and sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from gpupack.records.frontier import FrontierPoint, FrontierRecord
from gpupack.records.placement import PlacementRecord, PlacementStatus
from gpupack.report.page.html import render_report
from tests.chromium import needs_chromium
from tests.report.placements import (
    HOSTILE_NAME,
    make_assignment,
    make_fleet,
    make_placement,
    make_sweep,
)

pytestmark = needs_chromium


class OpenReport:
    """A report in a tab that notes every request and complaint."""

    def __init__(self, browser: Browser, path: Path, **options: object) -> None:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.on("console", lambda one: self.complaints.append(one.text))
        self.page.on("pageerror", lambda one: self.complaints.append(str(one)))
        self.page.on("dialog", lambda one: self.complaints.append(one.message))
        context.route("http*://**", self._refuse)
        self.page.goto(path.as_uri())

    def _refuse(self, route: Route) -> None:
        route.abort()


def two_gpus() -> PlacementRecord:
    """``shared`` runs on both GPUs, a hostile name on one; 150 and 800 MiB of ten."""
    return make_placement(
        (
            make_assignment("shared", predicted_infer_per_sec=93.0),
            make_assignment(HOSTILE_NAME, memory_mib=600),
        ),
        (make_assignment("shared"), make_assignment("small", memory_mib=10)),
        profiles=make_sweep("shared") + make_sweep(HOSTILE_NAME),
        headroom=0.9,
    )


def two_steps() -> FrontierRecord:
    return FrontierRecord(
        steps=tuple(
            FrontierPoint(
                num_gpus=number,
                throughput_infer_per_sec=100 * number,
                bound_infer_per_sec=200,
                status=PlacementStatus.OPTIMAL,
                served_share={"small": number / 2, "shared": 1.0},
                worst_served_share=number / 2,
            )
            for number in (1, 2)
        )
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    page = render_report([("two gpus", two_gpus())], frontier=two_steps())
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def report(browser: Browser, path: Path) -> Iterator[OpenReport]:
    opened = OpenReport(browser, path)
    yield opened
    opened.page.context.close()


def texts(page: Page, selector: str) -> list[str]:
    return [one.strip() for one in page.locator(selector).all_inner_texts()]


def test_it_loads_without_a_complaint_or_a_request(
    report: OpenReport, path: Path
) -> None:
    report.page.wait_for_timeout(200)

    assert report.complaints == []
    assert report.requests == [path.as_uri()]


def test_a_hostile_model_name_stays_text(report: OpenReport) -> None:
    assert HOSTILE_NAME in report.page.inner_text("main")
    report.page.locator(f".chip:has-text('{HOSTILE_NAME}')").first.click()
    assert HOSTILE_NAME in report.page.inner_text("#picked")
    assert report.complaints == []


def test_tables_sort_both_ways(report: OpenReport) -> None:
    page = report.page
    head = page.locator("section:has(> h2:text-is('Models')) table")
    button = head.get_by_role("button", name="Memory, MiB")

    def names() -> list[str]:
        return [one.strip() for one in head.locator("tbody th").all_inner_texts()]

    button.click()
    assert names() == ["small", "shared", HOSTILE_NAME]
    assert button.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    button.click()
    assert names() == [HOSTILE_NAME, "shared", "small"]


def test_gpus_sort_by_how_full_they_are(report: OpenReport) -> None:
    page = report.page
    button = page.locator(".gpus").get_by_role("button", name="Memory", exact=True)

    button.click()

    order = page.locator(".gpus tbody th").all_inner_texts()
    assert [one.split("\n")[0] for one in order] == ["GPU 1", "GPU 0"]


def test_hovering_a_bar_names_the_model_and_its_amount(report: OpenReport) -> None:
    page = report.page
    assert page.locator("#tip").is_hidden()

    page.locator(".bar").first.locator("i").nth(2).hover()

    assert page.inner_text("#tip") == f"{HOSTILE_NAME}\nMemory on GPU 0: 600 MiB"


def test_picking_a_model_marks_it_everywhere(report: OpenReport) -> None:
    page = report.page

    def opacity(selector: str) -> list[str]:
        page.wait_for_timeout(200)
        return page.eval_on_selector_all(
            selector, "all => all.map(one => getComputedStyle(one).opacity)"
        )

    picked = page.locator("button.pick", has_text="shared").first
    picked.click()

    index = picked.get_attribute("data-m")
    assert set(opacity(f"[data-m='{index}']")) == {"1"}
    assert "1" not in opacity(f".bar i:not([data-m='{index}'])")
    assert "1" not in opacity(f".chip:not([data-m='{index}']):not(.data *)")
    assert "on 2 GPUs (0, 1)" in page.inner_text("#picked")
    assert picked.get_attribute("aria-pressed") == "true"

    page.keyboard.press("Escape")
    assert set(opacity(".bar i")) == {"1"}


def test_the_filter_leaves_only_gpus_with_such_a_model(report: OpenReport) -> None:
    page = report.page

    page.get_by_label("Show models named").fill("SMALL")

    assert page.locator(".gpus tbody:visible").count() == 1
    assert "1 of 3 models on 1 of 2 GPUs" in page.inner_text("#picked")


def test_the_filter_says_where_nothing_is_found(report: OpenReport) -> None:
    page = report.page

    page.get_by_label("Show models named").fill("no-such-model")

    assert page.locator(".gpus tbody:visible").count() == 0
    assert "nothing found" in page.inner_text("#picked")
    assert "no-such-model" in page.inner_text("#picked")


def test_on_a_phone_the_first_column_of_every_table_stays(
    browser: Browser, path: Path
) -> None:
    page = OpenReport(browser, path, viewport={"width": 390, "height": 800}).page

    shifts = page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].map(table => {
            table.scrollLeft = 200;
            const cell = table.querySelector('tbody tr > *').getBoundingClientRect();
            return Math.abs(cell.left - table.getBoundingClientRect().left);
        })"""
    )

    assert len(shifts) >= 2
    assert max(shifts) <= 2, "its border"
    page.context.close()


def test_no_card_is_cut_where_it_is_printed(browser: Browser, path: Path) -> None:
    page = OpenReport(browser, path).page

    page.emulate_media(media="print")

    for card in (".gpus tbody", ".facts > div", ".curves article", ".warnings li"):
        ways = page.locator(card).evaluate_all(
            "all => all.map(one => getComputedStyle(one).breakInside)"
        )
        assert set(ways) <= {"avoid"}, card
    page.context.close()


def test_the_bars_work_from_the_keyboard(report: OpenReport) -> None:
    page = report.page
    page.locator(".bar[tabindex='0']").focus()

    page.keyboard.press("ArrowRight")
    assert "shared\nMemory on GPU 0: 100 MiB" in page.inner_text("#tip")
    page.keyboard.press("ArrowDown")
    assert "server alone\nMemory on GPU 1: 50 MiB" in page.inner_text("#tip")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    assert "shared: on 2 GPUs" in page.inner_text("#picked")
    assert page.locator(".bar[tabindex='0']").count() == 1, "one tab stop"


def test_the_theme_button_turns_light_into_dark(report: OpenReport) -> None:
    page = report.page

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.get_by_role("button", name="Dark").click()
    assert background() != light


def test_it_prints_dark_on_white_whatever_the_screen(
    browser: Browser, path: Path
) -> None:
    page = OpenReport(browser, path, color_scheme="dark").page

    page.emulate_media(media="print")

    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{style}.color") == "rgb(0, 0, 0)"
    assert page.locator("#tools").is_hidden()
    assert page.pdf().startswith(b"%PDF")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("compared", [False, True], ids=["one", "two"])
def test_axe_finds_no_serious_fault(
    browser: Browser, tmp_path: Path, scheme: str, compared: bool
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    placements = [("two gpus", two_gpus())]
    if compared:
        placements.append(("one", make_placement((make_assignment("shared"),))))
    path = tmp_path / "report.html"
    path.write_text(render_report(placements), encoding="utf-8")
    opened = OpenReport(browser, path, color_scheme=scheme)

    result = Axe().run(opened.page)

    serious = [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in result.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.page.context.close()


def test_a_thousand_gpus_stay_usable(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "fleet.html"
    path.write_text(render_report([("fleet", make_fleet(1000, 5, 250))]), "utf-8")
    page = OpenReport(browser, path).page

    page.get_by_label("Show models named").fill("model_0007")
    # 5,000 instances of 250 models dealt out in turn: 20 of each, on GPUs that are
    # equal, and a row.
    assert page.locator(".gpus tbody:visible").count() == 1
    assert "on 20 of 1000 GPUs" in page.inner_text("#picked")
    page.keyboard.press("Escape")
    models = page.locator("section:has(> h2:text-is('Models'))")
    assert models.locator("tbody tr:visible").count() == 200
    models.get_by_role("button", name="Show all 250 rows").click()
    assert models.locator("tbody tr:visible").count() == 250
    page.locator("button.pick").nth(3).click()
    page.mouse.move(600, 400)
    page.mouse.wheel(0, 20_000)
    # wait_for_function() asks again by eval(), which the page's policy forbids.
    page.evaluate(
        "() => new Promise((done) => { const look = () => "
        "scrollY > 10000 ? done() : requestAnimationFrame(look); look(); })"
    )
    page.context.close()


def test_equal_gpus_count_as_many_where_a_model_is_picked_or_sought(
    browser: Browser, tmp_path: Path
) -> None:
    gpus = [(make_assignment("ranker"),)] * 7 + [(make_assignment("spam"),)]
    path = tmp_path / "groups.html"
    path.write_text(render_report([("p", make_placement(*gpus))]), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())

    assert page.locator(".gpus tbody").count() == 2
    page.locator(".chip", has_text="ranker").first.click()
    assert page.inner_text("#picked") == "ranker: on 7 GPUs (0–6)"
    page.fill("#filter", "rank")
    assert page.inner_text("#picked") == "1 of 2 models on 7 of 8 GPUs"
    page.locator(".bar i[data-m]").first.hover()
    assert "Memory on GPU 0–6" in page.inner_text("#tip")
    page.close()
