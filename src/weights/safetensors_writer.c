/*
 * Writer: the header is made from the declarations, then values are converted in blocks as they
 * come, so a model of any size passes through 64 KiB of memory. The header is padded with spaces so
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
    int64_t count;
    bool bf16;
};

struct safetensors_writer {
    struct file_writer file;
    char *path;
    struct writer_tensor *tensors; /* [count] */
    int count, current;            /* which one is being filled */
    int64_t filled;                /* elements of it */
};

/* {"dtype", "shape", "data_offsets"}; *offset moves on by its bytes. NULL: cannot be. */
static json_t *describe(const struct stored_tensor *t, int64_t *offset, int64_t *count)
{
    int64_t bytes = t->dtype == DTYPE_F32 ? 4 : 2, end;
    if ((t->dtype != DTYPE_F32 && t->dtype != DTYPE_BF16) || t->dims < 0 ||
        t->dims > SAFETENSORS_MAX_DIMS)
        return NULL;
    *count = 1;
    json_t *shape = json_array();
    for (int i = 0; i < t->dims; i++) {
        if (t->shape[i] < 0 || __builtin_mul_overflow(*count, t->shape[i], count)) {
            json_decref(shape);
            return NULL;
        }
        json_array_append_new(shape, json_integer(t->shape[i]));
    }
    if (__builtin_mul_overflow(bytes, *count, &bytes) ||
        __builtin_add_overflow(*offset, bytes, &end)) {
        json_decref(shape);
        return NULL;
    }
    json_t *entry =
        json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype == DTYPE_F32 ? "F32" : "BF16", "shape",
                  shape, "data_offsets", (json_int_t)*offset, (json_int_t)end);
    *offset = end;
    return entry;
}

static int declare(struct safetensors_writer *w, json_t *header,
                   const struct stored_tensor *tensors, struct error *err)
{
    int64_t offset = 0;
    for (int i = 0; i < w->count; i++) {
        const struct stored_tensor *t = &tensors[i];
        if (json_object_get(header, t->name))
            return error_set(err, ERROR_USAGE, "%s: tensor %s is declared twice", w->path, t->name);
        json_t *entry = describe(t, &offset, &w->tensors[i].count);
        if (!entry || json_object_set_new(header, t->name, entry) != 0)
            return error_set(err, ERROR_USAGE, "%s: tensor %s cannot be written in this shape",
                             w->path, t->name);
        w->tensors[i].bf16 = t->dtype == DTYPE_BF16;
        w->tensors[i].name = memory_strdup(t->name);
        if (!w->tensors[i].name)
            return error_set(err, ERROR_MEMORY, "%s: out of memory", w->path);
    }
    return 0;
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
    json_t *header = json_object();
    struct safetensors_writer *w = memory_new(1, sizeof *w);
    if (w)
        *w = (struct safetensors_writer){.count = count,
                                         .path = memory_strdup(path),
                                         .tensors = memory_new((size_t)count, sizeof *w->tensors)};
    if (!w || !header || !w->path || !w->tensors)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    else if (metadata_key &&
             json_object_set_new(header, "__metadata__",
                                 json_pack("{s:s}", metadata_key, metadata_value)) != 0)
        rc = error_set(err, ERROR_USAGE, "%s: the metadata is not UTF-8", path);
    if (!rc)
        rc = declare(w, header, tensors, err);
    if (!rc)
        rc = file_writer_open(&w->file, path, err);
    if (!rc)
        rc = write_header(w, header, err);
    json_decref(header);
    if (rc)
        safetensors_writer_abandon(w);
    else
        *out = w;
    return rc;
}

/* Round to nearest, ties to even; a NaN stays one (its upper fraction bits could all be 0). */
static uint32_t float_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static void write_bf16(FILE *stream, const float *values, int64_t count)
{
    unsigned char block[1 << 16];
    while (count > 0) {
        int64_t n = count < (int64_t)sizeof block / 2 ? count : (int64_t)sizeof block / 2;
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits = float_to_bf16(values[i]);
            block[2 * i] = (unsigned char)bits;
            block[2 * i + 1] = (unsigned char)(bits >> 8);
        }
        fwrite(block, 2, (size_t)n, stream);
        values += n;
        count -= n;
    }
}

/* Past the tensors that are full (the empty ones at once). */
static void move_on(struct safetensors_writer *w)
{
    while (w->current < w->count && w->filled == w->tensors[w->current].count) {
        w->current++;
        w->filled = 0;
    }
}

int safetensors_writer_add(struct safetensors_writer *w, const float *values, int64_t count,
                           struct error *err)
{
    move_on(w);
    while (count > 0) {
        if (w->current == w->count)
            return error_set(err, ERROR_USAGE, "%s: more values than were declared", w->path);
        const struct writer_tensor *t = &w->tensors[w->current];
        int64_t n = t->count - w->filled < count ? t->count - w->filled : count;
        if (t->bf16)
            write_bf16(w->file.stream, values, n);
        else
            fwrite(values, sizeof *values, (size_t)n, w->file.stream);
        if (ferror(w->file.stream))
            return error_set(err, ERROR_IO, "%s: cannot write (disk full?)", w->path);
        values += n;
        count -= n;
        w->filled += n;
        move_on(w);
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
