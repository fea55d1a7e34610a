"""Figures: the data in them, not their pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from matplotlib.axes import Axes

import gpupack
from gpupack.errors import InvalidInputError, MissingExtraError, UnknownNameError
from gpupack.records.frontier import FrontierPoint, FrontierRecord
from gpupack.records.placement import PlacementStatus
from gpupack.report.figures import plot_frontier, plot_placement, plot_profiles
from gpupack.report.palette import MODEL_COLORS, style_by_model
from tests.factories import make_profiles
from tests.report.placements import make_assignment, make_placement, make_sweep


def bar_ends(axes: Axes) -> list[float]:
    """How far each row of stacked bars reaches, top row first."""
    ends: dict[float, float] = {}
    for patch in axes.patches:
        row = round(patch.get_y() + patch.get_height() / 2, 6)
        ends[row] = max(ends.get(row, 0.0), patch.get_x() + patch.get_width())
    return [ends[row] for row in sorted(ends)]


def test_the_medical_bars_end_at_the_published_totals() -> None:
    placement = gpupack.place(gpupack.load_example("medical"), "max_throughput")

    memory, gpu_utilization, memory_utilization = placement.plot().axes

    assert sum(bar_ends(memory)) == pytest.approx(53_016 + 6 * 309)
    assert sum(bar_ends(gpu_utilization)) == pytest.approx(491)
    assert sum(bar_ends(memory_utilization)) == pytest.approx(332)


def test_every_axis_has_a_title_with_its_unit() -> None:
    placement = make_placement((make_assignment("a"),))

    assert [axes.get_xlabel() for axes in plot_placement(placement).axes] == [
        "memory, MiB",
        "GPU utilization, %",
    ]
    profiles = make_profiles(*make_sweep("a"))
    assert [axes.get_ylabel() for axes in profiles.plot("a").axes] == [
        "throughput, infer/s",
        "p99 latency, ms",
    ]


def test_curves_hold_every_measured_point() -> None:
    throughput, latency = plot_profiles(make_sweep("a"), "a").axes

    lines = {
        str(container.get_label()): container.lines[0]
        for container in throughput.containers
    }
    assert lines["batch size 4"].get_xydata().tolist() == [  # type: ignore[union-attr]
        [1, 200],
        [2, 400],
        [4, 800],
    ]
    assert latency.containers[0].lines[0].get_ydata().tolist() == [20, 40, 80]


def test_the_frontier_shows_what_is_placed_and_what_is_proved() -> None:
    frontier = FrontierRecord(
        steps=tuple(
            FrontierPoint(
                num_gpus=number,
                price_per_hour=2.5 * number,
                throughput_infer_per_sec=100.0 * number,
                bound_infer_per_sec=110.0 * number,
                status=PlacementStatus.FEASIBLE,
            )
            for number in (1, 2)
        )
    )

    (axes,) = plot_frontier(frontier).axes
    bound, placed = axes.lines

    assert axes.get_xlabel() == "price per hour"
    assert placed.get_xydata().tolist() == [[2.5, 100], [5.0, 200]]  # type: ignore[union-attr]
    assert list(bound.get_ydata()) == [110, 220]


def test_labels_of_a_frontier_never_cover_each_other() -> None:
    # Twenty steps whose labels are wider than the distance between them.
    frontier = FrontierRecord(
        steps=tuple(
            FrontierPoint(
                num_gpus=number,
                price_per_hour=2.5 * number,
                throughput_infer_per_sec=1000.0 + number,
                bound_infer_per_sec=1000.0 + number,
                status=PlacementStatus.OPTIMAL,
                label=f"{number} × A100-80GB + 2 × L4",
            )
            for number in range(1, 21)
        )
    )

    figure = plot_frontier(frontier)

    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 2 <= len(boxes) < 20
    assert not any(
        one.overlaps(other)
        for index, one in enumerate(boxes)
        for other in boxes[:index]
    )
    assert any("20 × A100" in text.get_text() for text in axes.texts)


def test_a_name_is_never_taken_for_a_formula(tmp_path: Path) -> None:
    placement = make_placement((make_assignment("$\\frac{$"), make_assignment("a\nb")))

    plot_placement(placement).savefig(tmp_path / "figure.svg")

    assert (tmp_path / "figure.svg").stat().st_size > 0


def test_figures_do_not_pile_up_in_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    plot_placement(make_placement((make_assignment("a"),)))

    assert plt.get_fignums() == before


def test_colours_come_round_again_with_a_pattern() -> None:
    styles = list(style_by_model(f"{number:02}" for number in range(10)).values())

    assert styles[0].color == styles[len(MODEL_COLORS)].color
    assert styles[0].hatch != styles[len(MODEL_COLORS)].hatch
    assert len({(one.color, one.hatch) for one in styles}) == 10


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InvalidInputError, match="empty placement"):
        plot_placement(make_placement())
    with pytest.raises(InvalidInputError, match="without points"):
        plot_frontier(FrontierRecord(steps=()))
    with pytest.raises(UnknownNameError, match="'b'"):
        make_profiles(*make_sweep("a")).plot("b")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingExtraError, match=r"gpupack\[report\]"):
        plot_placement(make_placement((make_assignment("a"),)))
