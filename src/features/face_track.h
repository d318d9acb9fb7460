/*
 * One face followed through a stream of gray pictures: landmarks of each picture, the detector run
 * on few.
 *
 * While the face is held, its box moves with its landmarks, and every FACE_TRACK_CHECK pictures (at
 * once where the box shows something else) the detector confirms it in a small part of the picture
 * around it. When it does not, or the landmarks are not a face's, the face is lost; a detection in
 * the whole picture (features/faces) begins it or takes it up again.
 */
#ifndef FEATURES_FACE_TRACK_H
#define FEATURES_FACE_TRACK_H

#include "features/face.h"

#include <stdbool.h>

enum { FACE_TRACK_CHECK = 12, FACE_TRACK_GRID = 16 };

struct face_track {
    struct face_finder *finder; /* borrowed */
    bool held;
    int wait;            /* pictures until the detector confirms it again */
    struct face_box box; /* where to place the next landmarks */
    float offset[2];     /* of the box's centre from the landmarks' mean, pixels */
    uint8_t look[FACE_TRACK_GRID * FACE_TRACK_GRID]; /* samples of the box in the last picture */
};

/* Zeros, but for the finder, are a track without a face yet. All pictures must have one size. Both
   return 1: points and t->box are this picture's face; 0: it is not there; negative: an error.
   face_track_keep looks where the face was; it must be held. face_track_take starts from a box that
   the detector gave. */
int face_track_keep(struct face_track *t, float points[FACE_LANDMARKS][2],
                    struct gray_picture picture, struct error *err);
int face_track_take(struct face_track *t, float points[FACE_LANDMARKS][2],
                    struct gray_picture picture, const struct face_box *found, struct error *err);

float face_box_side(const struct face_box *b);
float face_box_distance(const struct face_box *a, const struct face_box *b); /* of centres */

#endif
