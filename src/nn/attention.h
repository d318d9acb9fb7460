/* The four products of multi-head attention, and LoRA on two of them; the softmax itself is
   op_attention. */
#ifndef NN_ATTENTION_H
#define NN_ATTENTION_H

#include "nn/linear.h"
#include "nn/lora.h"

struct self_attention {
    struct linear q, k, v, out; /* d -> heads * head_dim, kv_heads * head_dim (twice), and back */
    int heads, kv_heads;
    struct lora lora; /* of q and v; inner 0: none. A walk of its own, as it trains where the
                         products are frozen */
};

/* Which of the products have biases differs: Whisper all but k; AV-HuBERT all; Llama none; Qwen
   q, k, v. */
struct attention_biases {
    bool q, k, v, out;
};

void self_attention_init(struct self_attention *a, int d, int heads, int kv_heads, int head_dim,
                         struct attention_biases biases);
/* LoRA with these numbers, scale and sets; the widths are known here. */
void self_attention_add_lora(struct self_attention *a, struct lora_sizes sizes);
/* out_name: "out_proj" or "o_proj". Not LoRA's tensors: lora_params. */
void self_attention_params(struct self_attention *a, struct param_visitor *v, const char *name,
                           const char *out_name, enum param_kind kind);
/* qkv: queries, keys and values of x. runs: for lora_add. */
void self_attention_inputs(struct self_attention *a, struct compute *c, struct tensor *qkv[3],
                           struct tensor *x, const struct rate_run *runs, int run_count);
/* Every row of a sequence sees all rows of it (encoders); x [rows, d], spans[count]. What the heads
   give side by side: `out` is still to come. */
struct tensor *self_attention_heads(struct self_attention *a, struct compute *c, struct tensor *x,
                                    const struct span *spans, int count);

#endif
