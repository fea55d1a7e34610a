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

/* A search for patterns: what it goes by, what it works with, and what it found. */
typedef struct {
    const market *m;
    state s;
    scratch *room;
    int64_t num_tables, grid, dimension;
    const double *table_prices, *tables;
    double *prices; /* of room, a row per copy decided on */
    double *slope, *trial, *closing, *loads;
    int64_t *full; /* by option: copies that serve all they could */
    double gap, least, best, enough, loosest;
    int64_t nodes, node_limit, recorded, num_out;
    bool is_cut;
    int64_t *out_counts;
    double *out_loads;
    const volatile int8_t *stop;
} search;

/* What the copies of one option decided on are for. */
typedef enum {
    SERVE_IN_FULL, /* all that they could; no other option of their job is there */
    SERVE_PART,    /* any part of it; no other option of their job is there */
    SERVE_MIXED,   /* any part of it, beside other options of their job */
} mode;

/* Hold copies that serve all they could, or fewer: they are as good as sizes in full. */
static void change_in_full(search *f, int64_t index, int64_t number)
{
    const market *m = f->m;
    state *s = &f->s;
    int64_t sign = number < 0 ? -1 : 1;
    double load = sign * lesser((double)(sign * number), 1.0 / m->share[index]);
    f->full[index] += number;
    for (int64_t d = 0; d < m->num_sizes; d++)
        s->free[d] -= number * m->sizes[index * m->num_sizes + d];
    for (int64_t d = 0; d < m->num_dimensions; d++) {
        int64_t at = index * m->num_dimensions + d;
        double taken = number * m->fixed[at] + load * m->loaded[at];
        s->room[d] -= taken;
        s->space[d] -= taken;
    }
    s->kept += number * m->per_copy[index] + load * m->per_load[index];
}

/* Record the copies there are, if they are worth more than all before.

   Returns what they can be worth without any other, as closely as it had to be known. */
static double close(search *f, const double *prices)
{
    const market *m = f->m;
    size_t price_bytes = (size_t)m->num_dimensions * sizeof *prices;
    memcpy(f->closing, prices, price_bytes);
    double wanted = f->recorded < f->num_out ? f->least : f->enough;
    double most = lowest_bound(m, &f->s, m->num_options, f->closing, wanted,
                               CLOSING_STEPS, f->slope, f->trial);
    if (most <= wanted)
        return most;
    double worth = f->s.kept + best_loads(f->room, m, &f->s, f->loads, f->trial);
    most = lesser(most, lagrangian_bound(m, &f->s, m->num_options, f->trial, f->slope));
    if (worth <= f->best) {
        if (worth <= f->least || f->recorded >= f->num_out)
            return most;
    } else {
        f->best = worth;
        f->enough = worth + f->gap * fabs(worth);
    }
    int64_t place = f->recorded++ % f->num_out;
    int64_t *counts = f->out_counts + place * m->num_options;
    double *loads = f->out_loads + place * m->num_options;
    for (int64_t index = 0; index < m->num_options; index++) {
        counts[index] = f->s.counts[index] + f->full[index];
        loads[index] = f->loads[index];
        if (f->full[index] > 0)
            loads[index] = lesser((double)f->full[index], 1.0 / m->share[index]);
    }
    return most;
}

/* Return a bound on what the copies there are can be worth with options from `at` on. */
static double bound_from(search *f, int64_t at, double *prices)
{
    const market *m = f->m;
    int64_t num_entries = (m->num_options + 1) * (f->grid + 1);
    double most = INFINITY;
    for (int64_t one = 0; one < f->num_tables && most > f->enough; one++)
        most = lesser(most,
                      table_bound(m, &f->s, at, f->table_prices + one * m->num_dimensions,
                                  f->tables + one * num_entries, f->grid, f->dimension));
    if (most <= f->enough)
        return most;
    look_ahead(m, &f->s, at);
    return lesser(most, lowest_bound(m, &f->s, at, prices, f->enough, OPEN_STEPS,
                                     f->slope, f->trial));
}

static void visit(search *f, int64_t at, int64_t depth, double closed, int64_t mixed);

/* Search with so many copies of an option, and options from the next allowed one on. */
static void visit_with(search *f, int64_t index, int64_t number, mode how,
                       int64_t depth)
{
    const market *m = f->m;
    int64_t job = m->job[index], next = m->first[job + 1];
    /* Of a job that is to hold several options one alone is searched elsewhere. */
    bool is_first = how == SERVE_MIXED && f->s.is_plain[job] && f->s.held[job] == 0;
    double *prices = f->prices + (depth + 1) * m->num_dimensions;
    memcpy(prices, prices - m->num_dimensions,
           (size_t)m->num_dimensions * sizeof *prices);
    if (how == SERVE_IN_FULL)
        change_in_full(f, index, number);
    else
        change(m, &f->s, index, number);
    f->s.num_partial -= how == SERVE_PART;
    double closed = is_first ? 0.0 : close(f, prices);
    if (how == SERVE_MIXED)
        next = index + 1;
    visit(f, next, depth + 1, closed, is_first ? job : -1);
    f->s.num_partial += how == SERVE_PART;
    if (how == SERVE_IN_FULL)
        change_in_full(f, index, -number);
    else
        change(m, &f->s, index, -number);
}

/* Search what options from `at` on can add to the copies there are.

   `closed` is what these can be worth without any; `mixed` a job of which another
   option must come, -1 for none. */
static void visit(search *f, int64_t at, int64_t depth, double closed, int64_t mixed)
{
    const market *m = f->m;
    double *prices = f->prices + depth * m->num_dimensions;
    int64_t end = mixed < 0 ? m->num_options : m->first[mixed + 1];
    while (true) {
        if (++f->nodes > f->node_limit || *f->stop)
            f->is_cut = true;
        if (f->is_cut || (mixed >= 0 && at >= end))
            return;
        double most = bound_from(f, at, prices);
        if (most <= f->enough)
            return;
        while (at < end && f->s.copies[at] == 0)
            at++;
        if (at == m->num_options)
            f->loosest = greater(f->loosest, lesser(most, closed));
        if (at >= end)
            return;
        int64_t job = m->job[at];
        bool is_plain = f->s.is_plain[job], is_alone = f->s.held[job] == 0;
        for (int64_t number = f->s.copies[at]; number > 0 && !f->is_cut; number--) {
            if (!is_plain || !is_alone) {
                visit_with(f, at, number, SERVE_MIXED, depth);
            } else {
                if (fits_in_full(m, &f->s, at, number))
                    visit_with(f, at, number, SERVE_IN_FULL, depth);
                if (f->s.num_partial > 0)
                    visit_with(f, at, number, SERVE_PART, depth);
                if (at + 1 < m->first[job + 1])
                    visit_with(f, at, number, SERVE_MIXED, depth);
            }
        }
        at++;
    }
}

/* Search copies depth first; return how many patterns were recorded.

   Only patterns worth more than `*value` are of interest; it then is that of the best,
   and `*bound` what none exceeds: infinite if the search was cut. `root` are prices of
   room to start from. The tables (see fill_table) go by one dimension's sizes in full,
   and each has prices of its own. `gap` is relative, between the value of the best
   pattern and the bound. The outputs take the copies and loads of patterns, each better
   than those before; the search goes round in them.

   The best loads of given copies are a vertex of a linear program with a row per
   dimension and one per job that holds several options. So of the jobs that hold one
   option no more serve a part of what they could than there are dimensions that load
   takes; the others are decided on as if they were sizes in full. */
EXPORTED int64_t search_patterns(const market *m, const double *root, int64_t num_tables,
                        int64_t grid, const double *table_prices, const double *tables,
                        int64_t dimension, double gap, int64_t node_limit,
                        int64_t num_out, int64_t *out_counts, double *out_loads,
                        double *value, double *bound, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t num_options = m->num_options, num_dimensions = m->num_dimensions;
    search f = {
        .m = m,
        .s = new_state(room, m),
        .room = room,
        .num_tables = num_tables,
        .grid = grid,
        .dimension = dimension,
        .table_prices = table_prices,
        .tables = tables,
        .prices = take_reals(room, (num_options + 2) * num_dimensions),
        .slope = take_reals(room, num_dimensions),
        .trial = take_reals(room, num_dimensions),
        .closing = take_reals(room, num_dimensions),
        .loads = take_reals(room, num_options),
        .full = take_integers(room, num_options),
        .gap = gap,
        .least = *value,
        .best = *value,
        .enough = *value + gap * fabs(*value),
        .node_limit = node_limit,
        .num_out = num_out,
        .out_counts = out_counts,
        .out_loads = out_loads,
        .stop = stop,
    };
    f.s.num_partial = 0;
    for (int64_t d = 0; d < num_dimensions; d++) {
        bool is_loaded = false;
        for (int64_t index = 0; index < num_options; index++)
            is_loaded |= !m->whole[index] && m->loaded[index * num_dimensions + d] > 0;
        f.s.num_partial += is_loaded;
    }
    memcpy(f.prices, root, (size_t)num_dimensions * sizeof *root);
    visit(&f, 0, 0, 0.0, -1);
    *bound = f.is_cut ? INFINITY : greater(f.enough, f.loosest);
    *value = f.best;
    int64_t recorded = f.recorded;
    drop_scratch(room);
    return recorded;
}
