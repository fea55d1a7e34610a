"""Fit the contention factor of a GPU type and sharing mode to measured sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError, MissingReadingError
from gpupack.planning.contention.delays import (
    PROCESSOR_SHARING,
    ProbeTimes,
    SharingShape,
)
from gpupack.planning.contention.network import rates
from gpupack.planning.contention.prediction import (
    class_from_solo,
    probe_times,
    share_while_busy,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpupack.records.colocation import CoLocation

MAX_FACTOR = 10.0
"""No sharing mode is searched beyond this."""
MARGIN_FROM = 0.8
MARGIN_QUANTILE = 0.8
MIN_FOR_MARGIN = 10
_COARSE_STEP = 0.25
_FINE_STEP = 0.01


@dataclass(frozen=True, slots=True)
class SoloBehavior:
    """What a model does alone at one load point.

    Args:
        requests_per_sec: Completed requests per second.
        gpu_share: Share of time with a kernel running, 0–1.
        num_customers: Requests that the server works on at once.
        sm_share: Share of the SMs busy while it is on the GPU; None without GPM.
        dram_share: Share of the DRAM bandwidth used then; None without GPM.
        probe: What the kernel probe read; None without.
    """

    requests_per_sec: float
    gpu_share: float
    num_customers: int
    sm_share: float | None = None
    dram_share: float | None = None
    probe: ProbeTimes | None = None


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """Models that ran together: how each behaves alone, and what it kept."""

    keys: tuple[tuple[str, str], ...]
    alone: tuple[SoloBehavior, ...]
    retentions: tuple[float, ...]

    def predicted(
        self, contention_factor: float, shape: SharingShape = PROCESSOR_SHARING
    ) -> tuple[float, ...]:
        """Return the retentions that the network predicts with this factor."""
        classes = [
            class_from_solo(
                one.requests_per_sec,
                one.gpu_share,
                one.num_customers,
                contention_factor=contention_factor,
                shape=shape,
                sm_share=one.sm_share,
                dram_share=one.dram_share,
                probe=one.probe,
            )
            for one in self.alone
        ]
        together = rates(classes, contention_factor=contention_factor, shape=shape)
        return tuple(
            min(1.0, rate / one.requests_per_sec)
            for rate, one in zip(together, self.alone, strict=True)
        )


def measured_sets(
    measurements: Iterable[CoLocation], *, labels: Collection[str] | None = None
) -> list[MeasuredSet]:
    """Join co-located measurements with the solo readings among them.

    Of several solo readings of one model and load point the fastest counts: a busy
    host only ever slows a closed loop down, so it is the least disturbed. A set is
    left out when one of its models reached nothing or was held back by its client, or
    was sent less than it could answer: the factor is that of models at full speed.

    Args:
        measurements: Of one device and one way of sharing it.
        labels: Use those with one of these labels only; None uses all.

    Raises:
        MissingReadingError: If a model of a set was never measured alone, or
            without the GPU's utilization.
    """
    readings: dict[tuple[str, str], list[CoLocation]] = {}
    together: list[CoLocation] = []
    for measurement in measurements:
        if labels is not None and measurement.label not in labels:
            continue
        if any(one.offered_infer_per_sec is not None for one in measurement.models):
            continue
        if len(measurement.models) == 1:
            readings.setdefault(measurement.models[0].key, []).append(measurement)
        else:
            together.append(measurement)
    alone = {key: _solo(key, found) for key, found in readings.items()}
    sets = []
    for measurement in together:
        missing = [one.key for one in measurement.models if one.key not in alone]
        if missing:
            raise MissingReadingError(
                f"{', '.join('/'.join(key) for key in missing)} ran beside others but "
                "was not measured alone on the same GPU; measure it alone too"
            )
        rates_together = [one.throughput_infer_per_sec for one in measurement.models]
        if any(
            rate is None or one.is_client_limited
            for rate, one in zip(rates_together, measurement.models, strict=True)
        ):
            continue
        solos = tuple(alone[one.key] for one in measurement.models)
        sets.append(
            MeasuredSet(
                keys=tuple(one.key for one in measurement.models),
                alone=solos,
                retentions=tuple(
                    (rate or 0.0) / one.load_point.batch_size / solo.requests_per_sec
                    for rate, one, solo in zip(
                        rates_together, measurement.models, solos, strict=True
                    )
                ),
            )
        )
    return sets


def fit_contention_factor(
    sets: Sequence[MeasuredSet], shape: SharingShape = PROCESSOR_SHARING
) -> tuple[float, float]:
    """Return the factor with the least mean absolute error, and that error.

    Raises:
        InvalidInputError: If there is no set to fit to.
    """
    if not sets:
        raise InvalidInputError(
            "fitting a contention factor needs at least one set of two or more models "
            "measured together; verify a placement first"
        )
    coarse = _steps(0.0, MAX_FACTOR, _COARSE_STEP)
    best = min(coarse, key=lambda factor: mean_absolute_error(sets, factor, shape))
    fine = _steps(
        max(0.0, best - _COARSE_STEP),
        min(MAX_FACTOR, best + _COARSE_STEP),
        _FINE_STEP,
    )
    best = min(fine, key=lambda factor: mean_absolute_error(sets, factor, shape))
    return round(best, 4), mean_absolute_error(sets, best, shape)


def fit_retention_margin(
    sets: Sequence[MeasuredSet],
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> float | None:
    """Return by how much four of five high retentions at most fall short.

    Of the retentions predicted to be at least ``MARGIN_FROM``, because those are what
    is promised; None when there are fewer than ``MIN_FOR_MARGIN`` of them.
    """
    excess = sorted(
        predicted - measured
        for one in sets
        for predicted, measured in zip(
            one.predicted(contention_factor, shape), one.retentions, strict=True
        )
        if predicted >= MARGIN_FROM
    )
    if len(excess) < MIN_FOR_MARGIN:
        return None
    return round(max(0.0, excess[math.ceil(MARGIN_QUANTILE * len(excess)) - 1]), 4)


def mean_absolute_error(
    sets: Sequence[MeasuredSet],
    contention_factor: float,
    shape: SharingShape = PROCESSOR_SHARING,
) -> float:
    """Return the mean distance of predicted and measured retention, over models."""
    return fmean(
        abs(predicted - measured)
        for one in sets
        for predicted, measured in zip(
            one.predicted(contention_factor, shape), one.retentions, strict=True
        )
    )


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + step * index for index in range(round((high - low) / step) + 1)]


def _solo(key: tuple[str, str], readings: Sequence[CoLocation]) -> SoloBehavior:
    reading = max(
        readings, key=lambda one: one.models[0].throughput_infer_per_sec or 0.0
    )
    model = reading.models[0]
    share = reading.gpu_utilization_mean_percent
    if share is None:
        share = reading.gpu_utilization_percent
    if model.throughput_infer_per_sec is None or share is None:
        reason = "no request ended"
        if share is None:
            reason = reading.missing["gpu_utilization_mean_percent"]
        raise MissingReadingError(
            f"the solo measurement of {'/'.join(key)} cannot be used: {reason}"
        )
    gpu_share = min(1.0, max(share / 100, 1e-9))
    num_customers = min(model.load_point.in_flight, model.num_model_instances)
    probed = [
        probe_times(
            one.probe,
            # Of the moment before: a host's speed moves within minutes.
            throughput_infer_per_sec=one.models[0].throughput_infer_per_sec,
            batch_size=model.load_point.batch_size,
            num_customers=num_customers,
            gpu_share=gpu_share,
        )
        for one in readings
        if one.probe is not None and one.models[0].throughput_infer_per_sec is not None
    ]
    return SoloBehavior(
        requests_per_sec=(model.throughput_infer_per_sec / model.load_point.batch_size),
        gpu_share=gpu_share,
        num_customers=num_customers,
        sm_share=share_while_busy(reading.sm_utilization_percent, gpu_share),
        dram_share=share_while_busy(reading.dram_bandwidth_percent, gpu_share),
        probe=probed[-1] if probed else None,
    )
