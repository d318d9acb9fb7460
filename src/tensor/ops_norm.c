/* Normalisation: of each row (layer norm, RMS norm) and of each channel over rows (batch norm). */
#include "tensor/tape.h"

#include <assert.h>
#include <math.h>

struct norm {
    struct record record;
    struct tensor *x, *weight, *bias; /* RMS norm: no bias */
    const float *mean, *rstd;         /* [rows]; batch norm: [width] */
    bool through_statistics;
    struct norm_sizes sizes;
};

static struct norm_sizes sizes_of(const struct tensor *x, float eps)
{
    return (struct norm_sizes){.rows = tensor_rows(x), .width = tensor_width(x), .eps = eps};
}

static void layer_norm_backward(void *saved)
{
    struct norm *s = saved;
    struct compute *c = &s->record.c;
    c->device->layer_norm_backward(tensor_grad(c, s->x), tensor_grad(c, s->weight),
                                   tensor_grad(c, s->bias), s->record.result->grad, s->x->data,
                                   s->weight->data, s->mean, s->rstd, &s->sizes);
}

struct tensor *op_layer_norm(struct compute *c, struct tensor *x, struct tensor *weight,
                             struct tensor *bias, float eps)
{
    struct norm_sizes sizes = sizes_of(x, eps);
    assert(tensor_count(weight) == sizes.width && tensor_count(bias) == sizes.width);
    struct tensor *y = tensor_like(c, x);
    bool wanted = TAPE_WANTS(c, y, x, weight, bias);
    float *mean = wanted ? arena_floats(c, sizes.rows) : NULL;
    float *rstd = wanted ? arena_floats(c, sizes.rows) : NULL;
    c->device->layer_norm(y->data, mean, rstd, x->data, weight->data, bias->data, &sizes);
    if (wanted) {
        struct norm s = {.x = x, .weight = weight, .bias = bias, .sizes = sizes};
        s.mean = mean, s.rstd = rstd;
        tape_push(c, y, layer_norm_backward, &s, sizeof s);
    }
    return y;
}

static void rms_norm_backward(void *saved)
{
    struct norm *s = saved;
    struct compute *c = &s->record.c;
    c->device->rms_norm_backward(tensor_grad(c, s->x), tensor_grad(c, s->weight),
                                 s->record.result->grad, s->x->data, s->weight->data, s->rstd,
                                 &s->sizes);
}

struct tensor *op_rms_norm(struct compute *c, struct tensor *x, struct tensor *weight, float eps)
{
    struct norm_sizes sizes = sizes_of(x, eps);
    assert(tensor_count(weight) == sizes.width);
    struct tensor *y = tensor_like(c, x);
    bool wanted = TAPE_WANTS(c, y, x, weight);
    float *rstd = wanted ? arena_floats(c, sizes.rows) : NULL;
    c->device->rms_norm(y->data, rstd, x->data, weight->data, &sizes);
    if (wanted) {
        struct norm s = {.x = x, .weight = weight, .rstd = rstd, .sizes = sizes};
        tape_push(c, y, rms_norm_backward, &s, sizeof s);
    }
    return y;
}

static void batch_norm_backward(void *saved)
{
    struct norm *s = saved;
    struct compute *c = &s->record.c;
    c->device->column_norm_backward(tensor_grad(c, s->x), tensor_grad(c, s->weight),
                                    tensor_grad(c, s->bias), s->record.result->grad, s->x->data,
                                    s->mean, s->rstd, s->weight->data, s->through_statistics,
                                    &s->sizes);
}

/* running = (1 - momentum) running + momentum batch, the variance unbiased: rows / (rows - 1). */
static void follow(struct tensor *running_mean, struct tensor *running_var, const float *mean,
                   const float *var, float momentum, const struct norm_sizes *s)
{
    float unbiased = s->rows > 1 ? (float)s->rows / (float)(s->rows - 1) : 1;
    for (int64_t i = 0; i < s->width; i++) {
        running_mean->data[i] += momentum * (mean[i] - running_mean->data[i]);
        running_var->data[i] += momentum * (unbiased * var[i] - running_var->data[i]);
    }
}

struct tensor *op_batch_norm(struct compute *c, struct tensor *x, struct tensor *weight,
                             struct tensor *bias, struct tensor *running_mean,
                             struct tensor *running_var, float momentum, float eps)
{
    struct norm_sizes sizes = sizes_of(x, eps);
    assert(tensor_count(weight) == sizes.width && tensor_count(bias) == sizes.width);
    assert(tensor_count(running_mean) == sizes.width && tensor_count(running_var) == sizes.width);
    struct tensor *y = tensor_like(c, x);
    float *mean = arena_floats(c, sizes.width), *rstd = arena_floats(c, sizes.width);
    float *var = rstd; /* becomes rstd in place */
    if (c->training) {
        c->device->column_moments(mean, var, x->data, &sizes);
        follow(running_mean, running_var, mean, var, momentum, &sizes);
    } else {
        /* copies: the running ones may move on before the backward runs */
        c->device->scale(mean, running_mean->data, 1, sizes.width);
        c->device->scale(var, running_var->data, 1, sizes.width);
    }
    for (int64_t i = 0; i < sizes.width; i++)
        rstd[i] = 1 / sqrtf(var[i] + eps);
    c->device->column_norm(y->data, x->data, mean, rstd, weight->data, bias->data, &sizes);
    if (TAPE_WANTS(c, y, x, weight, bias)) {
        struct norm s = {.x = x, .weight = weight, .bias = bias, .sizes = sizes};
        s.mean = mean, s.rstd = rstd, s.through_statistics = c->training;
        tape_push(c, y, batch_norm_backward, &s, sizeof s);
    }
    return y;
}
