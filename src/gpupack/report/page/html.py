"""Placements as one self-contained HTML file.

Nothing is loaded from anywhere: styles and script are inline, and a content security
policy lets only this very script run, whatever a model is called.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import for_people, number_ranges, printable_name
from gpupack.report.bars import RESOURCE_NAMES, format_amount
from gpupack.report.page.rightsizing import (
    counted_models,
    rightsizing_headline,
    rightsizing_title,
)
from gpupack.report.page.view import ReportView
from gpupack.report.summary import (
    OBJECTIVE_NAMES,
    count_of,
    headroom_shares,
    headroom_text,
)
from gpupack.report.text import (
    format_number,
    format_price,
    format_rate,
    load_text,
)
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jinja2

    from gpupack.records.explanation import Explanation
    from gpupack.records.frontier import FrontierRecord
    from gpupack.records.placement import PlacementRecord
    from gpupack.records.running.rightsizing import RightsizingRecord


def render_report(
    placements: Sequence[tuple[str, PlacementRecord]],
    *,
    frontier: FrontierRecord | None = None,
    explanation: Explanation | None = None,
) -> str:
    """Return a complete HTML page.

    Args:
        placements: A label and a placement each; with two or more, each is compared
            with the one before it.
        frontier: A trade-off to be drawn beside them.
        explanation: Why the last placement is as it is.

    Raises:
        InvalidInputError: If there is no placement, or two have the same label.
    """
    if not placements:
        raise InvalidInputError("a report needs at least one placement")
    labels = [label for label, _ in placements]
    if len(set(labels)) != len(labels):
        raise InvalidInputError(f"placements need different labels, got {labels}")
    template = _jinja().get_template("report.html")
    script = _template_text("report.js")
    view = ReportView(placements, frontier)
    return template.render(
        view=view,
        explanation=explanation,
        printable_names=[printable_name(name) for name in view.model_names],
        style=_template_text("report.css"),
        script=script,
        script_hash=base64.b64encode(
            hashlib.sha256(script.encode("utf-8")).digest()
        ).decode("ascii"),
    )


def render_rightsizing(record: RightsizingRecord) -> str:
    """Return what would do for what runs as a complete HTML page, without a script."""
    return (
        _jinja()
        .get_template("rightsizing.html")
        .render(
            record=record,
            title=rightsizing_title(record),
            headline=rightsizing_headline(record),
            counted=counted_models,
            price=format_price,
            style=_template_text("report.css"),
        )
    )


@cache
def _template_text(name: str) -> str:
    return (
        files("gpupack.report").joinpath("templates", name).read_text(encoding="utf-8")
    )


@cache
def _jinja() -> jinja2.Environment:
    import jinja2  # only when a page is written: `import gpupack` is quick

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gpupack.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        printable=for_people,
        short_name=printable_name,
        number=format_number,
        rate=format_rate,
        mib=lambda num_bytes: format_number(mib_from_bytes(num_bytes), 0),
        percent=lambda ratio: "–" if ratio is None else f"{ratio:.0%}",
    )
    environment.globals.update(
        count_of=count_of,
        format_amount=format_amount,
        headroom_shares=headroom_shares,
        headroom_text=headroom_text,
        load_text=load_text,
        number_ranges=number_ranges,
        objective_names=OBJECTIVE_NAMES,
        resource_names=RESOURCE_NAMES,
    )
    return environment
