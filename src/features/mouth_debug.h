/*
 * A video of what the tracker saw, for people: each picture with the face's box (green: measured,
 * yellow: guessed), the 68 landmarks and the mouth's quadrilateral, and in the left bottom corner
 * the crop that the model gets, at twice its size. With the sound, where there is some.
 *
 * Feed it beside the tracker, in this order for each picture:
 *
 *     mouth_debug_picture(d, rgb, stride, err); // kept until its frame comes
 *     mouth_tracker_push(t, rgb, ...);
 *     while (mouth_tracker_pop(t, &frame))
 *         mouth_debug_frame(d, &frame, err);                         // drawn and written
 */
#ifndef FEATURES_MOUTH_DEBUG_H
#define FEATURES_MOUTH_DEBUG_H

#include "features/mouth.h"

struct mouth_debug;

/* The file (mp4) appears when close succeeds; width, height: of all its pictures. Sound (16 kHz
   mono) and pictures may come in any order. */
int mouth_debug_open(struct mouth_debug **d, const char *path, int width, int height,
                     bool with_sound, struct error *err);
int mouth_debug_picture(struct mouth_debug *d, const uint8_t *rgb, int stride, struct error *err);
int mouth_debug_frame(struct mouth_debug *d, const struct mouth_frame *frame, struct error *err);
int mouth_debug_sound(struct mouth_debug *d, const float *pcm, int64_t count, struct error *err);

/* Exactly one of these ends a debug that opened well. Abandon leaves no file. */
int mouth_debug_close(struct mouth_debug *d, struct error *err);
void mouth_debug_abandon(struct mouth_debug *d); /* NULL is fine */

#endif
