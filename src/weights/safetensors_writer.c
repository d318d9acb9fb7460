/*
 * Writer: the header is made from the declarations, then values are converted in blocks as they
 * come, so a model of any size passes through 32 KiB of memory. The header is padded with spaces so
 * that the data starts at a multiple of 8 bytes, as the format asks.
 */
#include "weights/safetensors.h"
#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct writer_tensor {
    char *name;
    enum dtype dtype;
    int64_t bytes;
};

struct safetensors_writer {
    struct file_writer file;
    char *path;
    struct writer_tensor *tensors; /* [count] */
    int count, current;            /* which one is being filled */
    int64_t filled;                /* bytes of it */
};

static bool is_plain(enum dtype type)
{
    return dtype_block(type) == 1;
}

/* Bytes of the tensor as stored; -1: it cannot be. */
static int64_t size_in_bytes(const struct stored_tensor *t)
{
    int64_t count = 1;
    if (t->dtype >= DTYPE_OTHER || t->dims < 0 || t->dims > STORED_MAX_DIMS)
        return -1;
    for (int i = 0; i < t->dims; i++)
        if (t->shape[i] < 0 || __builtin_mul_overflow(count, t->shape[i], &count))
            return -1;
    int64_t width = t->dims ? t->shape[t->dims - 1] : 1;
    if (count > (int64_t)1 << 60 || width % dtype_block(t->dtype))
        return -1;
    return dtype_bytes(t->dtype, count);
}

/* {"dtype", "shape", "data_offsets"}; a row of a block type is described by its bytes. */
static json_t *describe(const struct stored_tensor *t, int64_t begin, int64_t end)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->dims; i++) {
        bool row = i == t->dims - 1 && !is_plain(t->dtype);
        json_array_append_new(shape,
                              json_integer(row ? dtype_bytes(t->dtype, t->shape[i]) : t->shape[i]));
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                     is_plain(t->dtype) ? dtype_name(t->dtype) : "U8", "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* types: which tensors are of which block type. */
static int declare(struct safetensors_writer *w, json_t *header, json_t *types,
                   const struct stored_tensor *tensors, struct error *err)
{
    int64_t offset = 0, end;
    for (int i = 0; i < w->count; i++) {
        const struct stored_tensor *t = &tensors[i];
        if (json_object_get(header, t->name))
            return error_set(err, ERROR_USAGE, "%s: tensor %s is declared twice", w->path, t->name);
        int64_t bytes = size_in_bytes(t);
        if (bytes < 0 || __builtin_add_overflow(offset, bytes, &end) ||
            json_object_set_new(header, t->name, describe(t, offset, end)) != 0 ||
            (!is_plain(t->dtype) &&
             json_object_set_new(types, t->name, json_string(dtype_name(t->dtype))) != 0))
            return error_set(err, ERROR_USAGE, "%s: tensor %s cannot be written in this shape",
                             w->path, t->name);
        w->tensors[i] = (struct writer_tensor){memory_strdup(t->name), t->dtype, bytes};
        if (!w->tensors[i].name)
            return error_set(err, ERROR_MEMORY, "%s: out of memory", w->path);
        offset = end;
    }
    return 0;
}

/* __metadata__ of the caller's text and of the block types, where there are such. */
static int add_metadata(struct safetensors_writer *w, json_t *header, const json_t *types,
                        const char *key, const char *value, struct error *err)
{
    json_t *metadata = json_object();
    char *text = json_object_size(types) ? json_dumps(types, JSON_COMPACT) : NULL;
    bool good = true;
    if (key)
        good = json_object_set_new(metadata, key, json_string(value)) == 0;
    if (text)
        good = good && json_object_set_new(metadata, SAFETENSORS_TYPES_KEY, json_string(text)) == 0;
    if (json_object_size(metadata))
        good = good && json_object_set(header, "__metadata__", metadata) == 0;
    free(text);
    json_decref(metadata);
    return good ? 0 : error_set(err, ERROR_USAGE, "%s: the metadata is not UTF-8", w->path);
}

static int write_header(struct safetensors_writer *w, json_t *header, struct error *err)
{
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", w->path);
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)padded >> (8 * i) & 255), w->file.stream);
    fprintf(w->file.stream, "%s%*s", text, (int)(padded - length), "");
    free(text);
    return 0;
}

int safetensors_writer_open(struct safetensors_writer **out, const char *path,
                            const struct stored_tensor *tensors, int count,
                            const char *metadata_key, const char *metadata_value, struct error *err)
{
    int rc = 0;
    *out = NULL;
    json_t *header = json_object(), *types = json_object();
    struct safetensors_writer *w = memory_new(1, sizeof *w);
    if (w)
        *w = (struct safetensors_writer){.count = count,
                                         .path = memory_strdup(path),
                                         .tensors = memory_new((size_t)count, sizeof *w->tensors)};
    if (!w || !header || !types || !w->path || !w->tensors)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    if (!rc)
        rc = declare(w, header, types, tensors, err);
    if (!rc)
        rc = add_metadata(w, header, types, metadata_key, metadata_value, err);
    if (!rc)
        rc = file_writer_open(&w->file, path, err);
    if (!rc)
        rc = write_header(w, header, err);
    json_decref(header);
    json_decref(types);
    if (rc)
        safetensors_writer_abandon(w);
    else
        *out = w;
    return rc;
}

/* Past the tensors that are full (the empty ones at once). */
static void move_on(struct safetensors_writer *w)
{
    while (w->current < w->count && w->filled == w->tensors[w->current].bytes) {
        w->current++;
        w->filled = 0;
    }
}

int safetensors_writer_add_stored(struct safetensors_writer *w, const unsigned char *bytes,
                                  int64_t size, struct error *err)
{
    move_on(w);
    while (size > 0) {
        if (w->current == w->count)
            return error_set(err, ERROR_USAGE, "%s: more values than were declared", w->path);
        int64_t left = w->tensors[w->current].bytes - w->filled, n = left < size ? left : size;
        fwrite(bytes, 1, (size_t)n, w->file.stream);
        if (ferror(w->file.stream))
            return error_set(err, ERROR_IO, "%s: cannot write (disk full?)", w->path);
        bytes += n;
        size -= n;
        w->filled += n;
        move_on(w);
    }
    return 0;
}

int safetensors_writer_add(struct safetensors_writer *w, const float *values, int64_t count,
                           struct error *err)
{
    unsigned char piece[1 << 15];
    move_on(w);
    while (count > 0) {
        if (w->current == w->count)
            return error_set(err, ERROR_USAGE, "%s: more values than were declared", w->path);
        const struct writer_tensor *t = &w->tensors[w->current];
        int64_t block = dtype_block(t->dtype), bytes = dtype_bytes(t->dtype, block);
        int64_t left = (t->bytes - w->filled) / bytes, room = (int64_t)sizeof piece / bytes;
        int64_t n = count / block;
        n = n < left ? n : left;
        n = n < room ? n : room;
        if (!n || (block > 1 && t->dtype != DTYPE_Q8_0 && t->dtype != DTYPE_Q4_0))
            return error_set(err, ERROR_USAGE, "%s: tensor %s takes whole blocks of Q8_0 or Q4_0",
                             w->path, t->name);
        dtype_from_float(piece, t->dtype, values, n * block);
        int rc = safetensors_writer_add_stored(w, piece, n * bytes, err);
        if (rc)
            return rc;
        values += n * block;
        count -= n * block;
    }
    return 0;
}

static void writer_free(struct safetensors_writer *w)
{
    for (int i = 0; w->tensors && i < w->count; i++)
        memory_free(w->tensors[i].name);
    memory_free(w->tensors);
    memory_free(w->path);
    memory_free(w);
}

int safetensors_writer_commit(struct safetensors_writer *w, struct error *err)
{
    move_on(w);
    if (w->current < w->count) {
        int rc = error_set(err, ERROR_USAGE, "%s: tensor %s was not filled", w->path,
                           w->tensors[w->current].name);
        safetensors_writer_abandon(w);
        return rc;
    }
    int rc = file_writer_commit(&w->file, err);
    writer_free(w);
    return rc;
}

void safetensors_writer_abandon(struct safetensors_writer *w)
{
    if (!w)
        return;
    file_writer_abandon(&w->file);
    writer_free(w);
}
