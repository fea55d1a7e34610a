"""A request as the page sends it: read, or told at which control it is wrong."""

from __future__ import annotations

import json

from pydantic import ValidationError

from gpupack.errors import GpupackError
from gpupack.records.request import Request


class RefusedError(GpupackError):
    """A request that cannot be asked.

    Attributes:
        path: Of the field that is wrong; empty where it is not one.
    """

    exit_code = 2

    def __init__(self, message: str, path: tuple[str, ...]) -> None:
        super().__init__(message)
        self.path = path


def read_asked(text: str) -> Request:
    """Return the request that the page asks.

    Raises:
        RefusedError: If a field is unknown or has a value that it cannot have.
    """
    try:
        return Request.model_validate(json.loads(text))
    except (GpupackError, ValueError, RecursionError) as err:
        raise RefusedError(str(err), _path(err)) from err


def _path(err: BaseException) -> tuple[str, ...]:
    cause = err.__cause__
    if not isinstance(cause, ValidationError):
        return ()
    first = cause.errors(include_url=False)[0]["loc"]
    return tuple(str(one) for one in first if not str(one).startswith(("<", "[")))
