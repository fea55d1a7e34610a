"""Turn the JSON lines of ``run_packing`` into the tables of docs/benchmarks.md.

python -m benchmarks.packing_tables benchmarks/results/packing_*.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.problem_sets import PROBLEM_SETS

Line = dict[str, object]
OURS = "gpupack"
BEFORE = "gpupack before"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    lines = [
        json.loads(line)
        for path in arguments.files
        for line in path.read_text().splitlines()
    ]
    print(render(lines))


def render(lines: Sequence[Line]) -> str:
    """Return all tables as Markdown."""
    check_against_known(lines)
    # A later line supersedes an earlier one of the same instance and solver.
    latest = {(line["set"], line["name"], line["solver"]): line for line in lines}
    lines = list(latest.values())
    sections = []
    for name in PROBLEM_SETS:
        of_set = [line for line in lines if line["set"] == name]
        if of_set:
            sections.append(_section(name, of_set))
    ours = [line for line in lines if line["solver"] == OURS]
    sections.append("### Where the time goes\n\n" + rung_table(ours))
    return "\n\n".join(sections)


def check_against_known(lines: Iterable[Line]) -> None:
    """Refuse results that contradict a published optimum or one another.

    Raises:
        ValueError: If a bound exceeds a known optimum or any packing found, or a
            packing has fewer bins than a known optimum.
    """
    best: dict[object, int] = {}
    for line in (one for one in lines if isinstance(one.get("num_bins"), int)):
        known = line.get("known_optimum")
        bins, bound = int(str(line["num_bins"])), int(str(line["bound"]))
        if isinstance(known, int) and not bound <= known <= bins:
            raise ValueError(
                f"{line['name']} by {line['solver']}: bound {bound}, {bins} bins, but "
                f"the published optimum is {known}"
            )
        key = (line["set"], line["name"])
        best[key] = min(bins, best.get(key, bins))
    for line in lines:
        key = (line["set"], line["name"])
        if key in best and int(str(line.get("bound", 0))) > best[key]:
            raise ValueError(
                f"{line['name']} by {line['solver']}: bound {line['bound']} exceeds a "
                f"packing of {best[key]} bins"
            )


def _section(name: str, lines: Sequence[Line]) -> str:
    parts = [f"### {name}", f"{PROBLEM_SETS[name].description}."]
    limits = sorted({f"{line['time_limit_s']:g} s" for line in lines})
    workers = sorted({str(line["workers"]) for line in lines})
    parts.append(f"Limit {', '.join(limits)}; workers {', '.join(workers)}.")
    ours = [line for line in lines if line["solver"] == OURS]
    parts.append(size_table(ours))
    if any(line["known_heuristic"] is not None for line in ours):
        parts.append(known_table(ours))
    before = [line for line in lines if line["solver"] == BEFORE]
    if before:
        parts.append(before_table(ours, before))
    peers = sorted({str(line["solver"]) for line in lines} - {OURS, BEFORE})
    if peers:
        parts.append(peer_table(lines, peers))
    return "\n\n".join(parts)


def size_table(lines: Sequence[Line]) -> str:
    """Return our results grouped by family and size."""
    groups: dict[tuple[str, int], list[Line]] = defaultdict(list)
    for line in lines:
        if line["status"] != "REFUSED":
            groups[_group(str(line["name"]))].append(line)
    rows = []
    everything = [line for group in groups.values() for line in group]
    for (family, size), group in [*sorted(groups.items()), (("all", 0), everything)]:
        seconds = sorted(float(str(line["seconds"])) for line in group)
        gaps = [
            (int(str(line["num_bins"])) - int(str(line["bound"])))
            / int(str(line["num_bins"]))
            for line in group
        ]
        memory = max(int(str(line["peak_memory_mib"])) for line in group)
        rows.append(
            [
                family,
                str(size or ""),
                str(len(group)),
                str(sum(line["status"] == "OPTIMAL" for line in group)),
                f"{statistics.median(seconds):.3f}",
                f"{seconds[-1]:.2f}",
                f"{100 * max(gaps):.2f} %",
                str(memory),
            ]
        )
    header = ["family", "n", "instances", "proved", "median s", "slowest s"]
    refused = sum(line["status"] == "REFUSED" for line in lines)
    table = _table([*header, "largest gap", "peak MiB"], rows)
    if refused:
        table += f"\n\n{refused} more instances hold negative sizes and are refused."
    return table


def known_table(lines: Sequence[Line]) -> str:
    """Return how we compare with the published bounds and heuristics."""
    rows = []
    valid = [line for line in lines if line["status"] != "REFUSED"]
    families = sorted({str(line["name"]).partition("/")[0] for line in valid})
    for family in [*families, "all"]:
        group = [
            line
            for line in valid
            if family in {"all", str(line["name"]).partition("/")[0]}
        ]
        better = sum(_bins(line) < _known(line, "heuristic") for line in group)
        worse = sum(_bins(line) > _known(line, "heuristic") for line in group)
        small = [
            line
            for line in group
            if line["known_optimum"] is not None and int(str(line["num_items"])) <= 120
        ]
        matched = sum(_bins(line) == _known(line, "optimum") for line in small)
        still_open = [line for line in group if line["known_optimum"] is None]
        closed = sum(line["status"] == "OPTIMAL" for line in still_open)
        rows.append(
            [
                family,
                str(len(group)),
                f"{better} ({100 * better / len(group):.0f} %)",
                str(worse),
                f"{matched} of {len(small)}",
                f"{closed} of {len(still_open)}",
            ]
        )
    header = ["family", "instances", "better than best heuristic", "worse"]
    return _table([*header, "known OPT matched, n ≤ 120", "open ones closed"], rows)


def before_table(ours: Sequence[Line], before: Sequence[Line]) -> str:
    """Return us against an earlier commit, on the instances that both ran.

    Every figure is ``before → now``.
    """
    now_of = {line["name"]: line for line in ours if line["status"] != "REFUSED"}
    groups: dict[tuple[str, int], list[tuple[Line, Line]]] = defaultdict(list)
    for line in before:
        if line["name"] in now_of:
            pair = line, now_of[line["name"]]
            groups[_group(str(line["name"]))].append(pair)
    everything = [pair for group in groups.values() for pair in group]
    rows = []
    for (family, size), group in [*sorted(groups.items()), (("all", 0), everything)]:
        totals = [_totals(side) for side in zip(*group, strict=True)]
        changes = [" → ".join(pair) for pair in zip(*totals, strict=True)]
        rows.append([family, str(size or ""), str(len(group)), *changes])
    commits = [
        ", ".join(sorted({str(line["environment"]["commit"]) for line in side}))
        for side in zip(*everything, strict=True)
    ]
    header = ["family", "n", "instances", "proved", "bins in all", "bounds in all"]
    return (
        _table([*header, "seconds in all", "geometric mean s", "slowest s"], rows)
        + f"\n\nBefore: `{commits[0]}`; now: `{commits[1]}`; in turns on each instance."
    )


def _totals(lines: Sequence[Line]) -> list[str]:
    seconds = [float(str(line["seconds"])) for line in lines]
    return [
        str(sum(line["status"] == "OPTIMAL" for line in lines)),
        str(sum(_bins(line) for line in lines)),
        str(sum(int(str(line["bound"])) for line in lines)),
        f"{sum(seconds):.1f}",
        _geometric_mean(seconds),
        f"{max(seconds):.1f}",
    ]


def peer_table(lines: Sequence[Line], peers: Sequence[str]) -> str:
    """Return each peer against us, on the instances that both ran."""
    ours = {str(line["name"]): line for line in lines if line["solver"] == OURS}
    rows = []
    for peer in peers:
        theirs = [
            line
            for line in lines
            if line["solver"] == peer
            and line["name"] in ours
            and line["status"] != "REFUSED"
        ]
        both = [
            (float(str(ours[line["name"]]["seconds"])), float(str(line["seconds"])))
            for line in theirs
            if line["status"] == ours[line["name"]]["status"] == "OPTIMAL"
        ]
        proved = sum(ours[line["name"]]["status"] == "OPTIMAL" for line in theirs)
        found = [line for line in theirs if line["status"] != "NONE"]
        beyond = [_bins(line) - _bins(ours[line["name"]]) for line in found]
        rows.append(
            [
                peer,
                str(len(theirs)),
                str(len(found)),
                f"{sum(beyond):+d}" if found else "–",
                str(sum(line["status"] == "OPTIMAL" for line in theirs)),
                str(proved),
                _geometric_mean([seconds for _, seconds in both]),
                _geometric_mean([seconds for seconds, _ in both]),
            ]
        )
    header = ["peer", "instances", "packings", "bins", "peer proved", "gpupack proved"]
    return _table([*header, "peer mean s", "gpupack mean s"], rows) + (
        "\n\nBins: those beyond gpupack's, in all packings that the peer found. "
        "Means are geometric, over the instances that both prove."
    )


def rung_table(lines: Sequence[Line]) -> str:
    """Return, per rung, its share of the time and how many instances it closed."""
    seconds: dict[str, float] = defaultdict(float)
    closed: dict[str, int] = defaultdict(int)
    ran: dict[str, int] = defaultdict(int)
    for line in lines:
        rungs = line.get("rungs")
        if not isinstance(rungs, list):
            continue
        for name, taken, *_ in rungs:
            seconds[name] += taken
            ran[name] += 1
        if line["status"] == "OPTIMAL":
            closed[str(line["method"])] += 1
    total = sum(seconds.values()) or 1.0
    rows = [
        [
            name,
            str(ran[name]),
            str(closed[name]),
            f"{seconds[name]:.1f}",
            f"{100 * seconds[name] / total:.1f} %",
        ]
        for name in sorted(seconds, key=lambda one: -seconds[one])
    ]
    header = ["rung", "ran on", "closed", "seconds in all", "share"]
    return _table(header, rows)


def _group(name: str) -> tuple[str, int]:
    """Return family and size of an instance by its name."""
    family, _, stem = name.rpartition("/")
    fields = stem.split("_")
    sizes = [one[1:] for one in fields if one[:1] == "n" and one[1:].isdigit()]
    if family:
        return family, int(fields[1])
    if fields[0] == "CL":
        return "class " + fields[1].zfill(2), 0
    return " ".join(fields[:2]) if sizes else name, int(sizes[0]) if sizes else 0


def _bins(line: Line) -> int:
    return int(str(line["num_bins"]))


def _known(line: Line, what: str) -> int:
    return int(str(line[f"known_{what}"]))


def _geometric_mean(seconds: Sequence[float]) -> str:
    if not seconds:
        return "–"
    logs = [math.log(max(one, 1e-4)) for one in seconds]
    return f"{math.exp(statistics.mean(logs)):.3f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
