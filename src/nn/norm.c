/* Row norms; which of the two is said by the bias being there. */
#include "nn/norm.h"

void norm_init_layer(struct norm *n, int64_t width)
{
    *n = (struct norm){.eps = 1e-5f};
    param_declare(&n->weight, TENSOR_SHAPE(width));
    param_declare(&n->bias, TENSOR_SHAPE(width));
}

void norm_init_rms(struct norm *n, int64_t width, float eps)
{
    *n = (struct norm){.eps = eps};
    param_declare(&n->weight, TENSOR_SHAPE(width));
}

void norm_params(struct norm *n, struct param_visitor *v, const char *name)
{
    size_t mark = param_enter(v, "%s.", name);
    param_visit(v, "weight", &n->weight, PARAM_SCALE);
    param_visit(v, "bias", &n->bias, PARAM_BIAS);
    param_leave(v, mark);
}

struct tensor *norm_forward(struct norm *n, struct compute *c, struct tensor *x)
{
    if (n->bias.dims > 0)
        return op_layer_norm(c, x, &n->weight, &n->bias, n->eps);
    return op_rms_norm(c, x, &n->weight, n->eps);
}
