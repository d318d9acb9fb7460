/*
 * Pictures of people -> the mouths of each face, as a stream in constant memory.
 *
 * Push RGB pictures in order (25 a second), pop as many in the same order, each with the faces that
 * are in it. A face is followed as one track: it keeps its id from picture to picture, also when it
 * is lost for up to MOUTH_GAP pictures (bridged) and, with the pictures between left out, when it
 * is back at its place later in the same shot. A shot change ends all tracks.
 *
 * The whole picture is searched every FACES_SEARCH pictures while no face is lost, every
 * FACES_SEARCH_LOST while one is, and at once when one gets lost or the shot changes. In each shot
 * faces are numbered from 1 as they are found; of those found together the largest and most
 * central get the first numbers, where they are alike from left to right. Only a new shot starts at
 * 1 again.
 *
 * A picture comes out once the 6 that follow are known (smoothing over time), later while a face is
 * lost or none has been found yet, at most MOUTH_GAP + 7 pictures later.
 *
 *     while (a picture is there) {
 *         faces_push(f, rgb, width, height, stride, err);
 *         while (faces_pop(f, &picture)) ...
 *     }
 *     faces_finish(f);
 *     while (faces_pop(f, &picture)) ...
 *
 * Pictures of 96x96 or 88x88 are taken for mouths already: they pass through as they are (gray;
 * 88x88 in a border of zeros, so that the central 88x88 are the input), as one face.
 */
#ifndef FEATURES_FACES_H
#define FEATURES_FACES_H

#include "features/mouth.h"

enum { FACES_MOST = 6, FACES_SEARCH = 25, FACES_SEARCH_LOST = 5 };

struct faces_face {
    int id;     /* unique in the stream */
    int number; /* in its shot, from 1 */
    int shot;   /* from 0 */
    struct mouth_frame mouth;
};

struct faces_picture {
    int64_t index; /* from 0 */
    bool shot;     /* a new one begins with it, also where there are no faces */
    int count;
    struct faces_face faces[FACES_MOST]; /* by number */
};

struct faces; /* opaque */

/* The finder is borrowed and must outlive the faces. One of these serves one stream and one thread
   at a time. */
int faces_new(struct faces **f, struct face_finder *finder, struct error *err);
void faces_free(struct faces *f); /* NULL is fine */

/* rgb: RGB24, not kept. All pictures of a stream have one size. */
int faces_push(struct faces *f, const uint8_t *rgb, int width, int height, int stride,
               struct error *err);
void faces_finish(struct faces *f); /* no more pictures come */
bool faces_pop(struct faces *f, struct faces_picture *picture);

#endif
