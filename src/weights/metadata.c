#include "weights/metadata.h"
#include "base/memory.h"
#include "weights/tensor_list.h"

#include <stdlib.h>
#include <string.h>

int number_bytes(enum number_type type)
{
    switch (type) {
    case NUMBER_U8:
    case NUMBER_I8:
    case NUMBER_BOOL:
        return 1;
    case NUMBER_U16:
    case NUMBER_I16:
        return 2;
    case NUMBER_U32:
    case NUMBER_I32:
    case NUMBER_F32:
        return 4;
    case NUMBER_U64:
    case NUMBER_I64:
    case NUMBER_F64:
        return 8;
    }
    return 0;
}

double number_read(enum number_type type, const unsigned char *bytes)
{
    struct cursor c = {.bytes = bytes, .size = 8};
    uint32_t word;
    uint64_t big;
    float single;
    double value;
    switch (type) {
    case NUMBER_U8:
        return cursor_u8(&c);
    case NUMBER_I8:
        return (int8_t)cursor_u8(&c);
    case NUMBER_BOOL:
        return cursor_u8(&c) != 0;
    case NUMBER_U16:
        return cursor_u16(&c);
    case NUMBER_I16:
        return (int16_t)cursor_u16(&c);
    case NUMBER_U32:
        return cursor_u32(&c);
    case NUMBER_I32:
        return (int32_t)cursor_u32(&c);
    case NUMBER_F32:
        word = cursor_u32(&c);
        memcpy(&single, &word, sizeof single);
        return (double)single;
    case NUMBER_U64:
        return (double)cursor_u64(&c);
    case NUMBER_I64:
        return (double)(int64_t)cursor_u64(&c);
    case NUMBER_F64:
        big = cursor_u64(&c);
        memcpy(&value, &big, sizeof value);
        return value;
    }
    return 0;
}

void metadata_init(struct metadata *m, const char *path)
{
    *m = (struct metadata){.path = path};
}

void metadata_release(struct metadata *m)
{
    for (int i = 0; i < m->count; i++) {
        memory_free(m->entries[i].key);
        memory_free(m->entries[i].text);
        memory_free(m->entries[i].array.texts);
    }
    memory_free(m->entries);
    *m = (struct metadata){0};
}

static char *copy_bytes(const char *bytes, size_t length)
{
    char *copy = memory_new(length + 1, 1);
    if (copy && length)
        memcpy(copy, bytes, length);
    return copy;
}

static int grow(struct metadata *m, struct error *err)
{
    if (m->count == METADATA_LIMIT)
        return error_set(err, ERROR_LIMIT, "%s: more than %d keys of metadata", m->path,
                         METADATA_LIMIT);
    if (m->count < m->capacity)
        return 0;
    int capacity = m->capacity ? 2 * m->capacity : 32;
    struct metadata_entry *entries = memory_new((size_t)capacity, sizeof *entries);
    if (!entries)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", m->path);
    if (m->count)
        memcpy(entries, m->entries, sizeof *entries * (size_t)m->count);
    memory_free(m->entries);
    m->entries = entries;
    m->capacity = capacity;
    return 0;
}

/* A new entry with this key, NULL: err is set. */
static struct metadata_entry *append(struct metadata *m, const char *key, size_t length,
                                     struct error *err)
{
    if (!tensor_name_is_good(key, length)) {
        error_set(err, ERROR_FORMAT, "%s: a key of the metadata is empty, too long or not text",
                  m->path);
        return NULL;
    }
    if (grow(m, err) != 0)
        return NULL;
    struct metadata_entry *e = &m->entries[m->count];
    e->key = copy_bytes(key, length);
    if (!e->key) {
        error_set(err, ERROR_MEMORY, "%s: out of memory", m->path);
        return NULL;
    }
    m->count++;
    return e;
}

int metadata_add_text(struct metadata *m, const char *key, size_t key_length, const char *text,
                      size_t length, struct error *err)
{
    struct metadata_entry *e = append(m, key, key_length, err);
    if (!e)
        return err->code;
    e->text = copy_bytes(text, length);
    return e->text ? 0 : error_set(err, ERROR_MEMORY, "%s: out of memory", m->path);
}

int metadata_add_number(struct metadata *m, const char *key, size_t key_length, double value,
                        struct error *err)
{
    struct metadata_entry *e = append(m, key, key_length, err);
    if (!e)
        return err->code;
    e->is_number = true;
    e->number = value;
    return 0;
}

int metadata_add_array(struct metadata *m, const char *key, size_t key_length,
                       const struct weights_array *array, struct error *err)
{
    struct metadata_entry *e = append(m, key, key_length, err);
    if (!e) {
        memory_free(array->texts);
        return err->code;
    }
    e->is_array = true;
    e->array = *array;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct metadata_entry *)a)->key, ((const struct metadata_entry *)b)->key);
}

int metadata_finish(struct metadata *m, struct error *err)
{
    if (m->count)
        qsort(m->entries, (size_t)m->count, sizeof *m->entries, by_key);
    for (int i = 1; i < m->count; i++)
        if (by_key(&m->entries[i - 1], &m->entries[i]) == 0)
            return error_set(err, ERROR_FORMAT, "%s: the metadata's %s is there twice", m->path,
                             m->entries[i].key);
    return 0;
}

const struct metadata_entry *metadata_find(const struct metadata *m, const char *key)
{
    struct metadata_entry wanted = {.key = (char *)key};
    return m->count ? bsearch(&wanted, m->entries, (size_t)m->count, sizeof wanted, by_key) : NULL;
}
