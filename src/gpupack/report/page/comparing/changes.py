"""A comparison of two placements as text and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import number_ranges, printable_name
from gpupack.report.markdown import markdown_name
from gpupack.report.page.comparing.moves import Change
from gpupack.report.summary import count_of
from gpupack.report.text import (
    format_number,
    format_price,
    format_rate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpupack.records.profile import LoadPoint
    from gpupack.report.page.comparing.moves import (
        ComparisonRecord,
        ModelChange,
        ModelSide,
    )

_NOTHING = "–"


def format_comparison(comparison: ComparisonRecord) -> str:
    """Return GPUs and cost, then a line per model that changed, as plain text."""
    return _told(comparison, "simple", printable_name)


def comparison_markdown(comparison: ComparisonRecord) -> str:
    """Return the same as Markdown; model names are escaped."""
    return _told(comparison, "pipe", markdown_name) + "\n"


def _told(
    comparison: ComparisonRecord, style: str, escape: Callable[[str], str]
) -> str:
    if comparison.is_equal:
        return (
            f"The same {count_of(len(comparison.models), 'model')} on the same "
            f"{count_of(comparison.num_gpus_after, 'GPU')}."
        )
    parts = [_totals(comparison, style, escape)]
    changed = comparison.changed_models
    if changed:
        parts.append(_models(changed, style, escape))
    num_same = len(comparison.models) - len(changed)
    if num_same:
        parts.append(f"{count_of(num_same, 'model')} did not change.")
    if comparison.count(Change.MOVES) or comparison.count(Change.STAYS):
        parts.append(
            "GPU numbers are those of the first placement: a GPU is matched with the "
            "one of its type that holds most of the same models "
            f"({comparison.num_matched_gpus:,} matched)."
        )
    return "\n\n".join(parts)


def _totals(
    comparison: ComparisonRecord, style: str, escape: Callable[[str], str]
) -> str:
    rows = [
        _counted("GPUs", comparison.num_gpus_before, comparison.num_gpus_after),
    ]
    types = sorted({*comparison.gpus_before, *comparison.gpus_after})
    if len(types) > 1:
        rows += [
            _counted(
                f"GPUs, {escape(name)}",
                comparison.gpus_before.get(name, 0),
                comparison.gpus_after.get(name, 0),
            )
            for name in types
        ]
    old, new = comparison.price_per_hour_before, comparison.price_per_hour_after
    if old is not None or new is not None:
        if comparison.has_two_currencies:
            difference = "currencies differ"
        elif old is None or new is None:
            difference = _NOTHING
        else:
            difference = _signed(format_price(abs(new - old)), new - old)
        prices = (
            escape(format_price(old, comparison.currency_before)),
            escape(format_price(new, comparison.currency_after)),
        )
        rows.append(["price per hour", *prices, difference])
    rows.append(
        [
            "model instances",
            *(
                format_number(
                    sum(
                        0 if side is None else side.num_instances
                        for side in (getattr(one, name) for one in comparison.models)
                    )
                )
                for name in ("before", "after")
            ),
            ", ".join(
                f"{comparison.count(change):,} {word}"
                for change, word in (
                    (Change.MOVES, "moved"),
                    (Change.ADDED, "added"),
                    (Change.REMOVED, "removed"),
                )
                if comparison.count(change)
            )
            or "all stay",
        ]
    )
    return tabulate(
        rows,
        headers=["", "before", "after", "change"],
        tablefmt=style,
        disable_numparse=True,
        colalign=["left", "right", "right", "left"],
    )


def _counted(title: str, old: int, new: int) -> list[str]:
    return [
        title,
        format_number(old),
        format_number(new),
        _signed(format_number(abs(new - old)), new - old),
    ]


def _signed(amount: str, difference: float) -> str:
    if not difference:
        return _NOTHING
    return ("+" if difference > 0 else "−") + amount


def _models(
    changed: Iterable[ModelChange], style: str, escape: Callable[[str], str]
) -> str:
    rows = [
        [
            escape(one.model_name),
            _what(one),
            _places(move.gpus_before for move in one.moves),
            _places(move.gpus_after for move in one.moves),
            _from_to(
                _points([move.load_point_before for move in one.moves]),
                _points([move.load_point_after for move in one.moves]),
            ),
            _from_to(*map(_rate, (one.before, one.after))),
            _from_to(*map(_kept, (one.before, one.after))),
        ]
        for one in changed
    ]
    titles = ["model", "what", "GPU before", "GPU after", "load", "infer/sec", "keeps"]
    columns = [
        index
        for index in range(len(titles))
        if any(row[index] != _NOTHING for row in rows)
    ]
    return tabulate(
        [[row[index] for index in columns] for row in rows],
        headers=[titles[index] for index in columns],
        tablefmt=style,
        disable_numparse=True,
    )


def _what(model: ModelChange) -> str:
    counts = {change: model.count(change) for change in Change}
    if sum(counts.values()) == 1 and counts[Change.STAYS] == 0:
        return model.moves[0].change.value
    told = [
        f"{count:,} {change.value}"
        for change, count in counts.items()
        if count and change is not Change.STAYS
    ]
    return ", ".join(told) or Change.STAYS.value


def _places(gpus: Iterable[range]) -> str:
    """Return GPU numbers, each once however many instances are there."""
    apart: list[range] = []
    for one in sorted(filter(None, gpus), key=lambda numbers: numbers.start):
        first = max(one.start, apart[-1].stop if apart else 0)
        if first < one.stop:
            apart.append(range(first, one.stop))
    return number_ranges(apart) or _NOTHING


def _points(points: Iterable[LoadPoint | None]) -> str:
    known = {point for point in points if point is not None}
    return ", ".join(map(str, sorted(known, key=lambda one: one.sort_key))) or _NOTHING


def _rate(side: ModelSide | None) -> str:
    """Return what a model serves, or without a demand what it is predicted to reach."""
    if side is None:
        return _NOTHING
    if side.served_infer_per_sec is not None:
        return format_rate(side.served_infer_per_sec)
    return format_rate(side.predicted_infer_per_sec)


def _kept(side: ModelSide | None) -> str:
    if side is None or side.lowest_retention is None:
        return _NOTHING
    return f"{side.lowest_retention:.0%}"


def _from_to(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"
