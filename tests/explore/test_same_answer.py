"""The page's answers are those of ``gpupack place`` with the command line it shows."""

from __future__ import annotations

import base64
import json
import random
import shlex
from collections.abc import Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner, Result

import gpupack
from gpupack.cli.app import app_of
from gpupack.errors import GpupackError
from gpupack.spelling import speak_shell
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served, small_fleet

NAMES = small_fleet().model_names
NUM_STATES = 50


def random_request(rng: random.Random) -> dict[str, Any]:
    """Return a question of every kind of wish, most of which have an answer."""
    asked: dict[str, Any] = {"workers": 1}
    models: dict[str, dict[str, Any]] = {}

    def maybe(chance: float) -> bool:
        return rng.random() < chance

    def wish(name: str, field: str, value: object) -> None:
        models.setdefault(name, {})[field] = value

    objective = rng.choice(["min_gpus"] * 5 + ["min_cost"] * 3 + ["max_throughput"])
    if objective != "min_gpus":
        asked["objective"] = objective
    # Proofs of these take about a second each, most throughput may not end at all.
    asked["time_limit_s"] = 8.0 if objective == "max_throughput" else 120.0
    types: dict[str, dict[str, Any]] = {"test-gpu": {}, "big-gpu": {}}
    for name in [one for one in types if maybe(0.25)][:1]:
        del types[name]
    for supply in types.values():
        if objective == "min_cost" or maybe(0.3):
            supply["price"] = round(rng.uniform(0.2, 4.0), 2)
        if maybe(0.3):
            supply["count"] = rng.randint(2, 9)
    if objective == "min_cost" or maybe(0.3):
        for supply in types.values():
            supply.setdefault("price", 1.5)
    asked["gpus"] = types
    if maybe(0.5):
        asked["headroom"] = round(rng.uniform(0.6, 1.0), 2)
    elif maybe(0.3):
        asked["headroom"] = {"memory": 0.9, "gpu_utilization": 0.85}
    for name in NAMES:
        if maybe(0.3):
            wish(name, "demand", round(rng.uniform(5, 300), 1))
        if maybe(0.1):
            wish(name, "left_out", True)
        if maybe(0.15):
            wish(name, "replicas", rng.randint(1, 3))
        if maybe(0.15):
            wish(name, "load_point", rng.choice(["1x2", "2x2", "4x2"]))
    if maybe(0.3):
        asked["growth"] = round(rng.uniform(0.5, 3), 2)
    if maybe(0.25):
        asked["defaults"] = {"latency_limit_ms": round(rng.uniform(30, 400), 1)}
    if maybe(0.2):
        wish(rng.choice(NAMES), "min_retention", 0.8)
    if maybe(0.2):
        asked["sharing"] = rng.choice(["mps", "streams"])
    if maybe(0.15):
        asked["currency"] = "EUR"
    if models:
        asked["models"] = models
    return asked


def fragment(data_id: str, request: dict[str, Any]) -> str:
    state = json.dumps({"data": data_id, "request": request}).encode()
    return base64.urlsafe_b64encode(state).decode().rstrip("=")


def _invoked(words: list[str]) -> Result:
    speak_shell()  # as the program does
    return CliRunner().invoke(app_of(["place", "read"]), words)


def placed(command: str, folder: Path) -> gpupack.Placement | int:
    """Return the placement of a command line, or its exit code."""
    words = shlex.split(command)
    assert words[:2] == ["gpupack", "place"]
    path = folder / "out.json"
    path.unlink(missing_ok=True)
    result = copy_context().run(_invoked, [*words[1:], "--json", str(path), "--quiet"])
    if isinstance(result.exception, GpupackError):
        return result.exception.exit_code
    assert result.exit_code == 0, result.output
    return gpupack.read_placement(path)


def shown_answers(
    browser: Browser, fleet: Served, requests: Sequence[dict[str, Any]]
) -> list[tuple[str, gpupack.Placement | None]]:
    """Return the command line that the page shows for each question, and its answer.

    None where it says that there is none.
    """
    data_id = fleet.start()["source"]["data_id"]
    opened = Opened(browser, fleet.url)
    page = opened.settled()
    opened.wait_until_painted()
    found: list[tuple[str, gpupack.Placement | None]] = []
    for request in requests:
        page.evaluate("shown => { location.hash = shown; }", fragment(data_id, request))
        opened.wait_until_painted()
        placement = None
        if not page.locator(".notice.bad").count():
            with page.expect_download() as download:
                page.get_by_role("button", name="Placement, JSON").click()
            placement = gpupack.read_placement(download.value.path())
            assert page.inner_text("#num-gpus") == str(placement.num_gpus), request
        found.append((opened.command(), placement))
    assert opened.complaints == []
    opened.close()
    return found


@pytest.mark.browser
@pytest.mark.skipif(needs_chromium[1].args[0], reason="no Chromium here")
@pytest.mark.timeout(900)  # a hundred searches, some of which take seconds
def test_fifty_random_states_are_answered_as_the_command_line_they_show(
    browser: Browser, fleet: Served, tmp_path: Path
) -> None:
    rng = random.Random(20)
    requests = [random_request(rng) for _ in range(NUM_STATES)]
    num_found = num_proved = 0
    for command, found in shown_answers(browser, fleet, requests):
        expected = placed(command, tmp_path)
        if isinstance(expected, int):
            assert found is None, command
            assert expected in (2, 3, 5)
            continue
        num_found += 1
        assert found is not None, command
        assert found.request == expected.request, command
        both = (found, expected)
        if all(one.status is gpupack.PlacementStatus.OPTIMAL for one in both):
            # Everything but how long it took: value, proof, and GPU by GPU.
            num_proved += 1
            differ = {
                name
                for name in type(found).model_fields
                if getattr(found, name) != getattr(expected, name)
            }
            assert differ <= {"seconds"}, command
            continue
        # Searches that the clock cut come to plans that the bounds of both allow.
        for one, other in (both, both[::-1]):
            sign = 1 if one.objective_unit.is_maximized else -1
            assert sign * one.objective_value <= sign * other.bound + 1e-6 * abs(
                other.bound
            ), command
    assert num_found >= 0.9 * NUM_STATES
    assert num_proved >= 0.9 * num_found
