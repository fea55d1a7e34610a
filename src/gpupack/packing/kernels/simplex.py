"""Pivots of the revised simplex method on a dense inverse (see ``simplex``)."""

import numpy as np

from gpupack.packing.kernels.compile import kernel


@kernel
def _direction(inverse, starts, rows, column_values, entering, alpha):
    num_rows = len(alpha)
    if entering < 0:
        row = -1 - entering
        for other in range(num_rows):
            alpha[other] = -inverse[row, other]
        return
    alpha[:] = 0.0
    for at in range(starts[entering], starts[entering + 1]):
        row, count = rows[at], column_values[at]
        for other in range(num_rows):
            alpha[other] += count * inverse[row, other]


@kernel
def _eliminate(inverse, duals, alpha, leaving, reduced_cost):
    # Row k of the array is column k of the inverse.
    num_rows = len(alpha)
    used = np.flatnonzero(alpha)
    is_sparse = 4 * len(used) < num_rows
    pivot = alpha[leaving]
    for row in range(num_rows):
        factor = inverse[row, leaving]
        if factor != 0.0:
            factor /= pivot
            if is_sparse:
                for other in used:
                    inverse[row, other] -= factor * alpha[other]
            else:
                for other in range(num_rows):
                    inverse[row, other] -= factor * alpha[other]
            inverse[row, leaving] = factor
            duals[row] += reduced_cost * factor


@kernel
def invert(basis, starts, rows, column_values):
    """Return the inverse of the basis, transposed, and the basis reordered.

    Columns enter an identity one by one, each at its largest free row.
    """
    num_rows = len(basis)
    inverse = np.eye(num_rows)
    reordered = np.empty_like(basis)
    is_taken = np.zeros(num_rows, dtype=np.bool_)
    alpha = np.empty(num_rows)
    ignored = np.zeros(num_rows)
    # Slacks first: they touch one row each.
    for entering in np.sort(basis):
        _direction(inverse, starts, rows, column_values, entering, alpha)
        chosen, largest = -1, 0.0
        for row in range(num_rows):
            if not is_taken[row] and abs(alpha[row]) > largest:
                chosen, largest = row, abs(alpha[row])
        if chosen < 0 or largest < 1e-11:
            return inverse, reordered, False
        for row in range(num_rows):
            if abs(alpha[row]) < 1e-13:
                alpha[row] = 0.0
        _eliminate(inverse, ignored, alpha, chosen, 0.0)
        reordered[chosen] = entering
        is_taken[chosen] = True
    return inverse, reordered, True


@kernel
def _exchange(
    inverse, values, basis, duals, in_basis, alpha, leaving, entering, reduced_cost
):
    num_rows = len(values)
    step = values[leaving] / alpha[leaving]
    for row in range(num_rows):
        values[row] -= step * alpha[row]
    values[leaving] = step
    _eliminate(inverse, duals, alpha, leaving, reduced_cost)
    if basis[leaving] >= 0:
        in_basis[basis[leaving]] = False
    basis[leaving] = entering
    if entering >= 0:
        in_basis[entering] = True


@kernel
def _choose_primal(
    inverse,
    values,
    duals,
    starts,
    rows,
    column_values,
    num_columns,
    in_basis,
    alpha,
):
    # The column that prices out most and, in its direction, the row that limits it;
    # row -1 if there is no such column.
    num_rows = len(values)
    lowest, entering, found = -1e-9, 0, False
    for column in range(num_columns):
        if in_basis[column]:
            continue
        reduced_cost = 1.0
        for at in range(starts[column], starts[column + 1]):
            reduced_cost -= duals[rows[at]] * column_values[at]
        if reduced_cost < lowest:
            lowest, entering, found = reduced_cost, column, True
    for row in range(num_rows):
        if duals[row] < lowest:
            lowest, entering, found = duals[row], -1 - row, True
    leaving, largest = -1, 0.0
    if found:
        _direction(inverse, starts, rows, column_values, entering, alpha)
        limit = np.inf
        for row in range(num_rows):
            if alpha[row] > 1e-9:
                limit = min(limit, (max(values[row], 0.0) + 1e-10) / alpha[row])
        for row in range(num_rows):
            admissible = max(values[row], 0.0) <= limit * alpha[row]
            if alpha[row] > 1e-9 and admissible and alpha[row] > largest:
                leaving, largest = row, alpha[row]
    return leaving, entering, lowest


@kernel
def _choose_dual(
    inverse, duals, starts, rows, column_values, num_columns, in_basis, leaving
):
    # The column that keeps all reduced costs ≥ 0; of infinite cost if there is none.
    best_ratio, best_size, entering, entering_cost = np.inf, 0.0, 0, np.inf
    for column in range(num_columns):
        if in_basis[column]:
            continue
        reduced_cost, size = 1.0, 0.0
        for at in range(starts[column], starts[column + 1]):
            reduced_cost -= duals[rows[at]] * column_values[at]
            size -= inverse[rows[at], leaving] * column_values[at]
        if size > 1e-9:
            ratio = max(reduced_cost, 0.0) / size
            if ratio < best_ratio - 1e-12 or (
                ratio < best_ratio + 1e-12 and size > best_size
            ):
                best_ratio, best_size = ratio, size
                entering, entering_cost = column, reduced_cost
    for row in range(len(duals)):
        size = inverse[row, leaving]
        if size > 1e-9:
            ratio = max(duals[row], 0.0) / size
            if ratio < best_ratio - 1e-12 or (
                ratio < best_ratio + 1e-12 and size > best_size
            ):
                best_ratio, best_size = ratio, size
                entering, entering_cost = -1 - row, duals[row]
    return entering, entering_cost


@kernel
def pivot(
    is_dual,
    inverse,
    values,
    basis,
    duals,
    starts,
    rows,
    column_values,
    num_columns,
    in_basis,
    max_pivots,
):
    """Pivot until none is left to do; return (whether so, pivots).

    Primal pivots while a column prices out, dual ones while a basic value is negative.
    """
    alpha = np.empty(len(values))
    for pivots in range(max_pivots):
        if is_dual:
            leaving = np.argmin(values)
            if values[leaving] >= -1e-9:
                return True, pivots
            entering, reduced_cost = _choose_dual(
                inverse,
                duals,
                starts,
                rows,
                column_values,
                num_columns,
                in_basis,
                leaving,
            )
            if reduced_cost == np.inf:
                values[leaving] = 0.0
                continue
            _direction(inverse, starts, rows, column_values, entering, alpha)
        else:
            leaving, entering, reduced_cost = _choose_primal(
                inverse,
                values,
                duals,
                starts,
                rows,
                column_values,
                num_columns,
                in_basis,
                alpha,
            )
            if leaving < 0:
                return True, pivots
            values[leaving] = max(values[leaving], 0.0)
        _exchange(
            inverse,
            values,
            basis,
            duals,
            in_basis,
            alpha,
            leaving,
            entering,
            reduced_cost,
        )
    return False, max_pivots
