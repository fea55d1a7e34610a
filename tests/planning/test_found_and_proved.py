"""What found a placement is not what proved it: each is told by its name."""

import json
from typing import Any

import pytest

import gpupack
from gpupack.profile_set import ProfileSet
from gpupack.report.summary import facts_of
from gpupack.report.text import headline
from gpupack.store import read_placement, write_placement
from gpupack.trade_off import Frontier
from tests.factories import MIB, make_profiles, make_record

SEARCHES = (
    "heuristics",
    "first fit",
    "local search",
    "bin completion",
    "diving",
    "set packing",
    "hint",
)
"""They find placements; none of them knows that there is no better one."""


def sized(*mib: int) -> ProfileSet:
    """Return models of these sizes, for GPUs of 1000 MiB."""
    return make_profiles(
        *(
            make_record(f"m{index:02}", gpu_memory_used_bytes=one * MIB)
            for index, one in enumerate(mib)
        )
    )


@pytest.mark.parametrize(
    ("profiles", "proof"),
    [
        # 1,800 MiB take two GPUs.
        (sized(600, 600, 300, 300), "volume bound"),
        # 1,530 MiB would fit on two, but none shares a GPU with another.
        (sized(510, 510, 510), "dual-feasible functions"),
    ],
)
def test_a_bound_proves_what_heuristics_found(profiles: ProfileSet, proof: str) -> None:
    placement = gpupack.place(profiles)

    assert placement.status == "OPTIMAL"
    assert (placement.found_by, placement.proved_by) == ("heuristics", proof)
    assert f"found by heuristics, proved by {proof}" in headline(placement)
    assert f"found by heuristics, proved by {proof}" in str(placement)
    (fact,) = (one for one in facts_of(placement) if one.title == "Proof")
    assert f"found by heuristics, proved by {proof}" in fact.detail
    assert "heuristics" not in placement.explain().proof


WISHES: list[dict[str, Any]] = [
    {},
    {"replicas": 2},
    {"optional": ["m01"]},
    {"demand": {"m00": 150.0}},
    {"demand": {"m00": 150.0}, "time_limit_s": 0},
    {"objective": "max_throughput", "gpus": 3},
    {"objective": "max_throughput", "gpus": 3, "optional": ["m00", "m01"]},
    {"objective": "max_throughput", "gpus": 3, "contention": "predicted"},
    {"min_retention": 0.95},
    {"min_retention": 0.95, "replicas": 2},
    {"min_retention": 0.95, "time_limit_s": 0},
]


@pytest.mark.parametrize("wishes", WISHES)
def test_no_search_is_named_as_a_proof(wishes: dict[str, Any]) -> None:
    placement = gpupack.place(sized(400, 350, 300, 500, 250, 200), **wishes)

    assert placement.found_by
    assert placement.proved_by
    assert not any(one in placement.proved_by for one in SEARCHES)


def test_no_step_of_a_frontier_is_proved_by_a_search() -> None:
    found: Frontier = gpupack.frontier(sized(400, 350, 300, 500, 250, 200), replicas=2)

    assert found.placements
    for placement in found.placements:
        assert placement.proved_by is not None
        assert not any(one in placement.proved_by for one in SEARCHES)


def test_files_of_before_are_read_and_told_by_their_method(tmp_path: Any) -> None:
    path = tmp_path / "placement.json"
    placement = gpupack.place(sized(600, 600))
    write_placement(placement, path)
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert fields["found_by"] == "heuristics"
    del fields["found_by"], fields["proved_by"]
    path.write_text(json.dumps(fields), encoding="utf-8")

    read = read_placement(path)

    assert (read.found_by, read.proved_by) == (None, None)
    assert f"proved by {placement.method}" in headline(read)


def test_few_fillings_that_keep_enough_prove_a_plan_however_many_were_tried() -> None:
    profiles = gpupack.load_example("h200")
    best: dict[str, float] = {}
    for one in profiles.records:
        rate = one.throughput_infer_per_sec or 0.0
        best[one.model_name] = max(best.get(one.model_name, 0.0), rate)

    placement = gpupack.place(
        profiles,
        demand={name: 2.5 * rate for name, rate in best.items()},
        min_retention=0.8,
        sharing="mps",
        time_limit_s=120,
    )

    assert placement.num_gpus == placement.bound == 37
    assert placement.proved_by == "program over all fillings"
