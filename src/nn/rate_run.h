/* Neighbouring rows whose requests read at the same rates: where routers or LoRA are one for each
   pair of rates, the rows of a run share theirs. */
#ifndef NN_RATE_RUN_H
#define NN_RATE_RUN_H

#include <stdint.h>

struct rate_run {
    int64_t rows;
    int pair; /* which pair of rates; 0 where nothing differs by it */
};

#endif
