/*
 * What the projected tokens say by themselves, without the LLM: connectionist temporal
 * classification (Graves et al. 2006) with the LLM's own frozen embeddings e_k as classes, and
 * <pad> as the blank:
 *
 *     logit of token k at a row z:  t (z e_k - |e_k|^2 / 2)  =  -t |z - e_k|^2 / 2 + const
 *
 * t = 20 / mean |e|^2 over the vocabulary makes an exact hit about certain. It has no weights: the
 * projectors learn to be read so (train/alignment), and where they have, search reads them beside
 * the LLM (decode/ctc_prefix).
 */
#ifndef MODELS_CTC_HEAD_H
#define MODELS_CTC_HEAD_H

#include "models/recognizer.h"

struct ctc_head {
    struct tensor bias; /* [vocab]: -t |e_k|^2 / 2 */
    float blank_bias;
    float sharpness; /* t */
    int32_t blank;   /* <pad> */
};

/* ERROR_USAGE where the tokenizer has no <pad>. */
int ctc_head_init(struct ctc_head *h, struct recognizer *r, struct error *err);
void ctc_head_release(struct ctc_head *h); /* also fine on a zeroed struct */

/* Log-probabilities [rows, vocab + 1], the last column the blank's, of projected rows. */
struct tensor *ctc_head_scores(const struct ctc_head *h, struct recognizer *r, struct compute *c,
                               struct tensor *projected);
/* Logits [rows, count + 1] of these tokens alone, the last column the blank's. What they lack to
   log-probabilities is the same for all of a row. */
struct tensor *ctc_head_logits(const struct ctc_head *h, struct recognizer *r, struct compute *c,
                               struct tensor *projected, const int32_t *ids, int count);

#endif
