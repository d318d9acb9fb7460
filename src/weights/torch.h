/*
 * PyTorch checkpoints (.pt .pth .bin .ckpt), the zip format and the older one before it.
 *
 *     zip       NAME/data.pkl      a pickle of the object, tensors as references to storages
 *               NAME/data/KEY      each storage's bytes, stored, never compressed
 *               NAME/byteorder, NAME/version
 *     older     five pickles one after the other: magic number, protocol, system, the object, the
 *               list of storage keys; then each storage, int64 number of elements and its bytes
 *
 * The pickle is read by a machine that knows an allow-list of opcodes and classes and runs nothing
 * (weights/pickle.h). What it does not know (configurations, callbacks) is passed over.
 *
 * Names: nested dictionaries are flattened, keys joined with "."; a whole pickled module gives its
 * parameters and buffers by their dotted paths. Where the outermost dictionary has "model"
 * (fairseq), "state_dict" (Lightning) or "model_state_dict" (OpenAI Whisper), the tensors are those
 * in it and their names are without that prefix. Optimizer states are passed over.
 *
 * Data is in the mapped file; only tensors that are not contiguous there are copied. Types other
 * than float32, float16, bfloat16 are DTYPE_OTHER.
 */
#ifndef WEIGHTS_TORCH_H
#define WEIGHTS_TORCH_H

#include "base/error.h"
#include "weights/stored.h"

#include <stdbool.h>
#include <stddef.h>

struct torch;

/* By the first bytes: a zip archive, or the older format's first pickle. */
bool torch_sniff(const unsigned char *bytes, size_t size);

int torch_open(struct torch **t, const char *path, struct error *err);
/* The same of a file in memory, which outlives it; `path` is for messages. */
int torch_read(struct torch **t, const unsigned char *bytes, size_t size, const char *path,
               struct error *err);
void torch_close(struct torch *t); /* NULL is fine */
int torch_count(const struct torch *t);
const struct stored_tensor *torch_at(const struct torch *t, int index);          /* by name */
const struct stored_tensor *torch_find(const struct torch *t, const char *name); /* or NULL */

/* Numbers and texts of the file's dictionaries by their dotted path ("dims.n_mels", "epoch",
   "cfg.model.encoder_layers"), at most a few thousand. */
const char *torch_text(const struct torch *t, const char *key);           /* NULL: none */
bool torch_number(const struct torch *t, const char *key, double *value); /* bools: 0, 1 */

#endif
