/* Llama's feed-forward. */
#include "nn/feedforward.h"

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

struct tensor *swiglu_forward(struct swiglu *f, struct compute *c, struct tensor *x)
{
    struct tensor *y[2];
    linears_forward((struct linear *[]){&f->gate, &f->up}, 2, c, y, x);
    return linear_forward(&f->down, c, op_swiglu(c, y[0], y[1]));
}
