/*
 * A file of weights, whatever its format: sniffed by its first bytes, mapped, its tensors found by
 * name. Nothing is copied that need not be. Formats:
 *
 *     safetensors   one file; or a folder or *.index.json of shards (Hugging Face)
 *     GGUF          v2, v3 (llama.cpp)
 *     torch         PyTorch's zip and its older format: .pt .pth .bin .ckpt; also pytorch_model.bin
 *                   shards by index
 *     ggml          whisper.cpp's .bin
 *     ct2           CTranslate2's model.bin (faster-whisper)
 *
 * A folder: model.safetensors, model.safetensors.index.json, pytorch_model.bin(.index.json),
 * model.bin, or a single *.gguf in it, the first of these that is there.
 *
 * Shapes are row-major, outermost first, in every format (GGUF and ggml list them the other way
 * round). Every reader assumes an enemy: what it hands out lies inside the file, sizes multiply
 * without overflow, names are unique, printable and at most 512 bytes.
 */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include "base/error.h"
#include "weights/stored.h"

#include <stdbool.h>

enum weights_format {
    WEIGHTS_SAFETENSORS,
    WEIGHTS_GGUF,
    WEIGHTS_TORCH,
    WEIGHTS_GGML,
    WEIGHTS_CT2,
    WEIGHTS_FORMATS
};

struct weights;

/* A file that is none of these: the error says what it looks like ("this is a tokenizer, ...", "an
   HTML page", "a Git LFS pointer, not the file itself", "empty", "a picture"). */
int weights_open(struct weights **w, const char *path, struct error *err);
void weights_close(struct weights *w); /* NULL is fine */

enum weights_format weights_format(const struct weights *w);
const char *weights_format_name(enum weights_format f); /* "safetensors" "GGUF" ... */
const char *weights_path(const struct weights *w); /* where a folder was named: of the file in it */
int64_t weights_bytes(const struct weights *w);    /* of all its tensors as stored */

int weights_count(const struct weights *w);
const struct stored_tensor *weights_at(const struct weights *w, int index);          /* by name */
const struct stored_tensor *weights_find(const struct weights *w, const char *name); /* or NULL */
/* All of it is about to be read: the system may begin to read ahead. */
void weights_expect(const struct weights *w);
/* The tensor was copied: what of it lies in a mapped file need not stay in memory. It can still be
   read. */
void weights_forget(const struct weights *w, const struct stored_tensor *t);

/*
 * What the file says besides: GGUF's key-values by their keys; safetensors' __metadata__; ggml's
 * header as n_mels, n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, n_text_..., ftype; the
 * numbers and texts of a torch file's outermost dictionaries by their path ("epoch",
 * "hyper_parameters.lr"), at most a few thousand; ct2's settings ("encoder/num_heads") and its
 * "specification". A text value is valid until weights_close.
 */
const char *weights_text(const struct weights *w, const char *key);           /* NULL: none */
bool weights_number(const struct weights *w, const char *key, double *value); /* bools: 0, 1 */

/* The keys of one file, to list them (none of a torch file or of shards). */
int weights_key_count(const struct weights *w);
const char *weights_key_at(const struct weights *w, int index);

/* Arrays: GGUF's (tokenizer.ggml.tokens, .scores, .token_type, .merges) and the vocabulary that
   ggml's .bin carries ("tokens"). Strings may hold any bytes. */
struct weights_array;
const struct weights_array *weights_array(const struct weights *w, const char *key);
int64_t weights_array_count(const struct weights_array *a);
bool weights_array_is_text(const struct weights_array *a);
const char *weights_array_text(const struct weights_array *a, int64_t i, size_t *length);
double weights_array_number(const struct weights_array *a, int64_t i);

#endif
