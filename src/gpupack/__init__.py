"""Pack inference models onto GPUs: measure them, place them, prove it.

Public names load on first use, so that ``import gpupack`` is fast and needs no
GPU, server or solver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpupack.deploy.calibrate import calibrate
    from gpupack.deploy.verify import verify
    from gpupack.errors import (
        GpupackError,
        InfeasibleError,
        InvalidInputError,
        NotFoundInTimeError,
        StoreError,
    )
    from gpupack.examples import load_example
    from gpupack.importers.reader import read_profiles
    from gpupack.placement import Placement
    from gpupack.planning.explain import explain
    from gpupack.planning.frontier import frontier
    from gpupack.planning.place import place
    from gpupack.planning.trade_off import Frontier
    from gpupack.profile_set import ProfileSet
    from gpupack.profiling import (
        EmbeddedServer,
        InputOptions,
        MeasureOptions,
        MpsDaemon,
        TlsOptions,
        profile,
    )
    from gpupack.records.environment import Environment
    from gpupack.records.explanation import Explanation
    from gpupack.records.gpu import Fleet, FleetEntry, GpuType, Headroom
    from gpupack.records.placement import Assignment, GpuPlacement
    from gpupack.records.profile import (
        FailedLoadPoint,
        LoadPoint,
        ProfileRecord,
        ServerBaseline,
    )
    from gpupack.store import read_placement, write_placement, write_profiles

__version__ = "0.1.0"

_HOME = {
    "Assignment": "gpupack.records.placement",
    "EmbeddedServer": "gpupack.profiling",
    "Environment": "gpupack.records.environment",
    "Explanation": "gpupack.records.explanation",
    "FailedLoadPoint": "gpupack.records.profile",
    "Fleet": "gpupack.records.gpu",
    "FleetEntry": "gpupack.records.gpu",
    "Frontier": "gpupack.planning.trade_off",
    "GpuPlacement": "gpupack.records.placement",
    "GpuType": "gpupack.records.gpu",
    "GpupackError": "gpupack.errors",
    "Headroom": "gpupack.records.gpu",
    "InfeasibleError": "gpupack.errors",
    "InputOptions": "gpupack.profiling",
    "InvalidInputError": "gpupack.errors",
    "LoadPoint": "gpupack.records.profile",
    "MeasureOptions": "gpupack.profiling",
    "MpsDaemon": "gpupack.profiling",
    "NotFoundInTimeError": "gpupack.errors",
    "Placement": "gpupack.placement",
    "ProfileRecord": "gpupack.records.profile",
    "ProfileSet": "gpupack.profile_set",
    "ServerBaseline": "gpupack.records.profile",
    "StoreError": "gpupack.errors",
    "TlsOptions": "gpupack.profiling",
    "calibrate": "gpupack.deploy.calibrate",
    "explain": "gpupack.planning.explain",
    "frontier": "gpupack.planning.frontier",
    "load_example": "gpupack.examples",
    "place": "gpupack.planning.place",
    "profile": "gpupack.profiling",
    "read_placement": "gpupack.store",
    "read_profiles": "gpupack.importers.reader",
    "verify": "gpupack.deploy.verify",
    "write_placement": "gpupack.store",
    "write_profiles": "gpupack.store",
}

__all__ = [
    "Assignment",
    "EmbeddedServer",
    "Environment",
    "Explanation",
    "FailedLoadPoint",
    "Fleet",
    "FleetEntry",
    "Frontier",
    "GpuPlacement",
    "GpuType",
    "GpupackError",
    "Headroom",
    "InfeasibleError",
    "InputOptions",
    "InvalidInputError",
    "LoadPoint",
    "MeasureOptions",
    "MpsDaemon",
    "NotFoundInTimeError",
    "Placement",
    "ProfileRecord",
    "ProfileSet",
    "ServerBaseline",
    "StoreError",
    "TlsOptions",
    "calibrate",
    "explain",
    "frontier",
    "load_example",
    "place",
    "profile",
    "read_placement",
    "read_profiles",
    "verify",
    "write_placement",
    "write_profiles",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'gpupack' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
