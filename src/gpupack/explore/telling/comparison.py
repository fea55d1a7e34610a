"""What differs between a pinned answer and the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.comparison import compare
from gpupack.records.record import Record
from gpupack.report.page.comparing.moves import Change
from gpupack.report.text import format_price, format_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.placement import PlacementRecord
    from gpupack.report.page.comparing.moves import ModelChange, ModelSide


class DifferenceView(Record):
    """One figure before and after."""

    name: str
    before: str
    after: str
    change: str
    """Signed; empty where it is the same."""


class ChangedModel(Record):
    """A model that changed, and how."""

    name: str
    what: str
    before: str
    after: str


class ComparisonView(Record):
    """Two answers beside each other."""

    figures: tuple[DifferenceView, ...]
    models: tuple[ChangedModel, ...]
    is_equal: bool


def comparison_view(
    before: PlacementRecord, after: PlacementRecord, names: Sequence[str]
) -> ComparisonView:
    """Return what differs, GPUs matched by what is on them.

    Args:
        before: The pinned placement.
        after: The current one.
        names: Models in the order in which they are told.
    """
    found = compare(before, after)
    figures = [_counted("GPUs", found.num_gpus_before, found.num_gpus_after)]
    types = dict.fromkeys([*found.gpus_before, *found.gpus_after])
    if len(types) > 1:
        figures += [
            _counted(
                name, found.gpus_before.get(name, 0), found.gpus_after.get(name, 0)
            )
            for name in types
        ]
    if found.price_per_hour_before is not None or (
        found.price_per_hour_after is not None
    ):
        figures.append(
            _priced(
                (found.price_per_hour_before, before.currency),
                (found.price_per_hour_after, after.currency),
            )
        )
    figures.append(
        DifferenceView(
            name="Moves",
            before="",
            after="",
            change=_moves(
                found.count(Change.MOVES),
                found.count(Change.ADDED),
                found.count(Change.REMOVED),
                found.count(Change.STAYS),
            ),
        )
    )
    order = {name: index for index, name in enumerate(names)}
    changed = sorted(
        found.changed_models,
        key=lambda one: (order.get(one.model_name, len(order)), one.model_name),
    )
    return ComparisonView(
        figures=tuple(figures),
        models=tuple(map(_changed, changed)),
        is_equal=found.is_equal,
    )


def _counted(name: str, before: int, after: int) -> DifferenceView:
    change = "" if before == after else f"{after - before:+,}"
    return DifferenceView(
        name=name, before=f"{before:,}", after=f"{after:,}", change=change
    )


_Price = tuple[float | None, str | None]
"""Per hour, and its currency."""


def _priced(before: _Price, after: _Price) -> DifferenceView:
    (then, old), (now, new) = before, after
    if then is None or now is None:
        change = "no price was known" if then is None else "no price is known now"
    elif (old or "").casefold() != (new or "").casefold():
        change = "in another currency"
    elif then == now:
        change = ""
    else:
        change = f"{'+' if now > then else '−'}{format_price(abs(now - then), new)}"
    return DifferenceView(
        name="Per hour",
        before=format_price(then, old),
        after=format_price(now, new),
        change=change,
    )


def _moves(moves: int, added: int, removed: int, stays: int) -> str:
    counts = {"move": moves, "added": added, "removed": removed, "stay": stays}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _changed(model: ModelChange) -> ChangedModel:
    counts = {change: model.count(change) for change in Change}
    parts = [
        f"{counts[change]:,} {change.value}"
        for change in (Change.MOVES, Change.ADDED, Change.REMOVED)
        if counts[change]
    ]
    if any(one.changes_load_point for one in model.moves):
        parts.append("other load point")
    if not parts:
        parts.append("other traffic")
    return ChangedModel(
        name=model.model_name,
        what=", ".join(parts),
        before=_side(model.before),
        after=_side(model.after),
    )


def _side(side: ModelSide | None) -> str:
    if side is None:
        return "not there"
    parts = [f"{side.num_instances:,} ×"]
    if side.served_infer_per_sec is not None:
        parts.append(f"{format_rate(side.served_infer_per_sec)} infer/sec")
    if side.lowest_retention is not None:
        parts.append(f"keeps {side.lowest_retention:.0%}")
    return ", ".join(parts)
