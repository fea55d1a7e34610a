#ifndef GPUPACK_BIN_RELAXATION_H
#define GPUPACK_BIN_RELAXATION_H

#include "../scratch.h"

void find_multipliers(scratch *room, int64_t num_rows, int64_t num_types,
                      const double *shares, const double *duals, const int64_t *limits,
                      const double *available, double *prices);

#endif
