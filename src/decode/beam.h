/*
 * Beam search over the LLM with a KV cache, of several requests at once: the running beams of all
 * of them are one batch, one product each layer and step. Beam 1 is greedy search.
 *
 *     score = sum of log probabilities / (tokens incl. EOS)^length_penalty
 *
 * With a CTC head, what is added up is (1 - w) of the LLM's log-probabilities and w of CTC's prefix
 * scores (decode/ctc_prefix) of the projected tokens, sound's if there is any; each step weighs the
 * LLM's BEAM_CTC_TOKENS best tokens of every beam, and those that CTC finds likely. CTC can't say
 * more tokens than there are rows, so a request of fewer than BEAM_CTC_ROWS projected tokens a
 * second is read at a finer rate of the model's, the coarsest that gives as many, if there is one:
 * the LLM sees nothing of that.
 *
 * A beam that ends (EOS) leaves the batch; a request's search is over when as many have ended as
 * there are beams and no running one can still beat the worst of them, or at max_tokens (a cut beam
 * is a hypothesis too, `complete` false). A beam that goes round in circles (12 tokens or more, the
 * same ones three times or more) is cut where its first round ends. What a request finds does not
 * depend on the others, but for the last bits of its numbers: a product of more rows may add up in
 * another order.
 */
#ifndef DECODE_BEAM_H
#define DECODE_BEAM_H

#include "models/ctc_head.h"
#include "nn/expert_slots.h"

enum { BEAM_CTC_TOKENS = 24, BEAM_CTC_ROWS = 6 };

struct beam_options {
    int beam;              /* >= 1 */
    int n_best;            /* hypotheses wanted, 1 .. beam */
    int max_tokens;        /* without EOS */
    double length_penalty; /* 0: plain sum; 1: mean log probability */
    double ctc_weight;     /* w, 0 .. 1 */
};

struct hypothesis {
    int32_t *ids;             /* [count], without EOS; owned */
    float *log_probabilities; /* [count]: what each id added to log_probability; owned */
    int count;
    double log_probability, score; /* both weighed with CTC's, where that is read */
    bool complete;
};

/* What became of one request. */
struct found {
    struct hypothesis *hypotheses; /* [count], best first; owned */
    int count;                     /* at most n_best */
    int64_t prompt_tokens;         /* rows that went through the LLM before the first new token */
    int64_t ctc_rows;              /* projected tokens that CTC read */
    int64_t step_rows, step_keys;  /* rows after that, and the keys that they saw, added up */
    struct expert_slots experts;   /* of the rows of sound and pictures */
    double
        seconds; /* of the whole batch's: by its rows in the prefill, by its beams in the steps */
    double prefill_seconds; /* of them */
};

/* found[count], released by found_release; nothing to release where it fails. ctc NULL: the LLM
   alone. Uses c->arena and rewinds it. Each step looks whether c->cancelled was set. */
int beam_search(struct found *found, struct recognizer *r, struct compute *c,
                struct tensor *audio_states, struct tensor *video_states,
                const struct request *requests, int count, const struct ctc_head *ctc,
                const struct beam_options *options, struct error *err);
/* The rate that CTC reads a request's sound or pictures at: its own, or where that gives fewer than
   BEAM_CTC_ROWS rows a second, the coarsest of the model's that gives as many; 0: none does. */
int beam_ctc_rate(const struct recognizer *r, bool video, int rate);
void found_release(struct found *f); /* also fine on a zeroed struct */
void hypothesis_release(struct hypothesis *h);

#endif
