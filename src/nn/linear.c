/* A linear layer is two parameters and one op. */
#include "nn/linear.h"

void linear_init(struct linear *l, int64_t in, int64_t out, bool bias)
{
    *l = (struct linear){0};
    param_declare(&l->weight, TENSOR_SHAPE(out, in));
    if (bias)
        param_declare(&l->bias, TENSOR_SHAPE(out));
}

void linear_params(struct linear *l, struct param_visitor *v, const char *name,
                   enum param_kind kind)
{
    size_t mark = param_enter(v, "%s.", name);
    param_visit(v, "weight", &l->weight, kind);
    param_visit(v, "bias", &l->bias, PARAM_BIAS);
    param_leave(v, mark);
}

struct tensor *linear_forward(struct linear *l, struct compute *c, struct tensor *x)
{
    return op_linear(c, x, &l->weight, param_or_null(&l->bias));
}

void linears_forward(struct linear *const *l, int count, struct compute *c, struct tensor **y,
                     struct tensor *x)
{
    struct tensor *weight[LINEARS_MOST], *bias[LINEARS_MOST];
    for (int i = 0; i < count; i++) {
        weight[i] = &l[i]->weight;
        bias[i] = param_or_null(&l[i]->bias);
    }
    op_linears(c, y, x, weight, bias, count);
}

struct tensor *linear_followed(struct linear *l, struct compute *c, struct tensor *x, bool gelu,
                               struct tensor *add)
{
    if (!c->tape)
        return op_linear_followed(c, x, &l->weight, param_or_null(&l->bias), gelu, add);
    struct tensor *y = linear_forward(l, c, x);
    y = gelu ? op_gelu(c, y) : y;
    return add ? op_add(c, add, y) : y;
}
