"""A verification as text: promised against measured, model by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import printable, printable_name
from gpupack.records.running.verification import Outcome
from gpupack.report.text import format_number
from gpupack.units import in_digits, mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.running.verification import GpuVerification, ModelVerdict


def format_verification(gpus: Sequence[GpuVerification]) -> str:
    """Return a table with one line per model instance, memory and verdict below."""
    rows = [
        [
            str(gpu.gpu_index),
            printable_name(model.model_name),
            str(model.load_point),
            format_number(model.profiled_infer_per_sec),
            format_number(model.alone_infer_per_sec),
            format_number(model.promised_infer_per_sec),
            format_number(model.together_infer_per_sec),
            _ratio(model.predicted_retention),
            _kept(model),
            _verdict(model),
        ]
        for gpu in gpus
        for model in gpu.models
    ]
    headers = ["GPU", "model", "load", "profiled", "alone", "promised", "together"]
    table = tabulate(
        rows,
        headers=[*headers, "predicted keep", "keeps", "promise"],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right", "left", "left"] + ["right"] * 6 + ["left"],
    )
    lines = [table, ""]
    for gpu in gpus:
        used = gpu.memory_measured_bytes
        measured = "not read" if used is None else f"{mib_from_bytes(used):,.0f} MiB"
        predicted = f"{mib_from_bytes(gpu.memory_predicted_bytes):,.0f} MiB"
        lines.append(
            f"GPU {gpu.gpu_index}: memory predicted {predicted}, measured {measured}"
        )
        lines += [f"broken: {_text(text)}" for text in gpu.broken]
        lines += [f"warning: {_text(text)}" for text in gpu.warnings]
    lines.append(_summary(gpus))
    return "\n".join(lines)


def _summary(gpus: Sequence[GpuVerification]) -> str:
    num_broken = sum(len(gpu.broken) for gpu in gpus)
    num_open = sum(one.not_judged is not None for gpu in gpus for one in gpu.models)
    unknown = f"of {num_open} model{'s' if num_open > 1 else ''} it is not known"
    if num_broken:
        told = f"{num_broken} promise{'s' if num_broken > 1 else ''} broken"
        return f"{told}; {unknown}" if num_open else told
    if num_open:
        return f"no promise was seen to be broken, but {unknown}"
    return "every promise was kept"


def _kept(model: ModelVerdict) -> str:
    """Return what a model keeps, and how well that is known."""
    low, high = model.retention_low, model.retention_high
    if model.retention is None or low is None or high is None:
        return _ratio(model.retention)
    middle = (low + high) / 2
    return f"{_ratio(middle)} ± {100 * (high - low) / 2:.1f}"


def _verdict(model: ModelVerdict) -> str:
    told = model.outcome.value
    if model.outcome is Outcome.BROKEN:
        told = "BROKEN by neighbors"
    elif model.outcome in (Outcome.SLOWER_ALONE, Outcome.FAILED):
        told = f"BROKEN: {told}"
    elif model.outcome is Outcome.NOT_JUDGED:
        if model.doubt_ratio is not None:
            told += f" within ±{model.doubt_ratio:.1%}"
        if model.measured_s is not None:
            told += f" after {model.measured_s:.0f} s"
    if model.latency is None or model.latency_limit_ms is None:
        return told
    latency = model.latency
    return (
        f"{told}, p{latency.percentile:g} {in_digits(latency.value_us / 1000, 3)} of "
        f"{model.latency_limit_ms:g} ms"
    )


def _text(text: str) -> str:
    """Return a message as it may be shown: a server's log in it keeps its lines."""
    return "\n  ".join(printable(line) for line in text.splitlines())


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
