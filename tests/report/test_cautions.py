"""What is told of a placement before all else."""

from gpupack.records.placement import Assignment
from gpupack.records.request import Request
from gpupack.report.cautions import cautions_of
from gpupack.report.text import (
    format_placement,
    placement_html_table,
    placement_markdown,
)
from tests.report.placements import make_assignment, make_placement


def test_utilizations_above_all_there_is_are_told_first_with_the_worst_gpu() -> None:
    placement = make_placement(
        (make_assignment("calm", gpu_utilization_percent=60.0),),
        (
            make_assignment(
                "busy", gpu_utilization_percent=90.0, predicted_infer_per_sec=52.0
            ),
            make_assignment("loud", gpu_utilization_percent=95.0),
        ),
    )

    (caution,) = cautions_of(placement)

    assert caution.startswith("the models on 1 of 2 GPUs cannot all run at the same")
    assert "sum to 185 % on GPU 1" in caution  # 90 + 95
    assert "'busy' on GPU 1 is predicted to keep 52%" in caution
    for text in (
        format_placement(placement),
        placement_markdown(placement),
        placement_html_table(placement),
    ):
        assert text.index("cannot all run") < text.index("min_gpus: 2 GPUs")


def test_sums_of_exactly_all_there_is_are_no_reason_to_warn() -> None:
    full = make_placement(
        (
            make_assignment("one", gpu_utilization_percent=60.0),
            make_assignment("other", gpu_utilization_percent=40.0),
        )
    )

    assert cautions_of(full) == ()
    assert "warning" not in format_placement(full)


def test_a_demand_that_the_prediction_does_not_keep_is_told_with_the_shortfall() -> (
    None
):
    placement = make_placement(
        (
            make_assignment(
                "short", served_infer_per_sec=30.0, predicted_infer_per_sec=24.0
            ),
            make_assignment(
                "kept", served_infer_per_sec=30.0, predicted_infer_per_sec=30.0
            ),
        ),
        (
            make_assignment(
                "short", served_infer_per_sec=20.0, predicted_infer_per_sec=20.0
            ),
        ),
    )

    (caution,) = cautions_of(placement)

    assert caution.startswith("1 of 2 demands are not kept as predicted")
    assert "'short' is predicted to reach 44 of 50 infer/sec" in caution


def test_slow_downs_that_no_sum_shows_are_told_unless_they_were_asked_for() -> None:
    slow = make_placement(
        (
            make_assignment("slow", predicted_infer_per_sec=64.0),
            make_assignment("fast", predicted_infer_per_sec=95.0),
        )
    )
    asked = slow.model_copy(update={"min_retention": {"slow": 0.6}})

    (caution,) = cautions_of(slow)

    assert "1 model is predicted to keep less than 90%" in caution
    assert "'slow' on GPU 0 keeps 64%" in caution
    assert cautions_of(asked) == ()


def test_a_promise_that_the_simulation_does_not_keep_is_told() -> None:
    placement = make_placement(
        (
            make_assignment("slow", predicted_infer_per_sec=64.0),
            make_assignment("fast", predicted_infer_per_sec=95.0),
        )
    ).model_copy(update={"min_retention": {"slow": 0.7, "fast": 0.7}})
    (caution,) = cautions_of(placement)
    assert "1 of 2 promises of" in caution
    assert "'slow' is expected to keep 64% of 70%" in caution
    # What a simulation is not more certain of is none.
    nearly = placement.model_copy(update={"min_retention": {"slow": 0.645}})
    assert cautions_of(nearly) == ()


def test_predicted_latencies_near_saturation_are_told_with_the_busiest_gpu() -> None:
    def asked(name: str, busy: float, predicted_ms: float = 40.0) -> Assignment:
        return make_assignment(
            name,
            gpu_utilization_percent=busy,
            served_infer_per_sec=30.0,
            predicted_infer_per_sec=30.0,
        ).model_copy(
            update={
                "latency_limit_ms": 50.0,
                "predicted_latency_us": 1000 * predicted_ms,
            }
        )

    placement = make_placement(
        (asked("half", 50.0), asked("other", 35.0)),
        (asked("most", 60.0), asked("rest", 32.0)),
        (asked("nearly", 88.0),),
        (asked("late", 99.0, predicted_ms=60.0),),
    ).model_copy(update={"request": Request(latency="predicted")})

    late, near = cautions_of(placement)

    assert late.startswith("1 of 6 latency limits")
    assert near.startswith("3 of 5 predicted latencies are of GPUs")
    assert "more than 85 % of the time: 'most' on GPU 1 (92 %)" in near
    assert "find a p99 that is more than 20 % off" in near

    calm = make_placement((asked("half", 50.0), asked("other", 35.0)))
    assert cautions_of(calm.model_copy(update={"request": placement.request})) == ()
