"""The simulation of a processor in turns: by hand, and against queueing theory."""

from __future__ import annotations

import numpy as np
import pytest

from gpupack.packing import simulate_round_robin


def test_slices_go_round_and_changing_over_takes_time() -> None:
    sojourns, at_rest, busy = simulate_round_robin(
        [np.array([0.0]), np.array([1.0])],
        [np.zeros(1), np.zeros(1)],
        [5.0, 2.0],
        [0.0, 0.0],
        slice_length=2.0,
        switching=0.5,
        horizon=10.0,
    )
    # First: 0 to 2, 5 to 7 and, as nobody else has work by then, on to 8.
    # Second: 2.5 to 4.5.
    assert [one.tolist() for one in sojourns] == [[8.0], [3.5]]
    assert [one.tolist() for one in at_rest] == [[True], [True]]
    assert busy.tolist() == [0.8, 0.35]


def test_a_queue_does_one_job_at_a_time_and_wakes_up_once() -> None:
    sojourns, at_rest, _ = simulate_round_robin(
        [np.array([1.0, 2.0, 9.0])],
        [np.array([1.0, 2.0, 1.0])],
        [1.0],
        [0.5],
        slice_length=4.0,
        switching=0.0,
        horizon=11.0,
    )
    # 1 + 0.5 + 1 + 1 = 3.5, then 3.5 + 2 + 1 = 6.5; the last is not done by 11.
    assert sojourns[0][:2].tolist() == [2.5, 4.5]
    assert np.isnan(sojourns[0][2])
    assert at_rest[0].tolist() == [True, False, True]


def test_a_queue_without_arrivals_is_never_at_rest() -> None:
    _, _, busy = simulate_round_robin(
        [None, np.array([0.25])],
        [np.array([1.0]), np.zeros(1)],
        [1.0, 1.0],
        [0.0, 0.0],
        slice_length=1.0,
        switching=0.0,
        horizon=100.0,
    )
    assert busy[0] == 1.0
    assert busy[1] == pytest.approx(0.01)


def test_waiting_is_that_of_pollaczek_and_khinchine() -> None:
    chance = np.random.default_rng(1)
    horizon = 3000.0
    times = np.cumsum(chance.exponential(0.01, 330_000))
    times = times[times < horizon]
    sojourns, at_rest, busy = simulate_round_robin(
        [times],
        [np.full(len(times), 0.002)],
        [0.004],
        [0.0],
        slice_length=0.002,
        switching=0.001,  # nobody to change over to
        horizon=horizon,
    )
    service, load = 0.006, 0.6
    expected = service + load * service / (2 * (1 - load))
    assert float(np.nanmean(sojourns[0])) == pytest.approx(expected, rel=0.02)
    assert busy[0] == pytest.approx(load, rel=0.02)
    assert float(at_rest[0].mean()) == pytest.approx(1 - load, rel=0.02)
