"""Time a slider's move until its first answer is painted, in a real Chromium.

``python -m benchmarks.explore_page``; ``--record`` appends to
``benchmarks/results/explore_page.jsonl``. The page measures itself: from the move to
the frame in which the first answer to it stands.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.records.gpu import find_gpu_type
from tests.factories import MIB, make_baseline, make_load_point

RESULTS = Path(__file__).parent / "results" / "explore_page.jsonl"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
PRICES = {"T4": 0.35, "L4": 0.71, "A100-80GB": 3.2}
SPEEDS = {"T4": 1.0, "L4": 2.0, "A100-80GB": 5.0}
MOVES = (75, 85, 70, 90, 80, 65, 95)
"""Percent of headroom."""
LIMITS_MS = {"medical": 300, "50 models x 3 GPU types": 1500}
GPUPACK = (sys.executable, "-m", "gpupack")
PAUSE_MS = 1500
"""Between two moves: what is asked beside an answer is then under way."""


def fifty_models(folder: Path) -> tuple[str, ...]:
    """Write 50 models at six load points on three GPU types, and what is asked."""
    rng = random.Random(50)
    records = []
    demands = {}
    for number in range(50):
        name = f"model_{number:02}"
        base = rng.uniform(20, 800)
        demands[name] = round(rng.uniform(50, 3000), 1)
        for gpu, speed in SPEEDS.items():
            for batch, concurrency in ((1, 1), (1, 4), (2, 2), (4, 2), (8, 1), (8, 4)):
                load = batch * concurrency
                busy = min(98.0, 30 + 5 * batch * concurrency**0.5)
                records.append(
                    make_load_point(
                        name,
                        f"{batch}x{concurrency}",
                        rate=base * speed * load**0.3,
                        busy=busy,
                        memory_busy=0.6 * busy,
                        mib=600 + number * 97 % 3000 + 150 * batch,
                        gpu_type=find_gpu_type(gpu),
                    )
                )
    profiles = gpupack.ProfileSet(
        records=tuple(records),
        baselines=tuple(make_baseline(400, find_gpu_type(gpu)) for gpu in SPEEDS),
    )
    gpupack.write_profiles(profiles, folder / "fifty.jsonl")
    request = {
        "objective": "min_cost",
        "gpus": {gpu: {"price": price} for gpu, price in PRICES.items()},
        "headroom": 0.8,
        "models": {name: {"demand": demand} for name, demand in demands.items()},
    }
    (folder / "request.json").write_text(json.dumps(request))
    assert folder.joinpath("fifty.jsonl").stat().st_size > MIB // 4
    return str(folder / "fifty.jsonl"), "--request", str(folder / "request.json")


def first_answers_ms(page: Page) -> list[float]:
    """Return how long each move took until its first answer was painted."""
    found = []
    for percent in MOVES:
        page.evaluate(
            """percent => {
                performance.clearMeasures('gpupack-first-answer');
                const one = document.querySelector('#c-headroom');
                one.value = percent;
                one.dispatchEvent(new Event('input', {bubbles: true}));
            }""",
            percent,
        )
        page.wait_for_function(
            "() => performance.getEntriesByName('gpupack-first-answer').length"
        )
        found.append(
            page.evaluate(
                "() => performance.getEntriesByName('gpupack-first-answer')[0].duration"
            )
        )
        page.wait_for_timeout(PAUSE_MS)
    return found


def measured(words: tuple[str, ...]) -> list[float]:
    """Return the same of a page that is opened for it."""
    process = subprocess.Popen(
        [*GPUPACK, "explore", *words, "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(120_000)
            page.goto(url.group())
            page.locator("#num-gpus").wait_for()
            page.wait_for_timeout(PAUSE_MS)
            found = first_answers_ms(page)
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    return found


def main() -> None:
    """Print the median and the longest of each example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples = {
            "medical": ("medical",),
            "50 models x 3 GPU types": fifty_models(Path(folder)),
        }
        for name, words in examples.items():
            load = os.getloadavg()[0]
            times_ms = measured(words)
            found = {
                "example": name,
                "moves": len(times_ms),
                "median_ms": round(statistics.median(times_ms)),
                "longest_ms": round(max(times_ms)),
                "wanted_ms": LIMITS_MS[name],
                "load_average_before": round(load, 1),
                "niceness": os.nice(0),
            }
            print(json.dumps(found))
            if given.record:
                environment = benchmark_environment(seed=50).model_dump(
                    mode="json", exclude_none=True, exclude_defaults=True
                )
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found | {"environment": environment}) + "\n")


if __name__ == "__main__":
    main()
