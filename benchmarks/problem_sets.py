"""The registry of packing problem sets: where each instance comes from.

Generated sets are made from a seed; public sets are read from a folder, whose
layout is that of their publishers (archives included).
"""

from __future__ import annotations

import csv
import random
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpupack.packing import ItemType, PackingProblem, format_vbp, parse_vbp

VECTORPACK_FAMILIES = ("new", "panigrahy", "triplet")


@dataclass(frozen=True)
class BestKnown:
    """What is published about an instance; None where it is not."""

    bound: int | None
    optimum: int | None
    best_heuristic: int | None


@dataclass(frozen=True)
class Instance:
    """One problem of a set, as text so that a malformed one can be reported."""

    name: str
    text: str
    best_known: BestKnown = BestKnown(None, None, None)

    def problem(self) -> PackingProblem:
        """Return the problem, or raise for text that describes none."""
        return parse_vbp(self.text, name=self.name)


@dataclass(frozen=True)
class ProblemSet:
    """A named set of instances.

    Args:
        name: As given on the command line.
        description: One line for the tables.
        load: Takes the data folder, yields the instances.
        needs_folder: Whether ``load`` reads from the folder.
    """

    name: str
    description: str
    load: Callable[[Path], Iterator[Instance]]
    needs_folder: bool = True


def _files(pattern: str) -> Callable[[Path], Iterator[Instance]]:
    def load(folder: Path) -> Iterator[Instance]:
        for path in sorted(folder.glob(pattern), key=_natural_key):
            yield Instance(path.stem, path.read_text())

    return load


def _natural_key(path: Path) -> list[int | str]:
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part for part in parts]


@cache
def _known(path: Path) -> dict[str, BestKnown]:
    with path.open(newline="") as file:
        return {
            row["instance_name"]: BestKnown(
                int(row["LB"]),
                int(row["OPT"]) if int(row["OPT"]) >= 0 else None,
                int(row["best_overall"]),
            )
            for row in csv.DictReader(file)
        }


def _vectorpack(is_wanted: Callable[[str, str], bool]) -> Callable[..., object]:
    def load(folder: Path) -> Iterator[Instance]:
        for family in VECTORPACK_FAMILIES:
            known = _known(folder / "vectorpack" / f"{family}_known.csv")
            with tarfile.open(folder / "vectorpack" / f"{family}.tar.gz") as archive:
                members = {
                    Path(member.name).stem: member
                    for member in archive.getmembers()
                    if member.name.endswith(".vbp")
                }
                for stem in sorted(members, key=lambda name: _natural_key(Path(name))):
                    content = archive.extractfile(members[stem])
                    if content is None or not is_wanted(family, stem):
                        continue
                    yield Instance(
                        f"{family}/{stem}", content.read().decode(), known[stem]
                    )

    return load


def _in_sample(family: str, stem: str) -> bool:
    """Choose number 0 of each class, size and dimension; 0 and 1 of triplets.

    That is 108 + 162 + 48 = 318 of the 1,470 instances.
    """
    number = int(stem.rpartition("_")[2])
    return number == 0 or (family == "triplet" and number == 1)


def _many_copies(_: Path) -> Iterator[Instance]:
    for seed in range(5):
        yield Instance(
            f"types100_n10000_d3_s{seed}",
            format_vbp(gpu_like_problem(100, 10_000, seed=seed)),
        )


def _many_distinct(_: Path) -> Iterator[Instance]:
    for num_items, num_seeds in ((200, 10), (500, 10), (1000, 5), (2000, 5)):
        for seed in range(num_seeds):
            yield Instance(
                f"distinct_n{num_items}_d3_s{seed}",
                format_vbp(gpu_like_problem(num_items, num_items, seed=seed)),
            )


def gpu_like_problem(num_types: int, num_items: int, *, seed: int) -> PackingProblem:
    """Return items like models on a GPU: two utilizations and memory.

    Log-normal sizes in tenths of a percent and MiB; the copies are drawn with
    log-normal weights, at least one of each type.
    """
    rng = random.Random(seed)
    capacity = (800, 800, 14745)
    sizes = []
    for _ in range(num_types):
        gpu = min(780, max(30, round(rng.lognormvariate(4.9, 0.8))))
        memory_use = min(780, max(10, round(gpu * rng.uniform(0.6, 1.1))))
        memory = min(13000, max(300, round(rng.lognormvariate(7.6, 0.8))))
        sizes.append((gpu, memory_use, memory))
    weights = [rng.lognormvariate(0, 1) for _ in range(num_types)]
    counts = [1] * num_types
    for chosen in rng.choices(range(num_types), weights, k=num_items - num_types):
        counts[chosen] += 1
    item_types = zip(sizes, counts, strict=True)
    return PackingProblem(capacity, tuple(ItemType(s, c) for s, c in item_types))


PROBLEM_SETS = {
    one.name: one
    for one in (
        ProblemSet(
            "gpulike_types",
            "GPU-like, 10 and 30 types with copies, n = 20-2,000",
            _files("gpulike/gpu_types*.vbp"),
        ),
        ProblemSet(
            "gpulike_distinct",
            "GPU-like, all items distinct, n = 20-2,000",
            _files("gpulike/gpu_distinct*.vbp"),
        ),
        ProblemSet(
            "many_distinct",
            "GPU-like, all items distinct, 3 dimensions, n = 200, 500 (10 seeds each), "
            "1,000 and 2,000 (5 seeds each)",
            _many_distinct,
            needs_folder=False,
        ),
        ProblemSet(
            "many_copies",
            "GPU-like, 100 types x 10,000 items, 3 dimensions, 5 seeds",
            _many_copies,
            needs_folder=False,
        ),
        ProblemSet(
            "caprara_toth",
            "Caprara-Toth, 2 dimensions, n = 24-201",
            _files("caprara_toth/*.vbp"),
        ),
        ProblemSet(
            "vectorpack_sample",
            "Vectorpack, 3, 5, 10 dimensions: number 0 of each class, size and "
            "dimension, 0 and 1 of triplets",
            _vectorpack(_in_sample),
        ),
        ProblemSet(
            "vectorpack",
            "Vectorpack, all 1,470",
            _vectorpack(lambda family, stem: True),
        ),
    )
}
