"""Answers found while compiled searches are missing say so."""

from __future__ import annotations

import pytest

import gpupack
from gpupack.packing.capacity import capacity_ladder as capacity_solve
from gpupack.packing.items.search import packing_solve

LACKING = "planned without the compiled searches (nobody built them)"


@pytest.fixture(autouse=True)
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_solve, "weaknesses", lambda: (LACKING,))
    monkeypatch.setattr(capacity_solve, "weaknesses", lambda: (LACKING,))


def test_an_unproved_placement_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without bounds nothing is proved at a limit of 0, but by trying everything.
    monkeypatch.setattr(packing_solve, "named_bounds", lambda _: [("", 1)])
    monkeypatch.setattr(packing_solve, "MAX_SMALL_ITEMS", 0)

    placement = gpupack.place(gpupack.load_example("medical"), time_limit_s=0)

    assert placement.status == "FEASIBLE"
    assert LACKING in placement.warnings
    assert LACKING in str(placement)


def test_an_unproved_plan_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_of = capacity_solve._Search.run

    def unproved(search: capacity_solve._Search) -> capacity_solve.CapacityPlan:
        plan = plan_of(search)
        return capacity_solve.replace(
            plan,
            bound=plan.value / 2,
            status=capacity_solve.PlanStatus.FEASIBLE,
        )

    monkeypatch.setattr(capacity_solve._Search, "run", unproved)

    placement = gpupack.place(
        gpupack.load_example("medical"), replicas={"segmentation_mri_brain_tumor": 2}
    )

    assert LACKING in placement.warnings


def test_a_proved_placement_does_not_warn() -> None:
    placement = gpupack.place(gpupack.load_example("medical"))

    assert placement.status == "OPTIMAL"
    assert LACKING not in placement.warnings
