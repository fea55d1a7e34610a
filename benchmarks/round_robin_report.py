"""How forms of the closed network under time slicing predict retention.

The former law, slices that go round as for requests that arrive, and today's. The
factor of each is fitted to the captured sets of the fitting half; the judged halves of
captured and busy networks are predicted with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.busy_report import HOST_WORK, read_busy
from benchmarks.colocation_report import fitting_sets, judged_sets, read_sessions
from benchmarks.quick_calibration_report import sets_of_session
from gpupack.planning.contention import fit_contention_factor
from gpupack.planning.contention.latency_prediction import ROUND_ROBIN
from gpupack.planning.contention.prediction import FORMER_SHAPES, SHARING_SHAPES
from gpupack.records.environment import SharingMode

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.planning.contention import MeasuredSet
    from gpupack.planning.contention.delays import SharingShape

MODE = SharingMode.TIME_SLICING


def judge_round_robin(folder: Path) -> dict[str, dict[str, float]]:
    """Return errors of retention under time slicing, in points, by form."""
    sessions = [
        one
        for one in read_sessions(folder)
        if one[0].environment.sharing_mode == MODE.value
    ]
    fitting = fitting_sets(sessions)
    captured = judged_sets(sessions)
    busy = [
        one
        for session in read_busy(folder)
        if session.half == "judge" and session.sharing is MODE
        for one in sets_of_session(session)
    ]
    found = {}
    for name, shape in (
        ("former_law", FORMER_SHAPES[MODE, 1]),
        ("round_robin", ROUND_ROBIN),
        ("todays_law", SHARING_SHAPES[MODE]),
    ):
        factor, _ = fit_contention_factor(fitting, shape)
        found[name] = {
            "contention_factor": factor,
            **_figures("captured", _errors(captured, factor, shape)),
            **_figures("busy", _errors(busy, factor, shape)),
            **_figures(
                "busy_without_host_work",
                _errors(busy, factor, shape, without=HOST_WORK),
            ),
        }
    return found


def _errors(
    sets: list[MeasuredSet],
    factor: float,
    shape: SharingShape,
    *,
    without: tuple[str, ...] = (),
) -> np.ndarray:
    return 100 * np.array(
        [
            predicted - measured
            for one in sets
            for (name, _), predicted, measured in zip(
                one.keys, one.predicted(factor, shape), one.retentions, strict=True
            )
            if not any(word in name for word in without)
        ]
    )


def _figures(name: str, errors: np.ndarray) -> dict[str, float]:
    return {
        f"{name}_mae_points": round(float(np.abs(errors).mean()), 2),
        f"{name}_p95_points": round(float(np.percentile(np.abs(errors), 95)), 2),
        f"{name}_bias_points": round(float(errors.mean()), 2),
    }
