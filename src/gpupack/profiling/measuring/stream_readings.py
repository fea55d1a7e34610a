"""How responses came, where a request may have several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.profiling.measuring.stability import requests_for_percentile
from gpupack.records.profile import StreamReadings

if TYPE_CHECKING:
    import numpy.typing as npt

    from gpupack.profiling.load import DrivenModel


def stream_readings(
    model: DrivenModel, begin_ns: int, end_ns: int, num_left_out: int
) -> StreamReadings | None:
    """Return how responses came to the requests that count; None without streams."""
    trace = model.process.trace
    ends, counts = trace.array("ends"), trace.array("counts")
    if not model.load.signature.is_decoupled or len(counts) != len(ends):
        return None
    first, last = np.searchsorted(ends, [begin_ns, end_ns])
    first += num_left_out + 1  # as for the latencies
    firsts, counts = trace.array("firsts")[first:last], counts[first:last]
    if not len(counts):
        return None
    from_ns = int(ends[first])
    gap_ends = trace.array("gap_ends")
    inside = (gap_ends >= from_ns) & (gap_ends <= end_ns)
    return StreamReadings(
        responses_per_request=float(counts.mean()),
        **_times_us("first_response", firsts[firsts >= 0]),
        **_times_us("between_responses", trace.array("gaps")[inside]),
    )


def _times_us(name: str, times_ns: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return mean and percentiles in microseconds, those that enough times give."""
    if not len(times_ns):
        return {}
    told = {f"{name}_mean_us": float(times_ns.mean()) / 1e3}
    for percentile in (50, 95):
        if len(times_ns) >= requests_for_percentile(percentile):
            found = float(np.percentile(times_ns, percentile)) / 1e3
            told[f"{name}_p{percentile}_us"] = found
    return told
