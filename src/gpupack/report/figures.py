"""Placements, profiles and frontiers as matplotlib figures, for notebooks and papers.

Every function returns a figure of its own that pyplot does not keep: notebooks show
it, ``figure.savefig("name.svg")`` writes it as SVG, PDF or PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingExtraError
from gpupack.quoting import printable, quoted
from gpupack.records.gpu import Resource
from gpupack.report.bars import (
    RESOURCE_NAMES,
    UNIT_SYMBOLS,
    Bar,
    bar_of,
    full_scale,
    shown_resources,
)
from gpupack.report.page.curves import ModelCurves, model_curves
from gpupack.report.palette import (
    SEQUENCE_COLORS,
    SEQUENCE_MARKERS,
    SERVER_COLOR,
    style_by_model,
)
from gpupack.report.summary import title_of
from gpupack.report.text import format_number, gpu_numbers
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

    from gpupack.records.frontier import FrontierRecord
    from gpupack.records.placement import PlacementRecord
    from gpupack.records.profile import LoadPoint, ProfileRecord

_MOST_LABELS = 40
"""GPUs and models that are written out; more would only overlap."""
_LABEL_PLACES = (
    ((0, 8), "center"),
    ((0, -9), "center"),
    ((7, 0), "left"),
    ((-7, 0), "right"),
)
"""Where a text may stand beside its point: distance in points, and its own side."""
_LIMIT_COLOR = "#b3261e"


def plot_placement(placement: PlacementRecord) -> Figure:
    """Return a row per GPU and a column per resource, models stacked.

    GPUs that hold the same share a row.

    A red line marks what the headroom allows, a dotted one the end of what there is
    where utilizations exceed it.

    Raises:
        InvalidInputError: If the placement is empty.
        MissingExtraError: If matplotlib is not installed.
    """
    if not placement.gpus:
        raise InvalidInputError("an empty placement has no bars to draw")
    resources = shown_resources([placement]) or (Resource.MEMORY,)
    groups = placement.groups
    height = min(0.34 * len(groups), 30) + 1.9
    figure = _new_figure(3.4 * len(resources) + 1.2, height)
    all_axes = figure.subplots(1, len(resources), sharey=True, squeeze=False)[0]
    for axes, resource in zip(all_axes, resources, strict=True):
        _stack(axes, placement, resource)
    step = -(-len(groups) // _MOST_LABELS)
    all_axes[0].set_yticks(
        range(0, len(groups), step),
        [f"GPU {gpu_numbers(group)}" for group in groups[::step]],
    )
    all_axes[0].invert_yaxis()
    proof = f"{placement.status.value}, {placement.objective.value}"
    figure.suptitle(f"{title_of(placement)} ({proof})", fontsize="medium")
    _legend(figure, placement)
    return figure


def plot_profiles(
    records: Sequence[ProfileRecord],
    model_name: str,
    chosen: Sequence[LoadPoint] = (),
) -> Figure:
    """Return throughput and latency over concurrency, a line per batch size.

    One row per GPU type; bars are 95 % confidence intervals, hollow points never
    settled, rings mark the ``chosen`` load points.

    Raises:
        InvalidInputError: If there is no record of the model.
        MissingExtraError: If matplotlib is not installed.
    """
    rows = model_curves(
        [record for record in records if record.model_name == model_name],
        [(model_name, load_point) for load_point in chosen],
    )
    if not rows:
        raise InvalidInputError(f"no profile of {quoted(model_name)} to draw")
    figure = _new_figure(8.4, 2.9 * len(rows) + 0.4)
    for (left, right), curves in zip(
        figure.subplots(len(rows), 2, squeeze=False), rows, strict=True
    ):
        _draw_curves(left, curves, "throughput_infer_per_sec")
        left.set_ylabel("throughput, infer/s")
        _draw_curves(right, curves, "latency_ms")
        right.set_ylabel(f"{curves.latency_title or 'latency (not measured)'}, ms")
        for axes in (left, right):
            axes.set_title(_literal(curves.gpu_type_name), fontsize="small")
            axes.set_xscale("log", base=2)
            axes.set_xticks(curves.concurrencies, list(map(str, curves.concurrencies)))
            axes.set_xlabel("concurrency, requests in flight")
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        left.legend(fontsize="small", frameon=False)
    figure.suptitle(_literal(model_name), fontsize="medium")
    return figure


def plot_frontier(frontier: FrontierRecord) -> Figure:
    """Return throughput over GPUs, or over price where every point has one.

    Points are what was placed; the dashed line is what is proved to be possible
    at most.

    Raises:
        InvalidInputError: If the frontier has no point.
        MissingExtraError: If matplotlib is not installed.
    """
    points = frontier.steps
    if not points:
        raise InvalidInputError("a frontier without points cannot be drawn")
    prices = [point.price_per_hour for point in points]
    known = [price for price in prices if price is not None]
    priced = len(known) == len(points)
    x_all = known if priced else [float(point.num_gpus) for point in points]
    figure = _new_figure(6.0, 3.8)
    axes = figure.subplots()
    axes.plot(
        x_all,
        [point.bound_infer_per_sec for point in points],
        "--",
        color=SERVER_COLOR,
        label="proved: no more is possible",
    )
    axes.plot(
        x_all,
        [point.throughput_infer_per_sec for point in points],
        "o-",
        color=SEQUENCE_COLORS[0],
        label="placed",
    )
    axes.set_xlabel("price per hour" if priced else "GPUs")
    axes.set_ylabel("throughput, infer/s")
    axes.set_ylim(0, 1.12 * max(point.bound_infer_per_sec for point in points) or 1)
    if not priced:
        axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    legend = axes.legend(frameon=False, loc="lower right")
    written = [
        ", ".join(
            [format_number(point.throughput_infer_per_sec)]
            + ([_literal(point.label)] if point.label else [])
        )
        for point in points
    ]
    xy_all = [
        (x, point.throughput_infer_per_sec)
        for x, point in zip(x_all, points, strict=True)
    ]
    _write_apart(figure, axes, legend, xy_all, written)
    return figure


def _write_apart(
    figure: Figure,
    axes: Axes,
    legend: Legend,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
) -> None:
    """Write a text beside each point where it covers no other, or else not at all.

    The ends of the line come first: they are what people look for.
    """
    figure.draw_without_rendering()
    taken = [legend.get_window_extent()]
    middle = range(1, len(points) - 1)
    for index in dict.fromkeys([0, len(points) - 1, *middle]):
        for offset, side in _LABEL_PLACES:
            label = axes.annotate(
                texts[index],
                points[index],
                xytext=offset,
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize="x-small",
                in_layout=False,
            )
            box = label.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            inside = inside and axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
            if inside and not any(box.overlaps(one) for one in taken):
                taken.append(box)
                break
            label.remove()


def _new_figure(width_inches: float, height_inches: float) -> Figure:
    try:
        import matplotlib.pyplot as plt
    except ImportError as err:
        raise MissingExtraError(
            "figures need matplotlib: pip install 'gpupack[report]'"
        ) from err
    # pyplot is asked so that notebooks know how to show a figure; closed, so that it
    # is shown once and does not pile up.
    figure = plt.figure(figsize=(width_inches, height_inches), layout="constrained")
    plt.close(figure)
    return figure


def _stack(axes: Axes, placement: PlacementRecord, resource: Resource) -> None:
    styles = style_by_model(name for gpu in placement.gpus.runs for name in gpu.models)
    bars = [bar_of(group.runs[0], resource) for group in placement.groups]
    for row, bar in enumerate(bars):
        left = 0.0
        for segment in bar.segments if bar is not None else ():
            width = _in_unit(resource, segment.amount)
            style = None if segment.model_name is None else styles[segment.model_name]
            axes.barh(
                row,
                width,
                left=left,
                height=0.72,
                color=SERVER_COLOR if style is None else style.color,
                hatch="xxx" if style is None else style.hatch,
                edgecolor="white",
                linewidth=0.6,
            )
            left += width
    _mark_limits(axes, bars)
    known = [bar for bar in bars if bar is not None]
    if known:
        capacity = max(_in_unit(resource, bar.capacity) for bar in known)
        axes.set_xlim(0, capacity * full_scale([placement], resource) * 1.02)
    axes.set_xlabel(f"{resource.words}, {UNIT_SYMBOLS[resource.unit]}")
    axes.set_title(RESOURCE_NAMES[resource], fontsize="small")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _mark_limits(axes: Axes, bars: Sequence[Bar | None]) -> None:
    for row, bar in enumerate(bars):
        if bar is None:
            continue
        low, high = row - 0.48, row + 0.48
        if bar.limit is not None:
            limit = _in_unit(bar.resource, bar.limit)
            axes.vlines(limit, low, high, color=_LIMIT_COLOR, linewidth=1.6)
        elif bar.used > bar.capacity:
            capacity = _in_unit(bar.resource, bar.capacity)
            axes.vlines(capacity, low, high, color="black", linestyle=":")


def _legend(figure: Figure, placement: PlacementRecord) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    styles = style_by_model(name for gpu in placement.gpus.runs for name in gpu.models)
    handles: list[Patch | Line2D] = []
    if len(styles) <= _MOST_LABELS:
        handles += [
            Patch(
                facecolor=style.color,
                hatch=style.hatch,
                edgecolor="white",
                label=_literal(name),
            )
            for name, style in styles.items()
        ]
    handles.append(
        Patch(facecolor=SERVER_COLOR, hatch="xxx", edgecolor="white", label="server")
    )
    handles.append(Line2D([], [], color=_LIMIT_COLOR, label="what the headroom allows"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=max(1, int(figure.get_figwidth() // 2.8)),
        fontsize="small",
        frameon=False,
    )


def _draw_curves(axes: Axes, curves: ModelCurves, field: str) -> None:
    for index, batch in enumerate(curves.batches):
        points = [
            (point, value)
            for point in batch.points
            if (value := getattr(point, field)) is not None
        ]
        color = SEQUENCE_COLORS[index % len(SEQUENCE_COLORS)]
        marker = SEQUENCE_MARKERS[index % len(SEQUENCE_MARKERS)]
        axes.errorbar(
            [point.concurrency for point, _ in points],
            [value for _, value in points],
            yerr=[
                value * (point.throughput_ci_ratio or 0.0)
                if field == "throughput_infer_per_sec"
                else 0.0
                for point, value in points
            ],
            color=color,
            marker=marker,
            capsize=2,
            label=_literal(batch.title),
        )
        for point, value in points:
            if point.is_stable is False:
                axes.plot(
                    point.concurrency,
                    value,
                    marker,
                    color=color,
                    mfc="white",
                    zorder=4,
                )
            if point.is_chosen:
                axes.plot(point.concurrency, value, "o", ms=13, mfc="none", mec="black")


def _in_unit(resource: Resource, amount: float) -> float:
    return mib_from_bytes(amount) if resource.is_held else amount


def _literal(text: str) -> str:
    """Return untrusted text such that matplotlib takes no ``$`` in it for formulas."""
    return printable(text).replace("$", r"\$")
