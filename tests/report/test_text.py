"""Profiles and placements as text."""

import pytest

import gpupack
from gpupack.profile_set import ProfileSet
from gpupack.records.placement import Objective, ObjectiveUnit, PlacementStatus
from gpupack.records.profile import FailedLoadPoint, LoadPoint
from gpupack.report.text import (
    format_placement,
    placement_html_table,
    placement_markdown,
)
from tests.factories import ENVIRONMENT, GPU, make_profiles, make_record
from tests.report.placements import make_assignment, make_placement

SERVING = make_placement(
    (
        make_assignment("busy", served_infer_per_sec=1234.5),
        make_assignment("idle", served_infer_per_sec=0.0),
        make_assignment("slow", served_infer_per_sec=0.034),
        make_assignment("whole"),
    ),
    (make_assignment("busy", served_infer_per_sec=70.0),),
)


def test_the_traffic_of_each_replica_has_a_column_where_there_is_a_demand() -> None:
    lines = format_placement(SERVING).splitlines()

    (title,) = [line for line in lines if "infer/sec" in line]
    end = title.index("infer/sec") + len("infer/sec")
    shown = {
        tuple(line[:end].replace("test-gpu", "").split()[-3:])
        for line in lines
        if "(1x1)" in line
    }
    assert shown == {
        ("busy", "(1x1)", "1,234.5"),
        ("idle", "(1x1)", "0"),
        ("slow", "(1x1)", "0.03"),
        ("whole", "(1x1)", "–"),
        ("busy", "(1x1)", "70"),
    }


def test_markdown_and_html_say_what_each_replica_takes() -> None:
    for text in (placement_markdown(SERVING), placement_html_table(SERVING)):
        assert "busy (1x1, 1,234.5 infer/sec)" in text
        assert "busy (1x1, 70 infer/sec)" in text
        assert "whole (1x1)" in text


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        (ObjectiveUnit.GPUS, 1.0, "max_throughput: 1 GPU (OPTIMAL"),
        (
            ObjectiveUnit.INFER_PER_SEC,
            2186.24,
            "max_throughput: 1 GPU, 2,186.2 infer/sec (OPTIMAL",
        ),
        (
            ObjectiveUnit.SERVED_SHARE,
            0.5599,
            "max_throughput: 1 GPU, 56.0% of every demand (OPTIMAL",
        ),
    ],
)
def test_the_headline_says_what_was_made_large(
    unit: ObjectiveUnit, value: float, shown: str
) -> None:
    placement = make_placement((make_assignment("a"),)).model_copy(
        update={
            "objective": Objective.MAX_THROUGHPUT,
            "objective_unit": unit,
            "objective_value": value,
            "bound": value,
        }
    )

    assert format_placement(placement).startswith(shown)


def test_the_bound_of_what_was_made_large_has_its_unit() -> None:
    placement = make_placement((make_assignment("a"),)).model_copy(
        update={
            "objective": Objective.MAX_THROUGHPUT,
            "objective_unit": ObjectiveUnit.SERVED_SHARE,
            "objective_value": 0.5,
            "bound": 0.625,
            "status": PlacementStatus.FEASIBLE,
            "gap": 0.25,
        }
    )

    assert "FEASIBLE, proven bound 62.5% of every demand, gap 25.0%" in (
        format_placement(placement)
    )


def test_without_a_demand_no_traffic_is_shown() -> None:
    placement = make_placement((make_assignment("a"),))

    for text in (
        format_placement(placement),
        placement_markdown(placement),
        placement_html_table(placement),
    ):
        assert "infer/sec" not in text


def test_a_failure_of_several_load_points_is_one_line_of_a_profile_set() -> None:
    failures = tuple(
        FailedLoadPoint(
            model_name=name,
            load_point=LoadPoint(batch_size=batch_size, concurrency=1),
            gpu_type=GPU,
            stage="load",
            message="CUDA out of memory\n\n  at layer 3\n",
            environment=ENVIRONMENT,
        )
        for name in ("large", "larger")
        for batch_size in (1, 2)
    )

    lines = str(ProfileSet(failures=failures)).splitlines()

    assert lines[-2:] == [
        "failed: large at 1x1, 2x1, load: CUDA out of memory at layer 3",
        "failed: larger at 1x1, 2x1, load: CUDA out of memory at layer 3",
    ]


def test_a_name_of_200_000_characters_does_not_fill_the_screen() -> None:
    name = "n" * 200_000
    profiles = make_profiles(make_record(name), make_record("b"))
    placement = gpupack.place(profiles, "max_throughput", demand={name: 1.0})

    told = [str(placement), placement.to_markdown(), str(profiles)]
    told.append(str(gpupack.recommend(profiles, demand={name: 10.0})))

    for text in told:
        assert "nnn…nnn" in text
        assert max(map(len, text.splitlines())) < 1_000


def test_gpus_that_hold_the_same_are_one_row() -> None:
    same, other = (make_assignment("a"),), (make_assignment("b"),)
    # What rounding tells apart is the same: a demand shared out three ways.
    thirds = [
        (make_assignment("c", served_infer_per_sec=rate),)
        for rate in (33.33333333, 33.33333334)
    ]
    placement = make_placement(same, same, other, same, *thirds)

    plain = format_placement(placement)
    rows = {
        " ".join(line.split("(1x1)")[0].split()[:-1])
        for line in plain.splitlines()
        if "(1x1)" in line
    }

    assert rows == {"0–1, 3 3 × test-gpu", "2 test-gpu", "4–5 2 × test-gpu"}
    assert "3 × test-gpu: so many GPUs that hold just this, each" in plain
    assert "3 × test-gpu | a (1x1)" in placement_markdown(placement)
    assert sum(len(group) for group in placement.groups) == placement.num_gpus
    assert "so many GPUs" not in format_placement(make_placement(same, other))
