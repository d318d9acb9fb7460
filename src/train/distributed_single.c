/* One rank: for builds without MPI (CMakeLists.txt chooses). */
#include "train/distributed.h"

#include <stdlib.h>

/* What the usual launchers tell their processes. */
static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

int distributed_open(struct distributed *d, struct error *err)
{
    *d = (struct distributed){.ranks = 1};
    for (size_t i = 0; i < sizeof launched / sizeof launched[0]; i++) {
        const char *ranks = getenv(launched[i]);
        if (ranks && atoi(ranks) > 1)
            return error_set(err, ERROR_UNSUPPORTED,
                             "this mome was built without MPI: install libopenmpi-dev and build "
                             "again, or start it without mpirun");
    }
    return 0;
}

void distributed_close(struct distributed *d)
{
    *d = (struct distributed){0};
}

int distributed_agree(struct distributed *d, int rc, struct error *err)
{
    (void)d;
    (void)err;
    return rc;
}

void distributed_sum(struct distributed *d, double *values, int count)
{
    (void)d;
    (void)values;
    (void)count;
}

void distributed_sum_floats(struct distributed *d, float *values, int64_t count)
{
    (void)d;
    (void)values;
    (void)count;
}

void distributed_share(struct distributed *d, void *bytes, size_t size)
{
    (void)d;
    (void)bytes;
    (void)size;
}

void distributed_start_sum(struct distributed *d, float *values, int64_t count)
{
    (void)d;
    (void)values;
    (void)count;
}

void distributed_progress(struct distributed *d)
{
    (void)d;
}

void distributed_wait(struct distributed *d)
{
    (void)d;
}
