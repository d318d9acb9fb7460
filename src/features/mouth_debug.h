/*
 * A video of what the tracker saw, for people: each picture with the faces' boxes (green: measured,
 * yellow: guessed), their 68 landmarks and the mouths' quadrilaterals, and from the left bottom
 * corner on the mouths, by the faces' numbers, at twice their size. With the sound, where there is
 * some.
 *
 * Feed it beside the tracker, in this order for each picture:
 *
 *     mouth_debug_picture(d, rgb, stride, err); // kept until its frame comes
 *     faces_push(f, rgb, ...);
 *     while (faces_pop(f, &picture))
 *         mouth_debug_faces(d, &picture, err); // drawn and written
 */
#ifndef FEATURES_MOUTH_DEBUG_H
#define FEATURES_MOUTH_DEBUG_H

#include "features/faces.h"

struct mouth_debug;

/* The file (mp4) appears when close succeeds; width, height: of all its pictures. Sound (16 kHz
   mono) and pictures may come in any order. */
int mouth_debug_open(struct mouth_debug **d, const char *path, int width, int height,
                     bool with_sound, struct error *err);
int mouth_debug_picture(struct mouth_debug *d, const uint8_t *rgb, int stride, struct error *err);
int mouth_debug_faces(struct mouth_debug *d, const struct faces_picture *faces, struct error *err);
int mouth_debug_sound(struct mouth_debug *d, const float *pcm, int64_t count, struct error *err);

/* Exactly one of these ends a debug that opened well. Abandon leaves no file. */
int mouth_debug_close(struct mouth_debug *d, struct error *err);
void mouth_debug_abandon(struct mouth_debug *d); /* NULL is fine */

#endif
