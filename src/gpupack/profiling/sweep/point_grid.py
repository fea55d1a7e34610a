"""The load points of a sweep, from what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.arguments import several
from gpupack.errors import InvalidInputError
from gpupack.given_numbers import real_number, whole_number
from gpupack.quoting import quoted
from gpupack.records.profile import LoadPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.request.arrivals import Arrivals

DEFAULT_CONCURRENCY = (1, 2, 4)
MAX_REQUEST_RATE = 1_000_000
"""More no client sends; what this one can is said when it was tried."""

_RATE_DIGITS = 6
"""Of the rate of recorded times, which names a load point."""


def load_points(
    batch_sizes: Sequence[int],
    concurrency: Sequence[int] | None = None,
    request_rates: Sequence[float] | None = None,
    arrivals: Arrivals | None = None,
) -> tuple[LoadPoint, ...]:
    """Return every batch size at every concurrency, and then at every rate.

    Args:
        batch_sizes: Inputs per request.
        concurrency: Requests kept in flight; 1, 2 and 4 if neither these nor rates are
            given.
        request_rates: Requests sent a second.
        arrivals: May have a rate of their own, where ``request_rates`` are left out.

    Raises:
        InvalidInputError: A number is none that it can be, or there is none.
    """
    rates = _rates(request_rates, arrivals)
    sizes = _counts("batch size", batch_sizes)
    if concurrency is None:
        concurrency = DEFAULT_CONCURRENCY if rates is None else None
    in_flight = [] if concurrency is None else _counts("concurrency", concurrency)
    return tuple(
        one
        for batch_size in sizes
        for one in (
            *(
                LoadPoint(batch_size=batch_size, concurrency=count)
                for count in in_flight
            ),
            *(
                LoadPoint(batch_size=batch_size, requests_per_sec=rate)
                for rate in rates or ()
            ),
        )
    )


def _counts(title: str, values: Sequence[int]) -> list[int]:
    given = several(title, values, "[1, 2, 4]")
    if not given:
        raise InvalidInputError(f"give at least one {title}, such as 1,2,4")
    numbers = [whole_number(value) for value in given]
    for value, number in zip(given, numbers, strict=True):
        if number is None or number < 1:
            raise InvalidInputError(
                f"a {title} is a whole number of at least 1, got {quoted(value)}"
            )
    return sorted({number for number in numbers if number is not None})


def _rates(
    request_rates: Sequence[float] | None, arrivals: Arrivals | None
) -> list[float] | None:
    """Return the rates asked for, or that of the arrivals; None to drive closed loops.

    Raises:
        InvalidInputError: One is no rate, or arrivals are given without a rate.
    """
    if request_rates is None:
        if arrivals is None:
            return None
        own = arrivals.own_requests_per_sec
        if own is None:
            raise InvalidInputError(
                f"{arrivals} arrivals need a rate: give request_rates "
                "(--request-rate), in requests per second, such as 50,100"
            )
        if not own <= MAX_REQUEST_RATE:
            raise InvalidInputError(
                f"the times of {quoted(str(arrivals))} are {own:,.3g} requests a "
                f"second, and no client sends more than {MAX_REQUEST_RATE:,}: are they "
                "in seconds? Or give request_rates (--request-rate) to stretch them to"
            )
        return [float(f"{own:.{_RATE_DIGITS}g}")]
    given = several("request_rates", request_rates, "[50, 100]")
    numbers = [real_number(value) for value in given]
    for value, number in zip(given, numbers, strict=True):
        if number is None or not 0 < number <= MAX_REQUEST_RATE:
            raise InvalidInputError(
                "a request rate is a number of requests per second above 0 and up to "
                f"{MAX_REQUEST_RATE:,}, got {quoted(value)}"
            )
    if not given:
        raise InvalidInputError("give at least one request rate, such as 50,100")
    return sorted({number for number in numbers if number is not None})
