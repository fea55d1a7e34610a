"""Whether the memory of models and of the server alone is in one unit.

What a model takes includes the server, so none takes less than the server alone: a
baseline above every model, or a thousand times below, is in another unit.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from gpupack.errors import ProfileDataError
from gpupack.importers.tables.units import SERVER_MEMORY
from gpupack.quoting import quoted
from gpupack.records.gpu import DeviceKind
from gpupack.spelling import flag_of, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.records.gpu import GpuType
    from gpupack.records.profile import ProfileRecord, ServerBaseline

_ANYTHING_BYTES = 2**16
"""Less than one page of a GPU's memory."""
_SLACK = 1.1
"""How far a measured baseline may lie above models that take hardly anything."""
_FAR = 1000
"""The least that two units are apart."""
_LEAST_BYTES = 16 * 2**20
"""Less than any process with a CUDA context takes of a GPU."""
_ONE_UNIT = "one of them is in another unit; write all in one"
_LEAST_SHARE = 0.1
"""Of the server alone: a model that takes less is in another unit."""
_MEMORY = attrgetter("gpu_memory_used_bytes", "gpu_type")


def require_one_unit(
    records: Sequence[ProfileRecord],
    baselines: Sequence[ServerBaseline],
    *,
    source: str,
) -> list[str]:
    """Check that memory is of one size, and return what is doubtful of it.

    Args:
        records: Of models.
        baselines: Of the server alone.
        source: Name of the file for messages.

    Raises:
        ProfileDataError: Naming both amounts and how to say the unit.
    """
    where = f"{source}: "
    doubts = []
    server = {
        one.gpu_type.name: one.gpu_memory_used_bytes
        for one in baselines
        if one.gpu_memory_used_bytes and one.gpu_type.kind is not DeviceKind.HOST
    }
    of_type: dict[int, tuple[GpuType, list[int], list[ProfileRecord]]] = {}
    for one, (num_bytes, gpu_type) in zip(records, map(_MEMORY, records), strict=True):
        if num_bytes:
            key = id(gpu_type)
            if key not in of_type:
                of_type[key] = (gpu_type, [], [])
            of_type[key][1].append(num_bytes)
            of_type[key][2].append(one)
    by_type: dict[str, list[ProfileRecord]] = {}
    for gpu_type, sizes, models in of_type.values():
        if gpu_type.kind is not DeviceKind.HOST:
            by_type.setdefault(gpu_type.name, []).extend(
                models[sizes.index(find(sizes))] for find in (min, max)
            )
    for name, extremes in by_type.items():
        least = min(extremes, key=_memory)
        most = max(extremes, key=_memory)
        base = server.get(name)
        if _memory(least) < _ANYTHING_BYTES:
            raise ProfileDataError(
                f"{where}a model takes {_told(least)}, less than anything on a GPU: it "
                f"is in another unit; say which, such as --unit memory=MiB (units= in "
                "Python)"
            )
        if base is not None and base > _memory(most) * _SLACK:
            raise ProfileDataError(
                f"{where}the server alone takes {_shown(base)}, but no model, which "
                f"includes it, more than {_told(most)}: one of them is in another "
                f"unit; {_way_out('KiB', 'GB')}"
            )
        if base is not None and base < _LEAST_BYTES and _memory(least) > _FAR * base:
            raise ProfileDataError(
                f"{where}the server alone takes {_shown(base)}, but every model, "
                f"which includes it, a thousand times more, at least "
                f"{_told(least)}: one of them is in another unit; "
                f"{_way_out('GB', 'KiB')}"
            )
        if base is not None and _memory(least) < base / _SLACK:
            doubts.append(
                f"a model takes {_told(least)}, less than the server alone, "
                f"{_shown(base)}, which its memory includes: it is planned as if it "
                "needed none of its own; was it measured without the server?"
            )
        if base is not None and _memory(least) < base * _LEAST_SHARE:
            raise ProfileDataError(
                f"{where}a model takes {_told(least)}, less than a tenth of the "
                f"server alone, {_shown(base)}, which it includes: {_ONE_UNIT}"
            )
        if _memory(least) < min(_memory(most) / _FAR, _LEAST_BYTES):
            raise ProfileDataError(
                f"{where}a model takes {_told(least)}, a thousand times less than "
                f"another, {_told(most)}: {_ONE_UNIT}"
            )
    return doubts


def _memory(record: ProfileRecord) -> int:
    return record.gpu_memory_used_bytes or 0


def _told(record: ProfileRecord) -> str:
    return (
        f"{_shown(_memory(record))} ({quoted(record.model_name)} at "
        f"{record.load_point})"
    )


def _shown(num_bytes: int) -> str:
    if num_bytes < 2**20:
        return f"{num_bytes:,} bytes"
    return f"{num_bytes / 2**20:,.0f} MiB"


def _way_out(of_server: str, of_models: str) -> str:
    def said(units: dict[str, str]) -> str:
        given = [
            quoted(f"{name}={unit}") if name == SERVER_MEMORY else f"{name}={unit}"
            for name, unit in units.items()
        ]
        return setting("units", units, shell=f" {flag_of('units')} ".join(given))

    both = {"memory": of_models, SERVER_MEMORY: "MiB"}
    return (
        f"say which: the server's, as {said({SERVER_MEMORY: of_server})}, or the "
        f"models', as {said(both)}"
    )
