/* The linear relaxation of filling one bin: few rows, so a simplex of its own. */

#include "bin_relaxation.h"

#include <math.h>

enum { LOWER, UPPER, BASIC };

/* Return the column that gains most per unit, -1 if none gains.

   Types come first, then the rows' slacks. */
static int64_t entering_column(int64_t num_rows, int64_t num_types,
                               const double *shares, const double *duals,
                               const int64_t *limits, const double *prices,
                               const int64_t *state)
{
    double most = 1e-9;
    int64_t entering = -1;
    for (int64_t item = 0; item < num_types; item++) {
        if (state[item] == BASIC || limits[item] <= 0)
            continue;
        double gain = duals[item];
        for (int64_t row = 0; row < num_rows; row++)
            gain -= prices[row] * shares[row * num_types + item];
        if (state[item] == UPPER)
            gain = -gain;
        if (gain > most) {
            most = gain;
            entering = item;
        }
    }
    for (int64_t row = 0; row < num_rows; row++) {
        if (state[num_types + row] == LOWER && -prices[row] > most) {
            most = -prices[row];
            entering = num_types + row;
        }
    }
    return entering;
}

/* Set the prices of the rows of max π·x, shares·x ≤ available, 0 ≤ x ≤ limits.

   They are ≥ 0. Any prices give a valid surrogate constraint, so stopping early costs
   strength, not correctness. */
void find_multipliers(scratch *room, int64_t num_rows, int64_t num_types,
                      const double *shares, const double *duals, const int64_t *limits,
                      const double *available, double *prices)
{
    int mark = room->used;
    double *inverse = take_reals(room, num_rows * num_rows);
    double *values = take_reals(room, num_rows);
    double *column = take_reals(room, num_rows);
    int64_t *basis = take_integers(room, num_rows);
    int64_t *state = take_integers(room, num_types + num_rows);
    for (int64_t row = 0; row < num_rows; row++) {
        inverse[row * num_rows + row] = 1.0;
        values[row] = available[row];
        basis[row] = num_types + row;
        state[num_types + row] = BASIC;
    }
    int64_t max_pivots = num_types + 4 * num_rows + 20;
    for (int64_t pivot = 0; pivot < max_pivots; pivot++) {
        for (int64_t row = 0; row < num_rows; row++)
            prices[row] = 0.0;
        for (int64_t at = 0; at < num_rows; at++)
            if (basis[at] < num_types)
                for (int64_t row = 0; row < num_rows; row++)
                    prices[row] += duals[basis[at]] * inverse[at * num_rows + row];
        int64_t entering = entering_column(num_rows, num_types, shares, duals, limits,
                                           prices, state);
        if (entering < 0)
            break;
        for (int64_t at = 0; at < num_rows; at++) {
            if (entering < num_types) {
                column[at] = 0.0;
                for (int64_t row = 0; row < num_rows; row++)
                    column[at] += inverse[at * num_rows + row] *
                                  shares[row * num_types + entering];
            } else {
                column[at] = inverse[at * num_rows + entering - num_types];
            }
        }
        double sign = state[entering] == UPPER ? -1.0 : 1.0;
        double step = entering < num_types ? (double)limits[entering] : INFINITY;
        int64_t leaving = -1;
        for (int64_t at = 0; at < num_rows; at++) {
            double change = sign * column[at], longest;
            if (change > 1e-11)
                longest = greater(values[at], 0.0) / change;
            else if (change < -1e-11 && basis[at] < num_types)
                longest = greater((double)limits[basis[at]] - values[at], 0.0) / -change;
            else
                continue;
            if (longest < step) {
                step = longest;
                leaving = at;
            }
        }
        if (step == INFINITY)
            break;
        for (int64_t at = 0; at < num_rows; at++)
            values[at] -= sign * step * column[at];
        if (leaving < 0) {
            state[entering] = state[entering] == UPPER ? LOWER : UPPER;
            continue;
        }
        state[basis[leaving]] = sign * column[leaving] > 0 ? LOWER : UPPER;
        values[leaving] = sign > 0 ? step : (double)limits[entering] - step;
        basis[leaving] = entering;
        state[entering] = BASIC;
        for (int64_t row = 0; row < num_rows; row++)
            inverse[leaving * num_rows + row] /= column[leaving];
        for (int64_t at = 0; at < num_rows; at++)
            if (at != leaving && column[at] != 0.0)
                for (int64_t row = 0; row < num_rows; row++)
                    inverse[at * num_rows + row] -=
                        column[at] * inverse[leaving * num_rows + row];
    }
    for (int64_t row = 0; row < num_rows; row++)
        prices[row] = greater(prices[row], 0.0);
    give_back(room, mark);
}

/* The same for callers in Python. Returns 0. */
EXPORTED int64_t relaxation_multipliers(int64_t num_rows, int64_t num_types,
                               const double *shares, const double *duals,
                               const int64_t *limits, const double *available,
                               double *prices)
{
    ROOM_OR_RETURN(room)
    find_multipliers(room, num_rows, num_types, shares, duals, limits, available,
                     prices);
    drop_scratch(room);
    return 0;
}
