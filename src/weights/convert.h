/*
 * Any weights as one safetensors file of a chosen type. What changes its type are the matrices of
 * linear layers and tables: two dimensions, at least 32 rows, a width that is a multiple of 32, and
 * no table of positions (such tables are added to activations, and are small). All else (norms,
 * biases, convolutions, positions) becomes F32, or stays F16 or BF16 where it is, unless `type` is
 * F32. Integers and the like (DTYPE_OTHER) are left out and counted.
 *
 * Tensors pass through a buffer of 256 KiB, whatever their size; the target is replaced when all is
 * written. Order in the file: F32, 16-bit types, block types, each by name, so that numbers are
 * aligned.
 */
#ifndef WEIGHTS_CONVERT_H
#define WEIGHTS_CONVERT_H

#include "base/error.h"
#include "weights/weights.h"

struct conversion {
    enum dtype type; /* F32 F16 BF16 Q8_0 Q4_0; DTYPE_OTHER: each tensor keeps the type it has */
    /* Where there are some, what is written is the mean of these and `from` (Izmailov et al. 2018,
       arXiv 1803.05407): each has all that `from` has, in the same shapes. */
    const struct weights *const *others; /* [other_count], borrowed */
    int other_count;
    const char *metadata; /* JSON, as checkpoint_metadata gives it back; NULL: "{}" */
    /* after each piece; bytes of the file's data. Not 0: ERROR_CANCELLED. NULL: not wanted */
    int (*progress)(void *arg, int64_t done, int64_t total);
    void *arg;
    int written, skipped; /* tensors, set by weights_convert */
    int64_t bytes;        /* of data, set by weights_convert */
};

int weights_convert(const char *to, const struct weights *from, struct conversion *c,
                    struct error *err);

#endif
