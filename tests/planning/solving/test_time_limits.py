"""What is asked to be kept costs no more time than there is: by counting questions."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from gpupack.errors import InfeasibleError
from gpupack.packing.items.search.allowed_sets import MAX_LATE_REFUSALS
from gpupack.packing.runtime.deadline import Deadline, OutOfTimeError
from gpupack.planning.contention.retention import (
    MAX_KNOWN_SETS,
    RetentionRule,
)
from gpupack.planning.contention.sharing import resolve_contention
from gpupack.planning.infeasible.clashing_models import ClashingModels
from gpupack.planning.infeasible.limits import Limits
from gpupack.planning.modeling.question import CapacityQuestion, ask
from gpupack.planning.placing import place
from gpupack.planning.solving.answering import answer
from gpupack.planning.solving.building import Clash
from gpupack.profile_set import ProfileSet
from gpupack.records.placement import PlacementStatus
from gpupack.records.request import ModelWishes, Request
from tests.factories import GPU, MIB, make_profiles, make_record

FEWEST_ITEMS = "gpupack.planning.infeasible.too_few_gpus._fewest_items"
PASSED = Deadline(at=0.0, clock=lambda: 1.0)


@pytest.fixture
def questions() -> Iterator[list[Any]]:
    """The sets that ``min_retention`` was asked about."""
    asked: list[Any] = []
    ask_rule = RetentionRule.is_allowed

    def counting(rule: RetentionRule, counts: Any) -> bool:
        asked.append(counts)
        return ask_rule(rule, counts)

    with mock.patch.object(RetentionRule, "is_allowed", counting):
        yield asked


def busy_models(number: int, *, memory_mib: int = 50) -> ProfileSet:
    """Models of 5 % to 60 % of a GPU's time, 20 of which fit by memory."""
    return make_profiles(
        *(
            make_record(
                f"model{index:03}",
                gpu_memory_used_bytes=memory_mib * MIB,
                gpu_utilization_percent=5.0 + index * 37 % 56,
            )
            for index in range(number)
        )
    )


def question_of(profiles: ProfileSet, num_gpus: int) -> CapacityQuestion:
    request = Request(
        gpus=num_gpus,
        headroom={"memory": 1.0},
        defaults=ModelWishes(min_retention=0.9),
    )
    return ask(profiles, request)


def test_a_deadline_stops_what_asks_and_hands_down_parts_of_its_time() -> None:
    now = [0.0]
    deadline = Deadline.after(10.0, clock=lambda: now[0])
    twice = deadline.stopping(lambda number: 2 * number)
    assert twice(4) == 8
    assert deadline.within(3.0).at == 3.0
    assert deadline.within(30.0).at == 10.0
    now[0] = 9.0
    assert (deadline.remaining_s, deadline.has_passed) == (1.0, False)
    now[0] = 12.0
    assert (deadline.remaining_s, deadline.has_passed) == (0.0, True)
    with pytest.raises(OutOfTimeError):
        twice(4)


@pytest.mark.parametrize("number", [20, 140, 400])
def test_without_time_what_is_kept_is_asked_a_few_times_per_model(
    number: int, questions: list[Any]
) -> None:
    placement = place(busy_models(number), min_retention=0.9, time_limit_s=0)

    # Of a packing without the rule, by first fit, and once more when it is evened out.
    most = number + (1 + MAX_LATE_REFUSALS + 1) * placement.num_gpus + number
    assert len(questions) <= most
    for gpu in placement.gpus:
        for one in gpu.assignments:
            assert one.retention is not None
            assert one.retention >= 0.9
    # No time is left to count the GPUs that another way of sharing takes.
    assert [one.num_gpus for one in placement.sharing_alternatives] == [None]


def test_a_hundred_thousand_a_second_of_a_tiny_model_are_placed_in_no_time() -> None:
    profiles = make_profiles(
        make_record("tiny", gpu_memory_used_bytes=3 * MIB, gpu_utilization_percent=0.2),
    )
    placement = place(profiles, demand={"tiny": 1e5}, min_retention=0.9, time_limit_s=0)
    assert placement.served_infer_per_sec["tiny"] == pytest.approx(1e5)
    # A thousand replicas at 100/s, of which 333 fit by memory.
    assert placement.num_gpus >= 4
    assert placement.bound <= placement.num_gpus


def test_what_is_kept_of_the_answers_has_a_limit() -> None:
    profiles = busy_models(3)
    contention = resolve_contention(profiles, GPU, None)
    rule = RetentionRule(profiles.records, contention, {"model000": 0.9})
    first = rule.retentions(((0, 1), (1, 1)))
    with mock.patch("gpupack.planning.contention.retention.MAX_KNOWN_SETS", 1):
        for copies in range(1, 6):
            rule.retentions(((0, 1), (2, copies)))
            assert len(rule._known) <= 1
    assert rule.retentions(((0, 1), (1, 1))) == first
    assert MAX_KNOWN_SETS <= 100_000


def test_once_time_is_up_the_diagnosis_plans_nothing_and_names_all_models() -> None:
    profiles = busy_models(30)
    question = question_of(profiles, 2)
    with mock.patch(
        "gpupack.planning.infeasible.relaxed_question.plan_capacity"
    ) as planned:
        models = ClashingModels(
            question,
            question.model_names,
            Limits.of_question(question),
            deadline=PASSED,
            step_limit_s=1.0,
        ).fewest()
    assert models == question.model_names
    planned.assert_not_called()


def test_a_trial_spends_no_time_on_what_clashes() -> None:
    question = question_of(busy_models(12), 1)
    with (
        mock.patch("gpupack.planning.infeasible.infeasible") as told,
        mock.patch(
            "gpupack.planning.infeasible.too_few_gpus._fewest_items"
        ) as searched,
    ):
        found = answer(question, time_limit_s=0.0, seed=0)
    assert isinstance(found, Clash)
    told.assert_not_called()
    searched.assert_not_called()


def test_too_few_gpus_for_models_that_share_with_nobody_name_one_more_of_them() -> None:
    profiles = make_profiles(
        *(
            make_record(
                f"model{index:02}",
                gpu_memory_used_bytes=1 * MIB,
                gpu_utilization_percent=60.0 if index % 2 else 0.01,
            )
            for index in range(40)
        )
    )
    with (
        mock.patch(
            "gpupack.planning.infeasible.too_few_gpus._fewest_items"
        ) as searched,
        pytest.raises(InfeasibleError) as caught,
    ):
        place(profiles, gpus=(GPU, 6), min_retention=0.9)
    # Two at 60 % keep 0.7. Any seven of those need seven GPUs, any six have one each.
    assert len(caught.value.model_names) == 7
    assert all(int(name[-2:]) % 2 for name in caught.value.model_names)
    searched.assert_not_called()


def test_more_sets_than_can_be_compared_still_get_an_answer_and_a_bound() -> None:
    profiles = busy_models(60, memory_mib=20)
    placement = place(
        profiles, "max_throughput", gpus=(GPU, 5), contention="predicted",
        time_limit_s=0,
    )  # fmt: skip
    assert placement.status is PlacementStatus.FEASIBLE
    assert placement.num_gpus <= 5
    # Nothing serves more than all of them alone, at 100/s each.
    assert placement.objective_value <= placement.bound == pytest.approx(6000.0)
    total = sum(
        one.predicted_infer_per_sec or 0.0
        for gpu in placement.gpus
        for one in gpu.assignments
    )
    assert placement.objective_value == pytest.approx(total)
