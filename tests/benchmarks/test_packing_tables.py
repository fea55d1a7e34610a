import pytest

from benchmarks.packing_tables import (
    before_table,
    check_against_known,
    known_table,
    peer_table,
)


def line(**changes):
    return {
        "set": "caprara_toth",
        "name": "x",
        "solver": "gpupack",
        "num_items": 10,
        "num_bins": 5,
        "bound": 5,
        "status": "OPTIMAL",
        "seconds": 1.0,
        "known_optimum": 5,
        "known_heuristic": 6,
    } | changes


def test_consistent_results_pass():
    check_against_known([line(), line(solver="cpsat", bound=4, num_bins=6)])


@pytest.mark.parametrize(
    "planted",
    [
        line(bound=6, num_bins=6),
        line(num_bins=4, bound=4),
        line(known_optimum=None, solver="cpsat", bound=6, num_bins=6),
    ],
)
def test_a_planted_wrong_bound_or_packing_is_refused(planted):
    with pytest.raises(ValueError, match="x by"):
        check_against_known([line(), planted])


def test_the_comparison_counts_better_matched_and_closed():
    lines = [
        line(),
        line(name="y", num_bins=6, bound=5, status="FEASIBLE"),
        line(name="z", known_optimum=None),
    ]

    row = known_table(lines).splitlines()[-1]

    assert "2 (67 %)" in row
    assert "1 of 2" in row
    assert "1 of 1" in row


def test_peers_are_compared_where_both_prove():
    lines = [line(seconds=1.0), line(solver="cpsat", seconds=4.0)]

    assert "| cpsat | 1 | 1 | +0 | 1 | 1 | 4.000 | 1.000 |" in peer_table(
        lines, ["cpsat"]
    )


def test_a_peer_that_finds_no_packing_counts_no_bins():
    lines = [
        line(),
        line(name="y"),
        line(solver="scip", num_bins=7, status="FEASIBLE"),
        line(name="y", solver="scip", num_bins=None, status="NONE"),
        line(solver="highs", num_bins=None, status="NONE"),
    ]

    table = peer_table(lines, ["scip", "highs"])

    assert "| scip | 2 | 1 | +2 | 0 | 2 | – | – |" in table
    assert "| highs | 1 | 0 | – | 0 | 1 | – | – |" in table


def test_an_earlier_commit_is_compared_on_what_both_ran():
    now = [
        line(name="CL_9_200_5", seconds=2.0, environment={"commit": "new"}),
        line(name="CL_9_200_7", seconds=8.0, environment={"commit": "new"}),
    ]
    earlier = {"solver": "gpupack before", "environment": {"commit": "old"}}
    before = [
        line(name="CL_9_200_5", num_bins=6, status="FEASIBLE", seconds=10.0, **earlier),
        line(name="CL_9_200_7", seconds=1.6, **earlier),
        line(name="CL_9_200_9", **earlier),
    ]

    rows = before_table(now, before).splitlines()

    # Geometric means: √(10 × 1.6) and √(2 × 8).
    figures = (
        "2 | 1 → 2 | 11 → 10 | 10 → 10 | 11.6 → 10.0 | 4.000 → 4.000 | 10.0 → 8.0 |"
    )
    assert rows[2] == f"| class 09 |  | {figures}"
    assert rows[3] == f"| all |  | {figures}"
    assert rows[-1].startswith("Before: `old`; now: `new`")
