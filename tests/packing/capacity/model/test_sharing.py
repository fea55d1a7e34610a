import pytest

from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import Configuration
from gpupack.packing.capacity.model.sharing import share_out


def test_bins_are_evened_out_after_a_copy_too_many_is_dropped():
    # Three bins share 90 of a proportional job; two of them hold a whole job that
    # takes 60, of which one copy is wanted. With both, no less than 70 is the
    # highest fill: 60 + 10 twice, and 70. Without one of them it is 60: 60, 45, 45.
    problem = CapacityProblem(
        (BinType((10, 100), count=3),),
        (Job(), Job(demand=90)),
        (
            Option(0, 0, (4, 60), (0, 0), 7),
            Option(1, 0, (3, 0), (0, 90), 90),
        ),
    )
    uses = (
        (Configuration(0, ((0, 1), (1, 1))), 2),
        (Configuration(0, ((1, 1),)), 1),
    )

    bins = share_out(problem, uses, (None, 1.0), (1, 0), ({}, {}))

    fills = [
        sum(60 if one.option == 0 else one.service for one in filled.copies)
        for filled in bins
        for _ in range(filled.multiplicity)
    ]
    assert sum(fills) == pytest.approx(60 + 90)
    assert max(fills) == pytest.approx(60)


def test_the_copy_too_many_is_dropped_where_most_is_in_use():
    # The first bin holds 30 of a second whole job besides: 60 + 30 or 60. One copy of
    # the 60 is too many; without that of the first bin the highest fill is 60.
    problem = CapacityProblem(
        (BinType((10, 100), count=2),),
        (Job(), Job()),
        (Option(0, 0, (4, 60), (0, 0), 7), Option(1, 0, (3, 30), (0, 0), 7)),
    )
    uses = (
        (Configuration(0, ((0, 1), (1, 1))), 1),
        (Configuration(0, ((0, 1),)), 1),
    )

    bins = share_out(problem, uses, (None, None), (1, 1), ({}, {}))

    assert sorted(tuple(one.option for one in filled.copies) for filled in bins) == [
        (0,),
        (1,),
    ]


def test_a_million_million_equal_bins_stay_one_and_part_where_some_lose_a_copy():
    # 10^12 bins with two copies of a whole job each, of which one copy in all is too
    # many: one bin has one copy, the others two. Bin by bin it would never end.
    number = 10**12
    problem = CapacityProblem(
        (BinType((10,), count=number),), (Job(),), (Option(0, 0, (4,), (0,), 7),)
    )
    uses = ((Configuration(0, ((0, 2),)), number),)

    bins = share_out(problem, uses, (None,), (2 * number - 1,), ({},))

    assert sorted(
        (filled.copies[0].num_copies, filled.multiplicity) for filled in bins
    ) == [(1, 1), (2, number - 1)]
