"""The table of the documentation, from the lines of ``benchmarks/size.py``.

python -m benchmarks.size_tables benchmarks/results/size.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

TITLES = {
    "gpus": "GPUs, 50 models with a demand",
    "copies": "copies of 9 models",
    "models": "models that differ",
    "drawn_models": "models with a demand each",
    "fleet_models": "the same, 9 load points on 3 GPU types",
}
MB = 1_000_000
STEPS = ("place", "write", "read", "table", "report")


def table_of(lines: list[dict[str, object]]) -> str:
    """Return a Markdown table, a row per point."""
    rows = [
        "| what | size | | GPUs | gap | place | write | read | table | report "
        "| memory, MiB | file, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in lines:
        seconds = one["cpu_s"]
        assert isinstance(seconds, dict)
        cells = [
            TITLES[str(one["kind"])],
            f"{one['size']:,}",
            str(one["label"]),
            f"{one['num_gpus']:,}",
            f"{float(str(one['gap'])):.1e}" if one["gap"] else "proved",
            *(f"{seconds[step]:.2g}" if step in seconds else "–" for step in STEPS),
            f"{float(str(one['peak_mib'])):.0f}",
            f"{float(str(one['file_bytes'])) / MB:.2g}" if one["file_bytes"] else "–",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path)
    text = parser.parse_args().lines.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    # Comparisons are told in a sentence.
    print(table_of([one for one in lines if "compared_gpus" not in one]))


if __name__ == "__main__":
    main()
