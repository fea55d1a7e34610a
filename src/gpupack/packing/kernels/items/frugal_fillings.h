#ifndef GPUPACK_FRUGAL_FILLINGS_H
#define GPUPACK_FRUGAL_FILLINGS_H

#include "../scratch.h"

/* Whether an item fits into what is free of the dimensions. */
static inline bool fits(const int64_t *size, const int64_t *free, int64_t num_dimensions)
{
    for (int64_t d = 0; d < num_dimensions; d++)
        if (size[d] > free[d])
            return false;
    return true;
}

/* Add an item's sizes to the totals, or take them away (sign -1). */
static inline void add(int64_t *totals, const int64_t *size, int64_t num_columns,
                       int64_t sign)
{
    for (int64_t c = 0; c < num_columns; c++)
        totals[c] += sign * size[c];
}

int64_t list_masks(scratch *room, int64_t num_columns, const int64_t *sizes,
                   int64_t num_hard, const int64_t *items, int64_t num_items,
                   const int64_t *capacities, const int64_t *budget,
                   int64_t max_fillings, uint64_t *masks, int64_t *wastes,
                   const volatile int8_t *stop);

#endif
