"""Small line charts as SVG geometry, for the HTML report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.report.text import format_number

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 300, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 56, 10, 40
_LABEL_HEIGHT = 13
_CHARACTER_WIDTH = 7


@dataclass(frozen=True, slots=True)
class Series:
    """A named line of (x, y), x ascending."""

    name: str
    points: tuple[tuple[float, float], ...]
    ringed: frozenset[float] = frozenset()
    """The x of points to be ringed."""
    hollow: frozenset[float] = frozenset()
    """The x of points drawn hollow."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis in drawing units, with its label."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point in drawing units."""

    x: float
    y: float
    is_ringed: bool
    is_hollow: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """A line in drawing units, its name written at its right end."""

    name: str
    path: str
    dots: tuple[Dot, ...]
    label_y: float


@dataclass(frozen=True, slots=True)
class PlotArea:
    """A chart ready to be written as SVG."""

    title: str
    x_title: str
    y_title: str
    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    traces: tuple[Trace, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = _HEIGHT - _BOTTOM


def draw(
    series: Sequence[Series], *, title: str, x_title: str, y_title: str, log_x: bool
) -> PlotArea:
    """Return the geometry of a chart whose y axis starts at 0.

    Args:
        series: At least one, each with at least one point.
        title: What is shown.
        x_title: What runs along x, with its unit.
        y_title: What runs along y, with its unit.
        log_x: Whether x is drawn to the base 2; x is then above 0.
    """
    x_all = sorted({x for one in series for x, _ in one.points})
    step = _nice_step(max(y for one in series for _, y in one.points))
    top = step * max(
        1, math.ceil(max(y for one in series for _, y in one.points) / step - 1e-9)
    )

    def place_x(x: float) -> float:
        low, high, here = (
            (math.log2(value) if log_x else value) for value in (x_all[0], x_all[-1], x)
        )
        share = 0.5 if low == high else (here - low) / (high - low)
        return round(_LEFT + 12 + share * (_WIDTH - _LEFT - _RIGHT - 24), 1)

    def place_y(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    traces = []
    for one in series:
        dots = tuple(
            Dot(place_x(x), place_y(y), x in one.ringed, x in one.hollow)
            for x, y in one.points
        )
        path = "M" + "L".join(f"{dot.x:g},{dot.y:g}" for dot in dots)
        traces.append(Trace(one.name, path, dots, dots[-1].y))
    return PlotArea(
        title=title,
        x_title=x_title,
        y_title=y_title,
        description=_describe(series, title, x_title, y_title),
        x_ticks=_apart([Tick(place_x(x), format_number(x, 2)) for x in x_all]),
        y_ticks=tuple(
            Tick(place_y(step * index), _tick_label(step * index))
            for index in range(round(top / step) + 1)
        ),
        traces=_labels_apart(traces),
    )


def _nice_step(highest: float) -> float:
    """Return 1, 2 or 5 times a power of ten that gives three to six steps."""
    if highest <= 0:
        return 1.0
    rough = highest / 4
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if rough <= power * times)


def _tick_label(value: float) -> str:
    return f"{value:,.10g}" if value < 1e6 else f"{value:.3g}"


def _apart(ticks: list[Tick]) -> tuple[Tick, ...]:
    """Drop ticks whose labels would run into their left neighbour's."""
    kept: list[Tick] = []
    for tick in ticks:
        width = _CHARACTER_WIDTH * (len(tick.label) + 1)
        if not kept or tick.place - kept[-1].place >= width:
            kept.append(tick)
    return tuple(kept)


def _labels_apart(traces: list[Trace]) -> tuple[Trace, ...]:
    """Push the names at the lines' ends apart, downwards from the top."""
    lowest = -math.inf
    moved = {}
    for trace in sorted(traces, key=lambda one: one.label_y):
        lowest = max(trace.label_y, lowest + _LABEL_HEIGHT)
        moved[trace.name] = lowest
    # If the last label left the chart, push all up again as far as needed.
    limit = _HEIGHT - _BOTTOM + 4.0
    for trace in sorted(traces, key=lambda one: -moved[one.name]):
        moved[trace.name] = min(moved[trace.name], limit)
        limit = moved[trace.name] - _LABEL_HEIGHT
    return tuple(
        Trace(one.name, one.path, one.dots, round(moved[one.name], 1)) for one in traces
    )


def _describe(series: Sequence[Series], title: str, x_title: str, y_title: str) -> str:
    parts = [
        f"{one.name}: "
        + ", ".join(
            f"{format_number(y)} at {format_number(x, 2)}" for x, y in one.points
        )
        for one in series
    ]
    return f"{title}, {y_title} over {x_title}. " + "; ".join(parts)
