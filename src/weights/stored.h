/* One tensor of a file of weights, as it is stored. */
#ifndef WEIGHTS_STORED_H
#define WEIGHTS_STORED_H

#include "base/error.h"
#include "tensor/dtype.h"

#include <stddef.h>
#include <stdint.h>

#define STORED_MAX_DIMS 8
#define STORED_MAX_NAME 512

struct stored_tensor {
    const char *name;
    enum dtype dtype;
    int dims;
    int64_t shape[STORED_MAX_DIMS];
    int64_t count;             /* product of shape; 1 for a scalar */
    int64_t bytes;             /* as stored */
    const unsigned char *data; /* contiguous, mapped or owned by the reader, any alignment */
};

/* Elements [start, start + count), whole blocks, as float32. ERROR_UNSUPPORTED for DTYPE_OTHER. */
int stored_read(float *out, const struct stored_tensor *t, int64_t start, int64_t count,
                struct error *err);
/* "PATH: tensor X is 512x80, the configuration says 768x80"; returns ERROR_FORMAT. */
int stored_misshapen(const struct stored_tensor *t, const char *path, int dims,
                     const int64_t *shape, struct error *err);
/* "512x80"; "scalar" without dimensions. */
void stored_shape_text(char *text, size_t room, int dims, const int64_t *shape);

#endif
