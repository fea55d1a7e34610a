"""Turn the JSON lines of ``plan`` into the tables of docs/benchmarks_planning.md.

python -m benchmarks.plan_tables benchmarks/results/plan.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

Line = dict[str, object]
SOLVERS = ("gpupack", "cpsat", "scip")
NAME = re.compile(r"x(?P<multiple>[\d.]+)_s(?P<seed>\d+)(_f(?P<share>[\d.]+))?$")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.file.read_text().splitlines()]
    print(render(lines))


def render(lines: Sequence[Line]) -> str:
    """Return both tables as Markdown; a later line supersedes an earlier one."""
    latest = {
        (line.get("goal", "min_cost"), line["name"], line["solver"]): line
        for line in lines
    }
    kept = {key: line for key, line in latest.items() if line.get("goal")}
    return "\n".join([*_cost_table(kept), "", *_service_table(kept)])


def _cost_table(lines: dict[tuple[object, ...], Line]) -> Iterator[str]:
    yield "| demand | seed | GPUs | price | gap | seconds | CP-SAT | SCIP |"
    yield "|---|---|---|---|---|---|---|---|"
    rows = []
    for (goal, name, solver), ours in lines.items():
        if goal == "min_cost" and solver == "gpupack":
            multiple, seed, _ = _parts(str(name))
            peers = [_peer(lines.get((goal, name, one)), ours) for one in SOLVERS[1:]]
            rows.append((multiple, seed, ours, peers))
    for multiple, seed, ours, peers in sorted(rows, key=lambda row: row[:2]):
        yield (
            f"| ×{multiple:g} | {seed} | {ours['num_bins']} | {ours['value']:g} | "
            f"{_gap(ours)} | {ours['seconds']:.1f} | {peers[0]} | {peers[1]} |"
        )


def _service_table(lines: dict[tuple[object, ...], Line]) -> Iterator[str]:
    yield "| demand | seed | objective | found | not ruled out | gap | seconds |"
    yield "|---|---|---|---|---|---|---|"
    rows = [
        (*_parts(str(name)), str(goal), line)
        for (goal, name, solver), line in lines.items()
        if goal != "min_cost" and solver == "gpupack"
    ]
    for multiple, seed, _, goal, line in sorted(
        rows, key=lambda row: (row[3], row[0], row[1])
    ):
        if goal == "max_min_share":
            numbers = [f"{100 * line[key]:.1f} %" for key in ("value", "bound")]
        else:
            numbers = [f"{line[key] / 1000:,.0f} infer/s" for key in ("value", "bound")]
        yield (
            f"| ×{multiple:g} | {seed} | {goal} | {numbers[0]} | {numbers[1]} | "
            f"{_gap(line)} | {line['seconds']:.1f} |"
        )


def _parts(name: str) -> tuple[float, int, float]:
    found = NAME.search(name)
    assert found is not None, name
    share = found["share"]
    return float(found["multiple"]), int(found["seed"]), float(share or 1.0)


def _gap(line: Line) -> str:
    gap = line["gap"]
    return "proved" if gap == 0 else f"{100 * gap:.2f} %"


def _peer(line: Line | None, ours: Line) -> str:
    """Return what a peer came to: its price against ours, or why there is none."""
    if line is None:
        return "not run"
    if line["value"] is None:
        return str(line["status"]).partition(":")[0]
    dearer = line["value"] / ours["value"] - 1
    return f"{line['value']:g} ({100 * dearer:+.0f} %, gap {_gap(line)})"


if __name__ == "__main__":
    main()
