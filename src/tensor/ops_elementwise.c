/* Element-wise ops: activations, sums, scaling, dropout, positions. */
#include "tensor/tape.h"

#include <assert.h>

struct elementwise {
    struct record record;
    struct tensor *a, *b; /* inputs; b: the second, where there is one */
    const float *mask;    /* dropout: [count] 0 or 1 / (1 - p) */
    float factor;
    int64_t period;
};

static void relu_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    c->device->relu_backward(tensor_grad(c, s->a), s->record.result->grad, s->a->data,
                             tensor_count(s->a));
}

struct tensor *op_relu(struct compute *c, struct tensor *x)
{
    struct tensor *y = tensor_like(c, x);
    c->device->relu(y->data, x->data, tensor_count(x));
    if (TAPE_WANTS(c, y, x)) {
        struct elementwise s = {.a = x};
        tape_push(c, y, relu_backward, &s, sizeof s);
    }
    return y;
}

static void gelu_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    c->device->gelu_backward(tensor_grad(c, s->a), s->record.result->grad, s->a->data,
                             tensor_count(s->a));
}

struct tensor *op_gelu(struct compute *c, struct tensor *x)
{
    struct tensor *y = tensor_like(c, x);
    c->device->gelu(y->data, x->data, tensor_count(x));
    if (TAPE_WANTS(c, y, x)) {
        struct elementwise s = {.a = x};
        tape_push(c, y, gelu_backward, &s, sizeof s);
    }
    return y;
}

static void prelu_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    c->device->prelu_backward(tensor_grad(c, s->a), tensor_grad(c, s->b), s->record.result->grad,
                              s->a->data, s->b->data, tensor_rows(s->a), tensor_width(s->a));
}

struct tensor *op_prelu(struct compute *c, struct tensor *x, struct tensor *slope)
{
    assert(tensor_count(slope) == tensor_width(x));
    struct tensor *y = tensor_like(c, x);
    c->device->prelu(y->data, x->data, slope->data, tensor_rows(x), tensor_width(x));
    if (TAPE_WANTS(c, y, x, slope)) {
        struct elementwise s = {.a = x, .b = slope};
        tape_push(c, y, prelu_backward, &s, sizeof s);
    }
    return y;
}

static void swiglu_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    c->device->swiglu_backward(tensor_grad(c, s->a), tensor_grad(c, s->b), s->record.result->grad,
                               s->a->data, s->b->data, tensor_count(s->a));
}

struct tensor *op_swiglu(struct compute *c, struct tensor *gate, struct tensor *up)
{
    assert(tensor_count(gate) == tensor_count(up) && tensor_width(gate) == tensor_width(up));
    struct tensor *y = tensor_like(c, gate);
    c->device->swiglu(y->data, gate->data, up->data, tensor_count(gate));
    if (TAPE_WANTS(c, y, gate, up)) {
        struct elementwise s = {.a = gate, .b = up};
        tape_push(c, y, swiglu_backward, &s, sizeof s);
    }
    return y;
}

static void add_grad(struct compute *c, struct tensor *t, const float *dy, float factor)
{
    bool first;
    float *grad = tensor_grad_first(c, t, &first);
    if (first)
        c->device->scale(grad, dy, factor, tensor_count(t));
    else if (grad)
        c->device->add_scaled(grad, dy, factor, tensor_count(t));
}

static void add_backward(void *saved)
{
    struct elementwise *s = saved;
    add_grad(&s->record.c, s->b, s->record.result->grad, 1);
    if (!tape_hand_on(s->a, s->record.result))
        add_grad(&s->record.c, s->a, s->record.result->grad, 1);
}

struct tensor *op_add(struct compute *c, struct tensor *a, struct tensor *b)
{
    assert(tensor_count(a) == tensor_count(b) && tensor_width(a) == tensor_width(b));
    struct tensor *y = tensor_like(c, a);
    c->device->add(y->data, a->data, b->data, tensor_count(a));
    if (TAPE_WANTS(c, y, a, b)) {
        struct elementwise s = {.a = a, .b = b};
        tape_push(c, y, add_backward, &s, sizeof s);
    }
    return y;
}

static void add_periodic_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    const float *dy = s->record.result->grad;
    float *dtable = tensor_grad(c, s->b);
    add_grad(c, s->a, dy, 1);
    if (dtable)
        c->device->add_periodic_backward(dtable, dy, tensor_rows(s->a), tensor_width(s->a),
                                         s->period);
}

struct tensor *op_add_periodic(struct compute *c, struct tensor *x, struct tensor *table,
                               int64_t period)
{
    assert(tensor_width(x) == tensor_width(table));
    assert(period > 0 && period <= tensor_rows(table));
    struct tensor *y = tensor_like(c, x);
    c->device->add_periodic(y->data, x->data, table->data, tensor_rows(x), tensor_width(x), period);
    if (TAPE_WANTS(c, y, x, table)) {
        struct elementwise s = {.a = x, .b = table, .period = period};
        tape_push(c, y, add_periodic_backward, &s, sizeof s);
    }
    return y;
}

static void scale_backward(void *saved)
{
    struct elementwise *s = saved;
    add_grad(&s->record.c, s->a, s->record.result->grad, s->factor);
}

struct tensor *op_scale(struct compute *c, struct tensor *x, float factor)
{
    struct tensor *y = tensor_like(c, x);
    c->device->scale(y->data, x->data, factor, tensor_count(x));
    if (TAPE_WANTS(c, y, x)) {
        struct elementwise s = {.a = x, .factor = factor};
        tape_push(c, y, scale_backward, &s, sizeof s);
    }
    return y;
}

static void dropout_backward(void *saved)
{
    struct elementwise *s = saved;
    struct compute *c = &s->record.c;
    c->device->multiply_add(tensor_grad(c, s->a), s->record.result->grad, s->mask,
                            tensor_count(s->a));
}

struct tensor *op_dropout(struct compute *c, struct tensor *x, float p)
{
    assert(p >= 0 && p < 1);
    if (p == 0 || !c->random)
        return x;
    int64_t count = tensor_count(x);
    float *mask = arena_floats(c, count);
    for (int64_t i = 0; i < count; i++)
        mask[i] = random_uniform(c->random) < p ? 0 : 1 / (1 - p);
    struct tensor *y = tensor_zeros(c, x->dims, x->shape);
    c->device->multiply_add(y->data, x->data, mask, count);
    if (TAPE_WANTS(c, y, x)) {
        struct elementwise s = {.a = x, .mask = mask};
        tape_push(c, y, dropout_backward, &s, sizeof s);
    }
    return y;
}

struct rope {
    struct record record;
    struct tensor *x;
    const int32_t *position;
    const float *inverse_frequency;
    int heads;
    int64_t d;
};

/* A rotation's gradient is the rotation back. */
static void rope_backward(void *saved)
{
    struct rope *s = saved;
    struct compute *c = &s->record.c;
    c->device->rope(tensor_grad(c, s->x), s->record.result->grad, s->position, s->inverse_frequency,
                    -1, true, tensor_rows(s->x), s->heads, s->d);
}

struct tensor *op_rope(struct compute *c, struct tensor *x, const int32_t *position,
                       const float *inverse_frequency, int heads)
{
    int64_t rows = tensor_rows(x), d = tensor_width(x) / heads;
    assert(d * heads == tensor_width(x) && d % 2 == 0);
    struct tensor *y = tensor_like(c, x);
    c->device->rope(y->data, x->data, position, inverse_frequency, 1, false, rows, heads, d);
    if (TAPE_WANTS(c, y, x)) {
        struct rope s = {.x = x, .heads = heads, .d = d};
        s.position = arena_copy(c, position, sizeof *position * (size_t)rows);
        s.inverse_frequency = arena_copy(c, inverse_frequency, sizeof(float) * (size_t)d / 2);
        tape_push(c, y, rope_backward, &s, sizeof s);
    }
    return y;
}
