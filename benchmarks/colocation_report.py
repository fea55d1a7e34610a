"""The judged figures of the co-location records, computed from the records alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from gpupack.planning.calibration import (
    MeasuredSet,
    fit_contention_factor,
    measured_sets,
)
from gpupack.records.colocation import CoLocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PATTERN = "colocation_*.jsonl"
"""Record files, one per way of sharing."""


@dataclass(frozen=True)
class Judgement:
    """Errors of retention over the judged sets of one or more ways of sharing.

    Attributes:
        sharing: Name of the way of sharing, or ``all``.
        factor: Contention factor fitted on the other half; None over several.
        measured: Retention of every model of every judged set.
        predicted: The same, by the network with the fitted factor.
        plain: The same, by the network with factor 1.
        rule: The same, by "a sum of at most 100 % loses nothing".
        repeats: Distances of two readings of one retention.
        kept: Retention of every model that a plan for 0.9 put beside others.
    """

    sharing: str
    factor: float | None
    set_keys: frozenset[tuple[tuple[str, str], ...]]
    all_keys: frozenset[tuple[tuple[str, str], ...]]
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    plain: tuple[float, ...]
    rule: tuple[float, ...]
    repeats: tuple[float, ...]
    kept: tuple[float, ...]
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
            "plain_network_mae_points": _mae(self.plain, self.measured),
            "rule_bias_points": _round(_points(self.rule, self.measured).mean()),
            "mean_retention": _round(fmean(self.measured)),
            "num_planned": len(self.kept),
            "planned_that_keep_087": _round(fmean(x >= 0.87 for x in self.kept)),
            "num_judged_sets": len(self.set_keys),
            "num_judged_retentions": len(self.measured),
        }
        if self.factor is not None:
            figures["contention_factor"] = self.factor
        for part in self.parts:
            figures[part.sharing] = part.to_json()
        return figures


def read_measurements(folder: Path) -> list[CoLocation]:
    """Return every reading recorded under ``folder``.

    Raises:
        FileNotFoundError: If there is none.
    """
    paths = sorted(folder.glob(PATTERN))
    if not paths:
        raise FileNotFoundError(f"no {PATTERN} under {folder}: record some first")
    return [
        CoLocation.model_validate_json(line)
        for path in paths
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def judge(measurements: Sequence[CoLocation]) -> Judgement:
    """Fit on the sets labelled ``fit``, judge on those labelled ``judge``."""
    by_sharing: dict[str, list[CoLocation]] = defaultdict(list)
    for one in measurements:
        by_sharing[str(one.environment.sharing_mode)].append(one)
    parts = tuple(
        _judge_one(sharing, found) for sharing, found in sorted(by_sharing.items())
    )
    return Judgement(
        sharing="all",
        factor=None,
        set_keys=frozenset().union(*(part.set_keys for part in parts)),
        all_keys=frozenset().union(*(part.all_keys for part in parts)),
        measured=_joined(part.measured for part in parts),
        predicted=_joined(part.predicted for part in parts),
        plain=_joined(part.plain for part in parts),
        rule=_joined(part.rule for part in parts),
        repeats=_joined(part.repeats for part in parts),
        kept=_joined(part.kept for part in parts),
        parts=parts,
    )


def _judge_one(sharing: str, measurements: Sequence[CoLocation]) -> Judgement:
    fitting = measured_sets(measurements, labels=("alone", "fit"))
    readings = measured_sets(measurements, labels=("alone", "judge"))
    factor, _ = fit_contention_factor(fitting)
    judged = _averaged(readings)
    highest = _highest_utilization(measurements)
    return Judgement(
        sharing=sharing,
        factor=factor,
        set_keys=frozenset(one.keys for one in judged),
        all_keys=frozenset(one.keys for one in (*fitting, *readings)),
        measured=_joined(one.retentions for one in judged),
        predicted=_joined(one.predicted(factor) for one in judged),
        plain=_joined(one.predicted(1.0) for one in judged),
        rule=_joined(_rule(one, highest) for one in judged),
        repeats=_repeats(measured_sets(measurements)),
        kept=_kept_by_plans(measurements),
    )


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


def _kept_by_plans(measurements: Sequence[CoLocation]) -> tuple[float, ...]:
    labels = ("alone", "plan light", "plan heavy")
    planned = measured_sets(measurements, labels=labels)
    return _joined(one.retentions for one in planned)


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
