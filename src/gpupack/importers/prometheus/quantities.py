"""Which metrics are read, of Triton and of the DCGM exporter, and how over time."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

MODEL_LABELS = ("namespace", "pod", "instance", "gpu_uuid", "model")
"""What tells apart the servers that have a model; versions are added up."""
GPU_LABELS = (
    "UUID",
    "gpu",
    "modelName",
    "Hostname",
    "GPU_I_ID",
    "GPU_I_PROFILE",
    "namespace",
    "pod",
    "exported_namespace",
    "exported_pod",
)
"""Of the DCGM exporter; ``exported_…`` is what Prometheus makes of a label of the
exporter's that it also sets itself."""


class OverTime(Enum):
    """How the samples within a step become one number."""

    RATE = "sum by ({labels}) (rate({selector}[{rate_range}]))"
    """Increase per second of a counter; a counter that fell was reset to 0."""
    MEAN = "max by ({labels}) (avg_over_time({selector}[{step}]))"
    HIGHEST = "max by ({labels}) (max_over_time({selector}[{step}]))"


class _Reading(NamedTuple):
    metric: str
    over_time: OverTime
    labels: tuple[str, ...]
    scale: float = 1.0
    matcher: str = ""
    is_coarse: bool = False


class Quantity(Enum):
    """One quantity that is read: its metric, its labels and its unit."""

    INFERENCES = _Reading("nv_inference_count", OverTime.RATE, MODEL_LABELS)
    """Infer/sec."""
    REQUESTS = _Reading(
        "nv_inference_request_success", OverTime.RATE, MODEL_LABELS, is_coarse=True
    )
    EXECUTIONS = _Reading(
        "nv_inference_exec_count", OverTime.RATE, MODEL_LABELS, is_coarse=True
    )
    REQUEST_US = _Reading(
        "nv_inference_request_duration_us",
        OverTime.RATE,
        MODEL_LABELS,
        is_coarse=True,
    )
    """Microseconds of requests per second: how many were in the server × 1e6."""
    QUEUE_US = _Reading(
        "nv_inference_queue_duration_us", OverTime.RATE, MODEL_LABELS, is_coarse=True
    )
    LATENCY_P99_US = _Reading(
        "nv_inference_request_summary_us",
        OverTime.HIGHEST,
        MODEL_LABELS,
        matcher='quantile="0.99"',
        is_coarse=True,
    )
    """Only of servers with ``--metrics-config summary_latencies=true``."""
    MEMORY_USED = _Reading(
        "DCGM_FI_DEV_FB_USED", OverTime.HIGHEST, GPU_LABELS, 1024 * 1024
    )
    """Bytes; the exporter says MiB."""
    MEMORY_FREE = _Reading(
        "DCGM_FI_DEV_FB_FREE", OverTime.HIGHEST, GPU_LABELS, 1024 * 1024
    )
    GPU_UTILIZATION = _Reading("DCGM_FI_DEV_GPU_UTIL", OverTime.MEAN, GPU_LABELS)
    """Percent of time with at least one kernel running."""
    ENGINE_ACTIVE = _Reading(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE", OverTime.MEAN, GPU_LABELS, 100.0
    )
    """The same of a MIG instance, which has no utilization of its own."""
    SM_ACTIVE = _Reading("DCGM_FI_PROF_SM_ACTIVE", OverTime.MEAN, GPU_LABELS, 100.0)
    """Percent; the exporter says a ratio."""
    DRAM_ACTIVE = _Reading("DCGM_FI_PROF_DRAM_ACTIVE", OverTime.MEAN, GPU_LABELS, 100.0)

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.value.metric

    @property
    def over_time(self) -> OverTime:
        """How samples within a step become one number."""
        return self.value.over_time

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are kept."""
        return self.value.labels

    @property
    def scale(self) -> float:
        """What a sample is multiplied by, for the unit that is named above."""
        return self.value.scale

    @property
    def matcher(self) -> tuple[str, str] | None:
        """The label that a sample must have, with its value."""
        name, equals, text = self.value.matcher.partition("=")
        return (name, text.strip('"')) if equals else None

    @property
    def is_coarse(self) -> bool:
        """Whether only its sum or maximum over the window is wanted."""
        return self.value.is_coarse

    @property
    def is_of_gpus(self) -> bool:
        """Whether the DCGM exporter publishes it, not Triton."""
        return self.labels is GPU_LABELS

    def expression(self, step_s: int, scrape_s: float) -> str:
        """Return the PromQL for its value in each step.

        A rate reaches back to the last sample of the step before: what was counted
        between the two would otherwise be in neither.

        Args:
            step_s: Length of a step.
            scrape_s: Between two samples.
        """
        matcher = f"{{{self.value.matcher}}}" if self.value.matcher else ""
        return self.over_time.value.format(
            labels=", ".join(self.labels),
            selector=self.metric + matcher,
            step=f"{step_s}s",
            rate_range=f"{round(1000 * (step_s + scrape_s))}ms",
        )
