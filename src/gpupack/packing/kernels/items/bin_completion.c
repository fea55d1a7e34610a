/* Fills bins with little waste, and the last ones exactly (see bin_completion.py).

   Items are rows of sizes. The first `num_hard` columns are dimensions that must not
   overflow; a further column guides the search by the items' values. */

#include <math.h>
#include <string.h>

#include "frugal_fillings.h"

enum {
    MAX_TAIL = 64, /* items that the bits of one word can tell apart */
    FILLINGS_PER_NODE = 256,
    CELLS_PER_FILLING = 12, /* size of the stack of filling lists */
};

static double uniform(uint64_t *state)
{
    uint64_t word = *state;
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    *state = word;
    return (double)(word >> 11) * (1.0 / 9007199254740992.0);
}

typedef struct {
    int64_t num_columns, num_hard;
    const int64_t *sizes;
    const int64_t *type_of;
    const int64_t *capacities;
    int64_t *budget; /* what may still be wasted, by column */
    double *weights; /* of waste, by column */
    const volatile int8_t *stop;
} filling_problem;

static const int64_t *size_of(const filling_problem *p, int64_t item)
{
    return p->sizes + item * p->num_columns;
}

static double cost_of(const filling_problem *p, const int64_t *free)
{
    double cost = 0.0;
    for (int64_t c = 0; c < p->num_columns; c++) {
        cost += p->weights[c] * larger(free[c], 0);
        if (free[c] > p->budget[c])
            cost += 1e3 * p->weights[c] * (free[c] - p->budget[c]);
    }
    return cost;
}

/* Find a cheap filling with the first item of `order`; return its length. */
static int64_t fill(const filling_problem *p, const int64_t *order, int64_t num_left,
                    double accept, int64_t node_limit, int64_t *free, int64_t *chosen,
                    int64_t *best)
{
    memcpy(free, p->capacities, (size_t)p->num_columns * sizeof *free);
    add(free, size_of(p, order[0]), p->num_columns, -1);
    chosen[0] = 0;
    int64_t depth = 1, at = 1, nodes = 0, length = 0;
    double lowest = INFINITY;
    while (true) {
        nodes++;
        while (at < num_left && !fits(size_of(p, order[at]), free, p->num_hard))
            at++;
        if (at < num_left) {
            chosen[depth++] = at;
            add(free, size_of(p, order[at]), p->num_columns, -1);
            at++;
            continue;
        }
        double cost = cost_of(p, free);
        if (cost < lowest) {
            lowest = cost;
            length = depth;
            memcpy(best, chosen, (size_t)depth * sizeof *best);
        }
        if (lowest <= accept || nodes > node_limit || depth == 1 || *p->stop)
            return length;
        at = chosen[--depth];
        add(free, size_of(p, order[at]), p->num_columns, 1);
        /* Another copy of the same type would only repeat what was tried. */
        int64_t kind = p->type_of[order[at]];
        at++;
        while (at < num_left && p->type_of[order[at]] == kind)
            at++;
    }
}

/* Return the item left in the fewest fillings; set in how many. */
static int64_t rarest(const uint64_t *masks, const int64_t *fillings, int64_t start,
                      int64_t end, uint64_t left, int64_t *fewest)
{
    int64_t counts[MAX_TAIL] = {0};
    for (int64_t at = start; at < end; at++) {
        uint64_t mask = masks[fillings[at]];
        for (int64_t item = 0; mask != 0; item++, mask >>= 1)
            counts[item] += mask & 1;
    }
    int64_t chosen = -1;
    *fewest = INT64_C(1) << 60;
    for (int64_t item = 0; item < MAX_TAIL; item++) {
        if ((left >> item & 1) && counts[item] < *fewest) {
            chosen = item;
            *fewest = counts[item];
        }
    }
    return chosen;
}

/* Partition the items into at most `num_out` fillings, by backtracking.

   Returns how many fillings (0: there is no partition, -1: cut). */
static int64_t cover_tail(scratch *room, const filling_problem *p,
                          const uint64_t *masks, const int64_t *wastes,
                          int64_t num_fillings, int64_t num_items, int64_t node_limit,
                          int64_t num_cells, int64_t *fillings, int64_t num_out,
                          int64_t *out)
{
    int mark = room->used;
    int64_t num_columns = p->num_columns, num_levels = num_out + 2;
    int64_t *starts = take_integers(room, num_levels);
    int64_t *ends = take_integers(room, num_levels);
    int64_t *next_at = take_integers(room, num_levels);
    uint64_t *bits = take(room, num_levels, sizeof *bits);
    uint64_t *lefts = take(room, num_levels, sizeof *lefts);
    int64_t *budgets = take_integers(room, num_levels * num_columns);
    for (int64_t item = 0; item < num_items; item++)
        lefts[0] |= UINT64_C(1) << item;
    for (int64_t filling = 0; filling < num_fillings; filling++)
        fillings[filling] = filling;
    ends[0] = num_fillings;
    memcpy(budgets, p->budget, (size_t)num_columns * sizeof *budgets);
    int64_t depth = 0, nodes = 0, found;
    bool is_new = true;
    while (true) {
        int64_t start = starts[depth], end = ends[depth];
        if (is_new) {
            /* A node costs as much as it has fillings to look at. */
            nodes += 1 + (end - start) / FILLINGS_PER_NODE;
            if (lefts[depth] == 0) {
                found = depth;
                break;
            }
            if (nodes > node_limit || *p->stop) {
                found = -1;
                break;
            }
            int64_t fewest;
            int64_t item = rarest(masks, fillings, start, end, lefts[depth], &fewest);
            bits[depth] = UINT64_C(1) << item;
            next_at[depth] = fewest > 0 ? start : end;
            is_new = false;
        }
        int64_t at = next_at[depth];
        while (at < end && !(masks[fillings[at]] & bits[depth]))
            at++;
        if (at >= end || depth == num_out) {
            if (--depth < 0) {
                found = 0;
                break;
            }
            continue;
        }
        next_at[depth] = at + 1;
        int64_t filling = fillings[at];
        out[depth] = filling;
        if (2 * end - start > num_cells) {
            found = -1;
            break;
        }
        int64_t *left_then = budgets + (depth + 1) * num_columns;
        for (int64_t c = 0; c < num_columns; c++)
            left_then[c] =
                budgets[depth * num_columns + c] - wastes[filling * num_columns + c];
        lefts[depth + 1] = lefts[depth] & ~masks[filling];
        int64_t kept = end;
        for (int64_t other_at = start; other_at < end; other_at++) {
            int64_t other = fillings[other_at];
            if (!(masks[other] & masks[filling]) &&
                fits(wastes + other * num_columns, left_then, num_columns))
                fillings[kept++] = other;
        }
        depth++;
        starts[depth] = end;
        ends[depth] = kept;
        is_new = true;
    }
    give_back(room, mark);
    return found;
}

/* Order the items left by falling score, with noise, but the largest first. */
static void order_items(const filling_problem *p, const double *scores,
                        const int64_t *left, int64_t num_left, const double *noises,
                        double *keys, int64_t *order)
{
    for (int64_t at = 0; at < num_left; at++) {
        keys[at] = -scores[left[at]] * noises[p->type_of[left[at]]];
        order[at] = left[at];
    }
    sort_by_key(keys, order, num_left);
    int64_t largest = 0;
    for (int64_t at = 0; at < num_left; at++)
        if (scores[order[at]] > scores[order[largest]])
            largest = at;
    int64_t seed = order[largest];
    memmove(order + 1, order, (size_t)largest * sizeof *order);
    order[0] = seed;
}

/* Try once to pack all items into so many bins; 1 if `bin_of` is a packing, else 0.

   Bins are filled one by one, the largest item left first, each with a cost of at most
   `thrift` times its share of the waste that is left to spend. Once the fillings of
   the items left can be listed, they are searched exactly. Given up once the entry of
   `stop` is not 0. */
EXPORTED int64_t complete(int64_t num_items, int64_t num_columns, const int64_t *sizes,
                 int64_t num_hard, const int64_t *type_of, const double *scores,
                 const int64_t *capacities, int64_t num_bins, double noise,
                 double thrift, int64_t fill_nodes, int64_t max_fillings,
                 int64_t cover_nodes, uint64_t *state, int64_t *bin_of,
                 const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    filling_problem p = {
        num_columns, num_hard,   sizes,
        type_of,     capacities, take_integers(room, num_columns),
        take_reals(room, num_columns),
        stop};
    int64_t num_types = type_of[num_items - 1] + 1, num_left = num_items;
    int64_t num_cells = CELLS_PER_FILLING * max_fillings;
    double *noises = take_reals(room, num_types);
    double *keys = take_reals(room, num_items);
    int64_t *left = take_integers(room, num_items);
    int64_t *order = take_integers(room, num_items);
    int64_t *free = take_integers(room, num_columns);
    int64_t *chosen = take_integers(room, num_items + 1);
    int64_t *best = take_integers(room, num_items + 1);
    uint64_t *masks = take(room, max_fillings, sizeof *masks);
    int64_t *wastes = take_integers(room, max_fillings * num_columns);
    int64_t *fillings = take_integers(room, num_cells);
    int64_t *picked = take_integers(room, num_bins);
    for (int64_t c = 0; c < num_columns; c++)
        p.budget[c] = num_bins * capacities[c];
    for (int64_t item = 0; item < num_items; item++) {
        add(p.budget, size_of(&p, item), num_columns, -1);
        left[item] = item;
    }
    int64_t filled = 0, next_listing = MAX_TAIL;
    bool is_possible = true;
    while (is_possible && num_left > 0 && filled < num_bins && !*stop) {
        int64_t bins_left = num_bins - filled;
        if (num_left <= next_listing) {
            /* If there are too many now, one bin fewer will hardly change that. */
            next_listing = num_left - num_left / 8 - 1;
            int64_t found =
                list_masks(room, num_columns, sizes, num_hard, left, num_left,
                           capacities, p.budget, max_fillings, masks, wastes, stop);
            if (found >= 0) {
                int64_t used =
                    cover_tail(room, &p, masks, wastes, found, num_left, cover_nodes,
                               num_cells, fillings, bins_left, picked);
                for (int64_t number = 0; number < used; number++)
                    for (int64_t at = 0; at < num_left; at++)
                        if (masks[picked[number]] >> at & 1)
                            bin_of[left[at]] = filled + number;
                num_left = used > 0 ? 0 : num_left;
                break;
            }
        }
        double share = 0.0;
        for (int64_t c = 0; c < num_columns; c++) {
            p.weights[c] = 1.0 / (p.budget[c] + 0.02 * capacities[c]);
            share += p.weights[c] * p.budget[c] / bins_left;
        }
        for (int64_t kind = 0; kind < num_types; kind++)
            noises[kind] = 1.0 + noise * (uniform(state) - 0.5);
        order_items(&p, scores, left, num_left, noises, keys, order);
        int64_t length = fill(&p, order, num_left, thrift * share, fill_nodes, free,
                              chosen, best);
        add(p.budget, capacities, num_columns, -1);
        for (int64_t number = 0; number < length; number++) {
            int64_t item = order[best[number]];
            bin_of[item] = filled;
            add(p.budget, size_of(&p, item), num_columns, 1);
            order[best[number]] = -1;
        }
        filled++;
        int64_t kept = 0;
        for (int64_t at = 0; at < num_left; at++)
            if (order[at] >= 0)
                left[kept++] = order[at];
        num_left = kept;
        for (int64_t c = 0; c < num_columns; c++)
            is_possible = is_possible && p.budget[c] >= 0;
    }
    drop_scratch(room);
    return is_possible && num_left == 0;
}
