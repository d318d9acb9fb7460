/*
 * The mouths of a stream of pictures, kept for as long as an utterance may want them, and whether
 * they speak:
 *
 *     opening    distance of the inner lips (landmarks 62, 66) by that of the eyes (36, 45)
 *     motion     standard deviation of the opening over a second around a picture; smaller than
 *                LIPS_MOVE where a mouth is shut, or a picture stands still
 */
#ifndef FEATURES_LIPS_H
#define FEATURES_LIPS_H

#include "features/mouth.h"

#define LIPS_MOVE 0.012f

struct lips;

int lips_new(struct lips **l, struct face_finder *finder, struct error *err);
void lips_free(struct lips *l); /* NULL is fine */

/* As features/mouth takes pictures. */
int lips_push(struct lips *l, const uint8_t *rgb, int width, int height, int stride,
              struct error *err);
int lips_finish(struct lips *l, struct error *err);

int64_t lips_known(const struct lips *l); /* pictures whose mouths are */
bool lips_seen(const struct lips *l);     /* whether a mouth was ever seen */
/* How likely lips speak in a picture, 0 .. 1: 0.5 at LIPS_MOVE. */
float lips_motion(const struct lips *l, int64_t picture);

struct lips_choice {
    int face;    /* -1: none was seen */
    double seen; /* share of the pictures that show it */
    bool moves;
};

/* Of pictures [start, start + count); levels [count] of the sound in dB, or NULL; face: the one
   wanted, or -1. */
void lips_choose(const struct lips *l, struct lips_choice *choice, int64_t start, int64_t count,
                 const float *levels, int face);
/* Writes [count][MOUTH_PIXELS]; zeros where the face is not seen. */
void lips_copy(const struct lips *l, uint8_t *mouths, int face, int64_t start, int64_t count);
/* Pictures before this one are not asked for again. */
void lips_forget(struct lips *l, int64_t before);

#endif
