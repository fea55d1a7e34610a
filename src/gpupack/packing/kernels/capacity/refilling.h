#ifndef GPUPACK_REFILLING_H
#define GPUPACK_REFILLING_H

#include "../scratch.h"

#define TINY 1e-9

/* What can be filled in; refilling.py says what each array holds. */
typedef struct {
    int64_t num_bins, num_dimensions, num_jobs, num_options;
    const int64_t *bin_type;
    const double *capacity, *weights;
    const int64_t *options, *starts, *job;
    const double *fixed, *loaded, *gain, *bonus, *worth, *must;
    const int64_t *least, *most;
    const uint8_t *whole;
} choices;

/* What is filled in: slots by bin, and by job the share unmet and the copies. */
typedef struct {
    int64_t num_slots_of_bin;
    int64_t *option, *number;
    double *load;
    int64_t *num_slots;
    double *left;
    int64_t *copies;
} filling;

/* Where jobs have copies, what room is free, and what was shifted in one move. */
typedef struct {
    int64_t num_dimensions;
    double *room;                     /* by bin and dimension */
    int64_t *first, *next, *previous; /* lists of a job's slots; -1 ends them */
    int64_t *queue, *entry, *origin;  /* bins reached; slots that load enters and left */
    uint64_t *reached, search;        /* by bin, the last search that came there */
    int64_t num_shifted;              /* slots shifted, with their loads and the */
    int64_t *shifted;                 /* room of their bins before */
    double *load_before, *room_before;
} shifting;

shifting *start_shifting(scratch *room, const choices *c, const filling *f);
void list_copies(const choices *c, const filling *f, shifting *s, int64_t bin);
void unlist_copies(const choices *c, const filling *f, shifting *s, int64_t bin);
double shift_loads(const choices *c, const filling *f, shifting *s);
void undo_shifts(const filling *f, shifting *s);

#endif
