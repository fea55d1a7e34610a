"""What holds for every frontier: more money is never worse, and time is kept to."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import gpupack
from gpupack.errors import NotFoundInTimeError
from gpupack.packing import PlanStatus
from gpupack.planning.solving import Clash, frontier_steps
from gpupack.planning.solving.step_clock import StepClock
from gpupack.records.gpu import GpuType
from gpupack.records.placement import PlacementStatus
from tests.factories import GPU, make_profiles
from tests.planning.solving.test_place_choices import BIG, on_both, record

LEAST_S = 0.2
"""What a search takes even of no time at all."""


def draw(seed: int) -> tuple[gpupack.ProfileSet, dict[str, Any]]:
    """A question of up to four models, on one GPU type or on two with prices."""
    chance = random.Random(seed)
    names = "abcd"[: chance.randint(1, 4)]

    def one(name: str, gpu_type: GpuType) -> Any:
        return record(
            name,
            busy=chance.choice([10.0, 30.0, 60.0, 100.0]),
            rate=float(chance.randint(1, 200)),
            mib=chance.randint(50, 600),
            gpu_type=gpu_type,
        )

    asked: dict[str, Any] = {
        "demand": {name: float(chance.randint(1, 500)) for name in names},
        "time_limit_s": 0.5,
        "workers": 1,
        "max_points": chance.randint(2, 5),
        "find_headroom": False,
    }
    if chance.random() < 0.3:
        asked["fairness"] = "max_min"
    if chance.random() < 0.5:
        return make_profiles(*(one(name, GPU) for name in names)), asked
    fleet: dict[GpuType, int | None] = {GPU: None, BIG: None}
    asked |= {"by": "price", "gpus": fleet}
    asked["prices"] = {"test-gpu": 1.0, "big-gpu": chance.choice([1.5, 2.0, 3.7])}
    records = [one(name, gpu_type) for name in names for gpu_type in (GPU, BIG)]
    return on_both(*records), asked


def require_laws(frontier: gpupack.Frontier) -> None:
    values = [one.objective_value for one in frontier.placements]
    bounds = [one.bound for one in frontier.placements]
    assert values == sorted(values)
    assert bounds == sorted(bounds)
    assert all(value <= bound for value, bound in zip(values, bounds, strict=True))
    fleets = [
        frozenset(Counter(gpu.gpu_type.name for gpu in one.gpus).items())
        for one in frontier.placements
    ]
    assert len(set(fleets)) == len(fleets)
    for point, placement in zip(frontier.points, frontier.placements, strict=True):
        shares = list(point.served_share.values())
        assert shares == sorted(shares)
        assert point.worst_served_share == min(shares)
        assert placement.request is not None
        for name, share in point.served_share.items():
            demand = placement.request.of_model(name).demand
            served = placement.served_infer_per_sec.get(name, 0.0)
            assert demand is not None
            assert share == pytest.approx(min(1.0, served / demand))


@pytest.mark.parametrize("seed", range(100))
def test_more_money_is_never_worse_and_no_two_rows_have_the_same_fleet(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where searches are cut short at random: every third finds nothing."""
    chance = random.Random(seed)
    real = frontier_steps.plan_with_choices

    def cut_short(question: Any, **options: Any) -> Any:
        found = real(question, **options)
        if options.get("is_trial") or isinstance(found, Clash):
            return found
        if chance.random() < 0.3:
            return Clash(lambda: NotFoundInTimeError("cut short"))
        if chance.random() < 0.3:  # a bound that nothing has tightened
            status = PlacementStatus.FEASIBLE
            return replace(found, bound=found.bound * 3, status=status)
        return found

    profiles, asked = draw(seed)
    if seed % 2:
        monkeypatch.setattr(frontier_steps, "plan_with_choices", cut_short)

    try:
        frontier = gpupack.frontier(profiles, **asked)
    except NotFoundInTimeError:  # every search was cut short
        assert seed % 2
        return
    require_laws(frontier)


class FakeClock:
    """Time that passes by as much as every search is given, and a bit."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.num_searches = 0

    def __call__(self) -> float:
        return self.now_s

    def take(self, time_limit_s: float) -> None:
        self.num_searches += 1
        self.now_s += max(LEAST_S, time_limit_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    """A clock by which every search takes all the time that it is given."""
    fake = FakeClock()
    place = frontier_steps.plan_with_choices
    plan = frontier_steps.plan_capacity

    def slow_place(question: Any, *, time_limit_s: float, **options: Any) -> Any:
        fake.take(time_limit_s)
        return place(question, time_limit_s=0.0, **options)

    def slow_plan(*arguments: Any, time_limit_s: float, **options: Any) -> Any:
        fake.take(time_limit_s)
        found = plan(*arguments, time_limit_s=0.0, **options)
        return replace(found, status=PlanStatus.FEASIBLE)

    monkeypatch.setattr(StepClock, "now", staticmethod(fake))
    monkeypatch.setattr(frontier_steps, "plan_with_choices", slow_place)
    monkeypatch.setattr(frontier_steps, "plan_capacity", slow_plan)
    return fake


@pytest.mark.parametrize("total_s", [5.0, 60.0])
def test_the_whole_frontier_keeps_to_its_time(clock: FakeClock, total_s: float) -> None:
    profiles = make_profiles(*(record(name, busy=100.0) for name in "abcd"))

    frontier = gpupack.frontier(
        profiles,
        demand=dict.fromkeys("abcd", 500.0),
        total_time_limit_s=total_s,
        max_points=4,
        workers=1,
    )

    assert clock.num_searches > 3
    assert clock.now_s <= 1.1 * total_s
    assert frontier.points


def test_steps_that_time_did_not_suffice_for_are_named(clock: FakeClock) -> None:
    profiles = make_profiles(record("a", busy=100.0))

    frontier = gpupack.frontier(
        profiles,
        budgets=range(1, 11),
        demand={"a": 2000.0},
        total_time_limit_s=1.0,
        find_headroom=False,
    )

    # 0.75 s are for the steps, and the least that a search takes is 0.2 s.
    assert frontier.budgets_not_tried == tuple(map(float, range(5, 11)))
    assert "not tried in the time there was: 5, 6" in str(frontier)


def test_progress_is_told_before_anything_is_searched(clock: FakeClock) -> None:
    told: list[tuple[int, int, str, int]] = []

    gpupack.frontier(
        make_profiles(record("a", busy=100.0)),
        demand={"a": 300.0},
        progress=lambda done, total, text: told.append(
            (done, total, text, clock.num_searches)
        ),
    )

    assert told[0] == (0, 0, "looking for the range", 0)
    steps = [one[:3] for one in told if one[2].endswith("GPUs")]
    assert steps == [(0, 3, "1 GPUs"), (1, 3, "2 GPUs"), (2, 3, "3 GPUs")]


def test_what_was_found_before_an_interrupt_is_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = frontier_steps.plan_with_choices
    num_calls = 0

    def interrupted(question: Any, **options: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 3:
            raise KeyboardInterrupt
        return real(question, **options)

    monkeypatch.setattr(frontier_steps, "plan_with_choices", interrupted)

    frontier = gpupack.frontier(
        make_profiles(record("a", busy=100.0)),
        budgets=[1, 2, 3, 4],
        demand={"a": 1000.0},
    )

    assert [point.num_gpus for point in frontier.points] == [1, 2]
    assert frontier.budgets_not_tried == (3.0, 4.0)


def test_an_interrupt_before_anything_was_found_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(frontier_steps, "plan_with_choices", interrupted)

    with pytest.raises(KeyboardInterrupt):
        gpupack.frontier(
            make_profiles(record("a", busy=100.0)), budgets=[1], demand={"a": 100.0}
        )


def test_a_step_called_nearly_all_served_says_who_gets_nothing() -> None:
    # On one GPU a yields 1000 and b 10: all of a is 99 % of both, and none of b.
    profiles = make_profiles(
        record("a", busy=100.0, rate=1000.0), record("b", busy=100.0, rate=10.0)
    )

    frontier = gpupack.frontier(
        profiles, budgets=[1, 2], demand={"a": 1000.0, "b": 10.0}
    )

    first, last = frontier.points
    assert next(iter(first.served_share.items())) == ("b", pytest.approx(0.0, abs=1e-6))
    assert first.worst_served_share == pytest.approx(0.0, abs=1e-6)
    assert last.worst_served_share == pytest.approx(1.0)
    assert "1 GPU: b 0.0%" in str(frontier)
