"""Readings of the host's speed, and rates corrected by them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.busy_report import judge_busy
from benchmarks.colocation import RESULTS
from benchmarks.equal_host_speed import (
    MOST_EXPONENT,
    fit_host_share,
    host_shares,
    rounds_at_equal_speed,
)
from benchmarks.h200.busy import SMALL, write_networks
from benchmarks.h200.host_speed import HostSpeed, HostSpeedReadings
from benchmarks.paired_rounds import errors_of_the_truth, measured_retention

KEPT, EXPONENT = 0.7, 0.8
SPEEDS_US = (12.0, 22.0)


def made_up_rounds(num_rounds: int, *, exponent: float = EXPONENT) -> list[Any]:
    """A member whose host runs at two speeds, drawn anew for every part of a round."""
    draw = np.random.default_rng(1)
    rounds = []
    for _ in range(num_rounds):
        alone_us, together_us = draw.choice(SPEEDS_US, 2)
        rounds.append(
            {
                "alone": [100 * (alone_us / 12) ** -exponent],
                "together": [100 * KEPT * (together_us / 12) ** -exponent],
                "host_us": {"alone": [alone_us], "together": [together_us]},
            }
        )
    return rounds


def test_retention_at_equal_speed_is_the_one_that_sharing_leaves() -> None:
    rounds = made_up_rounds(20)
    shares = host_shares([{"models": ["one"], "rounds": rounds}])

    assert shares["one"].exponent == pytest.approx(EXPONENT)
    alone, together = rounds_at_equal_speed(rounds, 0, shares["one"])
    assert measured_retention(alone, together) == pytest.approx(KEPT)
    assert errors_of_the_truth(alone, together).max() == pytest.approx(0, abs=1e-9)
    raw = [[one[phase][0] for one in rounds] for phase in ("alone", "together")]
    assert errors_of_the_truth(*raw).mean() > 0.03


def test_a_model_that_the_gpu_decides_is_left_as_it_is() -> None:
    rounds = made_up_rounds(20, exponent=0.0)
    share = host_shares([{"models": ["one"], "rounds": rounds}])["one"]
    alone, together = rounds_at_equal_speed(rounds, 0, share)
    assert share.exponent == pytest.approx(0)
    assert alone == pytest.approx([100.0] * 20)
    assert together == pytest.approx([100 * KEPT] * 20)


def test_where_little_is_known_nothing_is_corrected() -> None:
    few = made_up_rounds(7)
    assert host_shares([{"models": ["one"], "rounds": few}])["one"].exponent == 0
    steady_us = np.linspace(12.0, 12.1, 30)
    assert fit_host_share(list(steady_us), list(steady_us)).exponent == 0
    times_us = np.linspace(12.0, 22.0, 30)
    assert fit_host_share(list(times_us), list(times_us)).exponent == 0
    assert fit_host_share(list(times_us**-3), list(times_us)).exponent == MOST_EXPONENT


def test_rounds_without_a_reading_do_not_count() -> None:
    rounds = made_up_rounds(20)
    rounds[0]["host_us"]["alone"] = [None]
    rounds[1]["host_us"]["together"] = [None]
    del rounds[2]["host_us"]
    share = host_shares([{"models": ["one"], "rounds": rounds}])["one"]
    alone, together = rounds_at_equal_speed(rounds, 0, share)
    assert len(alone) == len(together) == 17
    # Nothing got done beside the others, so nothing was read: that does count.
    rounds[1]["together"] = [0.0]
    alone, together = rounds_at_equal_speed(rounds, 0, share)
    assert len(alone) == 18
    assert together[0] == 0
    assert not host_shares([{"models": ["one"], "rounds": rounds[2:3]}])


def test_the_report_tells_retention_at_equal_speed_where_it_was_recorded(
    tmp_path: Path,
) -> None:
    keys = "retention_mae_points_at_equal_host_speed"
    assert keys not in judge_busy(RESULTS)
    rows = [
        json.loads(line)
        for line in (RESULTS / "busy_judge_mps.jsonl").read_text().splitlines()
    ]
    for row in rows:
        if row.get("label") == "closed":
            for one in row["rounds"]:
                steady = [12.0] * len(row["models"])
                one["host_us"] = {"alone": steady, "together": steady}
    path = tmp_path / "busy_new_mps.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    found = judge_busy(tmp_path, half="new")

    for key in (
        "retention_mae_points",
        "retention_noise_points",
        "retention_p95_points",
        "retention_noise_p95_points",
        "retention_p95_points_beyond_noise",
        "retention_above_1.05_share",
        "retention_bias_points_by_model",
    ):
        # The host was steady, so there is nothing to correct.
        assert found[f"{key}_at_equal_host_speed"] == found[key]
    assert set(found["host_exponent_by_model"].values()) == {0.0}


def test_readings_come_back_by_model_and_time(tmp_path: Path) -> None:
    readings = HostSpeedReadings(tmp_path / "folder")
    assert readings.mean_us("one", 0, 10**18) is None
    served = HostSpeed(tmp_path / "folder", "one")
    began_ns = time.monotonic_ns()
    for _ in range(5):
        served.read()
    middle_ns = time.monotonic_ns()
    served.read()
    served.close()

    assert (tmp_path / "folder" / "one").stat().st_size == 6 * 16
    assert (readings.mean_us("one", began_ns, middle_ns) or 0) > 0
    assert (readings.mean_us("one", middle_ns, time.monotonic_ns()) or 0) > 0
    assert readings.mean_us("one", 0, began_ns) is None
    assert readings.mean_us("other", 0, 10**18) is None


def test_what_is_written_later_is_read_and_what_was_interrupted_left_out(
    tmp_path: Path,
) -> None:
    readings = HostSpeedReadings(tmp_path)
    path = tmp_path / "one"
    path.write_bytes(np.array([[1.0, 12.0], [2.0, 14.0]]).tobytes() + b"torn")
    assert readings.mean_us("one", 0, 9) == pytest.approx(13.0)
    path.write_bytes(
        np.array([[1.0, 12.0], [2.0, 14.0], [3.0, 16.0], [4.0, 4000.0]]).tobytes()
    )
    assert readings.mean_us("one", 0, 9) == pytest.approx(14.0)


@pytest.mark.parametrize("is_on", [True, False])
def test_served_networks_read_the_host_s_speed_where_asked(
    tmp_path: Path, is_on: bool
) -> None:
    folder = tmp_path / "readings"
    write_networks(tmp_path / "repository", SMALL, host_speed=folder if is_on else None)
    for one in SMALL:
        text = (tmp_path / "repository" / one.name / "config.pbtxt").read_text()
        assert (str(folder) in text) == is_on
        version = tmp_path / "repository" / one.name / "1"
        assert (version / "host_speed.py").exists()
