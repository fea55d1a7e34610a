"""The slow, certain way: every partition of the models into GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from gpupack.profile_set import ProfileSet
from gpupack.records.profile import ProfileRecord


def set_partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield every partition of ``items`` into non-empty groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for partition in set_partitions(rest):
        for index in range(len(partition)):
            yield [
                *partition[:index],
                [first, *partition[index]],
                *partition[index + 1 :],
            ]
        yield [[first], *partition]


def fits(
    records: Sequence[ProfileRecord],
    shares: dict[str, float],
    baseline_bytes: int,
    capacity_bytes: int,
) -> bool:
    """Apply DESIGN's definition of headroom to the models of one GPU."""
    if "memory" in shares:
        own = sum(r.gpu_memory_used_bytes - baseline_bytes for r in records)  # type: ignore[operator, misc]
        if baseline_bytes + own > Decimal(str(shares["memory"])) * capacity_bytes:
            return False
    for resource in ("gpu_utilization", "memory_utilization"):
        if resource in shares:
            total = sum(
                Decimal(str(getattr(r, f"{resource}_percent"))) for r in records
            )
            if total > Decimal(str(shares[resource])) * 100:
                return False
    return True


def fewest_gpus(
    profiles: ProfileSet, shares: dict[str, float], capacity_bytes: int
) -> tuple[int, Decimal] | None:
    """Return the fewest GPUs, and the lowest highest utilization with so many.

    None if some model fits on no GPU.
    """
    baseline = profiles.baselines[0].gpu_memory_used_bytes or 0
    best: tuple[int, Decimal] | None = None
    for partition in set_partitions(range(len(profiles.records))):
        groups = [[profiles.records[i] for i in group] for group in partition]
        if not all(fits(group, shares, baseline, capacity_bytes) for group in groups):
            continue
        highest = max(
            sum(Decimal(str(getattr(record, field))) for record in group)
            for group in groups
            for field in ("gpu_utilization_percent", "memory_utilization_percent")
        )
        if best is None or (len(groups), highest) < best:
            best = len(groups), Decimal(highest)
    return best
