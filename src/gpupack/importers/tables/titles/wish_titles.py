"""Titles of columns that ask something of a model: what is asked, and in which unit.

``demand``, ``Demand (req/s)``, ``demand per minute``, ``latency limit (s)``: the wish's
own words first, in any spelling, and then nothing but a unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.importers.tables.units import Kind, folded, worth
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = re.compile(r"[^\W_]+")
_WISHES = {
    ("demand",): "demand",
    ("latency", "limit"): "latency_limit_ms",
    ("max", "replicas"): "max_replicas",
    ("replicas",): "replicas",
    ("min", "traffic"): "min_traffic",
    ("weight",): "weight",
    ("optional",): "optional",
    ("min", "retention"): "min_retention",
    ("one", "load", "point"): "one_load_point",
}
WISHES = tuple(dict.fromkeys(_WISHES.values()))
"""What a column may ask."""
RATES = frozenset({"demand", "min_traffic"})
"""Wishes in infer/sec."""
FLAGS = frozenset({"optional", "one_load_point"})
"""Wishes that are yes or no."""
_WHOLES = {
    **dict.fromkeys(["s", "sec", "second", "seconds"], 1.0),
    **dict.fromkeys(["min", "mins", "minute", "minutes"], 60.0),
    **dict.fromkeys(["h", "hr", "hour", "hours"], 3600.0),
    **dict.fromkeys(["d", "day", "days"], 86400.0),
}
_INFERENCES = frozenset(
    [
        *("", "inf", "infer", "infers", "inference", "inferences", "item", "items"),
        *("image", "images", "img", "sample", "samples", "frame", "frames"),
        *("prediction", "predictions"),
    ]
)
_REQUESTS = frozenset(
    ["req", "reqs", "request", "requests", "query", "queries", "call", "calls"]
)
_SHORT = {
    "rps": ("requests", "s"), "qps": ("requests", "s"), "ips": ("infer", "s"),
    "fps": ("frames", "s"), "rpm": ("requests", "min"), "qpm": ("requests", "min"),
    "rph": ("requests", "h"), "rpd": ("requests", "day"),
}  # fmt: skip
_RATE_WORDS = re.compile(r"[^\W\d_]*\s*(?:/|\bper\b)\s*[^\W\d_]+|[^\W\d_]+|%")
_RATE = re.compile(r"(?P<what>[^\W\d_]*)\s*(?:/|\bper\b)\s*(?P<whole>[^\W\d_]+)")
UNITS_OF_RATES = "infer/sec, requests/sec, or either per minute, hour or day"


@dataclass(frozen=True, slots=True)
class WishUnit:
    """A unit that a wish is said in.

    Args:
        factor: What 1 of it is in the wish's own unit.
        are_requests: Whether it counts requests, which hold as many inferences as the
            batch size says.
    """

    factor: float = 1.0
    are_requests: bool = False


@dataclass(frozen=True, slots=True)
class WishTitle:
    """What a column asks.

    Args:
        wish: The field of a request's model.
        unit_text: As the title says it; empty if it says none.
        unit: None where the title's is none of this wish.
    """

    wish: str
    unit_text: str = ""
    unit: WishUnit | None = WishUnit()


@lru_cache(maxsize=1000)
def wish_of(title: str) -> WishTitle | None:
    """Return what a title asks, None if it is not about a wish.

    A title that begins as a wish and goes on with other words is none. One in brackets
    after a wish that needs no unit, or that is no unit of it, has ``unit`` None.
    """
    text = title.strip()
    words = list(_WORD.finditer(text))
    for names, wish in _WISHES.items():
        head = tuple(one.group().casefold() for one in words[: len(names)])
        if head != names:
            continue
        rest = text[words[len(names) - 1].end() :].strip(" _,:;-")
        is_bracketed = rest[:1] in "([" and rest[-1:] in ")]"
        unit_text = rest.strip("()[] ").removeprefix("in ").replace("_", " ").strip()
        if wish == "latency_limit_ms" and not unit_text:
            return WishTitle(wish, "", None)
        unit = unit_of_wish(wish, unit_text) if unit_text else WishUnit()
        if unit is None and not is_bracketed:
            return None
        return WishTitle(wish, unit_text, unit)
    return None


def wish_in_column(title: str, meaning: str | None) -> WishTitle | None:
    """Return what a column asks, None if it asks nothing.

    Args:
        title: Of the column.
        meaning: What the caller says that it means; None: what its title says. The unit
            is the title's where the meaning says none beyond gpupack's own name.
    """
    if meaning is None:
        return wish_of(title)
    found = wish_of(meaning)
    is_own_name = found is not None and meaning.strip().casefold() == found.wish
    if found is None or (found.unit_text and not is_own_name):
        return found
    for text in _RATE_WORDS.findall(title.replace("_", " ")):
        unit = unit_of_wish(found.wish, text.strip())
        if unit is not None:
            return WishTitle(found.wish, text.strip(), unit)
        if found.wish in RATES and _RATE.fullmatch(folded(text)):
            return WishTitle(found.wish, text.strip(), None)
    return found


def in_given_unit(title: str, of: WishTitle, units: Mapping[str, str]) -> WishTitle:
    """Return what a column asks, in the unit that the caller says, if any.

    Args:
        title: Of the column.
        of: What it asks.
        units: By title or wish (``demand``, ``latency limit``), the unit.

    Raises:
        InvalidInputError: If one is no unit of the wish.
    """
    for key, text in units.items():
        if not is_wish_meant(key, title, of.wish):
            continue
        unit = unit_of_wish(of.wish, text)
        if unit is None:
            raise InvalidInputError(
                f"the unit of {quoted(title)} is given as {quoted(text)}; it may be "
                f"{units_of(of.wish)}"
            )
        of = WishTitle(of.wish, f"{text}, as given", unit)
    return of


def is_wish_meant(key: str, title: str, wish: str) -> bool:
    """Return whether a key of ``units`` means a column that asks for a wish."""
    if key.strip().casefold() == title.strip().casefold():
        return True
    found = wish_of(key)
    return found is not None and found.wish == wish and not found.unit_text


def unit_of_wish(wish: str, unit_text: str) -> WishUnit | None:
    """Return what a unit is worth for a wish, None if it is none of it."""
    if wish in RATES:
        return _rate(unit_text)
    if wish == "latency_limit_ms":
        microseconds = worth(Kind.TIME, unit_text)
        return None if microseconds is None else WishUnit(microseconds / 1000)
    if wish == "min_retention":
        percent = worth(Kind.SHARE, unit_text)
        return None if percent is None else WishUnit(percent / 100)
    return None


def _rate(unit_text: str) -> WishUnit | None:
    text = folded(unit_text)
    what, whole = _SHORT.get(text, ("", ""))
    if not whole:
        found = _RATE.fullmatch(text)
        if found is None:
            return None
        what, whole = found["what"], found["whole"]
    seconds = _WHOLES.get(whole)
    if seconds is None or what not in _INFERENCES | _REQUESTS:
        return None
    return WishUnit(1 / seconds, what in _REQUESTS)


def units_of(wish: str) -> str:
    """Return the units that a wish may be said in, for messages."""
    if wish in RATES:
        return UNITS_OF_RATES
    return {"latency_limit_ms": "us, ms or s", "min_retention": "% or a share"}.get(
        wish, "none"
    )


def note_of(title: WishTitle, used: str) -> str:
    """Return how a column is used that asks something, or why it cannot be.

    Args:
        title: What its title says.
        used: What is said of one that is used.
    """
    name = title.wish.removesuffix("_ms").replace("_", " ")
    if title.unit is not None:
        return f"{used}; in {title.unit_text}" if title.unit_text else used
    if not title.unit_text:
        return (
            f"in which unit the {name} is, its title does not say; give "
            f"{units_of(title.wish)}: {name} (ms)"
        )
    return f"{title.unit_text} is no unit of a {name}; give {units_of(title.wish)}"
