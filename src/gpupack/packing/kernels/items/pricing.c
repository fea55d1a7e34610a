/* Searches for valuable fillings of one bin (see pricing.py). */

#include <math.h>
#include <string.h>

#include "bin_relaxation.h"
#include "frugal_fillings.h"

typedef struct {
    int64_t num_items, num_dimensions;
    const int64_t *sizes;      /* of the types with a value, the big ones first */
    const int64_t *capacities; /* of the bin */
    const double *duals;       /* value of one copy */
    const double *shares;      /* (dimensions + 1, items): parts of each constraint
                                  that a copy takes, last of the surrogate one */
    const double *multipliers; /* of the surrogate constraint, adding up to 1 */
    int64_t num_big;           /* types of which it is decided first which are in; then
                                  the surrogate is tuned to the room that they leave */
    int64_t num_tables;        /* of single-constraint bounds, 0 to do without */
    int64_t width;             /* of a table's rows */
    const int64_t *grids;
    const double *tables; /* see knapsack_tables */
} bin_market;

static const int64_t *size_of(const bin_market *m, int64_t item)
{
    return m->sizes + item * m->num_dimensions;
}

static int64_t copies_that_fit(const bin_market *m, int64_t item, const int64_t *free,
                               int64_t limit)
{
    int64_t copies = limit;
    for (int64_t d = 0; d < m->num_dimensions; d++) {
        int64_t size = size_of(m, item)[d];
        if (size <= 0)
            continue;
        if (copies != 1)
            copies = smaller(copies, free[d] / size);
        else if (size > free[d])
            return 0;
    }
    return copies;
}

/* Whether the fractional knapsack over items from `start`, by falling efficiency, is
   worth more than needed. */
static bool exceeds(const bin_market *m, const double *weights, const int64_t *limits,
                    const int64_t *order, int64_t start, const int64_t *free,
                    double room, double needed)
{
    double value = 0.0;
    for (int64_t at = 0; at < m->num_items; at++) {
        int64_t item = order[at];
        if (item < start || limits[item] == 0 ||
            !fits(size_of(m, item), free, m->num_dimensions))
            continue;
        double weight = weights[item] * limits[item];
        if (weight > room)
            return value + m->duals[item] * room / weights[item] > needed;
        room -= weight;
        value += m->duals[item] * limits[item];
        if (value > needed)
            return true;
    }
    return value > needed;
}

/* Fill the tables with single-constraint bounds. Returns 0.

   Entry [c, k, r] is the most that items from k on can be worth within r of the
   `grids[c]` parts of constraint c. Shares are rounded down to the grid, so the entries
   are upper bounds; those not yet filled in once the entry of `stop` is not 0 are
   infinite. */
EXPORTED int64_t knapsack_tables(int64_t num_constraints, int64_t num_items, int64_t width,
                        const double *shares, const double *duals,
                        const int64_t *supply, const int64_t *grids, double *tables,
                        const volatile int8_t *stop)
{
    for (int64_t constraint = 0; constraint < num_constraints; constraint++) {
        double *table = tables + constraint * (num_items + 1) * width;
        int64_t grid = grids[constraint];
        for (int64_t cell = 0; cell < width; cell++)
            table[num_items * width + cell] = 0.0;
        for (int64_t item = num_items - 1; item >= 0; item--) {
            double share = shares[constraint * num_items + item];
            int64_t weight = (int64_t)floor(share * grid + 1e-9);
            /* An exact size that is a whole number of cells may round either way. */
            if ((double)weight / grid > share + 1e-12)
                weight--;
            const double *after = table + (item + 1) * width;
            double *row = table + item * width;
            for (int64_t cell = 0; cell <= grid; cell++) {
                if (*stop) {
                    row[cell] = INFINITY;
                    continue;
                }
                if (weight <= 0) {
                    row[cell] = after[cell] + supply[item] * duals[item];
                    continue;
                }
                double best = after[cell];
                int64_t most = smaller(supply[item], cell / weight);
                for (int64_t copies = 1; copies <= most; copies++)
                    best = greater(best, after[cell - copies * weight] +
                                             copies * duals[item]);
                row[cell] = best;
            }
        }
    }
    return 0;
}

/* Whether every single-constraint bound leaves more than is needed. */
static bool is_within_tables(const bin_market *m, int64_t at, const double *rooms,
                             double needed)
{
    for (int64_t constraint = 0; constraint < m->num_tables; constraint++) {
        int64_t grid = m->grids[constraint];
        int64_t cell = smaller(grid, (int64_t)(rooms[constraint] * grid + 1e-6));
        if (m->tables[(constraint * (m->num_items + 1) + at) * m->width + cell] <=
            needed)
            return false;
    }
    return true;
}

/* Set the weights in the surrogate constraint, and the order by efficiency. */
static void set_surrogate(const bin_market *m, const double *multipliers,
                          double *weights, double *keys, int64_t *order)
{
    for (int64_t item = 0; item < m->num_items; item++) {
        double weight = 0.0;
        for (int64_t d = 0; d < m->num_dimensions; d++)
            weight += multipliers[d] * m->shares[d * m->num_items + item];
        weights[item] = weight;
        keys[item] = -m->duals[item] / greater(weight, 1e-12);
        order[item] = item;
    }
    sort_by_key(keys, order, m->num_items);
}

static bool is_maximal(const bin_market *m, const int64_t *supply,
                       const int64_t *counts, const int64_t *free)
{
    for (int64_t item = 0; item < m->num_items; item++)
        if (counts[item] < supply[item] &&
            fits(size_of(m, item), free, m->num_dimensions))
            return false;
    return true;
}

/* What is worth looking for, and where it goes. */
typedef struct {
    double threshold;   /* only fillings worth more are of interest */
    int64_t node_limit; /* nodes before the search is cut */
    int64_t patience;   /* nodes before any filling above the threshold will do */
    bool lists_all;     /* record every maximal filling above the threshold, not each
                           one that is better than those before */
    int64_t num_out;    /* the search for the best goes round in it; the search for
                           all is cut when it is full */
    int64_t *out;
    const volatile int8_t *stop;
} wanted;

typedef struct {
    int64_t recorded;
    double value;
    bool is_complete;
} found;

static void record(const bin_market *m, const wanted *w, found *result,
                   const int64_t *counts)
{
    memcpy(w->out + (result->recorded % w->num_out) * m->num_items, counts,
           (size_t)m->num_items * sizeof *counts);
    result->recorded++;
}

/* Search the fillings depth first. */
static found search_fillings(scratch *scratch_room, const bin_market *m,
                             const int64_t *supply, const wanted *w)
{
    int mark = scratch_room->used;
    int64_t num_items = m->num_items, num_dimensions = m->num_dimensions;
    int64_t *free = take_integers(scratch_room, num_dimensions);
    int64_t *counts = take_integers(scratch_room, num_items);
    int64_t *limits = take_integers(scratch_room, num_items);
    int64_t *root_order = take_integers(scratch_room, num_items);
    int64_t *order = take_integers(scratch_room, num_items);
    double *rooms = take_reals(scratch_room, num_dimensions + 1);
    double *weights = take_reals(scratch_room, num_items);
    double *keys = take_reals(scratch_room, num_items);
    double *prices = take_reals(scratch_room, num_dimensions);
    const double *root_weights = m->shares + num_dimensions * num_items;
    memcpy(free, m->capacities, (size_t)num_dimensions * sizeof *free);
    memcpy(limits, supply, (size_t)num_items * sizeof *limits);
    memcpy(prices, m->multipliers, (size_t)num_dimensions * sizeof *prices);
    set_surrogate(m, m->multipliers, weights, keys, root_order);
    memcpy(order, root_order, (size_t)num_items * sizeof *order);
    bool is_tuned = m->num_big == 0;
    found result = {0, w->threshold, false};
    double value = 0.0;
    int64_t nodes = 0, at = 0;
    while (true) {
        nodes++;
        if (nodes > w->node_limit ||
            (result.recorded > 0 && nodes > w->patience && !w->lists_all) ||
            *w->stop)
            break;
        if (at < num_items) {
            double needed = result.value - value + (w->lists_all ? -1e-9 : 1e-9);
            rooms[num_dimensions] = 0.0;
            for (int64_t d = 0; d < num_dimensions; d++) {
                rooms[d] = (double)free[d] / m->capacities[d];
                rooms[num_dimensions] += m->multipliers[d] * rooms[d];
            }
            bool goes_on = needed < 0 || is_within_tables(m, at, rooms, needed);
            if (goes_on && at < m->num_big) {
                goes_on = needed < 0 ||
                          exceeds(m, root_weights, supply, root_order, at, free,
                                  rooms[num_dimensions] + 1e-9, needed);
            } else if (goes_on) {
                if (!is_tuned) {
                    for (int64_t item = 0; item < num_items; item++)
                        limits[item] = item < m->num_big
                                           ? 0
                                           : copies_that_fit(m, item, free,
                                                             supply[item]);
                    find_multipliers(scratch_room, num_dimensions, num_items, m->shares,
                                     m->duals, limits, rooms, prices);
                    set_surrogate(m, prices, weights, keys, order);
                    is_tuned = true;
                }
                double room = 1e-9;
                for (int64_t d = 0; d < num_dimensions; d++)
                    room += prices[d] * rooms[d];
                goes_on = needed < 0 || exceeds(m, weights, limits, order, at, free,
                                                room, needed);
            }
            if (goes_on) {
                /* Take as many as fit of the next item that fits at all; but let the
                   surrogate be tuned before the first of the small ones. */
                int64_t end = at < m->num_big ? m->num_big : num_items;
                while (at < end) {
                    int64_t item = at++;
                    int64_t copies = copies_that_fit(m, item, free, supply[item]);
                    if (copies <= 0)
                        continue;
                    counts[item] = copies;
                    add(free, size_of(m, item), num_dimensions, -copies);
                    value += copies * m->duals[item];
                    is_tuned = is_tuned && item >= m->num_big;
                    break;
                }
                if (!w->lists_all && value > result.value + 1e-9) {
                    result.value = value;
                    record(m, w, &result, counts);
                }
                continue;
            }
        } else if (w->lists_all && value >= w->threshold &&
                   is_maximal(m, supply, counts, free)) {
            if (result.recorded == w->num_out)
                break;
            record(m, w, &result, counts);
        }
        at--;
        while (at >= 0 && counts[at] == 0)
            at--;
        if (at < 0) {
            result.is_complete = true;
            break;
        }
        counts[at]--;
        add(free, size_of(m, at), num_dimensions, 1);
        value -= m->duals[at];
        is_tuned = is_tuned && at >= m->num_big;
        at++;
    }
    give_back(scratch_room, mark);
    return result;
}

/* Search the fillings of one bin; return 1 if the search was complete, else 0.

   Sets how many were recorded, and the value of the best. */
EXPORTED int64_t search(int64_t num_items, int64_t num_dimensions, const int64_t *sizes,
               const int64_t *capacities, const double *duals, const int64_t *supply,
               const double *shares, const double *multipliers, int64_t num_big,
               double threshold, int64_t node_limit, int64_t patience,
               int64_t num_tables, int64_t width, const int64_t *grids,
               const double *tables, int64_t lists_all, int64_t num_out, int64_t *out,
               int64_t *recorded, double *value, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    bin_market m = {num_items, num_dimensions, sizes,      capacities, duals, shares,
                    multipliers, num_big,      num_tables, width,      grids, tables};
    wanted w = {threshold, node_limit, patience, lists_all != 0, num_out, out, stop};
    found result = search_fillings(room, &m, supply, &w);
    drop_scratch(room);
    *recorded = result.recorded;
    *value = result.value;
    return result.is_complete;
}

/* Find fillings one after the other, each from what is left; return how many.

   The supply is that of all fillings together. */
EXPORTED int64_t search_disjoint(int64_t num_items, int64_t num_dimensions,
                        const int64_t *sizes, const int64_t *capacities,
                        const double *duals, const int64_t *supply,
                        const double *shares, const double *multipliers,
                        int64_t num_big, double threshold, int64_t node_limit,
                        int64_t num_tables, int64_t width, const int64_t *grids,
                        const double *tables, int64_t num_out, int64_t *out,
                        const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    bin_market m = {num_items, num_dimensions, sizes,      capacities, duals, shares,
                    multipliers, num_big,      num_tables, width,      grids, tables};
    int64_t *left = take_integers(room, num_items);
    int64_t *limits = take_integers(room, num_items);
    int64_t *one = take_integers(room, num_items);
    memcpy(left, supply, (size_t)num_items * sizeof *left);
    wanted w = {threshold, node_limit, node_limit, false, 1, one, stop};
    int64_t num_found = 0;
    while (num_found < num_out) {
        for (int64_t item = 0; item < num_items; item++)
            limits[item] = copies_that_fit(&m, item, capacities, left[item]);
        /* Tables for the whole supply still bound what a part of it can give. */
        found result = search_fillings(room, &m, limits, &w);
        if (result.recorded == 0 || *stop)
            break;
        /* Take the filling as often as the supply allows; one column is enough. */
        int64_t repeats = INT64_C(1) << 62;
        for (int64_t item = 0; item < num_items; item++)
            if (one[item] > 0)
                repeats = smaller(repeats, left[item] / one[item]);
        for (int64_t item = 0; item < num_items; item++)
            left[item] -= repeats * one[item];
        memcpy(out + num_found * num_items, one, (size_t)num_items * sizeof *one);
        num_found++;
    }
    drop_scratch(room);
    return num_found;
}
