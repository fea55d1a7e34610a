"""What runs, and how many GPUs would do, as text and as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import printable, printable_name
from gpupack.report.markdown import markdown_text
from gpupack.report.summary import count_of
from gpupack.report.text import format_number, format_price, format_rate
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpupack.records.running.observed_cluster import ObservedClusterRecord
    from gpupack.records.running.rightsizing import RightsizedGpu, RightsizingRecord

_TYPE_TITLES = ["GPU type", "today", "would do", "spare", "price/h each"]
_GPU_TITLES = ["GPU", "type", "today", "then"]


def format_cluster(cluster: ObservedClusterRecord) -> str:
    """Return demand and today's placement as plain text."""
    demand = [
        [
            printable_name(one.model_name),
            format_rate(one.mean_infer_per_sec),
            format_rate(one.percentile_infer_per_sec.get(95)),
            format_rate(one.percentile_infer_per_sec.get(99)),
            format_rate(one.peak_infer_per_sec),
            f"{one.peak_at:%Y-%m-%d %H:%M}" if one.peak_at else "–",
            format_number(one.mean_request_batch_size),
            format_number(_ms(one.latency_mean_us)),
        ]
        for one in cluster.demands
    ]
    gpus = [
        [
            printable_name(gpu.name),
            printable_name(gpu.gpu_type.name),
            _names(gpu.models, printable) + ("" if gpu.is_certain else " (?)"),
            format_number(
                None
                if gpu.memory_used_bytes is None
                else mib_from_bytes(gpu.memory_used_bytes),
                0,
            ),
            format_number(gpu.gpu_utilization_mean_percent),
            format_number(gpu.gpu_utilization_peak_percent),
        ]
        for gpu in cluster.gpus
    ]
    window = cluster.window
    parts = [
        f"{printable(cluster.source)}, {window.start:%Y-%m-%d %H:%M} to "
        f"{window.end:%Y-%m-%d %H:%M} UTC, in steps of {window.step_s:g} s",
        tabulate(
            demand,
            headers=[
                *("model", "mean infer/sec", "p95", "p99", "peak", "peak at (UTC)"),
                *("batch", "mean ms"),
            ],
            disable_numparse=True,
        ),
    ]
    if gpus:
        parts.append(
            tabulate(
                gpus,
                headers=["GPU", "type", "models", "MiB", "GPU %", "peak %"],
                disable_numparse=True,
            )
        )
    number = len(cluster.estimates)
    parts.append(
        f"{number} estimated profile{'' if number == 1 else 's'}, of models with a GPU "
        "to themselves"
    )
    parts += [f"not known: {printable(text)}" for text in cluster.unknown]
    return "\n\n".join(parts)


def format_rightsizing(record: RightsizingRecord) -> str:
    """Return counts, GPUs and open questions as plain text."""
    parts = [
        rightsizing_headline(record),
        tabulate(
            _type_rows(record, printable), headers=_TYPE_TITLES, disable_numparse=True
        ),
        tabulate(
            [_gpu_row(gpu, printable) for gpu in record.gpus],
            headers=_GPU_TITLES,
            disable_numparse=True,
        ),
    ]
    if record.open_questions:
        parts.append("Not known:")
        for one in record.open_questions:
            lines = [f"- {printable(one.question)}"]
            lines += [f"    {printable(command)}" for command in one.commands]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def rightsizing_markdown(record: RightsizingRecord) -> str:
    """Return one page of Markdown; names are escaped."""
    parts = [
        "# How many GPUs would do",
        markdown_text(rightsizing_headline(record)),
        _markdown_table(_type_rows(record, markdown_text), _TYPE_TITLES),
        "## GPUs",
        _markdown_table(
            [_gpu_row(gpu, markdown_text) for gpu in record.gpus], _GPU_TITLES
        ),
    ]
    if record.demand_infer_per_sec:
        rows = [
            [markdown_text(name), format_rate(rate)]
            for name, rate in record.demand_infer_per_sec.items()
        ]
        parts += ["## Demand", _markdown_table(rows, ["model", "infer/sec"])]
    if record.open_questions:
        parts.append("## Not known")
        for one in record.open_questions:
            parts.append(f"- {markdown_text(one.question)}")
            if one.commands:
                lines = "\n".join(f"  {printable(command)}" for command in one.commands)
                parts.append(f"  ```sh\n{lines}\n  ```")
    if record.warnings:
        parts.append("## Warnings")
        parts.append("\n".join(f"- {markdown_text(text)}" for text in record.warnings))
    return "\n\n".join(parts) + "\n"


def rightsizing_title(record: RightsizingRecord) -> str:
    """Return how many GPUs would do, or are needed, in a few words."""
    today, needed = record.num_gpus_today, record.num_gpus_needed
    if needed > today:
        return f"{count_of(needed, 'GPU')} are needed, {needed - today} more than today"
    return f"{needed} of {count_of(today, 'GPU')} would do"


def rightsizing_headline(record: RightsizingRecord) -> str:
    """Return how many GPUs would do for what, at which headroom and price."""
    today, needed = record.num_gpus_today, record.num_gpus_needed
    load = "peak" if record.percentile is None else f"{record.percentile}th percentile"
    shares = ", ".join(
        f"{resource.value.replace('_', ' ')} to {share:.0%}"
        for resource, share in record.headroom
    )
    text = (
        f"{needed} of {today} GPUs would do for the {load} of {record.start:%Y-%m-%d} "
        f"to {record.end:%Y-%m-%d}, {shares}"
    )
    if needed > today:
        text = (
            f"{needed} GPUs are needed, {needed - today} more than today, for the "
            f"{load} of {record.start:%Y-%m-%d} to {record.end:%Y-%m-%d}, {shares}"
        )
    before, after = record.price_today_per_hour, record.price_needed_per_hour
    if before is not None and after is not None and before > 0:
        text += f"; {format_price(after)} of {format_price(before)} per hour"
    return text


def _type_rows(
    record: RightsizingRecord, shown: Callable[[str], str]
) -> list[list[str]]:
    return [
        [
            shown(one.gpu_type_name),
            str(one.num_today),
            str(one.num_needed),
            str(max(0, one.num_today - one.num_needed)),
            format_price(one.price_per_hour),
        ]
        for one in record.types
    ]


def _gpu_row(gpu: RightsizedGpu, shown: Callable[[str], str]) -> list[str]:
    if gpu.kept_because is not None:
        then = f"as it is: {shown(gpu.kept_because)}"
    elif gpu.is_spare:
        then = "spare"
    else:
        then = _names(gpu.models, shown)
    return [
        shown(gpu.name),
        shown(gpu.gpu_type_name),
        _names(gpu.models_today, shown),
        then,
    ]


def counted_models(models: Iterable[str]) -> list[tuple[str, int]]:
    """Return names in their order, and how often each is there."""
    return sorted(Counter(models).items())


def _names(models: Iterable[str], shown: Callable[[str], str]) -> str:
    """Return names with commas, those that are there several times with their count."""
    return (
        ", ".join(
            shown(name) + (f" ×{number}" if number > 1 else "")
            for name, number in counted_models(models)
        )
        or "–"
    )


def _markdown_table(rows: list[list[str]], titles: list[str]) -> str:
    return tabulate(rows, headers=titles, tablefmt="pipe", disable_numparse=True)


def _ms(us: float | None) -> float | None:
    return None if us is None else us / 1000
