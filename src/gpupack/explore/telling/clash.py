"""Where on the page a clash is drawn: at the controls of the limits that clash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError
from gpupack.records.record import Record

if TYPE_CHECKING:
    from gpupack.errors import GpupackError
    from gpupack.records.request import Request

_FIELD_BY_WORD = {
    "latency": "latency_limit_ms",
    "min_retention": "min_retention",
    "headroom": "headroom",
}


class Place(Record):
    """A control, by the path of its field in the request."""

    path: tuple[str, ...]


def places_of(error: GpupackError, request: Request) -> tuple[Place, ...]:
    """Return the controls that clash; none where it is not known which do.

    Args:
        error: Which limits clash.
        request: In which they are asked for.
    """
    if not isinstance(error, InfeasibleError):
        return ()
    paths = list(error.fields)
    if not paths:
        if error.resource is not None:
            paths.append(("headroom",))
        told = str(error)
        for name in error.model_names:
            paths += [
                ("models", name, field)
                for word, field in _FIELD_BY_WORD.items()
                if field != "headroom" and word in told
            ]
    paths += [("models", name, "left_out") for name in error.model_names]
    return tuple(Place(path=as_asked(path, request)) for path in dict.fromkeys(paths))


def as_asked(path: tuple[str, ...], request: Request) -> tuple[str, ...]:
    """Return where a request asks for a number of GPUs: in all, or of its one type."""
    if path == ("gpus",) and isinstance(request.gpus, dict) and len(request.gpus) == 1:
        return ("gpus", next(iter(request.gpus)), "count")
    return path
