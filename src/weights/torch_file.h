/*
 * A PyTorch checkpoint as a container: its pickled object, and the bytes of the storages that the
 * object refers to. Where they are: weights/torch.h. References (PICKLE_REFERENCE):
 *
 *     ("storage", torch.FloatStorage, KEY, device, elements)
 *     ("storage", torch.FloatStorage, KEY, device, elements, None or (KEY2, offset, elements))
 *
 * the second in the older format, whose last part cuts a piece out of the storage.
 * Source: torch/serialization.py. Big-endian files are refused.
 */
#ifndef WEIGHTS_TORCH_FILE_H
#define WEIGHTS_TORCH_FILE_H

#include "base/error.h"
#include "weights/pickle.h"
#include "weights/stored.h"
#include "weights/zip.h"

#define TORCH_MAX_FOLDER 512

struct torch_element {
    const char *storage, *name; /* "FloatStorage", "float32" */
    enum dtype dtype;
    int bytes;
};

/* By the name of a class, "torch.FloatStorage" or "torch.float32"; NULL: not known. */
const struct torch_element *torch_element_find(const struct pickle_value *class);

struct torch_storage {
    const struct torch_element *element;
    const unsigned char *data;
    uint64_t bytes;
};

struct torch_placed; /* a storage of the older format */

struct torch_file {
    const char *path; /* this and the bytes are the caller's, and outlive it */
    const unsigned char *bytes;
    size_t size;
    struct pickle *pickle;
    size_t pickle_bytes;
    struct zip *zip; /* NULL: the older format */
    char folder[TORCH_MAX_FOLDER];
    struct torch_placed *placed; /* [count] by key */
    size_t count;
};

int torch_file_open(struct torch_file *f, const unsigned char *bytes, size_t size, const char *path,
                    struct error *err);
void torch_file_release(struct torch_file *f); /* also fine on a zeroed struct */
int torch_file_storage(const struct torch_file *f, struct torch_storage *s,
                       const struct pickle_value *reference, struct error *err);

#endif
