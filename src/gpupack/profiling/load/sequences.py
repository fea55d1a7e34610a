"""Requests of stateful models: whole sequences, one after the other.

All bytes of a request are built once; from one sequence to the next only its number
differs, which has the same length every time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_NUMBER = 1_000_000_007
"""The first sequence's: in JSON ten digits, in a gRPC message five bytes, like all
that follow in one measurement."""
_MOST_NUMBERS = 2**31 - FIRST_NUMBER


@dataclass(frozen=True)
class SequencePlan:
    """The requests of a sequence, with a number in them that is replaced.

    Attributes:
        requests: By whether one starts, and whether one ends, its sequence.
        length: Requests of a sequence.
        is_text: Whether the number is in decimal digits, as in JSON, or a varint.
    """

    requests: dict[tuple[bool, bool], bytes]
    length: int
    is_text: bool

    @classmethod
    def of(
        cls, build: Callable[[int, bool, bool], bytes], *, length: int, is_text: bool
    ) -> SequencePlan:
        """Return the plan of sequences whose requests are built by a function.

        Args:
            build: Takes the sequence's number, whether the request starts it, and
                whether it ends it.
            length: Requests of a sequence, at least 1.
            is_text: See the class.
        """
        kinds = {(True, True), (True, False), (False, False), (False, True)}
        return cls(
            {kind: build(FIRST_NUMBER, *kind) for kind in kinds}, length, is_text
        )

    def encoded(self, number: int) -> bytes:
        """Return a number as it stands in a request."""
        if self.is_text:
            return b'"sequence_id":%d' % number
        parts = []
        while number > 127:
            parts.append(number & 127 | 128)
            number >>= 7
        return bytes([*parts, number])


@dataclass
class Sequence:
    """One client's sequences: always whole, each with a number of its own."""

    plan: SequencePlan
    client: int
    num_clients: int
    _number: int = field(
        default_factory=lambda: random.randrange(_MOST_NUMBERS), init=False
    )
    """Begins elsewhere in each client: others may drive the same model."""
    _position: int = field(default=0, init=False)
    _own: dict[tuple[bool, bool], bytes] = field(default_factory=dict, init=False)

    @property
    def is_open(self) -> bool:
        """Whether a sequence has begun and not ended."""
        return self._position > 0

    def next(self, *, ends: bool = False) -> bytes:
        """Return the next request; with ``ends`` the last of its sequence."""
        starts = self._position == 0
        if starts:
            self._begin()
        is_last = ends or self._position + 1 >= self.plan.length
        self._position = 0 if is_last else self._position + 1
        return self._own[starts, is_last]

    def _begin(self) -> None:
        self._number += 1
        offset = (self._number * self.num_clients + self.client) % _MOST_NUMBERS
        was = self.plan.encoded(FIRST_NUMBER)
        now = self.plan.encoded(FIRST_NUMBER + offset)
        self._own = {
            kind: request.replace(was, now, 1)
            for kind, request in self.plan.requests.items()
        }
