/*
 * A clip: one utterance as the recogniser takes it. The whole file in memory: sound at 16 kHz and
 * one 96x96 gray mouth per picture at 25 pictures a second, on the common clock of media/media.h:
 * mouth k belongs to samples 640 k .. 640 k + 639. The two need not be equally long.
 */
#ifndef FEATURES_CLIP_H
#define FEATURES_CLIP_H

#include "base/error.h"
#include "features/mouth.h"

#include <stdbool.h>
#include <stdint.h>

#define FRAME_SAMPLES 640    /* of sound in the time of one picture */
#define CLIP_MAX_SECONDS 600 /* one clip is one utterance */

struct clip {
    float *pcm; /* [samples], 16 kHz mono in [-1, 1]; owned; NULL where there is none */
    int64_t samples;
    uint8_t *mouth; /* [frames, MOUTH_SIDE, MOUTH_SIDE] gray; owned; NULL where there is none */
    int64_t frames;
    bool has_sound;    /* samples > 0 */
    bool has_pictures; /* the file has pictures (and they were wanted) */
    bool has_face;     /* a mouth was found in them: frames > 0 */
    int faces;         /* in the shot that has most */
    int face;          /* the one that mouth shows (most of the time), from 1; 0: none */
    bool lips_move; /* its lips do, or it came as a mouth; false: a still picture, a shut mouth */
};

struct clip_options {
    bool no_sound, no_pictures; /* leave that stream out */
    int face; /* N: the Nth of each shot, as features/faces numbers them; 0: the one who speaks */
    double max_seconds;         /* stop there; 0: the whole, and > CLIP_MAX_SECONDS is an error */
    struct face_finder *finder; /* borrowed, may be shared; NULL: one is opened for this call */
    const char *debug_mouth;    /* writes a video of what the tracker saw there; NULL: don't */
};

/* path "-" is standard input; options NULL: everything. Pictures without a face are no error as
   long as there is sound (has_face is false then); a clip with neither is ERROR_NO_FACE or
   ERROR_NO_STREAM, one that has faces but not that number ERROR_NO_FACE. On error *clip is
   empty. */
int clip_load(struct clip *clip, const char *path, const struct clip_options *options,
              struct error *err);
/* How long so much sound and so many pictures are, the longer of the two. */
double clip_seconds(int64_t samples, int64_t frames);

/* A clip to be made up: so many frames of sound and of a face, all zeros. */
int clip_init(struct clip *clip, int64_t frames, struct error *err);
void clip_release(struct clip *clip); /* also fine on a zeroed struct */

#endif
