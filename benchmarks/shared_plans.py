"""Plans whose models must keep a share of their throughput beside their neighbors.

    python -m benchmarks.shared_plans >> benchmarks/results/shared_plans.jsonl

The examples that come with gpupack, each model with a multiple of what its best load
point serves alone, and ``min_retention``: which sets of models may share a GPU is then
asked of the prediction, one set at a time. One JSON line per plan.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from typing import Any

import gpupack
from benchmarks.environment import benchmark_environment

EXAMPLES = (("h200", "mps"), ("h200", "time_slicing"), ("medical", "time_slicing"))


def plan(
    example: str, sharing: str, kept: float, multiple: float, time_limit_s: float
) -> dict[str, Any]:
    """Make one plan; return what is recorded of it."""
    profiles = gpupack.load_example(example)
    best: dict[str, float] = {}
    for one in profiles.records:
        rate = one.throughput_infer_per_sec or 0.0
        best[one.model_name] = max(best.get(one.model_name, 0.0), rate)
    started, cpu_started = time.perf_counter(), time.process_time()
    placement = gpupack.place(
        profiles,
        demand={name: multiple * rate for name, rate in best.items()},
        min_retention=kept,
        sharing=sharing,
        time_limit_s=time_limit_s,
    )
    return {
        "example": example,
        "sharing": sharing,
        "min_retention": kept,
        "demand_multiple": multiple,
        "time_limit_s": time_limit_s,
        "num_gpus": placement.num_gpus,
        "bound": placement.bound,
        "gap": 1 - placement.bound / placement.num_gpus if placement.bound else None,
        "status": placement.status.value,
        "proved_by": placement.proved_by,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu_started, 2),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kept", type=float, nargs="+", default=[0.6, 0.8, 0.9])
    parser.add_argument("--multiples", type=float, nargs="+", default=[1, 2.5, 10])
    parser.add_argument("--time-limit", type=float, default=20.0)
    arguments = parser.parse_args()
    environment = json.loads(
        benchmark_environment(seed=0).model_dump_json(exclude_defaults=True)
    )
    for (example, sharing), kept, multiple in product(
        EXAMPLES, arguments.kept, arguments.multiples
    ):
        row = plan(example, sharing, kept, multiple, arguments.time_limit)
        print(json.dumps(row | {"environment": environment}), flush=True)


if __name__ == "__main__":
    main()
