/* Exact cover: listed fillings that hold each of the last items once. */

#include <math.h>

#include "../scratch.h"

enum { CELLS_PER_FILLING = 24 }; /* size of the stack of filling lists */

typedef struct {
    int64_t num_fillings, longest, num_items, num_columns;
    const int64_t *members; /* (fillings, longest) */
    const int64_t *lengths;
    const int64_t *wastes; /* (fillings, columns) */
    double *shares;        /* of the budget, per item, by filling */
} cover_problem;

static uint64_t bit_of(int64_t item)
{
    return UINT64_C(1) << (item % 64);
}

/* Return the item left in the fewest fillings; set in how many, and what all cost.

   An item costs at least its share of the cheapest filling that it is in. */
static int64_t scarcest(const cover_problem *p, const int64_t *listed, int64_t start,
                        int64_t end, const uint64_t *lefts, int64_t *counts,
                        double *cheapest, int64_t *fewest, double *cost)
{
    for (int64_t item = 0; item < p->num_items; item++) {
        counts[item] = 0;
        cheapest[item] = INFINITY;
    }
    for (int64_t at = start; at < end; at++) {
        int64_t filling = listed[at];
        for (int64_t number = 0; number < p->lengths[filling]; number++) {
            int64_t item = p->members[filling * p->longest + number];
            counts[item]++;
            cheapest[item] = lesser(cheapest[item], p->shares[filling]);
        }
    }
    int64_t chosen = -1;
    *fewest = INT64_C(1) << 60;
    *cost = 0.0;
    for (int64_t item = 0; item < p->num_items; item++) {
        if (!(lefts[item / 64] & bit_of(item)))
            continue;
        *cost += cheapest[item];
        if (counts[item] < *fewest) {
            chosen = item;
            *fewest = counts[item];
        }
    }
    return chosen;
}

/* Partition up to 128 items into at most `num_out` fillings, by backtracking.

   The item in the fewest fillings is decided next, by the fillings in their order;
   those that waste more than is left of the budget are struck out, and a branch is
   left whose items cannot but waste more.

   Returns how many fillings (0: there is no partition, -1: cut). */
EXPORTED int64_t cover(int64_t num_fillings, int64_t longest, int64_t num_items,
              int64_t num_columns, const int64_t *members, const int64_t *lengths,
              const int64_t *wastes, const int64_t *budget, int64_t node_limit,
              int64_t num_out, int64_t *out, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    cover_problem p = {num_fillings, longest, num_items,
                       num_columns,  members, lengths,
                       wastes,       take_reals(room, num_fillings)};
    uint64_t(*words)[2] = take(room, num_fillings, sizeof *words);
    for (int64_t filling = 0; filling < num_fillings; filling++) {
        for (int64_t number = 0; number < lengths[filling]; number++) {
            int64_t item = members[filling * longest + number];
            words[filling][item / 64] |= bit_of(item);
        }
        for (int64_t c = 0; c < num_columns; c++)
            p.shares[filling] += wastes[filling * num_columns + c] / (budget[c] + 0.5);
        p.shares[filling] /= lengths[filling];
    }
    int64_t num_levels = num_out + 2;
    int64_t *starts = take_integers(room, num_levels);
    int64_t *ends = take_integers(room, num_levels);
    int64_t *next_at = take_integers(room, num_levels);
    int64_t *decided = take_integers(room, num_levels);
    int64_t *budgets = take_integers(room, num_levels * num_columns);
    uint64_t(*lefts)[2] = take(room, num_levels, sizeof *lefts);
    int64_t *counts = take_integers(room, num_items);
    double *cheapest = take_reals(room, num_items);
    int64_t num_cells = CELLS_PER_FILLING * num_fillings;
    int64_t *listed = take_integers(room, num_cells);
    for (int64_t item = 0; item < num_items; item++)
        lefts[0][item / 64] |= bit_of(item);
    for (int64_t c = 0; c < num_columns; c++)
        budgets[c] = budget[c];
    for (int64_t filling = 0; filling < num_fillings; filling++)
        listed[filling] = filling;
    ends[0] = num_fillings;
    int64_t depth = 0, nodes = 0, found;
    bool is_new = true;
    while (true) {
        int64_t start = starts[depth], end = ends[depth];
        int64_t *left_to_waste = budgets + depth * num_columns;
        if (is_new) {
            is_new = false;
            nodes++;
            if (lefts[depth][0] == 0 && lefts[depth][1] == 0) {
                found = depth;
                break;
            }
            if (nodes > node_limit || *stop) {
                found = -1;
                break;
            }
            int64_t fewest;
            double cost, affordable = 1e-9;
            decided[depth] = scarcest(&p, listed, start, end, lefts[depth], counts,
                                      cheapest, &fewest, &cost);
            for (int64_t c = 0; c < num_columns; c++)
                affordable += left_to_waste[c] / (budget[c] + 0.5);
            next_at[depth] = fewest > 0 && cost <= affordable ? start : end;
        }
        int64_t item = decided[depth], at = next_at[depth];
        while (at < end && !(words[listed[at]][item / 64] & bit_of(item)))
            at++;
        if (at >= end || depth == num_out) {
            if (--depth < 0) {
                found = 0;
                break;
            }
            continue;
        }
        next_at[depth] = at + 1;
        int64_t filling = listed[at];
        out[depth] = filling;
        if (2 * end - start > num_cells) {
            found = -1;
            break;
        }
        uint64_t first = words[filling][0], second = words[filling][1];
        lefts[depth + 1][0] = lefts[depth][0] & ~first;
        lefts[depth + 1][1] = lefts[depth][1] & ~second;
        int64_t *left_then = left_to_waste + num_columns;
        for (int64_t c = 0; c < num_columns; c++)
            left_then[c] = left_to_waste[c] - wastes[filling * num_columns + c];
        int64_t kept = end;
        for (int64_t other_at = start; other_at < end; other_at++) {
            int64_t other = listed[other_at];
            if ((words[other][0] & first) | (words[other][1] & second))
                continue;
            bool is_frugal = true;
            for (int64_t c = 0; c < num_columns && is_frugal; c++)
                is_frugal = wastes[other * num_columns + c] <= left_then[c];
            if (is_frugal)
                listed[kept++] = other;
        }
        depth++;
        starts[depth] = end;
        ends[depth] = kept;
        is_new = true;
    }
    drop_scratch(room);
    return found;
}
