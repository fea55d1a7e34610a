"""What a server's models were measured to take of the host: for its requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpupack.quoting import quoted_all
from gpupack.units import mib_from_bytes, sum_if_known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpupack.deploying.plan.served_model import ServedModel
    from gpupack.records.placement import Assignment, PlacementRecord
    from gpupack.records.profile import ProfileRecord

_PER_CORE = 1000


@dataclass(frozen=True)
class HostNeeds:
    """What is requested of the host for servers: no limit, which would kill them.

    Attributes:
        cpu_millicores: Thousandths of a core, rounded up; None where a model's were not
            measured.
        memory_mib: MiB, rounded up; None likewise.
    """

    cpu_millicores: int | None = None
    memory_mib: int | None = None

    @property
    def quantities(self) -> dict[str, str]:
        """As Kubernetes writes them, by resource; without what is not known."""
        found = {}
        if self.cpu_millicores is not None:
            found["cpu"] = f"{self.cpu_millicores}m"
        if self.memory_mib is not None:
            found["memory"] = f"{self.memory_mib}Mi"
        return found


def host_needs(
    instances: Iterable[tuple[Assignment, ProfileRecord]],
    models: Iterable[ServedModel],
    placement: PlacementRecord,
) -> HostNeeds:
    """Return what one server and the instances in it take of the host.

    Cores are those of the traffic that is planned, in proportion to what was measured;
    memory is the most that was held, whatever the traffic. A share that the headroom
    leaves free of either is requested as well.

    Args:
        instances: Those of a GPU, each with the record that it was placed by.
        models: Those of the server.
        placement: Says what a server without models holds, and the headroom.
    """
    names = {one.name for one in models}
    instances = [one for one in instances if one[0].model_name in names]
    measured_on = {record.gpu_type.name for _, record in instances}
    server_bytes = max(
        (
            one.host_memory_bytes or 0
            for one in placement.baselines
            if one.gpu_type.name in measured_on
        ),
        default=0,
    )
    headroom = placement.headroom
    cores = sum_if_known(_cores(*one) for one in instances)
    held = sum_if_known(
        None
        if record.host_memory_bytes is None
        else max(0, record.host_memory_bytes - server_bytes)
        for _, record in instances
    )
    return HostNeeds(
        None
        if cores is None
        else max(1, math.ceil(cores * _PER_CORE / (headroom.host_cpu or 1))),
        None
        if held is None
        else math.ceil(
            mib_from_bytes(held + server_bytes) / (headroom.host_memory or 1)
        ),
    )


def unmeasured_notes(
    instances: Iterable[tuple[Assignment, ProfileRecord]],
) -> list[str]:
    """Tell of models without the readings of the host, where others have them."""
    known = {
        one.model_name: record.host_cpu_cores is not None
        and record.host_memory_bytes is not None
        for one, record in instances
    }
    lacking = sorted(name for name in known if not known[name])
    if not lacking or len(lacking) == len(known):
        return []
    return [
        "cores and memory of the host are not requested for servers with "
        f"{quoted_all(lacking)}, of which they were not measured: profile again"
    ]


def together(needs: Iterable[HostNeeds]) -> HostNeeds:
    """Return what servers of one container take, as far as it is known of all."""
    found = list(needs)
    return HostNeeds(
        sum_if_known(one.cpu_millicores for one in found),
        sum_if_known(one.memory_mib for one in found),
    )


def _cores(assignment: Assignment, record: ProfileRecord) -> float | None:
    if assignment.host_cpu_cores is not None or record.host_cpu_cores is None:
        return assignment.host_cpu_cores
    served, most = assignment.served_infer_per_sec, record.throughput_infer_per_sec
    if served is None or not most:
        return record.host_cpu_cores
    return record.host_cpu_cores * min(1.0, served / most)
