"""Several loads of a model: what they say together, and whether one is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpupack.errors import InvalidInputError
from gpupack.given_numbers import whole_number
from gpupack.profiling.measuring import spread_between_loads
from gpupack.quoting import quoted
from gpupack.records.profile import FreshLoad, ProfileRecord
from gpupack.units import in_digits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.records.profile import LatencyPercentile

MOST_LOADS = 100
LOADS_IF_THEY_DIFFER = 3
"""So many of every load point are measured where two of one differ, by default."""
_MEANS = (
    "latency_mean_us",
    "gpu_utilization_mean_percent",
    "memory_utilization_mean_percent",
    "sm_utilization_percent",
    "sm_occupancy_percent",
    "dram_bandwidth_percent",
    "tensor_activity_percent",
    "power_mean_watts",
    "server_queue_us",
    "server_compute_input_us",
    "server_compute_infer_us",
    "server_compute_output_us",
    "server_cpu_percent",
    "host_cpu_cores",
    "client_cpu_percent",
)
_HIGHEST = (
    "latency_p50_us",
    "latency_p90_us",
    "latency_p95_us",
    "latency_p99_us",
    "gpu_utilization_percent",
    "memory_utilization_percent",
    "gpu_memory_used_bytes",
    "host_memory_bytes",
)
_LATENCIES = ("latency_mean_us", *(f"latency_p{one}_us" for one in (50, 90, 95, 99)))
_FELL_BEHIND = "in one of the loads the rate was not kept up"
_DIFFERS = "its throughput differs from load to load"


def checked_loads(loads: int | None) -> int | None:
    """Return a number of loads; None to find out whether one is enough.

    Raises:
        InvalidInputError: It is no number that there can be.
    """
    if loads is None:
        return None
    number = whole_number(loads)
    if number is None or not 1 <= number <= MOST_LOADS:
        raise InvalidInputError(
            f"loads is a whole number from 1 to {MOST_LOADS} (--loads 5), got "
            f"{quoted(loads)}; leave it out to find out whether one is enough"
        )
    return number


def merge_load(
    known: ProfileRecord, new: ProfileRecord, *, allowed_ratio: float
) -> ProfileRecord:
    """Return the record of all loads so far and of one more.

    Rates and means are means over the loads, maxima and percentiles the highest of
    them: a limit that is kept was kept in each. The interval is that of another load.

    Args:
        known: Of the loads so far.
        new: Of the further one alone.
        allowed_ratio: From this difference between loads on a warning tells.
    """
    loads = (*(known.loads or (_fresh(known),)), _fresh(new))
    values: dict[str, Any] = {
        name: getattr(new, name)
        for name in ProfileRecord.model_fields
        if name not in ("missing", "kind", "schema_version")
    }
    weight = known.num_loads / (known.num_loads + 1)
    for name in (*_MEANS, *_HIGHEST, "energy_joules"):
        one, other = getattr(known, name), getattr(new, name)
        if one is None or other is None:
            values[name] = one if other is None else other
        elif name in _HIGHEST:
            values[name] = max(one, other)
        elif name == "energy_joules":
            values[name] = one + other
        else:
            values[name] = weight * one + (1 - weight) * other
    reached = [one for one in loads if one.throughput_infer_per_sec]
    rates = [one.throughput_infer_per_sec or 0.0 for one in reached]
    ratios = [one.throughput_ci_ratio for one in reached]
    warnings = [
        one
        for one in dict.fromkeys((*known.warnings, *new.warnings))
        if not one.startswith(_DIFFERS)
    ]
    values |= {"throughput_infer_per_sec": None, "throughput_ci_ratio": None}
    if rates:
        values["throughput_infer_per_sec"] = sum(rates) / len(rates)
        values["throughput_ci_ratio"] = ratios[0]
    if len(rates) > 1:
        found = spread_between_loads(rates, ratios, allowed_ratio=allowed_ratio)
        half = (found.high_infer_per_sec - found.low_infer_per_sec) / 2
        values["between_loads"] = found
        values["throughput_ci_ratio"] = min(
            1.0, half / values["throughput_infer_per_sec"]
        )
        if found.do_differ:
            told = ", ".join(in_digits(one, 4) for one in rates)
            low = in_digits(found.low_infer_per_sec, 4)
            high = in_digits(found.high_infer_per_sec, 4)
            warnings.append(
                f"{_DIFFERS}: {told} infer/s; another load is expected between "
                f"{low} and {high}"
            )
    stable = [one.is_stable for one in loads]
    kept_up = [one for one in (known.open_loop, new.open_loop) if one is not None]
    reasons = known.missing | new.missing
    percentiles = _highest((*known.latency_percentiles, *new.latency_percentiles))
    behind = next(
        (one for one in kept_up if not (one.is_sent and one.is_kept_up)), None
    )
    if behind is not None:
        # In that load requests waited longer and longer: no latency is that of all.
        percentiles = ()
        of_it = known if behind is known.open_loop else new
        for name in _LATENCIES:
            values[name] = None
            reasons[name] = of_it.missing.get(name, _FELL_BEHIND)
    values |= {
        "loads": loads,
        "windows": tuple(window for one in loads for window in one.windows),
        # Of each load's own reading; how far loads lie apart, the interval says.
        "is_stable": (
            None
            if None in stable
            else behind is None and 2 * stable.count(True) >= len(stable)
        ),
        "is_client_limited": known.is_client_limited or new.is_client_limited,
        "latency_percentiles": percentiles,
        "open_loop": behind or new.open_loop,
        "probe": known.probe or new.probe,
        "turns": known.turns or new.turns,
        "warnings": tuple(warnings),
        "environment": new.environment.model_copy(
            update={
                "notes": tuple(
                    dict.fromkeys((*known.environment.notes, *new.environment.notes))
                )
            }
        ),
    }
    return ProfileRecord.with_reason(
        "not measured in any load",
        **values,
        missing={
            name: why for name, why in reasons.items() if values.get(name) is None
        },
    )


def point_to_check(records: Iterable[ProfileRecord]) -> ProfileRecord | None:
    """Return the record to measure again in another load, to see whether one is enough.

    The one that is known best, so that a difference shows soonest. None where several
    loads were measured of one already, or nothing was reached.

    Args:
        records: Of one model, as one of its variants.
    """
    found = list(records)
    if any(one.num_loads > 1 for one in found):
        return None
    reached = [one for one in found if one.throughput_infer_per_sec]
    return min(
        reached,
        key=lambda one: (
            not one.is_stable,
            one.load_point.concurrency is None,
            one.throughput_ci_ratio or 1.0,
        ),
        default=None,
    )


def _fresh(record: ProfileRecord) -> FreshLoad:
    return FreshLoad(
        throughput_infer_per_sec=record.throughput_infer_per_sec,
        throughput_ci_ratio=record.throughput_ci_ratio,
        latency_mean_us=record.latency_mean_us,
        latency_p95_us=record.latency_p95_us,
        is_stable=record.is_stable,
        measured_at=record.environment.measured_at,
        windows=record.windows,
    )


def _highest(
    percentiles: Iterable[LatencyPercentile],
) -> tuple[LatencyPercentile, ...]:
    found: dict[float, LatencyPercentile] = {}
    for one in percentiles:
        known = found.get(one.percentile)
        if known is None or one.value_us > known.value_us:
            found[one.percentile] = one
    return tuple(found[name] for name in sorted(found))
