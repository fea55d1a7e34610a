/* Pivots of the revised simplex method on a dense inverse (see simplex.py). */

#include <math.h>

#include "../scratch.h"

enum { PRIMAL, DUAL };

typedef struct {
    int64_t num_rows, num_columns;
    double *inverse;       /* row k is column k of the inverse */
    const int64_t *starts; /* of columns, in rows and column_values */
    const int64_t *rows;
    const double *column_values;
    int64_t *used; /* room for the rows where a direction is not 0 */
} program;

/* Set the direction of a column; -1 - k is the slack of row k. */
static void set_direction(const program *p, int64_t entering, double *alpha)
{
    if (entering < 0) {
        const double *row = p->inverse + (-1 - entering) * p->num_rows;
        for (int64_t other = 0; other < p->num_rows; other++)
            alpha[other] = -row[other];
        return;
    }
    for (int64_t other = 0; other < p->num_rows; other++)
        alpha[other] = 0.0;
    for (int64_t at = p->starts[entering]; at < p->starts[entering + 1]; at++) {
        const double *row = p->inverse + p->rows[at] * p->num_rows;
        double count = p->column_values[at];
        for (int64_t other = 0; other < p->num_rows; other++)
            alpha[other] += count * row[other];
    }
}

static void eliminate(const program *p, double *restrict duals,
                      const double *restrict alpha, int64_t leaving,
                      double reduced_cost)
{
    int64_t num_rows = p->num_rows, num_used = 0;
    for (int64_t row = 0; row < num_rows; row++)
        if (alpha[row] != 0.0)
            p->used[num_used++] = row;
    bool is_sparse = 4 * num_used < num_rows;
    double pivot = alpha[leaving];
    for (int64_t row = 0; row < num_rows; row++) {
        double *restrict line = p->inverse + row * num_rows;
        double factor = line[leaving];
        if (factor == 0.0)
            continue;
        factor /= pivot;
        if (is_sparse)
            for (int64_t at = 0; at < num_used; at++)
                line[p->used[at]] -= factor * alpha[p->used[at]];
        else
            for (int64_t other = 0; other < num_rows; other++)
                line[other] -= factor * alpha[other];
        line[leaving] = factor;
        duals[row] += reduced_cost * factor;
    }
}

static int by_number(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* Set the inverse of the basis, transposed, and the basis reordered.

   Columns enter an identity one by one, each at its largest free row. Returns 1, or 0
   if the basis is singular. */
EXPORTED int64_t invert(int64_t num_rows, const int64_t *basis, const int64_t *starts,
               const int64_t *rows, const double *column_values, double *inverse,
               int64_t *reordered)
{
    ROOM_OR_RETURN(room)
    program p = {num_rows, 0,    inverse,
                 starts,   rows, column_values,
                 take_integers(room, num_rows)};
    int64_t *sorted = take_integers(room, num_rows);
    bool *is_taken = take(room, num_rows, sizeof(bool));
    double *alpha = take_reals(room, num_rows), *ignored = take_reals(room, num_rows);
    for (int64_t row = 0; row < num_rows; row++) {
        for (int64_t other = 0; other < num_rows; other++)
            inverse[row * num_rows + other] = row == other ? 1.0 : 0.0;
        sorted[row] = basis[row];
        reordered[row] = 0;
    }
    /* Slacks first: they touch one row each. */
    qsort(sorted, (size_t)num_rows, sizeof *sorted, by_number);
    bool is_regular = true;
    for (int64_t at = 0; at < num_rows && is_regular; at++) {
        set_direction(&p, sorted[at], alpha);
        int64_t chosen = -1;
        double largest = 0.0;
        for (int64_t row = 0; row < num_rows; row++) {
            if (!is_taken[row] && fabs(alpha[row]) > largest) {
                chosen = row;
                largest = fabs(alpha[row]);
            }
        }
        is_regular = chosen >= 0 && largest >= 1e-11;
        if (!is_regular)
            break;
        for (int64_t row = 0; row < num_rows; row++)
            if (fabs(alpha[row]) < 1e-13)
                alpha[row] = 0.0;
        eliminate(&p, ignored, alpha, chosen, 0.0);
        reordered[chosen] = sorted[at];
        is_taken[chosen] = true;
    }
    drop_scratch(room);
    return is_regular;
}

static double reduced_cost_of(const program *p, const double *duals, int64_t column)
{
    double cost = 1.0;
    for (int64_t at = p->starts[column]; at < p->starts[column + 1]; at++)
        cost -= duals[p->rows[at]] * p->column_values[at];
    return cost;
}

/* Choose the column that prices out most; return the row that limits its direction.

   -1 if no column prices out. */
static int64_t choose_primal(const program *p, const double *values,
                             const double *duals, const uint8_t *in_basis,
                             double *alpha, int64_t *entering, double *reduced_cost)
{
    bool is_found = false;
    *reduced_cost = -1e-9;
    *entering = 0;
    for (int64_t column = 0; column < p->num_columns; column++) {
        if (in_basis[column])
            continue;
        double cost = reduced_cost_of(p, duals, column);
        if (cost < *reduced_cost) {
            *reduced_cost = cost;
            *entering = column;
            is_found = true;
        }
    }
    for (int64_t row = 0; row < p->num_rows; row++) {
        if (duals[row] < *reduced_cost) {
            *reduced_cost = duals[row];
            *entering = -1 - row;
            is_found = true;
        }
    }
    if (!is_found)
        return -1;
    set_direction(p, *entering, alpha);
    double limit = INFINITY, largest = 0.0;
    for (int64_t row = 0; row < p->num_rows; row++)
        if (alpha[row] > 1e-9)
            limit = lesser(limit, (greater(values[row], 0.0) + 1e-10) / alpha[row]);
    int64_t leaving = -1;
    for (int64_t row = 0; row < p->num_rows; row++) {
        if (alpha[row] > 1e-9 && greater(values[row], 0.0) <= limit * alpha[row] &&
            alpha[row] > largest) {
            leaving = row;
            largest = alpha[row];
        }
    }
    return leaving;
}

typedef struct {
    int64_t entering;
    double ratio, size, cost;
} candidate;

static void consider(candidate *best, int64_t entering, double size, double cost)
{
    if (size <= 1e-9)
        return;
    double ratio = greater(cost, 0.0) / size;
    if (ratio < best->ratio - 1e-12 ||
        (ratio < best->ratio + 1e-12 && size > best->size))
        *best = (candidate){entering, ratio, size, cost};
}

/* Return the column that keeps all reduced costs ≥ 0; of infinite cost if none.

   `shifts` are added to costs, of rows' slacks and then of columns. `line` is room for
   the leaving row of the inverse, which is a column of its array: columns of the program
   read it in no order, so it is put side by side first. */
static candidate choose_dual(const program *p, const double *duals,
                             const double *shifts, const uint8_t *in_basis,
                             int64_t leaving, double *line)
{
    candidate best = {0, INFINITY, 0.0, INFINITY};
    for (int64_t row = 0; row < p->num_rows; row++)
        line[row] = p->inverse[row * p->num_rows + leaving];
    for (int64_t column = 0; column < p->num_columns; column++) {
        if (in_basis[column])
            continue;
        double size = 0.0;
        for (int64_t at = p->starts[column]; at < p->starts[column + 1]; at++)
            size -= line[p->rows[at]] * p->column_values[at];
        if (size > 1e-9)
            consider(&best, column, size,
                     reduced_cost_of(p, duals, column) + shifts[p->num_rows + column]);
    }
    for (int64_t row = 0; row < p->num_rows; row++)
        consider(&best, -1 - row, line[row], duals[row] + shifts[row]);
    return best;
}

static int64_t lowest_of(const double *values, int64_t count)
{
    int64_t lowest = 0;
    for (int64_t at = 1; at < count; at++)
        if (values[at] < values[lowest])
            lowest = at;
    return lowest;
}

/* Pivot until none is left to do; return 1 if so, 0 at the limit. Sets the pivots.

   Primal pivots while a column prices out, dual ones, whose costs are shifted, while a
   basic value is negative. */
EXPORTED int64_t pivot(int64_t kind, int64_t num_rows, const double *shifts,
              double *inverse, double *values,
              int64_t *basis, double *duals, const int64_t *starts,
              const int64_t *rows, const double *column_values, int64_t num_columns,
              uint8_t *in_basis, int64_t max_pivots, int64_t *pivots)
{
    ROOM_OR_RETURN(room)
    program p = {num_rows, num_columns, inverse,
                 starts,   rows,        column_values,
                 take_integers(room, num_rows)};
    double *alpha = take_reals(room, num_rows), *line = take_reals(room, num_rows);
    bool is_done = false;
    for (*pivots = 0; *pivots < max_pivots; ++*pivots) {
        int64_t leaving, entering;
        double reduced_cost;
        if (kind == DUAL) {
            leaving = lowest_of(values, num_rows);
            if (values[leaving] >= -1e-9) {
                is_done = true;
                break;
            }
            candidate chosen = choose_dual(&p, duals, shifts, in_basis, leaving, line);
            if (chosen.cost == INFINITY) {
                values[leaving] = 0.0;
                continue;
            }
            entering = chosen.entering;
            reduced_cost = chosen.cost;
            set_direction(&p, entering, alpha);
        } else {
            leaving = choose_primal(&p, values, duals, in_basis, alpha, &entering,
                                    &reduced_cost);
            if (leaving < 0) {
                is_done = true;
                break;
            }
            values[leaving] = greater(values[leaving], 0.0);
        }
        double step = values[leaving] / alpha[leaving];
        for (int64_t row = 0; row < num_rows; row++)
            values[row] -= step * alpha[row];
        values[leaving] = step;
        eliminate(&p, duals, alpha, leaving, reduced_cost);
        if (basis[leaving] >= 0)
            in_basis[basis[leaving]] = 0;
        basis[leaving] = entering;
        if (entering >= 0)
            in_basis[entering] = 1;
    }
    drop_scratch(room);
    return is_done;
}
