"""Fewest bins by trying every set partition: slow, plain, independent."""

from gpupack.packing.items.model.problem import ItemType, PackingProblem


def make_problem(sizes, capacity, counts=None):
    counts = counts or [1] * len(sizes)
    types = zip(sizes, counts, strict=True)
    return PackingProblem(
        tuple(capacity), tuple(ItemType(tuple(size), count) for size, count in types)
    )


def fewest_bins(problem):
    items = [
        item_type.sizes
        for item_type in problem.item_types
        for _ in range(item_type.count)
    ]
    best = len(items)

    def place(position, blocks):
        nonlocal best
        if len(blocks) >= best and position < len(items):
            return
        if position == len(items):
            best = min(best, len(blocks))
            return
        for block in [*blocks, None]:
            if block is None:
                place(position + 1, [*blocks, [items[position]]])
                continue
            block.append(items[position])
            totals = [sum(column) for column in zip(*block, strict=True)]
            fits = all(t <= c for t, c in zip(totals, problem.capacity, strict=True))
            if fits:
                place(position + 1, blocks)
            block.pop()

    place(0, [])
    return best
