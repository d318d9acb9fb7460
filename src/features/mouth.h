/*
 * Pictures of a talking face -> one 96x96 gray picture of the mouth per input picture, as a stream.
 *
 * Push RGB pictures in order (25 a second), pop mouths in the same order, one for each picture and
 * none left out. A mouth comes out once the 6 pictures that follow are known (smoothing over time),
 * later while the face is lost: the gap is then bridged from both ends, and given up after
 * MOUTH_GAP pictures. So at most MOUTH_GAP + 7 gray pictures are held.
 *
 *     while (a picture is there) {
 *         mouth_tracker_push(t, rgb, width, height, stride, err);
 *         while (mouth_tracker_pop(t, &frame)) ...
 *     }
 *     mouth_tracker_finish(t);
 *     while (mouth_tracker_pop(t, &frame)) ...
 *
 * Pictures of 96x96 or 88x88 are taken for mouths already: they pass through as they are (gray;
 * 88x88 in a border of zeros, so that the central 88x88 are the input).
 */
#ifndef FEATURES_MOUTH_H
#define FEATURES_MOUTH_H

#include "features/face.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MOUTH_SIDE = 96,
    MOUTH_PIXELS = MOUTH_SIDE * MOUTH_SIDE,
    MOUTH_GAP = 25, /* pictures without a face that are bridged by interpolation */
};

enum mouth_source {
    MOUTH_NONE,     /* no face up to here: the crop is zeros, as training's time masks are */
    MOUTH_MEASURED, /* landmarks of this very picture */
    MOUTH_GUESSED,  /* interpolated between, or copied from, other pictures */
    MOUTH_READY,    /* the picture was a mouth already; box, landmarks and corners are zeros */
};

struct mouth_frame {
    int64_t index; /* of the picture, from 0 */
    enum mouth_source source;
    uint8_t crop[MOUTH_PIXELS];         /* row-major */
    float landmarks[FACE_LANDMARKS][2]; /* in the picture, not smoothed */
    struct face_box box;                /* in the picture */
    float corners[4][2]; /* of the crop, in the picture, clockwise from its left top */
};

struct mouth_tracker;

/* The finder is borrowed and must outlive the tracker. One tracker serves one stream and one thread
   at a time. */
int mouth_tracker_new(struct mouth_tracker **t, struct face_finder *finder, struct error *err);
void mouth_tracker_free(struct mouth_tracker *t); /* NULL is fine */

/* rgb: RGB24, not kept. All pictures of a stream have one size. */
int mouth_tracker_push(struct mouth_tracker *t, const uint8_t *rgb, int width, int height,
                       int stride, struct error *err);
void mouth_tracker_finish(struct mouth_tracker *t); /* no more pictures come */
bool mouth_tracker_pop(struct mouth_tracker *t, struct mouth_frame *frame);

/* Pictures whose mouth was measured or ready so far; 0 after the finish: there was no face. */
int64_t mouth_tracker_found(const struct mouth_tracker *t);

#endif
