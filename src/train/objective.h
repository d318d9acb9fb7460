/*
 * The loss of one step (system.md section 3), all rate pairs of every clip in one pass of the LLM:
 *
 *     L = w_f (CE_audio + CE_video) + w_t sum_q c_q CE(Y | Z_q) / sum_q c_q + w_b mean_l L_B(l)
 *
 * q runs over the requests: for each clip, the tasks drawn for it, at every rate (pair) of the
 * model; CE is the mean over the transcript's tokens and EOS; c_q the task's weight. CE_audio and
 * CE_video are the auxiliary frame losses on the encoders.
 */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "models/recognizer.h"
#include "train/augment.h"

struct batch {
    struct example *examples; /* [count] */
    int count;
};

struct measures {
    double loss, text, audio_frames, video_frames, balance; /* losses, not weighted */
    double audio_accuracy, video_accuracy;                  /* of frames; -1: not computed */
    int64_t tokens;                                         /* rows through the LLM */
};

/* Forward; with c->tape set, recorded. Returns the scalar loss in c->arena; NULL where the batch
   has nothing that the stage trains on. */
struct tensor *objective(struct recognizer *r, struct compute *c, const struct batch *batch,
                         const struct stage_config *stage, int64_t step, struct random *random,
                         struct measures *measures);

#endif
