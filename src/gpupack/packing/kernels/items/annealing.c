/* Simulated annealing over items in bins that may overflow (see moves.py). */

#include <math.h>
#include <string.h>

#include "../scratch.h"

enum {
    WIDTH = 4,         /* Dimensions that one vector instruction handles. */
    MAX_DIMENSIONS = 64,
    MAX_GROUPS = MAX_DIMENSIONS / WIDTH,
    DRAWS = 4096,      /* Logarithms of as many evenly spaced numbers in (0, 1). */
    MOVES_PER_LOOK = 1024
};

typedef int32_t group __attribute__((vector_size(WIDTH * sizeof(int32_t))));

typedef struct {
    int64_t num_items, num_bins, num_groups;
    const group *sizes; /* (items, groups) */
    group *over;        /* (bins, groups): load less capacity */
    int64_t *excess;    /* by bin: what its loads exceed the capacities by */
    int32_t *bin_of, *slot_of, *members, *num_members;
} packing;

static int64_t below(uint64_t *state, int64_t limit)
{
    return (int64_t)((next_random(state) * (uint64_t)limit) >> 31);
}

static int64_t excess_of(const group *over, int64_t num_groups)
{
    const group zero = {0};
    group sum = {0};
    for (int64_t at = 0; at < num_groups; at++)
        sum += (over[at] > zero) & over[at];
    return (int64_t)sum[0] + sum[1] + sum[2] + sum[3];
}

static void leave(packing *p, int64_t item)
{
    int64_t bin = p->bin_of[item];
    int32_t *members = p->members + bin * p->num_items;
    int32_t last = members[--p->num_members[bin]];
    members[p->slot_of[item]] = last;
    p->slot_of[last] = p->slot_of[item];
}

static void enter(packing *p, int64_t item, int64_t bin)
{
    p->bin_of[item] = (int32_t)bin;
    p->slot_of[item] = p->num_members[bin];
    p->members[bin * p->num_items + p->num_members[bin]++] = (int32_t)item;
}

/* Try one move: an item to another bin, or one or two of its bin for one there.

   Returns by how much the excess of all bins changed. */
static int64_t move(packing *p, uint64_t *state, double temperature,
                    const double *draws)
{
    int64_t groups = p->num_groups, kind = below(state, 4);
    int64_t first = below(state, p->num_items), source = p->bin_of[first];
    int64_t second = -1, back = -1, target;
    if (kind == 0) {
        target = below(state, p->num_bins);
    } else {
        back = below(state, p->num_items);
        target = p->bin_of[back];
    }
    if (target == source)
        return 0;
    if (kind == 1 && p->num_members[source] > 1) {
        const int32_t *members = p->members + source * p->num_items;
        second = members[below(state, p->num_members[source])];
        if (second == first)
            return 0;
    }
    group left[MAX_GROUPS], right[MAX_GROUPS];
    for (int64_t at = 0; at < groups; at++) {
        group change = p->sizes[first * groups + at];
        if (second >= 0)
            change += p->sizes[second * groups + at];
        if (back >= 0)
            change -= p->sizes[back * groups + at];
        left[at] = p->over[source * groups + at] - change;
        right[at] = p->over[target * groups + at] + change;
    }
    int64_t of_source = excess_of(left, groups), of_target = excess_of(right, groups);
    int64_t change = of_source + of_target - p->excess[source] - p->excess[target];
    if (change > 0 && (double)change > temperature * draws[below(state, DRAWS)])
        return 0;
    p->excess[source] = of_source;
    p->excess[target] = of_target;
    memcpy(p->over + source * groups, left, (size_t)groups * sizeof(group));
    memcpy(p->over + target * groups, right, (size_t)groups * sizeof(group));
    leave(p, first);
    if (second >= 0)
        leave(p, second);
    if (back >= 0) {
        leave(p, back);
        enter(p, back, source);
    }
    enter(p, first, target);
    if (second >= 0)
        enter(p, second, target);
    return change;
}

/* Move items among bins until none overflows; return what is in excess.

   The temperature falls from the first to the last over so many moves. Sums of all
   items' sizes over all dimensions are below 2^31. Ends early once the entry of `stop`
   is not 0. */
EXPORTED int64_t anneal(int64_t num_items, int64_t num_bins, int64_t num_dimensions,
               const int64_t *sizes, const int64_t *capacities, int64_t *bin_of,
               uint64_t *state, int64_t num_moves, double first_temperature,
               double last_temperature, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t groups = (num_dimensions + WIDTH - 1) / WIDTH;
    group *padded = take(room, num_items * groups, sizeof(group));
    for (int64_t item = 0; item < num_items; item++)
        for (int64_t d = 0; d < num_dimensions; d++)
            padded[item * groups + d / WIDTH][d % WIDTH] =
                (int32_t)sizes[item * num_dimensions + d];
    packing p = {num_items,
                 num_bins,
                 groups,
                 padded,
                 take(room, num_bins * groups, sizeof(group)),
                 take_integers(room, num_bins),
                 take(room, num_items, sizeof(int32_t)),
                 take(room, num_items, sizeof(int32_t)),
                 take(room, num_bins * num_items, sizeof(int32_t)),
                 take(room, num_bins, sizeof(int32_t))};
    for (int64_t bin = 0; bin < num_bins; bin++)
        for (int64_t d = 0; d < num_dimensions; d++)
            p.over[bin * groups + d / WIDTH][d % WIDTH] = (int32_t)-capacities[d];
    for (int64_t item = 0; item < num_items; item++) {
        enter(&p, item, bin_of[item]);
        for (int64_t at = 0; at < groups; at++)
            p.over[bin_of[item] * groups + at] += padded[item * groups + at];
    }
    int64_t total = 0;
    for (int64_t bin = 0; bin < num_bins; bin++)
        total += p.excess[bin] = excess_of(p.over + bin * groups, groups);
    double *draws = take_reals(room, DRAWS);
    for (int64_t at = 0; at < DRAWS; at++)
        draws[at] = -log(((double)at + 0.5) / DRAWS);
    double cooling = pow(last_temperature / first_temperature,
                         (double)MOVES_PER_LOOK / (double)larger(num_moves, 1));
    double temperature = first_temperature;
    for (int64_t done = 0; done < num_moves && total > 0 && !*stop;) {
        int64_t next = smaller(done + MOVES_PER_LOOK, num_moves);
        for (; done < next && total > 0; done++)
            total += move(&p, state, temperature, draws);
        temperature *= cooling;
    }
    for (int64_t item = 0; item < num_items; item++)
        bin_of[item] = p.bin_of[item];
    drop_scratch(room);
    return total;
}
