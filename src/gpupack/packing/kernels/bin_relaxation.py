"""The linear relaxation of filling one bin: few rows, so a simplex of its own."""

import numpy as np

from gpupack.packing.kernels.compile import kernel

LOWER, UPPER, BASIC = 0, 1, 2


@kernel
def relaxation_multipliers(shares, duals, limits, room):
    """Return the prices of the rows of max π·x, shares·x ≤ room, 0 ≤ x ≤ limits.

    Args:
        shares: Part of the bin that one copy takes, shape (rows or more, types).
        duals: Value of one copy of each type.
        limits: Copies of each type allowed.
        room: What is left of each row.

    Returns:
        Prices ≥ 0, one per row. Any prices give a valid surrogate constraint, so
        stopping early costs strength, not correctness.
    """
    num_rows, num_types = len(room), len(duals)
    inverse = np.eye(num_rows)
    values = room.copy()
    basis = np.arange(num_types, num_types + num_rows)
    state = np.zeros(num_types + num_rows, dtype=np.int64)
    state[num_types:] = BASIC
    prices = np.zeros(num_rows)
    column = np.zeros(num_rows)
    for _ in range(num_types + 4 * num_rows + 20):
        prices[:] = 0.0
        for at in range(num_rows):
            if basis[at] < num_types:
                for row in range(num_rows):
                    prices[row] += duals[basis[at]] * inverse[at, row]
        entering = _entering(shares, duals, limits, prices, state)
        if entering < 0:
            break
        for at in range(num_rows):
            if entering < num_types:
                column[at] = 0.0
                for row in range(num_rows):
                    column[at] += inverse[at, row] * shares[row, entering]
            else:
                column[at] = inverse[at, entering - num_types]
        sign = -1.0 if state[entering] == UPPER else 1.0
        step, leaving = np.inf, -1
        if entering < num_types:
            step = float(limits[entering])
        for at in range(num_rows):
            change = sign * column[at]
            if change > 1e-11:
                longest = max(values[at], 0.0) / change
            elif change < -1e-11 and basis[at] < num_types:
                longest = max(limits[basis[at]] - values[at], 0.0) / -change
            else:
                continue
            if longest < step:
                step, leaving = longest, at
        if step == np.inf:
            break
        for at in range(num_rows):
            values[at] -= sign * step * column[at]
        if leaving < 0:
            state[entering] = LOWER if state[entering] == UPPER else UPPER
            continue
        state[basis[leaving]] = LOWER if sign * column[leaving] > 0 else UPPER
        values[leaving] = step if sign > 0 else limits[entering] - step
        basis[leaving] = entering
        state[entering] = BASIC
        for row in range(num_rows):
            inverse[leaving, row] /= column[leaving]
        for at in range(num_rows):
            if at != leaving and column[at] != 0.0:
                for row in range(num_rows):
                    inverse[at, row] -= column[at] * inverse[leaving, row]
    return np.maximum(prices, 0.0)


@kernel
def _entering(shares, duals, limits, prices, state):
    # The column that gains most per unit; types first, then the rows' slacks.
    num_rows, num_types = len(prices), len(duals)
    most, entering = 1e-9, -1
    for item in range(num_types):
        if state[item] == BASIC or limits[item] <= 0:
            continue
        gain = duals[item]
        for row in range(num_rows):
            gain -= prices[row] * shares[row, item]
        if state[item] == UPPER:
            gain = -gain
        if gain > most:
            most, entering = gain, item
    for row in range(num_rows):
        if state[num_types + row] == LOWER and -prices[row] > most:
            most, entering = -prices[row], num_types + row
    return entering
