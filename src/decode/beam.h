/*
 * Beam search over the LLM with a KV cache: all beams are one batch, one product each layer and
 * step. Beam 1 is greedy search.
 *
 *     score = sum of log probabilities / (tokens incl. EOS)^length_penalty
 *
 * A beam that ends (EOS) leaves the batch; the search is over when as many have ended as there are
 * beams and no running one can still beat the worst of them, or at max_tokens (a cut beam is a
 * hypothesis too, `complete` false).
 */
#ifndef DECODE_BEAM_H
#define DECODE_BEAM_H

#include "models/recognizer.h"

struct beam_options {
    int beam;              /* >= 1 */
    int n_best;            /* hypotheses wanted, 1 .. beam */
    int max_tokens;        /* without EOS */
    double length_penalty; /* 0: plain sum; 1: mean log probability */
};

struct hypothesis {
    int32_t *ids; /* [count], without EOS; owned */
    int count;
    double log_probability, score;
    bool complete;
};

/* hypotheses has room for options->n_best, best first; *count of them are filled, to be released by
   hypothesis_release. prompt_tokens (may be NULL): rows that went through the LLM before the first
   new token. Uses c->arena and rewinds it. */
int beam_search(struct hypothesis *hypotheses, int *count, int64_t *prompt_tokens,
                struct recognizer *r, struct compute *c, struct tensor *audio_states,
                struct tensor *video_states, const struct request *request,
                const struct beam_options *options, struct error *err);
void hypothesis_release(struct hypothesis *h);

#endif
