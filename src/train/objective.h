/*
 * The loss of one step (system.md section 3), all rate pairs of every clip in one pass of the LLM:
 *
 *     L = w_f (CE_audio + CE_video) + w_t sum_q c_q CE(Y | Z_q) / sum_q c_q + w_b mean_l L_B(l)
 *         + w_a L_align
 *
 * q runs over the requests that were drawn for the step (train/draw), in the order of their rates,
 * so that rows of one router or LoRA lie together; CE is the mean over the transcript's tokens and
 * EOS; c_q the weight of its task and pair. CE_audio and CE_video are the auxiliary frame losses on
 * the encoders, L_align the projectors' (train/alignment).
 *
 * A step may be computed in parts (gradient accumulation, ranks): all means but L_B's are over the
 * step. L_B is a product of two means; its f_n is counted over all ranks, but part by part.
 */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "models/recognizer.h"
#include "train/alignment.h"
#include "train/augment.h"
#include "train/distributed.h"
#include "train/draw.h"

/* What the means of a step are taken over: all its clips, whichever rank and part they are in. So
   the losses of parts are shares of the step's, and add up to it. */
enum {
    TOTAL_WEIGHT,                     /* of the asks */
    TOTAL_LABELS,                     /* known labels of frames: of sound, of pictures */
    TOTAL_ALIGNED = TOTAL_LABELS + 2, /* clips to align: with sound, with pictures */
    TOTAL_COUNT = TOTAL_ALIGNED + 2
};

struct totals {
    double of[TOTAL_COUNT];
};

void totals_add(struct totals *totals, const struct draw *draws, const struct example *examples,
                int count);

/* A part of a step, on one rank. May be empty. */
struct batch {
    const struct draw *draws;       /* [count] */
    const struct example *examples; /* [count], of the draws */
    int count;
    const struct totals *totals;     /* of the step */
    double part;                     /* this part's share of the step, all ranks together */
    struct distributed *distributed; /* f_n of L_B counts the slots of all ranks */
};

/* A part's shares, until measures_finish. */
struct measures {
    double loss, text, audio_frames, video_frames, balance, align; /* losses, not weighted */
    double audio_accuracy, video_accuracy;                         /* of frames; -1: not computed */
    double tokens;                                                 /* rows through the LLM */
    double losses; /* terms of loss; 0: there is nothing to train on */
};

void measures_add(struct measures *sum, const struct measures *part);
/* The step's, over all ranks: collective. */
void measures_finish(struct measures *m, const struct totals *totals,
                     const struct stage_config *stage, struct distributed *distributed);

/* Forward; with c->tape set, recorded. Returns the scalar loss in c->arena; NULL where the batch
   has nothing that the stage trains on. alignment: NULL where the stage has no such loss. All ranks
   call it, with their share of the same part. */
struct tensor *objective(struct recognizer *r, struct compute *c, const struct batch *batch,
                         const struct stage_config *stage, int64_t step,
                         const struct alignment *alignment, struct measures *measures);

#endif
