import pytest

from benchmarks.packing_tables import check_against_known, known_table, peer_table


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

    assert "| cpsat | 1 | 1 | 1 | 4.000 | 1.000 |" in peer_table(lines, ["cpsat"])
