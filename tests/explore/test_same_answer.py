"""The page's answers are those of ``gpupack place`` with the command line it shows."""

from __future__ import annotations

import base64
import json
import random
import shlex
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

import gpupack
from gpupack.cli.app import app_of
from gpupack.errors import GpupackError
from tests.chromium import needs_chromium
from tests.explore.served import Opened, Served, small_fleet

NAMES = small_fleet().model_names
NUM_STATES = 50


def random_request(rng: random.Random) -> dict[str, Any]:
    """Return a question of every kind of wish, most of which have an answer."""
    asked: dict[str, Any] = {"workers": 1, "time_limit_s": 4.0}
    models: dict[str, dict[str, Any]] = {}

    def maybe(chance: float) -> bool:
        return rng.random() < chance

    def wish(name: str, field: str, value: object) -> None:
        models.setdefault(name, {})[field] = value

    objective = rng.choice(["min_gpus"] * 5 + ["min_cost"] * 3 + ["max_throughput"])
    if objective != "min_gpus":
        asked["objective"] = objective
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


def placed(command: str, folder: Path) -> gpupack.Placement | int:
    """Return the placement of a command line, or its exit code."""
    words = shlex.split(command)
    assert words[:2] == ["gpupack", "place"]
    path = folder / "out.json"
    path.unlink(missing_ok=True)
    result = CliRunner().invoke(
        app_of(["place", "read"]), [*words[1:], "--json", str(path), "--quiet"]
    )
    if isinstance(result.exception, GpupackError):
        return result.exception.exit_code
    assert result.exit_code == 0, result.output
    return gpupack.read_placement(path)


@pytest.mark.browser
@pytest.mark.skipif(needs_chromium[1].args[0], reason="no Chromium here")
def test_fifty_random_states_are_answered_as_the_command_line_they_show(
    browser: Browser, fleet: Served, tmp_path: Path
) -> None:
    rng = random.Random(20)
    data_id = fleet.start()["source"]["data_id"]
    opened = Opened(browser, fleet.url)
    page = opened.settled()
    kinds = {"answer": 0, "equal": 0, "other": 0}

    opened.wait_until_painted()
    for _ in range(NUM_STATES):
        request = random_request(rng)
        page.evaluate("shown => { location.hash = shown; }", fragment(data_id, request))
        opened.wait_until_painted()
        expected = placed(opened.command(), tmp_path)
        if isinstance(expected, int):
            kinds["other"] += 1
            assert page.locator(".notice.bad").count() == 1, request
            assert expected in (2, 3, 5)
            continue
        kinds["answer"] += 1
        with page.expect_download() as download:
            page.get_by_role("button", name="Placement, JSON").click()
        found = gpupack.read_placement(download.value.path())
        assert page.inner_text("#num-gpus") == str(found.num_gpus), request
        assert found.request == expected.request, opened.command()
        both = (found, expected)
        # GPU by GPU, unless the clock cut a search short on a machine that does much
        # else; ties may then be broken otherwise.
        kinds["equal"] += found.gpus == expected.gpus
        if all(one.status is gpupack.PlacementStatus.OPTIMAL for one in both):
            values = [one.objective_value for one in both]
            assert values[0] == pytest.approx(values[1], rel=2e-6), opened.command()
        # Searches that the clock cut come to plans that the bounds of both allow.
        for one, other in (both, both[::-1]):
            sign = 1 if one.objective_unit.is_maximized else -1
            assert sign * one.objective_value <= sign * other.bound + 1e-6 * abs(
                other.bound
            ), opened.command()
    assert kinds["answer"] >= NUM_STATES // 2, kinds
    assert kinds["equal"] >= 0.8 * kinds["answer"], kinds
    assert opened.complaints == []
    opened.close()
