"""Amounts are told as precisely as what is said of them needs."""

import pytest

from gpupack.planning.modeling.amounts import told_apart, told_to_divide
from gpupack.records.gpu import Resource

MIB = 2**20
PERCENT = 10**9


@pytest.mark.parametrize(
    ("resource", "amounts", "told"),
    [
        (Resource.MEMORY, (11051 * MIB, 10000 * MIB), ("11,051 MiB", "10,000 MiB")),
        (
            Resource.MEMORY,
            (1000 * MIB + MIB // 4, 1000 * MIB),
            ("1,000.2 MiB", "1,000 MiB"),
        ),
        (Resource.MEMORY, (5 * MIB, 5 * MIB), ("5 MiB", "5 MiB")),
        (Resource.GPU_UTILIZATION, (79 * PERCENT, 0), ("79 %", "0 %")),
        (
            Resource.GPU_UTILIZATION,
            (795 * PERCENT // 10, 79 * PERCENT),
            ("79.5 %", "79 %"),
        ),
        (
            Resource.GPU_UTILIZATION,
            (100 * PERCENT + 20_000, 100 * PERCENT),
            ("100.00002 %", "100 %"),
        ),
    ],
)
def test_different_amounts_are_told_apart(
    resource: Resource, amounts: tuple[int, ...], told: tuple[str, ...]
) -> None:
    assert told_apart(resource, *amounts) == told


def test_the_parts_of_a_total_can_be_counted_from_what_is_told() -> None:
    # 2 × 15,999.4 MiB is told as 31,999 = 3 parts of 15,999 only if rounded too far.
    part = 15999 * MIB + 4 * MIB // 10

    assert told_to_divide(Resource.MEMORY, 2 * part, part) == (
        "31,998.8 MiB",
        "15,999.4 MiB",
    )
    assert told_to_divide(Resource.GPU_UTILIZATION, 412 * PERCENT, 100 * PERCENT) == (
        "412 %",
        "100 %",
    )
