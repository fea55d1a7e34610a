#ifndef GPUPACK_PATTERN_BOUNDS_H
#define GPUPACK_PATTERN_BOUNDS_H

#include "../scratch.h"

#define TINY 1e-12

/* What can be put into the bin; pattern_bounds.py says what each array holds. */
typedef struct {
    int64_t num_options, num_jobs;
    int64_t num_sizes;      /* dimensions of the sizes in full */
    int64_t num_dimensions; /* that can bind, with shares of room */
    const int64_t *job, *first, *sizes, *capacity;
    const double *fixed, *loaded;
    const int64_t *most;
    const double *share, *per_load, *per_copy;
    const uint8_t *whole;
    const double *bonus;
    const int64_t *wanted, *limit;
} market;

/* Copies decided on, what they leave, and what further ones could be. */
typedef struct {
    int64_t *counts;   /* copies, by option */
    int64_t *held;     /* copies, by job */
    int64_t *free;     /* room left by the copies in full, in integers */
    double *room;      /* and in shares */
    int64_t *copies;   /* how many still fit, by option */
    double *part;      /* how much load of them */
    uint8_t *is_taken; /* for lagrangian_bound to work with */
    uint8_t *is_plain; /* by job: its copies earn nothing but by what they serve */
    double *space;     /* shares of the bin without what full jobs take (see search) */
    double kept;       /* what those are worth */
    int64_t num_partial; /* jobs that may yet serve less than their one option could */
} state;

state new_state(scratch *room, const market *m);
bool fits_in_full(const market *m, const state *s, int64_t index, int64_t number);
void look_ahead(const market *m, const state *s, int64_t start);
double lagrangian_bound(const market *m, const state *s, int64_t start,
                        const double *prices, double *slope);
double lowest_bound(const market *m, const state *s, int64_t start, double *prices,
                    double enough, int64_t num_steps, double *slope, double *trial);
double table_bound(const market *m, const state *s, int64_t start,
                   const double *prices, const double *table, int64_t grid,
                   int64_t dimension);

#endif
