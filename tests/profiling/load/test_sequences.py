"""Sequences whose requests are built once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gpupack.profiling.load.sequences import FIRST_NUMBER, Sequence, SequencePlan


def build(number: int, starts: bool, ends: bool) -> bytes:
    told = json.dumps({"sequence_id": number, "start": starts, "end": ends})
    return told.replace(": ", ":").encode() + b"\0\1"


@given(length=st.integers(1, 6), num_clients=st.integers(1, 4), num=st.integers(1, 40))
def test_sequences_are_whole_and_no_two_have_one_number(
    length: int, num_clients: int, num: int
) -> None:
    plan = SequencePlan.of(build, length=length, is_text=True)
    seen: set[int] = set()

    for client in range(num_clients):
        sequence = Sequence(plan, client, num_clients)
        sequence._number = 0
        requests = [sequence.next() for _ in range(num)]
        if sequence.is_open:
            requests.append(sequence.next(ends=True))
        assert not sequence.is_open
        told = [json.loads(one[:-2]) for one in requests]
        for begin in range(0, len(told), length):
            one = told[begin : begin + length]
            (number,) = {request["sequence_id"] for request in one}
            assert number not in seen
            seen.add(number)
            assert [request["start"] for request in one] == [True] + [False] * (
                len(one) - 1
            )
            assert [request["end"] for request in one] == [False] * (len(one) - 1) + [
                True
            ]
        assert len({len(request) for request in requests}) <= 4


def test_numbers_of_messages_have_one_length() -> None:
    plan = SequencePlan.of(lambda *_: b"", length=2, is_text=False)

    # 1 000 000 007 in groups of seven bits, the lowest first, all but the last marked.
    assert plan.encoded(FIRST_NUMBER) == bytes([0x87, 0x94, 0xEB, 0xDC, 0x03])
    assert len(plan.encoded(2**31 - 1)) == 5
