"""Saved ``/metrics`` of made-up servers, as Triton and the DCGM exporter write them."""

from __future__ import annotations

from collections.abc import Mapping

COUNTERS = (
    "nv_inference_request_success",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
)


def triton_text(models: Mapping[str, tuple[float, ...]], *, uuid: str = "") -> str:
    """Return the counters by model, in the order of ``COUNTERS``."""
    lines = []
    on_gpu = f'gpu_uuid="{uuid}",' if uuid else ""
    for at, metric in enumerate(COUNTERS):
        lines.append(f"# TYPE {metric} counter")
        lines += [
            f'{metric}{{{on_gpu}model="{name}",version="1"}} {values[at]}'
            for name, values in models.items()
        ]
    return "\n".join(lines) + "\n"


def gpu_text(
    uuid: str,
    *,
    number: int = 0,
    used_mib: float = 0.0,
    free_mib: float = 10_000.0,
    busy_percent: float = 0.0,
    pod: str = "",
    model_name: str = "Card 10",
    sm_ratio: float | None = None,
) -> str:
    """Return what the exporter says of one GPU of host ``node-a``."""
    namespace, _, name = pod.rpartition("/")
    labels = (
        f'gpu="{number}",UUID="{uuid}",modelName="{model_name}",Hostname="node-a",'
        f'namespace="{namespace}",pod="{name}"'
    )
    values = {
        "DCGM_FI_DEV_FB_USED": used_mib,
        "DCGM_FI_DEV_FB_FREE": free_mib,
        "DCGM_FI_DEV_GPU_UTIL": busy_percent,
        "DCGM_FI_PROF_SM_ACTIVE": sm_ratio,
    }
    return "".join(
        f"# TYPE {metric} gauge\n{metric}{{{labels}}} {value}\n"
        for metric, value in values.items()
        if value is not None
    )
