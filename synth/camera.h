/* From the drawn picture to what a camera of moderate quality delivers. */
#ifndef SYNTH_CAMERA_H
#define SYNTH_CAMERA_H

#include "look.h"

struct camera; /* opaque: tables and one row of blur */

/* NULL: out of memory. */
struct camera *camera_new(const struct look *l, int width, int height, uint64_t seed);
void camera_free(struct camera *c); /* NULL is fine */

/* bgrx: cairo RGB24 rows of `stride` bytes -> rgb [height, width, 3]. */
void camera_take(struct camera *c, uint8_t *rgb, const uint8_t *bgrx, int stride);

#endif
