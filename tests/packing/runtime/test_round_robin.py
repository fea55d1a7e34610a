"""The simulation of a processor in turns: by hand, and against queueing theory."""

from __future__ import annotations

import numpy as np
import pytest

from gpupack.packing import simulate_round_robin
from tests.packing.runtime.ticking import TickingQueue, tick


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


def test_pieces_are_worked_on_while_the_job_is_elsewhere() -> None:
    sojourns, _, busy = simulate_round_robin(
        [np.array([0.0]), np.array([3.5])],
        [np.array([8.0]), np.zeros(1)],
        [4.0, 3.0],
        [0.0, 0.0],
        slice_length=2.0,
        switching=0.5,
        horizon=20.0,
        num_pieces=[4, 1],
    )
    # The first hands over at 2, 4, 6 and 8. Its first piece is done when the second job
    # comes, which has its slice from 4 to 6. Then two pieces wait, from 6.5 to 8.5, and
    # another has come. The second: 9 to 10; the first's last piece: 10.5 to 11.5.
    assert [one.tolist() for one in sojourns] == [[11.5], [6.5]]
    assert busy.tolist() == [11.5 / 20, 6.5 / 20]


def test_a_job_is_not_done_before_its_time_elsewhere() -> None:
    sojourns, _, _ = simulate_round_robin(
        [np.array([0.0])],
        [np.array([9.0])],
        [3.0],
        [0.5],
        slice_length=2.0,
        switching=0.0,
        horizon=20.0,
        num_blocks=[3],
        num_pieces=[2],
    )
    # Half of a block's work is done before the other half comes.
    assert sojourns[0].tolist() == [0.5 + 9.0 + 3 * 0.5]


def random_queue(chance: np.random.Generator) -> TickingQueue:
    return TickingQueue(
        None
        if chance.random() < 0.2
        else sorted(int(one) for one in chance.integers(0, 6000, 12)),
        [24 * int(one) for one in chance.integers(0, 15, 12)],
        24 * int(chance.integers(1, 15)),
        int(chance.integers(0, 20)),
        int(chance.integers(1, 4)),
        int(chance.choice([1, 2, 4])),
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_jobs_are_those_of_a_clock_that_ticks(seed: int) -> None:
    chance = np.random.default_rng(seed)
    queues = [random_queue(chance) for _ in range(chance.integers(1, 5))]
    slice_length, switching, horizon = (
        int(chance.integers(20, 90)),
        int(chance.integers(0, 9)),
        8000,
    )
    sojourns, _, busy = simulate_round_robin(
        [
            None if one.arrivals is None else np.array(one.arrivals, dtype=float)
            for one in queues
        ],
        [np.array(one.before, dtype=float) for one in queues],
        [one.work for one in queues],
        [one.waking for one in queues],
        slice_length=slice_length,
        switching=switching,
        horizon=horizon,
        num_blocks=[one.num_blocks for one in queues],
        num_pieces=[one.num_pieces for one in queues],
    )
    tick(queues, slice_length, switching, horizon)
    for one, found, share in zip(queues, sojourns, busy, strict=True):
        if one.arrivals is not None:
            assert found[np.isfinite(found)].tolist() == one.sojourns
        assert share * horizon == pytest.approx(one.ticks_busy)
