from hypothesis import strategies as st

from gpupack.packing.capacity.model.capacity_problem import (
    BinType,
    CapacityProblem,
    Job,
    Option,
)


@st.composite
def capacity_problems(
    draw, *, counted=False, max_jobs=3, has_demand=False, has_copies=False
):
    """Small problems: memory in full, one resource in proportion."""
    num_types = draw(st.integers(1, 2))
    most = 3 if num_types == 1 else 1
    count = st.integers(1, most) if counted else st.one_of(st.none(), st.integers(1, 3))
    bin_types = tuple(
        BinType(
            capacity=(draw(st.integers(6, 10)), 10),
            cost=draw(st.integers(1, 4)),
            count=draw(count),
        )
        for _ in range(num_types)
    )
    jobs, options = [], []
    for index in range(draw(st.integers(1, max_jobs))):
        is_first = has_demand and index == 0
        demand = (
            draw(st.integers(1, 12))
            if is_first
            else draw(st.one_of(st.none(), st.integers(0, 12)))
        )
        jobs.append(
            Job(
                demand=demand,
                copies=draw(st.integers(1, 2)) if has_copies or demand is None else 1,
                weight=draw(st.sampled_from([1.0, 2.0])),
                is_optional=not is_first and draw(st.integers(0, 4)) == 0,
            )
        )
        for bin_type in range(num_types):
            for _ in range(draw(st.integers(0 if bin_type else 1, 2))):
                load = draw(st.integers(1, 10))
                options.append(
                    Option(
                        job=index,
                        bin_type=bin_type,
                        fixed=(draw(st.integers(2, 6)), load if demand is None else 0),
                        proportional=(0, 0 if demand is None else load),
                        rate=draw(st.integers(3, 9)),
                    )
                )
    return CapacityProblem(bin_types, tuple(jobs), tuple(options))
