"""Empty a few of very many bins and fill them again (``ruin_recreate.c``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

import numpy as np  # at run time, too: Struct reads the annotations
from numpy.typing import NDArray

from gpupack.packing.kernels.capacity.minimum_slack import OFFERS
from gpupack.packing.kernels.library import INTEGER, REAL, STOP, Kernel, Struct

if TYPE_CHECKING:
    from gpupack.packing.kernels.capacity.minimum_slack import Offers


class Packed(NamedTuple):
    """What bins hold, and what is open: arrays by bin, by bin and slot, by job.

    ``option`` and ``service`` are of one copy each, of which the first ``num_held``
    slots of a bin have one; ``need`` is what is open of each job.
    """

    bin_type: NDArray[np.int64]
    num_held: NDArray[np.int64]
    option: NDArray[np.int64]
    service: NDArray[np.float64]
    need: NDArray[np.float64]
    copies: NDArray[np.int64]


_PACKED = Struct("packed", Packed, "num_bins", "num_slots", is_written=True)
_recreate = Kernel(
    "ruin_and_recreate",
    OFFERS.pointer,
    _PACKED.pointer,
    *3 * (INTEGER,),
    *3 * (REAL,),
    ctypes.c_uint64,
    STOP,
)


def ruin_and_recreate(
    offers: Offers,
    packed: Packed,
    *,
    moves: range,
    num_moves: int,
    hot: float,
    cold: float,
    thrift: float,
    seed: int,
    stop: NDArray[np.int8],
) -> int:
    """Anneal; what is packed then is what it came to. Return how many moves were made.

    Args:
        offers: What can be filled in.
        packed: Is written to.
        moves: Those to be made, of ``num_moves`` over which the temperature falls.
        num_moves: Of the whole annealing.
        hot: First temperature, in prices of bins.
        cold: Last temperature.
        thrift: Share of the price of what copies take in full that counts as lost.
        seed: For every random choice, ≥ 0.
        stop: Ends the search once its entry is not 0.
    """
    num_types, num_dimensions = offers.capacity.shape
    structure = OFFERS.of(
        offers,
        num_types=num_types,
        num_dimensions=num_dimensions,
        num_jobs=len(offers.whole),
        num_options=len(offers.most),
    )
    num_bins, num_slots = packed.option.shape
    written = _PACKED.of(packed, num_bins=num_bins, num_slots=num_slots)
    return _recreate(
        structure,
        written,
        moves.start,
        moves.stop,
        num_moves,
        hot,
        cold,
        thrift,
        seed,
        stop,
    )
