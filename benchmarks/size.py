r"""Time and memory of whole placements against their size, in lines and one chart.

python -m benchmarks.size --gpus 1000 100000 --copies 1000000 --models 100000 \
    >> benchmarks/results/size.jsonl
python -m benchmarks.size --draw benchmarks/results/size.jsonl \
    docs/explanation/size.svg

Each point runs in a process of its own, from records to what a person holds:
``place()`` with its check, the file written, read again and compared, the table and the
report. One JSON line each: CPU seconds of each step, the highest resident memory, the
gap.

``--gpus N``: 50 models × 6 load points on 3 GPU types whose demand takes about N GPUs.
``--copies N``: 9 measured models with N copies in all, without a demand.
``--models N``: N models of one copy each. ``--drawn-models N``: with a demand each.
``--fleet-models N``: N models with a demand each, 3 load points on each of 3 GPU types.
``--compare``: ``--gpus`` only; the placement is compared with one of 7 % more demand,
in place of what else is done with it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gpupack
from benchmarks.environment import benchmark_environment
from gpupack.profile_set import ProfileSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpupack.placement import Placement
    from gpupack.records.profile import ProfileRecord

GPUS_PER_MULTIPLE = 18.5
"""What the generated models take, at a demand of up to once what a replica serves."""
TYPES = (
    ("A10", 23_028, 1.0, 0.7),
    ("A100-80GB", 81_920, 3.2, 3.4),
    ("L40S", 46_068, 1.9, 1.5),
)
KINDS = ("gpus", "copies", "models", "drawn_models", "fleet_models")
BATCHES = (1, 4, 16)
"""Of models of which there are very many."""
MIB = 1 << 20
STEPS = ("place", "write", "read", "table", "report")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in KINDS:
        parser.add_argument(
            f"--{kind.replace('_', '-')}", nargs="*", type=int, default=[]
        )
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only-place", action="store_true", help="leave out file, table and report"
    )
    parser.add_argument(
        "--compare", action="store_true", help="compare with one of 7 %% more demand"
    )
    parser.add_argument("--label", default="", help="told in each line: before, after")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--draw", nargs=2, type=Path, metavar=("LINES", "CHART"))
    arguments = parser.parse_args()
    if arguments.draw:
        draw(*arguments.draw)
        return
    for kind in KINDS:
        for size in getattr(arguments, kind):
            if arguments.one == kind:
                print(json.dumps(measure(kind, size, arguments)), flush=True)
                return
            subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.size", "--one", kind),
                    *(f"--{kind.replace('_', '-')}", str(size)),
                    *("--time-limit", str(arguments.time_limit)),
                    *("--seed", str(arguments.seed), "--label", arguments.label),
                    *(["--only-place"] if arguments.only_place else []),
                    *(["--compare"] if arguments.compare else []),
                ],
                check=True,
            )


def measure(kind: str, size: int, arguments: argparse.Namespace) -> dict[str, object]:
    """Return one line: what a placement of that size takes, step by step."""
    profiles, asked = _question(kind, size, arguments.seed)
    seconds: dict[str, float] = {}
    walls: dict[str, float] = {}

    def timed(step: str, started: tuple[float, float]) -> tuple[float, float]:
        now = time.process_time(), time.perf_counter()
        seconds[step], walls[step] = (
            round(b - a, 3) for a, b in zip(started, now, strict=True)
        )
        return time.process_time(), time.perf_counter()

    started = time.process_time(), time.perf_counter()
    placement = gpupack.place(
        profiles, time_limit_s=arguments.time_limit, seed=arguments.seed, **asked
    )
    timed("place", started)
    compared: dict[str, object] = {}
    if arguments.compare:
        demand = {name: rate * 1.07 for name, rate in asked["demand"].items()}
        later = gpupack.place(
            profiles,
            time_limit_s=arguments.time_limit,
            seed=arguments.seed,
            **{**asked, "demand": demand},
        )
        compared = _compared(placement, later, timed)
    is_kept = not (arguments.only_place or arguments.compare)
    num_bytes = _kept(placement, timed) if is_kept else 0
    return {
        "kind": kind,
        "size": size,
        "label": arguments.label,
        "num_gpus": placement.num_gpus,
        "num_copies": _num_copies(placement),
        "num_groups": len(placement.groups),
        "gap": placement.gap,
        "status": placement.status.value,
        "time_limit_s": arguments.time_limit,
        "cpu_s": seconds,
        "wall_s": walls,
        "file_bytes": num_bytes,
        **compared,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "environment": benchmark_environment(seed=arguments.seed).model_dump(
            mode="json", exclude_none=True
        ),
    }


def _kept(
    placement: Placement,
    timed: Callable[[str, tuple[float, float]], tuple[float, float]],
) -> int:
    """Write, read and show a placement, timing each; return the bytes of its file."""
    started = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "placement.json"
        gpupack.write_placement(placement, path)
        started = timed("write", started)
        again = gpupack.read_placement(path)
        started = timed("read", started)
        num_bytes = path.stat().st_size
    if again != placement:
        raise SystemExit("what was read is not what was written")
    started = time.process_time(), time.perf_counter()
    str(placement)
    started = timed("table", started)
    placement.to_html()
    timed("report", started)
    return num_bytes


def _compared(
    placement: Placement,
    later: Placement,
    timed: Callable[[str, tuple[float, float]], tuple[float, float]],
) -> dict[str, object]:
    """Compare two placements, timing it; return how long that is, in two ways."""
    started = time.process_time(), time.perf_counter()
    comparison = gpupack.compare(placement, later)
    written = comparison.to_json()
    str(comparison)
    timed("compare", started)
    return {
        "compared_gpus": [comparison.num_gpus_before, comparison.num_gpus_after],
        "num_moves": len(comparison.moves),
        "comparison_bytes": len(written.encode()),
    }


def _num_copies(placement: Placement) -> int:
    return sum(len(group) * len(group[0].assignments) for group in placement.groups)


def _question(kind: str, size: int, seed: int) -> tuple[ProfileSet, dict[str, object]]:
    """Return records, and what is asked of them."""
    rng = random.Random(seed)
    medical = gpupack.load_example("medical")
    if kind == "copies":
        each = -(-size // len(medical.model_names))
        return medical, {"objective": "min_gpus", "replicas": each}
    if kind in {"models", "drawn_models"}:
        records = [
            medical.records[index % len(medical.records)].model_copy(
                update={
                    "model_name": f"m{index:06}",
                    "gpu_memory_used_bytes": round(rng.uniform(800, 14_500)) * MIB,
                }
            )
            for index in range(size)
        ]
        asked: dict[str, object] = {"objective": "min_gpus"}
        if kind == "drawn_models":
            asked["demand"] = {one.model_name: rng.uniform(1, 200) for one in records}
        return ProfileSet(records=tuple(records), baselines=medical.baselines), asked
    one = medical.records[0]
    is_fleet = kind == "fleet_models"
    records = [
        record
        for model in range(size if is_fleet else 50)
        for record in _measured(f"model-{model:02}", one, rng)
        if not is_fleet or record.load_point.batch_size in BATCHES
    ]
    best: dict[str, float] = {}
    for record in records:
        if record.gpu_type.name == TYPES[0][0]:
            rate = record.throughput_infer_per_sec or 0.0
            best[record.model_name] = max(best.get(record.model_name, 0.0), rate)
    multiple = 1.0 if is_fleet else size / GPUS_PER_MULTIPLE
    (baseline,) = medical.baselines
    types = {record.gpu_type.name: record.gpu_type for record in records}
    baselines = tuple(
        baseline.model_copy(update={"gpu_type": one}) for one in types.values()
    )
    return ProfileSet(records=tuple(records), baselines=baselines), {
        "objective": "min_cost",
        "gpus": {name: None for name, *_ in TYPES},
        "prices": {name: price for name, _, _, price in TYPES},
        "demand": {
            name: rng.random() * multiple * rate for name, rate in sorted(best.items())
        },
    }


def _measured(
    name: str, like: ProfileRecord, rng: random.Random
) -> list[ProfileRecord]:
    """Return made records of a model: six batch sizes on each GPU type."""
    memory_mib, base_rate = rng.lognormvariate(7.5, 0.8), rng.lognormvariate(4.5, 1.0)
    records = []
    for type_name, mib, speed, _ in TYPES:
        for batch in (1, 2, 4, 8, 16, 32):
            busy = min(100.0, (15 + 70 * batch / (batch + 4)) * rng.uniform(0.8, 1.2))
            rate = base_rate * speed * batch / (batch + 3) * rng.uniform(0.9, 1.1)
            records.append(
                like.model_copy(
                    update={
                        "model_name": name,
                        "gpu_type": like.gpu_type.model_copy(
                            update={"name": type_name, "memory_bytes": mib * MIB}
                        ),
                        "load_point": like.load_point.model_copy(
                            update={"batch_size": batch, "concurrency": 4}
                        ),
                        "throughput_infer_per_sec": rate,
                        "gpu_memory_used_bytes": min(
                            20_000, round(memory_mib * (1 + 0.12 * batch))
                        )
                        * MIB,
                        "gpu_utilization_percent": busy,
                        "memory_utilization_percent": busy * rng.uniform(0.2, 0.8),
                    }
                )
            )
    return records


def slope(points: list[tuple[float, float]]) -> float:
    """Return by which power of x y grows, by least squares on logarithms."""
    logs = [(math.log(x), math.log(max(y, 1e-3))) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    if not spread:
        return math.nan
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def draw(lines: Path, chart: Path) -> None:
    """Write the chart: CPU seconds and memory against size, slopes in the legend."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "gpupack"
    import matplotlib.pyplot as plt

    found = [
        json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()
    ]
    found = [one for one in found if set(one["cpu_s"]) == set(STEPS)]
    titles = {
        "gpus": "GPUs (50 models with a demand)",
        "copies": "copies (9 models)",
        "models": "models",
        "drawn_models": "models with a demand",
        "fleet_models": "models with a demand, 9 load points",
    }
    figure, (times, memory) = plt.subplots(
        1, 2, figsize=(11, 4.2), layout="constrained"
    )
    for color, kind in enumerate(KINDS):
        for label, style in (("before", "--"), ("after", "-"), ("", "-")):
            here = sorted(
                (one for one in found if one["kind"] == kind and one["label"] == label),
                key=lambda one: one["size"],
            )
            if not here:
                continue
            sizes = [one["num_gpus"] if kind == "gpus" else one["size"] for one in here]
            for axes, values in (
                (times, [sum(one["cpu_s"].values()) for one in here]),
                (memory, [one["peak_mib"] for one in here]),
            ):
                power = slope(list(zip(sizes, values, strict=True)))
                name = f"{titles[kind]}{', ' + label if label else ''}"
                if not math.isnan(power):
                    name += f": slope {power:.2f}"
                axes.plot(
                    sizes,
                    values,
                    style,
                    marker="o",
                    markersize=3,
                    color=f"C{color}",
                    label=name,
                )
    for axes, title in (
        (times, "CPU time: place, write, read, table, report (s)"),
        (memory, "highest resident memory (MiB)"),
    ):
        axes.set(xscale="log", yscale="log", xlabel="size (see legend)", ylabel=title)
        axes.legend(fontsize=7)
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(chart, metadata={"Date": None})


if __name__ == "__main__":
    main()
