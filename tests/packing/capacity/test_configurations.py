"""Listing what bins can hold."""

from gpupack.packing.capacity.configurations import enumerate_configurations
from gpupack.packing.capacity.problem import BinType, CapacityProblem, Job, Option


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
