/* Guided ejection search over items in bins (see moves.py). */

#include "../scratch.h"

typedef struct {
    int64_t num_items, num_bins, num_dimensions, most_members;
    const int64_t *sizes; /* (items, dimensions) */
    int64_t *bin_of, *slot_of, *members, *num_members, *free;
} packing;

static const int64_t *size_of(const packing *p, int64_t item)
{
    return p->sizes + item * p->num_dimensions;
}

static int64_t *free_in(const packing *p, int64_t bin)
{
    return p->free + bin * p->num_dimensions;
}

static void remove_item(packing *p, int64_t item)
{
    int64_t bin = p->bin_of[item];
    int64_t *members = p->members + bin * p->most_members;
    int64_t last = members[p->num_members[bin] - 1];
    members[p->slot_of[item]] = last;
    p->slot_of[last] = p->slot_of[item];
    p->num_members[bin]--;
    p->bin_of[item] = -1;
    for (int64_t d = 0; d < p->num_dimensions; d++)
        free_in(p, bin)[d] += size_of(p, item)[d];
}

static void insert_item(packing *p, int64_t item, int64_t bin)
{
    p->bin_of[item] = bin;
    p->slot_of[item] = p->num_members[bin];
    p->members[bin * p->most_members + p->num_members[bin]] = item;
    p->num_members[bin]++;
    for (int64_t d = 0; d < p->num_dimensions; d++)
        free_in(p, bin)[d] -= size_of(p, item)[d];
}

static bool has_room(const packing *p, int64_t item, int64_t bin)
{
    if (p->num_members[bin] >= p->most_members)
        return false;
    for (int64_t d = 0; d < p->num_dimensions; d++)
        if (size_of(p, item)[d] > free_in(p, bin)[d])
            return false;
    return true;
}

static bool can_exchange(const packing *p, int64_t first, int64_t second)
{
    const int64_t *of_source = free_in(p, p->bin_of[first]);
    const int64_t *of_target = free_in(p, p->bin_of[second]);
    for (int64_t d = 0; d < p->num_dimensions; d++) {
        int64_t change = size_of(p, first)[d] - size_of(p, second)[d];
        if (change > of_target[d] || -change > of_source[d])
            return false;
    }
    return true;
}

/* Move and exchange random items where that is feasible. */
static void perturb(packing *p, uint64_t *state, int64_t moves)
{
    for (int64_t move = 0; move < moves; move++) {
        int64_t first = random_below(state, p->num_items);
        int64_t source = p->bin_of[first];
        if (source < 0)
            continue;
        int64_t second = random_below(state, p->num_items);
        int64_t target = p->bin_of[second];
        if (target < 0 || target == source)
            continue;
        if (has_room(p, first, target)) {
            remove_item(p, first);
            insert_item(p, first, target);
        } else if (can_exchange(p, first, second)) {
            remove_item(p, first);
            remove_item(p, second);
            insert_item(p, first, target);
            insert_item(p, second, source);
        }
    }
}

/* Return a random bin with room for the item, -1 if there is none. */
static int64_t bin_with_room(const packing *p, int64_t item, uint64_t *state)
{
    int64_t chosen = -1, seen = 0;
    for (int64_t bin = 0; bin < p->num_bins; bin++)
        if (has_room(p, item, bin) && random_below(state, ++seen) == 0)
            chosen = bin;
    return chosen;
}

typedef struct {
    int64_t bin, first, second; /* -1: no bin, no second item */
} ejected;

/* Whether leaving one item, or two, frees what the item exceeds. */
static bool is_enough(const packing *p, const int64_t *excess, int64_t first,
                      int64_t second)
{
    for (int64_t d = 0; d < p->num_dimensions; d++) {
        int64_t freed = size_of(p, first)[d];
        if (second >= 0)
            freed += size_of(p, second)[d];
        if (freed < excess[d])
            return false;
    }
    return true;
}

/* Choose the least penalized one or two items of a bin that make room, at random. */
static ejected least_penalized(const packing *p, int64_t item,
                               const int64_t *penalties, int64_t *excess,
                               uint64_t *state)
{
    ejected chosen = {-1, -1, -1};
    int64_t best = penalties[item], seen = 0;
    for (int64_t bin = 0; bin < p->num_bins; bin++) {
        const int64_t *members = p->members + bin * p->most_members;
        for (int64_t d = 0; d < p->num_dimensions; d++)
            excess[d] = size_of(p, item)[d] - free_in(p, bin)[d];
        for (int64_t one = 0; one < p->num_members[bin]; one++) {
            int64_t first = members[one];
            if (penalties[first] > best)
                continue;
            bool is_alone = is_enough(p, excess, first, -1);
            /* Two items only where the first is not enough. */
            int64_t end = is_alone ? one + 2 : p->num_members[bin];
            for (int64_t two = one + 1; two < end; two++) {
                int64_t second = is_alone ? -1 : members[two];
                int64_t cost = penalties[first];
                if (!is_alone) {
                    cost += penalties[second];
                    if (cost > best || !is_enough(p, excess, first, second))
                        continue;
                }
                if (cost < best) {
                    best = cost;
                    seen = 0;
                }
                if (cost == best && best < penalties[item] &&
                    random_below(state, ++seen) == 0)
                    chosen = (ejected){bin, first, second};
            }
        }
    }
    return chosen;
}

/* Insert pooled items, ejecting the least penalized, until none is left.

   Returns how many are in the pool after so many rounds, or once the entry of `stop`
   is not 0. */
EXPORTED int64_t eject(int64_t num_items, int64_t num_bins, int64_t num_dimensions,
              int64_t most_members, const int64_t *sizes, int64_t *bin_of,
              int64_t *slot_of, int64_t *members, int64_t *num_members, int64_t *free,
              int64_t *pool, int64_t num_pooled, int64_t *penalties, uint64_t *state,
              int64_t rounds, int64_t moves, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t *excess = take_integers(room, num_dimensions);
    packing p = {num_items, num_bins, num_dimensions, most_members, sizes,
                 bin_of,    slot_of,  members,        num_members,  free};
    for (int64_t round = 0; round < rounds && num_pooled > 0 && !*stop; round++) {
        int64_t item = pool[num_pooled - 1];
        int64_t bin = bin_with_room(&p, item, state);
        if (bin >= 0) {
            insert_item(&p, item, bin);
            num_pooled--;
            continue;
        }
        penalties[item]++;
        ejected out = least_penalized(&p, item, penalties, excess, state);
        if (out.bin >= 0) {
            num_pooled--;
            remove_item(&p, out.first);
            pool[num_pooled++] = out.first;
            if (out.second >= 0) {
                remove_item(&p, out.second);
                pool[num_pooled++] = out.second;
            }
            insert_item(&p, item, out.bin);
        } else {
            /* Let another pooled item try first. */
            int64_t other = random_below(state, num_pooled);
            pool[num_pooled - 1] = pool[other];
            pool[other] = item;
        }
        perturb(&p, state, moves);
    }
    drop_scratch(room);
    return num_pooled;
}
