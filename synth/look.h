/*
 * What a face looks like: drawn once per clip from a seed.
 *
 * Lengths are in eye distances (pupil to pupil = 1), in the head's own frame: the middle of the
 * eyes is (0, 0), y points down; usual places are nose tip 0.6, mouth 1.07, chin 1.75, skull -1.3.
 */
#ifndef SYNTH_LOOK_H
#define SYNTH_LOOK_H

#include "base/random.h"
#include "paint.h"
#include "viseme.h"

struct look {
    /* bone */
    double width, jaw, chin, forehead; /* factors or offsets on the usual outline */
    double nose_width, nose_length, mouth_y, mouth_width, upper_lip, lower_lip, bow;
    double eye_size, eye_slant, brow_y, brow_weight, brow_arch, ear;
    double mouth_skew; /* radians */
    double yaw;        /* -0.12 .. 0.12: how far features sit to a side of the outline */
    double age;        /* 0 .. 1: folds */
    /* colour */
    struct colour skin, lip, hair, iris, shirt, wall[2], light;
    double blush, lip_gloss, teeth_white;
    double teeth_show; /* 0: the upper row stays behind the lip, 1: all of it is seen */
    /* hair */
    int hair_style; /* 0 bald .. 4 long */
    double fringe, parting;
    double beard, moustache, stubble; /* 0 none .. 1 full */
    int glasses;
    /* scene */
    double light_x, light_y; /* where the light comes from, -1 .. 1 (y: -1 above) */
    double contrast;         /* depth of the shading */
    int wall_kind;
    double unit_px, x_px, y_px, tilt; /* size, place and lean of the head in the picture */
    /* manner */
    struct articulation articulation;
    double sway, nod, blink_every_s;
    /* camera */
    double blur, noise, gain, gamma, saturation;
};

void look_draw(struct look *l, uint64_t seed);

#endif
