"""What bins can hold: listed, and taken apart."""

from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Job,
    Option,
)
from gpupack.packing.capacity.model.configurations import (
    Configuration,
    enumerate_configurations,
    taken_apart,
)


def test_listing_is_given_up_at_its_deadline() -> None:
    # Two jobs of one copy each, both of which fit: three fillings.
    problem = CapacityProblem(
        (BinType(capacity=(2,), cost=1, count=None),),
        (Job(copies=1), Job(copies=1)),
        tuple(
            Option(job=job, bin_type=0, fixed=(1,), proportional=(0,), rate=1)
            for job in range(2)
        ),
    )

    listed = enumerate_configurations(problem, limit=100)

    assert listed is not None
    assert {one.counts for one in listed} == {
        ((0, 1),),
        ((1, 1),),
        ((0, 1), (1, 1)),
    }
    assert enumerate_configurations(problem, limit=100, deadline=0.0) is None


def test_every_part_is_listed_once_and_every_option_alone_where_bins_are_left() -> None:
    problem = CapacityProblem(
        (BinType((10,), count=3), BinType((10,), count=1)),
        (Job(demand=5), Job(demand=5)),
        tuple(
            Option(job=job, bin_type=kind, fixed=(3,), proportional=(1,), rate=5)
            for kind in (0, 1)
            for job in (0, 1)
        ),
    )
    both, pair = Configuration(0, ((0, 1), (1, 1))), Configuration(0, ((0, 2), (1, 1)))

    found = taken_apart(problem, [both, pair], [0])

    assert sorted(found) == sorted(
        [
            both,
            pair,
            Configuration(0, ((0, 1),)),
            Configuration(0, ((0, 2),)),
            Configuration(0, ((1, 1),)),
        ]
    )
