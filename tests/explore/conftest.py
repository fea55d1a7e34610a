"""One server of the medical example, and one browser, for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.explore.served import CHROMIUM, FLAGS, Opened, Served, served


@pytest.fixture(scope="session")
def medical() -> Iterator[Served]:
    with served("medical", "--port", "0") as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser, medical: Served) -> Iterator[Opened]:
    one = Opened(browser, medical.url)
    one.settled()
    yield one
    one.close()
