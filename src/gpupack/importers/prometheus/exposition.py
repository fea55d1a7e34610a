"""Saved ``/metrics`` texts: counters of a server at one time, or at several."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np

from gpupack.errors import InvalidInputError, MissingExtraError, ProfileDataError
from gpupack.importers.prometheus.quantities import OverTime, Quantity
from gpupack.importers.prometheus.readings import Readings, Series, Steps
from gpupack.importers.prometheus.window import told
from gpupack.quoting import listed, printable, quoted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

Key = tuple[tuple[str, str], ...]
"""The labels that a quantity keeps, sorted by name."""

_END_OF_TIME_S = 32_503_680_000.0
"""The year 3000."""
_MOST = 2.0**62
"""More is no count, no bytes, no microseconds."""
_LEAST_APART_S = 1.0
"""Between two texts of a server: files that were copied one after the other have times
that are milliseconds apart, and their counters would tell millions a second."""
_TIMES_SAID = (
    "say when the texts were taken: by the files' times (cp -p keeps them, touch -d "
    "TIME FILE sets them), or by the samples', in milliseconds behind each value"
)
_QUANTITY_BY_METRIC = {one.metric: one for one in Quantity}


@dataclass(frozen=True, slots=True)
class MetricsText:
    """What ``/metrics`` of one server said at one time."""

    name: str
    """Of the file, for messages."""
    text: str
    taken_at_s: float
    """Seconds since 1970, unless the samples have times of their own."""
    server: str = ""
    """Tells servers apart, ``pod`` or ``namespace/pod``: several texts of one server
    are taken for several times."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    name: str
    server: str
    time_s: float
    values: Mapping[Quantity, Mapping[Key, float]]
    has_own_time: bool = False
    """Whether its samples say their times; otherwise it is the file's."""

    @property
    def has_counters(self) -> bool:
        return any(not quantity.is_of_gpus for quantity in self.values)


def read_texts(texts: Sequence[MetricsText]) -> Readings:
    """Return what saved texts hold: rates between any two of a server.

    Args:
        texts: At least one. With one of each server there are no rates; with several,
            as many of each, in any order.

    Raises:
        InvalidInputError: If there is none, or the times of servers do not match.
        ProfileDataError: If a text is no text exposition, holds none of the metrics,
            or has an impossible value.
    """
    if not texts:
        raise InvalidInputError("no text was given: name a saved /metrics")
    snapshots = sorted(map(_parse, texts), key=lambda one: one.time_s)
    by_server: dict[str, list[_Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        if snapshot.has_counters:
            by_server[snapshot.server].append(snapshot)
    steps = _steps(by_server, snapshots)
    series: dict[Quantity, list[Series]] = defaultdict(list)
    for own in by_server.values():
        for quantity in Quantity:
            if not quantity.is_of_gpus:
                series[quantity] += _of_server(own, quantity, len(steps))
    for quantity in Quantity:
        if quantity.is_of_gpus:
            series[quantity] += _of_gpus(snapshots, quantity, steps)
    return Readings(
        source=listed(tuple(dict.fromkeys(one.name for one in texts))),
        steps=steps,
        coarse_steps=steps,
        series={one: tuple(found) for one, found in series.items() if found},
        notes=_notes(steps),
    )


def _parse(given: MetricsText) -> _Snapshot:
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError as err:
        raise MissingExtraError(
            "reading saved metrics needs prometheus-client: pip install "
            "'gpupack[clusters]'"
        ) from err
    values: dict[Quantity, dict[Key, float]] = defaultdict(dict)
    times: set[float] = set()
    try:
        for family in text_string_to_metric_families(given.text):
            for sample in family.samples:
                # The parser calls every counter ``…_total``, as OpenMetrics does.
                name = sample.name.removesuffix("_total")
                quantity = _QUANTITY_BY_METRIC.get(name)
                if quantity is None:
                    continue
                labels = dict(sample.labels)
                if quantity.matcher and quantity.matcher not in labels.items():
                    continue
                _keep(values[quantity], quantity, labels, sample.value, given)
                if sample.timestamp is not None:
                    times.add(_time_s(sample.timestamp, given))
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as err:
        cause = shortened(printable(str(err)), 200)
        raise ProfileDataError(
            f"{quoted(given.name)} is no text of /metrics: {cause}; save one with "
            "curl http://TRITON:8002/metrics"
        ) from err
    if not values:
        raise ProfileDataError(
            f"{quoted(given.name)} holds none of the metrics of Triton "
            "(nv_inference_count, …) or the DCGM exporter (DCGM_FI_DEV_FB_USED, …); "
            "Triton publishes its own at port 8002, the exporter at 9400"
        )
    time_s = max(times) if times else given.taken_at_s
    return _Snapshot(given.name, given.server, time_s, values, bool(times))


def _time_s(told: SupportsFloat, given: MetricsText) -> float:
    """Return a sample's time.

    Raises:
        ProfileDataError: If there is no such time.
    """
    time_s = float(told)
    if not 0 <= time_s < _END_OF_TIME_S:
        raise ProfileDataError(
            f"{quoted(given.name)}: a sample is of {time_s:g} s after 1970; its time "
            "is in milliseconds, and left out where nobody knows it"
        )
    return time_s


def _keep(
    values: dict[Key, float],
    quantity: Quantity,
    labels: dict[str, str],
    value: float,
    given: MetricsText,
) -> None:
    if math.isnan(value):
        return  # how Triton and the exporter say that there is nothing to say
    if not 0 <= value < _MOST:
        raise ProfileDataError(
            f"{quoted(given.name)}: {quantity.metric} is {value:g}; it cannot be"
        )
    if not quantity.is_of_gpus:
        namespace, _, pod = given.server.rpartition("/")
        for name, text in (("namespace", namespace), ("pod", pod), ("instance", pod)):
            if text:
                labels.setdefault(name, text)
    key = tuple((name, labels[name]) for name in quantity.labels if labels.get(name))
    if quantity.over_time is OverTime.RATE:  # versions of a model
        values[key] = values.get(key, 0.0) + value
    else:
        values[key] = max(values.get(key, 0.0), value)


def _steps(by_server: Mapping[str, list[_Snapshot]], all_of: list[_Snapshot]) -> Steps:
    counts = {len(own) for own in by_server.values()}
    if len(counts) > 1:
        told_counts = listed(
            [f"{name or 'the server'}: {len(own)}" for name, own in by_server.items()]
        )
        raise InvalidInputError(
            f"the servers have different numbers of texts ({told_counts}); give one of "
            "each server for every time"
        )
    number = counts.pop() if counts else 1
    if number == 1:
        end_s = max(one.time_s for one in all_of)
        return Steps((end_s, end_s))
    edges: list[float] = []
    for at in range(number):
        times = [own[at].time_s for own in by_server.values()]
        edges.append(sum(times) / len(times))
    for own in by_server.values():
        for before, after in pairwise(own):
            _require_apart(before, after)
    return Steps(tuple(edges))


def _require_apart(before: _Snapshot, after: _Snapshot) -> None:
    """Check that counters of one server at two times tell a rate.

    Raises:
        InvalidInputError: If the times are the same, or nearly, or of two clocks.
    """
    names = f"{quoted(before.name)} and {quoted(after.name)}"
    apart_s = after.time_s - before.time_s
    if before.has_own_time != after.has_own_time:
        raise InvalidInputError(
            f"{names} are of the same server, but the samples of one alone say their "
            "times, and those of the other are only known by the file's: how long lies "
            "between them is not known; save both in one way"
        )
    if apart_s <= 0:
        raise InvalidInputError(
            f"{names} are of the same server and the same time "
            f"({told(after.time_s)}): name servers apart (POD=FILE), and {_TIMES_SAID}"
        )
    if apart_s < _LEAST_APART_S:
        whose = "samples" if after.has_own_time else "files"
        raise InvalidInputError(
            f"{names} are {apart_s:.3g} s apart by the times of the {whose} "
            f"({told(after.time_s)}), which tells no rate: save /metrics again "
            f"{_LEAST_APART_S:g} s later or more, a minute where there is little to do"
            + ("" if after.has_own_time else f"; if they were, {_TIMES_SAID}")
        )


def _of_server(
    own: Sequence[_Snapshot], quantity: Quantity, num_steps: int
) -> Iterable[Series]:
    keys = dict.fromkeys(key for one in own for key in one.values.get(quantity, ()))
    for key in keys:
        found = [one.values.get(quantity, {}).get(key) for one in own]
        values = np.full(num_steps, np.nan)
        if len(own) == 1:
            if quantity.over_time is not OverTime.RATE:
                values[0] = found[0]
        else:
            for at, (before, after) in enumerate(pairwise(own)):
                first, then = found[at], found[at + 1]
                if then is None:
                    continue
                if quantity.over_time is not OverTime.RATE:
                    values[at] = then if first is None else max(first, then)
                    continue
                # A counter that is lower began anew; so did one that was not there.
                risen = then if first is None or then < first else then - first
                values[at] = risen / (after.time_s - before.time_s)
        yield Series(dict(key), values)


def _of_gpus(
    snapshots: Sequence[_Snapshot], quantity: Quantity, steps: Steps
) -> Iterable[Series]:
    """Return gauges: in a step those taken in it, or all if none was in every one."""
    found: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for one in snapshots:
        for key, value in one.values.get(quantity, {}).items():
            found[key].append((one.time_s, value))
    is_mean = quantity.over_time is OverTime.MEAN

    def together(values: list[float]) -> float:
        return sum(values) / len(values) if is_mean else max(values)

    for key, pairs in found.items():
        values: NDArray[np.float64] = np.empty(len(steps))
        edges = steps.edges_s
        for at in range(len(steps)):
            inside = [v for t, v in pairs if edges[at] <= t <= edges[at + 1]]
            values[at] = together(inside or [v for _, v in pairs])
        yield Series(dict(key), values * quantity.scale)


def _notes(steps: Steps) -> tuple[str, ...]:
    if steps.edges_s[0] < steps.edges_s[-1]:
        return ()
    return (
        "counters at a single time tell no rate: save /metrics a second time, or read "
        "a Prometheus server",
    )
