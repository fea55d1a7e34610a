"""In and out: files that are dropped, and files of an answer."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

import gpupack
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served, served

pytestmark = needs_chromium
TABLE = """\
Model;Batch;Concurrency;GPU memory used (MB);GPU util %;Mem util %;infer/s;Owner;demand
server only;;;300,0;0;0;;;
ranker;1;2;1.200,5;30;20;120;ann;200
encoder;1;2;2.400,0;45;30;80;bob;
"""


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path()).read_bytes()


def drop(page: Page, name: str, content: str) -> None:
    """Drop a file on the page, as a browser tells it."""
    page.evaluate(
        """([name, content]) => {
            const data = new DataTransfer();
            data.items.add(new File([content], name));
            window.dispatchEvent(new DragEvent('drop', {dataTransfer: data}));
        }""",
        [name, content],
    )


def test_an_answer_is_taken_along_as_files(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.locator("#pin").click()
    opened.slide("#c-headroom", 80)
    expect(page.locator(".comparison table").first).to_be_visible()
    expected = gpupack.place("medical", headroom=0.8, workers=1)

    path = tmp_path / "request.json"
    path.write_bytes(saved(page, "Request file"))
    assert gpupack.read_request(path) == expected.request
    path = tmp_path / "placement.json"
    path.write_bytes(saved(page, "Placement, JSON"))
    placement = gpupack.read_placement(path)
    assert placement.gpus == expected.gpus
    assert placement.profiles == expected.profiles
    assert placement.explain().changes
    report = saved(page, "Report").decode()
    assert "pinned" in report
    assert "current" in report
    picture = saved(page, "SVG")
    root = ET.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = " ".join(one.text or "" for one in root.iter() if one.tag.endswith("text"))
    for name in gpupack.load_example("medical").model_names:
        assert name in texts
    assert "6 × 16GB" in texts
    image = saved(page, "PNG")
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", image[16:24])
    assert (width, height) == (1800, 2 * int(root.attrib["height"]))
    assert opened.complaints == []


def test_a_dropped_table_is_shown_as_understood_before_it_is_used(
    browser: Browser, opened: Opened, medical: Served
) -> None:
    page = opened.page
    drop(page, "mine.csv", TABLE)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("mine.csv: how it was understood")
    memory = dialog.locator("tr", has_text="GPU memory used (MB)")
    expect(memory).to_contain_text("gpu_memory_used_bytes")
    expect(dialog.locator("tr", has_text="Owner")).to_contain_text("kept aside")
    expect(page.locator("#line")).to_contain_text("9 models"), "nothing is used yet"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#line")).to_contain_text("9 models")

    drop(page, "mine.csv", TABLE)
    page.get_by_role("button", name="Plan with it").click()

    expect(page.locator(".into")).to_contain_text("mine.csv, 2 models")
    expect(page.get_by_label("Demand of ranker, infer/sec")).to_have_value("200")
    # The page of somebody else has its own profiles.
    other = Opened(browser, medical.url)
    expect(other.page.locator("#line")).to_contain_text("9 models")
    page.get_by_label("Add a GPU type").select_option("T4")
    expect(page.locator("#command")).to_have_value(
        "gpupack place mine.csv --gpus T4 --workers 1 --demand ranker=200"
    )
    other.close()
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.csv", "", "the file is empty"),
        ("garbage.bin", "\x00\x01\x02", ""),
        ("../../etc/passwd", "a;b\n1;2\n", ""),
        ("x" * 300 + ".csv", "a,b\n1,2\n", ""),
        ("request.yaml", "objektive: x\n", "unknown field"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_nothing_is_lost(
    opened: Opened, name: str, content: str, told: str
) -> None:
    page = opened.page
    drop(page, name, content)

    fault = page.locator(".into .notice.bad")
    expect(fault).to_contain_text(told)
    assert "/tmp" not in fault.inner_text()
    expect(page.locator("#line")).to_contain_text("9 models")
    assert opened.complaints == [
        "Failed to load resource: the server responded with a status of 422 "
        "(Unprocessable Entity)"
    ] or all("422" in one for one in opened.complaints)


def test_a_dropped_request_is_asked(opened: Opened) -> None:
    page = opened.page
    drop(page, "plan.yaml", "headroom: 80%\nobjective: max_throughput\nworkers: 1\n")

    expect(page.locator("#command")).to_have_value(
        "gpupack place medical --objective max_throughput --headroom 0.8 --workers 1"
    )


def test_profiles_that_the_server_forgot_are_brought_back(
    opened: Opened, medical: Served
) -> None:
    page = opened.page
    drop(page, "mine.csv", TABLE)
    page.get_by_role("button", name="Plan with it").click()
    expect(page.locator(".into")).to_contain_text("mine.csv")
    for index in range(13):  # more than the server keeps
        answer = medical.client.post(
            f"api/read?name={index}.csv",
            content=TABLE.replace("ranker", f"ranker{index}").encode(),
        )
        assert answer.status_code == 200

    page.get_by_label("Add a GPU type").select_option("T4")

    expect(page.locator("#line")).to_contain_text("2 models")


def test_a_page_for_a_projector_shows_and_does_not_ask(
    browser: Browser, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"headroom": 0.8}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(asked))
    with served(
        "medical", "--read-only", "--request", str(path), "--port", "0"
    ) as server:
        opened = Opened(browser, server.url)
        page = opened.settled()
        expect(page.locator("#num-gpus")).to_have_text("6")
        assert page.locator(".left, #c-headroom, #file").count() == 0
        change = page.locator(".way").first
        expect(change).to_be_disabled()
        refused = server.client.post("api/read?name=a.csv", content=b"x")
        assert refused.status_code == 403
        drop(page, "mine.csv", TABLE)
        expect(page.locator("#line")).to_contain_text("9 models")
        assert opened.complaints == []
        opened.close()
