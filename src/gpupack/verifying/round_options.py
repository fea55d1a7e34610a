"""Which instances of a GPU are driven, and until when they are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number, share_number
from gpupack.profiling import MeasureOptions
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from gpupack.records.profile import LoadPoint

DEFAULT_PRECISION = 0.03
DEFAULT_MAX_SECONDS = 110.0
"""Two minutes with the loads."""


class Member(NamedTuple):
    """One model instance of a GPU, and how it is driven."""

    model_name: str
    load_point: LoadPoint
    offered_infer_per_sec: float | None
    """The traffic planned for it; None drives it as fast as it answers."""


@dataclass(frozen=True)
class RoundOptions:
    """Until when rounds are measured.

    Attributes:
        precision: Half-width asked for, of the interval of what every model keeps.
        max_seconds: The time cap of a GPU, loading left aside.
        seed: Of the order in a round.
        measuring: How a block is measured: warm-up, timeouts, percentile, the longest
            block (``max_duration_s``).
    """

    precision: float = DEFAULT_PRECISION
    max_seconds: float = DEFAULT_MAX_SECONDS
    seed: int = 0
    measuring: MeasureOptions = field(default_factory=MeasureOptions)

    @classmethod
    def of(
        cls,
        precision: float | str | None,
        max_seconds: float | None,
        seed: int,
        measuring: MeasureOptions | None,
    ) -> RoundOptions:
        """Return the options of a call, of which any may be left out.

        Raises:
            InvalidInputError: One is out of its range, or cannot be asked of rounds.
        """
        require_kind(
            "options",
            measuring,
            (MeasureOptions, type(None)),
            "a gpupack.MeasureOptions",
        )
        (measuring or MeasureOptions()).check()
        if measuring is not None and measuring.stopping_rule != "confidence":
            raise InvalidInputError(
                f"the stopping rule {quoted(measuring.stopping_rule)} is for one "
                "measurement; verify measures in rounds, until what every model keeps "
                "is known to a precision: leave stopping_rule out, and say precision "
                "(--precision)"
            )
        if precision is None:
            precision = measuring.half_width_ratio if measuring else DEFAULT_PRECISION
        share = share_number(precision)
        if share is None or not 0 < share < 1:
            raise InvalidInputError(
                f"a precision is a share above 0 and below 1, such as 0.03 or 3%, got "
                f"{quoted(precision)}"
            )
        seconds = real_number(
            DEFAULT_MAX_SECONDS if max_seconds is None else max_seconds
        )
        if seconds is None or not 0 < seconds < float("inf"):
            raise InvalidInputError(
                f"max_seconds is a number of seconds above 0, got {quoted(max_seconds)}"
            )
        return cls(share, seconds, seed, measuring or MeasureOptions())
