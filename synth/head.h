/*
 * The parts of a head that do not move by themselves, painted once per clip, and the eyes and the
 * mouth, painted on top in every picture. All in the head's frame (look.h), on a context already
 * scaled and placed.
 */
#ifndef SYNTH_HEAD_H
#define SYNTH_HEAD_H

#include "look.h"

/* Long hair, behind the neck; then neck and shoulders. */
void head_paint_back(cairo_t *cr, const struct look *l, uint64_t seed);
void head_paint_neck(cairo_t *cr, const struct look *l, uint64_t seed);
/* Skin, nose, brows, ears, beard, front hair: everything but eyes and mouth. */
void head_paint_front(cairo_t *cr, const struct look *l, uint64_t seed);

/* lid: 0 open .. 1 shut; gaze: -1 .. 1 sideways and down. */
void eyes_paint(cairo_t *cr, const struct look *l, double lid, double gaze_x, double gaze_y);

void mouth_paint(cairo_t *cr, const struct look *l, const struct mouth_pose *pose);

/* How far the chin drops in this pose, in eye distances. */
double mouth_jaw_drop(const struct mouth_pose *pose);

#endif
