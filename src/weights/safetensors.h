/*
 * The safetensors format (Hugging Face): 8 bytes little-endian N, N bytes of JSON, then the data.
 *
 *     {"__metadata__": {"key": "text", ...},
 *      "name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count from the end of the header. The reader believes nothing: every name once, every
 * size as shape and type demand, the data of all tensors laid end to end without gap or overlap up
 * to the last byte of the file.
 *
 * Block types are ours: such a tensor is a "U8" of [..., bytes of a row], and the text "mome.types"
 * of the metadata says which: {"name": "Q8_0", ...}. The reader gives type and width back.
 */
#ifndef WEIGHTS_SAFETENSORS_H
#define WEIGHTS_SAFETENSORS_H

#include "base/error.h"
#include "weights/metadata.h"
#include "weights/stored.h"
#include "weights/tensor_list.h"

#include <stdint.h>

#define SAFETENSORS_TYPES_KEY "mome.types"

bool safetensors_sniff(const unsigned char *bytes, size_t size);

/* Both lists are initialised and not yet finished; they refer to the bytes. */
int safetensors_read(struct tensor_list *tensors, struct metadata *metadata,
                     const unsigned char *bytes, size_t size, struct error *err);

/*
 * Writer: open declares all tensors (name, dtype, dims, shape are read, and copied), then their
 * numbers follow in that order, in pieces of any size; exactly one of commit or abandon ends it.
 * The target is replaced on commit only. Any dtype but DTYPE_OTHER; add converts from float32 to
 * F32, F16, BF16, Q8_0, Q4_0 (whole blocks in each piece), add_stored takes the bytes as they are.
 */
struct safetensors_writer;

int safetensors_writer_open(struct safetensors_writer **w, const char *path,
                            const struct stored_tensor *tensors, int count,
                            const char *metadata_key, const char *metadata_value,
                            struct error *err); /* both may be NULL */
int safetensors_writer_add(struct safetensors_writer *w, const float *values, int64_t count,
                           struct error *err);
int safetensors_writer_add_stored(struct safetensors_writer *w, const unsigned char *bytes,
                                  int64_t size, struct error *err);
int safetensors_writer_commit(struct safetensors_writer *w, struct error *err);
void safetensors_writer_abandon(struct safetensors_writer *w);

#endif
