"""Requests that differ from each other, for servers that remember answers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Variation:
    """Gives a request another end each time: the last elements of its last tensor.

    Attributes:
        alphabet: The values that an element takes, as bytes of one length.
        num_elements: How many elements are varied.
    """

    alphabet: tuple[bytes, ...]
    num_elements: int
    _count: int = field(default_factory=time.time_ns)
    """Begins elsewhere in each measurement, whose answers may be remembered, too."""

    @classmethod
    def of(cls, alphabet: tuple[bytes, ...], num_elements: int) -> Variation:
        """Return a variation of no more elements than 2⁴⁰ different ends need."""
        enough = math.ceil(40 / math.log2(len(alphabet)))
        return cls(alphabet, min(num_elements, enough))

    @property
    def num_different(self) -> int:
        """How many requests differ, before they begin anew."""
        return int(len(self.alphabet) ** self.num_elements)

    def vary(self, request: bytes) -> bytes:
        """Return the request with the next end."""
        self._count += 1
        rest, parts = self._count, []
        for _ in range(self.num_elements):
            rest, digit = divmod(rest, len(self.alphabet))
            parts.append(self.alphabet[digit])
        end = b"".join(parts)
        return request[: -len(end)] + end
