/*
 * Several processes that train one model together: `mpirun -n N mome train CONFIG`. Every process
 * (rank 0 .. N - 1) holds the whole model and makes its share of each batch; sums over all ranks
 * make one step of it.
 *
 * This is all that MPI is used for, and distributed_mpi.c alone sees it; built without MPI,
 * distributed_single.c is there instead: one rank, whose sums are what they are. Every function is
 * collective: all ranks call it, in the same order, from the thread that opened. A lost rank ends
 * the others (mpirun sees to it); training then resumes from the checkpoint.
 */
#ifndef TRAIN_DISTRIBUTED_H
#define TRAIN_DISTRIBUTED_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct distributed {
    int rank, ranks;
    struct distributed_requests *requests; /* owned: sums on their way; NULL without MPI */
};

/* Once in a process. Started without mpirun: one rank, and MPI sleeps. */
int distributed_open(struct distributed *d, struct error *err);
void distributed_close(struct distributed *d); /* also fine on a zeroed struct */

/* All ranks go on with one outcome: rc where it is 0 on every rank, else code and message of the
   lowest rank that has one. */
int distributed_agree(struct distributed *d, int rc, struct error *err);

/* Sums over all ranks, in place. */
void distributed_sum(struct distributed *d, double *values, int count);
void distributed_sum_floats(struct distributed *d, float *values, int64_t count);
/* Rank 0's bytes to all. */
void distributed_share(struct distributed *d, void *bytes, size_t size);

/* The same as distributed_sum_floats while the caller goes on computing: values [count] must be
   left alone until distributed_wait. Several may be on their way; every rank starts them in the
   same order. distributed_progress may be called in between by any rank, as often as it likes. */
void distributed_start_sum(struct distributed *d, float *values, int64_t count);
void distributed_progress(struct distributed *d);
void distributed_wait(struct distributed *d);

#endif
