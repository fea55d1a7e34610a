"""What the HTTP API of Prometheus answers: series on steps, or what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupack.errors import ServerError
from gpupack.importers.prometheus.readings import Series
from gpupack.quoting import printable, quoted, shortened

if TYPE_CHECKING:
    from gpupack.importers.prometheus.quantities import Quantity
    from gpupack.importers.prometheus.readings import Steps

_MOST_WORDS = 300
"""Characters of a foreign message that are repeated."""


def parse_matrix(
    content: bytes, quantity: Quantity, steps: Steps, where: str
) -> tuple[Series, ...]:
    """Return the series of an answer to ``/api/v1/query_range``.

    Args:
        content: The whole answer.
        quantity: What was asked for.
        steps: That it was asked for.
        where: The server, for messages.

    Raises:
        ServerError: If it is no such answer, says that it is partial, or holds
            something that is no number.
    """
    found = _result(content, "matrix", where)
    first_s, step_s = steps.edges_s[1], steps.edges_s[1] - steps.edges_s[0]
    series = []
    for one in found:
        values = np.full(len(steps), np.nan)
        try:
            labels = {str(name): str(text) for name, text in one["metric"].items()}
            times, texts = zip(*one["values"], strict=True)
            places = np.rint((np.array(times, dtype=float) - first_s) / step_s)
            numbers = np.array(list(map(float, texts)))
            values[places.astype(int)] = numbers
            if places[0] < 0 or bool(np.any(np.diff(places) <= 0)):
                raise ValueError("times out of order")
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            IndexError,
            OverflowError,
        ) as err:
            raise ServerError(
                f"{where}: a series of {quantity.metric} is not what Prometheus "
                f"answers: {quoted(one)}; is that address its HTTP API?"
            ) from err
        values[~np.isfinite(values)] = np.nan
        if bool(np.any(values < 0)):
            raise ServerError(
                f"{where}: {quantity.metric} of {quoted(labels)} is negative; that is "
                "no such metric of Triton or the DCGM exporter"
            )
        series.append(Series(labels, values * quantity.scale))
    return tuple(series)


def parse_number(content: bytes, where: str) -> float | None:
    """Return the one number of an answer to ``/api/v1/query``, None if it is empty.

    Raises:
        ServerError: If it is no such answer.
    """
    found = _result(content, "vector", where)
    if not found:
        return None
    try:
        return float(found[0]["value"][1])
    except (KeyError, TypeError, ValueError, IndexError) as err:
        raise ServerError(
            f"{where}: not what Prometheus answers: {quoted(found[0])}"
        ) from err


def error_words(content: bytes) -> str | None:
    """Return what an answer says is wrong; None if it is no answer of Prometheus."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return _error_words(answer)


def _error_words(answer: object) -> str | None:
    if not isinstance(answer, dict) or answer.get("status") != "error":
        return None
    kind, text = answer.get("errorType"), answer.get("error")
    return shortened(printable(f"{kind}: {text}"), _MOST_WORDS)


def _result(content: bytes, wanted: str, where: str) -> list[Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as err:
        start = shortened(printable(content[:80].decode("utf-8", "replace")), 80)
        raise ServerError(
            f"{where}: the answer is no JSON, it begins with {quoted(start)}; is that "
            "address Prometheus, or a login page or proxy before it?"
        ) from err
    words = _error_words(answer)
    if words is not None:
        raise ServerError(f"{where} refuses the query: {words}")
    data = answer.get("data") if isinstance(answer, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(result, list) or kind != wanted:
        raise ServerError(
            f"{where}: the answer is JSON, but none of Prometheus' API: "
            f"{quoted(answer)}; give the address before /api/v1"
        )
    warnings = answer.get("warnings")
    if not warnings and answer.get("isPartial"):  # as VictoriaMetrics says it
        warnings = "isPartial"
    if warnings:
        raise ServerError(
            f"{where} says that its answer is partial: "
            f"{shortened(printable(str(warnings)), _MOST_WORDS)}; nothing is planned "
            "with half of the data: ask again when every store answers, or for a "
            "window that they cover"
        )
    return result
