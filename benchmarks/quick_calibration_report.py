"""What a quick calibration on one H200 is worth on another, by recorded sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.busy_report import BusySession, read_busy
from gpupack.planning.contention import (
    MeasuredSet,
    fit_contention_factor,
    mean_absolute_error,
    measured_sets,
)
from gpupack.planning.contention.calibration import SoloBehavior
from gpupack.planning.contention.prediction import (
    DEFAULT_CONTENTION_FACTORS,
    SHARING_SHAPES,
    probe_times,
    share_while_busy,
)
from gpupack.records.colocation import CoLocation
from gpupack.verifying import PRIOR_SETS

if TYPE_CHECKING:
    from pathlib import Path


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
        sets = sets_of_session(session)
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
            "contention_factor": _rounded(factor),
            "mae_points": _rounded(100 * mean_absolute_error(sets, factor, shape)),
            "default_contention_factor": default,
            "default_mae_points": _rounded(
                100 * mean_absolute_error(sets, default, shape)
            ),
        }
    return found


def sets_of_session(session: BusySession) -> list[MeasuredSet]:
    """Return the closed sets of a recording, with what profiles say of each model."""
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


def _rounded(value: float) -> float:
    return round(float(value), 3)
