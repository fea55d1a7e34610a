"""A processor that goes round among queues in slices, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpupack.packing.kernels import round_robin as kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def simulate_round_robin(
    arrivals: Sequence[NDArray[np.float64] | None],
    before: Sequence[NDArray[np.float64]],
    work: Sequence[float],
    waking: Sequence[float],
    *,
    slice_length: float,
    switching: float,
    horizon: float,
    num_blocks: Sequence[int] | None = None,
    num_pieces: Sequence[int] | None = None,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]], NDArray[np.float64]]:
    """Return what becomes of the jobs of queues that share a processor in turns.

    A queue does one job at a time, first come first served: some time elsewhere, then
    its work at the processor. That goes round among the queues with work, a slice each,
    or less if the work ends.

    A job may consist of equal blocks, each of which begins when the one before is done,
    and hand the work of a block over in equal pieces, evenly over the block's time
    elsewhere: the last at its end. Pieces are worked on meanwhile, in order.

    Args:
        arrivals: When the jobs of each queue arrive, rising; None of a queue that
            begins its next job when one is done, over and over.
        before: Time elsewhere of each job, as many as arrivals; at least one of a
            queue without arrivals.
        work: Of each job of a queue at the processor, > 0.
        waking: What a job takes longer that finds its queue at rest.
        slice_length: Of a turn, > 0.
        switching: Of the processor from one queue to another.
        horizon: When the simulation ends.
        num_blocks: Of each job of a queue, ≥ 1; one if left out.
        num_pieces: Of the work of a block, ≥ 1; one if left out: all work comes after
            the time elsewhere.

    Returns:
        By queue: how long each job took (NaN of those not done; 0 in queues without
        arrivals), whether it found the queue at rest, and the share of the time in
        which the queue had a job.
    """
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in before])])
    times = [
        np.zeros(len(own)) if given is None else given
        for given, own in zip(arrivals, before, strict=True)
    ]
    sojourns = np.empty(offsets[-1])
    found_rest = np.empty(offsets[-1], dtype=np.bool_)
    busy = np.empty(len(before))
    kernels.simulate(
        offsets,
        np.concatenate(times),
        np.concatenate(before),
        work,
        waking,
        num_blocks or [1] * len(before),
        num_pieces or [1] * len(before),
        np.array([given is None for given in arrivals]),
        slice_length,
        switching,
        horizon,
        sojourns,
        found_rest,
        busy,
    )
    cuts = offsets[1:-1]
    return np.split(sojourns, cuts), np.split(found_rest, cuts), busy / horizon
