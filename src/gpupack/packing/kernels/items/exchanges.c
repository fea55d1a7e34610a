/* Fillings made more valuable by exchanging a few of their copies (see pricing.py). */

#include <string.h>

#include "frugal_fillings.h"

/* Fillings of more members are not looked at; of more than MAX_PAIRED no pair is taken
   out, as there are too many. */
enum { MAX_MEMBERS = 64, MAX_PAIRED = 16, MAX_REMOVED = 2, MAX_CHECKS = 4000 };

typedef struct {
    int64_t num_items, num_dimensions;
    const int64_t *sizes; /* of the types with a value, by falling value */
    const int64_t *capacities;
    const double *duals; /* value of one copy, falling */
    const int64_t *supply;
} exchange_market;

typedef struct {
    int64_t num_members;
    int64_t members[MAX_MEMBERS]; /* types, once per copy */
    double value;
} filling;

static const int64_t *size_of(const exchange_market *m, int64_t item)
{
    return m->sizes + item * m->num_dimensions;
}

static void put(const exchange_market *m, int64_t *free, int64_t *counts, int64_t item,
                int64_t copies)
{
    const int64_t *size = size_of(m, item);
    for (int64_t d = 0; d < m->num_dimensions; d++)
        free[d] -= copies * size[d];
    counts[item] += copies;
}

static bool takes(const exchange_market *m, const int64_t *free, const int64_t *counts,
                  int64_t item)
{
    return counts[item] < m->supply[item] &&
           fits(size_of(m, item), free, m->num_dimensions);
}

/* Find the one or two types worth most that fit together; return how many, their worth
   if it is more than `*worth`. */
static int64_t best_two(const exchange_market *m, int64_t *free, int64_t *counts,
                        double *worth, int64_t *chosen)
{
    int64_t num_chosen = 0, checks = 0;
    for (int64_t one = 0; one < m->num_items; one++) {
        if (2 * m->duals[one] <= *worth || checks > MAX_CHECKS)
            break;
        checks++;
        if (!takes(m, free, counts, one))
            continue;
        if (m->duals[one] > *worth) {
            *worth = m->duals[one];
            chosen[0] = one;
            num_chosen = 1;
        }
        put(m, free, counts, one, 1);
        for (int64_t other = one; other < m->num_items; other++) {
            double both = m->duals[one] + m->duals[other];
            if (both <= *worth)
                break;
            checks++;
            if (takes(m, free, counts, other)) {
                *worth = both;
                chosen[0] = one;
                chosen[1] = other;
                num_chosen = 2;
                break;
            }
        }
        put(m, free, counts, one, -1);
    }
    return num_chosen;
}

/* Exchange up to so many members for one or two others, the exchange that gains most;
   then add what fits. Return whether the filling is worth more. */
static bool exchange(const exchange_market *m, filling *f, int64_t num_removed,
                     int64_t *free, int64_t *counts, const volatile int8_t *stop)
{
    double best = 1e-9;
    int64_t out[MAX_REMOVED] = {-1, -1}, in[2], num_in = 0;
    for (int64_t first = 0; first < f->num_members && !*stop; first++) {
        int64_t last = num_removed == 2 ? f->num_members : first + 2;
        if (num_removed == 1 && first > 0 && f->members[first] == f->members[first - 1])
            continue;
        put(m, free, counts, f->members[first], -1);
        for (int64_t second = first + 1; second < last; second++) {
            double lost = m->duals[f->members[first]];
            if (num_removed == 2) {
                lost += m->duals[f->members[second]];
                put(m, free, counts, f->members[second], -1);
            }
            double worth = lost + best;
            int64_t chosen[2];
            int64_t found = best_two(m, free, counts, &worth, chosen);
            if (found > 0) {
                best = worth - lost;
                out[0] = first;
                out[1] = num_removed == 2 ? second : -1;
                memcpy(in, chosen, sizeof in);
                num_in = found;
            }
            if (num_removed == 2)
                put(m, free, counts, f->members[second], 1);
        }
        put(m, free, counts, f->members[first], 1);
    }
    if (num_in == 0)
        return false;
    for (int64_t k = num_removed - 1; k >= 0; k--) { /* the later one first */
        put(m, free, counts, f->members[out[k]], -1);
        f->members[out[k]] = f->members[--f->num_members];
    }
    for (int64_t k = 0; k < num_in; k++) {
        put(m, free, counts, in[k], 1);
        f->members[f->num_members++] = in[k];
    }
    f->value += best;
    for (int64_t item = 0; item < m->num_items && f->num_members < MAX_MEMBERS - 2;
         item++)
        while (takes(m, free, counts, item) && f->num_members < MAX_MEMBERS - 2) {
            put(m, free, counts, item, 1);
            f->members[f->num_members++] = item;
            f->value += m->duals[item];
        }
    return true;
}

/* Improve fillings by exchanges; return how many came to be worth more than the
   threshold.

   `starts` are those of the fillings in `members`, types once per copy. Each of the
   given fillings, from number `*next` on and round, is improved as far as exchanges of
   one member and then of two go, until `num_out` were recorded in `out`, counts by
   type, or all were tried; `*next` is then the first that was not. */
EXPORTED int64_t improve_fillings(int64_t num_items, int64_t num_dimensions,
                                  const int64_t *sizes, const int64_t *capacities,
                                  const double *duals, const int64_t *supply,
                                  int64_t num_fillings, const int64_t *starts,
                                  const int64_t *members, double threshold,
                                  int64_t most_removed, int64_t num_out, int64_t *out,
                                  int64_t *next, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    exchange_market m = {num_items, num_dimensions, sizes, capacities, duals, supply};
    int64_t *free = take_integers(room, num_dimensions);
    int64_t *counts = take_integers(room, num_items);
    int64_t found = 0;
    for (int64_t tried = 0; tried < num_fillings && found < num_out && !*stop;
         tried++) {
        int64_t at = *next % num_fillings;
        *next = at + 1;
        filling f = {0, {0}, 0.0};
        if (starts[at + 1] - starts[at] > MAX_MEMBERS - 2)
            continue;
        memcpy(free, capacities, (size_t)num_dimensions * sizeof *free);
        memset(counts, 0, (size_t)num_items * sizeof *counts);
        for (int64_t k = starts[at]; k < starts[at + 1]; k++) {
            int64_t item = members[k];
            if (!takes(&m, free, counts, item))
                continue;
            put(&m, free, counts, item, 1);
            f.members[f.num_members++] = item;
            f.value += duals[item];
        }
        bool is_better = true;
        while (is_better && !*stop && f.num_members <= MAX_MEMBERS - 2) {
            is_better = exchange(&m, &f, 1, free, counts, stop);
            if (!is_better && most_removed > 1 && f.num_members > 1 &&
                f.num_members <= MAX_PAIRED && f.value <= threshold)
                is_better = exchange(&m, &f, 2, free, counts, stop);
        }
        if (f.value > threshold)
            memcpy(out + found++ * num_items, counts,
                   (size_t)num_items * sizeof *counts);
    }
    drop_scratch(room);
    return found;
}
