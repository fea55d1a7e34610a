/* Search for the most valuable pattern of one bin (see capacity/pricing.py). */

#include <math.h>
#include <string.h>

#include "pattern_bounds.h"

enum {
    OPEN_STEPS = 5,    /* subgradient steps at a node */
    CLOSING_STEPS = 8, /* and where all copies are decided */
    MAX_PIVOTS = 400,
};

/* A tableau of `num_rows` rows and one of reduced costs; the last column is the right
   side. */
typedef struct {
    int64_t num_rows, width;
    double *entries;
    int64_t *basis;
} tableau;

static double *row_of(const tableau *t, int64_t row)
{
    return t->entries + row * (t->width + 1);
}

/* Pivot to the best basis, with Bland's rule once it takes long. */
static void solve(const tableau *t)
{
    const double *costs = row_of(t, t->num_rows);
    for (int64_t pivot = 0; pivot < MAX_PIVOTS; pivot++) {
        int64_t enter = -1, leave = -1;
        for (int64_t column = 0; column < t->width; column++)
            if (costs[column] < -1e-11 &&
                (enter < 0 ||
                 (pivot < MAX_PIVOTS / 2 && costs[column] < costs[enter])))
                enter = column;
        if (enter < 0)
            return;
        double ratio = INFINITY;
        for (int64_t row = 0; row < t->num_rows; row++) {
            const double *line = row_of(t, row);
            if (line[enter] <= 1e-11)
                continue;
            double one = line[t->width] / line[enter];
            if (one < ratio || (one == ratio && t->basis[row] < t->basis[leave])) {
                leave = row;
                ratio = one;
            }
        }
        if (leave < 0)
            return;
        t->basis[leave] = enter;
        double *restrict chosen = row_of(t, leave);
        double entry = chosen[enter];
        for (int64_t column = 0; column <= t->width; column++)
            chosen[column] /= entry;
        for (int64_t row = 0; row <= t->num_rows; row++) {
            double *restrict line = row_of(t, row);
            double factor = line[enter];
            if (row == leave || factor == 0)
                continue;
            for (int64_t column = 0; column <= t->width; column++)
                line[column] -= factor * chosen[column];
        }
    }
}

/* Set the best loads of the copies that are there, by the simplex method.

   Returns what they are worth, and sets the prices of room that prove it, as far as
   rounding allows. */
static double best_loads(scratch *room, const market *m, const state *s, double *loads,
                         double *prices)
{
    int mark = room->used;
    int64_t num_dimensions = m->num_dimensions, num_columns = 0, num_jobs = 0;
    int64_t *columns = take_integers(room, m->num_options), last_job = -1;
    for (int64_t index = 0; index < m->num_options; index++) {
        if (s->counts[index] <= 0 || m->whole[index])
            continue;
        columns[num_columns++] = index;
        num_jobs += m->job[index] != last_job;
        last_job = m->job[index];
    }
    int64_t num_rows = num_dimensions + num_jobs + num_columns;
    int64_t width = num_columns + num_rows;
    tableau t = {num_rows, width, take_reals(room, (num_rows + 1) * (width + 1)),
                 take_integers(room, num_rows)};
    for (int64_t row = 0; row < num_rows; row++) {
        t.basis[row] = num_columns + row;
        row_of(&t, row)[num_columns + row] = 1.0;
        row_of(&t, row)[width] = 1.0;
    }
    for (int64_t d = 0; d < num_dimensions; d++)
        row_of(&t, d)[width] = greater(0.0, s->room[d]);
    int64_t row = num_dimensions - 1;
    last_job = -1;
    for (int64_t column = 0; column < num_columns; column++) {
        int64_t index = columns[column];
        row += m->job[index] != last_job;
        last_job = m->job[index];
        row_of(&t, row)[column] = m->share[index];
        for (int64_t d = 0; d < num_dimensions; d++)
            row_of(&t, d)[column] = m->loaded[index * num_dimensions + d];
        double *own = row_of(&t, num_dimensions + num_jobs + column);
        own[column] = 1.0;
        own[width] = (double)s->counts[index];
        row_of(&t, num_rows)[column] = -m->per_load[index];
    }
    solve(&t);
    double value = 0.0;
    for (int64_t index = 0; index < m->num_options; index++)
        loads[index] = 0.0;
    for (row = 0; row < num_rows; row++) {
        if (t.basis[row] >= num_columns)
            continue;
        int64_t index = columns[t.basis[row]];
        loads[index] =
            lesser(greater(0.0, row_of(&t, row)[width]), (double)s->counts[index]);
        value += loads[index] * m->per_load[index];
    }
    for (int64_t d = 0; d < num_dimensions; d++)
        prices[d] = greater(0.0, row_of(&t, num_rows)[num_columns + d]);
    for (int64_t job = 0; job < m->num_jobs; job++) {
        value += m->bonus[job] * smaller(s->held[job], m->wanted[job]);
        for (int64_t index = m->first[job]; index < m->first[job + 1]; index++) {
            value += m->per_copy[index] * s->counts[index];
            if (m->whole[index])
                loads[index] = (double)s->counts[index];
        }
    }
    give_back(room, mark);
    return value;
}

/* Hold so many more copies, or fewer. */
static void change(const market *m, const state *s, int64_t index, int64_t number)
{
    s->counts[index] += number;
    s->held[m->job[index]] += number;
    for (int64_t d = 0; d < m->num_sizes; d++)
        s->free[d] -= number * m->sizes[index * m->num_sizes + d];
    for (int64_t d = 0; d < m->num_dimensions; d++)
        s->room[d] -= number * m->fixed[index * m->num_dimensions + d];
}

/* Search copies depth first; return how many patterns were recorded.

   Only patterns worth more than `*value` are of interest; it then is that of the best,
   and `*bound` what none exceeds: infinite if the search was cut. `root` are prices of
   room to start from. The tables (see fill_table) go by one dimension's sizes in full,
   and each has prices of its own. `gap` is relative, between the value of the best
   pattern and the bound. The outputs take the copies and loads of patterns, each better
   than those before; the search goes round in them. */
EXPORTED int64_t search_patterns(const market *m, const double *root, int64_t num_tables,
                        int64_t grid, const double *table_prices, const double *tables,
                        int64_t dimension, double gap, int64_t node_limit,
                        int64_t num_out, int64_t *out_counts, double *out_loads,
                        double *value, double *bound, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t num_options = m->num_options, num_dimensions = m->num_dimensions;
    size_t price_bytes = (size_t)num_dimensions * sizeof(double);
    state s = new_state(room, m);
    double *slope = take_reals(room, num_dimensions);
    double *trial = take_reals(room, num_dimensions);
    double *closing = take_reals(room, num_dimensions);
    double *prices = take_reals(room, (num_options + 2) * num_dimensions);
    double *loads = take_reals(room, num_options);
    double *closed = take_reals(room, num_options + 2);
    memcpy(prices, root, price_bytes);
    double best = *value, enough = best + gap * fabs(best), loosest = 0.0;
    int64_t recorded = 0, nodes = 0, at = 0, depth = 0;
    while (true) {
        double *here = prices + depth * num_dimensions;
        nodes++;
        if (nodes > node_limit || *stop) {
            *bound = INFINITY;
            break;
        }
        double most = INFINITY;
        for (int64_t one = 0; one < num_tables && most > enough; one++)
            most = lesser(most, table_bound(m, &s, at,
                                            table_prices + one * num_dimensions,
                                            tables +
                                                one * (num_options + 1) * (grid + 1),
                                            grid, dimension));
        if (most > enough) {
            look_ahead(m, &s, at);
            most = lowest_bound(m, &s, at, here, enough, OPEN_STEPS, slope, trial);
        }
        if (most > enough) {
            while (at < num_options && s.copies[at] == 0)
                at++;
            if (at < num_options) {
                change(m, &s, at, s.copies[at]);
                depth++;
                memcpy(here + num_dimensions, here, price_bytes);
            } else {
                loosest = greater(loosest, lesser(most, closed[depth]));
            }
        }
        if (most <= enough || at == num_options) {
            at--;
            while (at >= 0 && s.counts[at] == 0)
                at--;
            if (at < 0) {
                *bound = greater(enough, loosest);
                break;
            }
            change(m, &s, at, -1);
            if (s.counts[at] == 0) {
                depth--;
                at++;
                continue;
            }
            memcpy(prices + depth * num_dimensions,
                   prices + (depth - 1) * num_dimensions, price_bytes);
        }
        /* These copies are new together: what are they worth without any other? */
        memcpy(closing, prices + depth * num_dimensions, price_bytes);
        most = lowest_bound(m, &s, num_options, closing, enough, CLOSING_STEPS, slope,
                            trial);
        if (most > enough) {
            double worth = best_loads(room, m, &s, loads, trial);
            most = lesser(most, lagrangian_bound(m, &s, num_options, trial, slope));
            if (worth > best) {
                best = worth;
                enough = best + gap * fabs(best);
                int64_t place = recorded % num_out;
                memcpy(out_counts + place * num_options, s.counts,
                       (size_t)num_options * sizeof *out_counts);
                memcpy(out_loads + place * num_options, loads,
                       (size_t)num_options * sizeof *out_loads);
                recorded++;
            }
        }
        closed[depth] = most;
        at++;
    }
    drop_scratch(room);
    *value = best;
    return recorded;
}
