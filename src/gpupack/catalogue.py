"""Data-centre GPUs by name, with the memory that NVML reports for them.

Memory is the total that ``nvidia-smi`` prints (NVML's ``memory.total``, MiB) with
ECC on and a driver of the 515 series or later; older drivers report up to 2 % less
for the same card. Sources: ``nvidia-smi`` outputs published for each card; the H200
was read directly. A card of yours that says otherwise wins: give ``NAME:MIB``.

The catalogue ships no prices; they differ by provider and by day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpupack.errors import InvalidInputError, UnknownNameError
from gpupack.quoting import quoted

MEMORY_MIB_BY_NAME: dict[str, int] = {
    "A10": 23028,
    "A100-40GB": 40960,
    "A100-80GB": 81920,
    "A10G": 23028,
    "A30": 24576,
    "A40": 46068,
    "B200": 183359,
    "H100-80GB": 81559,
    "H100-NVL": 95830,
    "H200": 143771,
    "L4": 23034,
    "L40S": 46068,
    "T4": 15360,
    "V100-16GB": 16384,
    "V100-32GB": 32768,
}
"""Total memory in MiB, by the name gpupack uses."""


@dataclass(frozen=True, slots=True)
class CardFigures:
    """What the maker publishes of a card's speed, without sparsity.

    Args:
        bandwidth_gb_per_sec: Of the device memory, in 1e9 bytes per second.
        half_tflops: FP16 on the tensor cores.
        single_tflops: FP32.
    """

    bandwidth_gb_per_sec: float
    half_tflops: float
    single_tflops: float


FIGURES_BY_NAME: dict[str, CardFigures] = {
    "A10": CardFigures(600, 125, 31.2),
    "A100-40GB": CardFigures(1555, 312, 19.5),
    "A100-80GB": CardFigures(1935, 312, 19.5),
    "A10G": CardFigures(600, 70, 31.5),
    "A30": CardFigures(933, 165, 10.3),
    "A40": CardFigures(696, 149.7, 37.4),
    "B200": CardFigures(8000, 2250, 75),
    "H100-80GB": CardFigures(2000, 756, 51),
    "H100-NVL": CardFigures(3900, 835, 60),
    "H200": CardFigures(4800, 989, 67),
    "L4": CardFigures(300, 121, 30.3),
    "L40S": CardFigures(864, 362, 91.6),
    "T4": CardFigures(320, 65, 8.1),
    "V100-16GB": CardFigures(900, 112, 14),
    "V100-32GB": CardFigures(900, 112, 14),
}
"""By the name gpupack uses. Source: NVIDIA's data sheet of each card; of cards that
were sold in several forms (A100 80GB, H100, V100) those of the PCIe card, the
slowest."""

NAMES_BY_FAMILY: dict[str, tuple[str, ...]] = {
    family: tuple(name for name in MEMORY_MIB_BY_NAME if name.startswith(f"{family}-"))
    for family in ("A100", "H100", "V100")
}
"""Cards that were sold with several amounts of memory, by what people call them."""

_PARTS = frozenset(["mig", "grid", "vgpu"])
"""Words of what is called after a card and is less than one."""
_MAKERS = ("nvidia", "tesla")
"""What drivers' names of cards begin with."""
_MAX_MIB = 2**40
_NOMINAL = re.compile(r"(?P<gib>[1-9]\d{0,3})GB")
_CUSTOM = re.compile(r"(?P<name>.+):(?P<mib>[^:]+)", re.DOTALL)


def card_called(name: str) -> str | None:
    """Return the catalogue's name of the card that a driver, or a person, calls so.

    ``"NVIDIA A100-SXM4-40GB"`` is ``"A100-40GB"``, ``"NVIDIA H200"`` is ``"H200"``.
    None for a part of a card, such as a MIG instance, for a name that leaves open which
    of several cards it is, and for a card that the catalogue lacks.
    """
    words = set(re.split(r"[\s-]+", name.casefold()))
    if words & _PARTS:
        return None
    by_family = [
        known
        for known in MEMORY_MIB_BY_NAME
        if known.casefold().partition("-")[0] in words
    ]
    if len(by_family) > 1:
        by_family = [
            known for known in by_family if known.casefold().partition("-")[2] in words
        ]
    return by_family[0] if len(by_family) == 1 else None


def find_card(name: str) -> tuple[str, int]:
    """Return the name of a GPU type, and its memory in MiB.

    Args:
        name: A catalogue name (``"T4"``, case ignored) or what a driver calls the card
            (``"NVIDIA A100-SXM4-80GB"``, ``"Tesla T4"``); a nominal size
            (``"16GB"``, taken as 16 × 1024 MiB); or ``"NAME:MIB"`` for a card
            that the catalogue lacks.

    Raises:
        UnknownNameError: If the name is none of these, or that of a family such as
            ``"A100"``; names those there are.
        InvalidInputError: If the MiB of ``NAME:MIB`` are no whole number ≥ 1.
    """
    by_folded_name = {known.casefold(): known for known in MEMORY_MIB_BY_NAME}
    known = by_folded_name.get(name.strip().casefold())
    if known is not None:
        return known, MEMORY_MIB_BY_NAME[known]
    if nominal := _NOMINAL.fullmatch(name.strip().upper()):
        gib = int(nominal["gib"])
        return f"{gib}GB", gib * 1024
    if custom := _CUSTOM.fullmatch(name):
        mib = custom["mib"].strip()
        is_short = len(mib) <= len(str(_MAX_MIB))
        if not (mib.isdecimal() and is_short and 1 <= int(mib) <= _MAX_MIB):
            raise InvalidInputError(
                f"GPU {quoted(name)}: the part after the colon is the memory in MiB, a "
                f"whole number ≥ 1, got {quoted(mib)}"
            )
        return custom["name"], int(mib)
    if name.strip().casefold().startswith(_MAKERS) and (card := card_called(name)):
        return card, MEMORY_MIB_BY_NAME[card]
    variants = NAMES_BY_FAMILY.get(name.strip().upper())
    if variants is not None:
        raise UnknownNameError(
            f"GPU {quoted(name)} is sold with several amounts of memory; say "
            f"{' or '.join(variants)}"
        )
    raise UnknownNameError(
        f"unknown GPU {quoted(name)}; known are {', '.join(MEMORY_MIB_BY_NAME)}, a "
        "nominal size such as 16GB, or NAME:MIB for any other card"
    )
