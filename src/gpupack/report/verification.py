"""A verification as text: promised against measured, model by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from gpupack.report.text import format_number, printable
from gpupack.units import mib_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.verification import GpuVerification


def format_verification(gpus: Sequence[GpuVerification]) -> str:
    """Return a table with one line per model instance, memory and verdict below."""
    rows = [
        [
            str(gpu.gpu_index),
            printable(model.model_name),
            str(model.load_point),
            format_number(model.alone_infer_per_sec),
            format_number(model.promised_infer_per_sec),
            format_number(model.together_infer_per_sec),
            _ratio(model.predicted_retention),
            _ratio(model.retention),
            "kept" if model.broken is None else "BROKEN",
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
        lines += [f"broken: {printable(text)}" for text in gpu.broken]
        lines += [f"warning: {printable(text)}" for text in gpu.warnings]
    num_broken = sum(len(gpu.broken) for gpu in gpus)
    lines.append(
        "every promise was kept" if not num_broken else f"{num_broken} promises broken"
    )
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
