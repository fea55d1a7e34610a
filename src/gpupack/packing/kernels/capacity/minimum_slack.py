"""Fill bins one by one so that little room is lost (``minimum_slack.c``)."""

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


class _OffersArrays(Arrays):
    """``offers`` of the C file."""

    _fields_: ClassVar = [
        ("num_types", INTEGER),
        ("num_dimensions", INTEGER),
        ("num_jobs", INTEGER),
        ("num_options", INTEGER),
        ("capacity", REALS_FIELD),
        ("weights", REALS_FIELD),
        ("mix", REALS_FIELD),
        ("price", REALS_FIELD),
        ("starts", INTEGERS_FIELD),
        ("fixed", REALS_FIELD),
        ("loaded", REALS_FIELD),
        ("most", REALS_FIELD),
        ("cost", REALS_FIELD),
        ("unit_cost", REALS_FIELD),
        ("unit_worth", REALS_FIELD),
        ("fastest", REALS_FIELD),
        ("least", INTEGERS_FIELD),
        ("limit", INTEGERS_FIELD),
        ("whole", FLAGS_FIELD),
    ]


class _FillingsArrays(Arrays):
    """``fillings`` of the C file."""

    _fields_: ClassVar = [
        ("max_bins", INTEGER),
        ("max_slots", INTEGER),
        ("need", REALS_FIELD),
        ("copies", INTEGERS_FIELD),
        ("available", INTEGERS_FIELD),
        ("bin_type", INTEGERS_FIELD),
        ("number", INTEGERS_FIELD),
        ("end", INTEGERS_FIELD),
        ("loss", REALS_FIELD),
        ("option", INTEGERS_FIELD),
        ("service", REALS_FIELD),
    ]


_fill = Kernel(
    "fill_by_slack",
    ctypes.POINTER(_OffersArrays),
    ctypes.POINTER(_FillingsArrays),
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
    structure, written = _OffersArrays(), _FillingsArrays()
    num_types, num_dimensions = offers.capacity.shape
    structure.fill(
        (num_types, num_dimensions, len(offers.whole), len(offers.most)), offers
    )
    sizes = len(fillings.number), len(fillings.option)
    written.fill(sizes, fillings, is_written=True)
    return _fill(structure, written, num_sampled, node_limit, slack, seed, stop)
