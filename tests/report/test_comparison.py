"""What moved between two placements."""

from hypothesis import given
from hypothesis import strategies as st

from gpupack.records.placement import PlacementRecord
from gpupack.report.page.comparison import Change, compare
from tests.report.placements import make_assignment, make_placement


def place_names(*gpus: str) -> PlacementRecord:
    """One letter is one model: ``place_names("ab", "c")``."""
    return make_placement(
        *(tuple(make_assignment(name) for name in gpu) for gpu in gpus)
    )


def test_renumbered_gpus_are_no_move() -> None:
    comparison = compare(place_names("ab", "c"), place_names("c", "ba"))

    assert comparison.count(Change.STAYS) == 3
    assert comparison.count(Change.MOVES) == 0


def test_the_model_that_left_its_neighbours_has_moved() -> None:
    comparison = compare(place_names("abc", "d"), place_names("ab", "cd"))

    moved = [move for move in comparison.moves if move.change is Change.MOVES]
    assert [(one.model_name, one.gpu_before, one.gpu_after) for one in moved] == [
        ("c", 0, 1)
    ]


def test_replicas_are_counted_one_by_one() -> None:
    comparison = compare(place_names("aa", "b"), place_names("aaa"))

    assert comparison.count(Change.STAYS) == 2
    assert comparison.count(Change.ADDED) == 1
    assert comparison.count(Change.REMOVED) == 1
    assert comparison.only_before == ("b",)


def test_placements_without_a_common_model_share_none() -> None:
    comparison = compare(place_names("ab"), place_names("xy"))

    assert not comparison.shares_models
    assert comparison.only_before == ("a", "b")
    assert comparison.only_after == ("x", "y")


def test_a_changed_load_point_is_told_although_the_model_stays() -> None:
    before = make_placement((make_assignment("a", load_point="1x1"),))
    after = make_placement((make_assignment("a", load_point="8x2"),))

    (move,) = compare(before, after).moves

    assert move.change is Change.STAYS
    assert move.changes_load_point


_placements = st.lists(st.text("abcd", max_size=4), max_size=4).map(
    lambda gpus: place_names(*gpus)
)


@given(_placements, _placements)
def test_every_instance_is_accounted_for_once(
    before: PlacementRecord, after: PlacementRecord
) -> None:
    moves = compare(before, after).moves

    for placement, side in ((before, "gpu_before"), (after, "gpu_after")):
        seen = sorted(
            (move.model_name, getattr(move, side))
            for move in moves
            if getattr(move, side) is not None
        )
        assert seen == sorted(
            (name, gpu.gpu_index) for gpu in placement.gpus for name in gpu.models
        )


@given(_placements)
def test_nothing_moves_between_a_placement_and_itself(
    placement: PlacementRecord,
) -> None:
    assert {move.change for move in compare(placement, placement).moves} <= {
        Change.STAYS
    }
