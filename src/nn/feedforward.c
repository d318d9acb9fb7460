/* Llama's feed-forward. Without a tape, ROWS_AT_ONCE at a time: what lies between the products is
   several times as wide as x, and is wanted no more. */
#include "nn/feedforward.h"

#include <string.h>

enum { ROWS_AT_ONCE = 128 };

void swiglu_init(struct swiglu *f, int d, int width)
{
    linear_init(&f->gate, d, width, false);
    linear_init(&f->up, d, width, false);
    linear_init(&f->down, width, d, false);
}

void swiglu_params(struct swiglu *f, struct param_visitor *v, const char *name,
                   enum param_kind kind)
{
    size_t mark = param_enter(v, "%s.", name);
    linear_params(&f->gate, v, "gate_proj", kind);
    linear_params(&f->up, v, "up_proj", kind);
    linear_params(&f->down, v, "down_proj", kind);
    param_leave(v, mark);
}

static struct tensor *forward_rows(struct swiglu *f, struct compute *c, struct tensor *x)
{
    struct tensor *y[2];
    linears_forward((struct linear *[]){&f->gate, &f->up}, 2, c, y, x);
    return linear_forward(&f->down, c, op_swiglu(c, y[0], y[1]));
}

struct tensor *swiglu_forward(struct swiglu *f, struct compute *c, struct tensor *x)
{
    int64_t rows = tensor_rows(x), width = tensor_width(x);
    if (c->tape || rows <= ROWS_AT_ONCE)
        return forward_rows(f, c, x);
    struct tensor *y = tensor_new(c, x->dims, x->shape);
    for (int64_t first = 0; first < rows; first += ROWS_AT_ONCE) {
        size_t mark = arena_mark(c->arena);
        int64_t count = rows - first < ROWS_AT_ONCE ? rows - first : ROWS_AT_ONCE;
        struct tensor *part = forward_rows(f, c, op_slice_rows(c, x, first, count));
        memcpy(y->data + first * width, part->data, (size_t)(count * width) * sizeof *y->data);
        arena_rewind(c->arena, mark);
    }
    return y;
}
