#include "weights/tensor_list.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void tensor_list_init(struct tensor_list *l, const char *path)
{
    *l = (struct tensor_list){.path = path};
}

void tensor_list_release(struct tensor_list *l)
{
    for (int i = 0; i < l->count; i++)
        memory_free((char *)l->items[i].name);
    memory_free(l->items);
    *l = (struct tensor_list){0};
}

bool tensor_name_is_good(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return length > 0 && length <= STORED_MAX_NAME;
}

/* Appends t with a copy of the name. */
static int append(struct tensor_list *l, const struct stored_tensor *t, const char *name,
                  size_t length, struct error *err)
{
    if (l->count == TENSOR_LIST_LIMIT)
        return error_set(err, ERROR_LIMIT, "%s: more than %d tensors", l->path, TENSOR_LIST_LIMIT);
    if (l->count == l->capacity) {
        int capacity = l->capacity ? 2 * l->capacity : 64;
        struct stored_tensor *items = memory_new((size_t)capacity, sizeof *items);
        if (!items)
            return error_set(err, ERROR_MEMORY, "%s: out of memory", l->path);
        if (l->count)
            memcpy(items, l->items, sizeof *items * (size_t)l->count);
        memory_free(l->items);
        l->items = items;
        l->capacity = capacity;
    }
    char *copy = memory_new(length + 1, 1);
    if (!copy)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", l->path);
    memcpy(copy, name, length);
    l->items[l->count] = *t;
    l->items[l->count++].name = copy;
    return 0;
}

int tensor_list_borrow(struct tensor_list *l, const struct stored_tensor *t, struct error *err)
{
    return append(l, t, t->name, strlen(t->name), err);
}

static int set_shape(struct stored_tensor *t, const struct tensor_entry *e)
{
    t->dims = e->dims;
    t->count = 1;
    if (e->dims < 0 || e->dims > STORED_MAX_DIMS)
        return -1;
    for (int i = 0; i < e->dims; i++) {
        t->shape[i] = e->shape[i];
        if (t->shape[i] < 0 || __builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return -1;
    }
    return t->count <= (int64_t)1 << 60 ? 0 : -1;
}

/* Bytes of so many numbers, in rows of whole blocks; -1: cannot be. */
static int64_t size_in_bytes(const struct stored_tensor *t, const struct tensor_entry *e)
{
    int64_t width = t->dims ? t->shape[t->dims - 1] : 1, bytes;
    int64_t block = t->dtype == DTYPE_OTHER ? e->other_block : dtype_block(t->dtype);
    if (block < 1)
        return 0;
    if (width % block)
        return -1;
    if (t->dtype != DTYPE_OTHER)
        return dtype_bytes(t->dtype, t->count);
    return __builtin_mul_overflow(t->count / block, (int64_t)e->other_bytes, &bytes) ? -1 : bytes;
}

int tensor_list_add(struct tensor_list *l, const struct tensor_entry *e, struct error *err)
{
    struct stored_tensor t = {.dtype = e->dtype, .data = e->data};
    if (!tensor_name_is_good(e->name, e->name_length))
        return error_set(err, ERROR_FORMAT, "%s: a tensor's name is empty, too long or not text",
                         l->path);
    int n = (int)e->name_length;
    if (set_shape(&t, e) != 0)
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %.*s needs a shape of at most %d sizes >= 0", l->path, n,
                         e->name, STORED_MAX_DIMS);
    t.bytes = size_in_bytes(&t, e);
    if (t.bytes < 0) {
        char shape[160];
        stored_shape_text(shape, sizeof shape, t.dims, t.shape);
        return error_set(err, ERROR_FORMAT, "%s: tensor %.*s is %s, which %s cannot be", l->path, n,
                         e->name, shape, dtype_name(t.dtype));
    }
    if ((uint64_t)t.bytes > e->room)
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %.*s lies outside the file: it needs %lld bytes, there are "
                         "%llu (truncated?)",
                         l->path, n, e->name, (long long)t.bytes, (unsigned long long)e->room);
    return append(l, &t, e->name, e->name_length, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct stored_tensor *)a)->name, ((const struct stored_tensor *)b)->name);
}

int tensor_list_finish(struct tensor_list *l, struct error *err)
{
    if (l->count)
        qsort(l->items, (size_t)l->count, sizeof *l->items, by_name);
    for (int i = 1; i < l->count; i++)
        if (by_name(&l->items[i - 1], &l->items[i]) == 0)
            return error_set(err, ERROR_FORMAT, "%s: tensor %s is there twice", l->path,
                             l->items[i].name);
    return 0;
}

const struct stored_tensor *tensor_list_find(const struct tensor_list *l, const char *name)
{
    struct stored_tensor key = {.name = name};
    return l->count ? bsearch(&key, l->items, (size_t)l->count, sizeof key, by_name) : NULL;
}
