/*
 * The ops: what layers and models are written in. Each runs at once and returns its result; when
 * c->tape is set and an input needs a gradient, it also pushes its backward. Shapes are asserted
 * at the front door. Results are new tensors unless the comment says "view".
 *
 * [rows, w] means: any tensor whose last dimension is w. Convolutions take channels last,
 * x [N, D, H, W, C] (a 1-D convolution has D = H = 1), because then normalisation, activations and
 * biases over channels are plain row ops.
 * Arrays passed by pointer (spans, ids, indices) are copied when backward needs them.
 */
#ifndef TENSOR_OPS_H
#define TENSOR_OPS_H

#include "tensor/tensor.h"

/* ---- products --------------------------------------------------------------------------- */

/* y [rows, out] = x [rows, in] weight[out, in]^T + bias[out]; bias may be NULL.
   Where weight is frozen no time goes to its gradient; it may be stored in any dtype. */
struct tensor *op_linear(struct compute *c, struct tensor *x, struct tensor *weight,
                         struct tensor *bias);
/* Several weights of one x: y[i] as op_linear's with weight[i] and bias[i]. */
enum { LINEARS_MOST = 4 };
void op_linears(struct compute *c, struct tensor **y, struct tensor *x,
                struct tensor *const *weight, struct tensor *const *bias, int count);
/* What often follows, at once: op_linear's result, gelu of it where asked, plus `add`, as the
   result, or NULL. Without a tape. */
struct tensor *op_linear_followed(struct compute *c, struct tensor *x, struct tensor *weight,
                                  struct tensor *bias, bool gelu, struct tensor *add);

/* x [N, D, H, W, C], weight [O, kd, kh, kw, C / groups], bias [O] or NULL
   -> [N, D', H', W', O], size' = (size + 2 pad - kernel) / stride + 1. */
struct convolution {
    int stride[3], pad[3]; /* depth, height, width */
    int groups;
};
struct tensor *op_convolution(struct compute *c, struct tensor *x, struct tensor *weight,
                              struct tensor *bias, const struct convolution *shape);

/* What often follows, at once: prelu(scale * convolution + bias + add, slope). Without a tape. */
struct convolution_follow {
    struct tensor *scale, *bias, *slope; /* [O], or NULL */
    struct tensor *add;                  /* as the result, or NULL */
};
struct tensor *op_convolution_followed(struct compute *c, struct tensor *x, struct tensor *weight,
                                       const struct convolution *shape,
                                       const struct convolution_follow *follow);

/*
 * Scaled dot-product attention over packed sequences, never writing queries x keys to memory.
 * q [q_rows, heads * d], k and v [k_rows, kv_heads * d], heads a multiple of kv_heads
 * (grouped-query: query head h uses key head h / (heads / kv_heads)). Sequence i: queries
 * q_spans[i], keys k_spans[i]. causal: query j of a span of nq sees the first nk - nq + j + 1 keys
 * (so that a few new queries over a longer cache work). scale multiplies the scores (0: 1/sqrt(d)).
 * Rows of q outside all spans give zeros. k and v may be plain views of a cache (no gradient),
 * float32, or stored BF16.
 */
struct attention {
    int heads, kv_heads;
    bool causal;
    float scale;
    int sequences;
    const struct span *q_spans, *k_spans; /* [sequences] */
};
struct tensor *op_attention(struct compute *c, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct attention *shape);

/* ---- normalisation ----------------------------------------------------------------------- */

struct tensor *op_layer_norm(struct compute *c, struct tensor *x, struct tensor *weight,
                             struct tensor *bias, float eps);
struct tensor *op_rms_norm(struct compute *c, struct tensor *x, struct tensor *weight, float eps);
/* Over all rows, per channel (x [rows, channels]). Training: statistics of the batch, and
   running = (1 - momentum) running + momentum batch (unbiased variance, as PyTorch). Else: running.
 */
struct tensor *op_batch_norm(struct compute *c, struct tensor *x, struct tensor *weight,
                             struct tensor *bias, struct tensor *running_mean,
                             struct tensor *running_var, float momentum, float eps);

/* ---- element-wise ------------------------------------------------------------------------ */

struct tensor *op_relu(struct compute *c, struct tensor *x);
struct tensor *op_gelu(struct compute *c, struct tensor *x); /* exact: x Phi(x), by erf */
struct tensor *op_prelu(struct compute *c, struct tensor *x, struct tensor *slope);  /* slope [w] */
struct tensor *op_swiglu(struct compute *c, struct tensor *gate, struct tensor *up); /* silu(g)*u */
struct tensor *op_add(struct compute *c, struct tensor *a, struct tensor *b); /* same shape */
/* x [rows, w] + table [period, w]: row r gets table[r % period]. */
struct tensor *op_add_periodic(struct compute *c, struct tensor *x, struct tensor *table,
                               int64_t period);
struct tensor *op_scale(struct compute *c, struct tensor *x, float factor);
struct tensor *op_dropout(struct compute *c, struct tensor *x,
                          float p); /* identity where c->random is NULL */
/* Rotary embedding, halves convention ("rotate_half"): x [rows, heads * d]; position[rows];
   inverse_frequency [d / 2] (so that rope scaling is the caller's business). */
struct tensor *op_rope(struct compute *c, struct tensor *x, const int32_t *position,
                       const float *inverse_frequency, int heads);

/* ---- rows and columns -------------------------------------------------------------------- */

struct tensor *op_reshape(struct compute *c, struct tensor *x, int dims,
                          const int64_t *shape); /* view */
struct tensor *op_slice_rows(struct compute *c, struct tensor *x, int64_t start,
                             int64_t count); /* view */
struct tensor *op_concat_rows(struct compute *c, struct tensor *const *parts, int count);
struct tensor *op_concat_columns(struct compute *c, struct tensor *const *parts, int count);
/* y[i] = x[index[i]]; index -1 gives a zero row. Also the embedding look-up (x may be stored, in
   any dtype). Backward scatters. */
struct tensor *op_gather_rows(struct compute *c, struct tensor *x, const int32_t *index,
                              int64_t count);
/* Average (or, stacked, concatenation) of each `rate` rows of each span, remainder dropped; packed:
   span i gives spans[i].length / rate rows. Stacked rows are rate * w wide. */
struct tensor *op_pool_rows(struct compute *c, struct tensor *x, const struct span *spans,
                            int count, int rate);
struct tensor *op_stack_rows(struct compute *c, struct tensor *x, const struct span *spans,
                             int count, int rate);

/* ---- pictures ---------------------------------------------------------------------------- */

/* x [N, H, W, C], per channel. Padding counts as minus infinity. */
struct tensor *op_max_pool(struct compute *c, struct tensor *x, int kernel, int stride, int pad);
struct tensor *op_mean_rows(struct compute *c, struct tensor *x,
                            int64_t group); /* [rows/group, w] */

/* ---- experts (MoME, section 2 of the paper) ---------------------------------------------- */

/*
 * scores [rows, Nr] = softmax(logits); gates [rows, Nr]: the K largest scores of a row
 * (renormalised to sum 1 if asked), zero elsewhere. share [Nr], if not NULL, receives the share of
 * the rows*K slots that each expert got.
 */
struct tensor *op_softmax(struct compute *c, struct tensor *logits);
struct tensor *op_top_k(struct compute *c, struct tensor *scores, int k, bool renormalise,
                        float *share);
/* h [rows, (shared + routed) * b] with each routed expert's b columns times its gate [rows,
   routed]; the first shared * b columns pass as they are. */
struct tensor *op_gate_experts(struct compute *c, struct tensor *h, struct tensor *gates,
                               int shared, int b);
/* Nr * sum_n share_n * mean_rows(scores)_n; share is a constant. Scalar [1]. */
struct tensor *op_load_balance(struct compute *c, struct tensor *scores, const float *share);

/* ---- losses (scalars [1]) ---------------------------------------------------------------- */

/* sum_r weight_r * CE(logits_r, target_r); target -1: row ignored; weight NULL: 1/number of counted
   rows each. smoothing: label smoothing share. */
struct tensor *op_cross_entropy(struct compute *c, struct tensor *logits, const int32_t *target,
                                const float *weight, float smoothing);
/*
 * Connectionist temporal classification (Graves et al. 2006), softmax inside:
 * sum_i weight_i * -log P(labels of label_spans[i] | rows spans[i] of logits), over all ways to
 * read the labels from the rows with `blank` (a column) between. weight NULL: 1 / count each. Spans
 * of rows don't overlap; labels are columns, not blank. A sequence that no way leads through (it
 * has fewer rows than labels and repeats) counts 0, without gradient.
 */
struct tensor *op_ctc(struct compute *c, struct tensor *logits, const struct span *spans,
                      const int32_t *labels, const struct span *label_spans, int count,
                      int32_t blank, const float *weight);
/* sum_i factor_i * terms_i of scalars. */
struct tensor *op_weighted_sum(struct compute *c, struct tensor *const *terms, const float *factors,
                               int count);

#endif
