"""Units as titles, cells and options write them, and what one is worth."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from gpupack.errors import InvalidInputError
from gpupack.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What a column of numbers measures."""

    TIME = "time"
    MEMORY = "memory"
    SHARE = "share"
    RATE = "rate"
    POWER = "power"
    ENERGY = "energy"
    CORES = "cores"


SERVER_MEMORY = "server memory"
"""What ``units`` calls the memory of the server alone, where it is in another unit."""
BYTES_PER_MB = 1_000_000

_MICROSECONDS = {
    ("ns", "nsec", "nanoseconds"): 0.001,
    ("us", "µs", "μs", "usec", "usecs", "microseconds"): 1.0,
    ("ms", "msec", "msecs", "millis", "milliseconds"): 1_000.0,
    ("s", "sec", "secs", "seconds"): 1_000_000.0,
}
_PERCENT = {
    ("%", "percent", "pct", "per cent", "prozent", "percentage"): 1.0,
    ("ratio", "fraction", "share", "0-1"): 100.0,
}
_PER_SECOND = {
    (
        *("infer/sec", "infer/s", "infer per sec", "inferences/sec", "inferences/s"),
        *("inferences/second", "inferences per second", "inf/s", "inf/sec", "ips"),
        *("items/s", "items/sec", "samples/s", "samples/sec", "images/s"),
        *("images/sec", "img/s", "img/sec", "fps"),
    ): 1.0,
    ("infer/min", "inferences/min", "items/min", "images/min"): 1 / 60,
}
_REQUESTS = (
    *("req/s", "req/sec", "reqs/s", "requests/s", "requests/sec", "requests/second"),
    *("request/s", "request/sec", "requests per sec", "requests per second"),
    *("queries/s", "queries/sec", "qps", "rps"),
)
_REQUESTS_PER_MINUTE = (
    *("req/min", "reqs/min", "request/min", "requests/min", "requests per minute"),
    *("query/min", "queries/min", "qpm"),
)
_TOKENS = ("tokens/s", "tokens/sec", "tokens/second", "token/s", "tok/s", "tps")
_WATTS = {("w", "watt", "watts"): 1.0, ("mw", "milliwatts"): 0.001, ("kw",): 1000.0}
_JOULES = {("j", "joule", "joules"): 1.0, ("kj",): 1000.0, ("wh",): 3600.0}
_CORES = {("cores", "core", "cpus", "vcpus"): 1.0, ("%",): 0.01}
_SHOWN = {"w": "W", "j": "J", "percent": "%", "watts": "W"}
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def _flat(units: dict[tuple[str, ...], float]) -> dict[str, float]:
    return {word: worth for words, worth in units.items() for word in words}


_WORTH: dict[Kind, dict[str, float]] = {
    Kind.TIME: _flat(_MICROSECONDS),
    Kind.SHARE: _flat(_PERCENT),
    Kind.RATE: _flat(_PER_SECOND)
    | dict.fromkeys(_REQUESTS, 1.0)
    | dict.fromkeys(_REQUESTS_PER_MINUTE, 1 / 60),
    Kind.POWER: _flat(_WATTS),
    Kind.ENERGY: _flat(_JOULES),
    Kind.CORES: _flat(_CORES),
}
_MEMORY_WORDS = frozenset(
    ["b", "byte", "bytes", "megabytes", "gigabytes"]
    + [f"{power}{end}" for power in _POWERS for end in ("b", "ib")]
)
KNOWN = frozenset(word for words in _WORTH.values() for word in words) | _MEMORY_WORDS
"""Every unit there is."""


def folded(unit: str) -> str:
    """Return a unit as the tables here spell it: no capitals, dots or blanks around."""
    return " ".join(unit.casefold().strip().rstrip(".").replace(" / ", "/").split())


@lru_cache(maxsize=1000)
def is_requests(unit: str) -> bool:
    """Return whether a rate counts requests rather than their inputs."""
    return folded(unit) in (*_REQUESTS, *_REQUESTS_PER_MINUTE)


def is_tokens(unit: str) -> bool:
    """Return whether a rate counts tokens."""
    return folded(unit) in _TOKENS


@lru_cache(maxsize=1000)
def worth(kind: Kind, unit: str, *, is_decimal: bool = False) -> float | None:
    """Return what 1 of a unit is in bytes, microseconds, percent, 1/s, watts, joules.

    Args:
        kind: What is measured.
        unit: In any spelling.
        is_decimal: Whether a MB is 10⁶ bytes. Otherwise MB and GB are taken for MiB
            and GiB, as ``nvidia-smi`` prints them: the larger, so the cautious reading.

    Returns:
        None if the unit is none of what is measured.
    """
    word = folded(unit)
    if kind is not Kind.MEMORY:
        return _WORTH[kind].get(word)
    word = {"megabytes": "mb", "gigabytes": "gb"}.get(word, word)
    if word in ("b", "byte", "bytes"):
        return 1.0
    if word not in _MEMORY_WORDS:
        return None
    base = 1000 if is_decimal and not word.endswith("ib") else 1024
    return float(base ** _POWERS[word[0]])


def described(unit: str, *, is_decimal: bool) -> str:
    """Return a unit for people; of memory, what was taken for a MB or GB."""
    word = folded(unit)
    if word not in _MEMORY_WORDS or word[0] == "b":
        return _SHOWN.get(word, word)
    prefix = word[0].upper()
    if word.endswith("ib"):
        return f"{prefix}iB"
    base = f"10^{3 * _POWERS[word[0]]} bytes" if is_decimal else f"{prefix}iB"
    return f"{prefix}B, taken as {base}"


def spelled(kind: Kind) -> str:
    """Return the units of a kind for messages."""
    return {
        Kind.TIME: "ns, us, ms or s",
        Kind.MEMORY: "bytes, MiB, MB, GiB or GB",
        Kind.SHARE: "percent or ratio",
        Kind.RATE: "infer/sec or requests/sec",
        Kind.POWER: "W",
        Kind.ENERGY: "J",
        Kind.CORES: "cores or %",
    }[kind]


def unit_of_server(units: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """Return the units of columns, and that of the server alone if it is another's.

    Raises:
        InvalidInputError: If that is no unit of memory.
    """
    of_columns = {key: one for key, one in units.items() if not _is_server(key)}
    unit = next((one for key, one in units.items() if _is_server(key)), None)
    if unit is not None and worth(Kind.MEMORY, unit) is None:
        raise InvalidInputError(
            f"the unit of {SERVER_MEMORY} is given as {quoted(unit)}; it may be "
            f"{spelled(Kind.MEMORY)}"
        )
    return of_columns, unit


def _is_server(key: str) -> bool:
    return " ".join(key.casefold().replace("_", " ").split()) == SERVER_MEMORY
