/*
 * Reader. What is checked, so that the rest of the program can trust a `struct stored_tensor`:
 *   file  = 8 + N + data, N at most 16 MiB and inside the file
 *   JSON  = one object, no key twice, "__metadata__" of strings, else tensors
 *   entry = known dtype, at most 8 dims, all >= 0, product * size = end - begin without overflow
 *   data  = in order of their offsets the tensors follow each other from 0 to the end of the file
 */
#include "weights/safetensors.h"
#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES ((uint64_t)16 << 20)
#define MAX_NAME_BYTES 512

struct safetensors {
    char *path;
    struct file_map map;
    json_t *header;                /* owns the names */
    struct stored_tensor *tensors; /* [count] by name */
    int count;
};

struct format {
    const char *name;
    enum dtype dtype;
    int bytes;
};

static const struct format *format_find(const char *name)
{
    static const struct format formats[] = {
        {"F32", DTYPE_F32, 4},    {"F16", DTYPE_F16, 2},       {"BF16", DTYPE_BF16, 2},
        {"F64", DTYPE_OTHER, 8},  {"I64", DTYPE_OTHER, 8},     {"U64", DTYPE_OTHER, 8},
        {"I32", DTYPE_OTHER, 4},  {"U32", DTYPE_OTHER, 4},     {"I16", DTYPE_OTHER, 2},
        {"U16", DTYPE_OTHER, 2},  {"I8", DTYPE_OTHER, 1},      {"U8", DTYPE_OTHER, 1},
        {"BOOL", DTYPE_OTHER, 1}, {"F8_E4M3", DTYPE_OTHER, 1}, {"F8_E5M2", DTYPE_OTHER, 1},
    };
    for (size_t i = 0; name && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(name, formats[i].name) == 0)
            return &formats[i];
    return NULL;
}

static bool name_is_good(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return n > 0 && n <= MAX_NAME_BYTES;
}

static int read_shape(struct stored_tensor *t, const json_t *shape)
{
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        return -1;
    t->dims = (int)json_array_size(shape);
    t->count = 1;
    for (int i = 0; i < t->dims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        t->shape[i] = json_integer_value(size);
        if (!json_is_integer(size) || t->shape[i] < 0 ||
            __builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return -1;
    }
    return 0;
}

static int read_entry(struct safetensors *s, struct stored_tensor *t, const char *name,
                      const json_t *entry, int64_t data_bytes, struct error *err)
{
    if (!name_is_good(name))
        return error_set(err, ERROR_FORMAT, "%s: a tensor's name is empty, too long or not text",
                         s->path);
    const struct format *format = format_find(json_string_value(json_object_get(entry, "dtype")));
    if (!format)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s has no known dtype", s->path, name);
    t->name = name;
    t->dtype = format->dtype;
    if (read_shape(t, json_object_get(entry, "shape")) != 0 ||
        __builtin_mul_overflow(t->count, format->bytes, &t->bytes))
        return error_set(err, ERROR_FORMAT, "%s: tensor %s needs a shape of at most %d sizes >= 0",
                         s->path, name, SAFETENSORS_MAX_DIMS);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (!json_is_integer(first) || !json_is_integer(last) || json_array_size(offsets) != 2 ||
        begin < 0 || end < begin || end > data_bytes)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s lies outside the file", s->path, name);
    if (end - begin != t->bytes)
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %s has %lld bytes, its shape and dtype need %lld", s->path,
                         name, (long long)(end - begin), (long long)t->bytes);
    t->data = s->map.data + s->map.size - data_bytes + begin;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct stored_tensor *)a)->name, ((const struct stored_tensor *)b)->name);
}

/* By place; an empty tensor before the one that starts where it stands. */
static int by_place(const void *a, const void *b)
{
    const struct stored_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->count > 0) - (y->count > 0);
}

static int check_places(struct safetensors *s, int64_t data_bytes, struct error *err)
{
    qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_place);
    const unsigned char *end = s->map.data + s->map.size, *place = end - data_bytes;
    for (int i = 0; i < s->count; i++) {
        if (s->tensors[i].data != place)
            return error_set(err, ERROR_FORMAT, "%s: tensor %s %s", s->path, s->tensors[i].name,
                             s->tensors[i].data < place ? "overlaps another" : "follows a gap");
        place += s->tensors[i].bytes;
    }
    if (place != end)
        return error_set(err, ERROR_FORMAT, "%s: %lld bytes at the end belong to no tensor",
                         s->path, (long long)(end - place));
    qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
    return 0;
}

static int check_metadata(const struct safetensors *s, struct error *err)
{
    json_t *metadata = json_object_get(s->header, "__metadata__"), *value;
    const char *key;
    bool good = !metadata || json_is_object(metadata);
    json_object_foreach(metadata, key, value) good = good && json_is_string(value);
    if (!good)
        return error_set(err, ERROR_FORMAT, "%s: __metadata__ must map names to texts", s->path);
    return 0;
}

static int read_header(struct safetensors *s, struct error *err)
{
    uint64_t header_bytes = 0;
    if (s->map.size < 8)
        return error_set(err, ERROR_FORMAT, "%s: not a safetensors file (only %zu bytes)", s->path,
                         s->map.size);
    for (int i = 0; i < 8; i++)
        header_bytes |= (uint64_t)s->map.data[i] << (8 * i);
    if (header_bytes > MAX_HEADER_BYTES || header_bytes > s->map.size - 8)
        return error_set(err, ERROR_FORMAT,
                         "%s: not a safetensors file, or truncated (header of %llu bytes)", s->path,
                         (unsigned long long)header_bytes);
    json_error_t at;
    s->header = json_loadb((const char *)s->map.data + 8, (size_t)header_bytes,
                           JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(s->header))
        return error_set(err, ERROR_FORMAT, "%s: bad safetensors header: %s", s->path,
                         s->header ? "not an object" : at.text);
    int rc = check_metadata(s, err);
    if (rc)
        return rc;
    s->tensors = memory_new(json_object_size(s->header), sizeof *s->tensors);
    if (!s->tensors)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", s->path);
    int64_t data_bytes = (int64_t)(s->map.size - 8 - header_bytes);
    const char *name;
    json_t *entry;
    json_object_foreach(s->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        rc = read_entry(s, &s->tensors[s->count], name, entry, data_bytes, err);
        if (rc)
            return rc;
        s->count++;
    }
    return check_places(s, data_bytes, err);
}

int safetensors_open(struct safetensors **out, const char *path, struct error *err)
{
    *out = NULL;
    struct safetensors *s = memory_new(1, sizeof *s);
    if (!s || !(s->path = memory_strdup(path))) {
        safetensors_close(s);
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    }
    int rc = file_map_open(&s->map, path, err);
    if (!rc)
        rc = read_header(s, err);
    if (rc)
        safetensors_close(s);
    else
        *out = s;
    return rc;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    memory_free(s->tensors);
    json_decref(s->header);
    file_map_close(&s->map);
    memory_free(s->path);
    memory_free(s);
}

int safetensors_count(const struct safetensors *s)
{
    return s->count;
}

const struct stored_tensor *safetensors_at(const struct safetensors *s, int index)
{
    return &s->tensors[index];
}

const struct stored_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct stored_tensor key = {.name = name};
    return bsearch(&key, s->tensors, (size_t)s->count, sizeof key, by_name);
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}
