"""Empty a few bins and fill them again, thousands of times (``capacity.refilling``)."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from gpupack.packing.kernels.library import (
    FLAGS_FIELD,
    INTEGER,
    INTEGERS_FIELD,
    REAL,
    REALS_FIELD,
    STOP,
    Arrays,
    Kernel,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


class _ChoicesArrays(Arrays):
    """``choices`` of the C file."""

    _fields_: ClassVar = [
        ("num_bins", INTEGER),
        ("num_dimensions", INTEGER),
        ("num_jobs", INTEGER),
        ("num_options", INTEGER),
        ("bin_type", INTEGERS_FIELD),
        ("capacity", REALS_FIELD),
        ("weights", REALS_FIELD),
        ("options", INTEGERS_FIELD),
        ("starts", INTEGERS_FIELD),
        ("job", INTEGERS_FIELD),
        ("fixed", REALS_FIELD),
        ("loaded", REALS_FIELD),
        ("gain", REALS_FIELD),
        ("bonus", REALS_FIELD),
        ("worth", REALS_FIELD),
        ("must", REALS_FIELD),
        ("least", INTEGERS_FIELD),
        ("most", INTEGERS_FIELD),
        ("whole", FLAGS_FIELD),
    ]


class _FillingArrays(Arrays):
    """``filling`` of the C file."""

    _fields_: ClassVar = [
        ("num_slots_of_bin", INTEGER),
        ("option", INTEGERS_FIELD),
        ("number", INTEGERS_FIELD),
        ("load", REALS_FIELD),
        ("num_slots", INTEGERS_FIELD),
        ("left", REALS_FIELD),
        ("copies", INTEGERS_FIELD),
    ]


_FILLING = ctypes.POINTER(_FillingArrays)
_refill = Kernel(
    "refill",
    ctypes.POINTER(_ChoicesArrays),
    *3 * (_FILLING,),
    *2 * (INTEGER,),
    *3 * (REAL,),
    ctypes.c_uint64,
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
    """
    structure = _ChoicesArrays()
    structure.fill(
        (
            len(choices.bin_type),
            choices.capacity.shape[1],
            len(filling.left),
            len(choices.job),
        ),
        choices,
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
        loss,
        stop,
    )
    return loss.value


def _written(filling: Filling) -> _FillingArrays:
    structure = _FillingArrays()
    structure.fill((filling.option.shape[1],), filling, is_written=True)
    return structure
