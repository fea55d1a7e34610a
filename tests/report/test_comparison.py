"""What moved between two placements."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpupack
from gpupack.comparison import compare
from gpupack.records.gpu import Fleet, FleetEntry, GpuType
from gpupack.records.placement import PlacementRecord
from gpupack.report.page.moves import Change
from gpupack.report.page.view import ReportView
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
def test_every_instance_is_accounted_for_once_on_a_gpu_that_is_there(
    before: PlacementRecord, after: PlacementRecord
) -> None:
    comparison = compare(before, after)
    renumbered = comparison.renumbered(after)

    for placement, side in ((before, "gpu_before"), (renumbered, "gpu_after")):
        seen = sorted(
            (move.model_name, getattr(move, side))
            for move in comparison.moves
            if getattr(move, side) is not None
        )
        assert seen == sorted(
            (name, gpu.gpu_index) for gpu in placement.gpus for name in gpu.models
        )


@given(_placements, _placements)
def test_what_moves_never_moves_to_the_gpu_that_it_was_on(
    before: PlacementRecord, after: PlacementRecord
) -> None:
    for move in compare(before, after).moves:
        if move.change is Change.MOVES:
            assert move.gpu_before != move.gpu_after
        if move.change is Change.STAYS:
            assert move.gpu_before == move.gpu_after


@given(_placements, st.integers(0, 99))
def test_gpus_in_another_order_are_equal(before: PlacementRecord, seed: int) -> None:
    gpus = list(before.gpus)
    random.Random(seed).shuffle(gpus)
    shuffled = before.model_copy(
        update={
            "gpus": tuple(
                gpu.model_copy(update={"gpu_index": index})
                for index, gpu in enumerate(gpus)
            )
        }
    )

    comparison = compare(before, shuffled)

    assert comparison.is_equal
    assert [
        (gpu.gpu_index, sorted(gpu.models))
        for gpu in comparison.renumbered(shuffled).gpus
    ] == [(gpu.gpu_index, sorted(gpu.models)) for gpu in before.gpus]


def test_the_same_models_on_another_type_of_gpu_have_moved() -> None:
    before = place_names("ab")
    other = GpuType(name="other-gpu", memory_bytes=before.gpus[0].gpu_type.memory_bytes)
    after = make_placement((make_assignment("a"), make_assignment("b")), gpu_type=other)

    comparison = compare(before, after)

    assert comparison.count(Change.MOVES) == 2
    assert comparison.num_matched_gpus == 0
    assert "other-gpu" in str(comparison)


def test_the_report_numbers_the_second_placement_as_the_first() -> None:
    # "c" alone was GPU 2, and is GPU 0 in the second placement, without having moved.
    view = ReportView(
        [("old", place_names("ab", "d", "c")), ("new", place_names("c", "ab", "xd"))]
    )

    assert [
        (gpu.gpu_index, gpu.models) for gpu in view.placements[1].placement.gpus
    ] == [(0, ("a", "b")), (1, ("x", "d")), (2, ("c",))]
    ((_, _, comparison),) = view.comparisons
    assert comparison.count(Change.MOVES) == 0


def priced(placement: PlacementRecord, price: float) -> PlacementRecord:
    entry = FleetEntry(gpu_type=placement.gpus[0].gpu_type, price_per_hour=price)
    return placement.model_copy(update={"fleet": Fleet(entries=(entry,))})


def test_cost_gpus_and_changed_models_are_told() -> None:
    before = priced(place_names("ab", "c"), 0.5)
    after = priced(place_names("ab", "c", "d"), 0.5)

    text = str(compare(before, after))

    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["GPUs"] == ["GPUs", "2", "3", "+1"]
    assert "1 1.50 +0.50" in " ".join(lines["price"])
    assert lines["d"][:2] == ["d", "added"]
    assert "3 models did not change" in text
    assert not compare(before, after).is_equal


def test_a_price_alone_is_a_difference() -> None:
    before = place_names("a")

    assert compare(before, before).is_equal
    assert not compare(priced(before, 0.5), priced(before, 0.6)).is_equal


def test_other_traffic_is_a_difference_though_nothing_moves() -> None:
    def serving(rate: float) -> PlacementRecord:
        return make_placement((make_assignment("a", served_infer_per_sec=rate),))

    comparison = compare(serving(10), serving(20))

    assert [one.model_name for one in comparison.changed_models] == ["a"]
    assert "10 → 20" in str(comparison)


def test_markdown_escapes_names() -> None:
    before = place_names("a")
    after = make_placement((make_assignment("x|y"),))

    assert r"x\|y" in compare(before, after).to_markdown()


def test_what_is_compared_must_be_placements() -> None:
    with pytest.raises(gpupack.InvalidInputError, match="before is 'four.json'"):
        gpupack.compare("four.json", place_names("a"))  # type: ignore[arg-type]
