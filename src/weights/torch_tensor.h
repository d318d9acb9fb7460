/*
 * A pickled tensor: what to call to make it again, and with what.
 *
 *     _rebuild_tensor(storage, offset, shape, strides)
 *     _rebuild_tensor_v2(..., requires_grad, hooks)    _rebuild_tensor_v3(..., dtype)
 *     _rebuild_parameter(tensor, ...)                  _rebuild_from_type_v2(builder, type, args,
 * ...)
 *
 * Offset and strides count elements. It is believed when its first and its last element lie in the
 * storage. Source: torch/_utils.py.
 */
#ifndef WEIGHTS_TORCH_TENSOR_H
#define WEIGHTS_TORCH_TENSOR_H

#include "base/memory.h"
#include "weights/torch_file.h"

struct torch_tensor {
    const struct torch_element *element;
    int dims;
    int64_t shape[STORED_MAX_DIMS];
    const unsigned char *data; /* contiguous, in the file or in `own` */
    uint64_t room;             /* bytes from data on */
};

/* The arguments of _rebuild_tensor in whatever is around it; NULL: v is no tensor. */
const struct pickle_value *torch_tensor_args(const struct pickle_value *v);
/* A tensor that is not contiguous in its storage is copied to `own`. `name` is for messages. */
int torch_tensor_read(struct torch_tensor *t, const struct torch_file *f, struct arena *own,
                      const struct pickle_value *args, const char *name, struct error *err);

/* As arena_alloc; NULL where there is not so much. */
void *torch_own(struct arena *own, uint64_t bytes);
bool torch_class_is(const struct pickle_value *class, const char *name);

#endif
