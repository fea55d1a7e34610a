"""A field that is new to a request can be asked on the page, too."""

from __future__ import annotations

from playwright.sync_api import Browser, Route, expect

from gpupack.explore.telling import request_fields
from gpupack.records.request import ModelWishes, Request
from gpupack.spelling import flag_of
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served

pytestmark = needs_chromium
OTHERWISE = {
    "kind",
    "schema_version",
    "objective",
    "models",
    "defaults",
    "gpus",
    "headroom",
}
WISHES_OTHERWISE = {"demand", "weight", "optional", "left_out", "one_load_point"}


def test_the_page_is_told_of_every_field_with_its_flag_and_kind() -> None:
    found = request_fields()
    assert {one.name for one in found.settings} | OTHERWISE == set(Request.model_fields)
    assert {one.name for one in found.wishes} | WISHES_OTHERWISE == set(
        ModelWishes.model_fields
    )
    kinds = {one.name: (one.kind, one.is_whole) for one in found.settings}
    assert kinds["allow_unstable"] == ("check", False)
    assert kinds["max_gpus"] == ("number", True)
    assert kinds["growth"] == ("number", False)
    assert kinds["currency"] == ("text", False)
    assert all(one.flag == flag_of(one.name) for one in found.settings)


def test_what_the_page_has_no_control_for_gets_a_plain_one(
    browser: Browser, medical: Served
) -> None:
    def with_new_fields(route: Route) -> None:
        response = route.fetch()
        start = response.json()
        plain = {"flag": "--new", "is_whole": True}
        start["fields"]["settings"] += [
            plain | {"name": "spares", "label": "Spares", "kind": "number"},
            plain | {"name": "gently", "label": "Gently", "kind": "check"},
        ]
        start["fields"]["wishes"] += [
            plain | {"name": "patience", "label": "Patience", "kind": "number"}
        ]
        route.fulfill(response=response, json=start)

    context = browser.new_context()
    context.route("**/api/start", with_new_fields)
    page = context.new_page()
    page.goto(medical.url)
    page.get_by_text("Everything else that can be asked").click()
    page.get_by_label("Spares").fill("3")
    # What is typed is asked: this server's request has no such field.
    expect(page.get_by_text("spares").first).to_be_visible()
    page.get_by_label("Gently").check()
    page.locator("details summary", has_text="more").first.click()
    expect(page.get_by_label("Patience")).to_be_visible()
    context.close()


def test_what_has_a_control_of_its_own_gets_no_second_one(opened: Opened) -> None:
    page = opened.page
    page.get_by_text("Everything else that can be asked").click()
    expect(page.get_by_label("GPUs of all types, at most")).to_have_count(1)
    expect(page.get_by_label("Max gpus")).to_have_count(0)
