"""What moved between two placements."""

import random
import sys
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpupack
from gpupack.comparison import compare
from gpupack.records.gpu import Fleet, FleetEntry, GpuType
from gpupack.records.placement import EqualGpus, PlacedGpus, PlacementRecord
from gpupack.report.page.comparing import matching
from gpupack.report.page.comparing.matching import match_gpus
from gpupack.report.page.comparing.moves import Change
from gpupack.report.page.html import render_report
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


def place_counted(*gpus: tuple[str, int]) -> PlacementRecord:
    """GPUs by what is on each, and how many of them there are."""
    placement = place_names(*(names for names, _ in gpus))
    runs = []
    first = 0
    for gpu, (_, number) in zip(placement.gpus, gpus, strict=True):
        runs.append(EqualGpus.of(gpu, gpu_index=first, num_gpus=number))
        first += number
    return placement.model_copy(update={"gpus": PlacedGpus(runs), "num_gpus": first})


_placements = st.lists(
    st.tuples(st.text("abcd", max_size=4), st.integers(1, 3)), max_size=4
).map(lambda gpus: place_counted(*gpus))


@given(_placements, _placements)
def test_every_instance_is_accounted_for_once_on_a_gpu_that_is_there(
    before: PlacementRecord, after: PlacementRecord
) -> None:
    comparison = compare(before, after)
    renumbered = comparison.renumbered(after)

    for placement, side in ((before, "gpus_before"), (renumbered, "gpus_after")):
        seen = sorted(
            (move.model_name, index)
            for move in comparison.moves
            for index in getattr(move, side)
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


def apart(placement: PlacementRecord) -> PlacementRecord:
    """The same, each GPU with traffic of its own, so that none is counted."""
    return placement.model_copy(
        update={
            "gpus": tuple(
                gpu.model_copy(
                    update={
                        "assignments": tuple(
                            one.model_copy(
                                update={"predicted_infer_per_sec": 1.0 + gpu.gpu_index}
                            )
                            for one in gpu.assignments
                        )
                    }
                )
                for gpu in placement.gpus
            )
        }
    )


@given(_placements, _placements)
def test_equal_gpus_are_matched_as_if_each_stood_by_itself(
    before: PlacementRecord, after: PlacementRecord
) -> None:
    counted = compare(before, after)
    by_itself = compare(apart(before), apart(after))

    assert counted.number_by_gpu_after == by_itself.number_by_gpu_after
    assert counted.num_matched_gpus == by_itself.num_matched_gpus
    for change in Change:
        assert counted.count(change) == by_itself.count(change)


@given(_placements, _placements, st.integers(0, 20))
def test_gpus_that_share_only_common_models_are_matched_too(
    before: PlacementRecord, after: PlacementRecord, most_pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_MOST_PAIRS", most_pairs)
        found = match_gpus(before.gpus.runs, after.gpus.runs)

    old = [index for one, _ in found.pairs for index in one.gpus]
    new = [index for _, one in found.pairs for index in one.gpus]
    assert len(old) == len(new)
    for seen, rest, placement in (
        (old, found.only_before, before),
        (new, found.only_after, after),
    ):
        seen += [index for one in rest for index in one.gpus]
        assert sorted(seen) == list(range(placement.num_gpus))
    left = ({name for one in rest for name in one.run.models} for rest in found[1:])
    assert not set.intersection(*left)


def num_calls(of: Callable[[], object]) -> int:
    """Return how many functions something calls: its work, on whatever machine."""
    calls: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: calls.update([event]))
    try:
        of()
    finally:
        sys.setprofile(None)
    return calls["call"] + calls["c_call"]


def counted_sides(each: int) -> tuple[PlacementRecord, PlacementRecord]:
    """Ten and ten times as many GPUs."""
    before = place_counted(("ab", 6 * each), ("bcc", 3 * each), ("d", each))
    return before, place_counted(("bcc", 2 * each), ("ab", 7 * each), ("ce", each))


def test_equal_gpus_are_told_together() -> None:
    comparison = compare(*counted_sides(10_000))

    # All of "ab" and 20,000 of "bcc" stay. The other 10,000 lose both "c" beside "b",
    # and have "a" now; one "c" of each goes on beside "e", on GPUs that are new.
    assert {change: comparison.count(change) for change in Change} == {
        Change.STAYS: 190_000,
        Change.MOVES: 10_000,
        Change.ADDED: 20_000,
        Change.REMOVED: 20_000,
    }
    moved = [one for one in comparison.moves if one.change is Change.MOVES]
    assert [(one.gpus_before, one.gpus_after) for one in moved] == [
        (range(80_000, 90_000), range(100_000, 110_000))
    ]
    assert len(comparison.moves) < 15
    assert "0–59999, 80000–89999" in str(comparison)


def test_a_hundred_thousand_equal_gpus_are_no_more_work_than_a_hundred() -> None:
    def compare_whole(before: PlacementRecord, after: PlacementRecord) -> None:
        comparison = compare(before, after)
        comparison.to_json()
        comparison.to_markdown()
        render_report([("before", before), ("after", after)])

    few, many = counted_sides(10), counted_sides(10_000)
    compare_whole(*few)  # templates are read once

    assert num_calls(lambda: compare_whole(*many)) == num_calls(
        lambda: compare_whole(*few)
    )


def test_another_placement_is_not_renumbered() -> None:
    comparison = compare(place_names("a"), place_names("a", "b"))

    with pytest.raises(gpupack.InvalidInputError, match="GPU 2 is not in"):
        comparison.renumbered(place_names("a", "b", "c"))


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
