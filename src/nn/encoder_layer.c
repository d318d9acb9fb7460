/* The encoders' transformer layer. */
#include "nn/encoder_layer.h"

void encoder_layer_init(struct encoder_layer *l, int d, int heads, int ffn, bool k_bias,
                        float dropout)
{
    struct attention_biases biases = {.q = true, .k = k_bias, .v = true, .out = true};
    norm_init_layer(&l->attention_norm, d);
    self_attention_init(&l->attention, d, heads, heads, d / heads, biases);
    norm_init_layer(&l->ffn_norm, d);
    linear_init(&l->fc1, d, ffn, true);
    linear_init(&l->fc2, ffn, d, true);
    l->dropout = dropout;
}

void encoder_layer_params(struct encoder_layer *l, struct param_visitor *v)
{
    norm_params(&l->attention_norm, v, "self_attn_layer_norm");
    self_attention_params(&l->attention, v, "self_attn", "out_proj", PARAM_LINEAR);
    norm_params(&l->ffn_norm, v, "final_layer_norm");
    linear_params(&l->fc1, v, "fc1", PARAM_LINEAR);
    linear_params(&l->fc2, v, "fc2", PARAM_LINEAR);
}

/* x + dropout(linear(y)) */
static struct tensor *add_to(struct encoder_layer *l, struct compute *c, struct tensor *x,
                             struct linear *linear, struct tensor *y)
{
    if (c->random)
        return op_add(c, x, op_dropout(c, linear_forward(linear, c, y), l->dropout));
    return linear_followed(linear, c, y, false, x);
}

struct layer_run {
    struct encoder_layer *layer;
    const struct span *spans;
    int count;
};

static void run_layer(void *arg, struct compute *c, struct tensor *x, struct tensor **made)
{
    const struct layer_run *run = arg;
    *made = encoder_layer_forward(run->layer, c, x, run->spans, run->count);
}

static struct tensor *recompute(const struct layer_run *layer, struct compute *c, struct tensor *x)
{
    struct layer_run *run = arena_alloc(c->arena, sizeof *run);
    struct tensor *y = tensor_new(c, x->dims, x->shape);
    *run = *layer;
    tape_recompute(c, &y, 1, x, run_layer, run);
    return y;
}

struct tensor *encoder_layer_forward(struct encoder_layer *l, struct compute *c, struct tensor *x,
                                     const struct span *spans, int count)
{
    if (c->tape && c->recompute)
        return recompute(&(struct layer_run){l, spans, count}, c, x);
    struct tensor *n = norm_forward(&l->attention_norm, c, x);
    struct tensor *y = self_attention_heads(&l->attention, c, n, spans, count);
    x = add_to(l, c, x, &l->attention.out, y);
    n = norm_forward(&l->ffn_norm, c, x);
    return add_to(l, c, x, &l->fc2, linear_followed(&l->fc1, c, n, true, NULL));
}
