/*
 * All faces of a stream, kept as long as they may be wanted; then the mouth that a clip out of it
 * gets in each picture: that of the face with a given number in its shot, or of the one who speaks
 * (features/speaker), asked anew in every shot and, so that people may take turns, every
 * CLIP_FACES_SPAN pictures of it. A span with one face has that one, whether or not it speaks.
 */
#ifndef FEATURES_CLIP_FACES_H
#define FEATURES_CLIP_FACES_H

#include "features/clip.h"
#include "features/faces.h"

enum { CLIP_FACES_SPAN = 250 };

struct clip_face {
    int id, number, shot;
    int64_t first, count, room; /* pictures first .. first + count - 1 */
    uint8_t *crops;             /* [count, MOUTH_PIXELS], zeros where it was away */
    float *openings;            /* [count], NAN where it was not measured */
};

struct clip_faces { /* zeros are an empty one */
    struct clip_face *list;
    int count;
    int64_t room;
    int numbers;      /* faces of the shot that has most */
    int64_t pictures; /* added so far */
    int64_t found;    /* of them with a face that was measured, or a ready mouth */
    bool ready;
};

/* Pictures in order; of their faces only that with the number `face`, 0: all. False: no memory. */
bool clip_faces_add(struct clip_faces *f, const struct faces_picture *picture, int face);

/* Fills mouth, frames, face, faces and lips_move of a clip that is pictures [start, start + count)
   (those that are not there are without a face), whose sound is there as far as it has any. Returns
   the pictures in which that face is followed; -1: no memory. */
int64_t clip_faces_choose(const struct clip_faces *f, struct clip *clip, int64_t start,
                          int64_t count);
/* Whether anybody's lips move about a picture. */
bool clip_faces_move(const struct clip_faces *f, int64_t picture);
/* Pictures before this one are not asked for again. */
void clip_faces_forget(struct clip_faces *f, int64_t before);
void clip_faces_release(struct clip_faces *f);

#endif
