/*
 * How fast this machine is at what recognition is made of, measured in about two seconds: products,
 * finding faces, and a made-up clip through a model. Each is the best of several tries, which
 * other programs on the machine disturb least; but for the clip's, which is what a user would get.
 */
#ifndef EVAL_SPEED_H
#define EVAL_SPEED_H

#include "decode/transcriber.h"
#include "features/face.h"

struct speed_products { /* GFLOP/s, 512 x 512 matrices */
    int threads;
    double f32, bf16;         /* of one thread */
    double f32_all, bf16_all; /* of all threads */
};

struct speed_clip {
    double clip_seconds;
    double audio_seconds, video_seconds; /* in each encoder; 0: the model lacks it */
    double decode_seconds;               /* at the lowest rates, greedy */
    int64_t tokens;                      /* into the LLM and out of it */
};

int speed_products(struct speed_products *s, const struct device *device, struct error *err);
/* Seconds to load the landmark file and the detector, and to search a picture of 640 x 480. */
int speed_faces(double *load_seconds, double *search_seconds, struct error *err);
/* Forgets what is loaded. */
int speed_clip(struct speed_clip *s, struct transcriber *t, struct error *err);

#endif
