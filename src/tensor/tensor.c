/* Making tensors: in the arena for one step, or as a model's parameters for its life. */
#include "tensor/tape.h"

#include <assert.h>
#include <string.h>

int64_t tensor_count(const struct tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->dims; i++)
        count *= t->shape[i];
    return count;
}

int64_t tensor_width(const struct tensor *t)
{
    return t->shape[t->dims - 1];
}

int64_t tensor_rows(const struct tensor *t)
{
    int64_t rows = 1;
    for (int i = 0; i < t->dims - 1; i++)
        rows *= t->shape[i];
    return rows;
}

/* Sets everything but the data. */
static void shape_init(struct tensor *t, int dims, const int64_t *shape)
{
    assert(dims >= 1 && dims <= TENSOR_MAX_DIMS);
    *t = (struct tensor){.dims = dims};
    for (int i = 0; i < dims; i++) {
        assert(shape[i] >= 0);
        t->shape[i] = shape[i];
    }
}

struct tensor *tensor_new(struct compute *c, int dims, const int64_t *shape)
{
    struct tensor *t = arena_alloc(c->arena, sizeof *t);
    shape_init(t, dims, shape);
    t->data = arena_floats(c, tensor_count(t));
    return t;
}

struct tensor *tensor_zeros(struct compute *c, int dims, const int64_t *shape)
{
    struct tensor *t = tensor_new(c, dims, shape);
    c->device->fill(t->data, 0, tensor_count(t));
    return t;
}

struct tensor *tensor_from(struct compute *c, const float *data, int dims, const int64_t *shape)
{
    struct tensor *t = tensor_new(c, dims, shape);
    memcpy(t->data, data, sizeof(float) * (size_t)tensor_count(t));
    return t;
}

struct tensor *tensor_like(struct compute *c, const struct tensor *x)
{
    return tensor_new(c, x->dims, x->shape);
}

struct tensor *tensor_like_wide(struct compute *c, const struct tensor *x, int64_t width)
{
    int64_t shape[TENSOR_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->dims - 1] = width;
    return tensor_new(c, x->dims, shape);
}

float *arena_floats(struct compute *c, int64_t count)
{
    return arena_alloc(c->arena, sizeof(float) * (size_t)count);
}

void *arena_copy(struct compute *c, const void *bytes, size_t count)
{
    void *copy = arena_alloc(c->arena, count);
    return count ? memcpy(copy, bytes, count) : copy;
}

int compute_check(const struct compute *c, struct error *err)
{
    return c->cancelled && atomic_load(c->cancelled) ? error_set(err, ERROR_CANCELLED, "stopped")
                                                     : 0;
}

int parameter_init(struct tensor *t, int dims, const int64_t *shape, struct error *err)
{
    shape_init(t, dims, shape);
    t->parameter = true;
    t->data = memory_new((size_t)tensor_count(t), sizeof(float));
    if (!t->data)
        return error_set(err, ERROR_MEMORY, "out of memory for a weight of %lld numbers",
                         (long long)tensor_count(t));
    return 0;
}

void parameter_borrow(struct tensor *t, int dims, const int64_t *shape, enum dtype dtype,
                      const void *stored)
{
    parameter_release(t);
    shape_init(t, dims, shape);
    t->parameter = t->borrowed = true;
    t->dtype = dtype;
    if (dtype == DTYPE_F32)
        t->data = (float *)stored; /* frozen: nobody writes it */
    else
        t->stored = stored;
    assert(tensor_width(t) % dtype_block(dtype) == 0);
}

void parameter_read(float *out, const struct tensor *t, int64_t start, int64_t count)
{
    if (t->stored)
        dtype_to_float(out, t->dtype, (const char *)t->stored + dtype_bytes(t->dtype, start),
                       count);
    else
        memcpy(out, t->data + start, sizeof *out * (size_t)count);
}

int parameter_own(struct tensor *t, struct error *err)
{
    if (!t->borrowed)
        return 0;
    float *data = memory_new((size_t)tensor_count(t), sizeof *data);
    if (!data)
        return error_set(err, ERROR_MEMORY, "out of memory for a weight of %lld numbers",
                         (long long)tensor_count(t));
    parameter_read(data, t, 0, tensor_count(t));
    parameter_changed(t);
    t->data = data;
    t->stored = NULL;
    t->borrowed = false;
    return 0;
}

void parameter_release(struct tensor *t)
{
    parameter_changed(t);
    if (!t->borrowed)
        memory_free(t->data);
    memory_free(t->grad);
    *t = (struct tensor){0};
}

int parameter_train(struct tensor *t, bool trainable, struct error *err)
{
    int rc = trainable ? parameter_own(t, err) : 0;
    if (rc != 0)
        return rc;
    if (trainable && !t->grad) {
        t->grad = memory_new((size_t)tensor_count(t), sizeof(float));
        if (!t->grad)
            return error_set(err, ERROR_MEMORY, "out of memory for a gradient of %lld numbers",
                             (long long)tensor_count(t));
    }
    if (!trainable) {
        memory_free(t->grad);
        t->grad = NULL;
    }
    t->needs_grad = trainable;
    return 0;
}

void parameter_changed(struct tensor *t)
{
    if (t->pack)
        t->pack->device->pack_free(t->pack);
    if (t->across)
        t->across->device->pack_free(t->across);
    t->pack = t->across = NULL;
}
