/*
 * Shot changes: a picture that has nothing of the one before it.
 *
 * Pictures are compared as 16x16 block means. Within 77 clips (three camera set-ups, drawn faces)
 * they change by at most 1.8 gray levels from one picture to the next; 231 of 233 cuts between two
 * people change them by 19 and more, the least by 13. Cuts that show the same person again, hardly
 * moved, may stay unseen: they need no new face. Where pictures keep changing (a pan) a cut has to
 * stand out from what is usual.
 */
#ifndef FEATURES_SHOT_H
#define FEATURES_SHOT_H

#include "features/face.h"

#include <stdbool.h>

enum { SHOT_GRID = 16 };

struct shot_watch { /* zeros are a fresh one */
    bool started;
    float blocks[SHOT_GRID * SHOT_GRID]; /* of the last picture */
    float usual;                         /* change between pictures, gray levels */
};

/* Whether a new shot begins with this picture; never with the first. */
bool shot_changed(struct shot_watch *w, struct gray_picture picture);

#endif
