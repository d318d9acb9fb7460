/*
 * Who speaks: the face whose lips move with the sound.
 *
 * Lips are one number a picture, their opening; sound is its level in the time of the picture. All
 * who speak are louder and wider open in words than in pauses, so both are taken without what
 * changes slowly (the mean of the pictures about each); what is left are syllables. The score of a
 * face is the correlation of the two over the span, at the best of three lags. A face whose lips
 * do not move (a still picture, a shut mouth) is never chosen. Where the sound is missing or does
 * not vary, the score is the amount of motion.
 *
 * What it is worth: docs/performance.md, "Who speaks".
 */
#ifndef FEATURES_SPEAKER_H
#define FEATURES_SPEAKER_H

#include "features/face.h"

#include <stdbool.h>
#include <stdint.h>

struct speaker_score {
    bool moves;  /* its lips: false, and they are of no use */
    float score; /* correlation, or rms of motion where there is no sound to go by */
};

/* Inner lips' and outer lips' distance and nose to chin, over the distance of the eyes: free of
   place, size and tilt of the head. */
float speaker_opening(const float landmarks[FACE_LANDMARKS][2]);

/* levels[k]: of the sound in the time of picture k, dB; -100 where there is none. */
void speaker_levels(float *levels, int64_t pictures, const float *pcm, int64_t samples);

/* openings [faces][pictures], NAN where the face was not measured; levels [pictures], or NULL: no
   sound. Returns the face that speaks, or -1: no lips move; scores [faces]. */
int speaker_choose(struct speaker_score *scores, const float *const *openings, int faces,
                   const float *levels, int64_t pictures);

#endif
