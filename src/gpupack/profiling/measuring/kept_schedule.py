"""Was an open loop's schedule kept, by the client and by the server?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gpupack.profiling.load import LIMITED_SHARE
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
_REPORTED_NS = 150_000_000
"""A client reports several times as often."""
_NUM_MISSED = 20
"""Arrivals expected in a gap that is none by chance."""
_TAKEN_SHARE = 0.95
"""Where so many of the connections wait for an answer, nothing can be sent."""
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
    num_reached = _num_between(due, begin_ns, end_ns)
    num_due = num_reached + _num_not_reached(due, asked, begin_ns, end_ns)
    first, last = np.searchsorted(sent, [begin_ns, end_ns])
    num_held = 0.0
    if _waits_for_server(model, begin_ns, end_ns):
        num_held = max(0.0, float(num_reached - (last - first)))
    limit_ns = LATE_NS
    if len(latencies):
        limit_ns = max(limit_ns, int(LATE_RATIO * float(np.percentile(latencies, 95))))
    return count_schedule(
        OpenLoop(
            arrivals=str(model.load.arrivals),
            asked_requests_per_sec=asked,
            offered_requests_per_sec=0.0,
            sent_requests_per_sec=0.0,
            late_share=0.0,
            is_sent=True,
            is_kept_up=True,
        ),
        num_due=num_due,
        num_sent=float(last - first),
        num_held=num_held,
        num_ended=len(ends),
        duration_s=(end_ns - begin_ns) / 1e9,
        late_share=float((late[first:last] > limit_ns).mean()) if last > first else 0.0,
        late_p99_us=(
            float(np.percentile(late[first:last], 99)) / 1e3 if last > first else None
        ),
    )


def count_schedule(
    asked: OpenLoop,
    *,
    num_due: float,
    num_sent: float,
    num_held: float,
    num_ended: int,
    duration_s: float,
    late_share: float,
    late_p99_us: float | None,
) -> OpenLoop:
    """Return what came of a schedule by its counts, over one measurement or several.

    Args:
        asked: What was asked for; the rest of it is made anew.
        num_due: Requests that were due.
        num_sent: That the client sent.
        num_held: That it did not send because all connections waited for the server.
        num_ended: That the server answered.
        duration_s: Of the measurements.
        late_share: See ``OpenLoop``.
        late_p99_us: Likewise.
    """
    return asked.model_copy(
        update={
            "offered_requests_per_sec": num_due / duration_s,
            "sent_requests_per_sec": num_sent / duration_s,
            "held_back_requests_per_sec": num_held / duration_s,
            "late_share": late_share,
            "late_p99_us": late_p99_us,
            "is_sent": num_due - num_sent - num_held
            <= max(_FEW_REQUESTS, (1 - SENT_SHARE) * num_due),
            "is_kept_up": num_due - num_ended
            <= max(_FEW_REQUESTS, (1 - KEPT_UP_SHARE) * num_due),
        }
    )


def verdict_on_schedule(
    verdict: Verdict, open_loop: OpenLoop, ended_requests_per_s: float
) -> Verdict:
    """Return the verdict with what the schedule says: stable only if it was kept."""
    why = verdict.why
    is_known = ended_requests_per_s > 0
    if not open_loop.is_sent:
        why = (
            f"the client could send {open_loop.sent_requests_per_sec:,.1f} of the "
            f"{open_loop.offered_requests_per_sec:,.1f} requests a second that were "
            "due: lower the rate, or leave the client more of a CPU"
        )
    elif not open_loop.is_kept_up:
        why = (
            f"the server answers {ended_requests_per_s:,.1f} of the "
            f"{open_loop.offered_requests_per_sec:,.1f} requests a second that are "
            "due, so that they wait longer and longer: lower the rate"
        )
    elif not is_known:
        why = (
            f"no request ended of {open_loop.offered_requests_per_sec:,.3g} a second "
            f"that were due ({open_loop.asked_requests_per_sec:,.3g} asked for): "
            "measure longer (max_seconds), or raise the rate"
        )
    is_stable = is_known and open_loop.is_sent and open_loop.is_kept_up
    return replace(verdict, is_stable=is_stable, why=why)


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
    open_loop: OpenLoop,
    ends: npt.NDArray[np.int64],
    begin_ns: int,
    end_ns: int,
    ci_ratio: float | None,
) -> tuple[float | None, float | None]:
    """Return the requests per second served of those asked for, and how well known.

    All of them, as long as client and server keep up: how many were due is chance, not
    the server's doing. A server that falls behind serves what it was seen to answer.

    Args:
        open_loop: What came of the schedule.
        ends: When requests ended.
        begin_ns: Of the measurement.
        end_ns: Likewise.
        ci_ratio: Of the throughput that was seen.
    """
    num_due = open_loop.offered_requests_per_sec * (end_ns - begin_ns) / 1e9
    if not len(ends) or num_due < 1:
        return None, None
    if open_loop.is_kept_up and open_loop.is_sent:
        ratio = (abs(num_due - len(ends)) + 1) / len(ends)
        return open_loop.asked_requests_per_sec, min(1.0, ratio)
    share = min(1.0, len(ends) / num_due)
    return share * open_loop.asked_requests_per_sec, ci_ratio


def _num_not_reached(
    due: npt.NDArray[np.int64], asked: float, begin_ns: int, end_ns: int
) -> int:
    """Return how many were due that a client too busy had not even come to."""
    last_ns = max(int(due[-1]) if len(due) else begin_ns, begin_ns)
    number = asked * (end_ns - last_ns) / 1e9
    if end_ns - last_ns < _REPORTED_NS or number < _NUM_MISSED:
        return 0  # a report is on its way, or chance left a gap
    return int(number)


def _waits_for_server(model: DrivenModel, begin_ns: int, end_ns: int) -> bool:
    """Whether what was due at the end could not be sent for want of an answer.

    A client that is busy all the time may have answers that it has not come to read.
    """
    trace = model.process.trace
    ends, _ = trace.completions()
    _, sent, _ = trace.sendings()
    in_flight = int(np.searchsorted(sent, end_ns) - np.searchsorted(ends, end_ns))
    shares = trace.cpu_shares(begin_ns, end_ns)
    is_busy = shares is not None and shares[1] >= LIMITED_SHARE
    return in_flight >= _TAKEN_SHARE * model.num_connections and not is_busy


def _num_between(times_ns: npt.NDArray[np.int64], begin_ns: int, end_ns: int) -> int:
    first, last = np.searchsorted(times_ns, [begin_ns, end_ns])
    return int(last - first)
