/*
 * What learns: the model, the clips, the optimiser, and how they make one step. It writes nothing
 * but the tokenizer; stages, checkpoints, log and validation are the trainer's (train/trainer).
 *
 * A step's clips are drawn alike on every rank (train/draw), and cut into `accumulate` parts, each
 * part into one slice a rank:
 *
 *     clips     0 1 2 3 4 5 6 7 8 9 10 11          12 clips, "accumulate": 2, 3 ranks
 *     part      0           1
 *     rank      0   1   2   0   1   2
 *
 * Every loss is divided by what all clips of the step have together (objective.h, struct totals),
 * so gradients and losses just add up, over parts in the gradients' memory, over ranks while the
 * last part's tape runs back (train/gradients). Dropout is drawn, and batch norm looks at the
 * batch, slice by slice, as in any data-parallel training; running statistics are averaged over
 * ranks. Everything else is as if one process took all clips at once.
 *
 * With a limit of memory a slice whose activations would not fit beside what is held keeps what
 * goes into layers alone and runs them again on the way back (train/activations), to the same bits.
 */
#ifndef TRAIN_LEARNER_H
#define TRAIN_LEARNER_H

#include "train/adamw.h"
#include "train/distributed.h"
#include "train/features_cache.h"
#include "train/gradients.h"
#include "train/objective.h"

struct learner {
    const struct train_config *config; /* borrowed */
    struct distributed *distributed;   /* borrowed */
    struct dataset dataset;
    struct noise noise;
    struct logmel *logmel;
    struct recognizer *recognizer;
    struct param_list params;
    struct gradients gradients;
    struct adamw adamw;
    struct arena arena;
    struct tape tape;
    struct compute compute;
    struct random random;     /* of the step: draws, dropout */
    struct draw *draws;       /* [largest batch] */
    struct example *examples; /* [largest batch]; those of this rank are made */
    struct augment augment;
    /* of the stage: */
    const struct stage_config *stage;
    int stage_index;
    double held_bytes; /* weights, gradients, moments */
    struct features_cache features;
    struct alignment alignment; /* table undeclared: it has none */
};

/* Clips and model. Without config->start the tokenizer is learned from the transcripts and written
   to `folder`, or, `resume`, read from there. Collective, as all below that fail. */
int learner_init(struct learner *l, const struct train_config *config,
                 struct distributed *distributed, const char *folder, bool resume,
                 const struct dataset_progress *progress, struct error *err);
void learner_release(struct learner *l); /* also fine on a zeroed struct */

/* Learned from texts and the model's prompts; written to folder/tokenizer.json, the texts beside
 * it.
 */
int learner_make_tokenizer(struct tokenizer **tokenizer, const struct train_config *config,
                           const char *const *texts, int64_t count, const char *folder,
                           struct error *err);

/* The part of the network that a parameter belongs to: one of enum train_part, 0: always frozen. */
unsigned learner_part(const struct param_entry *p);

/* The stage's parts get gradients and fresh moments, all others lose them. */
int learner_choose(struct learner *l, int stage, struct error *err);
/* Rank 0's numbers, moments and updates made, to all. */
void learner_share(struct learner *l);
/* What the stage computes once, with the weights as they are now: features of frozen encoders, the
   alignment's table. */
int learner_prepare(struct learner *l, const struct dataset_progress *progress, struct error *err);

struct step_report {
    struct measures measures; /* of all ranks */
    double gradient_norm, rate;
    int clips;         /* of all ranks */
    double recomputed; /* share of this rank's parts whose layers ran again (memory_gb) */
};

/* Step `step` (from 0) of the stage. */
int learner_step(struct learner *l, int64_t step, struct step_report *report, struct error *err);

#endif
