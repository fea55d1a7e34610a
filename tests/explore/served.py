"""A real server of the page in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from gpupack.profile_set import ProfileSet
from tests.factories import BIG, GPU, make_baseline, make_load_point, make_profiles

PATIENCE_MS = 60_000
"""Of a machine that does much else; nothing here is timed."""
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Served:
    """A server, and who asks it as the page does."""

    process: subprocess.Popen[str]
    url: str
    origin: str = field(init=False)
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.origin = self.url.rsplit("/", 2)[0]
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Origin": self.origin},
            timeout=PATIENCE_MS / 1000,
        )

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def start(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("api/start").json()
        return found

    def events(
        self, path: str, value: dict[str, Any], *, until: str | None = None
    ) -> list[tuple[str, Any]]:
        """Return the events of a question, up to the first of a name."""
        found: list[tuple[str, Any]] = []
        name = ""
        with self.client.stream("POST", path, json=value) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    found.append((name, json.loads(line.removeprefix("data: "))))
                    if name == until:
                        break
        return found

    def answer(self, request: dict[str, Any], view: str = "test") -> dict[str, Any]:
        """Return the last answer to a request, or what there is in its place."""
        data = self.start()["source"]["data_id"]
        asked = {"view": view, "data": data, "request": request}
        with self.client.stream("POST", "api/ask", json=asked) as response:
            name = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    value = json.loads(line.removeprefix("data: "))
                    if name in ("clash", "refused", "failed") or value.get("is_final"):
                        found: dict[str, Any] = {"event": name} | value
                        return found
        raise AssertionError("the server stopped in the middle")

    def busy(self) -> int:
        """Return how many processes are at work."""
        found: int = self.client.get("api/alive").json()["busy"]
        return found

    def end(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE_MS / 1000)


def start_server(*words: str, **environment: str) -> Served:
    process = subprocess.Popen(
        [sys.executable, "-m", "gpupack", "explore", *words, "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    return Served(process, found.group())


@contextmanager
def served(*words: str) -> Iterator[Served]:
    """Serve a page until the block ends."""
    one = start_server(*words)
    try:
        yield one
    finally:
        one.end()


class Opened:
    """The page in a tab that notes every request and complaint."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.on("console", lambda one: self.complaints.append(one.text))
        self.page.on("pageerror", lambda one: self.complaints.append(str(one)))
        self.page.on("dialog", lambda one: self.complaints.append(one.message))
        self.page.goto(url)

    def settled(self) -> Page:
        """Return the page once its question is answered."""
        expect(self.page.locator("#answer-pane")).to_have_attribute(
            "aria-busy", "false"
        )
        self.page.locator("#line, .clash-box, .notice.bad").first.wait_for()
        return self.page

    def wait_until_painted(self) -> None:
        """Wait for the final answer to what was asked since the last call."""
        self.page.evaluate(
            """() => new Promise(done => {
                const look = () => {
                    if (!performance.getEntriesByName('gpupack-settled').length)
                        return setTimeout(look, 5);
                    performance.clearMeasures('gpupack-settled');
                    done();
                };
                look();
            })"""
        )

    def slide(self, selector: str, value: float) -> None:
        """Move a slider, as a hand does: the page hears of every value."""
        self.page.locator(selector).first.evaluate(
            """(one, value) => {
                one.value = value;
                one.dispatchEvent(new Event('input', {bubbles: true}));
            }""",
            value,
        )

    def command(self) -> str:
        return self.page.locator("#command").input_value()

    def close(self) -> None:
        self.context.close()


def small_fleet() -> ProfileSet:
    """Six models at three load points on two GPU types, with latencies."""
    records = [
        make_load_point(
            name,
            f"{batch}x2",
            rate=speed * 20.0 * (index + 1) * batch**0.6,
            busy=min(95.0, 22.0 + 9 * batch + 3 * index),
            memory_busy=10.0 + 4 * batch,
            mib=120 + 45 * index + 15 * batch,
            gpu_type=gpu_type,
            latency_p99_us=1e6 * batch / (speed * 10.0 * (index + 1)),
        )
        for index, name in enumerate(("bert", "clip", "ocr", "ranker", "unet", "yolo"))
        for batch in (1, 2, 4)
        for gpu_type, speed in ((GPU, 1.0), (BIG, 3.0))
    ]
    found = make_profiles(*records)
    return found.model_copy(
        update={"baselines": (*found.baselines, make_baseline(0, BIG))}
    )
