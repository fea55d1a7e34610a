"""A verification as text: promised against measured, model by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.quoting import printable, printable_name
from gpupack.records.running.verification import Outcome
from gpupack.report.text import format_number
from gpupack.units import mib_from_bytes

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
            format_number(model.alone_infer_per_sec),
            format_number(model.promised_infer_per_sec),
            format_number(model.together_infer_per_sec),
            _ratio(model.predicted_retention),
            _ratio(model.retention),
            _verdict(model),
        ]
        for gpu in gpus
        for model in gpu.models
    ]
    headers = ["GPU", "model", "load", "alone", "promised", "together"]
    table = tabulate(
        rows,
        headers=[*headers, "predicted keep", "keeps", "promise"],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right", "left", "left"] + ["right"] * 5 + ["left"],
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
    if num_broken:
        return f"{num_broken} promise{'s' if num_broken > 1 else ''} broken"
    if num_open:
        return (
            f"no promise was broken as far as that could be judged; {num_open} could "
            "not be"
        )
    return "every promise was kept"


def _verdict(model: ModelVerdict) -> str:
    if model.outcome is Outcome.BROKEN:
        told = "BROKEN"
    elif model.outcome is Outcome.SLOWER_ALONE:
        told = "BROKEN (slower alone)"
    else:
        told = model.outcome.value
    if model.latency is None or model.latency_limit_ms is None:
        return told
    latency = model.latency
    return (
        f"{told}, p{latency.percentile:g} {latency.value_us / 1000:.3g} of "
        f"{model.latency_limit_ms:g} ms"
    )


def _text(text: str) -> str:
    """Return a message as it may be shown: a server's log in it keeps its lines."""
    return "\n  ".join(printable(line) for line in text.splitlines())


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
