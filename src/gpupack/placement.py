"""A placement and everything one can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.cost import Cost, cost_of
from gpupack.frames import frame_of
from gpupack.records.placement import PlacementRecord
from gpupack.report.summary import title_of
from gpupack.report.text import (
    format_placement,
    placement_html_table,
    placement_markdown,
    placement_rows,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gpupack.records.explanation import Explanation
    from gpupack.records.frontier import FrontierRecord


class Placement(PlacementRecord):
    """Which model runs where, how good that is, and what proves it.

    ``print(placement)`` is a readable table; notebooks show one by themselves.
    """

    def explain(self) -> Explanation:
        """Return what binds, what proves it, and which single changes would help.

        The same as ``gpupack.explain(placement)``: the placement holds what was asked,
        and of what. Takes seconds, and up to 22 in all: the question is asked again
        with one thing changed at a time, for 20 s at most, each time for 2 s at most.

        Raises:
            InvalidInputError: If it was read from a file without its profiles, or of
                an older gpupack that did not keep what was asked.
        """
        # The one way up: planning builds placements, and knows how to ask again.
        from gpupack.planning import explain

        return explain(self)

    @property
    def cost(self) -> Cost | None:
        """What it costs: per hour, month and year, by model; None without prices."""
        return cost_of(self)

    def __repr__(self) -> str:
        """Return one short line: a placement of thousands of GPUs is one as well."""
        return (
            f"<Placement: {title_of(self)}, {self.objective.value}, "
            f"{self.status.value}>"
        )

    def __str__(self) -> str:
        """Return a readable table, one line per GPU."""
        return format_placement(self)

    def to_json(self) -> str:
        """Return the whole placement as indented JSON; ``read_placement`` reads it."""
        return self.model_dump_json(indent=2, exclude_none=True)

    def to_markdown(self) -> str:
        """Return a Markdown table, one row per GPU; model names are escaped."""
        return placement_markdown(self)

    def to_html(
        self,
        *,
        before: PlacementRecord | None = None,
        frontier: FrontierRecord | None = None,
        explanation: Explanation | None = None,
    ) -> str:
        """Return a self-contained HTML page: bars, tables, curves, environment.

        It loads nothing from anywhere and opens from disk.

        Args:
            before: An earlier placement to set beside this one, with what moved.
            frontier: A trade-off to be drawn as well.
            explanation: What ``explain()`` returned, to be told as well.
        """
        placements: list[tuple[str, PlacementRecord]] = [("after", self)]
        if before is None:
            placements = [("placement", self)]
        else:
            placements.insert(0, ("before", before))
        # The page's templates and tables are of use to a report alone.
        from gpupack.report.page.html import render_report

        return render_report(placements, frontier=frontier, explanation=explanation)

    def plot(self) -> Figure:
        """Return the placement as a matplotlib figure: models stacked per GPU.

        Raises:
            InvalidInputError: If the placement is empty.
            MissingExtraError: If matplotlib is not installed.
        """
        from gpupack.report.figures import plot_placement

        return plot_placement(self)

    def _repr_html_(self) -> str:
        return placement_html_table(self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model instance; needs pandas.

        Columns: ``gpu_index``, ``gpu_type``, then the assignment's field names with
        ``batch_size`` and ``concurrency`` in place of the load point.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        alike = placement_rows(self)
        frame = frame_of([row for rows in alike for row in rows])
        # Rows of equal GPUs are made once: 10⁵ GPUs would take 200 MiB as dicts.
        first = 0
        rows_of: list[int] = []
        indices: list[int] = []
        for gpu, rows in zip(self.gpus.runs, alike, strict=True):
            rows_of += [*range(first, first + len(rows))] * gpu.num_gpus
            indices += (index for index in gpu.gpu_indices for _ in rows)
            first += len(rows)
        if not frame.empty:
            frame = frame.take(rows_of).reset_index(drop=True)
            frame["gpu_index"] = indices
        return frame
