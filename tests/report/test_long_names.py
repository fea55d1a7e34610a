"""Names of any length are cut wherever people read them, and kept in what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gpupack
from gpupack.records.gpu import GpuType
from tests.factories import MIB, make_baseline, make_record

NUM_LETTERS = 200_000
MODEL, OTHER = "x" * NUM_LETTERS, "y" * NUM_LETTERS + "é\n"
CARD = GpuType(name="z" * NUM_LETTERS, memory_bytes=1000 * MIB)
QUICK: dict[str, Any] = {
    "gpus": {CARD: None}, "prices": {CARD.name: 1.0}, "time_limit_s": 1.0, "workers": 1,
}  # fmt: skip
PROFILES = gpupack.ProfileSet(
    records=tuple(
        make_record(
            name,
            gpu_type=CARD,
            gpu_memory_used_bytes=300 * MIB,
            gpu_utilization_percent=50.0,
            latency_p99_us=5000.0,
        )
        for name in (MODEL, OTHER, "a")
    ),
    baselines=(make_baseline(gpu_type=CARD),),
)


def shown() -> dict[str, str]:
    placed = gpupack.place(PROFILES, demand={MODEL: 50}, **QUICK)
    more = gpupack.place(PROFILES, demand={MODEL: 150}, min_retention=0.5, **QUICK)
    steps = gpupack.frontier(PROFILES, demand={MODEL: 300}, **QUICK)
    bought = gpupack.recommend(PROFILES, demand={MODEL: 50}, **QUICK)
    compared = gpupack.compare(placed, more)
    return {
        "table": str(placed),
        "notebook": placed._repr_html_(),
        "markdown": placed.to_markdown(),
        "cost": str(placed.cost),
        "repr of cost": repr(placed.cost),
        "report": placed.to_html(explanation=placed.explain()),
        "report of two": more.to_html(before=placed, frontier=steps),
        "explanation": str(placed.explain()),
        "a GPU": str(placed.gpus[0]),
        "assignments": repr(placed.gpus[0].assignments),
        "profiles": str(PROFILES),
        "a record": repr(PROFILES.records[0]),
        "frontier": str(steps),
        "frontier in a notebook": steps._repr_html_(),
        "step": repr(steps.steps[0]),
        "recommendation": str(bought),
        "for the shell": bought.to_text(for_shell=True),
        "repr of recommendation": repr(bought),
        "comparison": str(compared),
        "comparison as Markdown": compared.to_markdown(),
    }


def test_what_people_read_shows_enough_of_a_name_to_find_it() -> None:
    for what, text in shown().items():
        for letter in "xyz":
            assert letter * 300 not in text, what
        assert len(text) < 100_000, what


def test_what_is_stored_keeps_names_whole() -> None:
    placed = gpupack.place(PROFILES, **QUICK)

    again = gpupack.Placement.model_validate_json(placed.to_json())

    assert {name for gpu in again.gpus for name in gpu.models} == {MODEL, OTHER, "a"}
    assert again == placed


@pytest.mark.parametrize(
    "ask",
    [
        lambda: gpupack.place(PROFILES, demand={MODEL: 1e6}, **QUICK | {"gpus": 2}),
        lambda: gpupack.place(PROFILES, latency_limit_ms=1, **QUICK),
        lambda: gpupack.place(PROFILES, demand={MODEL + "?": 1}, **QUICK),
        lambda: gpupack.place(PROFILES, replicas=2, max_replicas=1, demand=5, **QUICK),
        lambda: gpupack.place(PROFILES, load_point="9x9", **QUICK),
        lambda: gpupack.place(PROFILES, min_traffic={MODEL: 5}, **QUICK),
    ],
)
def test_errors_are_short_whatever_the_names(ask: Callable[[], object]) -> None:
    with pytest.raises(gpupack.GpupackError) as caught:
        ask()

    for letter in "xyz":
        assert letter * 300 not in str(caught.value)
