/*
 * The landmarks of one face, picture by picture -> one 96x96 gray picture of the mouth per picture.
 *
 * A picture is settled when its landmarks are decided: measured in it, interpolated over a gap of
 * at most MOUTH_GAP pictures that a later measurement closed, or copied from the nearest end. It is
 * ready when the MOUTH_MARGIN settled pictures that smoothing over time wants are there too, or no
 * more come. With pictures 0 .. n-1 of the face, the window of picture i is i-m .. i+m,
 * m = min(MOUTH_MARGIN, i, n-1-i), as in auto_avsr's preparation (window margin 12).
 */
#ifndef FEATURES_MOUTH_H
#define FEATURES_MOUTH_H

#include "features/face.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MOUTH_SIDE = 96,
    MOUTH_PIXELS = MOUTH_SIDE * MOUTH_SIDE,
    MOUTH_GAP = 25,  /* pictures without the face that are bridged by interpolation */
    MOUTH_RING = 64, /* pictures whose landmarks are held: a gap, and windows around it */
};

enum mouth_source {
    MOUTH_NONE,     /* no face: the crop is zeros, as training's time masks are */
    MOUTH_MEASURED, /* landmarks of this very picture */
    MOUTH_GUESSED,  /* interpolated between, or copied from, other pictures */
    MOUTH_READY,    /* the picture was a mouth already; box, landmarks and corners are zeros */
};

struct mouth_frame {
    enum mouth_source source;
    uint8_t crop[MOUTH_PIXELS];         /* row-major */
    float landmarks[FACE_LANDMARKS][2]; /* in the picture, not smoothed */
    struct face_box box;                /* in the picture */
    float corners[4][2]; /* of the crop, in the picture, clockwise from its left top */
};

struct mouth_slot {
    enum mouth_source source;
    float points[FACE_LANDMARKS][2];
    struct face_box box;
};

struct mouth_track {
    int64_t first, next; /* its first picture; the one that comes next */
    int64_t settled;     /* pictures before it are */
    bool ended;
    struct mouth_slot ring[MOUTH_RING];
};

/* A face first measured in picture `now`; pictures first .. now-1 get copies. */
void mouth_track_begin(struct mouth_track *t, int64_t first, int64_t now,
                       const float points[FACE_LANDMARKS][2], const struct face_box *box);
/* The next picture; points NULL: the face is not in it. False: missing for longer than MOUTH_GAP,
   the track has ended with this picture. */
bool mouth_track_add(struct mouth_track *t, const float (*points)[2], const struct face_box *box);
void mouth_track_end(struct mouth_track *t); /* no more pictures come */

bool mouth_track_covers(const struct mouth_track *t, int64_t picture);
bool mouth_track_ready(const struct mouth_track *t, int64_t picture);

/* The mouth of a ready picture, whose gray this is. */
void mouth_track_cut(const struct mouth_track *t, struct mouth_frame *frame, int64_t picture,
                     struct gray_picture gray);

#endif
