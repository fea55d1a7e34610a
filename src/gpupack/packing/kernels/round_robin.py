"""A processor that goes round among queues in slices (``runtime.round_robin``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.library import (
    FLAGS,
    INTEGER,
    INTEGERS,
    REAL,
    REALS,
    Kernel,
    integers,
    reals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_round_robin = Kernel(
    "round_robin",
    *(INTEGER, INTEGERS),
    *4 * (REALS,),
    *2 * (INTEGERS,),
    FLAGS,
    *3 * (REAL,),
    *(REALS, FLAGS, REALS),
)


def simulate(
    offsets: NDArray[np.int64],
    arrivals: Reals,
    before: Reals,
    work: Sequence[float],
    waking: Sequence[float],
    num_blocks: Sequence[int],
    num_pieces: Sequence[int],
    is_closed: Flags,
    slice_length: float,
    switching: float,
    horizon: float,
    sojourns: Reals,
    found_rest: Flags,
    busy: Reals,
) -> None:
    """Go through the events up to the horizon.

    Args:
        offsets: Of each queue's jobs, and their number.
        arrivals: Of each job, rising within a queue; not looked at in closed ones.
        before: Time elsewhere of each job.
        work: Of each job of a queue at the processor, > 0.
        waking: What a job of a queue takes longer that finds it at rest.
        num_blocks: Of each job of a queue, ≥ 1: after each it waits for its work.
        num_pieces: Of the work of a block, ≥ 1.
        is_closed: Whether a queue begins its next job when one is done.
        slice_length: Of a turn, > 0.
        switching: Of the processor from one queue to another.
        horizon: When the simulation ends.
        sojourns: Takes how long each job took.
        found_rest: Takes whether each job found its queue at rest.
        busy: Takes how long each queue had a job.
    """
    _round_robin(
        len(busy),
        integers(offsets),
        reals(arrivals),
        reals(before),
        reals(work),
        reals(waking),
        integers(num_blocks),
        integers(num_pieces),
        is_closed,
        slice_length,
        switching,
        horizon,
        sojourns,
        found_rest,
        busy,
    )
