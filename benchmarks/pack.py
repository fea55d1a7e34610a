"""Solve .vbp instances with gpupack's engine; print one JSON line per instance.

python benchmarks/pack.py FILE.vbp... --time-limit 10
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# Also works as ``python benchmarks/pack.py``: the repository is then not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.environment import benchmark_environment
from gpupack.errors import GpupackError
from gpupack.packing import parse_vbp, solve


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="S")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    environment = benchmark_environment(seed=arguments.seed).model_dump(
        mode="json", exclude_none=True
    )
    for path in arguments.files:
        try:
            problem = parse_vbp(path.read_text(encoding="utf-8"), name=path.name)
            result = solve(
                problem,
                time_limit_s=arguments.time_limit,
                seed=arguments.seed,
                num_workers=arguments.workers,
            )
        except UnicodeDecodeError as err:
            parser.error(f"{path} is not UTF-8 text: {err}")
        except (OSError, GpupackError) as err:
            parser.error(str(err))
        line = {
            "name": path.stem,
            "num_items": problem.num_items,
            "num_bins": result.num_bins,
            "bound": result.bound,
            "status": result.status.value,
            "method": result.method,
            "seconds": round(result.seconds, 4),
            "time_limit_s": arguments.time_limit,
            "seed": arguments.seed,
            "rungs": [
                [rung.name, round(rung.seconds, 4), rung.num_bins, rung.bound]
                for rung in result.rungs
            ],
            "environment": environment,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
