/* What is worth most beside an item: lifts dual values (see items/quick/lifting.py). */

#include <math.h>
#include <string.h>

#include "frugal_fillings.h"

enum { MAX_DEPTH = 4096 };

typedef struct {
    int64_t num_types, num_columns;
    const int64_t *sizes; /* (types, columns) */
    const int64_t *counts;
    const int64_t *order; /* types by falling value, about */
    const int64_t *values;
    int64_t node_limit;
    const volatile int8_t *stop;
    int64_t *fitting;     /* types that fit beside the item, in that order */
    int64_t *left;        /* copies of each of them */
    double *efficiencies; /* (types + 1, columns): highest from there on */
    int64_t *free;
    int64_t *chosen;
    int64_t *best; /* the most valuable filling, as places in `fitting` */
    int64_t length;
} market;

/* List the types that fit into what is free; return how many. */
static int64_t list_fitting(market *m, int64_t item)
{
    int64_t count = 0, num_columns = m->num_columns;
    for (int64_t at = 0; at < m->num_types; at++) {
        int64_t kind = m->order[at], copies = m->counts[kind] - (kind == item);
        if (copies > 0 && m->values[kind] > 0 &&
            fits(m->sizes + kind * num_columns, m->free, num_columns)) {
            m->left[count] = copies;
            m->fitting[count++] = kind;
        }
    }
    for (int64_t c = 0; c < num_columns; c++)
        m->efficiencies[count * num_columns + c] = 0.0;
    for (int64_t at = count - 1; at >= 0; at--) {
        const int64_t *size = m->sizes + m->fitting[at] * num_columns;
        double value = (double)m->values[m->fitting[at]];
        for (int64_t c = 0; c < num_columns; c++)
            m->efficiencies[at * num_columns + c] =
                greater(m->efficiencies[(at + 1) * num_columns + c],
                        size[c] > 0 ? value / (double)size[c] : INFINITY);
    }
    return count;
}

/* What types from `at` on can add at most, each dimension by itself. */
static double most_from(const market *m, int64_t at)
{
    double most = INFINITY;
    for (int64_t c = 0; c < m->num_columns; c++) {
        double efficiency = m->efficiencies[at * m->num_columns + c];
        /* Nothing is free, yet types without size may be worth something. */
        if (efficiency < INFINITY)
            most = lesser(most, efficiency * (double)m->free[c]);
    }
    return most;
}

/* Return the most that fits beside an item, or `enough` once so much does.

   -1 if the search was cut. */
static int64_t fill_beside(market *m, int64_t item, const int64_t *capacities,
                           int64_t enough)
{
    int64_t num_columns = m->num_columns;
    memcpy(m->free, capacities, (size_t)num_columns * sizeof *capacities);
    add(m->free, m->sizes + item * num_columns, num_columns, -1);
    int64_t count = list_fitting(m, item);
    int64_t depth = 0, at = 0, nodes = 0, value = 0, highest = 0;
    m->length = 0;
    while (highest < enough) {
        /* Values are whole: what adds less than one more is not worth looking at. */
        while (at < count &&
               (double)value + most_from(m, at) * (1.0 + 1e-12) >= (double)highest + 0.999 &&
               (m->left[at] == 0 ||
                !fits(m->sizes + m->fitting[at] * num_columns, m->free, num_columns))) {
            at++;
            nodes++;
        }
        if (++nodes > m->node_limit || *m->stop || depth == MAX_DEPTH)
            return -1;
        if (at < count &&
            (double)value + most_from(m, at) * (1.0 + 1e-12) >= (double)highest + 0.999) {
            m->left[at]--;
            m->chosen[depth++] = at;
            value += m->values[m->fitting[at]];
            add(m->free, m->sizes + m->fitting[at] * num_columns, num_columns, -1);
            if (value > highest) {
                highest = value;
                m->length = depth;
                memcpy(m->best, m->chosen, (size_t)depth * sizeof *m->best);
            }
            continue;
        }
        if (depth == 0)
            break;
        at = m->chosen[--depth];
        m->left[at]++;
        value -= m->values[m->fitting[at]];
        add(m->free, m->sizes + m->fitting[at] * num_columns, num_columns, 1);
        at++;
    }
    return smaller(highest, enough);
}

/* For each item find how much its value can be lifted so that no filling exceeds `full`.

   Returns how many can. One after the other is lifted at once if `at_once` is not 0;
   else the copies in each one's most valuable filling are added to `uses`. */
EXPORTED int64_t lift(int64_t num_types, int64_t num_columns, const int64_t *sizes,
                      const int64_t *counts, const int64_t *capacities, int64_t full,
                      const int64_t *order, int64_t num_items, const int64_t *items,
                      int64_t node_limit, int64_t at_once, int64_t *values,
                      int64_t *lifts, int64_t *uses, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    market m = {
        .num_types = num_types,
        .num_columns = num_columns,
        .sizes = sizes,
        .counts = counts,
        .order = order,
        .values = values,
        .node_limit = node_limit,
        .stop = stop,
        .fitting = take_integers(room, num_types),
        .left = take_integers(room, num_types),
        .efficiencies = take_reals(room, (num_types + 1) * num_columns),
        .free = take_integers(room, num_columns),
        .chosen = take_integers(room, MAX_DEPTH),
        .best = take_integers(room, MAX_DEPTH),
    };
    int64_t lifted = 0;
    for (int64_t number = 0; number < num_items && !*stop; number++) {
        int64_t item = items[number], enough = full - values[item];
        lifts[number] = 0;
        int64_t most = fill_beside(&m, item, capacities, enough);
        if (most < 0)
            continue;
        lifts[number] = enough - most;
        lifted += most < enough;
        if (at_once)
            values[item] += enough - most;
        else
            for (int64_t at = 0; at < m.length; at++)
                uses[m.fitting[m.best[at]]] += counts[item];
    }
    drop_scratch(room);
    return lifted;
}
