/*
 * The language model (Llama 3 and its kin), names as in Hugging Face's files:
 *
 *     n1 = rms(x);  h = x + attention(n1)          grouped-query, rotary positions, causal
 *     n2 = rms(h);  y = h + down(silu(gate(n2)) * up(n2))
 *
 * with a MoME module of the same layer added where its placement says:
 *
 *     mhsa:  h += mome(n1)      ffn:  y += mome(n2)      layer:  y += mome(x) or mome(n1)
 *
 * and, or instead, LoRA on the queries and values (nn/lora.h).
 *
 * Sequences of any number and length run packed; x [rows, d].
 */
#ifndef MODELS_LLAMA_H
#define MODELS_LLAMA_H

#include "models/config.h"
#include "models/mome.h"
#include "nn/attention.h"
#include "nn/feedforward.h"
#include "nn/kv_cache.h"
#include "nn/norm.h"

enum { LLAMA_MAX_HEAD = 512 };

struct llama_layer {
    struct norm norm1, norm2;
    struct self_attention attention;
    struct swiglu ffn;
};

struct llama {
    struct llama_config config;
    struct tensor embed, head; /* [vocab, d]; head undeclared where tied */
    struct tensor extra;       /* [extra_tokens, d]: embeddings of added tokens, ids extra_from on;
                                  not in llama_params: the recognizer's own */
    struct llama_layer *layers;
    struct norm norm;
    float inverse_frequency[LLAMA_MAX_HEAD / 2];
};

int llama_init(struct llama *m, const struct llama_config *config, struct error *err);
void llama_release(struct llama *m); /* tensors are released by a walk before */
void llama_params(struct llama *m, struct param_visitor *v);
/* LoRA in all layers, of `pairs` pairs of rates where it is per rate; a walk of its own, names
   layers.N.{q,v}.{down,up}.weight */
void llama_add_lora(struct llama *m, const struct lora_config *config, int pairs);
void llama_lora_params(struct llama *m, struct param_visitor *v);

/* What the rows of x are. Without `past`, sequence i is spans[i] of x and sees itself; where cache
   is not NULL its keys and values are put into slot i. With `past`, spans[i] goes on behind what
   slot i holds, and sees that too. */
struct llama_rows {
    const struct span *spans;
    int sequences;
    const int32_t *position;     /* [rows] */
    const struct rate_run *runs; /* which router and LoRA each row uses */
    int run_count;
    struct kv_cache *cache;
    bool past;
    struct expert_report *reports; /* [layers] or NULL */
};

struct tensor *llama_embed(struct llama *m, struct compute *c, const int32_t *ids, int64_t count);
/* -> [rows, d], after the last norm. mome NULL, or placed nowhere: the LLM alone. Without a tape
   x's memory is used again. */
struct tensor *llama_forward(struct llama *m, struct mome *mome, struct compute *c,
                             struct tensor *x, const struct llama_rows *rows);
struct tensor *llama_head(struct llama *m, struct compute *c, struct tensor *x); /* [rows, vocab] */

#endif
