"""Whether the demand is met, said first."""

import gpupack
from gpupack.records.placement import PlacementRecord
from gpupack.report.page.demand import demand_verdict
from gpupack.report.page.html import render_report
from tests.report.placements import make_assignment, make_placement


def serving(
    growth: float = 1.0, predicted: float | None = None, **served: float
) -> PlacementRecord:
    """A placement of models that were all asked for 100 infer/sec."""
    request = gpupack.Request.model_validate(
        {"models": {name: {"demand": 100} for name in served}, "growth": growth}
    )
    assignments = tuple(
        make_assignment(
            name, served_infer_per_sec=rate, predicted_infer_per_sec=predicted
        )
        for name, rate in served.items()
    )
    return make_placement(assignments).model_copy(update={"request": request})


def test_all_that_is_asked_for_is_met() -> None:
    verdict = demand_verdict(serving(a=100, b=100))

    assert verdict is not None
    assert verdict.is_met
    assert str(verdict) == "demand met: yes"


def test_what_is_to_spare_is_what_the_tightest_instance_and_gpu_leave() -> None:
    # Each does 100 alone: a is asked for 80, so all could grow by a quarter.
    placement = serving(a=80, b=40).model_copy(
        update={
            "request": gpupack.Request.model_validate(
                {"models": {"a": {"demand": 80}, "b": {"demand": 40}}}
            )
        }
    )
    busy = placement.gpus[0].resources[0].model_copy(
        update={"resource": gpupack.Resource.GPU_UTILIZATION, "capacity": 100.0,
                "used": 90.0, "limit": 99.0}
    )  # fmt: skip
    gpu = placement.gpus[0]
    tight = placement.model_copy(
        update={"gpus": (gpu.model_copy(update={"resources": (*gpu.resources, busy)}),)}
    )

    assert (
        str(demand_verdict(placement))
        == "demand met: yes, with 25% to spare as measured alone"
    )
    # 90 of the 99 % that may be used: a tenth more.
    assert (
        str(demand_verdict(tight))
        == "demand met: yes, with 10% to spare as measured alone"
    )


def test_the_model_that_gets_least_is_named() -> None:
    verdict = demand_verdict(serving(a=100, b=40, c=80))

    assert str(verdict) == (
        "demand met: no, 'b' gets 40% of it (2 of 3 models get less than all)"
    )


def test_what_the_prediction_does_not_keep_is_not_met() -> None:
    verdict = demand_verdict(serving(a=100, predicted=75))

    assert verdict is not None
    assert (verdict.is_met, verdict.share) == (False, 0.75)


def test_growth_is_part_of_the_demand() -> None:
    verdict = demand_verdict(serving(growth=2.0, a=100))

    assert verdict is not None
    assert verdict.share == 0.5


def test_a_model_that_is_left_out_gets_nothing() -> None:
    placement = serving(a=100, b=100)
    without = make_placement(placement.gpus[0].assignments[:1]).model_copy(
        update={"request": placement.request}
    )

    verdict = demand_verdict(without)

    assert verdict is not None
    assert (verdict.model_name, verdict.share) == ("b", 0.0)


def test_without_a_demand_there_is_no_verdict() -> None:
    assert demand_verdict(make_placement((make_assignment("a"),))) is None


def test_the_report_says_it_first() -> None:
    page = render_report([("plan", serving(a=50))])

    assert "<h1>Demand met: no, &#39;a&#39; gets 50% of it" in page


def test_the_demand_of_a_frontier_grows_once() -> None:
    from tests.factories import make_profiles
    from tests.planning.solving.test_place_choices import record

    frontier = gpupack.frontier(
        make_profiles(record("a", busy=100.0)),
        budgets=[2],
        demand={"a": 100.0},
        growth=2.0,
    )

    # 200 infer/sec are wanted, and two GPUs at 100 each serve them.
    assert frontier.points[0].worst_served_share == 1.0
    verdict = demand_verdict(frontier.placements[0])
    assert verdict is not None
    assert verdict.is_met or verdict.share > 0.99
