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

from gpupack.planning.contention import (
    Contention,
    LatencyLimits,
    MeasuredSet,
    RetentionRule,
    fit_contention_factor,
    mean_absolute_error,
    measured_sets,
    resolve_contention,
)
from gpupack.planning.contention.calibration import SoloBehavior
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    SHARING_SHAPES,
    probe_times,
    share_while_busy,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.records.colocation import CoLocation
from gpupack.records.environment import SharingMode
from gpupack.records.profile import ProfileRecord
from gpupack.verifying import PRIOR_SETS

PERCENTILE = 99.0
NEAR = 0.2
FLOORS = (0.9, 0.8)
ALLOWED_POINTS = 0.03
MIN_REQUESTS = 662
"""So many a p99 needs (MLPerf LoadGen); of fewer it is not judged."""
BORNE = 0.8


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
    limit: float | None
    plan: str | None
    is_kept_up: bool
    share_of_bearable: float


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
        "retention_mae_points_without_host_work": _round(np.abs(errors[quiet]).mean()),
        "retention_noise_points_without_host_work": _round(noise[quiet].mean()),
        "retention_p95_points_without_host_work": _round(
            np.percentile(np.abs(errors[quiet]), 95)
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
        "num_p99_promises": sum(one.plan == "predicted" for one in latencies),
        "kept_demand_share": _share([one.is_kept_up for one in latencies]),
    }


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
                    limit,
                    one.get("plan"),
                    bool(model["open_loop"]["is_kept_up"]),
                    float(one.get("bearable_share") or 1.0),
                )
            )
    return found


def judge_quick_calibration(folder: Path) -> dict[str, Any]:
    """Return how predictions fare on one H200 with a quick calibration there.

    The reference factors are those of the first recording, so that nothing of the
    second, on another H200, is in what calibrates it.
    """
    first, second = (
        [
            CoLocation.model_validate_json(line)
            for line in (folder / f"reference_models_{number}.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        ]
        for number in (1, 2)
    )
    found: dict[str, Any] = {}
    for session in read_busy(folder):
        mode = session.sharing
        if session.half != "judge" or not session.of("closed"):
            continue
        shape = SHARING_SHAPES[mode]
        sets = _measured_sets(session)
        reference, quick = (
            measured_sets(
                [one for one in run if one.environment.sharing_mode is mode],
                labels=None,
            )
            for run in (first, second)
        )
        ratio = (
            fit_contention_factor(quick, shape)[0]
            / fit_contention_factor(reference, shape)[0]
        )
        default = DEFAULT_CONTENTION_FACTORS[mode]
        factor = default * ratio ** (len(quick) / (len(quick) + PRIOR_SETS))
        found[mode.value] = {
            "num_reference_sets": len(quick),
            "contention_factor": _round(factor),
            "mae_points": _round(100 * mean_absolute_error(sets, factor, shape)),
            "default_contention_factor": default,
            "default_mae_points": _round(
                100 * mean_absolute_error(sets, default, shape)
            ),
        }
    return found


def _measured_sets(session: BusySession) -> list[MeasuredSet]:
    solos = {}
    for record in session.records:
        share = (record.gpu_utilization_mean_percent or 0.0) / 100
        rate = record.requests_per_sec or 0.0
        solos[record.model_name] = SoloBehavior(
            rate,
            share,
            1,
            share_while_busy(record.sm_utilization_percent, share),
            share_while_busy(record.dram_bandwidth_percent, share),
            None
            if record.probe is None
            else probe_times(
                record.probe,
                throughput_infer_per_sec=rate,
                batch_size=1,
                num_customers=1,
                gpu_share=share,
            ),
        )
    return [
        MeasuredSet(
            tuple((name, "1x1") for name in one["models"]),
            tuple(solos[name] for name in one["models"]),
            tuple(
                sum(each["together"][index] for each in one["rounds"])
                / sum(each["alone"][index] for each in one["rounds"])
                for index in range(len(one["models"]))
            ),
        )
        for one in session.of("closed")
    ]


def _share(values: list[bool]) -> float | None:
    return _round(np.mean(values)) if values else None


def _round(value: Any) -> float:
    return round(float(value), 3)
