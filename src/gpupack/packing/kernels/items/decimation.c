/* Belief propagation over fillings, and decimation by it (see exact_cover.py).

   Of the fillings that hold an item exactly one is chosen. An item tells each of them
   how much the others leave it to be wanted (its message); the odds of a filling are
   the product of its items' messages and of a factor for what it wastes. That factor
   falls with the waste at a rate by column, at which the fillings together waste the
   budget. */

#include <math.h>
#include <string.h>

#include "frugal_fillings.h"

enum { STEPS = 1024 }; /* in which waste is told apart, by column */

/* Messages and odds stay where products of `longest` of them neither over- nor
   underflow. */
static const double LEAST = 1e-30, MOST = 1e30;
static const double MAX_STEP = 0.5;    /* of a rate's logarithm, in one sweep */
static const double LEAST_RATE = 1e-6; /* of a unit of waste */
static const double MOST_RATE = 1.5;

typedef struct {
    int64_t count, longest, num_items, num_columns;
    int64_t *numbers; /* as the caller counts the fillings */
    int64_t *members; /* (count, longest) */
    int64_t *lengths;
    int64_t *wastes;  /* (count, columns) */
    double *messages; /* (count, longest) */
    double *odds;
    double *sums;   /* per item: of what its fillings are worth to it */
    double *rates;  /* per column */
    int64_t *units; /* of waste in a step, per column */
    double *powers; /* (columns, STEPS + 1): of the rates */
} fillings;

static fillings copy_of(scratch *room, int64_t count, int64_t longest,
                        int64_t num_items, int64_t num_columns, const int64_t *members,
                        const int64_t *lengths, const int64_t *wastes,
                        const double *messages, const double *rates)
{
    fillings f = {
        .count = count,
        .longest = longest,
        .num_items = num_items,
        .num_columns = num_columns,
        .numbers = take_integers(room, count),
        .members = take_integers(room, count * longest),
        .lengths = take_integers(room, count),
        .wastes = take_integers(room, count * num_columns),
        .messages = take_reals(room, count * longest),
        .odds = take_reals(room, count),
        .sums = take_reals(room, num_items),
        .rates = take_reals(room, num_columns),
        .units = take_integers(room, num_columns),
        .powers = take_reals(room, num_columns * (STEPS + 1)),
    };
    memcpy(f.members, members, (size_t)(count * longest) * sizeof *members);
    memcpy(f.lengths, lengths, (size_t)count * sizeof *lengths);
    memcpy(f.wastes, wastes, (size_t)(count * num_columns) * sizeof *wastes);
    memcpy(f.messages, messages, (size_t)(count * longest) * sizeof *messages);
    memcpy(f.rates, rates, (size_t)num_columns * sizeof *rates);
    for (int64_t at = 0; at < count; at++) {
        f.numbers[at] = at;
        for (int64_t c = 0; c < num_columns; c++)
            f.units[c] = larger(f.units[c], wastes[at * num_columns + c]);
    }
    for (int64_t c = 0; c < num_columns; c++)
        f.units[c] = f.units[c] / STEPS + 1;
    return f;
}

static double factor_of(const fillings *f, int64_t at)
{
    double factor = 1.0;
    for (int64_t c = 0; c < f->num_columns; c++) {
        int64_t step = f->wastes[at * f->num_columns + c] / f->units[c];
        factor *= f->powers[c * (STEPS + 1) + step];
    }
    return factor;
}

/* Send every message once, a quarter of the way (in logarithms) to its new value.

   Undamped, messages of fillings of four items swing three times as far each time. */
static void send(fillings *f)
{
    for (int64_t c = 0; c < f->num_columns; c++) {
        double power = 1.0;
        for (int64_t step = 0; step <= STEPS; step++, power *= f->rates[c])
            f->powers[c * (STEPS + 1) + step] = greater(power, LEAST);
    }
    for (int64_t item = 0; item < f->num_items; item++)
        f->sums[item] = 0.0;
    for (int64_t at = 0; at < f->count; at++) {
        const double *messages = f->messages + at * f->longest;
        const int64_t *members = f->members + at * f->longest;
        double odds = factor_of(f, at);
        for (int64_t number = 0; number < f->lengths[at]; number++)
            odds *= messages[number];
        for (int64_t number = 0; number < f->lengths[at]; number++)
            f->sums[members[number]] += odds / messages[number];
        f->odds[at] = odds;
    }
    for (int64_t at = 0; at < f->count; at++) {
        double *messages = f->messages + at * f->longest;
        const int64_t *members = f->members + at * f->longest;
        double was = f->odds[at], odds = factor_of(f, at);
        for (int64_t number = 0; number < f->lengths[at]; number++) {
            double others = f->sums[members[number]] - was / messages[number];
            double now = 1.0 / greater(others, LEAST), half = sqrt(messages[number] * now);
            messages[number] = lesser(greater(sqrt(messages[number] * half), LEAST), MOST);
            odds *= messages[number];
        }
        f->odds[at] = odds;
    }
}

/* Move the rates to where the fillings waste the budget as they cover the items. */
static void tune_rates(fillings *f, const int64_t *budget, int64_t items_left)
{
    double covered = 0.0;
    for (int64_t at = 0; at < f->count; at++)
        covered += f->odds[at] / (1.0 + f->odds[at]) * (double)f->lengths[at];
    for (int64_t c = 0; c < f->num_columns; c++) {
        double mean = 0.0, square = 0.0, unit = (double)f->units[c];
        for (int64_t at = 0; at < f->count; at++) {
            double waste = (double)f->wastes[at * f->num_columns + c] / unit;
            double chance = f->odds[at] / (1.0 + f->odds[at]);
            mean += chance * waste;
            square += chance * waste * waste;
        }
        mean *= (double)items_left / greater(covered, 1e-9);
        double step = (mean - (double)budget[c] / unit) / (square + 1.0);
        step = lesser(greater(step, -MAX_STEP), MAX_STEP) / 4.0;
        double rate = f->rates[c] * (2.0 - step) / (2.0 + step);
        f->rates[c] = lesser(greater(rate, LEAST_RATE), MOST_RATE);
    }
}

static void settle(fillings *f, const int64_t *budget, int64_t items_left,
                   int64_t sweeps, const volatile int8_t *stop)
{
    for (int64_t sweep = 0; sweep < sweeps && !*stop; sweep++) {
        send(f);
        tune_rates(f, budget, items_left);
    }
}

static bool holds(const fillings *f, int64_t at, const bool *is_taken)
{
    for (int64_t number = 0; number < f->lengths[at]; number++)
        if (is_taken[f->members[at * f->longest + number]])
            return true;
    return false;
}

/* Strike out fillings that hold a taken item or waste more than is left. */
static void strike(fillings *f, const bool *is_taken, const int64_t *budget)
{
    int64_t kept = 0, longest = f->longest, num_columns = f->num_columns;
    for (int64_t at = 0; at < f->count; at++) {
        if (holds(f, at, is_taken) || !fits(f->wastes + at * num_columns, budget, num_columns))
            continue;
        if (kept < at) {
            f->numbers[kept] = f->numbers[at];
            f->lengths[kept] = f->lengths[at];
            f->odds[kept] = f->odds[at];
            memcpy(f->members + kept * longest, f->members + at * longest,
                   (size_t)longest * sizeof *f->members);
            memcpy(f->messages + kept * longest, f->messages + at * longest,
                   (size_t)longest * sizeof *f->messages);
            memcpy(f->wastes + kept * num_columns, f->wastes + at * num_columns,
                   (size_t)num_columns * sizeof *f->wastes);
        }
        kept++;
    }
    f->count = kept;
}

/* Let messages and rates settle; write them, and the odds of every filling. */
EXPORTED int64_t propagate(int64_t count, int64_t longest, int64_t num_items,
                           int64_t num_columns, const int64_t *members,
                           const int64_t *lengths, const int64_t *wastes,
                           const int64_t *budget, int64_t sweeps, double *messages,
                           double *rates, double *odds, const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    fillings f = copy_of(room, count, longest, num_items, num_columns, members, lengths,
                         wastes, messages, rates);
    settle(&f, budget, num_items, sweeps, stop);
    memcpy(messages, f.messages, (size_t)(count * longest) * sizeof *messages);
    memcpy(rates, f.rates, (size_t)num_columns * sizeof *rates);
    memcpy(odds, f.odds, (size_t)count * sizeof *odds);
    drop_scratch(room);
    return 0;
}

/* Choose one likely filling after the other, until at most `enough` may still be.

   Returns how many are chosen; 0 if the search was stopped or no filling is left. */
EXPORTED int64_t decimate(int64_t count, int64_t longest, int64_t num_items,
                          int64_t num_columns, const int64_t *members,
                          const int64_t *lengths, const int64_t *wastes,
                          const int64_t *budget, int64_t sweeps, const double *messages,
                          const double *rates, int64_t enough, double noise,
                          uint64_t *state, int64_t num_out, int64_t *out,
                          const volatile int8_t *stop)
{
    ROOM_OR_RETURN(room)
    fillings f = copy_of(room, count, longest, num_items, num_columns, members, lengths,
                         wastes, messages, rates);
    bool *is_taken = take(room, num_items, sizeof *is_taken);
    int64_t *left_to_waste = take_integers(room, num_columns);
    memcpy(left_to_waste, budget, (size_t)num_columns * sizeof *budget);
    settle(&f, budget, num_items, sweeps, stop);
    int64_t chosen = 0, items_left = num_items;
    while (f.count > enough && chosen < num_out && !*stop) {
        int64_t likeliest = 0;
        double highest = -1.0;
        for (int64_t at = 0; at < f.count; at++) {
            double chance = f.odds[at] / (1.0 + f.odds[at]);
            chance *= 1.0 + noise * (double)next_random(state) * 0x1p-31;
            if (chance > highest) {
                highest = chance;
                likeliest = at;
            }
        }
        out[chosen++] = f.numbers[likeliest];
        for (int64_t number = 0; number < f.lengths[likeliest]; number++)
            is_taken[f.members[likeliest * longest + number]] = true;
        items_left -= f.lengths[likeliest];
        for (int64_t c = 0; c < num_columns; c++)
            left_to_waste[c] -= f.wastes[likeliest * num_columns + c];
        strike(&f, is_taken, left_to_waste);
        settle(&f, left_to_waste, items_left, sweeps, stop);
    }
    bool is_stopped = *stop != 0;
    drop_scratch(room);
    return is_stopped ? 0 : chosen;
}
