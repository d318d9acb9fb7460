/* The two things that `mome inspect` looks at: a model folder, and any file (or folder) of weights.
   Both print, as text or JSON, or return an error. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "base/error.h"
#include "tensor/dtype.h"

#include <jansson.h>
#include <stdbool.h>

struct inspect_options {
    bool tensors, json;
};

int inspect_model(const char *folder, const struct inspect_options *options, struct error *err);
int inspect_weights(const char *path, const struct inspect_options *options, struct error *err);

/* One tensor: a line of a listing, and an object {name, type, shape, bytes}. */
void inspect_print_tensor(const char *name, enum dtype type, int dims, const int64_t *shape);
json_t *inspect_tensor_json(const char *name, enum dtype type, int dims, const int64_t *shape,
                            int64_t bytes);

#endif
