"""The environments of many records, told in one short table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.quoting import printable
from gpupack.records.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_VALUES = 4
"""Different values of one field written out before the rest is only counted."""

_TITLES = {
    "source": "Measured by",
    "measured_at": "Measured at",
    "gpupack_version": "gpupack version",
    "cuda_driver_version": "CUDA driver version",
    "gpu_uuid": "GPU UUID",
    "gpu_index": "GPU index",
    "mig_mode": "MIG mode",
    "sm_clock_mhz": "SM clock, MHz",
    "memory_clock_mhz": "Memory clock, MHz",
    "cpu_name": "CPU",
    "num_cpus": "CPUs",
}


def circumstances(environments: Sequence[Environment]) -> tuple[tuple[str, str], ...]:
    """Return what is known of the environments as (title, values) rows.

    A field that no environment knows is left out; one with several values shows the
    first few and how many more there are; times show the first and the last.
    """
    rows = []
    for field in Environment.model_fields:
        values = [getattr(one, field) for one in environments]
        known = [value for value in values if value not in (None, (), {})]
        if not known:
            continue
        title = _TITLES.get(field, field.replace("_", " ").capitalize())
        rows.append((title, _text(field, known)))
    return tuple(rows)


def _text(field: str, values: Sequence[object]) -> str:
    if field == "measured_at":
        times = sorted(f"{value:%Y-%m-%d %H:%M %Z}".strip() for value in values)
        return times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    distinct = list(dict.fromkeys(printable(_one(value)) for value in values))
    shown = "; ".join(distinct[:_MOST_VALUES])
    more = len(distinct) - _MOST_VALUES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _one(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return str(value)
