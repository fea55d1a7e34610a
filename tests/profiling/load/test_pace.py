"""When paced clients send, without a clock."""

from __future__ import annotations

import pytest

from gpupack.profiling.load.clients.pace import MAX_BEHIND_NS, NUM_FREE_ROUNDS, Pace

MS = 1_000_000


def warm(pace: Pace, num_clients: int, now_ns: int = 0) -> None:
    """Use up the rounds that are sent at once."""
    for client in range(num_clients):
        for _ in range(NUM_FREE_ROUNDS):
            assert pace.is_due(client, now_ns)


def test_clients_take_turns_at_the_rate_of_all_together() -> None:
    pace = Pace(2, 10 * MS, 0)
    warm(pace, 2)
    sent = []
    for now_ms in range(60):
        for client in (0, 1):  # every request is answered within a millisecond
            if client not in pace.waiting and pace.is_due(client, now_ms * MS):
                sent.append((now_ms, client))
        sent += [(now_ms, client) for client in pace.pop_due(now_ms * MS)]
    assert sent == [(10 * turn, turn % 2) for turn in range(6)]


def test_a_late_client_catches_up_and_no_further() -> None:
    pace = Pace(1, 10 * MS, 0)
    warm(pace, 1)
    assert pace.is_due(0, 0)
    # 35 ms later the times of 10, 20 and 30 ms have passed: three requests at once.
    assert [pace.is_due(0, 35 * MS) for _ in range(4)] == [True] * 3 + [False]
    assert pace.wait_s(35 * MS, 1.0) == pytest.approx(0.005)
    assert pace.pop_due(40 * MS) == [0]
    # After an hour's stall it owes what fits into MAX_BEHIND_NS, and no more.
    hour = 3600 * 1000 * MS
    num_sent = 0
    while pace.is_due(0, hour):
        num_sent += 1
    assert num_sent == MAX_BEHIND_NS // (10 * MS) + 1


def test_what_came_before_the_pace_begins_is_not_owed() -> None:
    pace = Pace(1, 10 * MS, 0)
    warm(pace, 1, now_ns=10_000 * MS)  # a first request that took ten seconds
    assert pace.is_due(0, 10_000 * MS)
    assert not pace.is_due(0, 10_000 * MS)
