"""How long a report takes to build, how large it is, and how it behaves in Chromium.

    python -m benchmarks.report              print one JSON line per report
    python -m benchmarks.report --append     and keep them in results/report.jsonl

The fleets have 1,000 GPUs and 5,000 model instances: of 250 models with twelve load
points each, and of 5,000 different models with one. The medical report is the built-in
example. Build seconds are the median of five in one process; the first, which also
loads jinja2 and the templates, is given apart. Browser seconds are from asking to the
next frame painted, the median of three.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.records.environment import Environment
from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom, Resource
from gpupack.records.placement import (
    Assignment,
    GpuPlacement,
    Objective,
    PlacementRecord,
    PlacementStatus,
    ResourceUse,
)
from gpupack.records.profile import LoadPoint, ProfileRecord
from gpupack.report.page.html import render_report

RESULTS = Path(__file__).parent / "results" / "report.jsonl"
GIB = 2**30
GPU_TYPE = GpuType(name="A100-80GB", memory_bytes=80 * GIB)
NUM_GPUS, MODELS_PER_GPU = 1000, 5
SEED = 0
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]

_NEXT_FRAME = """new Promise(done => {
    const start = performance.now();
    (ACTION);
    requestAnimationFrame(() => requestAnimationFrame(
        () => done((performance.now() - start) / 1000)));
})"""
_ACTIONS = {
    "filter_s": "(f => { f.value = 'model_0007';"
    " f.dispatchEvent(new Event('input')); })(document.getElementById('filter'))",
    "unfilter_s": "document.getElementById('clear').click()",
    "pick_s": "document.querySelectorAll('button.pick')[1].click()",
    "sort_s": "document.querySelectorAll('.gpus button.sort')[1].click()",
    "scroll_s": "scrollBy(0, 30000)",
}


def make_fleet(num_models: int, num_load_points: int) -> PlacementRecord:
    """Return 1,000 full GPUs; the models are dealt out in turn."""
    rng = random.Random(SEED)
    names = [f"model_{index:04d}_of_some_length" for index in range(num_models)]
    environment = Environment(source="made up for this benchmark")
    profiles = tuple(
        ProfileRecord.with_reason(
            "made up for this benchmark",
            model_name=name,
            load_point=LoadPoint(
                batch_size=2 ** (index % 4), concurrency=index // 4 + 1
            ),
            gpu_type=GPU_TYPE,
            environment=environment,
            throughput_infer_per_sec=rng.uniform(1, 1000),
            latency_p99_us=rng.uniform(1_000, 100_000),
            gpu_memory_used_bytes=5 * GIB,
        )
        for name in names
        for index in range(num_load_points)
    )
    gpus = tuple(
        make_gpu(
            index,
            [names[(index * MODELS_PER_GPU + k) % num_models] for k in range(5)],
            rng,
        )
        for index in range(NUM_GPUS)
    )
    return PlacementRecord(
        objective=Objective.MAX_THROUGHPUT,
        status=PlacementStatus.OPTIMAL,
        num_gpus=NUM_GPUS,
        objective_value=NUM_GPUS,
        bound=NUM_GPUS,
        gap=0,
        method="made up for this benchmark",
        seconds=1,
        seed=SEED,
        headroom=Headroom(memory=1, gpu_utilization=1, memory_utilization=1),
        fleet=Fleet(entries=(FleetEntry(gpu_type=GPU_TYPE),)),
        gpus=gpus,
        profiles=profiles,
    )


def make_gpu(index: int, names: list[str], rng: random.Random) -> GpuPlacement:
    """Return one GPU with these models."""
    assignments = tuple(
        Assignment(
            model_name=name,
            load_point=LoadPoint(batch_size=2, concurrency=1),
            throughput_infer_per_sec=round(rng.uniform(10, 1000), 1),
            predicted_infer_per_sec=9.5,
            memory_bytes=int(rng.uniform(1, 15) * GIB),
            gpu_utilization_percent=round(rng.uniform(1, 19), 1),
            memory_utilization_percent=round(rng.uniform(1, 19), 1),
        )
        for name in names
    )
    memory = GIB + sum(one.memory_bytes for one in assignments)
    busy = sum(one.gpu_utilization_percent or 0 for one in assignments)
    moved = sum(one.memory_utilization_percent or 0 for one in assignments)
    return GpuPlacement(
        gpu_index=index,
        gpu_type=GPU_TYPE,
        assignments=assignments,
        baseline_memory_bytes=GIB,
        resources=(
            ResourceUse(
                resource=Resource.MEMORY, used=memory, capacity=80 * GIB, limit=80 * GIB
            ),
            ResourceUse(
                resource=Resource.GPU_UTILIZATION, used=busy, capacity=100, limit=100
            ),
            ResourceUse(
                resource=Resource.MEMORY_UTILIZATION,
                used=moved,
                capacity=100,
                limit=100,
            ),
        ),
    )


def measure(name: str, placement: PlacementRecord, page: Page) -> dict[str, Any]:
    """Return what building and using the report of one placement takes."""
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        text = render_report([(name, placement)])
        seconds.append(time.perf_counter() - started)
    line: dict[str, Any] = {
        "name": name,
        "num_gpus": len(placement.gpus),
        "num_model_instances": sum(len(gpu.assignments) for gpu in placement.gpus),
        "num_profile_records": len(placement.profiles),
        "first_build_s": round(seconds[0], 3),
        "build_s": round(statistics.median(seconds[1:]), 3),
        "num_bytes": len(text.encode()),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            page.goto(path.as_uri())
            run = {"load_s": time.perf_counter() - started}
            for key, action in _ACTIONS.items():
                run[key] = page.evaluate(_NEXT_FRAME.replace("ACTION", action))
            runs.append(run)
    for key in runs[0]:
        line[key] = round(statistics.median(run[key] for run in runs), 3)
    return line


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--append", action="store_true", help="keep the results")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    environment = benchmark_environment(seed=SEED)
    medical = gpupack.place(gpupack.load_example("medical"), "max_throughput")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        lines = [
            measure("medical", medical, page),
            measure("1000 GPUs, 250 models", make_fleet(250, 12), page),
            measure("1000 GPUs, 5000 models", make_fleet(5000, 1), page),
        ]
        notes = (*environment.notes, f"Chromium {browser.version}")
        browser.close()
    environment = environment.model_copy(update={"notes": notes})
    for line in lines:
        line["environment"] = environment.model_dump(mode="json", exclude_none=True)
        print(json.dumps(line), flush=True)
        if arguments.append:
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
