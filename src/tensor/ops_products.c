/* Products: linear, convolution, attention. The gradient of y = x W^T + b is dx += dy W,
   dW += dy^T x, db += column sums of dy. */
#include "tensor/tape.h"

#include <assert.h>

struct linear {
    struct record record;
    struct tensor *x, *weight, *bias;
};

static void linear_backward(void *saved)
{
    struct linear *s = saved;
    struct compute *c = &s->record.c;
    const float *dy = s->record.result->grad;
    int64_t rows = tensor_rows(s->x), in = tensor_width(s->x);
    int64_t out = tensor_width(s->record.result);
    float *dx = tensor_grad(c, s->x), *dw = tensor_grad(c, s->weight);
    float *db = tensor_grad(c, s->bias);
    if (dx)
        c->device->linear_backward_input(dx, dy, s->weight, rows, c->precision);
    if (dw)
        c->device->gemm(&(struct gemm){.trans_a = true,
                                       .m = out,
                                       .n = in,
                                       .k = rows,
                                       .lda = out,
                                       .ldb = in,
                                       .ldc = in,
                                       .beta = 1,
                                       .a = dy,
                                       .b = s->x->data,
                                       .c = dw,
                                       .precision = c->precision});
    if (db)
        c->device->add_periodic_backward(db, dy, rows, out, 1);
}

/* The result, without its numbers. */
static struct tensor *linear_result(struct compute *c, struct tensor *x, struct tensor *weight,
                                    struct tensor *bias)
{
    assert(tensor_width(x) == tensor_width(weight));
    int64_t out = tensor_rows(weight);
    assert(!bias || tensor_count(bias) == out);
    struct tensor *y = tensor_like_wide(c, x, out);
    if (TAPE_WANTS(c, y, x, weight, bias)) {
        struct linear s = {.x = x, .weight = weight, .bias = bias};
        tape_push(c, y, linear_backward, &s, sizeof s);
    }
    return y;
}

struct tensor *op_linear(struct compute *c, struct tensor *x, struct tensor *weight,
                         struct tensor *bias)
{
    struct tensor *y = linear_result(c, x, weight, bias);
    c->device->linear(y->data, x->data, weight, bias ? bias->data : NULL, tensor_rows(x),
                      c->precision);
    return y;
}

void op_linears(struct compute *c, struct tensor **y, struct tensor *x,
                struct tensor *const *weight, struct tensor *const *bias, int count)
{
    struct linear_part parts[LINEARS_MOST];
    assert(count <= LINEARS_MOST);
    for (int i = 0; i < count; i++) {
        y[i] = linear_result(c, x, weight[i], bias[i]);
        parts[i] = (struct linear_part){
            .y = y[i]->data, .weight = weight[i], .bias = bias[i] ? bias[i]->data : NULL};
    }
    c->device->linears(parts, count, x->data, tensor_rows(x), c->precision);
}

struct tensor *op_linear_followed(struct compute *c, struct tensor *x, struct tensor *weight,
                                  struct tensor *bias, bool gelu, struct tensor *add)
{
    assert(!c->tape);
    struct tensor *y = linear_result(c, x, weight, bias);
    assert(!add || tensor_count(add) == tensor_count(y));
    c->device->linears(&(struct linear_part){.y = y->data,
                                             .weight = weight,
                                             .bias = bias ? bias->data : NULL,
                                             .add = add ? add->data : NULL,
                                             .gelu = gelu},
                       1, x->data, tensor_rows(x), c->precision);
    return y;
}

struct convolution_record {
    struct record record;
    struct tensor *x, *weight, *bias;
    struct convolution_sizes sizes;
};

static void convolution_backward(void *saved)
{
    struct convolution_record *s = saved;
    struct compute *c = &s->record.c;
    const float *dy = s->record.result->grad;
    float *dx = tensor_grad(c, s->x), *dw = tensor_grad(c, s->weight);
    float *db = tensor_grad(c, s->bias);
    if (dx)
        c->device->convolution_backward_input(dx, dy, s->weight->data, &s->sizes);
    if (dw || db)
        c->device->convolution_backward_weight(dw, db, dy, s->x->data, &s->sizes);
}

/* Checks the shapes; the result, without its numbers. */
static struct tensor *convolution_result(struct compute *c, const struct tensor *x,
                                         const struct tensor *weight,
                                         const struct convolution *shape,
                                         struct convolution_sizes *sizes)
{
    assert(x->dims == 5 && weight->dims == 5 && shape->groups > 0);
    *sizes = (struct convolution_sizes){.batch = x->shape[0],
                                        .channels = x->shape[4],
                                        .filters = weight->shape[0],
                                        .shape = *shape,
                                        .precision = c->precision};
    assert(sizes->channels == weight->shape[4] * shape->groups);
    assert(sizes->filters % shape->groups == 0);
    for (int i = 0; i < 3; i++) {
        sizes->in[i] = x->shape[1 + i];
        sizes->kernel[i] = weight->shape[1 + i];
        int64_t room = sizes->in[i] + 2 * shape->pad[i] - sizes->kernel[i];
        assert(room >= 0 && shape->stride[i] > 0);
        sizes->out[i] = room / shape->stride[i] + 1;
    }
    return tensor_new(
        c, TENSOR_SHAPE(sizes->batch, sizes->out[0], sizes->out[1], sizes->out[2], sizes->filters));
}

struct tensor *op_convolution(struct compute *c, struct tensor *x, struct tensor *weight,
                              struct tensor *bias, const struct convolution *shape)
{
    if (!c->tape)
        return op_convolution_followed(c, x, weight, shape,
                                       &(struct convolution_follow){.bias = bias});
    struct convolution_sizes sizes;
    struct tensor *y = convolution_result(c, x, weight, shape, &sizes);
    assert(!bias || tensor_count(bias) == sizes.filters);
    c->device->convolution(y->data, x->data, weight->data, bias ? bias->data : NULL, &sizes);
    if (TAPE_WANTS(c, y, x, weight, bias)) {
        struct convolution_record s = {.x = x, .weight = weight, .bias = bias, .sizes = sizes};
        tape_push(c, y, convolution_backward, &s, sizeof s);
    }
    return y;
}

/* NULL, or the numbers of what must have `count`. */
static const float *numbers_of(const struct tensor *t, int64_t count)
{
    assert(!t || tensor_count(t) == count);
    (void)count;
    return t ? t->data : NULL;
}

struct tensor *op_convolution_followed(struct compute *c, struct tensor *x, struct tensor *weight,
                                       const struct convolution *shape,
                                       const struct convolution_follow *follow)
{
    struct convolution_sizes sizes;
    struct tensor *y = convolution_result(c, x, weight, shape, &sizes);
    assert(!c->tape);
    c->device->convolution_frozen(
        y->data, x->data, weight,
        &(struct convolution_end){.scale = numbers_of(follow->scale, sizes.filters),
                                  .bias = numbers_of(follow->bias, sizes.filters),
                                  .add = numbers_of(follow->add, tensor_count(y)),
                                  .slope = numbers_of(follow->slope, sizes.filters)},
        &sizes);
    return y;
}

struct attention_record {
    struct record record;
    struct tensor *q, *k, *v;
    const float *log_sum;
    struct attention shape;
};

static void attention_backward(void *saved)
{
    struct attention_record *s = saved;
    struct compute *c = &s->record.c;
    struct tensor *y = s->record.result;
    c->device->attention_backward(tensor_grad(c, s->q), tensor_grad(c, s->k), tensor_grad(c, s->v),
                                  y->grad, y->data, s->log_sum, s->q->data, s->k->data, s->v->data,
                                  &s->shape, tensor_rows(y), tensor_width(y) / s->shape.heads,
                                  c->precision);
}

static void assert_spans(const struct span *spans, int count, int64_t rows)
{
    (void)spans, (void)rows; /* unused without assert */
    for (int i = 0; i < count; i++)
        assert(spans[i].start >= 0 && spans[i].length >= 0 &&
               spans[i].start + spans[i].length <= rows);
}

struct tensor *op_attention(struct compute *c, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct attention *shape)
{
    int64_t d = tensor_width(q) / shape->heads, rows = tensor_rows(q);
    assert(d * shape->heads == tensor_width(q) && shape->heads % shape->kv_heads == 0);
    assert(tensor_width(k) == d * shape->kv_heads && tensor_width(v) == tensor_width(k));
    assert(tensor_rows(k) == tensor_rows(v));
    assert_spans(shape->q_spans, shape->sequences, rows);
    assert_spans(shape->k_spans, shape->sequences, tensor_rows(k));
    struct tensor *y = tensor_like(c, q);
    bool wanted = TAPE_WANTS(c, y, q, k, v);
    float *log_sum = wanted ? arena_floats(c, rows * shape->heads) : NULL;
    if (k->stored) {
        assert(!wanted && k->dtype == DTYPE_BF16 && v->stored && v->dtype == DTYPE_BF16);
        c->device->attention_cached(y->data, q->data, k->stored, v->stored, shape, rows, d);
        return y;
    }
    c->device->attention(y->data, log_sum, q->data, k->data, v->data, shape, rows, d, c->precision);
    if (wanted) {
        struct attention_record s = {.q = q, .k = k, .v = v, .log_sum = log_sum, .shape = *shape};
        size_t bytes = sizeof(struct span) * (size_t)shape->sequences;
        s.shape.q_spans = arena_copy(c, shape->q_spans, bytes);
        s.shape.k_spans = arena_copy(c, shape->k_spans, bytes);
        tape_push(c, y, attention_backward, &s, sizeof s);
    }
    return y;
}
