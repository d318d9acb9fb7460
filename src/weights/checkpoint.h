/*
 * A checkpoint: named parameters and one JSON text (configuration, step, random state: whatever the
 * owner wants) in one safetensors file. Written atomically; read by name, with the shape that the
 * reader's configuration demands.
 */
#ifndef WEIGHTS_CHECKPOINT_H
#define WEIGHTS_CHECKPOINT_H

#include "base/error.h"
#include "weights/weights.h"

#include <stdbool.h>
#include <stdint.h>

struct checkpoint_tensor {
    const char *name;
    int dims;
    const int64_t *shape;
    const float *data;
    enum dtype dtype; /* as it is to be stored: F32 F16 BF16 Q8_0 Q4_0 */
};

int checkpoint_save(const char *path, const char *metadata, const struct checkpoint_tensor *tensors,
                    int count, struct error *err);

struct checkpoint;

int checkpoint_open(struct checkpoint **c, const char *path, struct error *err);
void checkpoint_close(struct checkpoint *c);                          /* NULL is fine */
const char *checkpoint_metadata(const struct checkpoint *c);          /* "{}" where there is none */
const struct weights *checkpoint_tensors(const struct checkpoint *c); /* to list them */
bool checkpoint_has(const struct checkpoint *c, const char *name);

/* Copies a tensor to out, converted to float32. Missing, or of another shape: ERROR_FORMAT,
   "FILE: tensor X is 512x80, the configuration says 768x80". Marks it as read. */
int checkpoint_read(struct checkpoint *c, float *out, const char *name, int dims,
                    const int64_t *shape, struct error *err);

/* How many tensors nobody has read, and the name of one of them in *name (NULL: not wanted). */
int checkpoint_unread(const struct checkpoint *c, const char **name);

#endif
