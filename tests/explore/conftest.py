"""One server of the medical example, and one browser, for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import gpupack
from tests.explore.served import (
    Opened,
    Served,
    served,
    small_fleet,
)


@pytest.fixture(scope="session")
def medical() -> Iterator[Served]:
    with served("medical", "--port", "0") as server:
        yield server


@pytest.fixture(scope="session")
def fleet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explore") / "fleet.jsonl"
    gpupack.write_profiles(small_fleet(), path)
    return path


@pytest.fixture(scope="session")
def fleet(fleet_file: Path) -> Iterator[Served]:
    with served(str(fleet_file), "--port", "0") as server:
        yield server


@pytest.fixture
def opened(browser: Browser, medical: Served) -> Iterator[Opened]:
    one = Opened(browser, medical.url)
    one.settled()
    yield one
    one.close()
