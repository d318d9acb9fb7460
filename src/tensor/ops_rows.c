/*
 * Ops that move rows and columns about. Reshape and slice_rows are views: another shape on the same
 * memory. Their gradient is part of their base's (tape.h), so they cost nothing, forth and back.
 */
#include "tensor/tape.h"

#include <assert.h>
#include <string.h>

static struct tensor *view(struct compute *c, struct tensor *x, int64_t offset, int dims,
                           const int64_t *shape)
{
    assert(dims >= 1 && dims <= TENSOR_MAX_DIMS);
    struct tensor *y = arena_alloc(c->arena, sizeof *y);
    *y = (struct tensor){.dims = dims, .needs_grad = x->needs_grad, .base = x};
    if (x->stored) {
        y->stored = (const char *)x->stored + dtype_bytes(x->dtype, offset);
        y->dtype = x->dtype;
    } else {
        y->data = x->data + offset;
    }
    memcpy(y->shape, shape, sizeof *shape * (size_t)dims);
    return y;
}

struct tensor *op_reshape(struct compute *c, struct tensor *x, int dims, const int64_t *shape)
{
    struct tensor *y = view(c, x, 0, dims, shape);
    assert(tensor_count(y) == tensor_count(x));
    return y;
}

struct tensor *op_slice_rows(struct compute *c, struct tensor *x, int64_t start, int64_t count)
{
    assert(start >= 0 && count >= 0 && start + count <= tensor_rows(x));
    int64_t width = tensor_width(x);
    return view(c, x, start * width, TENSOR_SHAPE(count, width));
}

/* ---- concatenation ---- */

struct concat {
    struct record record;
    struct tensor **parts;
    int count;
};

static void push_concat(struct compute *c, struct tensor *y, struct tensor *const *parts, int count,
                        void (*backward)(void *saved))
{
    struct concat s = {.count = count};
    s.parts = arena_copy(c, parts, sizeof *parts * (size_t)count);
    tape_push(c, y, backward, &s, sizeof s);
}

static void concat_rows_backward(void *saved)
{
    struct concat *s = saved;
    struct compute *c = &s->record.c;
    const float *dy = s->record.result->grad;
    for (int i = 0; i < s->count; i++) {
        int64_t count = tensor_count(s->parts[i]);
        float *dx = tensor_grad(c, s->parts[i]);
        if (dx)
            c->device->add_scaled(dx, dy, 1, count);
        dy += count;
    }
}

struct tensor *op_concat_rows(struct compute *c, struct tensor *const *parts, int count)
{
    assert(count > 0);
    int64_t rows = 0, width = tensor_width(parts[0]);
    for (int i = 0; i < count; i++) {
        assert(tensor_width(parts[i]) == width);
        rows += tensor_rows(parts[i]);
    }
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(rows, width));
    float *to = y->data;
    for (int i = 0; i < count; i++) {
        c->device->copy_columns(to, width, parts[i]->data, width, false, tensor_rows(parts[i]),
                                width);
        to += tensor_count(parts[i]);
    }
    if (tape_wants(c, y, count, parts))
        push_concat(c, y, parts, count, concat_rows_backward);
    return y;
}

static void concat_columns_backward(void *saved)
{
    struct concat *s = saved;
    struct compute *c = &s->record.c;
    const float *dy = s->record.result->grad;
    int64_t stride = tensor_width(s->record.result);
    for (int i = 0; i < s->count; i++) {
        int64_t width = tensor_width(s->parts[i]);
        float *dx = tensor_grad(c, s->parts[i]);
        if (dx)
            c->device->copy_columns(dx, width, dy, stride, true, tensor_rows(s->parts[i]), width);
        dy += width;
    }
}

struct tensor *op_concat_columns(struct compute *c, struct tensor *const *parts, int count)
{
    assert(count > 0);
    int64_t stride = 0, rows = tensor_rows(parts[0]);
    for (int i = 0; i < count; i++) {
        assert(tensor_rows(parts[i]) == rows);
        stride += tensor_width(parts[i]);
    }
    struct tensor *y = tensor_like_wide(c, parts[0], stride);
    float *to = y->data;
    for (int i = 0; i < count; i++) {
        int64_t width = tensor_width(parts[i]);
        c->device->copy_columns(to, stride, parts[i]->data, width, false, rows, width);
        to += width;
    }
    if (tape_wants(c, y, count, parts))
        push_concat(c, y, parts, count, concat_columns_backward);
    return y;
}

/* ---- gather ---- */

struct gather {
    struct record record;
    struct tensor *x;
    const int32_t *index;
};

static void gather_backward(void *saved)
{
    struct gather *s = saved;
    struct compute *c = &s->record.c;
    c->device->scatter_add_rows(tensor_grad(c, s->x), s->record.result->grad, s->index,
                                tensor_rows(s->record.result), tensor_width(s->x));
}

struct tensor *op_gather_rows(struct compute *c, struct tensor *x, const int32_t *index,
                              int64_t count)
{
    int64_t width = tensor_width(x);
    for (int64_t i = 0; i < count; i++)
        assert(index[i] >= -1 && index[i] < tensor_rows(x));
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(count, width));
    if (x->stored)
        c->device->gather_stored(y->data, x, index, count);
    else
        c->device->gather_rows(y->data, x->data, index, count, width);
    if (TAPE_WANTS(c, y, x)) {
        struct gather s = {.x = x, .index = arena_copy(c, index, sizeof *index * (size_t)count)};
        tape_push(c, y, gather_backward, &s, sizeof s);
    }
    return y;
}

/* ---- fewer rows: average or stack each `rate` of them ---- */

struct pool {
    struct record record;
    struct tensor *x;
    const struct span *spans;
    int count, rate;
};

static int64_t pooled_rows(const struct tensor *x, const struct span *spans, int count, int rate)
{
    int64_t rows = 0, limit = tensor_rows(x);
    (void)limit; /* unused without assert */
    assert(rate > 0);
    for (int i = 0; i < count; i++) {
        assert(spans[i].start >= 0 && spans[i].length >= 0);
        assert(spans[i].start + spans[i].length <= limit);
        rows += spans[i].length / rate;
    }
    return rows;
}

static void push_pool(struct compute *c, struct tensor *y, struct tensor *x,
                      const struct span *spans, int count, int rate, void (*backward)(void *saved))
{
    struct pool s = {.x = x, .count = count, .rate = rate};
    s.spans = arena_copy(c, spans, sizeof *spans * (size_t)count);
    tape_push(c, y, backward, &s, sizeof s);
}

static void pool_backward(void *saved)
{
    struct pool *s = saved;
    struct compute *c = &s->record.c;
    c->device->pool_rows_backward(tensor_grad(c, s->x), s->record.result->grad, s->spans, s->count,
                                  s->rate, tensor_width(s->x));
}

struct tensor *op_pool_rows(struct compute *c, struct tensor *x, const struct span *spans,
                            int count, int rate)
{
    int64_t rows = pooled_rows(x, spans, count, rate), width = tensor_width(x);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(rows, width));
    c->device->pool_rows(y->data, x->data, spans, count, rate, width);
    if (TAPE_WANTS(c, y, x))
        push_pool(c, y, x, spans, count, rate, pool_backward);
    return y;
}

struct tensor *op_mean_rows(struct compute *c, struct tensor *x, int64_t group)
{
    int64_t rows = tensor_rows(x);
    assert(group > 0 && rows % group == 0);
    return op_pool_rows(c, x, &(struct span){0, rows}, 1, (int)group);
}

/* Rows lie one after another, so stacking `rate` of them copies a piece of each span as it is. */
static void stack_backward(void *saved)
{
    struct pool *s = saved;
    struct compute *c = &s->record.c;
    int64_t width = tensor_width(s->x);
    float *dx = tensor_grad(c, s->x);
    const float *dy = s->record.result->grad;
    for (int i = 0; i < s->count; i++) {
        int64_t count = s->spans[i].length / s->rate * s->rate * width;
        c->device->add_scaled(dx + s->spans[i].start * width, dy, 1, count);
        dy += count;
    }
}

struct tensor *op_stack_rows(struct compute *c, struct tensor *x, const struct span *spans,
                             int count, int rate)
{
    int64_t rows = pooled_rows(x, spans, count, rate), width = tensor_width(x);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(rows, rate * width));
    float *to = y->data;
    for (int i = 0; i < count; i++) {
        int64_t taken = spans[i].length / rate * rate;
        c->device->copy_columns(to, width, x->data + spans[i].start * width, width, false, taken,
                                width);
        to += taken * width;
    }
    if (TAPE_WANTS(c, y, x))
        push_pool(c, y, x, spans, count, rate, stack_backward);
    return y;
}
