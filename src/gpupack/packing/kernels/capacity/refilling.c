/* Empty a few bins and fill them again, thousands of times (see refilling.py). */

#include <math.h>
#include <string.h>

#include "refilling.h"

#define MAX_COPIES 2048 /* put in by one filling: those without room have no end */
#define LEAST_LOAD 1e-6 /* share of a copy's rate below which it is not worth its room */

enum { NUM_DRAWN = 4096, NUM_LEVELS = 3 };

/* Of the noise on values: log-normal, so many factors of each drawn beforehand, since
   to draw one takes longer than to look at an option. */
static const double LEVELS[NUM_LEVELS] = {0.02, 0.1, 0.4};

typedef struct {
    int64_t option, job;
    double factor;
} candidate;

/* Room to work in, for one bin; by option, what one share is in load, what a copy weighs
   and what its load does. */
typedef struct {
    candidate *candidates;
    double *ungained, *weight, *loaded_weight, *free, *noise;
    uint64_t state;
    const volatile int8_t *stop;
} work;

static double uniform(uint64_t *state)
{
    return (double)next_random(state) * (1.0 / 2147483648.0);
}

/* Return a normally distributed number, by Marsaglia's polar method. */
static double normal(uint64_t *state)
{
    while (true) {
        double x = 2.0 * uniform(state) - 1.0, y = 2.0 * uniform(state) - 1.0;
        double square = x * x + y * y;
        if (square < 1.0 && square > 0.0)
            return x * sqrt(-2.0 * log(square) / square);
    }
}

static double loss_of(const choices *c, const filling *f, int64_t job)
{
    double loss = c->worth[job] * greater(0.0, f->left[job]);
    int64_t missing = c->least[job] - f->copies[job];
    return missing > 0 ? loss + c->must[job] * missing : loss;
}

static bool is_needed(const choices *c, const filling *f, int64_t job)
{
    return f->copies[job] < c->least[job];
}

static bool is_open(const choices *c, const filling *f, int64_t job)
{
    return is_needed(c, f, job) ||
           (f->left[job] > TINY && f->copies[job] < c->most[job]);
}

/* Note what options weigh: a division and a sum that else every look at them takes. */
static void weigh(const choices *c, work *w)
{
    int64_t num_dimensions = c->num_dimensions, num_types = 0;
    for (int64_t bin = 0; bin < c->num_bins; bin++)
        num_types = larger(num_types, c->bin_type[bin] + 1);
    for (int64_t kind = 0; kind < num_types; kind++) {
        const double *weights = c->weights + kind * num_dimensions;
        for (int64_t at = c->starts[kind]; at < c->starts[kind + 1]; at++) {
            int64_t option = c->options[at];
            w->ungained[option] = c->gain[option] > 0 ? 1.0 / c->gain[option] : 0.0;
            w->weight[option] = TINY;
            w->loaded_weight[option] = 0.0;
            for (int64_t d = 0; d < num_dimensions; d++) {
                int64_t size = option * num_dimensions + d;
                w->weight[option] += weights[d] * c->fixed[size];
                w->loaded_weight[option] += weights[d] * c->loaded[size];
            }
        }
    }
}

/* Put one more copy into a bin; return whether there was a slot for it. */
static bool put(const filling *f, int64_t bin, int64_t option, double load)
{
    int64_t first = bin * f->num_slots_of_bin, slot = 0;
    while (slot < f->num_slots[bin] && f->option[first + slot] != option)
        slot++;
    if (slot == f->num_slots_of_bin)
        return false;
    if (slot == f->num_slots[bin]) {
        f->option[first + slot] = option;
        f->number[first + slot] = 0;
        f->load[first + slot] = 0.0;
        f->num_slots[bin]++;
    }
    f->number[first + slot]++;
    f->load[first + slot] += load;
    return true;
}

/* Return the load of one more copy in what is free, -1 if it has no room. */
static inline double load_that_fits(const double *fixed, const double *loaded,
                                    const double *free, int64_t num_dimensions,
                                    double most)
{
    for (int64_t d = 0; d < num_dimensions; d++) {
        double room = free[d] - fixed[d];
        if (room < 0)
            return -1.0;
        if (loaded[d] * most > room)
            most = room / loaded[d];
    }
    return most;
}

/* Fill an empty bin by value per weighted room; return how much loss that saves.

   A bin is left as full as it is once the search is to stop: one of many tiny copies
   takes long. */
static double fill_bin(const choices *c, const filling *f, int64_t bin,
                       const double *noise, work *w)
{
    int64_t kind = c->bin_type[bin], num_dimensions = c->num_dimensions;
    memcpy(w->free, c->capacity + kind * num_dimensions,
           (size_t)num_dimensions * sizeof *w->free);
    /* Copied, as stores into other arrays might change what a pointer leads to. */
    const choices here = *c;
    const double *left = f->left;
    double *free = w->free;
    candidate *candidates = w->candidates;
    int64_t num_candidates = 0, last_job = -1;
    bool last_is_open = false;
    for (int64_t at = here.starts[kind]; at < here.starts[kind + 1]; at++) {
        int64_t option = here.options[at], job = here.job[option];
        if (job != last_job) {
            last_job = job;
            last_is_open = is_open(c, f, job);
        }
        if (last_is_open)
            candidates[num_candidates++] = (candidate){option, job, 1.0};
    }
    for (int64_t at = 0; noise && at < num_candidates; at++)
        candidates[at].factor = noise[random_below(&w->state, NUM_DRAWN)];
    double saved = 0.0;
    f->num_slots[bin] = 0;
    for (int64_t num_copies = 0; num_copies < MAX_COPIES && !*w->stop; num_copies++) {
        int64_t best = -1;
        double best_density = 0.0, best_load = 0.0;
        for (int64_t at = 0; at < num_candidates;) {
            int64_t option = candidates[at].option, job = candidates[at].job;
            bool needed = is_needed(c, f, job);
            double load = -1.0;
            if (needed || (left[job] > TINY && f->copies[job] < here.most[job])) {
                double most = 1.0;
                if (!here.whole[job])
                    most = lesser(most, greater(0.0, left[job]) * w->ungained[option]);
                load = load_that_fits(here.fixed + option * num_dimensions,
                                      here.loaded + option * num_dimensions, free,
                                      num_dimensions, most);
            }
            if (load < 0 || (load < LEAST_LOAD && !needed)) {
                candidates[at] = candidates[--num_candidates];
                continue;
            }
            double value = here.worth[job] * load * here.gain[option];
            value += here.bonus[option] + (needed ? here.must[job] : 0.0);
            double taken = w->weight[option] + load * w->loaded_weight[option];
            double density = value / taken * candidates[at].factor;
            if (density > best_density) {
                best = option;
                best_density = density;
                best_load = load;
            }
            at++;
        }
        if (best < 0 || !put(f, bin, best, best_load))
            return saved;
        int64_t job = c->job[best];
        saved += loss_of(c, f, job) + c->bonus[best];
        f->left[job] -= best_load * c->gain[best];
        f->copies[job]++;
        saved -= loss_of(c, f, job);
        for (int64_t d = 0; d < num_dimensions; d++)
            w->free[d] -= c->fixed[best * num_dimensions + d] +
                          best_load * c->loaded[best * num_dimensions + d];
    }
    return saved;
}

/* Empty a bin; return how much loss that adds. */
static double empty_bin(const choices *c, const filling *f, int64_t bin)
{
    double added = 0.0;
    for (int64_t slot = 0; slot < f->num_slots[bin]; slot++) {
        int64_t at = bin * f->num_slots_of_bin + slot;
        int64_t option = f->option[at], job = c->job[option];
        added -= loss_of(c, f, job);
        f->left[job] += f->load[at] * c->gain[option];
        f->copies[job] -= f->number[at];
        added += loss_of(c, f, job) + c->bonus[option] * f->number[at];
    }
    f->num_slots[bin] = 0;
    return added;
}

static void copy_bin(const filling *source, int64_t bin, const filling *target,
                     int64_t place)
{
    int64_t num_slots = source->num_slots_of_bin;
    int64_t from = bin * num_slots, to = place * num_slots;
    size_t used = (size_t)source->num_slots[bin];
    memcpy(target->option + to, source->option + from, used * sizeof(int64_t));
    memcpy(target->number + to, source->number + from, used * sizeof(int64_t));
    memcpy(target->load + to, source->load + from, used * sizeof(double));
    target->num_slots[place] = source->num_slots[bin];
}

static void copy_jobs(const choices *c, const filling *source, const filling *target)
{
    memcpy(target->left, source->left, (size_t)c->num_jobs * sizeof(double));
    memcpy(target->copies, source->copies, (size_t)c->num_jobs * sizeof(int64_t));
}

static void copy_all(const choices *c, const filling *source, const filling *target)
{
    for (int64_t bin = 0; bin < c->num_bins; bin++)
        copy_bin(source, bin, target, bin);
    copy_jobs(c, source, target);
}

static double loss_of_all(const choices *c, const filling *f)
{
    double loss = 0.0;
    for (int64_t job = 0; job < c->num_jobs; job++)
        loss += loss_of(c, f, job);
    for (int64_t bin = 0; bin < c->num_bins; bin++) {
        for (int64_t slot = 0; slot < f->num_slots[bin]; slot++) {
            int64_t at = bin * f->num_slots_of_bin + slot;
            loss -= c->bonus[f->option[at]] * f->number[at];
        }
    }
    return loss;
}

/* Choose different bins at random. */
static void choose_bins(int64_t num_bins, int64_t num_chosen, int64_t *chosen,
                        uint64_t *state)
{
    for (int64_t index = 0; index < num_chosen; index++) {
        bool is_new = false;
        while (!is_new) {
            chosen[index] = random_below(state, num_bins);
            is_new = true;
            for (int64_t other = 0; other < index; other++)
                is_new = is_new && chosen[other] != chosen[index];
        }
    }
}

/* Anneal; the filling then is the best found. Sets its loss, returns 0.

   A move empties up to `most_emptied` bins and fills them again with whatever is open
   by then. Bins that are empty at the start are filled first. `best` and `kept` are
   room to work in: a filling of all bins, and of `most_emptied`. Ends once the entry of
   `stop` is not 0. */
EXPORTED int64_t refill(const choices *c, const filling *f, const filling *best,
               const filling *kept, int64_t num_moves, int64_t most_emptied, double hot,
               double cold, double target, uint64_t seed, bool shifts_loads,
               double *lowest_loss,
               const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t num_bins = c->num_bins;
    work w = {take(room, c->num_options, sizeof(candidate)),
              take_reals(room, c->num_options),
              take_reals(room, c->num_options),
              take_reals(room, c->num_options),
              take_reals(room, c->num_dimensions),
              take_reals(room, NUM_LEVELS * NUM_DRAWN),
              UINT64_C(0x9E3779B97F4A7C15) + seed * UINT64_C(0xBF58476D1CE4E5B9), stop};
    int64_t *chosen = take_integers(room, most_emptied);
    w.state += w.state == 0;
    weigh(c, &w);
    double loss = loss_of_all(c, f);
    for (int64_t bin = 0; bin < num_bins; bin++)
        if (f->num_slots[bin] == 0)
            loss -= fill_bin(c, f, bin, NULL, &w);
    double lowest = loss;
    copy_all(c, f, best);
    for (int64_t at = 0; at < NUM_LEVELS * NUM_DRAWN; at++)
        w.noise[at] = exp(LEVELS[at / NUM_DRAWN] * normal(&w.state));
    shifting *shifts = shifts_loads ? start_shifting(room, c, f) : NULL;
    for (int64_t move = 0; move < num_moves; move++) {
        if (lowest <= target || num_bins == 0 || *stop)
            break;
        double temperature = hot * pow(cold / hot, (double)move / num_moves);
        int64_t num_emptied =
            smaller(num_bins, 1 + random_below(&w.state, most_emptied));
        double changed = 0.0;
        choose_bins(num_bins, num_emptied, chosen, &w.state);
        copy_jobs(c, f, kept);
        for (int64_t index = 0; index < num_emptied; index++) {
            copy_bin(f, chosen[index], kept, index);
            if (shifts)
                unlist_copies(c, f, shifts, chosen[index]);
            changed += empty_bin(c, f, chosen[index]);
        }
        double draw = uniform(&w.state);
        int64_t level = draw < 0.3 ? 0 : draw < 0.7 ? 1 : 2;
        for (int64_t index = 0; index < num_emptied; index++)
            changed -= fill_bin(c, f, chosen[index], w.noise + level * NUM_DRAWN, &w);
        if (shifts) {
            for (int64_t index = 0; index < num_emptied; index++)
                list_copies(c, f, shifts, chosen[index]);
            changed -= shift_loads(c, f, shifts);
        }
        if (changed <= 0 || uniform(&w.state) < exp(-changed / temperature)) {
            loss += changed;
            if (loss < lowest - TINY) {
                lowest = loss;
                copy_all(c, f, best);
            }
            continue;
        }
        if (shifts)
            undo_shifts(f, shifts);
        copy_jobs(c, kept, f);
        for (int64_t index = 0; index < num_emptied; index++) {
            if (shifts)
                unlist_copies(c, f, shifts, chosen[index]);
            copy_bin(kept, index, f, chosen[index]);
            if (shifts)
                list_copies(c, f, shifts, chosen[index]);
        }
    }
    copy_all(c, best, f);
    drop_scratch(room);
    *lowest_loss = lowest;
    return 0;
}
