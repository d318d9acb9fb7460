/*
 * One face followed through a stream of gray pictures: landmarks of each picture, the detector run
 * on few.
 *
 * While the face is held, its box moves with its landmarks, and every FACE_TRACK_CHECK pictures (at
 * once after a cut) the detector confirms it in a small part of the picture around it. When it does
 * not, or the landmarks are not a face's, the whole picture is searched at once, then every
 * FACE_TRACK_SEARCH pictures. The first face taken is the largest, later the nearest to the last.
 */
#ifndef FEATURES_FACE_TRACK_H
#define FEATURES_FACE_TRACK_H

#include "features/face.h"

#include <stdbool.h>

enum { FACE_TRACK_CHECK = 12, FACE_TRACK_SEARCH = 5, FACE_TRACK_GRID = 16 };

struct face_track {
    struct face_finder *finder; /* borrowed */
    bool held, seen;            /* a face now; a face at any time (box then holds its place) */
    int wait;                   /* pictures until the detector looks again */
    struct face_box box;        /* where to place the next landmarks */
    float offset[2];            /* of the box's centre from the landmarks' mean, pixels */
    uint8_t look[FACE_TRACK_GRID * FACE_TRACK_GRID]; /* samples of the box in the last picture */
};

/* Zeros, but for the finder, are a fresh track. All pictures must have one size.
   1: points and box are this picture's face; 0: it has none; negative: an error. */
int face_track_next(struct face_track *t, float points[FACE_LANDMARKS][2], struct face_box *box,
                    struct gray_picture picture, struct error *err);

#endif
