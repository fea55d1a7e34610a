"""Where on the page a clash is drawn: at the controls of the limits that clash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.errors import InfeasibleError
from gpupack.records.record import Record

if TYPE_CHECKING:
    from gpupack.errors import GpupackError

_FIELD_BY_WORD = {
    "latency": "latency_limit_ms",
    "min_retention": "min_retention",
    "headroom": "headroom",
}


class Place(Record):
    """A control, by the path of its field in the request."""

    path: tuple[str, ...]


def places_of(error: GpupackError) -> tuple[Place, ...]:
    """Return the controls that clash; none where it is not known which do."""
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
    return tuple(Place(path=path) for path in dict.fromkeys(paths))
