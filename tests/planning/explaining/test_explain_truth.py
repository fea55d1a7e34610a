"""What explain() says is true: its sums are computed again, its changes asked for."""

import contextlib
import math
import random
import re
from fractions import Fraction
from typing import Any

import pytest

import gpupack
from gpupack.errors import (
    GpupackError,
    InfeasibleError,
    InvalidInputError,
    MissingReadingError,
    NotFoundInTimeError,
)
from gpupack.placement import Placement
from gpupack.profile_set import ProfileSet
from gpupack.records.explanation import ChangeKind, Explanation, SavingChange
from gpupack.records.gpu import UNKNOWN_GPU_TYPE, GpuType
from gpupack.records.placement import ObjectiveUnit
from gpupack.records.profile import LoadPoint
from tests.factories import GPU, MIB, make_baseline, make_record

BIG = GpuType(name="big-gpu", memory_bytes=2600 * MIB)
NUM_QUESTIONS = 60


class Asked:
    """A random question: profiles, and the arguments of ``place()``."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.baseline_mib = draw.choice([0, 0, 77])
        types = draw.choice([[GPU], [GPU], [GPU, BIG], [UNKNOWN_GPU_TYPE]])
        names = [f"m{index}" for index in range(draw.randint(2, 6))]
        points = ["1x1", "4x2"][: draw.choice([1, 1, 2])]
        self.profiles = ProfileSet(
            records=tuple(
                make_record(
                    name,
                    load_point=LoadPoint.parse(point),
                    throughput_infer_per_sec=float(draw.randint(5, 200)),
                    gpu_utilization_percent=float(draw.randint(1, 90)),
                    memory_utilization_percent=draw.choice([5.0, 12.5, 33.3, 60.0]),
                    gpu_memory_used_bytes=(self.baseline_mib + draw.randint(50, 900))
                    * MIB
                    + draw.choice([0, 0, 1, 500_000]),
                    gpu_type=gpu_type,
                )
                for name in names
                for gpu_type in types
                for point in points
                if gpu_type is not BIG or draw.random() < 0.9
            ),
            baselines=tuple(
                make_baseline(self.baseline_mib, gpu_type=one) for one in types
            ),
        )
        objective = draw.choice(
            ["min_gpus", "min_gpus", "min_gpus", "min_cost", "max_throughput"]
        )
        used = [GPU] if types == [UNKNOWN_GPU_TYPE] or draw.random() < 0.5 else types
        counts = {one: draw.choice([None, None, 2, 4]) for one in used}
        self.arguments: dict[str, Any] = {
            "objective": objective,
            "gpus": counts,
            "headroom": draw.choice(
                [
                    1.0,
                    0.9,
                    {"memory": 0.8},
                    {"memory": 1.0, "gpu_utilization": 0.7},
                    {"gpu_utilization": 1.0, "memory_utilization": 0.8},
                ]
            ),
        }
        if objective == "min_cost":
            self.arguments["prices"] = {"test-gpu": 1.0, "big-gpu": 1.7}
            self.arguments["prices"] = {
                one.name: self.arguments["prices"][one.name] for one in used
            }
        if draw.random() < 0.4:
            self.arguments["optional"] = draw.sample(names, draw.randint(1, len(names)))
        if draw.random() < 0.3:
            self.arguments["replicas"] = {draw.choice(names): draw.randint(2, 3)}
        if draw.random() < 0.3:
            self.arguments["demand"] = {draw.choice(names): float(draw.randint(5, 300))}
        if draw.random() < 0.4:
            self.arguments["load_point"] = "1x1"

    def place(self, **changed: Any) -> Placement:
        return gpupack.place(self.profiles, **(self.arguments | changed))

    def changed_by(self, change: SavingChange, placement: Placement) -> dict[str, Any]:
        """Return the arguments of ``place()`` that a change in words stands for."""
        words = change.change
        if change.kind is ChangeKind.HEADROOM:
            found = re.fullmatch(r"headroom of (.+) from \S+ to (\S+)", words)
            assert found is not None
            shares = {one.value: share for one, share in placement.headroom}
            for name in found[1].split(", "):
                shares[name] = max(shares[name], float(found[2]))
            return {"headroom": shares}
        if change.kind is ChangeKind.LOAD_POINT:
            found = re.fullmatch(r"'(\S+)' at (\S+)( on .+)?", words)
            assert found is not None
            points = dict.fromkeys(
                self.profiles.model_names if "load_point" in self.arguments else (),
                "1x1",
            )
            return {"load_point": points | {found[1]: found[2]}}
        if change.kind is ChangeKind.NUM_GPUS:
            found = re.fullmatch(r"(\d+) (\S+) GPUs instead of \d+", words)
            assert found is not None
            fleet = {one.name: one for one in (GPU, BIG)}
            gpus = self.arguments["gpus"] | {fleet[found[2]]: int(found[1])}
            return {"gpus": gpus}
        assert change.kind is ChangeKind.GPU_TYPE
        name = words.removesuffix(" GPUs instead")
        gpu = {"test-gpu": GPU, "big-gpu": BIG}.get(name, name)
        if "carry_memory_over" in change.trade_off:
            return {"gpus": gpu, "carry_memory_over": True}
        return {"gpus": gpu}


def questions() -> list[tuple[int, Asked, Placement]]:
    found = []
    for seed in range(NUM_QUESTIONS):
        asked = Asked(seed)
        try:
            found.append((seed, asked, asked.place()))
        except GpupackError:
            continue
    return found


def test_every_change_holds_when_it_is_asked_for_and_every_sum_is_right() -> None:
    kinds = set()
    for seed, asked, placement in questions():
        explanation = placement.explain()
        for change in explanation.changes:
            kinds.add(change.kind)
            _require_true(seed, asked, placement, change)
        _require_true_sums(seed, asked, placement, explanation)
    assert kinds == {
        ChangeKind.HEADROOM,
        ChangeKind.LOAD_POINT,
        ChangeKind.NUM_GPUS,
        ChangeKind.GPU_TYPE,
    }


def _require_true(
    seed: int, asked: Asked, placement: Placement, change: SavingChange
) -> None:
    arguments = asked.changed_by(change, placement)
    where = f"question {seed}: {asked.arguments}: {change}"
    if change.unit is ObjectiveUnit.GPUS:
        # As much is served by fewer GPUs of those there are, whichever they are.
        again = asked.place(**arguments)
        sign = 1
        assert again.objective_value >= placement.objective_value * (1 - 1e-6), where
        assert change.value < placement.num_gpus, where
        return
    again = asked.place(**arguments)
    sign = 1 if change.is_more else -1
    assert sign * (again.objective_value - change.value) >= -1e-6 * abs(change.value), (
        f"{where}: {again.objective_value}"
    )
    assert again.objective_unit is placement.objective_unit, where
    assert change.saved == pytest.approx(
        abs(placement.objective_value - change.value)
    ), where


NUMBER = r"([\d,]+(?:\.\d+)?)"


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _require_true_sums(
    seed: int, asked: Asked, placement: Placement, explanation: Explanation
) -> None:
    where = f"question {seed}: {asked.arguments}: {explanation.proof}"
    assert not re.search(r"-\d", explanation.proof), where
    volume = re.search(
        rf"^(\w+) alone takes (\d+) GPUs?: the models(?: that must run)? need {NUMBER} "
        rf"(?:MiB|%), and (\d+) GPUs? offers? {NUMBER} ",
        explanation.proof,
    )
    if volume is None:
        assert "offer" not in explanation.proof or "a GPU offers" in explanation.proof
    else:
        resource, num_gpus = volume[1], int(volume[2])
        need, fewer, offer = _number(volume[3]), int(volume[4]), _number(volume[5])
        assert fewer == num_gpus - 1 == placement.num_gpus - 1, where
        assert need > offer, where
        assert offer == pytest.approx(float(fewer * _offer(asked, placement, resource)))
        assert need == pytest.approx(float(_need(asked, placement, resource)), abs=0.6)
    lone = re.search(
        rf"take(?:s)? (\d+) GPUs?; the others need {NUMBER} .* offers {NUMBER} "
        r"(?:MiB|%): (\d+) more",
        explanation.proof,
    )
    if lone is not None:
        need, offer, more = _number(lone[2]), _number(lone[3]), int(lone[4])
        assert math.ceil(need / offer) == more, where
        assert int(lone[1]) + more == placement.num_gpus, where


def _offer(asked: Asked, placement: Placement, resource: str) -> Fraction:
    """Return what one GPU offers to models: MiB or percent."""
    share = Fraction(repr(getattr(placement.headroom, resource)))
    if resource == "memory":
        return share * 1000 - asked.baseline_mib
    return share * 100


def _need(asked: Asked, placement: Placement, resource: str) -> Fraction:
    """Return what the models that must run need at least, read from the records."""
    field = {
        "memory": "gpu_memory_used_bytes",
        "gpu_utilization": "gpu_utilization_percent",
        "memory_utilization": "memory_utilization_percent",
    }[resource]
    used = {
        (one.model_name, one.load_point)
        for gpu in placement.gpus
        for one in gpu.assignments
    }
    total = Fraction(0)
    for name in asked.profiles.model_names:
        if name in asked.arguments.get("optional", ()):
            continue
        least = min(
            Fraction(repr(getattr(one, field)))
            for one in asked.profiles.records
            if one.model_name == name
            and one.gpu_type in (GPU, UNKNOWN_GPU_TYPE)
            and (
                asked.arguments["objective"] != "max_throughput"
                or (name, one.load_point) in used
            )
            and ("load_point" not in asked.arguments or str(one.load_point) == "1x1")
        )
        if resource == "memory":
            least = least / MIB - asked.baseline_mib
        total += least * asked.arguments.get("replicas", {}).get(name, 1)
    return total


def test_optional_models_are_not_counted_as_if_they_had_to_run() -> None:
    profiles = ProfileSet(
        records=tuple(
            make_record(name, gpu_memory_used_bytes=600 * MIB) for name in "abc"
        ),
        baselines=(make_baseline(100),),
    )

    none = gpupack.place(profiles, optional=["a", "b", "c"]).explain()
    one = gpupack.place(profiles, optional=["b", "c"]).explain()
    two = gpupack.place(profiles, optional=["c"]).explain()

    assert none.proof == "nothing has to run: every model is optional."
    # One must run: no GPU offers nothing.
    assert one.proof == (
        "memory alone takes 1 GPU: the models that must run need 500 MiB, "
        "and 0 GPUs offer 0 MiB."
    )
    assert two.proof == (
        "memory alone takes 2 GPUs: the models that must run need 1,000 MiB, "
        "and 1 GPU offers 900 MiB."
    )


def test_a_gpu_type_is_offered_by_its_own_readings_alone() -> None:
    # On the big GPU every model takes three times as much as on the small one.
    profiles = ProfileSet(
        records=(
            *(make_record(name, gpu_memory_used_bytes=600 * MIB) for name in "abc"),
            *(
                make_record(name, gpu_memory_used_bytes=1800 * MIB, gpu_type=BIG)
                for name in "abc"
            ),
        ),
        baselines=(make_baseline(), make_baseline(gpu_type=BIG)),
    )

    changes = gpupack.place(profiles, gpus=GPU).explain().changes

    assert not any("big-gpu" in one.change for one in changes)
    for change in changes:
        assert change.kind is ChangeKind.GPU_TYPE
        name = change.change.removesuffix(" GPUs instead")
        again = gpupack.place(profiles, gpus=name, carry_memory_over=True)
        assert again.num_gpus == change.value


def test_what_is_said_to_clash_clashes_and_what_would_do_does() -> None:
    num_clashes = 0
    for seed in range(40):
        asked = Asked(1000 + seed)
        asked.arguments |= {"objective": "min_gpus", "gpus": {GPU: 1}, "prices": None}
        with contextlib.suppress(
            InvalidInputError, MissingReadingError, NotFoundInTimeError
        ):
            try:
                asked.place()
            except InfeasibleError as error:
                num_clashes += _require_true_clash(seed, asked, error)
    assert num_clashes > 10


def _require_true_clash(seed: int, asked: Asked, error: InfeasibleError) -> int:
    where = f"question {seed}: {asked.arguments}: {error}"
    would_do = re.search(r"(\d+) test-gpu GPUs would do", error.suggestion or "")
    if would_do is not None:
        found = asked.place(gpus={GPU: int(would_do[1])})
        assert found.num_gpus <= int(would_do[1]), where
    if not error.limits:
        return 0
    wishes = asked.arguments
    limits = error.limits
    held = {
        match[1]: float(match[2])
        for one in limits
        if (match := re.fullmatch(r"headroom of (\w+) (\S+)", one))
    }
    if not held:
        return 0
    optional = set(wishes.get("optional", ()))
    assert not optional & set(error.model_names), where
    replicas = {
        match[1]: int(match[2])
        for one in limits
        if (match := re.fullmatch(r"replicas of '(\w+)' (\d+)", one))
    }
    demand = {
        name: rate if any(f"demand of '{name}'" in one for one in limits) else 0.0
        for name, rate in wishes.get("demand", {}).items()
        if name in error.model_names
    }
    few = asked.profiles.select(error.model_names)
    try:
        gpupack.place(
            few,
            gpus={GPU: 1 if "1 test-gpu GPU" in limits else None},
            headroom=held,
            replicas=replicas or None,
            demand=demand or None,
            load_point=wishes.get("load_point"),
        )
    except InfeasibleError:
        return 1
    raise AssertionError(where)
