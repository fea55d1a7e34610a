/* Fill bins one by one, each from a sample of all that is open (see minimum_slack.py). */

#include <math.h>
#include <string.h>

#include "offers.h"
#include "../scratch.h"

enum {
    MAX_SLOTS = 256,     /* copies in one bin */
    MAX_BRANCHES = 2,    /* copies tried at each step */
    MAX_FIRST = 3,       /* options tried of the copy that a bin is opened for */
    MAX_SKIPPED = 8,     /* jobs in a row without a need, when one is sampled */
    NO_BIN = -1,
};

#define COST_OF_PART 5e-4  /* of a bin's price, for a copy that is cut short */
#define COST_OF_COPY 2e-3  /* of a bin's price: of two alike the larger goes first */
#define COST_OF_IDLE 1e-2  /* of a bin's price */
#define FIRST_MARGIN 0.02  /* of its cost, by which an option may be above the best */

/* What is open, and what is filled in. */
typedef struct {
    int64_t max_bins, max_slots;
    double *need;
    int64_t *copies, *available;
    int64_t *bin_type, *number, *end;
    double *loss;
    int64_t *option;
    double *service;
} fillings;

typedef struct {
    int64_t option, job;
    double service, loss, score;
} move;

/* One bin that is being filled. */
typedef struct {
    const offers *o;
    fillings *f;
    const int64_t *candidates;
    int64_t num_candidates, bin_type, nodes, node_limit;
    double enough, best;
    double *rooms; /* one row per copy put in */
    move *held, *kept;
    int64_t num_kept;
    const volatile int8_t *stop;
} search;

/* Return about what room is lost: worth more than all that can be filled in there. */
static double stranded(const search *s, const double *room)
{
    const offers *o = s->o;
    int64_t row = s->bin_type * o->num_dimensions;
    double worth = 0.0, of_mix = 0.0, share = INFINITY;
    for (int64_t d = 0; d < o->num_dimensions; d++) {
        worth += o->weights[row + d] * room[d];
        of_mix += o->weights[row + d] * o->mix[row + d];
        if (o->mix[row + d] > 0)
            share = lesser(share, room[d] / o->mix[row + d]);
    }
    return share < INFINITY ? greater(0.0, worth - share * of_mix) : worth;
}

static double worth_of_room(const search *s, const double *room)
{
    const offers *o = s->o;
    int64_t row = s->bin_type * o->num_dimensions;
    double worth = s->o->price[s->bin_type];
    for (int64_t d = 0; d < o->num_dimensions; d++)
        worth += o->weights[row + d] * (room[d] - o->capacity[row + d]);
    return worth;
}

/* Return whether one more copy fits, and set what it serves and loses. */
static bool is_possible(const search *s, int64_t option, int64_t job,
                        const double *room, double worth, move *found)
{
    const offers *o = s->o;
    const fillings *f = s->f;
    double most, service;
    if (!fits(o, option, job, f->need[job], f->copies[job], room, &most, &service))
        return false;
    double rest = service >= f->need[job] ? 0.0 : f->need[job] - service;
    found->option = option;
    found->job = job;
    found->service = service;
    found->loss = o->cost[option] + o->unit_cost[option] * service -
                  (worth - worth_of(o, job, rest));
    if (service < most)
        found->loss += COST_OF_PART * o->price[s->bin_type];
    return true;
}

static void take_room(const search *s, const move *one, const double *room,
                      double *left)
{
    const offers *o = s->o;
    const double *fixed = o->fixed + one->option * o->num_dimensions;
    const double *loaded = o->loaded + one->option * o->num_dimensions;
    for (int64_t d = 0; d < o->num_dimensions; d++) {
        double rest = room[d] - fixed[d] - loaded[d] * one->service;
        left[d] = loaded[d] > 0 ? greater(0.0, rest) : rest;
    }
}

static void consider(const search *s, int64_t job, const double *room, double before,
                     move *moves, int64_t *num_moves)
{
    const offers *o = s->o;
    if (s->f->need[job] <= 0)
        return;
    double left[o->num_dimensions];
    int64_t cell = job * o->num_types + s->bin_type;
    double worth = -1.0;
    for (int64_t at = o->starts[cell]; at < o->starts[cell + 1]; at++) {
        move one;
        if (worth < 0)
            worth = worth_of(o, job, s->f->need[job]);
        if (!is_possible(s, at, job, room, worth, &one))
            continue;
        take_room(s, &one, room, left);
        double cost = o->cost[at] + o->unit_cost[at] * one.service;
        double lost = one.loss + stranded(s, left) - before;
        double price = o->price[s->bin_type];
        double idle = 0.0;
        const double *capacity = o->capacity + s->bin_type * o->num_dimensions;
        for (int64_t d = 0; d < o->num_dimensions; d++)
            if (capacity[d] > 0)
                idle += left[d] / capacity[d];
        lost += COST_OF_IDLE * price * idle;
        one.score = (lost + COST_OF_COPY * price) / greater(cost, 1e-6 * price);
        int64_t to = *num_moves;
        if (to == MAX_BRANCHES && moves[to - 1].score <= one.score)
            continue;
        if (to < MAX_BRANCHES)
            (*num_moves)++;
        else
            to--;
        while (to > 0 && moves[to - 1].score > one.score) {
            moves[to] = moves[to - 1];
            to--;
        }
        moves[to] = one;
    }
}

static void descend(search *s, int64_t num_held, double loss)
{
    const offers *o = s->o;
    const double *room = s->rooms + num_held * o->num_dimensions;
    s->nodes++;
    double total = loss + worth_of_room(s, room);
    if (num_held && total < s->best) {
        s->best = total;
        s->num_kept = num_held;
        memcpy(s->kept, s->held, (size_t)num_held * sizeof(move));
    }
    if (num_held == MAX_SLOTS || loss >= s->best)
        return;
    move moves[MAX_BRANCHES];
    int64_t num_moves = 0;
    double before = stranded(s, room);
    for (int64_t at = 0; at < s->num_candidates; at++)
        consider(s, s->candidates[at], room, before, moves, &num_moves);
    for (int64_t at = 0; at < num_moves; at++) {
        if (s->best <= s->enough || (at && s->nodes >= s->node_limit) || *s->stop)
            return;
        move one = moves[at];
        double need = s->f->need[one.job];
        s->held[num_held] = one;
        take_room(s, &one, room, s->rooms + (num_held + 1) * o->num_dimensions);
        s->f->need[one.job] = one.service >= need ? 0.0 : need - one.service;
        s->f->copies[one.job]++;
        descend(s, num_held + 1, loss + one.loss);
        s->f->copies[one.job]--;
        s->f->need[one.job] = need;
    }
}

/* Fill a bin for one job; set `best`. Return its type, NO_BIN if there is none. */
static int64_t fill_for(search *s, int64_t job, double slack, move *best,
                        int64_t *num_best, double *lost)
{
    const offers *o = s->o;
    move first[MAX_FIRST];
    int64_t types[MAX_FIRST], num_first = 0, found = NO_BIN;
    double worth = worth_of(o, job, s->f->need[job]);
    for (int64_t type = 0; type < o->num_types; type++) {
        if (!s->f->available[type])
            continue;
        s->bin_type = type;
        int64_t cell = job * o->num_types + type;
        for (int64_t at = o->starts[cell]; at < o->starts[cell + 1]; at++) {
            move one;
            if (!is_possible(s, at, job, o->capacity + type * o->num_dimensions, worth,
                             &one))
                continue;
            one.score = one.loss / greater(o->cost[at] + o->unit_cost[at] * one.service,
                                           1e-6 * o->price[type]);
            int64_t to = num_first;
            if (to == MAX_FIRST && first[to - 1].score <= one.score)
                continue;
            if (to < MAX_FIRST)
                num_first++;
            else
                to--;
            while (to > 0 && first[to - 1].score > one.score) {
                first[to] = first[to - 1];
                types[to] = types[to - 1];
                to--;
            }
            first[to] = one;
            types[to] = type;
        }
    }
    double share = INFINITY;
    for (int64_t at = 0; at < num_first; at++) {
        if (at && (first[at].score > first[0].score + FIRST_MARGIN || *s->stop))
            break;
        s->bin_type = types[at];
        double price = o->price[s->bin_type];
        s->enough = slack * price;
        s->best = INFINITY;
        s->num_kept = 0;
        s->nodes = 0;
        const double *capacity = o->capacity + s->bin_type * o->num_dimensions;
        s->held[0] = first[at];
        take_room(s, &first[at], capacity, s->rooms + o->num_dimensions);
        double need = s->f->need[job];
        s->f->need[job] = first[at].service >= need ? 0.0 : need - first[at].service;
        s->f->copies[job]++;
        descend(s, 1, first[at].loss);
        s->f->copies[job]--;
        s->f->need[job] = need;
        if (s->best / price < share) {
            share = s->best / price;
            found = s->bin_type;
            *lost = s->best;
            *num_best = s->num_kept;
            memcpy(best, s->kept, (size_t)s->num_kept * sizeof(move));
        }
        if (s->best <= s->enough)
            break;
    }
    return found;
}

/* Return how many bins can hold the same, and take that much off what is open. */
static int64_t take_off(const offers *o, fillings *f, int64_t type, const move *held,
                        int64_t num_held, double *sums, int64_t *counts)
{
    double number = (double)f->available[type];
    for (int64_t at = 0; at < num_held; at++) {
        sums[held[at].job] += held[at].service;
        counts[held[at].job]++;
    }
    for (int64_t at = 0; at < num_held; at++) {
        int64_t job = held[at].job;
        double most = floor(f->need[job] / sums[job] * (1 + NOTHING));
        number = lesser(number, most);
        number = lesser(number, (double)((o->limit[job] - f->copies[job]) / counts[job]));
    }
    /* Again as many only if none was cut short: else the next may be filled better. */
    int64_t times = larger(1, (int64_t)number);
    if (times > 1) {
        for (int64_t at = 0; at < num_held; at++) {
            int64_t job = held[at].job;
            int64_t left = o->limit[job] - f->copies[job] - counts[job] * times;
            double rest = f->need[job] - sums[job] * (double)times;
            if (rest > 0 && (double)left * o->fastest[job] < rest)
                times = 1;
            if (o->least[job] - f->copies[job] > 1 && !o->whole[job])
                times = 1;
        }
    }
    for (int64_t at = 0; at < num_held; at++) {
        int64_t job = held[at].job;
        if (counts[job]) {
            double rest = f->need[job] - sums[job] * (double)times;
            f->need[job] = rest > NOTHING * held[at].service ? rest : 0.0;
            f->copies[job] += counts[job] * times;
        }
        sums[job] = 0.0;
        counts[job] = 0;
    }
    f->available[type] -= times;
    return times;
}

/* Return the largest share of a bin that a copy takes, by its smallest option. */
static double size_of(const offers *o, const fillings *f, int64_t job)
{
    double size = INFINITY;
    for (int64_t type = 0; type < o->num_types; type++) {
        const double *capacity = o->capacity + type * o->num_dimensions;
        int64_t cell = job * o->num_types + type;
        for (int64_t at = o->starts[cell]; at < o->starts[cell + 1]; at++) {
            double service = lesser(f->need[job], o->most[at]), share = 0.0;
            const double *fixed = o->fixed + at * o->num_dimensions;
            const double *loaded = o->loaded + at * o->num_dimensions;
            for (int64_t d = 0; d < o->num_dimensions; d++)
                if (capacity[d] > 0)
                    share = greater(share,
                                    (fixed[d] + loaded[d] * service) / capacity[d]);
            size = lesser(size, share);
        }
    }
    return size;
}

/* Fill bins until all needs are met or there is no room for more of them.

   Returns how many fillings were written; -1 if a job finds no bin. */
EXPORTED int64_t fill_by_slack(const offers *o, fillings *f, int64_t num_sampled,
                               int64_t node_limit, double slack, uint64_t seed,
                               const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room);
    int64_t *open = take_integers(room, o->num_jobs);
    int64_t *candidates = take_integers(room, num_sampled);
    int64_t *counts = take_integers(room, o->num_jobs);
    double *keys = take_reals(room, o->num_jobs), *sums = take_reals(room, o->num_jobs);
    move *best = take(room, MAX_SLOTS, sizeof(move));
    search s = {
        .o = o, .f = f, .candidates = candidates, .node_limit = node_limit,
        .rooms = take_reals(room, (MAX_SLOTS + 1) * o->num_dimensions),
        .held = take(room, MAX_SLOTS, sizeof(move)),
        .kept = take(room, MAX_SLOTS, sizeof(move)), .stop = stop,
    };
    uint64_t state = seed * 2 + 1;
    int64_t num_open = 0, num_bins = 0, num_slots = 0, first = 0;
    for (int64_t job = 0; job < o->num_jobs; job++)
        if (f->need[job] > 0) {
            keys[num_open] = -size_of(o, f, job);
            open[num_open++] = job;
        }
    sort_by_key(keys, open, num_open);
    while (num_bins < f->max_bins && num_slots + MAX_SLOTS <= f->max_slots && !*stop) {
        while (first < num_open && f->need[open[first]] <= 0)
            first++;
        if (first == num_open)
            break;
        /* Of every size, the largest first. */
        s.num_candidates = 0;
        int64_t span = num_open - first, wanted = smaller(span, num_sampled);
        for (int64_t at = 0; at < wanted; at++) {
            int64_t from = first + span * at / wanted;
            int64_t to = first + span * (at + 1) / wanted;
            int64_t place = from + random_below(&state, larger(1, to - from));
            for (int64_t skipped = 0; skipped < MAX_SKIPPED && place < num_open;
                 skipped++, place++)
                if (f->need[open[place]] > 0)
                    break;
            if (place < num_open && f->need[open[place]] > 0 &&
                (!s.num_candidates ||
                 candidates[s.num_candidates - 1] != open[place]))
                candidates[s.num_candidates++] = open[place];
        }
        if (candidates[0] != open[first] && s.num_candidates < num_sampled)
            candidates[s.num_candidates++] = open[first];
        int64_t num_best = 0;
        double lost = 0.0;
        int64_t type = fill_for(&s, open[first], slack, best, &num_best, &lost);
        if (*stop)
            break;
        if (type == NO_BIN) {
            drop_scratch(room);
            return -1;
        }
        for (int64_t at = 0; at < num_best; at++) {
            f->option[num_slots] = best[at].option;
            f->service[num_slots++] = best[at].service;
        }
        f->bin_type[num_bins] = type;
        f->loss[num_bins] = lost;
        f->end[num_bins] = num_slots;
        f->number[num_bins] = take_off(o, f, type, best, num_best, sums, counts);
        num_bins++;
    }
    drop_scratch(room);
    return num_bins;
}
