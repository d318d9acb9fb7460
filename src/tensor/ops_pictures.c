/* Pictures, channels last. (The mean over a picture is op_mean_rows, with the other rows ops.) */
#include "tensor/tape.h"

#include <assert.h>

struct max_pool {
    struct record record;
    struct tensor *x;
    const int32_t *argmax; /* [outputs] index into x */
};

static void max_pool_backward(void *saved)
{
    struct max_pool *s = saved;
    struct compute *c = &s->record.c;
    c->device->max_pool_backward(tensor_grad(c, s->x), s->record.result->grad, s->argmax,
                                 tensor_count(s->record.result), s->x->shape[0],
                                 tensor_count(s->x) / s->x->shape[0]);
}

struct tensor *op_max_pool(struct compute *c, struct tensor *x, int kernel, int stride, int pad)
{
    assert(x->dims == 4 && pad >= 0 && pad < kernel && stride > 0);
    int64_t n = x->shape[0], h = x->shape[1], w = x->shape[2], channels = x->shape[3];
    assert(h + 2 * pad >= kernel && w + 2 * pad >= kernel && tensor_count(x) <= INT32_MAX);
    int64_t out_h = (h + 2 * pad - kernel) / stride + 1;
    int64_t out_w = (w + 2 * pad - kernel) / stride + 1;
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(n, out_h, out_w, channels));
    bool wanted = TAPE_WANTS(c, y, x);
    int32_t *argmax = NULL;
    if (wanted)
        argmax = arena_alloc(c->arena, sizeof *argmax * (size_t)tensor_count(y));
    c->device->max_pool(y->data, argmax, x->data, n, h, w, channels, kernel, stride, pad);
    if (wanted) {
        struct max_pool s = {.x = x, .argmax = argmax};
        tape_push(c, y, max_pool_backward, &s, sizeof s);
    }
    return y;
}
