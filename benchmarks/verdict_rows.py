"""What recordings of ``gpupack verify`` keep of its verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpupack import Verification


def verdict_rows(found: Verification) -> list[dict[str, Any]]:
    """Return a row for every model on every GPU: rates in infer/sec, and why."""
    return [
        {
            "model": one.model_name,
            "outcome": one.outcome.value,
            "profiled_infer_per_sec": one.profiled_infer_per_sec,
            "alone_infer_per_sec": one.alone_infer_per_sec,
            "promised_infer_per_sec": one.promised_infer_per_sec,
            "together_infer_per_sec": one.together_infer_per_sec,
            "retention_low": one.retention_low,
            "retention_high": one.retention_high,
            "num_rounds": one.num_rounds,
            "why": one.broken or one.not_judged,
        }
        for gpu in found.gpus
        for one in gpu.models
    ]
