/* Lists fillings that waste little (see frugal_fillings.py). */

#include "frugal_fillings.h"

#include <string.h>

enum { NODES_PER_FILLING = 20 };

static bool is_within(const int64_t *wastes, const int64_t *budget, int64_t num_columns)
{
    return fits(wastes, budget, num_columns);
}

/* List all fillings of up to 64 items that waste at most the budget, as bits.

   Returns how many; -1 if there are too many, or the search is to stop. */
int64_t list_masks(scratch *room, int64_t num_columns, const int64_t *sizes,
                   int64_t num_hard, const int64_t *items, int64_t num_items,
                   const int64_t *capacities, const int64_t *budget,
                   int64_t max_fillings, uint64_t *masks, int64_t *wastes,
                   const volatile int8_t *stop)
{
    int mark = room->used;
    int64_t *rest = take_integers(room, (num_items + 1) * num_columns);
    int64_t *chosen = take_integers(room, num_items + 1);
    int64_t *free = take_integers(room, num_columns);
    for (int64_t at = num_items - 1; at >= 0; at--)
        for (int64_t c = 0; c < num_columns; c++)
            rest[at * num_columns + c] = rest[(at + 1) * num_columns + c] +
                                         sizes[items[at] * num_columns + c];
    memcpy(free, capacities, (size_t)num_columns * sizeof *free);
    uint64_t mask = 0;
    int64_t depth = 0, at = 0, found = 0, nodes = 0;
    while (true) {
        if (++nodes > NODES_PER_FILLING * max_fillings || *stop) {
            found = -1;
            break;
        }
        while (at < num_items && !fits(sizes + items[at] * num_columns, free, num_hard))
            at++;
        for (int64_t c = 0; c < num_columns; c++) {
            if (free[c] - rest[at * num_columns + c] > budget[c]) {
                at = num_items;
                break;
            }
        }
        if (at < num_items) {
            chosen[depth++] = at;
            mask |= UINT64_C(1) << at;
            add(free, sizes + items[at] * num_columns, num_columns, -1);
            if (is_within(free, budget, num_columns)) {
                if (found == max_fillings) {
                    found = -1;
                    break;
                }
                masks[found] = mask;
                memcpy(wastes + found * num_columns, free,
                       (size_t)num_columns * sizeof *free);
                found++;
            }
            at++;
            continue;
        }
        if (depth == 0)
            break;
        at = chosen[--depth];
        mask &= ~(UINT64_C(1) << at);
        add(free, sizes + items[at] * num_columns, num_columns, 1);
        at++;
    }
    give_back(room, mark);
    return found;
}

/* Return the first item from `low` on whose first size is at most that; they fall. */
static int64_t first_at_most(int64_t num_columns, const int64_t *sizes, int64_t low,
                             int64_t num_items, int64_t size)
{
    int64_t high = num_items;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (sizes[middle * num_columns] > size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether items from `at` on may leave at most the budget of what is free. */
static bool can_fill(int64_t num_items, int64_t num_columns, const int64_t *sizes,
                     const int64_t *rest, const int64_t *least, int64_t at,
                     const int64_t *free, const int64_t *budget)
{
    int64_t most = num_items - at;
    for (int64_t c = 0; c < num_columns; c++) {
        if (free[c] - rest[at * num_columns + c] > budget[c])
            return false;
        if (least[at * num_columns + c] > 0)
            most = smaller(most, free[c] / least[at * num_columns + c]);
    }
    /* The first column falls from item to item, so its next entry is the largest. */
    return most > 0 && free[0] - most * sizes[at * num_columns] <= budget[0];
}

/* List all fillings that waste at most the budget; the first column must fall.

   Returns how many; -1 if there are too many to list, or the entry of `stop` is not
   0. */
EXPORTED int64_t list_frugal(int64_t num_items, int64_t num_columns, const int64_t *sizes,
                    const int64_t *type_of, const int64_t *capacities,
                    const int64_t *budget, int64_t node_limit, int64_t max_fillings,
                    int64_t longest, int16_t *members, int64_t *lengths,
                    const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    int64_t *rest = take_integers(room, (num_items + 1) * num_columns);
    int64_t *least = take_integers(room, (num_items + 1) * num_columns);
    int64_t *chosen = take_integers(room, longest + 1);
    int64_t *free = take_integers(room, num_columns);
    memcpy(free, capacities, (size_t)num_columns * sizeof *free);
    for (int64_t c = 0; c < num_columns; c++) {
        least[num_items * num_columns + c] = capacities[c] + 1;
        for (int64_t at = num_items - 1; at >= 0; at--) {
            int64_t here = at * num_columns + c, after = here + num_columns;
            rest[here] = rest[after] + sizes[here];
            least[here] = smaller(least[after], sizes[here]);
        }
    }
    int64_t depth = 0, at = 0, found = 0, nodes = 0;
    while (true) {
        if (++nodes > node_limit || *stop) {
            found = -1;
            break;
        }
        at = first_at_most(num_columns, sizes, at, num_items, free[0]);
        while (at < num_items &&
               can_fill(num_items, num_columns, sizes, rest, least, at, free, budget) &&
               !fits(sizes + at * num_columns, free, num_columns)) {
            at++;
            nodes++;
        }
        if (at < num_items &&
            can_fill(num_items, num_columns, sizes, rest, least, at, free, budget)) {
            if (depth == longest) {
                found = -1;
                break;
            }
            chosen[depth++] = at;
            add(free, sizes + at * num_columns, num_columns, -1);
            if (is_within(free, budget, num_columns)) {
                if (found == max_fillings) {
                    found = -1;
                    break;
                }
                for (int64_t number = 0; number < depth; number++)
                    members[found * longest + number] = (int16_t)chosen[number];
                lengths[found++] = depth;
            }
            at++;
            continue;
        }
        if (depth == 0)
            break;
        at = chosen[--depth];
        add(free, sizes + at * num_columns, num_columns, 1);
        /* Another item of the same type would only repeat what was listed. */
        int64_t kind = type_of[at];
        while (at < num_items && type_of[at] == kind)
            at++;
    }
    drop_scratch(room);
    return found;
}
