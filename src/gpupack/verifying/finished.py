"""What of a placement is in the file of results, and need not be run again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gpupack.profiling import MeasureOptions
from gpupack.records.request.arrivals import POISSON
from gpupack.store import read_verifications
from gpupack.verifying.gpu_run import gpu_members
from gpupack.verifying.round_options import DEFAULT_MAX_SECONDS, DEFAULT_PRECISION

if TYPE_CHECKING:
    from pathlib import Path

    from gpupack.profiling import Device, InputOptions
    from gpupack.records.placement import GpuPlacement, PlacementRecord
    from gpupack.records.request.arrivals import Arrivals
    from gpupack.records.running.verification import GpuVerification


@dataclass(frozen=True)
class Circumstances:
    """All that a measurement depends on, but for the models of the GPU.

    What it is judged by is not here: verdicts are made anew from what was measured.

    Attributes:
        device: The GPU's UUID, or the device's name where it has none.
        server: URL of the server, or folder of the embedded server's models.
        inputs: Where requests' data come from.
        options: How well was measured.
        precision: To which rounds were measured.
        max_seconds: For how long at most.
        arrivals: How requests of planned traffic arrive.
    """

    device: str
    server: str
    inputs: InputOptions
    options: MeasureOptions | None
    precision: float = DEFAULT_PRECISION
    max_seconds: float = DEFAULT_MAX_SECONDS
    arrivals: Arrivals = POISSON

    def digest(self, placement: PlacementRecord, gpu: GpuPlacement) -> str:
        """Return what identifies the measurements of one GPU of a placement."""
        members = [
            (one.model_name, str(one.load_point), one.offered_infer_per_sec)
            for one in gpu_members(gpu)
        ]
        known = [
            *(placement.sharing_mode, gpu.gpu_index, members, sorted(gpu.models)),
            *(self.device, self.server),
            *(_shapes(self.inputs), self.inputs.seed),
            [self.inputs.data_sha256_of(name) for name in sorted(set(gpu.models))],
            asdict(self.options or MeasureOptions()),
            ["rounds", self.precision, self.max_seconds],
            # Stores written before these could be said hold nothing in their place.
            *([dict(self.inputs.batch_dims)] if self.inputs.batch_dims else ()),
            *(["fills optional inputs"] if self.inputs.fills_optional else ()),
            *(
                [self.arrivals.model_dump(mode="json")]
                if any(rate is not None for *_, rate in members)
                else []
            ),
        ]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def device_identity(device: Device) -> str:
    """Return the GPU's UUID, or the device's name where it has none."""
    return str(device.environment_fields().get("gpu_uuid") or device.gpu_type.name)


def read_finished(store: Path | str) -> dict[str, GpuVerification]:
    """Return the GPUs that were measured, by digest; what failed is left out.

    Raises:
        StoreError: The file cannot be read or holds something else.
    """
    return {one.placed: one for one in read_verifications(store) if one.measurements}


def _shapes(inputs: InputOptions) -> list[tuple[str, list[int]]]:
    return sorted((name, list(sizes)) for name, sizes in inputs.shapes.items())
