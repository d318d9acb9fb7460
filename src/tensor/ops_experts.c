/*
 * The mixture of experts of MoME (arXiv 2510.04136, section 3): scores = softmax(router), gates =
 * the K largest, each expert's hidden columns times its gate, and the load-balancing loss
 * Nr sum_n f_n P_n (Switch Transformer, arXiv 2101.03961, equation 4).
 */
#include "tensor/tape.h"

#include <assert.h>

struct experts {
    struct record record;
    struct tensor *a, *b;
    const int32_t *chosen; /* [rows, k] */
    const float *slope;    /* load balance: [Nr] gradient of the loss by each score */
    int k, shared, width;
    bool renormalise;
};

static void softmax_backward(void *saved)
{
    struct experts *s = saved;
    struct compute *c = &s->record.c;
    struct tensor *y = s->record.result;
    c->device->softmax_backward(tensor_grad(c, s->a), y->grad, y->data, tensor_rows(y),
                                tensor_width(y));
}

struct tensor *op_softmax(struct compute *c, struct tensor *logits)
{
    struct tensor *y = tensor_like(c, logits);
    c->device->softmax(y->data, logits->data, tensor_rows(y), tensor_width(y));
    if (TAPE_WANTS(c, y, logits)) {
        struct experts s = {.a = logits};
        tape_push(c, y, softmax_backward, &s, sizeof s);
    }
    return y;
}

static void top_k_backward(void *saved)
{
    struct experts *s = saved;
    struct compute *c = &s->record.c;
    struct tensor *y = s->record.result;
    c->device->top_k_backward(tensor_grad(c, s->a), y->grad, y->data, s->a->data, s->chosen, s->k,
                              s->renormalise, tensor_rows(y), tensor_width(y));
}

struct tensor *op_top_k(struct compute *c, struct tensor *scores, int k, bool renormalise,
                        float *share)
{
    int64_t rows = tensor_rows(scores), width = tensor_width(scores);
    assert(k > 0 && k <= width);
    struct tensor *y = tensor_like(c, scores);
    int32_t *chosen = arena_alloc(c->arena, sizeof *chosen * (size_t)(rows * k));
    c->device->top_k(y->data, chosen, scores->data, k, renormalise, rows, width);
    if (share) {
        c->device->fill(share, 0, width);
        for (int64_t i = 0; i < rows * k; i++)
            share[chosen[i]] += 1;
        c->device->scale(share, share, 1 / (float)(rows * k), width);
    }
    if (TAPE_WANTS(c, y, scores)) {
        struct experts s = {.a = scores, .chosen = chosen, .k = k, .renormalise = renormalise};
        tape_push(c, y, top_k_backward, &s, sizeof s);
    }
    return y;
}

static void gate_experts_backward(void *saved)
{
    struct experts *s = saved;
    struct compute *c = &s->record.c;
    c->device->gate_experts_backward(
        tensor_grad(c, s->a), tensor_grad(c, s->b), s->record.result->grad, s->a->data, s->b->data,
        tensor_rows(s->a), s->shared, (int)tensor_width(s->b), s->width);
}

struct tensor *op_gate_experts(struct compute *c, struct tensor *h, struct tensor *gates,
                               int shared, int b)
{
    int64_t rows = tensor_rows(h), routed = tensor_width(gates);
    assert(tensor_rows(gates) == rows && tensor_width(h) == (shared + routed) * b);
    struct tensor *y = tensor_like(c, h);
    c->device->gate_experts(y->data, h->data, gates->data, rows, shared, (int)routed, b);
    if (TAPE_WANTS(c, y, h, gates)) {
        struct experts s = {.a = h, .b = gates, .shared = shared, .width = b};
        tape_push(c, y, gate_experts_backward, &s, sizeof s);
    }
    return y;
}

static void load_balance_backward(void *saved)
{
    struct experts *s = saved;
    struct compute *c = &s->record.c;
    int64_t rows = tensor_rows(s->a), width = tensor_width(s->a);
    float *dx = tensor_grad(c, s->a), *slope = arena_floats(c, width);
    c->device->scale(slope, s->slope, s->record.result->grad[0], width);
    c->device->add_periodic(dx, dx, slope, rows, width, 1);
}

struct tensor *op_load_balance(struct compute *c, struct tensor *scores, const float *share)
{
    struct norm_sizes sizes = {.rows = tensor_rows(scores), .width = tensor_width(scores)};
    float *mean = arena_floats(c, sizes.width), *slope = arena_floats(c, sizes.width);
    c->device->column_moments(mean, slope, scores->data, &sizes);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    y->data[0] = 0;
    for (int64_t i = 0; i < sizes.width; i++) {
        y->data[0] += (float)sizes.width * share[i] * mean[i];
        slope[i] = (float)sizes.width * share[i] / (float)sizes.rows;
    }
    if (TAPE_WANTS(c, y, scores)) {
        struct experts s = {.a = scores, .slope = slope};
        tape_push(c, y, load_balance_backward, &s, sizeof s);
    }
    return y;
}
