/* What all kernels share: room to work in, random numbers, sorting. */

#ifndef GPUPACK_SCRATCH_H
#define GPUPACK_SCRATCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Of a function that Python calls; every other stays inside the library. */
#define EXPORTED __attribute__((visibility("default")))

enum { OUT_OF_MEMORY = -1000, MAX_BLOCKS = 64 };

/* Blocks of memory that are given back together when a kernel ends. */
typedef struct {
    void *blocks[MAX_BLOCKS];
    int used;
    jmp_buf is_full;
} scratch;

/* Return the room to a mark, `room->used` as it was then. */
static inline void give_back(scratch *room, int mark)
{
    while (room->used > mark)
        free(room->blocks[--room->used]);
}

static inline void drop_scratch(scratch *room)
{
    give_back(room, 0);
    free(room);
}

/* Return a zeroed block; if there is no memory, the kernel ends (see ROOM_OR_RETURN). */
static inline void *take(scratch *room, int64_t count, size_t size)
{
    void *block = NULL;
    if (room->used < MAX_BLOCKS)
        block = calloc(count > 0 ? (size_t)count : 1, size);
    if (block == NULL)
        longjmp(room->is_full, 1);
    room->blocks[room->used++] = block;
    return block;
}

static inline int64_t *take_integers(scratch *room, int64_t count)
{
    return take(room, count, sizeof(int64_t));
}

static inline double *take_reals(scratch *room, int64_t count)
{
    return take(room, count, sizeof(double));
}

/* Declare `room`; the kernel returns OUT_OF_MEMORY wherever `take` fails. */
#define ROOM_OR_RETURN(room)                       \
    scratch *room = calloc(1, sizeof(scratch));    \
    if (room == NULL)                              \
        return OUT_OF_MEMORY;                      \
    if (setjmp(room->is_full)) {                   \
        drop_scratch(room);                        \
        return OUT_OF_MEMORY;                      \
    }

static inline int64_t smaller(int64_t one, int64_t other)
{
    return other < one ? other : one;
}

static inline int64_t larger(int64_t one, int64_t other)
{
    return other > one ? other : one;
}

static inline double lesser(double one, double other)
{
    return other < one ? other : one;
}

static inline double greater(double one, double other)
{
    return other > one ? other : one;
}

/* xorshift64*: the state is one number, not 0 (Vigna, 2016). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (x * UINT64_C(2685821657736338717)) >> 33;
}

static inline int64_t random_below(uint64_t *state, int64_t limit)
{
    return (int64_t)(next_random(state) % (uint64_t)limit);
}

/* Sort items by rising keys, equal ones by number; both in place (shell sort). */
static inline void sort_by_key(double *keys, int64_t *items, int64_t count)
{
    int64_t gap = 1;
    while (3 * gap + 1 < count)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) {
        for (int64_t at = gap; at < count; at++) {
            double key = keys[at];
            int64_t item = items[at], to = at;
            while (to >= gap && (keys[to - gap] > key ||
                                 (keys[to - gap] == key && items[to - gap] > item))) {
                keys[to] = keys[to - gap];
                items[to] = items[to - gap];
                to -= gap;
            }
            keys[to] = key;
            items[to] = item;
        }
    }
}

#endif
