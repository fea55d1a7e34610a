"""Was an open loop's schedule kept, by the client and by the server?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.records.profile import OpenLoop

if TYPE_CHECKING:
    import numpy.typing as npt

    from gpupack.profiling.load import DrivenModel
    from gpupack.profiling.measuring.stability import Verdict

LATE_NS = 1_000_000
"""A request that the client sends later than this, or than ``LATE_RATIO`` of the
latencies' 95th percentile where that is more, was sent late."""
LATE_RATIO = 0.1
SENT_SHARE = 0.99
"""A client that sends less than this of what is due cannot offer the rate."""
KEPT_UP_SHARE = 0.95
"""A server that answers less than this of what is due does not keep up."""
_FEW_REQUESTS = 5
"""So many may be under way at the end of a measurement and prove nothing."""


def judge_schedule(
    model: DrivenModel,
    ends: npt.NDArray[np.int64],
    latencies: npt.NDArray[np.int64],
    begin_ns: int,
    end_ns: int,
) -> OpenLoop | None:
    """Return what came of a model's schedule; None if it was driven as it answers."""
    asked = model.load.requests_per_s
    if asked is None:
        return None
    due, sent, late = model.process.trace.sendings()
    num_due = _num_between(due, begin_ns, end_ns)
    first, last = np.searchsorted(sent, [begin_ns, end_ns])
    limit_ns = LATE_NS
    if len(latencies):
        limit_ns = max(limit_ns, int(LATE_RATIO * float(np.percentile(latencies, 95))))
    duration_s = (end_ns - begin_ns) / 1e9
    return OpenLoop(
        arrivals=str(model.load.arrivals),
        asked_requests_per_sec=asked,
        offered_requests_per_sec=num_due / duration_s,
        sent_requests_per_sec=float(last - first) / duration_s,
        late_share=float((late[first:last] > limit_ns).mean()) if last > first else 0.0,
        late_p99_us=(
            float(np.percentile(late[first:last], 99)) / 1e3 if last > first else None
        ),
        is_sent=num_due - (last - first)
        <= max(_FEW_REQUESTS, (1 - SENT_SHARE) * num_due),
        is_kept_up=num_due - len(ends)
        <= max(_FEW_REQUESTS, (1 - KEPT_UP_SHARE) * num_due),
    )


def verdict_on_schedule(verdict: Verdict, open_loop: OpenLoop) -> Verdict:
    """Return the verdict with what the schedule says: stable only if it was kept."""
    why = verdict.why
    if not open_loop.is_sent:
        why = (
            f"the client could send {open_loop.sent_requests_per_sec:,.1f} of the "
            f"{open_loop.offered_requests_per_sec:,.1f} requests a second that were "
            "due: lower the rate, or leave the client more of a CPU"
        )
    elif not open_loop.is_kept_up:
        why = (
            f"the server answers fewer than the "
            f"{open_loop.offered_requests_per_sec:,.1f} requests a second that it is "
            "sent, so that they wait longer and longer: lower the rate"
        )
    return replace(
        verdict, is_stable=open_loop.is_sent and open_loop.is_kept_up, why=why
    )


def lateness_in_words(open_loop: OpenLoop) -> str | None:
    """Return what a client that was late does to latencies; None if it was not."""
    if open_loop.is_on_schedule or not open_loop.is_sent:
        return None
    return (
        f"the client itself sent {open_loop.late_share:.1%} of the requests late "
        f"(p99 {(open_loop.late_p99_us or 0) / 1e3:.1f} ms), which the latencies hold: "
        "leave the client more of a CPU"
    )


def served_requests_per_s(
    open_loop: OpenLoop, ends: npt.NDArray[np.int64], begin_ns: int, end_ns: int
) -> tuple[float | None, float | None]:
    """Return the requests per second served of those asked for, and how well known.

    The share of what was due that was answered, of the rate asked for: how many were
    due is chance, not the server's doing.
    """
    num_due = open_loop.offered_requests_per_sec * (end_ns - begin_ns) / 1e9
    if not len(ends) or num_due < 1:
        return None, None
    share = min(1.0, len(ends) / num_due)
    if open_loop.is_kept_up and open_loop.is_sent:
        share = 1.0
    ratio = (abs(num_due - len(ends)) + 1) / len(ends)
    return share * open_loop.asked_requests_per_sec, min(1.0, ratio)


def _num_between(times_ns: npt.NDArray[np.int64], begin_ns: int, end_ns: int) -> int:
    first, last = np.searchsorted(times_ns, [begin_ns, end_ns])
    return int(last - first)
