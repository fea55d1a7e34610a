"""Pack inference models onto GPUs: measure them, place them, prove it.

Public names load on first use, so that ``import gpupack`` is fast and needs no
GPU, server or solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.errors import GpupackError, InfeasibleError
    from gpupack.records.profile import LoadPoint, ProfileRecord, ServerBaseline

__version__ = "0.1.0"

_HOME = {
    "GpupackError": "gpupack.errors",
    "InfeasibleError": "gpupack.errors",
    "LoadPoint": "gpupack.records.profile",
    "ProfileRecord": "gpupack.records.profile",
    "ServerBaseline": "gpupack.records.profile",
}

__all__ = [
    "GpupackError",
    "InfeasibleError",
    "LoadPoint",
    "ProfileRecord",
    "ServerBaseline",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gpupack' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
