/*
 * All faces of a clip, kept until its end; then the mouth that the clip gets in each picture: that
 * of the face with a given number in its shot, or of the one who speaks (features/speaker), asked
 * anew in every shot and, so that people may take turns, every CLIP_FACES_SPAN pictures of it. A
 * span with one face has that one, whether or not it speaks.
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
    int count, room;
    int numbers;      /* faces of the shot that has most */
    int64_t pictures; /* added so far */
    int64_t found;    /* of them with a face that was measured, or a ready mouth */
    bool ready;
};

/* Pictures in order; of their faces only that with the number `face`, 0: all. False: no memory. */
bool clip_faces_add(struct clip_faces *f, const struct faces_picture *picture, int face);

/* Fills mouth, frames, face, faces and lips_move of a clip, whose sound is there as far as it has
   any. False: no memory. */
bool clip_faces_choose(const struct clip_faces *f, struct clip *clip);
void clip_faces_release(struct clip_faces *f);

#endif
