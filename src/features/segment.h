/*
 * Cuts a clip that is longer than the encoders take into segments, sound and pictures at the same
 * times:
 *
 *     level of a frame    10 log10 of its energy, 40 ms
 *     silence             at least 200 ms whose frames all lie below  floor + (loud - floor) / 3;
 *                         loud: the 90th hundredth of the next `most` frames' levels, floor: the
 *                         quietest 200 ms of their second half, at least 15 dB below (a floor
 *                         more than 40 dB below counts as 40)
 *     cut                 in the middle of the longest silence in the second half of `most` frames
 *     no silence there    after `most` frames; the next segment begins SEGMENT_OVERLAP frames
 *                         before, so that each word at the seam is whole in one of the two
 */
#ifndef FEATURES_SEGMENT_H
#define FEATURES_SEGMENT_H

#include "features/clip.h"

#define SEGMENT_OVERLAP 25 /* frames: 1 s */

/* Frames [start, start + count) at 25 a second; the first `overlap` are the last of the segment
   before. */
struct segment {
    int64_t start, count, overlap;
};

/* Segments of at most `most` frames (>= 1) that cover frames 0 .. frames - 1 of the clip. Returns
   their number, at most `room`, or ERROR_LIMIT where that is not enough. */
int segment_clip(struct segment *segments, int room, const struct clip *clip, int64_t frames,
                 int64_t most, struct error *err);

/* sounds[s->count]: which frames of a segment are not silent; all, where speech and silence cannot
   be told apart. */
int segment_sounds(bool *sounds, const struct segment *s, const struct clip *clip,
                   struct error *err);

/* Where to cut what is too long: the middle of the longest pause, of at least `least` frames
   without sound, in the second half of sounds[count]; 0: there is none. */
int64_t segment_pause(const bool *sounds, int64_t count, int64_t least);
/* Frames that the two have in common where it is cut without a pause, after `most`. */
int64_t segment_overlap(int64_t most);

#endif
