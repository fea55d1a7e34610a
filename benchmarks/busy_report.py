"""How predictions fare on networks that keep the GPU busy: recorded sets, judged.

Sets recorded by ``benchmarks.h200.busy_record``. Those of the fitting half (``fit``)
gave the share of the contention factor for arrivals, the wake-up and the latency
margins; the other half (``judge``) was judged while forms were chosen, others again
(``fresh``) were recorded when they had been, and others once more (``new``) after those
had been looked at. A set of a closed loop has rounds, each with every model alone and
all together; how far they are apart is the noise of their mean. Where rounds tell the
host's speed, retention is told at equal speed, too. Plans were made on the spot, by the
predicted latency and by the latency alone, for the same demands and limits, and run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.equal_host_speed import host_shares, rounds_at_equal_speed
from benchmarks.h200.busy import FRESH, NEW
from benchmarks.measuring_noise import drawn_again, percentile_beyond_noise
from benchmarks.paired_rounds import errors_of_the_truth, measured_retention
from gpupack.planning.contention import (
    Contention,
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.records.environment import SharingMode
from gpupack.records.profile import ProfileRecord

PERCENTILE = 99.0
NEAR = 0.2
FLOORS = (0.9, 0.8)
ALLOWED_POINTS = 0.03
MIN_REQUESTS = 662
"""So many a p99 needs (MLPerf LoadGen); of fewer it is not judged."""
BORNE = 0.8
MANY = 8
"""So many models share the GPU in sets that only plans by the latency alone made."""
HALVES = ("new", "fresh", "judge")
"""The one that judges is the first of these of which there are records."""


@dataclass
class BusySession:
    """One recording: profiles, and the sets in order of measuring."""

    half: str
    sharing: SharingMode
    records: list[ProfileRecord] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def contention(self) -> Contention:
        """The defaults for this way of sharing."""
        return resolve_contention(
            ProfileSet(records=tuple(self.records)),
            self.records[0].gpu_type,
            self.sharing,
        )

    def of(self, label: str) -> list[dict[str, Any]]:
        """Return the sets of one kind."""
        return [one for one in self.sets if one["label"] == label]


@dataclass(frozen=True)
class _Kept:
    """One model of a closed set."""

    model_name: str
    predicted: float
    measured: float
    noise: tuple[float, ...]
    """Sizes of the error that a perfect prediction might be seen to have."""
    promised: float
    has_host_work: bool
    measured_at_equal_speed: float | None
    """At equal speed of the host; None where that was not recorded."""
    noise_at_equal_speed: tuple[float, ...]
    host_exponent: float | None


@dataclass(frozen=True)
class _Latency:
    """One model of a set with traffic, in seconds."""

    measured: float
    predicted: float
    alone: float
    halves: tuple[float, float]
    num_requests: int
    num_models: int
    limit: float | None
    plan: str | None
    is_allowed: bool
    """Whether the rule as it is now lets all of its set share a GPU."""
    is_kept_up: bool
    share_of_bearable: float
    draws: np.ndarray
    """The measured one, as other measurements of the same might have read it."""


def read_busy(folder: Path) -> list[BusySession]:
    """Return the recorded sessions, by half and way of sharing."""
    found = []
    for path in sorted(folder.glob("busy_*_*.jsonl")):
        _, half, rest = path.stem.split("_", 2)
        mode = SharingMode.MPS if rest.startswith("mps") else SharingMode.TIME_SLICING
        rows = [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
        ]
        records = {
            row["model_name"]: ProfileRecord.model_validate(row)
            for row in rows
            if row["kind"] == "profile_record"
        }
        sets = [row for row in rows if row["kind"] != "profile_record"]
        found.append(
            BusySession(half, mode, [*records.values()], _with_all_rounds(sets))
        )
    return _with_readings_apart(found)


def _with_readings_apart(sessions: list[BusySession]) -> list[BusySession]:
    """Return those with sets, with what the probe read where it alone was recorded.

    That was done where the probe measured more rounds than when the sets were run.
    """
    apart = {
        (one.half, one.sharing): {record.model_name: record for record in one.records}
        for one in sessions
        if not any(row["label"] != "alone" for row in one.sets)
    }
    kept = []
    for session in sessions:
        read = apart.get((session.half, session.sharing), {})
        if not any(row["label"] != "alone" for row in session.sets):
            continue
        session.records = [
            record
            if record.model_name not in read
            else record.model_copy(
                update={
                    "probe": read[record.model_name].probe,
                    "turns": read[record.model_name].turns,
                }
            )
            for record in session.records
        ]
        kept.append(session)
    return kept


def _with_all_rounds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every closed set once, with the rounds of all visits to it."""
    found: list[dict[str, Any]] = []
    by_members: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        if row["label"] != "closed":
            found.append(row)
            continue
        first = by_members.setdefault(tuple(row["models"]), row)
        if first is row:
            found.append(row)
        else:
            first["rounds"] = [*first["rounds"], *row["rounds"]]
    return found


def recorded_halves(folder: Path) -> list[str]:
    """Return those that judge of which there are records, the one seen last first."""
    recorded = {one.half for one in read_busy(folder)}
    return [half for half in HALVES if half in recorded]


def judging_half(folder: Path) -> str:
    """Return the half that judges: the one seen last, if it is recorded."""
    return next(iter(recorded_halves(folder)), HALVES[-1])


def judge_busy(folder: Path, *, half: str = "judge") -> dict[str, Any]:
    """Return the figures of one half, of all ways of sharing and of each."""
    sessions = [one for one in read_busy(folder) if one.half == half]
    return {
        **_figures(sessions),
        **{
            mode.value: _figures([one for one in sessions if one.sharing is mode])
            for mode in (SharingMode.TIME_SLICING, SharingMode.MPS)
            if any(one.sharing is mode for one in sessions)
        },
    }


def busy_errors(folder: Path, *, half: str = "judge") -> tuple[np.ndarray, np.ndarray]:
    """Return errors of retention over a half, and sizes of their noise, in points.

    There is one size or more of each retention.
    """
    sessions = [one for one in read_busy(folder) if one.half == half]
    kept = [one for session in sessions for one in _kept(session)]
    errors = np.array([one.predicted - one.measured for one in kept])
    return 100 * errors, _noise_points(kept)


def _noise_points(kept: list[_Kept]) -> np.ndarray:
    return 100 * np.array([size for one in kept for size in one.noise])


def _figures(sessions: list[BusySession]) -> dict[str, Any]:
    kept = [one for session in sessions for one in _kept(session)]
    latencies = [one for session in sessions for one in _latencies(session)]
    errors = 100 * np.array([one.predicted - one.measured for one in kept])
    capped = 100 * np.array([one.predicted - min(1.0, one.measured) for one in kept])
    noise = _noise_points(kept)
    quiet = np.array([not one.has_host_work for one in kept])
    quiet_noise = _noise_points([one for one in kept if not one.has_host_work])
    floors = [(one, floor) for one in kept for floor in FLOORS if one.promised >= floor]
    told = [one for one in latencies if one.num_requests >= MIN_REQUESTS]
    # Of requests that come faster than they are answered a p99 is as long as one
    # measures: there is none to predict.
    judged = [one for one in told if one.is_kept_up]
    overrun = [one for one in told if not one.is_kept_up]
    within = [abs(one.predicted / one.measured - 1) <= NEAR for one in judged]
    as_planned = [
        near
        for near, one in zip(within, judged, strict=True)
        if one.plan == "predicted" or one.share_of_bearable <= 0.5
    ]
    halves = [abs(one.halves[0] / one.halves[1] - 1) <= NEAR for one in judged]
    return {
        "num_closed_sets": sum(len(one.of("closed")) for one in sessions),
        "num_models": len(
            {record.model_name for one in sessions for record in one.records}
        ),
        "num_retentions": len(kept),
        "retention_mae_points": _mean(np.abs(errors)),
        "retention_noise_points": _mean(noise),
        "retention_p95_points": _high(np.abs(errors)),
        "retention_noise_p95_points": _high(noise),
        "retention_bias_points": _mean(errors),
        "retention_p95_points_beyond_noise": _beyond(errors, noise),
        "retention_mae_points_without_host_work": _mean(np.abs(errors[quiet])),
        "retention_noise_points_without_host_work": _mean(quiet_noise),
        "retention_p95_points_without_host_work": _high(np.abs(errors[quiet])),
        "retention_noise_p95_points_without_host_work": _high(quiet_noise),
        "retention_p95_points_beyond_noise_without_host_work": _beyond(
            errors[quiet], quiet_noise
        ),
        # Beside others a network whose host was at rest can be faster than alone.
        "retention_above_1.05_share": _share([one.measured > 1.05 for one in kept]),
        "retention_mae_points_where_at_most_1": _mean(np.abs(capped)),
        "retention_p95_points_where_at_most_1": _high(np.abs(capped)),
        "retention_bias_points_by_model": _by_model(kept, errors),
        **_at_equal_host_speed(kept),
        "kept_share_on_shared_gpus": _share(
            [one.measured >= floor - ALLOWED_POINTS for one, floor in floors]
        ),
        "num_models_on_shared_gpus": sum(floor == FLOORS[-1] for _, floor in floors),
        "num_latency_sets": sum(len(one.of("traffic")) for one in sessions),
        "num_latencies": len(judged),
        "p99_within_20_percent_share": _share(within),
        "num_latencies_not_kept_up": len(overrun),
        "not_kept_up_predicted_share": _share(
            [not np.isfinite(one.predicted) for one in overrun]
        ),
        "p99_within_20_percent_share_as_planned": _share(as_planned),
        "p99_halves_within_20_percent_share": _share(halves),
        "p99_within_20_percent_share_attainable": _mean(
            [np.mean(np.abs(one.draws / one.measured - 1) <= NEAR) for one in judged]
        ),
        "p99_within_20_percent_share_below_8_models": _share(
            [
                near
                for near, one in zip(within, judged, strict=True)
                if one.num_models < MANY
            ]
        ),
        "p99_within_20_percent_of_interval_share": _share(
            [_is_near_interval(one) for one in judged]
        ),
        "p99_median_error_ratio": _median(
            [one.predicted / one.measured - 1 for one in judged]
        ),
        "p99_to_alone_median": _median([one.measured / one.alone for one in judged]),
        **{
            f"{key}": _share([one.measured <= (one.limit or 0.0) for one in of_plan])
            for key, of_plan in _by_plan(latencies)
        },
        "kept_p99_share_allowed_now": _share(
            [one.measured <= (one.limit or 0.0) for one in latencies if one.is_allowed]
        ),
        "num_p99_promises_allowed_now": sum(one.is_allowed for one in latencies),
        "num_p99_promises": sum(one.plan == "predicted" for one in latencies),
        "kept_demand_share": _share([one.is_kept_up for one in latencies]),
    }


def _at_equal_host_speed(kept: list[_Kept]) -> dict[str, Any]:
    """Return retention's figures at equal speed of the host, where it was recorded."""
    told = [one for one in kept if one.measured_at_equal_speed is not None]
    if not told:
        return {}
    measured = np.array([one.measured_at_equal_speed for one in told])
    errors = 100 * (np.array([one.predicted for one in told]) - measured)
    noise = 100 * np.array([size for one in told for size in one.noise_at_equal_speed])
    return {
        "num_retentions_at_equal_host_speed": len(told),
        "retention_mae_points_at_equal_host_speed": _mean(np.abs(errors)),
        "retention_noise_points_at_equal_host_speed": _mean(noise),
        "retention_p95_points_at_equal_host_speed": _high(np.abs(errors)),
        "retention_noise_p95_points_at_equal_host_speed": _high(noise),
        "retention_p95_points_beyond_noise_at_equal_host_speed": _beyond(errors, noise),
        "retention_above_1.05_share_at_equal_host_speed": _mean(measured > 1.05),
        "retention_bias_points_by_model_at_equal_host_speed": _by_model(told, errors),
        "host_exponent_by_model": _by_model(
            told, np.array([one.host_exponent for one in told])
        ),
    }


def _by_model(kept: list[_Kept], values: np.ndarray) -> dict[str, float | None]:
    names = np.array([one.model_name for one in kept])
    return {str(name): _mean(values[names == name]) for name in np.unique(names)}


def _is_near_interval(one: _Latency) -> bool:
    """Return whether the prediction is near something that may have been measured."""
    low, high = np.percentile(one.draws, [2.5, 97.5])
    return bool(low * (1 - NEAR) <= one.predicted <= high * (1 + NEAR))


def _by_plan(latencies: list[_Latency]) -> list[tuple[str, list[_Latency]]]:
    return [
        ("kept_p99_share", [one for one in latencies if one.plan == "predicted"]),
        (
            "kept_p99_share_planned_alone",
            [one for one in latencies if one.plan == "alone"],
        ),
    ]


HOST_WORK = (
    *("maxvit", "gpt", "shufflenet"),
    *("mobilenet", "decoder", "resnext", "encoder", "unet"),
)
"""In names of the first two halves: prepared on the host, or launched kernel by
kernel."""
_UNSEEN_HOST_WORK = {
    one.name for one in (*FRESH, *NEW) if one.on_host or not one.is_captured
}


def has_host_work(name: str) -> bool:
    """Return whether the host prepares a network's input or launches its kernels."""
    return name in _UNSEEN_HOST_WORK or any(word in name for word in HOST_WORK)


def _kept(session: BusySession) -> list[_Kept]:
    names = [one.model_name for one in session.records]
    contention = session.contention
    rule = RetentionRule(session.records, contention, {})
    shares = host_shares(session.of("closed"))
    found = []
    for one in session.of("closed"):
        counts = tuple(sorted((names.index(name), 1) for name in one["models"]))
        predicted = dict(
            zip(
                [item for item, _ in counts],
                rule.expected_retentions(counts),
                strict=True,
            )
        )
        promised = min(
            cautious_retention(share, contention.margin)
            for share in rule.retentions(counts)
        )
        for index, name in enumerate(one["models"]):
            alone = [each["alone"][index] for each in one["rounds"]]
            together = [each["together"][index] for each in one["rounds"]]
            if len(alone) < 2:
                continue  # cut off: nothing tells its noise
            share = shares.get(name)
            equal: tuple[list[float], list[float]] = ([], [])
            if share is not None:
                equal = rounds_at_equal_speed(one["rounds"], index, share)
            is_told = len(equal[0]) > 1
            found.append(
                _Kept(
                    name,
                    predicted[names.index(name)],
                    measured_retention(alone, together),
                    tuple(errors_of_the_truth(alone, together)),
                    promised,
                    has_host_work(name),
                    measured_retention(*equal) if is_told else None,
                    tuple(errors_of_the_truth(*equal)) if is_told else (),
                    share.exponent if share is not None else None,
                )
            )
    return found


def _latencies(session: BusySession) -> list[_Latency]:
    by_name = {one.model_name: one for one in session.records}
    alone = {
        row["models"][0]["model_name"]: float(
            np.percentile(row["models"][0]["latencies_us"], PERCENTILE)
        )
        / 1e6
        for row in session.of("alone")
    }
    contention = session.contention
    found = []
    for one in session.of("traffic"):
        models = one["models"]
        records = [by_name[model["model_name"]] for model in models]
        loads = [
            model["offered_infer_per_sec"] / (record.throughput_infer_per_sec or 1.0)
            for model, record in zip(models, records, strict=True)
        ]
        counts = tuple((item, 1) for item in range(len(records)))
        rule = RetentionRule(
            records,
            contention,
            {},
            loads=loads,
            latency=LatencyLimits(
                dict(
                    zip(
                        [record.model_name for record in records],
                        one.get("limits_s") or [],
                        strict=False,
                    )
                ),
                frozenset(by_name),
                percentile=PERCENTILE,
            ),
        )
        predicted = rule.latencies_s(counts, [PERCENTILE])
        limits = one.get("limits_s") or [None] * len(models)
        is_allowed = limits[0] is not None and rule.is_allowed(counts)
        for model, (latency_s,), limit in zip(models, predicted, limits, strict=True):
            latencies = np.array(model["latencies_us"]) / 1e6
            half = len(latencies) // 2
            found.append(
                _Latency(
                    float(np.percentile(latencies, PERCENTILE)),
                    latency_s,
                    alone[model["model_name"]],
                    (
                        float(np.percentile(latencies[:half], PERCENTILE)),
                        float(np.percentile(latencies[half:], PERCENTILE)),
                    ),
                    len(latencies),
                    len(models),
                    limit,
                    one.get("plan"),
                    is_allowed,
                    bool(model["open_loop"]["is_kept_up"]),
                    float(one.get("bearable_share") or 1.0),
                    drawn_again(latencies, PERCENTILE, seed=len(found)),
                )
            )
    return found


def _share(values: list[bool]) -> float | None:
    return _mean(values)


def _mean(values: Any) -> float | None:
    return _round(np.mean(values)) if len(values) else None


def _median(values: Any) -> float | None:
    return _round(np.median(values)) if len(values) else None


def _high(sizes: Any) -> float | None:
    return _round(np.percentile(sizes, 95)) if len(sizes) else None


def _beyond(errors: Any, noise: Any) -> float | None:
    if not len(errors):
        return None
    return _round(percentile_beyond_noise([(errors, noise)], 95))


def _round(value: Any) -> float:
    return round(float(value), 3)
