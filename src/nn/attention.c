/* Attention's products, and the encoders' bidirectional use of them. */
#include "nn/attention.h"

void self_attention_init(struct self_attention *a, int d, int heads, int kv_heads, int head_dim,
                         struct attention_biases biases)
{
    int64_t q_width = (int64_t)heads * head_dim, kv_width = (int64_t)kv_heads * head_dim;
    *a = (struct self_attention){.heads = heads, .kv_heads = kv_heads};
    linear_init(&a->q, d, q_width, biases.q);
    linear_init(&a->k, d, kv_width, biases.k);
    linear_init(&a->v, d, kv_width, biases.v);
    linear_init(&a->out, q_width, d, biases.out);
}

void self_attention_add_lora(struct self_attention *a, struct lora_sizes sizes)
{
    sizes.width = a->q.weight.shape[1];
    sizes.q_width = a->q.weight.shape[0];
    sizes.v_width = a->v.weight.shape[0];
    lora_init(&a->lora, &sizes);
}

void self_attention_params(struct self_attention *a, struct param_visitor *v, const char *name,
                           const char *out_name, enum param_kind kind)
{
    size_t mark = param_enter(v, "%s.", name);
    linear_params(&a->q, v, "q_proj", kind);
    linear_params(&a->k, v, "k_proj", kind);
    linear_params(&a->v, v, "v_proj", kind);
    linear_params(&a->out, v, out_name, kind);
    param_leave(v, mark);
}

void self_attention_inputs(struct self_attention *a, struct compute *c, struct tensor *qkv[3],
                           struct tensor *x, const struct rate_run *runs, int run_count)
{
    linears_forward((struct linear *[]){&a->q, &a->k, &a->v}, 3, c, qkv, x);
    lora_add(&a->lora, c, qkv, x, runs, run_count);
}

struct tensor *self_attention_heads(struct self_attention *a, struct compute *c, struct tensor *x,
                                    const struct span *spans, int count)
{
    struct attention shape = {.heads = a->heads,
                              .kv_heads = a->kv_heads,
                              .sequences = count,
                              .q_spans = spans,
                              .k_spans = spans};
    struct tensor *qkv[3];
    self_attention_inputs(a, c, qkv, x, NULL, 0);
    return op_attention(c, qkv[0], qkv[1], qkv[2], &shape);
}
