"""Empty a few bins and fill them again, thousands of times (``capacity.refilling``)."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np  # at run time, too: Struct reads the annotations
from numpy.typing import NDArray

from gpupack.packing.kernels.library import (
    INTEGER,
    REAL,
    STOP,
    Kernel,
    Struct,
)


class Choices(NamedTuple):
    """What can be filled in: arrays by bin, bin type (capacity to starts), option, job.

    ``options[starts[t]:starts[t + 1]]`` are those of bin type t. ``gain`` is the share
    of its job's need that a copy at full rate meets, ``bonus`` what a copy is worth
    besides; ``worth`` of all a job needs, ``must`` the loss per copy missing to the
    ``least``; jobs that are ``whole`` take no part loads.
    """

    bin_type: NDArray[np.int64]
    capacity: NDArray[np.float64]
    weights: NDArray[np.float64]
    options: NDArray[np.int64]
    starts: NDArray[np.int64]
    job: NDArray[np.int64]
    fixed: NDArray[np.float64]
    loaded: NDArray[np.float64]
    gain: NDArray[np.float64]
    bonus: NDArray[np.float64]
    worth: NDArray[np.float64]
    must: NDArray[np.float64]
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    whole: NDArray[np.bool_]


class Filling(NamedTuple):
    """What is filled in: slots by bin, and by job the share unmet and the copies."""

    option: NDArray[np.int64]
    number: NDArray[np.int64]
    load: NDArray[np.float64]
    num_slots: NDArray[np.int64]
    left: NDArray[np.float64]
    copies: NDArray[np.int64]


_CHOICES = Struct(
    "choices", Choices, "num_bins", "num_dimensions", "num_jobs", "num_options"
)
_FILLING = Struct("filling", Filling, "num_slots_of_bin", is_written=True)
_refill = Kernel(
    "refill",
    _CHOICES.pointer,
    *3 * (_FILLING.pointer,),
    *2 * (INTEGER,),
    *3 * (REAL,),
    ctypes.c_uint64,
    ctypes.c_bool,
    ctypes.POINTER(REAL),
    STOP,
)


def refill(
    choices: Choices,
    filling: Filling,
    best: Filling,
    kept: Filling,
    num_moves: int,
    most_emptied: int,
    hot: float,
    cold: float,
    target: float,
    seed: int,
    stop: NDArray[np.int8],
    *,
    shifts_loads: bool,
) -> float:
    """Anneal; ``filling`` then is the best found. Return its loss.

    Args:
        choices: What can be filled in.
        filling: To start from; bins that are empty are filled first.
        best: A filling of all bins to work in.
        kept: A filling of ``most_emptied`` bins to work in.
        num_moves: Each empties some bins and fills them with whatever is open by then.
        most_emptied: Of them at most.
        hot: First temperature.
        cold: Last temperature.
        target: Loss that is low enough.
        seed: For every random choice, ≥ 0.
        stop: Ends the search once its entry is not 0.
        shifts_loads: Whether after each move load is shifted between copies, also in
            other bins, as far as that serves what is unmet.
    """
    structure = _CHOICES.of(
        choices,
        num_bins=len(choices.bin_type),
        num_dimensions=choices.capacity.shape[1],
        num_jobs=len(filling.left),
        num_options=len(choices.job),
    )
    loss = REAL()
    _refill(
        structure,
        _written(filling),
        _written(best),
        _written(kept),
        num_moves,
        most_emptied,
        hot,
        cold,
        target,
        seed,
        shifts_loads,
        loss,
        stop,
    )
    return loss.value


def _written(filling: Filling) -> ctypes.Structure:
    return _FILLING.of(filling, num_slots_of_bin=filling.option.shape[1])
