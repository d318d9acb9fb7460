/*
 * distributed.h by MPI. A fault inside MPI ends all ranks (MPI_ERRORS_ARE_FATAL, its default):
 * there is nothing to save then that the last checkpoint has not.
 */
#include "train/distributed.h"
#include "base/memory.h"

#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MAX_REQUESTS = 256 };

struct distributed_requests {
    MPI_Request list[MAX_REQUESTS];
    int count;
};

/* What the usual launchers tell their processes (Open MPI, MPICH and Intel MPI). MPI_Init without
   one of them would cost everybody's `mome train` its start and its warnings. */
static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

static bool is_launched(void)
{
    for (size_t i = 0; i < sizeof launched / sizeof launched[0]; i++)
        if (getenv(launched[i]))
            return true;
    return false;
}

int distributed_open(struct distributed *d, struct error *err)
{
    int provided = 0;
    *d = (struct distributed){.ranks = 1};
    if (!is_launched())
        return 0;
    d->requests = memory_new(1, sizeof *d->requests);
    if (!d->requests)
        return error_set(err, ERROR_MEMORY, "out of memory");
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &d->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &d->ranks);
    int rc = 0;
    if (provided < MPI_THREAD_FUNNELED)
        rc = error_set(err, ERROR_UNSUPPORTED, "this MPI has no support for threads");
    return distributed_agree(d, rc, err);
}

void distributed_close(struct distributed *d)
{
    if (d->requests)
        MPI_Finalize();
    memory_free(d->requests);
    *d = (struct distributed){0};
}

int distributed_agree(struct distributed *d, int rc, struct error *err)
{
    if (d->ranks < 2)
        return rc;
    int mine = rc ? d->rank : INT_MAX, first = INT_MAX;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == INT_MAX)
        return 0;
    if (d->rank == first)
        err->code = rc;
    MPI_Bcast(err, sizeof *err, MPI_BYTE, first, MPI_COMM_WORLD);
    return err->code;
}

void distributed_sum(struct distributed *d, double *values, int count)
{
    if (d->ranks > 1)
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

/* MPI counts in int: longer ones in pieces. */
static int piece(int64_t left)
{
    return left > INT_MAX ? INT_MAX : (int)left;
}

void distributed_sum_floats(struct distributed *d, float *values, int64_t count)
{
    for (int64_t done = 0; d->ranks > 1 && done < count; done += piece(count - done))
        MPI_Allreduce(MPI_IN_PLACE, values + done, piece(count - done), MPI_FLOAT, MPI_SUM,
                      MPI_COMM_WORLD);
}

void distributed_share(struct distributed *d, void *bytes, size_t size)
{
    int64_t left = (int64_t)size;
    for (char *at = bytes; d->ranks > 1 && left > 0; at += piece(left), left -= piece(left))
        MPI_Bcast(at, piece(left), MPI_BYTE, 0, MPI_COMM_WORLD);
}

void distributed_start_sum(struct distributed *d, float *values, int64_t count)
{
    struct distributed_requests *r = d->requests;
    for (int64_t done = 0; d->ranks > 1 && done < count; done += piece(count - done)) {
        if (r->count == MAX_REQUESTS)
            distributed_wait(d);
        MPI_Iallreduce(MPI_IN_PLACE, values + done, piece(count - done), MPI_FLOAT, MPI_SUM,
                       MPI_COMM_WORLD, &r->list[r->count++]);
    }
}

/* Most MPIs move data only while they are called. */
void distributed_progress(struct distributed *d)
{
    int done;
    if (d->ranks > 1 && d->requests->count)
        MPI_Testall(d->requests->count, d->requests->list, &done, MPI_STATUSES_IGNORE);
}

void distributed_wait(struct distributed *d)
{
    if (d->ranks < 2)
        return;
    MPI_Waitall(d->requests->count, d->requests->list, MPI_STATUSES_IGNORE);
    d->requests->count = 0;
}
