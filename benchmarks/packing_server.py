"""Solve packing problems with the gpupack that is on the path, one JSON line each.

Reads lines {"text": a .vbp, "time_limit_s": …, "seed": …, "workers": …} from standard
input, writes what was reached. Run by ``at_commit`` with the sources of any commit,
so it takes from gpupack only what all of them have.
"""

from __future__ import annotations

import json
import resource
import sys


def main() -> None:
    """Answer until the input ends."""
    from gpupack.packing import kernels_are_ready, parse_vbp, solve

    kernels_are_ready(wait_s=120)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        result = solve(
            parse_vbp(asked["text"], name=""),
            time_limit_s=asked["time_limit_s"],
            seed=asked["seed"],
            num_workers=asked["workers"],
        )
        answer = {
            "num_bins": result.num_bins,
            "bound": result.bound,
            "seconds": result.seconds,
            "method": result.method,
            "rungs": [
                [rung.name, round(rung.seconds, 4), rung.num_bins, rung.bound]
                for rung in result.rungs
            ],
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            // 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
