"""Solve a mixed-integer program by the HiGHS inside OR-Tools; print a JSON line.

python benchmarks/solve_mps.py FILE.mps SECONDS
"""

from __future__ import annotations

import json
import math
import sys
import time


def main() -> None:
    """Run from the command line."""
    from ortools.linear_solver.python import model_builder

    path, limit = sys.argv[1], float(sys.argv[2])
    started = time.perf_counter()
    model = model_builder.Model()
    if not model.import_from_mps_file(path):
        sys.exit(f"{path} is no model")
    solver = model_builder.Solver("highs")
    solver.enable_output(False)
    solver.set_time_limit_in_seconds(max(0.01, limit - (time.perf_counter() - started)))
    status = solver.solve(model)
    is_found = status in {
        model_builder.SolveStatus.OPTIMAL,
        model_builder.SolveStatus.FEASIBLE,
    }
    bound = solver.best_objective_bound if is_found else 0.0
    print(
        json.dumps(
            {
                "value": round(solver.objective_value) if is_found else None,
                # A minimum of whole bins: round the bound up, but not for noise.
                "bound": max(0, math.ceil(bound - 1e-6)),
                "status": status.name,
                "seconds": time.perf_counter() - started,
            }
        )
    )


if __name__ == "__main__":
    main()
