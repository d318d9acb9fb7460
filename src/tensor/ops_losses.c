/* Losses: scalars [1]. */
#include "tensor/tape.h"

#include <assert.h>

struct cross_entropy {
    struct record record;
    struct tensor *logits;
    float *slope; /* [rows, width] gradient for upstream 1 */
};

static void cross_entropy_backward(void *saved)
{
    struct cross_entropy *s = saved;
    struct compute *c = &s->record.c;
    c->device->add_scaled(tensor_grad(c, s->logits), s->slope, s->record.result->grad[0],
                          tensor_count(s->logits));
}

struct tensor *op_cross_entropy(struct compute *c, struct tensor *logits, const int32_t *target,
                                const float *weight, float smoothing)
{
    int64_t rows = tensor_rows(logits), width = tensor_width(logits);
    for (int64_t r = 0; r < rows; r++)
        assert(target[r] >= -1 && target[r] < width);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    bool wanted = TAPE_WANTS(c, y, logits);
    float *slope = wanted ? arena_floats(c, rows * width) : NULL;
    y->data[0] =
        c->device->cross_entropy(slope, logits->data, target, weight, smoothing, rows, width);
    if (wanted) {
        struct cross_entropy s = {.logits = logits, .slope = slope};
        tape_push(c, y, cross_entropy_backward, &s, sizeof s);
    }
    return y;
}

struct weighted_sum {
    struct record record;
    struct tensor **terms;
    const float *factors;
    int count;
};

static void weighted_sum_backward(void *saved)
{
    struct weighted_sum *s = saved;
    for (int i = 0; i < s->count; i++) {
        float *grad = tensor_grad(&s->record.c, s->terms[i]);
        if (grad)
            *grad += s->factors[i] * s->record.result->grad[0];
    }
}

struct tensor *op_weighted_sum(struct compute *c, struct tensor *const *terms, const float *factors,
                               int count)
{
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    double sum = 0;
    for (int i = 0; i < count; i++) {
        assert(tensor_count(terms[i]) == 1);
        sum += (double)factors[i] * terms[i]->data[0];
    }
    y->data[0] = (float)sum;
    if (tape_wants(c, y, count, terms)) {
        struct weighted_sum s = {.count = count};
        s.terms = arena_copy(c, terms, sizeof *terms * (size_t)count);
        s.factors = arena_copy(c, factors, sizeof *factors * (size_t)count);
        tape_push(c, y, weighted_sum_backward, &s, sizeof s);
    }
    return y;
}
