/*
 * From a tensor as it is stored to a parameter of ours. Where the order of numbers is the same and
 * the type one that may stay (F32 anywhere; any type for matrices, which only products and look-ups
 * read), the file's own memory is handed out. Rows that move (rotary, thirds) move as they are
 * stored; convolutions and weight norm are computed in F32.
 */
#include "models/part_naming.h"

#include <math.h>
#include <string.h>

void *part_memory(struct part *p, size_t bytes, struct error *err)
{
    if (p->memory_count == p->memory_room) {
        int64_t room = p->memory_room ? 2 * p->memory_room : 64;
        void **memory = memory_new((size_t)room, sizeof *memory);
        if (memory && p->memory_count > 0)
            memcpy(memory, p->memory, (size_t)p->memory_count * sizeof *memory);
        if (memory) {
            memory_free(p->memory);
            p->memory = memory;
            p->memory_room = room;
        }
    }
    void *piece = p->memory_count < p->memory_room ? memory_new(1, bytes) : NULL;
    if (piece)
        p->memory[p->memory_count++] = piece;
    else
        error_set(err, ERROR_MEMORY, "%s: no memory for %zu bytes", weights_path(p->weights),
                  bytes);
    return piece;
}

/* ---- shapes ------------------------------------------------------------------------------ */

static int squeeze(int64_t *out, int dims, const int64_t *shape)
{
    int n = 0;
    for (int i = 0; i < dims; i++)
        if (shape[i] != 1)
            out[n++] = shape[i];
    return n;
}

static bool same_shape(int dims, const int64_t *shape, int other_dims, const int64_t *other)
{
    int64_t a[STORED_MAX_DIMS], b[STORED_MAX_DIMS];
    int n = squeeze(a, dims, shape), m = squeeze(b, other_dims, other);
    return n == m && memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static int misshapen(const struct part *p, const struct stored_tensor *t, int dims,
                     const int64_t *shape, struct error *err)
{
    return stored_misshapen(t, weights_path(p->weights), dims, shape, err);
}

/* ---- plain ------------------------------------------------------------------------------- */

/* data, of t's type, are the parameter's numbers in their order. */
static int give_rows(struct part *p, struct param_entry *entry, const struct stored_tensor *t,
                     const unsigned char *data, struct error *err)
{
    struct tensor *to = entry->tensor;
    int64_t shape[TENSOR_MAX_DIMS], count = tensor_count(to);
    int dims = to->dims;
    memcpy(shape, to->shape, sizeof shape);
    if (t->dtype == DTYPE_OTHER)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: the numbers of tensor %.200s are of a type not known here",
                         weights_path(p->weights), t->name);
    if (t->dtype == DTYPE_F32 ? (uintptr_t)data % sizeof(float) == 0 : param_may_be_stored(entry)) {
        parameter_borrow(to, dims, shape, t->dtype, data);
    } else {
        float *copy = part_memory(p, (size_t)count * sizeof *copy, err);
        if (!copy)
            return err->code;
        dtype_to_float(copy, t->dtype, data, count);
        parameter_borrow(to, dims, shape, DTYPE_F32, copy);
    }
    /* what a norm keeps may change even where nothing is trained */
    bool running = entry->kind == PARAM_MEAN || entry->kind == PARAM_VARIANCE;
    return running ? parameter_own(to, err) : 0;
}

static int give_same(struct part *p, struct param_entry *entry, const struct stored_tensor *t,
                     struct error *err)
{
    const struct tensor *to = entry->tensor;
    if (!same_shape(t->dims, t->shape, to->dims, to->shape))
        return misshapen(p, t, to->dims, to->shape, err);
    return give_rows(p, entry, t, t->data, err);
}

/* ---- some of the rows -------------------------------------------------------------------- */

/* 0: rows cannot be told apart (their type is not known, or a block spans several). */
static int64_t row_bytes(const struct stored_tensor *t)
{
    int64_t width = t->dims > 0 && t->shape[0] > 0 ? t->count / t->shape[0] : 0;
    if (t->dtype == DTYPE_OTHER || width % dtype_block(t->dtype) != 0)
        return 0;
    return dtype_bytes(t->dtype, width);
}

static int no_rows(const struct part *p, const struct stored_tensor *t, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s: the rows of tensor %.200s (%s) cannot be moved",
                     weights_path(p->weights), t->name, dtype_name(t->dtype));
}

/* The numbers of ours, of a tensor that has more rows (`times` as many; 0: any number). */
static int give_slice(struct part *p, struct param_entry *entry, const struct stored_tensor *t,
                      int64_t times, int64_t which, struct error *err)
{
    const struct tensor *to = entry->tensor;
    int64_t shape[TENSOR_MAX_DIMS], rows = to->shape[0];
    memcpy(shape, to->shape, sizeof shape);
    shape[0] = times ? times * rows : t->dims > 0 ? t->shape[0] : 0;
    if (!same_shape(t->dims, t->shape, to->dims, shape) || shape[0] < rows)
        return misshapen(p, t, to->dims, shape[0] < rows ? to->shape : shape, err);
    int64_t first = times ? which * rows : shape[0] - rows;
    if (row_bytes(t) == 0)
        return no_rows(p, t, err);
    return give_rows(p, entry, t, t->data + first * row_bytes(t), err);
}

/* GGUF has the halves of a Llama's heads interleaved: ours [half][i] is theirs [i][half]. */
static int give_rotary(struct part *p, struct param_entry *entry, const struct stored_tensor *t,
                       struct error *err)
{
    const struct tensor *to = entry->tensor;
    int64_t head = p->config.llm.head_dim, bytes = row_bytes(t), rows = to->shape[0];
    if (!same_shape(t->dims, t->shape, to->dims, to->shape) || rows % head != 0)
        return misshapen(p, t, to->dims, to->shape, err);
    if (bytes == 0)
        return no_rows(p, t, err);
    unsigned char *moved = part_memory(p, (size_t)t->bytes, err);
    if (!moved)
        return err->code;
    for (int64_t row = 0; row < rows; row++) {
        int64_t h = row / head, half = row % head / (head / 2), i = row % (head / 2);
        memcpy(moved + row * bytes, t->data + (h * head + 2 * i + half) * bytes, (size_t)bytes);
    }
    return give_rows(p, entry, t, moved, err);
}

/* ---- convolutions ------------------------------------------------------------------------ */

/* Ours [O, kd, kh, kw, I] as it is stored: [O, I, k...], k without the leading ones. */
static int stored_conv_shape(int64_t out[TENSOR_MAX_DIMS], const struct tensor *to,
                             const struct stored_tensor *t)
{
    int spatial = t->dims - 2;
    if (spatial < 1 || spatial > 3)
        spatial = 3;
    out[0] = to->shape[0];
    out[1] = to->shape[4];
    for (int i = 0; i < spatial; i++)
        out[2 + i] = to->shape[4 - spatial + i];
    return 2 + spatial;
}

/* norm[k], if not NULL, multiplies what is at place k of the kernel. */
static int give_conv(struct part *p, struct param_entry *entry, const struct stored_tensor *t,
                     const double *norm, struct error *err)
{
    struct tensor *to = entry->tensor;
    int64_t shape[TENSOR_MAX_DIMS], wanted[TENSOR_MAX_DIMS], count = tensor_count(to);
    memcpy(shape, to->shape, sizeof shape);
    int dims = stored_conv_shape(wanted, to, t);
    if (t->count != count || !same_shape(t->dims, t->shape, dims, wanted))
        return misshapen(p, t, dims, wanted, err);
    int64_t in = shape[4], places = count / (shape[0] * in);
    float *from = memory_new((size_t)count, sizeof *from);
    float *copy = from ? part_memory(p, (size_t)count * sizeof *copy, err) : NULL;
    int rc = from ? copy ? 0 : err->code : error_set(err, ERROR_MEMORY, "no memory to convert");
    if (rc == 0 && (rc = stored_read(from, t, 0, count, err)) == 0) {
        for (int64_t o = 0; o < shape[0]; o++)
            for (int64_t i = 0; i < in; i++)
                for (int64_t k = 0; k < places; k++) {
                    float x = from[(o * in + i) * places + k];
                    copy[(o * places + k) * in + i] = norm ? (float)(norm[k] * x) : x;
                }
        parameter_borrow(to, 5, shape, DTYPE_F32, copy);
    }
    memory_free(from);
    return rc;
}

/* norm[k] = g[k] / |v[:, :, k]| */
static int give_weight_norm(struct part *p, struct param_entry *entry,
                            const struct stored_tensor *v, const struct stored_tensor *g,
                            struct error *err)
{
    int64_t places = v->dims == 3 ? v->shape[2] : 0;
    if (places == 0 || g->count != places)
        return misshapen(p, g, 3, (const int64_t[]){1, 1, places}, err);
    float *from = memory_new((size_t)(v->count + places), sizeof *from);
    double *norm = memory_new((size_t)places, sizeof *norm);
    int rc = from && norm ? 0 : error_set(err, ERROR_MEMORY, "no memory to convert");
    if (rc == 0 && (rc = stored_read(from, v, 0, v->count, err)) == 0 &&
        (rc = stored_read(from + v->count, g, 0, places, err)) == 0) {
        for (int64_t i = 0; i < v->count; i++)
            norm[i % places] += (double)from[i] * from[i];
        for (int64_t k = 0; k < places; k++)
            norm[k] = from[v->count + k] / sqrt(norm[k]);
        rc = give_conv(p, entry, v, norm, err);
    }
    memory_free(norm);
    memory_free(from);
    return rc;
}

int part_give(struct part *p, struct param_entry *entry, const struct part_rule *rule,
              const struct stored_tensor *from, const struct stored_tensor *scale,
              struct error *err)
{
    switch (rule->layout) {
    case LAYOUT_FIRST_THIRD:
        return give_slice(p, entry, from, 3, 0, err);
    case LAYOUT_SECOND_THIRD:
        return give_slice(p, entry, from, 3, 1, err);
    case LAYOUT_THIRD_THIRD:
        return give_slice(p, entry, from, 3, 2, err);
    case LAYOUT_LAST_ROWS:
        return give_slice(p, entry, from, 0, 0, err);
    case LAYOUT_ROTARY:
        return give_rotary(p, entry, from, err);
    case LAYOUT_WEIGHT_NORM:
        return give_weight_norm(p, entry, from, scale, err);
    case LAYOUT_SAME:
        break;
    }
    if (entry->kind == PARAM_CONV && !p->naming->ours)
        return give_conv(p, entry, from, NULL, err);
    return give_same(p, entry, from, err);
}
