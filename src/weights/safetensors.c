/*
 * Reader. What is checked, so that the rest of the program can trust a `struct stored_tensor`:
 *   file  = 8 + N + data, N at most 16 MiB and inside the file
 *   JSON  = one object, no key twice, "__metadata__" of strings, else tensors
 *   entry = known dtype, at most 8 dims, all >= 0, product * size = end - begin without overflow
 *   data  = in order of their offsets the tensors follow each other from 0 to the end of the file
 */
#include "weights/safetensors.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_BYTES ((uint64_t)16 << 20)

struct reader {
    struct tensor_list *tensors;
    const char *path;
    const unsigned char *data; /* of all tensors */
    int64_t data_bytes;
    json_t *types; /* "mome.types", or NULL */
    size_t typed;  /* how many of them were met */
};

static bool dtype_find(struct tensor_entry *e, const char *name)
{
    static const struct {
        const char *name;
        enum dtype dtype;
        int bytes;
    } types[] = {
        {"F32", DTYPE_F32, 4},    {"F16", DTYPE_F16, 2},       {"BF16", DTYPE_BF16, 2},
        {"F64", DTYPE_OTHER, 8},  {"I64", DTYPE_OTHER, 8},     {"U64", DTYPE_OTHER, 8},
        {"I32", DTYPE_OTHER, 4},  {"U32", DTYPE_OTHER, 4},     {"I16", DTYPE_OTHER, 2},
        {"U16", DTYPE_OTHER, 2},  {"I8", DTYPE_OTHER, 1},      {"U8", DTYPE_OTHER, 1},
        {"BOOL", DTYPE_OTHER, 1}, {"F8_E4M3", DTYPE_OTHER, 1}, {"F8_E5M2", DTYPE_OTHER, 1},
    };
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) {
            e->dtype = types[i].dtype;
            e->other_block = 1;
            e->other_bytes = types[i].bytes;
            return true;
        }
    return false;
}

/* A U8 that "mome.types" calls a block type: the type, and numbers instead of bytes in a row. */
static int restore_type(struct reader *r, struct tensor_entry *e, int64_t *shape,
                        const char *stored, struct error *err)
{
    const json_t *type = json_object_get(r->types, e->name);
    if (!type)
        return 0;
    r->typed++;
    if (strcmp(stored, "U8") != 0 || e->dims < 1 || !json_is_string(type) ||
        !dtype_from_name(&e->dtype, json_string_value(type)))
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %s has no proper type in " //
                         SAFETENSORS_TYPES_KEY,
                         r->path, e->name);
    int64_t block = dtype_block(e->dtype), bytes = dtype_bytes(e->dtype, block);
    int64_t *width = &shape[e->dims - 1];
    if (*width % bytes || __builtin_mul_overflow(*width / bytes, block, width))
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %s has rows of %lld bytes, not blocks of %s", r->path, e->name,
                         (long long)*width, dtype_name(e->dtype));
    return 0;
}

static int read_shape(struct tensor_entry *e, int64_t *shape, const json_t *sizes)
{
    if (!json_is_array(sizes) || json_array_size(sizes) > STORED_MAX_DIMS)
        return -1;
    e->dims = (int)json_array_size(sizes);
    e->shape = shape;
    for (int i = 0; i < e->dims; i++) {
        const json_t *size = json_array_get(sizes, (size_t)i);
        if (!json_is_integer(size))
            return -1;
        shape[i] = json_integer_value(size);
    }
    return 0;
}

static int read_entry(struct reader *r, const char *name, const json_t *entry, struct error *err)
{
    struct tensor_entry e = {.name = name, .name_length = strlen(name)};
    int64_t shape[STORED_MAX_DIMS];
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!tensor_name_is_good(name, e.name_length))
        return error_set(err, ERROR_FORMAT, "%s: a tensor's name is empty, too long or not text",
                         r->path);
    if (!dtype_find(&e, dtype))
        return error_set(err, ERROR_FORMAT, "%s: tensor %s has no known dtype", r->path, name);
    if (read_shape(&e, shape, json_object_get(entry, "shape")) != 0)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s needs a shape of at most %d sizes >= 0",
                         r->path, name, STORED_MAX_DIMS);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (!json_is_integer(first) || !json_is_integer(last) || json_array_size(offsets) != 2 ||
        begin < 0 || end < begin || end > r->data_bytes)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s lies outside the file", r->path, name);
    e.data = r->data + begin;
    e.room = UINT64_MAX; /* its end is in the file, and must be where its shape says, below */
    int rc = restore_type(r, &e, shape, dtype, err);
    if (!rc)
        rc = tensor_list_add(r->tensors, &e, err);
    if (rc)
        return rc;
    int64_t bytes = r->tensors->items[r->tensors->count - 1].bytes;
    if (end - begin != bytes)
        return error_set(err, ERROR_FORMAT,
                         "%s: tensor %s has %lld bytes, its shape and dtype need %lld", r->path,
                         name, (long long)(end - begin), (long long)bytes);
    return 0;
}

/* By place; an empty tensor before the one that starts where it stands. */
static int by_place(const void *a, const void *b)
{
    const struct stored_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->count > 0) - (y->count > 0);
}

static int check_places(const struct reader *r, struct error *err)
{
    struct stored_tensor *tensors = r->tensors->items;
    int count = r->tensors->count;
    if (count)
        qsort(tensors, (size_t)count, sizeof *tensors, by_place);
    const unsigned char *place = r->data, *end = r->data + r->data_bytes;
    for (int i = 0; i < count; i++) {
        if (tensors[i].data != place)
            return error_set(err, ERROR_FORMAT, "%s: tensor %s %s", r->path, tensors[i].name,
                             tensors[i].data < place ? "overlaps another" : "follows a gap");
        place += tensors[i].bytes;
    }
    if (place != end)
        return error_set(err, ERROR_FORMAT, "%s: %lld bytes at the end belong to no tensor",
                         r->path, (long long)(end - place));
    return 0;
}

static int read_metadata(struct metadata *m, const json_t *header, struct error *err)
{
    json_t *texts = json_object_get(header, "__metadata__"), *value;
    const char *key;
    bool good = !texts || json_is_object(texts);
    int rc = 0;
    json_object_foreach(texts, key, value)
    {
        good = good && json_is_string(value);
        if (good && !rc)
            rc = metadata_add_text(m, key, strlen(key), json_string_value(value),
                                   json_string_length(value), err);
    }
    if (!good)
        return error_set(err, ERROR_FORMAT, "%s: __metadata__ must map names to texts", m->path);
    return rc;
}

static int read_tensors(struct reader *r, json_t *header, struct error *err)
{
    const char *name;
    json_t *entry;
    json_t *types = json_object_get(json_object_get(header, "__metadata__"), SAFETENSORS_TYPES_KEY);
    if (types) {
        r->types = json_loads(json_string_value(types), JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(r->types))
            return error_set(err, ERROR_FORMAT, "%s: " SAFETENSORS_TYPES_KEY " is not an object",
                             r->path);
    }
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        int rc = read_entry(r, name, entry, err);
        if (rc)
            return rc;
    }
    if (r->typed != json_object_size(r->types))
        return error_set(err, ERROR_FORMAT,
                         "%s: " SAFETENSORS_TYPES_KEY " names tensors that are not there", r->path);
    return check_places(r, err);
}

static uint64_t header_length(const unsigned char *bytes)
{
    struct cursor c = {.bytes = bytes, .size = 8};
    return cursor_u64(&c);
}

bool safetensors_sniff(const unsigned char *bytes, size_t size)
{
    return size > 8 && bytes[8] == '{' && header_length(bytes) <= MAX_HEADER_BYTES;
}

int safetensors_read(struct tensor_list *tensors, struct metadata *metadata,
                     const unsigned char *bytes, size_t size, struct error *err)
{
    if (size < 8)
        return error_set(err, ERROR_FORMAT, "%s: not a safetensors file (only %zu bytes)",
                         tensors->path, size);
    uint64_t n = header_length(bytes);
    if (n > MAX_HEADER_BYTES || n > size - 8)
        return error_set(err, ERROR_FORMAT,
                         "%s: not a safetensors file, or truncated (header of %llu bytes)",
                         tensors->path, (unsigned long long)n);
    json_error_t at;
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)n, JSON_REJECT_DUPLICATES, &at);
    struct reader r = {tensors, tensors->path, bytes + 8 + n, (int64_t)(size - 8 - n), NULL, 0};
    int rc = 0;
    if (!json_is_object(header))
        rc = error_set(err, ERROR_FORMAT, "%s: bad safetensors header: %s", tensors->path,
                       header ? "not an object" : at.text);
    if (!rc)
        rc = read_metadata(metadata, header, err);
    if (!rc)
        rc = read_tensors(&r, header, err);
    json_decref(r.types);
    json_decref(header);
    return rc;
}
