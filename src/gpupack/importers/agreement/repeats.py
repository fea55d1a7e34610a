"""Rows of one load point: repeats of a measurement, or rows that contradict.

Repeats within noise become one record: of throughput and latencies the median, of
memory and the highest utilizations the highest. What differs by more is refused: which
of the rows holds, only who measured can say.
"""

from __future__ import annotations

import statistics
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from gpupack.errors import ProfileDataError
from gpupack.quoting import listed, quoted
from gpupack.records.profile import ProfileRecord, ServerBaseline

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

_HIGHEST = frozenset(
    ["gpu_utilization_percent", "memory_utilization_percent", "gpu_memory_used_bytes"]
)
"""Readings that are the most that was seen, so also of several measurements."""
_NOISE_RATIO: Mapping[str, float] = {
    "throughput_infer_per_sec": 0.1,
    "latency_mean_us": 0.1,
    "latency_p50_us": 0.1,
    "latency_p90_us": 0.25,
    "latency_p95_us": 0.25,
    "latency_p99_us": 0.25,
    "gpu_memory_used_bytes": 0.1,
    "power_mean_watts": 0.25,
}
"""How far apart measurements of one thing may lie, as a share of the highest.

Windows that gpupack itself calls stable lie within 0.1 of each other; tails are of a
hundredth of the requests, and noisier.
"""
_COUNT = "num_model_instances"
_NOISE_PERCENT = 10.0
"""How many percent points utilizations may lie apart."""


_WHAT_IT_IS_OF = attrgetter("model_name", "load_point", "gpu_type.name")
_Record = TypeVar("_Record", ProfileRecord, ServerBaseline)


def joined_repeats(
    records: Sequence[ProfileRecord],
    *,
    where: Callable[[int], str],
    source: str = "",
    hint: Callable[[Sequence[int]], str] = lambda _: "",
) -> tuple[list[ProfileRecord], list[str]]:
    """Return one record for each load point, and what to say of those measured again.

    Args:
        records: As they were read. Equal load points may be one object.
        where: Names a record's row, by its index.
        source: The file that all are in, for messages.
        hint: What else tells rows apart, by their indices; begins with a semicolon.

    Raises:
        ProfileDataError: If two contradict each other; names both rows and figures.
    """
    equal: dict[object, int] = {}
    told = [*map(_WHAT_IT_IS_OF, records)]
    by_id = {id(point): point for _, point, _ in told}
    number = {key: equal.setdefault(one, key) for key, one in by_id.items()}
    keys = [(name, number[id(point)], gpu_name) for name, point, gpu_name in told]
    if len(set(keys)) == len(keys):
        return list(records), []
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    kept = []
    repeated: list[Sequence[int]] = []
    for indices in groups.values():
        if len(indices) > 1:
            repeated.append(indices)
        kept.append(
            _one_of(
                [records[index] for index in indices],
                [where(index) for index in indices] if len(indices) > 1 else [],
                _beginning(source) + _name(records[indices[0]]),
                lambda indices=indices: hint(indices),  # type: ignore[misc]
            )
        )
    first: Sequence[int] = repeated[0]
    example = f"{_name(records[first[0]])} in {listed([where(one) for one in first])}"
    points = "a load point is" if len(repeated) == 1 else f"{len(repeated)} are"
    return kept, [
        f"{points} measured several times, within noise ({example}): the median was "
        "taken, of memory and highest utilizations the highest"
    ]


def joined_baselines(
    baselines: Sequence[ServerBaseline],
    *,
    where: Callable[[int], str],
    source: str = "",
) -> list[ServerBaseline]:
    """Return one server-only baseline for each GPU type: the highest of repeats.

    Raises:
        ProfileDataError: If two contradict each other; names both rows and figures.
    """
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(baselines):
        groups.setdefault(one.gpu_type.name, []).append(index)
    return [
        _one_of(
            [baselines[index] for index in indices],
            [where(index) for index in indices],
            f"{_beginning(source)}the server alone on {name}",
            lambda: "",
        )
        for name, indices in groups.items()
    ]


def are_within_noise(name: str, values: Sequence[float]) -> bool:
    """Return whether values of one reading may be repeats of one measurement."""
    least, most = min(values), max(values)
    if name.endswith("_percent"):
        return most - least <= _NOISE_PERCENT
    noise = _NOISE_RATIO.get(name)
    return noise is None or most - least <= noise * most


def _beginning(source: str) -> str:
    return f"{source}: " if source else ""


def _name(record: ProfileRecord) -> str:
    return f"{quoted(record.model_name)} at {record.load_point}"


def _one_of(
    records: Sequence[_Record],
    wheres: Sequence[str],
    name: str,
    hint: Callable[[], str],
) -> _Record:
    """Return a record of the same readings, as repeats of a measurement have them."""
    if len(records) == 1:
        return records[0]
    changed: dict[str, float | int] = {}
    first = records[0]
    readings: tuple[str, ...] = first.readings()
    for field in dict.fromkeys((*_NOISE_RATIO, *readings, _COUNT)):
        given = [
            (value, index)
            for index, one in enumerate(records)
            if (value := getattr(one, field, None)) is not None
        ]
        if not given:
            continue
        values = [value for value, _ in given]
        least, most = min(given), max(given)
        if least[0] != most[0] and (
            field == _COUNT or not are_within_noise(field, values)
        ):
            raise ProfileDataError(
                f"{name}: the rows contradict each other: {field} is "
                f"{_shown(field, least[0])} in {wheres[least[1]]} and "
                f"{_shown(field, most[0])} in {wheres[most[1]]}; keep the row that "
                f"holds{hint()}"
            )
        is_highest = field in _HIGHEST or isinstance(most[0], int)
        changed[field] = most[0] if is_highest else statistics.median(values)
    missing = {name: why for name, why in first.missing.items() if name not in changed}
    return first.model_copy(update={**changed, "missing": missing})


def _shown(field: str, value: float) -> str:
    if field.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:g}"
