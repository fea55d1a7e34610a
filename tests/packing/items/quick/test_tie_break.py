"""Among packings with as many bins: the most even one, then the first."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from gpupack.packing.items.quick.tie_break import even_out, highest_load

sizes = st.lists(
    st.tuples(st.integers(min_value=1, max_value=9)), min_size=1, max_size=6
)


def all_packings(
    table: list[tuple[int]], num_bins: int, capacity: int
) -> list[list[list[int]]]:
    """Every packing into exactly ``num_bins`` bins, in lexicographic order."""
    packings = []
    for assigned in product(range(num_bins), repeat=len(table)):
        bins = [
            [item for item, index in enumerate(assigned) if index == one]
            for one in range(num_bins)
        ]
        canonical = bins == sorted(bins) and all(bins)
        if canonical and all(sum(table[i][0] for i in b) <= capacity for b in bins):
            packings.append(bins)
    return packings


@given(table=sizes, loads=st.data(), num_bins=st.integers(min_value=1, max_value=3))
def test_the_exact_search_agrees_with_every_packing(
    table: list[tuple[int]], loads: st.DataObject, num_bins: int
) -> None:
    capacity = 12
    packings = all_packings(table, num_bins, capacity)
    if not packings:
        return
    load = loads.draw(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(0, 9)),
            min_size=len(table),
            max_size=len(table),
        )
    )
    lowest = min(highest_load(bins, load) for bins in packings)
    first = next(bins for bins in packings if highest_load(bins, load) == lowest)

    assert even_out(packings[-1], table, [capacity], load) == first


@given(
    table=st.lists(
        st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=17, max_size=40
    )
)
def test_large_packings_stay_feasible_and_get_no_less_even(
    table: list[tuple[int, int]],
) -> None:
    capacity = (100, 10_000)
    bins: list[list[int]] = [[]]
    for item, size in enumerate(table):
        if sum(table[one][0] for one in bins[-1]) + size[0] > capacity[0]:
            bins.append([])
        bins[-1].append(item)
    loads = [(size[1],) for size in table]

    evened = even_out(bins, table, capacity, loads)

    assert sorted(item for one in evened for item in one) == list(range(len(table)))
    assert len(evened) == len(bins)
    for one in evened:
        assert sum(table[item][0] for item in one) <= capacity[0]
    assert highest_load(evened, loads) <= highest_load(bins, loads)
