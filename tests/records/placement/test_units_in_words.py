"""How the value of a placement is written for people."""

import pytest

from gpupack.records.placement import ObjectiveUnit


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (ObjectiveUnit.GPUS, 1, "1 GPU"),
        (ObjectiveUnit.GPUS, 1_234_567, "1,234,567 GPUs"),
        (ObjectiveUnit.PRICE_PER_HOUR, 3.5, "3.5 per hour"),
        (ObjectiveUnit.PRICE_PER_HOUR, 4_000_000.0, "4,000,000 per hour"),
        (ObjectiveUnit.INFER_PER_SEC, 22_240_113.4, "22,240,113 infer/sec"),
        (ObjectiveUnit.SERVED_SHARE, 0.5, "0.5 of every demand"),
    ],
)
def test_large_values_are_no_powers_of_ten(
    unit: ObjectiveUnit, value: float, text: str
) -> None:
    assert unit.told(value) == text
