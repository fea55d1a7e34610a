"""A frontier and everything one can do with it."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.frames import frame_of
from gpupack.placement import Placement
from gpupack.quoting import printable_name
from gpupack.records.frontier import FrontierRecord
from gpupack.records.gpu import ResourceUnit
from gpupack.report.summary import count_of, served_least, served_text
from gpupack.report.text import format_number, format_price

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gpupack.records.frontier import FrontierPoint


class Frontier(FrontierRecord):
    """What every number of GPUs, or every budget, yields at best.

    ``print(frontier)`` is a readable table; notebooks show one by themselves.
    """

    placements: tuple[Placement, ...] = ()
    """The placement behind each point, in the same order."""
    wanted_infer_per_sec: float
    """Weighted throughput of all that is asked for: where the frontier ends."""

    budgets_not_placed: tuple[float, ...] = ()
    """Those without a point: too small, or nothing was found in time."""
    budgets_not_tried: tuple[float, ...] = ()
    """Those that were not come to: time was up, or it was interrupted."""

    def __repr__(self) -> str:
        """Return one short line, however many placements are behind it."""
        return f"<Frontier: {count_of(len(self.steps), 'step')}>"

    def __str__(self) -> str:
        """Return a readable table, one line per step, and what it does not say."""
        return "\n\n".join([self._table("simple"), *self._below()])

    def _repr_html_(self) -> str:
        below = "".join(
            f"<p>{escape(text).replace(chr(10), '<br>')}</p>" for text in self._below()
        )
        return self._table("html") + below

    def _below(self) -> list[str]:
        """Return who gets less than all, and the budgets without a point."""
        told = [
            f"{self._step_name(point)}: {served_least(point)}"
            for point in self.steps
            if served_least(point)
        ]
        parts = ["Served least, of what each model wants:\n" + "\n".join(told)]
        if not told:
            parts = []
        if not self.wanted_infer_per_sec:
            parts.append("No traffic is asked for: every model has a demand of 0.")
        shown = format_price if self._is_priced else format_number
        unit = "per hour" if self._is_priced else "GPUs"
        for what, budgets in (
            ("no placement found for", self.budgets_not_placed),
            ("not tried in the time there was:", self.budgets_not_tried),
        ):
            if budgets:
                parts.append(f"{what} {', '.join(map(shown, budgets))} {unit}")
        return parts

    def _step_name(self, point: FrontierPoint) -> str:
        if self._is_priced:
            return f"{format_price(point.budget_per_hour)} per hour"
        return count_of(point.num_gpus, "GPU")

    @property
    def gains(self) -> tuple[float | None, ...]:
        """What each step serves more than the one before; None for the first.

        Weighted infer/sec: what the next GPUs, or the next money, would serve.
        """
        yields = [point.throughput_infer_per_sec for point in self.steps]
        return (None, *(b - a for a, b in pairwise(yields)))[: len(yields)]

    def plot(self) -> Figure:
        """Return throughput over GPUs, or over price, as a matplotlib figure.

        Raises:
            MissingExtraError: If matplotlib is not installed.
        """
        from gpupack.report.figures import plot_frontier

        return plot_frontier(self)

    def to_json(self) -> str:
        """Return the frontier with its placements as indented JSON."""
        return self.model_dump_json(indent=2, exclude_none=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per step; needs pandas.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        return frame_of(
            [
                point.model_dump(exclude={"headroom"})
                | {"utilization_headroom": _utilization_headroom(point)}
                | {"gain_infer_per_sec": gain}
                for point, gain in zip(self.steps, self.gains, strict=True)
            ]
        )

    @property
    def _is_priced(self) -> bool:
        return any(point.budget_per_hour is not None for point in self.steps)

    def _table(self, style: str) -> str:
        columns = [
            column
            for column in _columns(self)
            # An empty column says nothing, and 80 are soon full.
            if any(text not in ("", "–") for text in column[1:])
        ]
        titles = [column[0] for column in columns]
        rows = zip(*(column[1:] for column in columns), strict=True)
        return tabulate(
            list(rows), headers=titles, disable_numparse=True, tablefmt=style
        )


def _columns(frontier: Frontier) -> list[list[str]]:
    """Return the columns of the table, each with its title first."""
    steps = frontier.steps
    wanted = frontier.wanted_infer_per_sec
    served = [one.throughput_infer_per_sec for one in steps]
    return [
        ["budget", *(format_price(one.budget_per_hour) for one in steps)],
        ["GPUs", *(str(one.num_gpus) for one in steps)],
        ["fleet", *(printable_name(one.label or "") for one in steps)],
        ["price/h", *(format_price(one.price_per_hour) for one in steps)],
        ["infer/s", *(format_number(rate) for rate in served)],
        ["bound", *(format_number(one.bound_infer_per_sec) for one in steps)],
        [
            "served",
            *(served_text(one.throughput_infer_per_sec, wanted) for one in steps),
        ],
        ["headroom", *(_percent(_utilization_headroom(one)) for one in steps)],
        ["status", *(one.status.value for one in steps)],
    ]


def _utilization_headroom(point: FrontierPoint) -> float | None:
    if point.headroom is None:
        return None
    shares = [
        share
        for resource, share in point.headroom
        if resource.unit is ResourceUnit.PERCENT
    ]
    return max(shares, default=None)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"
