"""What the HTML report shows, worked out before any HTML is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gpupack.report.bars import (
    RESOURCE_NAMES,
    Bar,
    bar_of,
    full_scale,
    shown_resources,
)
from gpupack.report.cautions import cautions_of, type_text
from gpupack.report.page.circumstances import circumstances
from gpupack.report.page.comparing.comparison import compare_placements
from gpupack.report.page.curves import ModelCurves, model_curves
from gpupack.report.page.demand import demand_verdict
from gpupack.report.page.measurements import MeasurementColumn, known_columns
from gpupack.report.page.model_table import ModelRow, model_rows
from gpupack.report.page.plot_area import PlotArea, Series, draw
from gpupack.report.palette import ModelStyle, style_by_model
from gpupack.report.summary import Fact, facts_of, served_least, title_of
from gpupack.report.text import gpu_numbers, times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.frontier import FrontierPoint, FrontierRecord
    from gpupack.records.gpu import Resource
    from gpupack.records.placement import (
        GpuPlacement,
        PlacedGpus,
        PlacementRecord,
    )
    from gpupack.records.profile import ProfileRecord
    from gpupack.report.page.comparing.moves import ComparisonRecord

_MOST_CURVES = 60
"""Models whose curves are drawn; more would only make the file heavy."""
_MOST_DESCRIBED = 200
"""Different GPUs whose bars name every model in words; chips below list them."""
_MOST_RECORDS = 2000
"""Profile records listed."""
_MOST_MOVES = 5000
"""Model instances listed when two placements are compared."""


@dataclass(frozen=True, slots=True)
class GpuRow:
    """Equal GPUs with a bar per shown resource, None where it is not known."""

    group: PlacedGpus
    """Those that hold the same; one at least."""
    numbers: str
    """Their indices: ``"0–6"``."""
    bars: tuple[Bar | None, ...]

    @property
    def gpu(self) -> GpuPlacement:
        """The first of them."""
        return self.group.runs[0]

    @property
    def times(self) -> str:
        """How many there are: ``"7 × "``; nothing for one alone."""
        return times(self.group)


def _gpu_row(group: PlacedGpus, resources: Sequence[Resource]) -> GpuRow:
    numbers = gpu_numbers(group)
    bars = tuple([bar_of(group.runs[0], one, numbers=numbers) for one in resources])
    return GpuRow(group, numbers, bars)


@dataclass(frozen=True, slots=True)
class CurvePair:
    """The two charts of one model on one GPU type."""

    curves: ModelCurves
    throughput: PlotArea | None
    latency: PlotArea | None


class PlacementView:
    """One placement of the report."""

    def __init__(
        self, label: str, placement: PlacementRecord, resources: Sequence[Resource]
    ) -> None:
        self.label = label
        self.placement = placement
        verdict = demand_verdict(placement)
        told = "" if verdict is None else str(verdict)
        self.title = title_of(placement)
        if told:
            self.title = f"{told[:1].upper()}{told[1:]} – {self.title}"
        self.facts: tuple[Fact, ...] = facts_of(placement)
        # Told once: whether a type is estimated is looked for in every record.
        self._type_texts = {
            name: type_text(placement, name) for name in placement.gpus_by_type
        }
        self.gpu_rows = tuple(_gpu_row(group, resources) for group in placement.groups)
        self.model_rows: tuple[ModelRow, ...] = model_rows(placement)
        self.notices = _notices(placement)

    def type_text(self, gpu_type_name: str) -> str:
        """Return the name of a GPU type, and whether it is planned by estimates."""
        return self._type_texts[gpu_type_name]

    @cached_property
    def has_predicted(self) -> bool:
        """Whether any model's throughput beside its neighbours was predicted."""
        return any(row.predicted_infer_per_sec is not None for row in self.model_rows)

    @cached_property
    def has_served(self) -> bool:
        """Whether any model takes traffic that was asked for."""
        return any(row.served_infer_per_sec is not None for row in self.model_rows)


class ReportView:
    """The whole report.

    Args:
        placements: Labels and placements, in the order to be shown.
        frontier: The trade-off to be drawn, if one is known.
    """

    def __init__(
        self,
        placements: Sequence[tuple[str, PlacementRecord]],
        frontier: FrontierRecord | None = None,
    ) -> None:
        self.comparisons: list[tuple[str, str, ComparisonRecord]] = []
        """Each placement against the one before it."""
        placements = self._renumbered(placements)
        records = [placement for _, placement in placements]
        self.resources = shown_resources(records)
        self.resource_names = [RESOURCE_NAMES[one] for one in self.resources]
        self.scales = [full_scale(records, one) for one in self.resources]
        self.placements = [
            PlacementView(label, placement, self.resources)
            for label, placement in placements
        ]
        self.model_names = sorted(
            {name for one in records for gpu in one.gpus.runs for name in gpu.models}
            | {record.model_name for one in records for record in one.placed_profiles}
        )
        self.model_index = {name: index for index, name in enumerate(self.model_names)}
        self.look_by_model = {
            name: _look(style)
            for name, style in style_by_model(self.model_names).items()
        }
        self.frontier = frontier
        self._records = records

    @cached_property
    def is_large(self) -> bool:
        """Whether every bar's words are cut to its total, to keep the file small."""
        return sum(len(one.gpu_rows) for one in self.placements) > _MOST_DESCRIBED

    @property
    def title(self) -> str:
        """What the report is about, in one line."""
        if len(self.placements) == 1:
            return self.placements[0].title
        return "; ".join(f"{one.label}: {one.title}" for one in self.placements)

    def _renumbered(
        self, placements: Sequence[tuple[str, PlacementRecord]]
    ) -> list[tuple[str, PlacementRecord]]:
        """Compare each with the one before it, and number its GPUs as they match."""
        found = list(placements[:1])
        for label, placement in placements[1:]:
            old_label, old = found[-1]
            comparison = compare_placements(old, placement)
            self.comparisons.append((old_label, label, comparison))
            found.append((label, comparison.renumbered(placement)))
        return found

    @property
    def most_moves(self) -> int:
        """Moves listed at most."""
        return _MOST_MOVES

    @cached_property
    def profile_records(self) -> list[ProfileRecord]:
        """Every profile record once, by model, GPU type and load point."""
        by_key = {
            record.key: record
            for one in self._records
            for record in one.placed_profiles
        }
        return sorted(
            by_key.values(),
            key=lambda one: (
                one.model_name,
                one.gpu_type.name,
                one.load_point.sort_key,
            ),
        )

    @property
    def listed_records(self) -> list[ProfileRecord]:
        """The profile records that the table shows."""
        return self.profile_records[:_MOST_RECORDS]

    @cached_property
    def has_variants(self) -> bool:
        """Whether some listed record is of one of several configurations."""
        return any(one.load_point.variant is not None for one in self.listed_records)

    @cached_property
    def measurement_columns(self) -> list[MeasurementColumn]:
        """The readings that some listed record has."""
        return known_columns(self.listed_records)

    @cached_property
    def all_curves(self) -> list[ModelCurves]:
        """Every model with more than one load point."""
        chosen = [
            (assignment.model_name, assignment.load_point)
            for one in self._records
            for gpu in one.gpus.runs
            for assignment in gpu.assignments
        ]
        return [
            curves
            for curves in model_curves(self.profile_records, chosen)
            if curves.num_points > 1
        ]

    @cached_property
    def curve_pairs(self) -> list[CurvePair]:
        """The charts that are drawn."""
        return [
            CurvePair(
                curves,
                _chart(curves, "throughput_infer_per_sec", "Throughput", "infer/s"),
                _chart(curves, "latency_ms", curves.latency_title or "", "ms"),
            )
            for curves in self.all_curves[:_MOST_CURVES]
        ]

    @cached_property
    def frontier_chart(self) -> PlotArea | None:
        """Throughput over GPUs or price, None without a frontier."""
        if self.frontier is None or not self.frontier.steps:
            return None
        points = self.frontier.steps
        priced = all(point.price_per_hour is not None for point in points)
        x_all = [
            float((point.price_per_hour or 0.0) if priced else point.num_gpus)
            for point in points
        ]
        found = [point.throughput_infer_per_sec for point in points]
        bound = [point.bound_infer_per_sec for point in points]
        series = [Series("placed", tuple(zip(x_all, found, strict=True)))]
        if bound != found:
            series.append(Series("bound", tuple(zip(x_all, bound, strict=True))))
        return draw(
            series,
            title="Frontier",
            x_title="price per hour" if priced else "GPUs",
            y_title="throughput, infer/s",
            log_x=False,
        )

    @cached_property
    def has_served_shares(self) -> bool:
        """Whether it is known what each model gets at each step of the frontier."""
        return self.frontier is not None and any(
            point.served_share for point in self.frontier.steps
        )

    def served_least(self, point: FrontierPoint) -> str:
        """Return the models that get least of what they want, the worst first."""
        return served_least(point) or "all get all"

    def others_served(self, point: FrontierPoint) -> bool:
        """Return whether there are models beside those that get least."""
        return len(point.served_share) > 1

    @cached_property
    def environment_rows(self) -> tuple[tuple[str, str], ...]:
        """Where and how the profiles were measured."""
        return circumstances([record.environment for record in self.profile_records])

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Labels and warnings of all placements."""
        return [
            (view.label, text)
            for view in self.placements
            for text in dict.fromkeys(
                (
                    *cautions_of(view.placement),
                    *view.placement.warnings,
                    *view.notices,
                )
            )
        ]


def _look(style: ModelStyle) -> str:
    """Return the style's class names in the page."""
    hatch = f" h{style.hatch_index}" if style.hatch_index else ""
    return f"c{style.color_index}{hatch}"


def _notices(placement: PlacementRecord) -> tuple[str, ...]:
    """Say what cannot be shown, and why."""
    notices = []
    if not placement.gpus:
        notices.append("This placement is empty: no GPU holds a model.")
    elif not placement.profiles:
        notices.append(
            "This placement was written without its profiles, so load points, "
            "latencies and the environment cannot be shown; place again to have them."
        )
    else:
        known = {record.model_name for record in placement.placed_profiles}
        lacking = sorted({n for gpu in placement.gpus.runs for n in gpu.models} - known)
        if lacking:
            notices.append(
                f"The profiles of {len(lacking):,} placed models are not in this "
                f"file, among them {lacking[0]}; their curves cannot be shown."
            )
    return tuple(notices)


def _chart(curves: ModelCurves, field: str, title: str, unit: str) -> PlotArea | None:
    series = []
    for batch in curves.batches:
        known = [
            (point, value)
            for point in batch.points
            if (value := getattr(point, field)) is not None
        ]
        if known:
            series.append(
                Series(
                    name=batch.title.replace("batch size", "batch"),
                    points=tuple((one.concurrency, value) for one, value in known),
                    ringed=frozenset(
                        one.concurrency for one, _ in known if one.is_chosen
                    ),
                    hollow=frozenset(
                        one.concurrency for one, _ in known if one.is_stable is False
                    ),
                )
            )
    if not series:
        return None
    return draw(
        series,
        title=title[:1].upper() + title[1:],
        x_title="concurrency, requests in flight",
        y_title=unit,
        log_x=True,
    )
