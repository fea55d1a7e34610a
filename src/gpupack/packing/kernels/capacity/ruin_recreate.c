/* Empty a few of very many bins and fill them again (see ruin_recreate.py). */

#include <math.h>
#include <string.h>

#include "offers.h"
#include "../scratch.h"

enum {
    MOST_EMPTIED = 3, /* bins in one move */
    NUM_SAMPLED = 4,  /* jobs with an open need that a move may put in besides */
    MAX_WALKED = 32,  /* copies of a job among which one is drawn */
};

#define FULL_RUIN 0.3 /* of moves, which keep no copy where it is */
#define KEPT 0.6      /* of copies, in the others */
#define OPEN_FIRST 4  /* one move in so many starts where an open job has a copy */
#define RELATED 2     /* one bin in so many beside the first has a job of it */

/* What bins hold: `num_slots` places each, and by job what is open. */
typedef struct {
    int64_t num_bins, num_slots;
    const int64_t *bin_type;
    int64_t *num_held, *option;
    double *service, *need;
    int64_t *copies;
} packed;

/* Of one move: the bins that it empties, what they held, and who may go in. */
typedef struct {
    const offers *o;
    const packed *p;
    const int64_t *job_of; /* by option */
    int64_t *pool, num_pool, *stamp, move;
    double *need_before, *factors, *room;
    int64_t *copies_before;
    int64_t *open, *place, num_open; /* jobs with a need, and where they stand */
    int64_t bins[MOST_EMPTIED], num_emptied, *option_before, num_before[MOST_EMPTIED];
    double *service_before;
    int64_t *kept, *head, *next, *previous; /* places by job, linked */
    uint64_t state;
} work;

static double uniform(uint64_t *state)
{
    return (double)next_random(state) * (1.0 / 2147483648.0);
}

static void add_to_pool(work *w, int64_t job)
{
    if (w->stamp[job] == w->move)
        return;
    w->stamp[job] = w->move;
    w->need_before[w->num_pool] = w->p->need[job];
    w->copies_before[w->num_pool] = w->p->copies[job];
    w->pool[w->num_pool++] = job;
}

static void list_open(work *w, int64_t job)
{
    bool is_open = w->p->need[job] > 0;
    if (is_open && w->place[job] < 0) {
        w->place[job] = w->num_open;
        w->open[w->num_open++] = job;
    } else if (!is_open && w->place[job] >= 0) {
        int64_t last = w->open[--w->num_open];
        w->open[w->place[job]] = last;
        w->place[last] = w->place[job];
        w->place[job] = -1;
    }
}

static void empty(work *w, int64_t number)
{
    const packed *p = w->p;
    int64_t bin = w->bins[number], first = bin * p->num_slots;
    int64_t num_held = p->num_held[bin];
    memcpy(w->option_before + number * p->num_slots, p->option + first,
           (size_t)num_held * sizeof(int64_t));
    memcpy(w->service_before + number * p->num_slots, p->service + first,
           (size_t)num_held * sizeof(double));
    w->num_before[number] = num_held;
    for (int64_t at = first; at < first + num_held; at++) {
        int64_t job = w->job_of[p->option[at]];
        add_to_pool(w, job);
        p->need[job] += p->service[at];
        p->copies[job]--;
    }
    p->num_held[bin] = 0;
}

static void take_room(const offers *o, int64_t option, double service, double *room)
{
    for (int64_t d = 0; d < o->num_dimensions; d++) {
        double loaded = o->loaded[option * o->num_dimensions + d];
        double rest = room[d] - loaded * service;
        room[d] = loaded > 0 ? greater(0.0, rest) : rest;
    }
}

static void take_fixed(const offers *o, int64_t option, double sign, double *room)
{
    for (int64_t d = 0; d < o->num_dimensions; d++)
        room[d] -= sign * o->fixed[option * o->num_dimensions + d];
}

/* Fill a bin from the pool, by worth per price of the room taken, with noise.

   Copies that are kept have their room in full and serve as much as they are chosen
   for; who serves nothing then is taken out. */
static void fill(work *w, int64_t number, double noise, double keep, double power)
{
    const offers *o = w->o;
    const packed *p = w->p;
    int64_t bin = w->bins[number], type = p->bin_type[bin], num_kept = 0;
    double *room = w->room, *other = w->room + o->num_dimensions;
    int64_t *kept = w->kept;
    memcpy(room, o->capacity + type * o->num_dimensions,
           (size_t)o->num_dimensions * sizeof(double));
    for (int64_t at = 0; keep > 0 && at < w->num_before[number]; at++)
        if (uniform(&w->state) < keep) {
            kept[num_kept] = w->option_before[number * p->num_slots + at];
            take_fixed(o, kept[num_kept++], 1.0, room);
        }
    for (int64_t at = 0; at < w->num_pool; at++)
        w->factors[at] = exp(noise * (2.0 * uniform(&w->state) - 1.0));
    while (p->num_held[bin] < p->num_slots) {
        int64_t best = -1, best_kept = -1;
        double best_score = 0.0, best_service = 0.0, most, service;
        for (int64_t at = 0; at < num_kept; at++) {
            int64_t job = w->job_of[kept[at]];
            if (p->need[job] <= 0)
                continue;
            memcpy(other, room, (size_t)o->num_dimensions * sizeof(double));
            take_fixed(o, kept[at], -1.0, other);
            if (!fits(o, kept[at], job, p->need[job], p->copies[job], other, &most,
                      &service))
                continue;
            double value = service * o->unit_worth[job];
            double cost = o->unit_cost[kept[at]] * service;
            double score = value / greater(cost, 1e-3 * o->price[type]) *
                           exp(noise * (2.0 * uniform(&w->state) - 1.0));
            if (power > 0)
                score *= pow((cost + o->cost[kept[at]]) / o->price[type], power);
            if (score > best_score) {
                best_score = score;
                best = kept[at];
                best_kept = at;
                best_service = service;
            }
        }
        for (int64_t at = 0; at < w->num_pool; at++) {
            int64_t job = w->pool[at], cell = job * o->num_types + type;
            if (p->need[job] <= 0)
                continue;
            for (int64_t one = o->starts[cell]; one < o->starts[cell + 1]; one++) {
                if (!fits(o, one, job, p->need[job], p->copies[job], room, &most,
                          &service))
                    continue;
                double value = service * o->unit_worth[job];
                double cost = o->cost[one] + o->unit_cost[one] * service;
                double score = value / greater(cost, 1e-9 * o->price[type]);
                score *= w->factors[at];
                if (power > 0)
                    score *= pow(cost / o->price[type], power);
                if (score > best_score) {
                    best_score = score;
                    best = one;
                    best_kept = -1;
                    best_service = service;
                }
            }
        }
        if (best < 0) {
            if (!num_kept)
                return;
            while (num_kept)
                take_fixed(o, kept[--num_kept], -1.0, room);
            continue;
        }
        if (best_kept >= 0)
            kept[best_kept] = kept[--num_kept];
        else
            take_fixed(o, best, 1.0, room);
        take_room(o, best, best_service, room);
        int64_t job = w->job_of[best], at = bin * p->num_slots + p->num_held[bin]++;
        p->option[at] = best;
        p->service[at] = best_service;
        p->need[job] = best_service >= p->need[job] ? 0.0 : p->need[job] - best_service;
        p->copies[job]++;
    }
}

static void undo(work *w)
{
    const packed *p = w->p;
    for (int64_t at = 0; at < w->num_pool; at++) {
        p->need[w->pool[at]] = w->need_before[at];
        p->copies[w->pool[at]] = w->copies_before[at];
    }
    for (int64_t number = 0; number < w->num_emptied; number++) {
        int64_t first = w->bins[number] * p->num_slots, from = number * p->num_slots;
        size_t count = (size_t)w->num_before[number];
        memcpy(p->option + first, w->option_before + from, count * sizeof(int64_t));
        memcpy(p->service + first, w->service_before + from, count * sizeof(double));
        p->num_held[w->bins[number]] = w->num_before[number];
    }
}

static void link_place(work *w, int64_t at)
{
    int64_t job = w->job_of[w->p->option[at]], after = w->head[job];
    w->next[at] = after;
    w->previous[at] = -1;
    if (after >= 0)
        w->previous[after] = at;
    w->head[job] = at;
}

static void unlink_place(work *w, int64_t at, int64_t option)
{
    int64_t before = w->previous[at], after = w->next[at];
    if (before >= 0)
        w->next[before] = after;
    else
        w->head[w->job_of[option]] = after;
    if (after >= 0)
        w->previous[after] = before;
}

/* Return a bin that holds a copy of a job, -1 if there is none. */
static int64_t bin_with(work *w, int64_t job)
{
    int64_t at = w->head[job];
    if (at < 0)
        return -1;
    int64_t most = larger(1, smaller(w->p->copies[job], MAX_WALKED));
    for (int64_t steps = random_below(&w->state, most); steps > 0; steps--) {
        if (w->next[at] < 0)
            break;
        at = w->next[at];
    }
    return at / w->p->num_slots;
}

static void choose_bin(work *w, int64_t bin)
{
    if (bin < 0)
        return;
    for (int64_t other = 0; other < w->num_emptied; other++)
        if (w->bins[other] == bin)
            return;
    w->bins[w->num_emptied++] = bin;
}

/* Choose bins: at random, or such as hold copies of the same job. */
static void choose(work *w)
{
    const packed *p = w->p;
    int64_t wanted = 1 + random_below(&w->state, MOST_EMPTIED);
    w->num_emptied = 0;
    if (random_below(&w->state, OPEN_FIRST) == 0)
        choose_bin(w, bin_with(w, w->open[random_below(&w->state, w->num_open)]));
    while (w->num_emptied == 0 || wanted-- > 1) {
        if (w->num_emptied && random_below(&w->state, RELATED) == 0) {
            int64_t bin = w->bins[random_below(&w->state, w->num_emptied)];
            if (p->num_held[bin]) {
                int64_t held = random_below(&w->state, p->num_held[bin]);
                choose_bin(w, bin_with(w, w->job_of[p->option[bin * p->num_slots + held]]));
            }
        } else {
            choose_bin(w, random_below(&w->state, p->num_bins));
        }
    }
}

/* Anneal; what is packed then is what it came to. Returns how many moves were made.

   What is lost is what is open, at its worth, and a share (`thrift`) of what copies take
   in full. The temperature falls with moves, of which these are some. Ends once all is
   served, or the entry of `stop` is not 0. */
EXPORTED int64_t ruin_and_recreate(const offers *o, const packed *p, int64_t first_move,
                                   int64_t end_move, int64_t num_moves, double hot,
                                   double cold, double thrift, uint64_t seed,
                                   const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t num_kept = MOST_EMPTIED * p->num_slots;
    int64_t most_pool = num_kept + NUM_SAMPLED;
    int64_t *job_of = take_integers(room, o->num_options);
    work w = {
        .o = o, .p = p, .job_of = job_of, .pool = take_integers(room, most_pool),
        .stamp = take_integers(room, o->num_jobs),
        .need_before = take_reals(room, most_pool),
        .factors = take_reals(room, most_pool),
        .room = take_reals(room, 2 * o->num_dimensions),
        .kept = take_integers(room, p->num_slots),
        .copies_before = take_integers(room, most_pool),
        .open = take_integers(room, o->num_jobs),
        .place = take_integers(room, o->num_jobs),
        .option_before = take_integers(room, num_kept),
        .service_before = take_reals(room, num_kept),
        .head = take_integers(room, o->num_jobs),
        .next = take_integers(room, p->num_bins * p->num_slots),
        .previous = take_integers(room, p->num_bins * p->num_slots),
        .state = UINT64_C(0x9E3779B97F4A7C15) + seed * UINT64_C(0xBF58476D1CE4E5B9),
    };
    w.state += w.state == 0;
    for (int64_t job = 0; job < o->num_jobs; job++) {
        for (int64_t at = o->starts[job * o->num_types];
             at < o->starts[(job + 1) * o->num_types]; at++)
            job_of[at] = job;
        w.place[job] = w.head[job] = -1;
        list_open(&w, job);
    }
    for (int64_t bin = 0; bin < p->num_bins; bin++)
        for (int64_t at = 0; at < p->num_held[bin]; at++)
            link_place(&w, bin * p->num_slots + at);
    int64_t move = first_move;
    for (; move < end_move && w.num_open && p->num_bins && !*stop; move++) {
        double temperature = hot * pow(cold / hot, (double)move / (double)num_moves);
        w.move = move - first_move + 1;
        w.num_pool = 0;
        choose(&w);
        for (int64_t at = 0; at < NUM_SAMPLED; at++)
            add_to_pool(&w, w.open[random_below(&w.state, w.num_open)]);
        for (int64_t number = 0; number < w.num_emptied; number++)
            empty(&w, number);
        double draw = uniform(&w.state);
        double power = uniform(&w.state);
        double keep = uniform(&w.state) < FULL_RUIN ? 0.0 : KEPT;
        double noise = draw < 0.3 ? 0.04 : draw < 0.7 ? 0.2 : 0.8;
        for (int64_t number = 0; number < w.num_emptied; number++)
            fill(&w, number, noise, keep, power);
        double lost = 0.0;
        for (int64_t at = 0; at < w.num_pool; at++)
            lost += worth_of(o, w.pool[at], p->need[w.pool[at]]) -
                    worth_of(o, w.pool[at], w.need_before[at]);
        for (int64_t number = 0; number < w.num_emptied; number++) {
            int64_t first = w.bins[number] * p->num_slots;
            for (int64_t at = 0; at < p->num_held[w.bins[number]]; at++)
                lost += thrift * o->cost[p->option[first + at]];
            for (int64_t at = 0; at < w.num_before[number]; at++)
                lost -= thrift * o->cost[w.option_before[number * p->num_slots + at]];
        }
        if (lost > 0 && uniform(&w.state) >= exp(-lost / temperature)) {
            undo(&w);
            continue;
        }
        for (int64_t at = 0; at < w.num_pool; at++)
            list_open(&w, w.pool[at]);
        for (int64_t number = 0; number < w.num_emptied; number++) {
            int64_t first = w.bins[number] * p->num_slots;
            for (int64_t at = 0; at < w.num_before[number]; at++)
                unlink_place(&w, first + at,
                             w.option_before[number * p->num_slots + at]);
            for (int64_t at = 0; at < p->num_held[w.bins[number]]; at++)
                link_place(&w, first + at);
        }
    }
    drop_scratch(room);
    return move - first_move;
}
