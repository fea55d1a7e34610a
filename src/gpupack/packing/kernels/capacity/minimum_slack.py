"""Fill bins one by one so that little room is lost (``minimum_slack.c``)."""

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


class Offers(NamedTuple):
    """What can be filled in: arrays by bin type (to price), option, job.

    ``starts[j * num_types + t]`` is the first option of job j in bin type t; options
    are in this order. ``weights`` are prices of a unit of room, which a bin's
    ``price`` covers; ``mix`` about what a bin holds of each. ``loaded`` is room per
    unit of service, ``most`` the service of a copy, ``cost`` and ``unit_cost`` what
    its room is worth in full and per unit; ``unit_worth`` the lowest cost of a unit of
    a job, ``fastest`` its most of a copy. Of jobs that are ``whole`` a unit is a copy.
    """

    capacity: NDArray[np.float64]
    weights: NDArray[np.float64]
    mix: NDArray[np.float64]
    price: NDArray[np.float64]
    starts: NDArray[np.int64]
    fixed: NDArray[np.float64]
    loaded: NDArray[np.float64]
    most: NDArray[np.float64]
    cost: NDArray[np.float64]
    unit_cost: NDArray[np.float64]
    unit_worth: NDArray[np.float64]
    fastest: NDArray[np.float64]
    least: NDArray[np.int64]
    limit: NDArray[np.int64]
    whole: NDArray[np.bool_]


class Fillings(NamedTuple):
    """What is open, by job and bin type, and room for what is filled in.

    By filling: bin type, number of bins, end of its slots, and what is lost; by slot
    an option, of which it is one copy, and its service.
    """

    need: NDArray[np.float64]
    copies: NDArray[np.int64]
    available: NDArray[np.int64]
    bin_type: NDArray[np.int64]
    number: NDArray[np.int64]
    end: NDArray[np.int64]
    loss: NDArray[np.float64]
    option: NDArray[np.int64]
    service: NDArray[np.float64]


OFFERS = Struct(
    "offers", Offers, "num_types", "num_dimensions", "num_jobs", "num_options"
)
_FILLINGS = Struct("fillings", Fillings, "max_bins", "max_slots", is_written=True)
_fill = Kernel(
    "fill_by_slack",
    OFFERS.pointer,
    _FILLINGS.pointer,
    *2 * (INTEGER,),
    REAL,
    ctypes.c_uint64,
    STOP,
)


def fill_by_slack(
    offers: Offers,
    fillings: Fillings,
    *,
    num_sampled: int,
    node_limit: int,
    slack: float,
    seed: int,
    stop: NDArray[np.int8],
) -> int:
    """Fill bins until all needs are met, or there is no room to write more down.

    Args:
        offers: What can be filled in.
        fillings: Is written to: needs and bins that are left, and fillings.
        num_sampled: Jobs among which a bin chooses.
        node_limit: Steps of the search of a bin, after which none is taken back.
        slack: Share of a bin's price whose loss is little enough.
        seed: For the samples.
        stop: Ends the search once its entry is not 0.

    Returns:
        How many fillings were written; -1 if a job finds no bin.
    """
    num_types, num_dimensions = offers.capacity.shape
    structure = OFFERS.of(
        offers,
        num_types=num_types,
        num_dimensions=num_dimensions,
        num_jobs=len(offers.whole),
        num_options=len(offers.most),
    )
    written = _FILLINGS.of(
        fillings, max_bins=len(fillings.number), max_slots=len(fillings.option)
    )
    return _fill(structure, written, num_sampled, node_limit, slack, seed, stop)
