/* Colours and soft shapes on a cairo context: what shading is made of. */
#ifndef SYNTH_PAINT_H
#define SYNTH_PAINT_H

#include <cairo.h>

struct colour {
    double r, g, b; /* 0 .. 1 */
};

struct point {
    double x, y;
};

struct colour colour_mix(struct colour a, struct colour b, double share_of_b);
struct colour colour_scale(struct colour c, double factor); /* clipped to 0 .. 1 */

void paint_source(cairo_t *cr, struct colour c, double alpha);
/* A spot with radii rx, ry: `alpha` in the middle, smoothly to nothing at the rim. */
void paint_spot(cairo_t *cr, double x, double y, double rx, double ry, struct colour c,
                double alpha);
void paint_ellipse(cairo_t *cr, double x, double y, double rx, double ry, struct colour c,
                   double alpha);
/* Adds a smooth curve through the points (Catmull-Rom) to the path; closed joins its ends. */
void paint_curve(cairo_t *cr, const struct point *p, int count, int closed);
/* The same, mirrored: p runs down the right side from the middle line to the middle line. */
void paint_symmetric(cairo_t *cr, const struct point *p, int count);

#endif
