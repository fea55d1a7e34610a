"""Ways of asking: every control, quick hands, clashes, and what would help."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest
from playwright.sync_api import Browser, expect

import gpupack
from gpupack.records.request import GpuSupply, ModelWishes, Request
from gpupack.spelling import flag_of
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served

pytestmark = needs_chromium
WITHOUT_FLAG = {"one_load_point"}
ARGUMENTS = {"weight": "weights", "left_out": "without"}


def solver_pids(server: Served) -> list[int]:
    """Return the processes that the server started to solve in."""
    return [
        one.pid
        for one in psutil.Process(server.process.pid).children()
        if any("spawn_main" in word for word in one.cmdline())
    ]


def test_every_control_shows_its_flag_and_field(opened: Opened) -> None:
    page = opened.page
    for summary in page.locator(".left summary").all():
        summary.click()
    text = page.locator(".left").inner_text()

    for field in set(Request.model_fields) - {
        "kind", "schema_version", "models", "defaults", "gpus",
    }:  # fmt: skip
        assert field in text, field
        assert flag_of(field) in text, field
    for wish in ModelWishes.model_fields:
        assert f"models.M.{wish}" in text, wish
        if wish not in WITHOUT_FLAG:
            assert flag_of(ARGUMENTS.get(wish, wish)) in text, wish
    flags = {"count": "--gpus", "memory_mib": "--gpus", "price": "--price"}
    for field in GpuSupply.model_fields:
        assert flags.get(field, flag_of(field)) in text, field
        if field != "memory_mib":  # of a card that nobody knows, as it is named
            assert f"gpus.T.{field}" in text, field


def wait_until_busy(served: Served, most: int) -> None:
    """Wait until so many processes are at work; those given up take a moment to end."""
    until = time.monotonic() + 30
    while (busy := served.busy()) > most:
        assert time.monotonic() < until, f"{busy} processes are still at work"
        time.sleep(0.05)


def test_a_hundred_quick_moves_leave_one_solve_and_the_right_answer(
    opened: Opened, medical: Served
) -> None:
    page = opened.page
    page.evaluate(
        """async () => {
            const one = document.querySelector('#c-headroom');
            for (let index = 0; index < 100; index += 1) {
                one.value = 70 + (index * 7) % 30;
                one.dispatchEvent(new Event('input', {bubbles: true}));
                await new Promise(done => setTimeout(done, 3));
            }
            one.value = 80;
            one.dispatchEvent(new Event('input', {bubbles: true}));
        }"""
    )

    assert medical.busy() < 5, "each move has begun to be answered"
    wait_until_busy(medical, 1)
    expected = gpupack.place("medical", headroom=0.8)
    expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
    expect(page.locator("#command")).to_have_value(
        "gpupack place medical --headroom 0.8 --workers 1"
    )
    opened.settled()
    assert page.locator("#c-headroom").input_value() == "80"
    wait_until_busy(medical, 0)


def test_of_quick_questions_only_the_last_is_answered(fleet: Served) -> None:
    data = fleet.start()["source"]["data_id"]
    hard = {
        "objective": "max_throughput",
        "gpus": {"test-gpu": {"count": 4}},
        "time_limit_s": 600.0,
        "models": {name: {"demand": 900.0} for name in ("bert", "clip", "unet")},
    }
    asked = {"view": "hard", "data": data, "request": hard}

    first = fleet.events("api/ask", asked, until="answer")
    assert first[-1][1]["is_final"] in (True, False)
    found = fleet.answer({"gpus": {"big-gpu": {}}}, view="hard")

    assert found["event"] == "answer"
    wait_until_busy(fleet, 1)


def test_what_cannot_be_typed_is_told_at_its_control(opened: Opened) -> None:
    page = opened.page
    page.get_by_text("Everything else that can be asked").click()
    seed = page.get_by_label("Seed")
    seed.fill("1.5")

    trouble = page.locator("#c-seed-trouble")
    expect(trouble).to_contain_text("seed is 1.5; it must be a whole number")
    assert seed.get_attribute("aria-invalid") == "true"
    assert seed.get_attribute("aria-describedby") == "c-seed-trouble"
    assert page.locator("#num-gpus").count() == 1, "the last answer stays in sight"
    assert seed.input_value() == "1.5", "what was typed stays"

    seed.fill("15")
    expect(trouble).to_have_count(0)
    expect(page.locator("#command")).to_have_value(
        "gpupack place medical --seed 15 --workers 1"
    )


def test_a_clash_is_drawn_where_it_is_with_the_smallest_change(
    opened: Opened,
) -> None:
    page = opened.page
    opened.slide("#c-headroom", 60)

    clash = page.locator(".clash-box")
    expect(clash).to_contain_text("segmentation_liver")
    control = page.locator(".control.troubled", has_text="Headroom")
    expect(control).to_contain_text("✕ clashes")
    liver = page.locator(".model-list li.troubled", has_text="segmentation_liver")
    expect(liver).to_contain_text("without segmentation_liver")
    way = control.get_by_role("button", name="headroom from 0.6 to 0.68")
    expect(way).to_be_visible()
    # One percent less does not do.
    with pytest.raises(gpupack.InfeasibleError):
        gpupack.place("medical", headroom=0.67)

    way.click()

    expect(clash).to_have_count(0)
    expected = gpupack.place("medical", headroom=0.68)
    expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
    assert page.locator(".troubled").count() == 0


def test_too_few_gpus_offer_how_many_would_do(
    opened: Opened,
) -> None:
    page = opened.page
    page.locator("#gpus-title").scroll_into_view_if_needed()
    page.get_by_label("Count of 16GB").fill("2")

    row = page.locator(".gpus td", has_text="clashes")
    expect(row).to_contain_text("4 16GB GPUs instead of 2")
    row.get_by_role("button", name="4 16GB GPUs instead of 2").click()

    expect(page.locator("#num-gpus")).to_have_text("4")
    assert page.get_by_label("Count of 16GB").input_value() == "4"


def test_what_would_save_one_is_applied_by_a_click(opened: Opened) -> None:
    page = opened.page
    opened.slide("#c-headroom", 80)
    change = page.get_by_role("button", name="headroom of memory from 0.8 to 0.84")
    expect(change).to_contain_text("2 less")

    change.click()

    expect(page.locator("#num-gpus")).to_have_text("4")
    expect(page.locator("#command")).to_have_value(
        "gpupack place medical --headroom memory=0.84 --workers 1"
    )


def test_the_recommendation_stands_above_and_can_be_looked_at(opened: Opened) -> None:
    page = opened.page
    expected = gpupack.recommend("medical", workers=1)
    expect(page.locator("#recommended")).to_contain_text(expected.lines[0])

    page.get_by_role("button", name="Look at that plan").click()

    expect(page.locator("#num-gpus")).to_have_text(str(expected.buy.num_gpus))


def test_a_model_is_left_out_and_taken_back(opened: Opened) -> None:
    page = opened.page
    box = page.locator(".model-name", has_text="segmentation_liver").get_by_role(
        "checkbox"
    )
    box.uncheck()
    expected = gpupack.place("medical", without="segmentation_liver")
    expect(page.locator("#line")).to_contain_text("for 8 models")
    expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
    assert "--without segmentation_liver" in opened.command()
    box.check()
    expect(page.locator("#line")).to_contain_text("for 9 models")


def test_demands_are_met_per_model_and_growth_multiplies_them(
    browser: Browser, fleet: Served
) -> None:
    opened = Opened(browser, fleet.url)
    page = opened.settled()
    page.get_by_role("checkbox", name="test-gpu").check()
    for name, rate in (("bert", 100), ("yolo", 300)):
        page.get_by_label(f"Demand of {name}, infer/sec").fill(str(rate))
    row = page.locator(".answer tr", has_text="yolo")
    expect(row).to_contain_text("300")
    expect(row).to_contain_text("100.0%")

    opened.slide("#c-growth", 2)

    expect(row).to_contain_text("600")
    assert "--growth 2" in opened.command()
    assert "--demand bert=100 --demand yolo=300" in opened.command()
    opened.close()


def test_a_solver_that_is_killed_gives_a_message_and_the_next_question_works(
    browser: Browser, fleet: Served
) -> None:
    data = fleet.start()["source"]["data_id"]
    opened = Opened(browser, fleet.url)
    page = opened.settled()
    opened.wait_until_painted()
    until = time.monotonic() + 30
    while fleet.busy() and time.monotonic() < until:
        time.sleep(0.05)
    hard = {
        "objective": "min_cost",
        "gpus": {"test-gpu": {"price": 1.0}, "big-gpu": {"price": 2.9}},
        "time_limit_s": 600.0,
        "models": {
            name: {"demand": 1000.0 + 37 * index}
            for index, name in enumerate(
                ("bert", "clip", "ocr", "ranker", "unet", "yolo")
            )
        },
    }
    page.evaluate(
        """state => {
            const text = btoa(JSON.stringify(state));
            location.hash = text.replaceAll('+', '-').replaceAll('/', '_');
        }""",
        {"data": data, "request": hard},
    )
    page.locator("#line", has_text="per hour").wait_for()

    for pid in solver_pids(fleet):
        os.kill(pid, signal.SIGKILL)

    notice = page.get_by_role("alert").filter(has_text="SIGKILL")
    expect(notice).to_contain_text("is gone")
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("checkbox", name="big-gpu").check()
    expect(page.locator("#command")).to_have_value(
        "gpupack place " + fleet.process.args[4] + " --gpus big-gpu --workers 1"  # type: ignore[index]
    )
    expected = gpupack.place(str(fleet.process.args[4]), gpus="big-gpu")  # type: ignore[index]
    expect(page.locator("#num-gpus")).to_have_text(str(expected.num_gpus))
    expect(notice).to_have_count(0)
    opened.close()
