/* What copies can be filled in, and how much of one fits (see minimum_slack.py). */

#ifndef GPUPACK_OFFERS_H
#define GPUPACK_OFFERS_H

#include <math.h>

#include "../scratch.h"

#define LEAST_PART 0.05 /* of what a copy could serve: of less none is put in */
#define NOTHING 1e-12   /* share of a copy's service that is none */

/* What can be filled in; minimum_slack.py says what each array holds. */
typedef struct {
    int64_t num_types, num_dimensions, num_jobs, num_options;
    const double *capacity, *weights, *mix, *price;
    const int64_t *starts;
    const double *fixed, *loaded, *most, *cost, *unit_cost, *unit_worth, *fastest;
    const int64_t *least, *limit;
    const uint8_t *whole;
} offers;

/* Return what a need costs at least, by its first copy and the rest in proportion. */
static inline double worth_of(const offers *o, int64_t job, double need)
{
    if (need <= 0)
        return 0.0;
    double best = need * o->unit_worth[job], found = INFINITY;
    int64_t end = o->starts[(job + 1) * o->num_types];
    for (int64_t at = o->starts[job * o->num_types]; at < end; at++) {
        double here = lesser(need, o->most[at]);
        double cost = o->cost[at] + o->unit_cost[at] * here +
                      (need - here) * o->unit_worth[job];
        found = lesser(found, cost);
    }
    return greater(best, found);
}

/* Return whether one more copy fits into some room, and set what it serves.

   `most` is what it would serve in an empty bin. A job has so much need open, and so
   many copies already; the rest must be for the copies that it may yet have. */
static inline bool fits(const offers *o, int64_t option, int64_t job, double need,
                        int64_t copies, const double *room, double *most,
                        double *service)
{
    double wanted = lesser(need, o->most[option]);
    int64_t missing = o->least[job] - copies;
    if (missing > 1 && !o->whole[job])
        wanted = lesser(wanted, need / (double)missing);
    double here = wanted;
    const double *fixed = o->fixed + option * o->num_dimensions;
    const double *loaded = o->loaded + option * o->num_dimensions;
    for (int64_t d = 0; d < o->num_dimensions; d++) {
        double left = room[d] - fixed[d];
        if (left < 0)
            return false;
        if (loaded[d] * here > left)
            here = left / loaded[d];
    }
    if (here < wanted && (o->whole[job] || here < LEAST_PART * wanted))
        return false;
    double rest = need - here;
    if (rest < NOTHING * o->most[option]) {
        here = need;
        rest = 0.0;
    }
    int64_t left = o->limit[job] - copies - 1;
    if (left < 0 || (rest > 0 && (double)left * o->fastest[job] < rest))
        return false;
    *most = wanted;
    *service = here;
    return true;
}

#endif
