"""The judged figures of the co-location records, computed from the records alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from gpupack.planning import (
    DEFAULT_CONTENTION_FACTORS,
    PROCESSOR_SHARING,
    SHARING_SHAPES,
    MeasuredSet,
    fit_contention_factor,
    fit_retention_margin,
    measured_sets,
)
from gpupack.records.colocation import CoLocation
from gpupack.records.environment import SharingMode
from gpupack.store import read_verifications

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gpupack.records.running.verification import GpuVerification

    SetKeys = tuple[tuple[str, str], ...]

PATTERN = "colocation_*.jsonl"
"""Record files; every one is a session with solo readings of its own."""
VERIFIED_PATTERN = "verified_*.jsonl"
"""What ``gpupack.verify`` found, one file per plan."""
ALLOWED_POINTS = 0.03
"""A kept promise may fall short by this much: 0.87 where 0.9 was asked."""


@dataclass(frozen=True)
class Judgement:
    """Errors of retention over the judged sets of one or more ways of sharing.

    Attributes:
        sharing: Name of the way of sharing, or ``all``.
        factor: Contention factor that is shipped; None over several.
        margin: Retention margin fitted on the other half; None over several.
        measured: Retention of every model of every judged set.
        predicted: The same, by the network with that factor.
        without_probe: The same, where the kernel probe's readings are left out.
        one_factor: The same, by processor sharing with the factor that fits it.
        plain: The same, by processor sharing with factor 1.
        rule: The same, by "a sum of at most 100 % loses nothing".
        repeats: Distances of two readings of one retention.
    """

    sharing: str
    factor: float | None
    margin: float | None
    set_keys: frozenset[SetKeys]
    all_keys: frozenset[SetKeys]
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    without_probe: tuple[float, ...]
    one_factor: tuple[float, ...]
    plain: tuple[float, ...]
    rule: tuple[float, ...]
    repeats: tuple[float, ...]
    parts: tuple[Judgement, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        """Return the figures, errors in points (hundredths) of retention."""
        errors = _points(self.predicted, self.measured)
        figures: dict[str, object] = {
            "num_sets": len(self.all_keys),
            "num_models": len({key[0] for keys in self.all_keys for key in keys}),
            "mae_points": _round(np.abs(errors).mean()),
            "p95_points": _round(np.percentile(np.abs(errors), 95)),
            "rule_mae_points": _mae(self.rule, self.measured),
            "repeat_mae_points": _round(100 * fmean(self.repeats)),
            "bias_points": _round(errors.mean()),
            "without_probe_mae_points": _mae(self.without_probe, self.measured),
            "one_factor_mae_points": _mae(self.one_factor, self.measured),
            "plain_network_mae_points": _mae(self.plain, self.measured),
            "rule_bias_points": _round(_points(self.rule, self.measured).mean()),
            "mean_retention": _round(fmean(self.measured)),
            "num_judged_sets": len(self.set_keys),
            "num_judged_retentions": len(self.measured),
        }
        if self.factor is not None:
            figures["contention_factor"] = self.factor
        if self.margin is not None:
            figures["retention_margin"] = self.margin
        for part in self.parts:
            figures[part.sharing] = part.to_json()
        return figures


def read_sessions(folder: Path) -> list[list[CoLocation]]:
    """Return the readings recorded under ``folder``, session by session.

    Raises:
        FileNotFoundError: If there is none.
    """
    paths = sorted(folder.glob(PATTERN))
    if not paths:
        raise FileNotFoundError(f"no {PATTERN} under {folder}: record some first")
    return [
        [
            CoLocation.model_validate_json(line)
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        for path in paths
    ]


def judge(sessions: Sequence[Sequence[CoLocation]]) -> Judgement:
    """Judge what is shipped on the sets labelled ``judge``, beside what ``fit`` gives.

    Where a way of sharing has sessions with the kernel probe, those alone count: their
    halves are of more models, and others than before. Figures over all are of models in
    processes of their own; streams of one process stand beside them.
    """
    by_sharing: dict[SharingMode, list[Sequence[CoLocation]]] = defaultdict(list)
    for session in sessions:
        by_sharing[SharingMode(session[0].environment.sharing_mode)].append(session)
    for sharing, found in by_sharing.items():
        probed = [one for one in found if any(reading.probe for reading in one)]
        by_sharing[sharing] = probed or found
    parts = tuple(
        _judge_one(sharing, found) for sharing, found in sorted(by_sharing.items())
    )
    counted = [part for part in parts if part.sharing != SharingMode.STREAMS] or parts
    return Judgement(
        sharing="all",
        factor=None,
        margin=None,
        set_keys=frozenset().union(*(part.set_keys for part in counted)),
        all_keys=frozenset().union(*(part.all_keys for part in counted)),
        measured=_joined(part.measured for part in counted),
        predicted=_joined(part.predicted for part in counted),
        without_probe=_joined(part.without_probe for part in counted),
        one_factor=_joined(part.one_factor for part in counted),
        plain=_joined(part.plain for part in counted),
        rule=_joined(part.rule for part in counted),
        repeats=_joined(part.repeats for part in counted),
        parts=parts,
    )


def retentions_both_ways(
    sessions: Sequence[Sequence[CoLocation]],
) -> list[tuple[float, float]]:
    """Return what models kept under time slicing and under MPS in the same sets."""
    kept: dict[str, dict[SetKeys, tuple[float, ...]]] = defaultdict(dict)
    for session in sessions:
        for one in _averaged(_sets([session], "fit", "judge")):
            kept[str(session[0].environment.sharing_mode)][one.keys] = one.retentions
    sliced, side_by_side = kept[SharingMode.TIME_SLICING], kept[SharingMode.MPS]
    return [
        pair
        for keys in sorted(sliced.keys() & side_by_side.keys())
        for pair in zip(sliced[keys], side_by_side[keys], strict=True)
    ]


def fitting_sets(sessions: Iterable[Sequence[CoLocation]]) -> list[MeasuredSet]:
    """Return the sets of the half that is fitted to."""
    return _sets(sessions, "fit")


def judged_sets(sessions: Iterable[Sequence[CoLocation]]) -> list[MeasuredSet]:
    """Return the sets of the other half, repeated ones averaged."""
    return [one for each in sessions for one in _averaged(_sets([each], "judge"))]


def _judge_one(
    sharing: SharingMode, sessions: Sequence[Sequence[CoLocation]]
) -> Judgement:
    shape = SHARING_SHAPES[sharing]
    fitting = fitting_sets(sessions)
    factor = DEFAULT_CONTENTION_FACTORS[sharing]
    unprobed = replace(shape, probed=None)
    factor_unprobed, _ = fit_contention_factor(fitting, unprobed)
    one_factor, _ = fit_contention_factor(fitting)
    judged: list[MeasuredSet] = []
    rule: list[tuple[float, ...]] = []
    for session in sessions:
        found = _averaged(_sets([session], "judge"))
        highest = _highest_utilization(session)
        judged += found
        rule += [_rule(one, highest) for one in found]
    return Judgement(
        sharing=sharing.value,
        factor=factor,
        margin=fit_retention_margin(fitting, factor, shape),
        set_keys=frozenset(one.keys for one in judged),
        all_keys=frozenset(one.keys for one in (*fitting, *judged)),
        measured=_joined(one.retentions for one in judged),
        predicted=_joined(one.predicted(factor, shape) for one in judged),
        without_probe=_joined(
            one.predicted(factor_unprobed, unprobed) for one in judged
        ),
        one_factor=_joined(one.predicted(one_factor) for one in judged),
        plain=_joined(one.predicted(1.0, PROCESSOR_SHARING) for one in judged),
        rule=_joined(rule),
        repeats=_joined(_repeats(_sets([one], "fit", "judge")) for one in sessions),
    )


def _sets(sessions: Iterable[Sequence[CoLocation]], *labels: str) -> list[MeasuredSet]:
    return [
        found
        for session in sessions
        for found in measured_sets(session, labels=("alone", *labels))
    ]


def judge_plans(folder: Path) -> dict[str, dict[str, object]]:
    """Return what became of every verified plan's promises, by name of its file."""
    return {
        path.stem.removeprefix("verified_"): _judge_plan(read_verifications(path))
        for path in sorted(folder.glob(VERIFIED_PATTERN))
    }


def _judge_plan(gpus: Sequence[GpuVerification]) -> dict[str, object]:
    models = [model for gpu in gpus for model in gpu.models]
    kept = [model.retention or 0.0 for model in models]
    shortfalls = [
        (model.min_retention or 0.0) - (model.retention or 0.0) for model in models
    ]
    errors = [
        (model.predicted_retention or 0.0) - (model.retention or 0.0)
        for model in models
    ]
    memory = [
        gpu.memory_measured_bytes / gpu.memory_predicted_bytes - 1
        for gpu in gpus
        if gpu.memory_measured_bytes is not None
    ]
    return {
        "num_shared_gpus": len(gpus),
        "num_models": len(models),
        "asked": max(model.min_retention or 0.0 for model in models),
        "lowest_kept": _round(min(kept)),
        "share_within_3_points": _round(
            fmean(one <= ALLOWED_POINTS for one in shortfalls)
        ),
        "bias_points": _round(100 * fmean(errors)),
        "worst_memory_percent": _round(100 * max(memory, key=abs)),
    }


def _averaged(readings: Sequence[MeasuredSet]) -> list[MeasuredSet]:
    """Return one entry per set: the mean over its readings."""
    grouped: dict[tuple[tuple[str, str], ...], list[MeasuredSet]] = defaultdict(list)
    for one in readings:
        grouped[one.keys].append(one)
    return [
        MeasuredSet(
            keys,
            found[0].alone,
            tuple(
                fmean(column)
                for column in zip(*(one.retentions for one in found), strict=True)
            ),
        )
        for keys, found in grouped.items()
    ]


def _repeats(readings: Sequence[MeasuredSet]) -> tuple[float, ...]:
    first: dict[tuple[tuple[str, str], ...], MeasuredSet] = {}
    distances: list[float] = []
    for one in readings:
        earlier = first.setdefault(one.keys, one)
        if earlier is not one:
            distances += [
                abs(a - b)
                for a, b in zip(one.retentions, earlier.retentions, strict=True)
            ]
    return tuple(distances)


def _highest_utilization(
    measurements: Iterable[CoLocation],
) -> dict[tuple[str, str], float]:
    highest: dict[tuple[str, str], float] = {}
    for one in measurements:
        if len(one.models) == 1 and one.gpu_utilization_percent is not None:
            key = one.models[0].key
            highest[key] = max(highest.get(key, 0.0), one.gpu_utilization_percent)
    return highest


def _rule(one: MeasuredSet, highest: dict[tuple[str, str], float]) -> tuple[float, ...]:
    """Return what the published rule promises: nothing is lost up to 100 %."""
    total = sum(highest[key] for key in one.keys)
    return (min(1.0, 100.0 / total),) * len(one.keys)


def _joined(parts: Iterable[Iterable[float]]) -> tuple[float, ...]:
    return tuple(value for part in parts for value in part)


def _points(predicted: Sequence[float], measured: Sequence[float]) -> np.ndarray:
    return 100 * (np.array(predicted) - np.array(measured))


def _mae(predicted: Sequence[float], measured: Sequence[float]) -> float:
    return _round(np.abs(_points(predicted, measured)).mean())


def _round(value: float) -> float:
    return round(float(value), 2)
