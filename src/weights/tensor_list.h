/*
 * The tensors of one file, as every reader collects them: added in any order while every size is
 * checked, then finished: sorted by name, found by binary search, no name twice.
 *
 *     struct tensor_list l;
 *     tensor_list_init(&l, path);
 *     for (...) rc = tensor_list_add(&l, &entry, err);
 *     rc = tensor_list_finish(&l, err);
 *
 * What an entry says is believed only after these checks: its name is 1 to 512 printable bytes
 * (copied), it has at most 8 sizes >= 0 whose product does not overflow, its width is whole blocks
 * of its type, and its bytes are there.
 */
#ifndef WEIGHTS_TENSOR_LIST_H
#define WEIGHTS_TENSOR_LIST_H

#include "base/error.h"
#include "weights/stored.h"

#include <stdbool.h>
#include <stddef.h>

#define TENSOR_LIST_LIMIT (1 << 20) /* tensors */

struct tensor_list {
    const char *path; /* the file's, for messages; the owner's memory */
    struct stored_tensor *items;
    int count, capacity;
};

struct tensor_entry {
    const char *name; /* need not end with a NUL */
    size_t name_length;
    enum dtype dtype;
    int other_block, other_bytes; /* DTYPE_OTHER: other_block numbers take other_bytes; 0 and 0: not
                                     known, the tensor is listed with 0 bytes */
    int dims;
    const int64_t *shape;      /* row-major, outermost first */
    const unsigned char *data; /* stays where it is as long as the list */
    uint64_t room;             /* bytes that there are from data on */
};

void tensor_list_init(struct tensor_list *l, const char *path);
void tensor_list_release(struct tensor_list *l); /* also fine on a zeroed struct */
int tensor_list_add(struct tensor_list *l, const struct tensor_entry *e, struct error *err);
/* A tensor of another list, which must outlive this one; its name is copied. */
int tensor_list_borrow(struct tensor_list *l, const struct stored_tensor *t, struct error *err);
int tensor_list_finish(struct tensor_list *l, struct error *err);
const struct stored_tensor *tensor_list_find(const struct tensor_list *l, const char *name);

/* 1 to STORED_MAX_NAME bytes, none of them a control character. */
bool tensor_name_is_good(const char *name, size_t length);

#endif
