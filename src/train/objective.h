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
 */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "models/recognizer.h"
#include "train/alignment.h"
#include "train/augment.h"
#include "train/draw.h"

/* The step, or a part of it. */
struct batch {
    const struct draw *draws;       /* [count] */
    const struct example *examples; /* [count], of the draws */
    int count;
    double weight; /* draw_weight of the whole step */
};

struct measures {
    double loss, text, audio_frames, video_frames, balance, align; /* losses, not weighted */
    double audio_accuracy, video_accuracy;                         /* of frames; -1: not computed */
    int64_t tokens;                                                /* rows through the LLM */
};

/* Forward; with c->tape set, recorded. Returns the scalar loss in c->arena; NULL where the batch
   has nothing that the stage trains on. alignment: NULL where the stage has no such loss. */
struct tensor *objective(struct recognizer *r, struct compute *c, const struct batch *batch,
                         const struct stage_config *stage, int64_t step,
                         const struct alignment *alignment, struct measures *measures);

#endif
