/*
 * A face drawn from shaded ellipses, for tests that must not need recordings: dlib's detector finds
 * it and its landmarks lie on the mouth. Gray; `side` is about the detector's box, (x, y) its
 * centre, `open` 0..1 the mouth's opening.
 */
#ifndef TESTS_DRAWN_FACE_H
#define TESTS_DRAWN_FACE_H

#include <math.h>
#include <stdint.h>

struct drawn_ellipse {
    double x, y, rx, ry; /* in sides, from the face's centre */
    double centre, edge; /* gray level in the middle and at the rim */
};

static inline double drawn_level(double level, const struct drawn_ellipse *e, double x, double y,
                                 double soft)
{
    if (fabs(x - e->x) > 2 * e->rx || fabs(y - e->y) > 2 * e->ry)
        return level;
    const double d = hypot((x - e->x) / e->rx, (y - e->y) / e->ry);
    const double cover = 1 / (1 + exp((d - 1) * fmin(e->rx, e->ry) / soft));
    const double own = e->centre + (e->edge - e->centre) * fmin(d * d, 1);
    return level + cover * (own - level);
}

/* rgb [height, width, 3] */
static inline void draw_face(uint8_t *rgb, int width, int height, double x, double y, double side,
                             double open)
{
    const struct drawn_ellipse parts[] = {
        {0, 0.75, 0.30, 0.40, 150, 110},     /* neck */
        {0, -0.12, 0.56, 0.66, 45, 35},      /* hair */
        {0, 0.05, 0.47, 0.62, 205, 140},     /* face */
        {-0.20, -0.20, 0.13, 0.028, 60, 80}, /* brows */
        {0.20, -0.20, 0.13, 0.028, 60, 80},
        {-0.20, -0.09, 0.125, 0.075, 150, 165}, /* eye sockets */
        {0.20, -0.09, 0.125, 0.075, 150, 165},
        {-0.20, -0.09, 0.085, 0.038, 235, 215}, /* eyes */
        {0.20, -0.09, 0.085, 0.038, 235, 215},
        {-0.20, -0.09, 0.036, 0.038, 25, 50}, /* irises */
        {0.20, -0.09, 0.036, 0.038, 25, 50},
        {0, 0.05, 0.045, 0.16, 222, 195}, /* nose */
        {0, 0.17, 0.095, 0.045, 200, 165},
        {-0.045, 0.19, 0.024, 0.016, 70, 110}, /* nostrils */
        {0.045, 0.19, 0.024, 0.016, 70, 110},
        {0, 0.36, 0.165, 0.050 + 0.06 * open, 120, 130}, /* lips */
        {0, 0.36, 0.130, 0.012 + 0.06 * open, 40, 60},   /* mouth */
        {0, 0.48, 0.12, 0.02, 165, 185},                 /* chin's shadow */
    };
    for (int i = 0; i < width * height; i++) {
        const double px = (i % width - x) / side, py = (i / width - y) / side;
        double level = 100 + 20 * py;
        for (unsigned k = 0; k < sizeof parts / sizeof *parts; k++)
            level = drawn_level(level, &parts[k], px, py, 0.006);
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = (uint8_t)fmin(fmax(level, 0), 255);
    }
}

#endif
