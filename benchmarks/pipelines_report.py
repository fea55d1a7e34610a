"""How predictions fare on pipelines that nothing was fitted to: recorded sets, judged.

Sets recorded by ``benchmarks.h200.latency_record``. Latency limits are judged as plans
would keep them: a set is one that a plan may have made for a limit if every model of it
is predicted to keep that, with the margin; what its models then took is compared with
the limit. The same is done for limits judged by the latency alone, which every set
keeps. The margin is fitted on every other set and judged on the rest.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpupack.planning.contention import (
    Contention,
    LatencyLimits,
    RetentionRule,
    resolve_contention,
)
from gpupack.planning.contention.retention import cautious_retention
from gpupack.profile_set import ProfileSet
from gpupack.records.profile import ProfileRecord

PATTERN = "pipelines_*.jsonl"
PERCENTILE = 99.0
NEAR = 0.2
"""A latency is predicted if it is that near, as a share of what was measured."""
LIMITS = (1.5, 2.0, 3.0, 4.0, 6.0)
"""Latency limits tried, in multiples of each model's latency alone."""
KEPT_QUANTILE = 0.95
FLOORS = (0.9, 0.8)
ALLOWED_POINTS = 0.03


@dataclass
class _Session:
    """One way of sharing: profiles, and the sets in order of measuring."""

    sharing: str
    records: list[ProfileRecord] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [one.model_name for one in self.records]

    @property
    def contention(self) -> Contention:
        return resolve_contention(
            ProfileSet(records=tuple(self.records)),
            self.records[0].gpu_type,
            self.sharing,
        )

    def of(self, *labels: str) -> list[dict[str, Any]]:
        return [one for one in self.sets if one["label"] in labels]


@dataclass(frozen=True)
class _Latency:
    """One model of a set with traffic, in seconds."""

    set_index: int
    measured: float
    predicted: float
    alone: float
    halves: tuple[float, float]
    is_kept_up: bool


def read_pipelines(folder: Path) -> list[_Session]:
    """Return the recorded sessions, by way of sharing."""
    sessions = []
    for path in sorted(folder.glob(PATTERN)):
        session = _Session(path.stem.removeprefix("pipelines_"))
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["kind"] == "profile_record":
                session.records.append(ProfileRecord.model_validate(row))
            else:
                session.sets.append(row)
        sessions.append(session)
    return sessions


def judge_pipelines(folder: Path) -> dict[str, object]:
    """Return the figures of all sessions together, and of each."""
    sessions = read_pipelines(folder)
    parts = {one.sharing: _judge(one) for one in sessions}
    latencies = [one for session in sessions for one in _latencies(session)]
    retentions = [one for session in sessions for one in _retentions(session)]
    return {
        **_figures(latencies, retentions, sessions),
        "num_latency_sets": sum(len(one.of("traffic")) for one in sessions),
        "by_sharing": parts,
    }


def _judge(session: _Session) -> dict[str, object]:
    found = _figures(_latencies(session), _retentions(session), [session])
    return {
        "num_latency_sets": len(session.of("traffic")),
        "num_closed_sets": len(session.of("closed")),
        **found,
    }


def _figures(
    latencies: list[_Latency],
    retentions: list[tuple[int, float, float, float]],
    sessions: list[_Session],
) -> dict[str, object]:
    errors = np.array([one.predicted / one.measured - 1 for one in latencies])
    halves = np.array([one.halves[0] / one.halves[1] - 1 for one in latencies])
    margin, kept, num_kept, kept_alone = _limits_kept(latencies)
    points = 100 * np.array(
        [predicted - measured for _, predicted, measured, _ in retentions]
    )
    floors = [
        (measured, floor)
        for _, predicted, measured, lowest in retentions
        for floor in FLOORS
        if lowest >= floor
    ]
    noise = 100 * np.concatenate([_solo_noise(one) for one in sessions])
    return {
        "num_latencies": len(latencies),
        "p99_within_20_percent_share": _share(np.abs(errors) <= NEAR),
        "p99_halves_within_20_percent_share": _share(np.abs(halves) <= NEAR),
        "p99_median_error_ratio": _round(np.median(errors)),
        "p99_to_alone_median": _round(
            np.median([one.measured / one.alone for one in latencies])
        ),
        "latency_margin_fitted": _round(margin),
        "kept_p99_share": kept,
        "num_p99_promises": num_kept,
        "kept_p99_share_planned_alone": kept_alone,
        "kept_demand_share": _share([one.is_kept_up for one in latencies]),
        "pipeline_retention_mae_points": _round(np.abs(points).mean()),
        "pipeline_retention_bias_points": _round(points.mean()),
        "solo_noise_mae_points": _round(np.abs(noise).mean()),
        "kept_share_on_shared_gpus": _share(
            [measured >= floor - ALLOWED_POINTS for measured, floor in floors]
        ),
        "num_models_on_shared_gpus": sum(floor == FLOORS[-1] for _, floor in floors),
    }


def _limits_kept(
    latencies: list[_Latency],
) -> tuple[float, float | None, int, float | None]:
    """Return the margin fitted on even sets, and what odd ones keep by it and alone."""
    fitting = [one for one in latencies if one.set_index % 2 == 0]
    judging = [one for one in latencies if one.set_index % 2]
    margin = max(
        0.0,
        float(
            np.quantile(
                [one.measured / one.predicted for one in fitting], KEPT_QUANTILE
            )
        )
        - 1,
    )
    kept, alone = [], []
    for limit in LIMITS:
        for index in sorted({one.set_index for one in judging}):
            of_set = [one for one in judging if one.set_index == index]
            alone += [one.measured <= limit * one.alone for one in of_set]
            if all(one.predicted * (1 + margin) <= limit * one.alone for one in of_set):
                kept += [one.measured <= limit * one.alone for one in of_set]
    return margin, _share(kept), len(kept), _share(alone)


def _latencies(session: _Session) -> list[_Latency]:
    names, contention = session.names, session.contention
    found = []
    for index, one in enumerate(session.of("traffic")):
        records = [
            session.records[names.index(model["model_name"])] for model in one["models"]
        ]
        rule = RetentionRule(
            records,
            contention,
            {},
            loads=[
                model["offered_infer_per_sec"] / (record.throughput_infer_per_sec or 1)
                for model, record in zip(one["models"], records, strict=True)
            ],
            latency=LatencyLimits({}, frozenset(names), percentile=PERCENTILE),
        )
        predicted = rule.latencies_s(
            tuple((item, 1) for item in range(len(records))), [PERCENTILE]
        )
        for model, record, (latency_s,) in zip(
            one["models"], records, predicted, strict=True
        ):
            latencies = np.array(model["latencies_us"]) / 1e6
            if not math.isfinite(latency_s) or len(latencies) < 2:
                continue
            half = len(latencies) // 2
            found.append(
                _Latency(
                    # Sets of both sessions alternate between fitting and judging.
                    index + 1000 * (session.sharing == "mps"),
                    float(np.percentile(latencies, PERCENTILE)),
                    latency_s,
                    _alone_s(session, record.model_name),
                    (
                        float(np.percentile(latencies[:half], PERCENTILE)),
                        float(np.percentile(latencies[half:], PERCENTILE)),
                    ),
                    bool(model["open_loop"]["is_kept_up"]),
                )
            )
    return found


def _alone_s(session: _Session, model_name: str) -> float:
    """Return a model's p99 alone in a closed loop, as its profile was measured."""
    (row,) = (
        one
        for one in session.of("alone")
        if one["models"][0]["model_name"] == model_name
    )
    return float(np.percentile(row["models"][0]["latencies_us"], PERCENTILE)) / 1e6


def _solo_rates(session: _Session) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for one in session.of("alone", "alone again"):
        (model,) = one["models"]
        found.setdefault(model["model_name"], []).append(
            (one["measured_at"], model["throughput_infer_per_sec"])
        )
    return found


def _solo_noise(session: _Session) -> np.ndarray:
    """Return by what share each reading alone differs from those around it."""
    return np.array(
        [
            rates[index][1]
            / np.interp(
                rates[index][0],
                [rates[index - 1][0], rates[index + 1][0]],
                [rates[index - 1][1], rates[index + 1][1]],
            )
            - 1
            for rates in _solo_rates(session).values()
            for index in range(1, len(rates) - 1)
        ]
    )


def _retentions(session: _Session) -> list[tuple[int, float, float, float]]:
    """Return set, predicted and measured retention, and the set's lowest promise."""
    names, contention = session.names, session.contention
    rule = RetentionRule(session.records, contention, {})
    solo = _solo_rates(session)
    found = []
    for number, one in enumerate(session.of("closed")):
        counts = tuple(
            sorted((names.index(model["model_name"]), 1) for model in one["models"])
        )
        predicted = dict(
            zip([item for item, _ in counts], rule.retentions(counts), strict=True)
        )
        lowest = min(
            cautious_retention(share, contention.margin) for share in predicted.values()
        )
        for model in one["models"]:
            name = model["model_name"]
            alone = np.interp(one["measured_at"], *zip(*solo[name], strict=True))
            found.append(
                (
                    number,
                    predicted[names.index(name)],
                    float(model["throughput_infer_per_sec"] / alone),
                    lowest,
                )
            )
    return found


def _share(values: Any) -> float | None:
    found = np.asarray(values, dtype=float)
    return _round(found.mean()) if len(found) else None


def _round(value: Any) -> float:
    return round(float(value), 3)
