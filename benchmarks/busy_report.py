"""How predictions fare on networks that keep the GPU busy: recorded sets, judged.

Sets recorded by ``benchmarks.h200.busy_record``. Those of the fitting half (``fit``)
gave the share of the contention factor for arrivals, the wake-up and the latency
margins; here the other half is judged. A set of a closed loop has two rounds, each with
every model alone and all together; half of how far two retentions of one model are
apart is the noise of their mean. Plans were made on the spot, by the predicted latency
and by the latency alone, for the same demands and limits, and run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring_noise import drawn_again, percentile_beyond_noise
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

    predicted: float
    measured: float
    noise: float
    promised: float
    has_host_work: bool


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
        session = BusySession(half, mode)
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["kind"] == "profile_record":
                session.records.append(ProfileRecord.model_validate(row))
            else:
                session.sets.append(row)
        found.append(session)
    return found


def judge_busy(folder: Path, *, half: str = "judge") -> dict[str, Any]:
    """Return the figures of one half, of all ways of sharing and of each."""
    sessions = [one for one in read_busy(folder) if one.half == half]
    return {
        **_figures(sessions),
        **{
            mode.value: _figures([one for one in sessions if one.sharing is mode])
            for mode in (SharingMode.TIME_SLICING, SharingMode.MPS)
        },
    }


def busy_errors(folder: Path, *, half: str = "judge") -> tuple[np.ndarray, np.ndarray]:
    """Return errors of retention and their noise over a half, in points."""
    sessions = [one for one in read_busy(folder) if one.half == half]
    kept = [one for session in sessions for one in _kept(session)]
    errors = np.array([one.predicted - one.measured for one in kept])
    return 100 * errors, 100 * np.array([one.noise for one in kept])


def _figures(sessions: list[BusySession]) -> dict[str, Any]:
    kept = [one for session in sessions for one in _kept(session)]
    latencies = [one for session in sessions for one in _latencies(session)]
    errors = 100 * np.array([one.predicted - one.measured for one in kept])
    noise = 100 * np.array([one.noise for one in kept])
    quiet = np.array([not one.has_host_work for one in kept])
    floors = [(one, floor) for one in kept for floor in FLOORS if one.promised >= floor]
    judged = [one for one in latencies if one.num_requests >= MIN_REQUESTS]
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
        "retention_mae_points": _round(np.abs(errors).mean()),
        "retention_noise_points": _round(noise.mean()),
        "retention_p95_points": _round(np.percentile(np.abs(errors), 95)),
        "retention_noise_p95_points": _round(np.percentile(noise, 95)),
        "retention_bias_points": _round(errors.mean()),
        "retention_p95_points_beyond_noise": _round(
            percentile_beyond_noise([(errors, noise)], 95)
        ),
        "retention_mae_points_without_host_work": _round(np.abs(errors[quiet]).mean()),
        "retention_noise_points_without_host_work": _round(noise[quiet].mean()),
        "retention_p95_points_without_host_work": _round(
            np.percentile(np.abs(errors[quiet]), 95)
        ),
        "retention_noise_p95_points_without_host_work": _round(
            np.percentile(noise[quiet], 95)
        ),
        "retention_p95_points_beyond_noise_without_host_work": _round(
            percentile_beyond_noise([(errors[quiet], noise[quiet])], 95)
        ),
        "kept_share_on_shared_gpus": _share(
            [one.measured >= floor - ALLOWED_POINTS for one, floor in floors]
        ),
        "num_models_on_shared_gpus": sum(floor == FLOORS[-1] for _, floor in floors),
        "num_latency_sets": sum(len(one.of("traffic")) for one in sessions),
        "num_latencies": len(judged),
        "p99_within_20_percent_share": _share(within),
        "p99_within_20_percent_share_as_planned": _share(as_planned),
        "p99_halves_within_20_percent_share": _share(halves),
        "p99_within_20_percent_share_attainable": _round(
            np.mean(
                [
                    np.mean(np.abs(one.draws / one.measured - 1) <= NEAR)
                    for one in judged
                ]
            )
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
        "p99_median_error_ratio": _round(
            np.median([one.predicted / one.measured - 1 for one in judged])
        ),
        "p99_to_alone_median": _round(
            np.median([one.measured / one.alone for one in judged])
        ),
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
"""Prepared on the host, or launched kernel by kernel."""


def _kept(session: BusySession) -> list[_Kept]:
    names = [one.model_name for one in session.records]
    contention = session.contention
    rule = RetentionRule(session.records, contention, {})
    found = []
    for one in session.of("closed"):
        counts = tuple(sorted((names.index(name), 1) for name in one["models"]))
        predicted = dict(
            zip([item for item, _ in counts], rule.retentions(counts), strict=True)
        )
        promised = min(
            cautious_retention(share, contention.margin) for share in predicted.values()
        )
        for index, name in enumerate(one["models"]):
            alone = [each["alone"][index] for each in one["rounds"]]
            together = [each["together"][index] for each in one["rounds"]]
            first, second = (
                rate / solo for rate, solo in zip(together, alone, strict=True)
            )
            found.append(
                _Kept(
                    predicted[names.index(name)],
                    sum(together) / sum(alone),
                    abs(first - second) / 2,
                    promised,
                    any(word in name for word in HOST_WORK),
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
            latency=LatencyLimits({}, frozenset(by_name), percentile=PERCENTILE),
        )
        predicted = rule.latencies_s(counts, [PERCENTILE])
        limits = one.get("limits_s") or [None] * len(models)
        is_allowed = all(
            limit is not None and latency_s * (1 + contention.latency_margin) <= limit
            for (latency_s,), limit in zip(predicted, limits, strict=True)
        )
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
    return _round(np.mean(values)) if values else None


def _round(value: Any) -> float:
    return round(float(value), 3)
