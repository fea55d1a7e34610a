from hypothesis import strategies as st

from gpupack.packing.items.model.problem import ItemType, PackingProblem


@st.composite
def problems(draw, *, max_types=6, max_count=2, max_capacity=30):
    num_dimensions = draw(st.integers(1, 3))
    capacity = tuple(draw(st.integers(5, max_capacity)) for _ in range(num_dimensions))
    item_types = draw(
        st.lists(
            st.builds(
                ItemType,
                st.tuples(*(st.integers(0, limit) for limit in capacity)),
                st.integers(1, max_count),
            ),
            min_size=1,
            max_size=max_types,
        )
    )
    return PackingProblem(capacity, tuple(item_types))
