"""Which time is looked at, and in which steps."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_NICE_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14400, 21600, 43200, 86400),
)
MOST_STEPS = 2016
"""As many steps as a week has of five minutes: a peak of minutes is seen, and all of a
large cluster is read in seconds. Prometheus itself refuses more than 11,000."""
MOST_STEPS_GIVEN = 11_000
SAMPLES_PER_STEP = 4
"""A rate needs two samples; with four, one or two missed scrapes leave no gap."""


def parse_duration(text: str | float, argument: str) -> float:
    """Return seconds: of ``"7d"``, ``"1h30m"`` or a number of seconds.

    Raises:
        InvalidInputError: If it is none, or not above 0.
    """
    seconds = 0.0
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str):
        parts = _DURATION.findall(text)
        if "".join(number + unit for number, unit in parts) == text.strip():
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not math.isfinite(seconds) or seconds <= 0:
        raise InvalidInputError(
            f"{argument} is {quoted(text)}; give a time such as 7d, 12h, 30m or 90s"
        )
    return seconds


def parse_time(value: datetime | str, argument: str) -> float:
    """Return seconds since 1970 of a time in ISO 8601; without a zone it is UTC.

    Raises:
        InvalidInputError: If it is none.
    """
    found = value
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found.strip())
        except ValueError:
            raise InvalidInputError(
                f"{argument} is {quoted(value)}; give a time such as 2026-03-01 or "
                "2026-03-01T12:00:00+01:00"
            ) from None
    if not isinstance(found, datetime):
        raise InvalidInputError(f"{argument} is {quoted(value)}; give a datetime")
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def find_window(
    window: str | float | None,
    start: datetime | str | None,
    end: datetime | str | None,
    *,
    now_s: Callable[[], float],
) -> tuple[float, float]:
    """Return where the window begins and ends, in seconds since 1970.

    Args:
        window: How long; a week if neither this nor ``start`` is given.
        start: Where it begins, in place of ``window`` or with it.
        end: Where it ends; by default now, or with both others after ``window``.
        now_s: Tells the time.

    Raises:
        InvalidInputError: If all three are given, or it ends before it begins.
    """
    if window is not None and start is not None and end is not None:
        raise InvalidInputError(
            "window, start and end are given: two of them say all (--window, --from, "
            "--to)"
        )
    length = parse_duration("7d" if window is None else window, "window")
    if start is not None:
        start_s = parse_time(start, "start")
        if end is not None:
            end_s = parse_time(end, "end")
        else:
            end_s = now_s() if window is None else min(now_s(), start_s + length)
    else:
        end_s = now_s() if end is None else parse_time(end, "end")
        start_s = end_s - length
    if end_s <= start_s:
        raise InvalidInputError(
            f"the window begins at {told(start_s)} and ends at {told(end_s)}; let it "
            "end later than it begins, and not begin in the future"
        )
    return start_s, end_s


def choose_step_s(length_s: float, scrape_s: float) -> int:
    """Return the shortest convenient step that has samples enough and is not too many.

    Args:
        length_s: Of the window.
        scrape_s: Between two samples.
    """
    least = max(length_s / MOST_STEPS, SAMPLES_PER_STEP * scrape_s)
    step = next((one for one in _NICE_STEPS_S if one >= least * (1 - 1e-6)), None)
    return step if step is not None else math.ceil(least)


def check_step_s(step_s: float, length_s: float, scrape_s: float) -> int:
    """Return a step that somebody asked for, if rates can be told in it.

    Raises:
        InvalidInputError: If not, or if there would be too many.
    """
    if step_s != round(step_s) or step_s < 1:
        raise InvalidInputError(f"step is {step_s:g} s; give whole seconds")
    if step_s < 2 * scrape_s * (1 - 1e-6):
        raise InvalidInputError(
            f"step is {step_s:g} s, but the samples are {scrape_s:.3g} s apart, and a "
            f"rate needs two: give at least {math.ceil(2 * scrape_s)} s"
        )
    if length_s / step_s > MOST_STEPS_GIVEN:
        raise InvalidInputError(
            f"step is {step_s:g} s: {length_s / step_s:,.0f} steps, of which "
            f"Prometheus gives {MOST_STEPS_GIVEN:,}; give at least "
            f"{math.ceil(length_s / MOST_STEPS_GIVEN)} s"
        )
    if step_s > length_s:
        raise InvalidInputError(
            f"step is {step_s:g} s, longer than the window of {length_s:g} s"
        )
    return round(step_s)


def told(time_s: float) -> str:
    """Return a time in words: ``2026-03-01 12:00:00 UTC``."""
    return f"{moment(time_s):%Y-%m-%d %H:%M:%S} UTC"


def moment(time_s: float) -> datetime:
    """Return a time, whole microseconds in UTC."""
    return datetime.fromtimestamp(time_s, UTC)
