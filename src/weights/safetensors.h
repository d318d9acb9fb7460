/*
 * The safetensors format (Hugging Face): 8 bytes little-endian N, N bytes of JSON, then the data.
 *
 *     {"__metadata__": {"key": "text", ...},
 *      "name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count from the end of the header. The reader maps the file and believes nothing: every
 * name once, every size as shape and type demand, the data of all tensors laid end to end without
 * gap or overlap up to the last byte of the file.
 */
#ifndef WEIGHTS_SAFETENSORS_H
#define WEIGHTS_SAFETENSORS_H

#include "base/error.h"
#include "weights/stored.h"

#include <stdint.h>

#define SAFETENSORS_MAX_DIMS STORED_MAX_DIMS

struct safetensors;

int safetensors_open(struct safetensors **s, const char *path, struct error *err);
void safetensors_close(struct safetensors *s); /* NULL is fine */
int safetensors_count(const struct safetensors *s);
const struct stored_tensor *safetensors_at(const struct safetensors *s, int index); /* by name */
const struct stored_tensor *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_metadata(const struct safetensors *s, const char *key); /* NULL: none */

/*
 * Writer: open declares all tensors (name, dtype F32 or BF16, dims, shape are read, and copied),
 * then their values follow in that order, in pieces of any size; exactly one of commit or abandon
 * ends it. The target is replaced on commit only. BF16 is rounded to nearest, ties to even.
 */
struct safetensors_writer;

int safetensors_writer_open(struct safetensors_writer **w, const char *path,
                            const struct stored_tensor *tensors, int count,
                            const char *metadata_key, const char *metadata_value,
                            struct error *err); /* both may be NULL */
int safetensors_writer_add(struct safetensors_writer *w, const float *values, int64_t count,
                           struct error *err);
int safetensors_writer_commit(struct safetensors_writer *w, struct error *err);
void safetensors_writer_abandon(struct safetensors_writer *w);

#endif
