"""The check of a placement against placements that were tampered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gpupack
from gpupack.errors import CheckError
from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Job,
    Option,
)
from gpupack.packing.capacity.model.plan import Copies, FilledBin
from gpupack.packing.capacity.model.plan_check import check_plan
from gpupack.placement import Placement
from gpupack.planning import placing
from gpupack.planning.solving.check import check_placement
from tests.factories import GPU, MIB, make_profiles, make_record

Ask = Callable[..., tuple[Placement, Any]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return what place() answers, and the question that its check was given."""
    checked: list[tuple[Placement, Any]] = []

    def spy(placement: Placement, question: Any) -> None:
        check_placement(placement, question)
        checked.append((placement, question))

    monkeypatch.setattr(placing, "check_placement", spy)

    def asked(*arguments: Any, **options: Any) -> tuple[Placement, Any]:
        gpupack.place(*arguments, **options)
        return checked[-1]

    return asked


def with_assignment(placement: Placement, **changes: Any) -> Placement:
    """Change the first assignment of the first GPU."""
    first, *others = placement.gpus
    assignment = first.assignments[0].model_copy(update=changes)
    gpu = first.model_copy(update={"assignments": (assignment, *first.assignments[1:])})
    return placement.model_copy(update={"gpus": (gpu, *others)})


def with_records(placement: Placement, **changes: Any) -> Placement:
    """Change every record that the placement holds."""
    profiles = tuple(one.model_copy(update=changes) for one in placement.profiles)
    return placement.model_copy(update={"profiles": profiles})


def two_models() -> Any:
    return make_profiles(
        make_record("a", gpu_utilization_percent=50.0, latency_p99_us=4000.0),
        make_record("b", gpu_utilization_percent=50.0, latency_p99_us=4000.0),
    )


@pytest.mark.parametrize("wishes", [{}, {"replicas": 1}], ids=["plain", "choices"])
def test_utilizations_of_the_records_are_summed_with_the_stated_tolerance(
    ask: Ask, wishes: dict[str, Any]
) -> None:
    placement, question = ask(two_models(), headroom={"gpu_utilization": 1.0}, **wishes)

    check_placement(
        with_records(placement, gpu_utilization_percent=50.000005), question
    )
    # The next larger float is too much: sums near a limit are those of decimals.
    for more in (50.00000500000001, 50.000006):
        with pytest.raises(CheckError, match=r"'a', 'b'.*gpu_utilization"):
            check_placement(
                with_records(placement, gpu_utilization_percent=more), question
            )


def test_a_byte_more_than_the_gpu_has_is_one_too_many(ask: Ask) -> None:
    half = 500 * MIB
    profiles = make_profiles(
        make_record("a", gpu_memory_used_bytes=half),
        make_record("b", gpu_memory_used_bytes=half),
    )
    placement, question = ask(profiles, optional=["b"])

    larger = with_assignment(
        with_records(placement, gpu_memory_used_bytes=half + 1),
        memory_bytes=half + 1,
    )
    with pytest.raises(CheckError, match=r"'a', 'b'.* of memory|takes"):
        check_placement(larger, question)


def test_latency_is_that_of_the_record(ask: Ask) -> None:
    placement, question = ask(two_models(), latency_limit_ms=5.0)

    with pytest.raises(CheckError, match=r"'a' at 1x1 has a p99 of 5001.0"):
        check_placement(with_records(placement, latency_p99_us=5001.0), question)


def test_no_value_beats_its_bound(ask: Ask) -> None:
    placement, question = ask(two_models(), demand={"a": 10.0})

    for wrong in (
        placement.model_copy(update={"bound": placement.bound + 1}),
        placement.model_copy(update={"objective_value": placement.objective_value - 1}),
        placement.model_copy(update={"bound": placement.bound - 1}),
    ):
        with pytest.raises(CheckError, match=r"beats its bound|told as|counts as best"):
            check_placement(wrong, question)


def test_the_price_is_that_of_the_gpus_and_within_the_budget(ask: Ask) -> None:
    placement, question = ask(
        two_models(), "min_cost", prices={GPU.name: 0.7}, replicas=1
    )
    with pytest.raises(CheckError, match="told as 0.6 per hour, but it is 0.7"):
        check_placement(placement.model_copy(update={"objective_value": 0.6}), question)

    from dataclasses import replace

    check_placement(placement, replace(question, max_price_per_hour=0.7))
    with pytest.raises(CheckError, match="cost 0.7"):
        check_placement(placement, replace(question, max_price_per_hour=0.69))
    with pytest.raises(CheckError, match="1 GPUs, not 0"):
        check_placement(placement, replace(question, max_gpus=0))


def test_traffic_is_all_that_was_asked_and_no_more_than_a_replica_serves(
    ask: Ask,
) -> None:
    placement, question = ask(two_models(), demand={"a": 10.0})

    with pytest.raises(CheckError, match="'a' serves 9.99, less than 10"):
        check_placement(with_assignment(placement, served_infer_per_sec=9.99), question)
    with pytest.raises(CheckError, match="'a' at 1x1 serves 101.0"):
        check_placement(
            with_assignment(placement, served_infer_per_sec=101.0), question
        )


def test_traffic_is_summed_as_it_is_written(ask: Ask) -> None:
    profiles = make_profiles(make_record("a", throughput_infer_per_sec=1000.0))
    placement, question = ask(profiles, demand={"a": 100.0})

    # Five parts in a million more or less are as good as all of it, and no more.
    check_placement(with_assignment(placement, served_infer_per_sec=100.0005), question)
    check_placement(with_assignment(placement, served_infer_per_sec=99.9995), question)
    for wrong in (100.00050000000002, 99.99949999999998):
        with pytest.raises(CheckError, match="'a' serves"):
            check_placement(
                with_assignment(placement, served_infer_per_sec=wrong), question
            )


def test_instances_are_as_many_as_asked_and_where_they_may_run(ask: Ask) -> None:
    placement, question = ask(two_models(), replicas={"a": 2})
    with pytest.raises(CheckError, match="'a' has 1 instances, not 2"):
        check_placement(with_assignment(placement, model_name="b"), question)

    placement, question = ask(two_models(), gpus={GPU.name: 2})
    more = placement.model_copy(
        update={"gpus": placement.gpus * 3, "num_gpus": 3 * placement.num_gpus}
    )
    with pytest.raises(CheckError, match="3 test-gpu GPUs, of which there are 2"):
        check_placement(more, question)


def test_a_plan_is_wrong_by_the_name_of_its_job() -> None:
    problem = CapacityProblem(
        (BinType((1_000_000_000,)),),
        (Job(copies=2, name="resnet"),),
        (Option(0, 0, (500_000_001,), (0,), 1),),
    )
    one = FilledBin(0, (Copies(0, 1, 1.0),))
    both = FilledBin(0, (Copies(0, 2, 2.0),))

    with pytest.raises(CheckError, match="resnet has 1 of 2 copies"):
        check_plan(problem, [one], in_full=True)
    # Two units more than there are, less than one part in a million.
    with pytest.raises(CheckError, match="a bin of resnet holds 1000000002"):
        check_plan(problem, [both], in_full=True)
