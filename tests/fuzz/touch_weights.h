/* Any bytes as a file of one format: an error, or tensors and metadata of which every byte can be
   read. The reader sees a copy of exactly that size. */
#ifndef TESTS_FUZZ_TOUCH_WEIGHTS_H
#define TESTS_FUZZ_TOUCH_WEIGHTS_H

#include "weights/metadata.h"
#include "weights/tensor_list.h"

#include <stdlib.h>
#include <string.h>

static inline void touch(const void *data, int64_t bytes)
{
    const volatile unsigned char *p = data;
    for (int64_t i = 0; i < bytes; i++)
        (void)p[i];
}

static inline void touch_tensor(const struct stored_tensor *t)
{
    struct error err;
    float values[256];
    int64_t block = t->dtype == DTYPE_OTHER ? 1 : dtype_block(t->dtype);
    int64_t n = (t->count < 256 ? t->count : 256) / block * block;
    touch(t->data, t->bytes);
    touch(t->name, (int64_t)strlen(t->name));
    stored_read(values, t, t->count - n, n, &err);
}

static inline void touch_entry(const struct metadata_entry *e)
{
    const struct weights_array *a = &e->array;
    touch(e->key, (int64_t)strlen(e->key));
    if (e->text)
        touch(e->text, (int64_t)strlen(e->text));
    for (int64_t i = 0; e->is_array && a->texts && i < a->count; i++)
        touch(a->texts[i].data, (int64_t)a->texts[i].length);
    if (e->is_array && !a->texts)
        touch(a->numbers, a->count * number_bytes(a->type));
}

static inline int touch_weights(int (*read)(struct tensor_list *, struct metadata *,
                                            const unsigned char *, size_t, struct error *),
                                const unsigned char *data, size_t size)
{
    struct tensor_list tensors;
    struct metadata metadata;
    struct error err;
    tensor_list_init(&tensors, "fuzz");
    metadata_init(&metadata, "fuzz");
    if (read(&tensors, &metadata, data, size, &err) == 0 &&
        tensor_list_finish(&tensors, &err) == 0 && metadata_finish(&metadata, &err) == 0) {
        for (int i = 0; i < tensors.count; i++)
            touch_tensor(&tensors.items[i]);
        for (int i = 0; i < metadata.count; i++)
            touch_entry(&metadata.entries[i]);
    }
    tensor_list_release(&tensors);
    metadata_release(&metadata);
    return 0;
}

#endif
