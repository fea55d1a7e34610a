/* Bounds on what a pattern can be worth (see capacity/pricing.py). */

#include "pattern_bounds.h"

#include <math.h>
#include <string.h>

enum {
    ROOT_STEPS = 100, /* of the subgradient, at the root */
    MAX_VAIN = 4,     /* steps in a row without gain after which to stop */
};

/* Return the state of an empty bin. */
state new_state(scratch *room, const market *m)
{
    state s = {
        take_integers(room, m->num_options),
        take_integers(room, m->num_jobs),
        take_integers(room, m->num_sizes),
        take_reals(room, m->num_dimensions),
        take_integers(room, m->num_options),
        take_reals(room, m->num_options),
        take(room, m->num_options, sizeof(uint8_t)),
        take(room, m->num_jobs, sizeof(uint8_t)),
        take_reals(room, m->num_dimensions),
        0.0,
        m->num_dimensions,
    };
    memcpy(s.free, m->capacity, (size_t)m->num_sizes * sizeof *s.free);
    for (int64_t d = 0; d < m->num_dimensions; d++)
        s.room[d] = s.space[d] = 1.0;
    for (int64_t job = 0; job < m->num_jobs; job++) {
        s.is_plain[job] = m->bonus[job] <= 0;
        for (int64_t index = m->first[job]; index < m->first[job + 1]; index++)
            if (m->whole[index] || m->per_copy[index] > 0)
                s.is_plain[job] = 0;
    }
    return s;
}

/* Whether a copy of an option still fits with all that it could serve. */
bool fits_in_full(const market *m, const state *s, int64_t index, int64_t number)
{
    double load = lesser((double)number, 1.0 / m->share[index]);
    for (int64_t d = 0; d < m->num_sizes; d++)
        if (number * m->sizes[index * m->num_sizes + d] > s->free[d])
            return false;
    for (int64_t d = 0; d < m->num_dimensions; d++) {
        int64_t at = index * m->num_dimensions + d;
        if (number * m->fixed[at] + load * m->loaded[at] > s->room[d] + TINY)
            return false;
    }
    return true;
}

/* Whether a job that holds no copy can hold one that serves all that it could. */
static bool has_room_in_full(const market *m, const state *s, int64_t job)
{
    for (int64_t index = m->first[job]; index < m->first[job + 1]; index++)
        if (m->most[index] > 0 && fits_in_full(m, s, index, 1))
            return true;
    return false;
}

/* Whether an option takes no more room in proportion for the same service. */
static bool is_no_worse(const market *m, int64_t one, int64_t other)
{
    const double *loaded = m->loaded + one * m->num_dimensions;
    const double *other_loaded = m->loaded + other * m->num_dimensions;
    for (int64_t d = 0; d < m->num_dimensions; d++)
        if (loaded[d] * m->share[other] > other_loaded[d] * m->share[one])
            return false;
    return true;
}

/* Return how many copies of an option are of use beside those that its job holds.

   None is where those that are no worse serve the whole need; nor may they leave any
   of those held without use: then the bin without it is searched, too. */
static int64_t useful_copies(const market *m, const state *s, int64_t index)
{
    int64_t job = m->job[index];
    if (m->bonus[job] > 0 && m->wanted[job] > s->held[job])
        return m->most[index];
    int64_t begin = m->first[job], end = m->first[job + 1];
    int64_t number = m->most[index];
    double left = 1.0;
    for (int64_t other = begin; other < end; other++) {
        if (s->counts[other] == 0)
            continue;
        if (is_no_worse(m, other, index))
            left -= s->counts[other] * m->share[other];
        if (m->bonus[job] == 0 && is_no_worse(m, index, other)) {
            double left_for_last = 1.0 + m->share[other];
            for (int64_t third = begin; third < end; third++)
                if (s->counts[third] > 0 && is_no_worse(m, third, other))
                    left_for_last -= s->counts[third] * m->share[third];
            number = smaller(
                number, (int64_t)ceil(left_for_last / m->share[index] - TINY) - 1);
        }
    }
    if (left <= TINY)
        return 0;
    return larger(0, smaller(number, (int64_t)ceil(left / m->share[index])));
}

/* Set how many copies of each option from `start` on fit, and how much load. */
void look_ahead(const market *m, const state *s, int64_t start)
{
    int64_t last_job = -1;
    bool is_out = false;
    for (int64_t index = start; index < m->num_options; index++) {
        int64_t job = m->job[index];
        if (job != last_job) {
            last_job = job;
            is_out = s->num_partial == 0 && s->is_plain[job] && s->held[job] == 0 &&
                     !has_room_in_full(m, s, job);
        }
        if (is_out) {
            s->copies[index] = 0;
            s->part[index] = 0.0;
            continue;
        }
        int64_t number = smaller(m->most[index], m->limit[job] - s->held[job]);
        if (s->held[job] > 0 && !m->whole[index])
            number = smaller(number, useful_copies(m, s, index));
        const int64_t *sizes = m->sizes + index * m->num_sizes;
        for (int64_t d = 0; d < m->num_sizes; d++) {
            if (sizes[d] <= 0)
                continue;
            if (sizes[d] > s->free[d]) {
                number = 0;
                break;
            }
            if (number > 1)
                number = smaller(number, s->free[d] / sizes[d]);
        }
        s->copies[index] = number;
        double load = (double)number;
        if (number > 0 && !m->whole[index]) {
            const double *fixed = m->fixed + index * m->num_dimensions;
            const double *loaded = m->loaded + index * m->num_dimensions;
            for (int64_t d = 0; d < m->num_dimensions; d++) {
                double left = greater(0.0, s->room[d] - fixed[d]) + TINY;
                if (loaded[d] * load > left)
                    load = left / loaded[d];
            }
        }
        s->part[index] = load;
    }
}

/* What serving a job by one of its options earns, for a share of its need. */
typedef struct {
    int64_t option; /* -1: none */
    double density, amount, copies_per_share;
} offer;

/* What one more copy of a job is worth, whatever it serves. */
typedef struct {
    int64_t option; /* -1: none */
    double gain, load;
} lone_copy;

/* Return the densest offer of a job's options; keep the best lone copy. */
static offer best_offer(const market *m, const state *s, int64_t job, int64_t start,
                        const double *prices, lone_copy *alone)
{
    int64_t num_dimensions = m->num_dimensions;
    offer best = {-1, TINY, 0.0, 0.0};
    for (int64_t index = m->first[job]; index < m->first[job + 1]; index++) {
        if (s->is_taken[index])
            continue;
        const double *fixed = m->fixed + index * num_dimensions;
        const double *loaded = m->loaded + index * num_dimensions;
        double share = m->share[index], rest = m->per_load[index];
        double density, amount, each = 0.0;
        if (s->counts[index] > 0) {
            if (m->whole[index])
                continue;
            double load = (double)s->counts[index];
            for (int64_t d = 0; d < num_dimensions; d++) {
                rest -= prices[d] * loaded[d];
                if (loaded[d] * load > s->room[d] + TINY)
                    load = (s->room[d] + TINY) / loaded[d];
            }
            density = rest / share;
            amount = load * share;
        } else if (index >= start && s->copies[index] > 0) {
            double gain = m->per_copy[index];
            for (int64_t d = 0; d < num_dimensions; d++) {
                gain -= prices[d] * fixed[d];
                rest -= prices[d] * loaded[d];
            }
            double load = lesser(1.0, s->part[index]);
            if (load * share > 1.0)
                load = 1.0 / share;
            if (m->whole[index])
                load = 1.0;
            else if (rest > 0)
                gain += rest * load;
            else
                load = 0.0;
            if (alone->option < 0 || gain > alone->gain)
                *alone = (lone_copy){index, gain, load};
            each = load * share;
            if (each <= TINY)
                continue;
            density = gain / each;
            amount = lesser((double)s->copies[index] * load, s->part[index]) * share;
        } else {
            continue;
        }
        if (density > best.density && amount > TINY)
            best = (offer){index, density, amount, each > 0 ? 1.0 / each : 0.0};
    }
    return best;
}

/* Return the Lagrangian bound at these prices of room; set its slope in them.

   Every job for itself has the best loads of the copies it holds and, from option
   `start` on, of fractions of further ones. */
double lagrangian_bound(const market *m, const state *s, int64_t start,
                        const double *prices, double *slope)
{
    int64_t num_dimensions = m->num_dimensions;
    double total = s->kept;
    for (int64_t d = 0; d < num_dimensions; d++) {
        total += prices[d] * s->space[d];
        slope[d] = s->space[d];
    }
    for (int64_t job = 0; job < m->num_jobs; job++) {
        int64_t begin = m->first[job], end = m->first[job + 1];
        if (s->held[job] == 0 && end <= start)
            continue;
        double left = 1.0, gained = 0.0;
        for (int64_t index = begin; index < end; index++) {
            int64_t number = s->counts[index];
            if (number <= 0)
                continue;
            const double *fixed = m->fixed + index * num_dimensions;
            double cost = 0.0;
            for (int64_t d = 0; d < num_dimensions; d++) {
                cost += prices[d] * fixed[d];
                slope[d] -= number * fixed[d];
            }
            total += number * (m->per_copy[index] - cost);
            if (m->whole[index])
                left -= number * m->share[index];
        }
        lone_copy alone = {-1, 0.0, 0.0};
        while (left > TINY) {
            offer best = best_offer(m, s, job, start, prices, &alone);
            if (best.option < 0)
                break;
            const double *fixed = m->fixed + best.option * num_dimensions;
            const double *loaded = m->loaded + best.option * num_dimensions;
            s->is_taken[best.option] = 1;
            double amount = lesser(best.amount, left);
            left -= amount;
            gained += amount * best.density;
            for (int64_t d = 0; d < num_dimensions; d++) {
                double used = best.copies_per_share * amount * fixed[d];
                if (!m->whole[best.option])
                    used += amount / m->share[best.option] * loaded[d];
                slope[d] -= used;
            }
        }
        for (int64_t index = begin; index < end; index++)
            s->is_taken[index] = 0;
        total += gained;
        double bonus = m->bonus[job];
        if (bonus <= 0)
            continue;
        int64_t missing = m->wanted[job] - smaller(s->held[job], m->wanted[job]);
        total += bonus * (m->wanted[job] - missing);
        if (missing <= 0 || alone.option < 0)
            continue;
        if (gained > 0) {
            /* Copies that serve may come for the bonus as well. */
            total += missing * bonus;
        } else if (bonus + alone.gain > 0) {
            const double *fixed = m->fixed + alone.option * num_dimensions;
            const double *loaded = m->loaded + alone.option * num_dimensions;
            total += missing * (bonus + alone.gain);
            for (int64_t d = 0; d < num_dimensions; d++)
                slope[d] -= missing * (fixed[d] + alone.load * loaded[d]);
        }
    }
    return total;
}

/* Return a bound, at the best prices found; stop at one that is low `enough`.

   Polyak's subgradient steps, from `prices`, which then are the best. */
double lowest_bound(const market *m, const state *s, int64_t start, double *prices,
                    double enough, int64_t num_steps, double *slope, double *trial)
{
    int64_t num_dimensions = m->num_dimensions;
    for (int64_t d = 0; d < num_dimensions; d++)
        trial[d] = prices[d];
    double lowest = INFINITY;
    int64_t vain = 0;
    for (int64_t number = 0; number < num_steps; number++) {
        double value = lagrangian_bound(m, s, start, trial, slope);
        if (value < lowest) {
            vain = value < lowest - 1e-4 * fabs(lowest) ? 0 : vain + 1;
            lowest = value;
            for (int64_t d = 0; d < num_dimensions; d++)
                prices[d] = trial[d];
        } else {
            vain++;
        }
        if (lowest <= enough || vain > MAX_VAIN)
            break;
        double norm = 0.0;
        for (int64_t d = 0; d < num_dimensions; d++)
            if (trial[d] > 0 || slope[d] < 0)
                norm += slope[d] * slope[d];
        if (norm <= TINY)
            break;
        double step = (value - enough) / norm;
        for (int64_t d = 0; d < num_dimensions; d++)
            trial[d] = greater(0.0, trial[d] - step * slope[d]);
    }
    return lowest;
}

/* Improve prices of room for the bin as a whole; set the bound they give. Returns 0. */
EXPORTED int64_t root_prices(const market *m, double *prices, double enough, double *bound)
{
    ROOM_OR_RETURN(room)
    state s = new_state(room, m);
    look_ahead(m, &s, 0);
    double *slope = take_reals(room, m->num_dimensions);
    double *trial = take_reals(room, m->num_dimensions);
    *bound = lowest_bound(m, &s, 0, prices, enough, ROOT_STEPS, slope, trial);
    drop_scratch(room);
    return 0;
}

/* Set what a copy earns at these prices, and what full load of it earns besides. */
static void earnings(const market *m, int64_t index, const double *prices, double *gain,
                     double *rest)
{
    const double *fixed = m->fixed + index * m->num_dimensions;
    const double *loaded = m->loaded + index * m->num_dimensions;
    *gain = m->per_copy[index];
    *rest = m->per_load[index];
    for (int64_t d = 0; d < m->num_dimensions; d++) {
        *gain -= prices[d] * fixed[d];
        *rest -= prices[d] * loaded[d];
    }
}

/* Return how many of a dimension's parts an amount fills. Sizes have up to 62 bits, and
   so their product has more than 64. */
static int64_t whole_parts(const market *m, int64_t amount, int64_t dimension,
                           int64_t grid)
{
    return (int64_t)((__int128)amount * grid / m->capacity[dimension]);
}

/* Raise entries to those of another row and a value. */
static void raise_entries(double *restrict row, const double *restrict beyond,
                          double value, int64_t number)
{
    for (int64_t part = 0; part < number; part++)
        row[part] = greater(row[part], value + beyond[part]);
}

/* Raise entries to the lesser of two such sums. */
static void raise_entries_with_more(double *restrict row, const double *restrict after,
                                    const double *restrict beyond, double value,
                                    double with_more, int64_t number)
{
    for (int64_t part = 0; part < number; part++)
        row[part] = greater(row[part],
                            lesser(value + after[part], with_more + beyond[part]));
}

/* Fill the table with bounds by the sizes in full of one dimension. Returns 0.

   Entry [k, r] is the most that options from k on can be worth, at these prices of
   room, within r of the parts into which the dimension's capacity is divided. Sizes
   are rounded down to parts. Entries not yet filled in once the entry of `stop` is not
   0 are infinite. */
EXPORTED int64_t fill_table(const market *m, const double *prices, int64_t dimension,
                   int64_t grid, double *table, const volatile int8_t *stop)
{
    int64_t width = grid + 1;
    for (int64_t part = 0; part < width; part++)
        table[m->num_options * width + part] = 0.0;
    for (int64_t job = m->num_jobs - 1; job >= 0; job--) {
        int64_t begin = m->first[job], end = m->first[job + 1];
        const double *beyond = table + end * width;
        /* Of the job's later options: the best worth of all its need, the least
           size. */
        double later = 0.0, bonus = m->bonus[job];
        int64_t least = 0, wanted = m->wanted[job];
        for (int64_t index = end - 1; index >= begin; index--) {
            double *row = table + index * width;
            const double *after = row + width;
            memcpy(row, after, (size_t)width * sizeof *row);
            double gain, rest, share = m->share[index];
            earnings(m, index, prices, &gain, &rest);
            double each = m->whole[index] ? 0.0 : greater(0.0, rest) / share;
            int64_t parts = whole_parts(
                m, m->sizes[index * m->num_sizes + dimension], dimension, grid);
            /* Copies that take nothing here are taken together, and for nothing. */
            int64_t most_here = parts > 0 ? m->most[index] : 1;
            for (int64_t copies = 1; copies <= most_here; copies++) {
                int64_t taken = copies * parts;
                if (taken > grid || *stop)
                    break;
                double met = lesser(1.0, copies * share);
                int64_t credited = smaller(copies, wanted);
                double value = copies * gain + met * each + credited * bonus;
                if (parts == 0)
                    value = m->most[index] * greater(0.0, gain) + each + wanted * bonus;
                /* With copies of later options, too: as if each came with all its own
                   need, or for no more than the least room and what is left of the
                   need. */
                double more = met * greater(0.0, later - each) + (1.0 - met) * later;
                more += (wanted - credited) * bonus;
                raise_entries(row + taken, beyond, value, width - taken);
                if (index < end - 1)
                    raise_entries_with_more(row + taken + least, after + least, beyond,
                                            value, value + more, width - taken - least);
            }
            if (*stop)
                for (int64_t part = 0; part < width; part++)
                    row[part] = INFINITY;
            if (m->whole[index])
                each = greater(0.0, gain) / share;
            later = greater(later, each);
            least = index == end - 1 ? parts : smaller(least, parts);
        }
    }
    return 0;
}

/* Return the bound by a table for the options from `start` on. */
double table_bound(const market *m, const state *s, int64_t start,
                   const double *prices, const double *table, int64_t grid,
                   int64_t dimension)
{
    double total = s->kept;
    for (int64_t d = 0; d < m->num_dimensions; d++)
        total += prices[d] * s->space[d];
    int64_t at = start;
    for (int64_t job = 0; job < m->num_jobs; job++) {
        int64_t begin = m->first[job], end = m->first[job + 1];
        if (begin >= start)
            break;
        if (s->held[job] == 0)
            continue;
        double left = 1.0, best = 0.0, later = 0.0, worth = 0.0;
        for (int64_t index = begin; index < end; index++) {
            int64_t number = s->counts[index];
            if (number == 0 &&
                (index < start ||
                 s->free[dimension] < m->sizes[index * m->num_sizes + dimension]))
                continue;
            double gain, rest, share = m->share[index];
            earnings(m, index, prices, &gain, &rest);
            double each = greater(0.0, rest) / share;
            if (number == 0) {
                if (m->whole[index])
                    each = greater(0.0, gain) / share;
                later = greater(later, each);
                continue;
            }
            total += number * gain;
            double amount = number * share;
            if (m->whole[index]) {
                left -= amount;
            } else {
                best = greater(best, each);
                worth += amount * each;
            }
        }
        if (start < end)
            at = end;
        left = greater(0.0, left);
        total += later > 0 ? left * greater(best, later) : lesser(worth, left * best);
        int64_t wanted = m->wanted[job];
        int64_t held = start >= end ? smaller(s->held[job], wanted) : wanted;
        total += m->bonus[job] * held;
    }
    int64_t part = whole_parts(m, s->free[dimension], dimension, grid);
    return total + table[at * (grid + 1) + part];
}
