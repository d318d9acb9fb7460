/*
 * The pictures of a clip: a head whose mouth follows the phones, on one moving, blinking, lit face
 * seen by one imperfect camera.
 */
#ifndef SYNTH_FILM_H
#define SYNTH_FILM_H

#include "base/error.h"
#include "speech.h"

#include <stdint.h>

struct film; /* opaque */

/* phones: kept by the caller until film_close; their times count from lead_ms on. */
int film_open(struct film **f, uint64_t face_seed, const struct speech_span *phones,
              int phone_count, int lead_ms, int pictures, struct error *err);

/* RGB24 [CLIP_HEIGHT, CLIP_WIDTH, 3] of picture `index` (at index / CLIP_FPS seconds), valid until
   the next call. */
const uint8_t *film_picture(struct film *f, int index);

void film_close(struct film *f); /* NULL is fine */

/* Writes a PNG of columns x rows faces (seeds seed, seed + 1, ...), each saying something else. */
int film_sheet(const char *path, uint64_t seed, int columns, int rows, struct error *err);

#endif
