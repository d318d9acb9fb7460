/*
 * A model's error rates on a manifest: every clip at every task, rate (pair), noise level and seed,
 * in one pass over the clips. Noise is mixed by utterance energy at offsets that depend on the
 * condition's seed and the clip's line in the manifest alone, so two runs (and two models) hear the
 * same. Each sound and the pictures are encoded once for all that is read from them, and all
 * conditions of a clip are decoded as one batch.
 * References and hypotheses are folded (text/normalize.h), and for the normalised rate freed of
 * punctuation as well, and scored at corpus level (eval/wer.h).
 */
#ifndef EVAL_EVALUATE_H
#define EVAL_EVALUATE_H

#include "decode/pace_run.h"
#include "eval/wer.h"
#include "media/noise.h"
#include "text/manifest.h"

/* One cell of the table. */
struct condition {
    enum task task;
    int audio_rate, video_rate; /* 0 where the task lacks the modality; both: as pace chooses */
    double snr_db;              /* INFINITY: clean */
    uint64_t seed;              /* of the noise's offsets */
};

struct score {
    struct condition condition;
    struct wer words, characters;
    struct wer normalised;        /* words without punctuation */
    struct wer_interval interval; /* 95 %, of the word error rate */
    int64_t clips, failed;        /* failed: no face, say; scored as if nothing was recognised */
    int64_t held;                 /* clips that kept the limits */
    int64_t prompt_tokens, media_tokens; /* sums */
    double flops;                        /* sum, by eval/cost.h */
    double seconds;         /* log-mel, encoders that the task uses, its share of decoding */
    double audio_seconds;   /* length of the clips: seconds / it is the real-time factor */
    struct wer *utterances; /* [clips]; owned */
};

/* What came of one clip at one condition. */
struct evaluated {
    const struct manifest_entry *entry;
    int64_t clip;   /* among those evaluated, from 0 */
    double seconds; /* of the clip; 0: it could not be read */
    int condition;  /* of those given */
    const char *hypothesis;
};

struct evaluate_options {
    const struct noise *noise; /* needed where a condition has a finite SNR */
    uint64_t seed;             /* of the bootstrap */
    int64_t most_clips;        /* evenly taken; 0: all */
    const char *cache;         /* folder for decoded clips (features/clip_cache.h); NULL: none */
    struct beam_options beam;
    /* NULL, or: every clip and condition by itself, as pace_run does it within the limits, which
       the conditions without rates choose theirs by. */
    struct pace *pace;
    struct pace_limits limits;
    bool may_drop_pictures; /* where the rate is chosen (decode/pace_run.h) */
    /* Called after each clip; `note` is NULL or says what went wrong with it; return not 0 cancels.
       May be NULL. */
    int (*report)(void *arg, int64_t done, int64_t total, const char *note);
    /* Every single result, clip by clip; may be NULL. */
    void (*utterance)(void *arg, const struct evaluated *utterance);
    /* Each clip that could be read, behind its results; returns 0 or, with err set, what ends the
       evaluation. May load other things into the transcriber. May be NULL. */
    int (*clip)(void *arg, struct transcriber *t, const struct clip *clip,
                const struct manifest_entry *entry, struct error *err);
    void *arg;
};

/* The conditions of a task at one audio and video rate (0: at each that the model has), for each
   SNR, with seed 1. Appends to list (room for `room`); returns the new count or a negative code. */
int conditions_add(struct condition *list, int count, int room, const struct recognizer *r,
                   enum task task, int audio_rate, int video_rate, const double *snrs,
                   int snr_count, struct error *err);

/* scores[i] is filled for conditions[i]; released by score_release. */
int evaluate(struct score *scores, const struct condition *conditions, int count,
             struct transcriber *t, const struct manifest *manifest,
             const struct evaluate_options *options, struct error *err);
void score_release(struct score *s);

#endif
