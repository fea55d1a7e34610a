"""Record gpupack's reference models on the GPU that the defaults are from.

    python -m benchmarks.h200.reference_record OUT --sharing mps --minutes 1.5

OUT gets one ``CoLocation`` a line: the models alone and in sets, as
``gpupack calibrate --quick`` measures them. What fits them here is
``REFERENCE_FACTORS`` of ``gpupack.verifying.calibrating``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gpupack.profiling import ServerOptions
from gpupack.verifying import quick_calibrate


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sharing")
    parser.add_argument("--gpu")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server-root", type=Path)
    parser.add_argument("--server-python", type=Path)
    arguments = parser.parse_args()
    found = quick_calibrate(
        server=ServerOptions(
            python=arguments.server_python, root=arguments.server_root
        ),
        gpu=arguments.gpu,
        sharing=arguments.sharing,
        minutes=arguments.minutes,
        seed=arguments.seed,
    )
    with arguments.out.open("a", encoding="utf-8") as file:
        for measurements in found.measurements.values():
            for one in measurements:
                file.write(one.model_dump_json(exclude_none=True) + "\n")
    print(found, flush=True)


if __name__ == "__main__":
    main()
