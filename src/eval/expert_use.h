/*
 * How a model's experts are used, over the clips of an evaluation, for each task and rate (pair):
 *
 *     share        of the K slots of all rows of sound and pictures that each expert got, by layer
 *     agreement    of two conditions: rows are matched by the time that they stand for (row i at
 *                  rate a covers encoder frames i a .. i a + a - 1), and of each match's K chosen
 *                  experts the share that is the same, |K1 and K2| / K, averaged by time. Sound is
 *                  matched with sound and pictures with pictures, as far as both conditions have
 *                  them; with neither in common, sound with pictures
 *
 * And how alike the tokens are that go into the LLM: the cosines between all tokens of one clip, at
 * all rates of both modalities.
 *
 * The rows of the prompt's words are left out: they are the same for all rates.
 */
#ifndef EVAL_EXPERT_USE_H
#define EVAL_EXPERT_USE_H

#include "decode/transcriber.h"
#include "eval/result.h"
#include "nn/expert_slots.h"

struct expert_use {
    int layers, routed, active;
    int count;                                  /* conditions */
    struct result_expert_condition *conditions; /* [count]; owned, as all that follows */
    struct expert_slots *slots;                 /* [count] */
    double *same;    /* [layers, count, count]: share that is the same, times encoder frames */
    double *matched; /* [count, count]: encoder frames */
};

/* What one condition's rows chose: rows of sound and pictures among those of a prefill. */
struct expert_rows {
    int rate[2];         /* of sound, of pictures; 0: has none */
    struct span rows[2]; /* likewise */
};

/* Fails where the model has no experts to choose from. */
int expert_use_init(struct expert_use *use, const struct recognizer_config *config,
                    const struct result_expert_condition *conditions, int count, struct error *err);
void expert_use_release(struct expert_use *use); /* also fine on a zeroed struct */

/* Loads the clip anew, for every condition that it can serve, and adds what they choose. */
int expert_use_clip(struct expert_use *use, struct transcriber *t, const struct clip *clip,
                    struct error *err);
/* The same from a prefill's choices [layers, tokens, K]; rows[count], those without rates left
   out. */
void expert_use_add(struct expert_use *use, const int32_t *chosen, int64_t tokens,
                    const struct expert_rows *rows);
void expert_use_result(const struct expert_use *use, struct result *r); /* into r->experts */

/* Into r->similarity, of the first seconds of a clip; nothing where it lacks a modality that the
   model has. */
int expert_use_similarity(struct result *r, struct transcriber *t, const struct clip *clip,
                          const char *name, struct error *err);

#endif
