/* Pooling and projecting at one rate. */
#include "models/projector.h"

#include <string.h>

#include <assert.h>

void projector_init(struct projector *p, const struct projector_config *config, int rate,
                    int d_encoder, int d_llm)
{
    *p = (struct projector){.rate = rate, .stack = config->stack};
    linear_init(&p->in, config->stack ? (int64_t)d_encoder * rate : d_encoder, config->hidden,
                true);
    linear_init(&p->out, config->hidden, d_llm, true);
    if (config->norm)
        norm_init_layer(&p->norm, d_llm);
}

void projector_params(struct projector *p, struct param_visitor *v)
{
    linear_params(&p->in, v, "0", PARAM_LINEAR);
    linear_params(&p->out, v, "2", PARAM_LINEAR);
    norm_params(&p->norm, v, "3");
}

static int copy_tensor(struct tensor *to, const struct tensor *from, struct error *err)
{
    int dims = from->dims;
    int64_t shape[TENSOR_MAX_DIMS];
    if (dims == 0)
        return 0;
    memcpy(shape, from->shape, sizeof shape);
    int rc = parameter_init(to, dims, shape, err);
    if (rc == 0)
        parameter_read(to->data, from, 0, tensor_count(from));
    return rc;
}

int projector_copy(struct projector *to, const struct projector *from, struct error *err)
{
    int rc;
    if ((rc = copy_tensor(&to->in.weight, &from->in.weight, err)) != 0 ||
        (rc = copy_tensor(&to->in.bias, &from->in.bias, err)) != 0 ||
        (rc = copy_tensor(&to->out.weight, &from->out.weight, err)) != 0 ||
        (rc = copy_tensor(&to->out.bias, &from->out.bias, err)) != 0 ||
        (rc = copy_tensor(&to->norm.weight, &from->norm.weight, err)) != 0)
        return rc;
    return copy_tensor(&to->norm.bias, &from->norm.bias, err);
}

struct tensor *projector_forward(struct projector *p, struct compute *c, struct tensor *states,
                                 const struct span *spans, int count, int rate)
{
    assert(!p->stack || rate == p->rate);
    struct tensor *x = p->stack ? op_stack_rows(c, states, spans, count, rate)
                                : op_pool_rows(c, states, spans, count, rate);
    x = linear_forward(&p->out, c, op_relu(c, linear_forward(&p->in, c, x)));
    return p->norm.weight.dims > 0 ? norm_forward(&p->norm, c, x) : x;
}
