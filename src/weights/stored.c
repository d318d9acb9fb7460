#include "weights/stored.h"

#include <stdio.h>

int stored_read(float *out, const struct stored_tensor *t, int64_t start, int64_t count,
                struct error *err)
{
    if (t->dtype == DTYPE_OTHER)
        return error_set(err, ERROR_UNSUPPORTED, "tensor %s is not of a type of numbers", t->name);
    if (start < 0 || count < 0 || start > t->count || count > t->count - start)
        return error_set(err, ERROR_USAGE, "tensor %s has %lld elements only", t->name,
                         (long long)t->count);
    dtype_to_float(out, t->dtype, t->data + dtype_bytes(t->dtype, start), count);
    return 0;
}

void stored_shape_text(char *text, size_t room, int dims, const int64_t *shape)
{
    snprintf(text, room, "scalar");
    size_t used = 0;
    for (int i = 0; i < dims && used < room; i++)
        used +=
            (size_t)snprintf(text + used, room - used, "%s%lld", i ? "x" : "", (long long)shape[i]);
}

int stored_misshapen(const struct stored_tensor *t, const char *path, int dims,
                     const int64_t *shape, struct error *err)
{
    char found[128], wanted[128];
    stored_shape_text(found, sizeof found, t->dims, t->shape);
    stored_shape_text(wanted, sizeof wanted, dims, shape);
    return error_set(err, ERROR_FORMAT, "%s: tensor %.200s is %s, the configuration says %s", path,
                     t->name, found, wanted);
}
