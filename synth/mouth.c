/*
 * The mouth, from back to front: the dark inside, tongue, lower and upper teeth (all clipped by the
 * inner rim of the lips), then the lips between inner and outer rim, then light on them.
 *
 *        peak __ dip __ peak             outer rim: corners, Cupid's bow, lower lip
 *    ________/  \__/  \_______
 *   <   -------- inner -------  >  y = 0 between the corners
 *    \__      \________/     __/         inner rim: `up` above, `down` below y = 0
 *       \___________________/
 *
 * The jaw takes most of the opening: the inner rim goes up by 0.22 of the gap, down by 0.78.
 */
#include "head.h"

#include <math.h>

static const struct colour black = {0, 0, 0}, white = {1, 1, 1};

struct rim {
    double half, inner_half; /* half widths */
    double up, down;         /* inner rim above and below 0 */
    double upper, lower;     /* thickness of the lips */
    double corner;           /* y of the corners */
    double dip;              /* of Cupid's bow */
};

double mouth_jaw_drop(const struct mouth_pose *p)
{
    return 0.25 * p->open + 0.015 * p->round;
}

static struct rim shape(const struct look *l, const struct mouth_pose *p)
{
    double gap = 0.37 * p->open;
    struct rim m = {.half = l->mouth_width * (1 + 0.15 * p->spread - 0.36 * p->round),
                    .upper = l->upper_lip,
                    .lower = l->lower_lip};
    m.half *= 1 - 0.08 * p->open + 0.03 * p->press;
    m.up = 0.22 * gap + 0.02 * p->round * p->open;
    m.down = 0.78 * gap;
    m.corner = 0.05 * gap - 0.02 * p->spread;
    m.inner_half = m.half * (0.88 - 0.16 * p->round);
    double thin = 1 - 0.42 * p->press - 0.10 * p->spread + 0.28 * p->round;
    m.upper *= thin - 0.12 * p->open;
    m.lower *= thin - 0.10 * p->open;
    /* f, v: the lower lip rises to the teeth and turns inward, the upper lip lifts off them */
    m.up += 0.045 * p->tuck;
    m.down += 0.012 * p->tuck;
    m.lower *= 1 - 0.50 * p->tuck;
    m.dip = 0.35 * l->bow * m.upper * (1 - 0.5 * p->round);
    return m;
}

static void upper_outer(cairo_t *cr, const struct rim *m)
{
    double top = -m->up - m->upper;
    cairo_curve_to(cr, -0.72 * m->half, m->corner - 0.015, -0.42 * m->half, top, -0.20 * m->half,
                   top);
    cairo_curve_to(cr, -0.10 * m->half, top, -0.06 * m->half, top + m->dip, 0, top + m->dip);
    cairo_curve_to(cr, 0.06 * m->half, top + m->dip, 0.10 * m->half, top, 0.20 * m->half, top);
    cairo_curve_to(cr, 0.42 * m->half, top, 0.72 * m->half, m->corner - 0.015, m->half, m->corner);
}

static void lower_outer(cairo_t *cr, const struct rim *m)
{
    double bottom = m->down + m->lower;
    cairo_curve_to(cr, 0.82 * m->half, m->corner + 0.45 * (bottom - m->corner), 0.52 * m->half,
                   bottom, 0, bottom);
    cairo_curve_to(cr, -0.52 * m->half, bottom, -0.82 * m->half,
                   m->corner + 0.45 * (bottom - m->corner), -m->half, m->corner);
}

/* Inner rim. The bow presses the upper lip's middle down a little. */
static void inner(cairo_t *cr, const struct rim *m)
{
    double w = m->inner_half, c = m->corner;
    cairo_move_to(cr, -w, c);
    cairo_curve_to(cr, -0.62 * w, c - 1.0 * m->up - 0.012, -0.28 * w, -m->up - 0.010, 0,
                   -m->up + 0.008);
    cairo_curve_to(cr, 0.28 * w, -m->up - 0.010, 0.62 * w, c - 1.0 * m->up - 0.012, w, c);
    cairo_curve_to(cr, 0.76 * w, c + 0.62 * (m->down - c), 0.45 * w, m->down, 0, m->down);
    cairo_curve_to(cr, -0.45 * w, m->down, -0.76 * w, c + 0.62 * (m->down - c), -w, c);
    cairo_close_path(cr);
}

static void paint_teeth(cairo_t *cr, const struct look *l, double half, double from, double to,
                        double light)
{
    struct colour ivory = {l->teeth_white, l->teeth_white * 0.96, l->teeth_white * 0.87};
    struct colour tooth = colour_scale(ivory, light);
    static const double gaps[] = {0, 0.21, 0.40, 0.57, 0.72};
    double curve = 0.25 * (to - from);
    cairo_move_to(cr, -half, from);
    cairo_curve_to(cr, -0.6 * half, to + curve, 0.6 * half, to + curve, half, from);
    cairo_line_to(cr, half, from - 0.2 * (to - from));
    cairo_line_to(cr, -half, from - 0.2 * (to - from));
    cairo_close_path(cr);
    cairo_pattern_t *p = cairo_pattern_create_linear(-half, 0, half, 0);
    struct colour side = colour_scale(tooth, 0.45);
    cairo_pattern_add_color_stop_rgb(p, 0, side.r, side.g, side.b);
    cairo_pattern_add_color_stop_rgb(p, 0.3, tooth.r, tooth.g, tooth.b);
    cairo_pattern_add_color_stop_rgb(p, 0.7, tooth.r, tooth.g, tooth.b);
    cairo_pattern_add_color_stop_rgb(p, 1, side.r, side.g, side.b);
    cairo_set_source(cr, p);
    cairo_fill(cr);
    cairo_pattern_destroy(p);
    cairo_set_line_width(cr, 0.008);
    paint_source(cr, black, 0.22);
    for (int i = 0; i < 5; i++) {
        for (int side_of = -1; side_of <= 1; side_of += 2) {
            cairo_move_to(cr, side_of * gaps[i] * half, from);
            cairo_line_to(cr, side_of * gaps[i] * half, to + curve * 0.6);
        }
    }
    cairo_stroke(cr);
}

static void paint_inside(cairo_t *cr, const struct look *l, const struct rim *m,
                         const struct mouth_pose *p)
{
    struct colour deep = {0.13, 0.04, 0.04}, tongue = {0.66, 0.32, 0.32};
    cairo_save(cr);
    inner(cr, m);
    cairo_clip(cr);
    paint_source(cr, colour_scale(deep, 0.6 + 0.8 * l->gain), 1);
    cairo_paint(cr);
    double gap = m->up + m->down;
    /* teeth: the lower row rides on the jaw and meets the upper one when `teeth` is 1 */
    double upper_edge = -m->up + 0.010 + 0.070 * l->teeth_show * fmin(1, gap / 0.12);
    upper_edge += 0.03 * p->tuck * (1 - l->teeth_show);
    double lower_edge = m->down - 0.015 - 0.05 * (1 - p->open);
    lower_edge += (upper_edge + 0.006 - lower_edge) * p->teeth * 0.95;
    double between_teeth = p->tongue > 0.85 ? (p->tongue - 0.85) / 0.15 : 0;
    if (p->tongue < 0.85 || p->teeth > 0.5) {
        double y = m->down + 0.03 - 0.20 * gap * p->tongue;
        paint_ellipse(cr, 0, y, 0.62 * m->inner_half, 0.10 + 0.3 * gap,
                      colour_scale(tongue, 0.50 + 0.22 * p->tongue), 1);
        paint_spot(cr, 0, y - 0.06, 0.35 * m->inner_half, 0.07, white, 0.12);
    }
    paint_teeth(cr, l, 0.80 * l->mouth_width, m->down + 0.05, lower_edge, 0.80);
    if (p->tongue > 0.6 && between_teeth <= 0) /* tip behind the upper teeth: l, t, d, n */
        paint_ellipse(cr, 0, upper_edge + 0.03, 0.42 * m->inner_half, 0.045 + 0.2 * gap,
                      colour_scale(tongue, 0.78), fmin(1, (p->tongue - 0.6) * 6));
    paint_teeth(cr, l, 0.86 * l->mouth_width, -m->up - 0.02, upper_edge, 1.0);
    if (between_teeth > 0) { /* th: the tip between the rows */
        double y = -m->up + 0.55 * gap + 0.02;
        paint_ellipse(cr, 0, y, 0.50 * m->inner_half, 0.055 + 0.12 * gap, tongue, between_teeth);
        paint_spot(cr, 0, y - 0.02, 0.3 * m->inner_half, 0.04, white, 0.30 * between_teeth);
    }
    paint_spot(cr, 0, -m->up - 0.015, m->inner_half * 1.2, 0.075, black, 0.65);
    paint_spot(cr, m->inner_half, m->corner, 0.45 * m->inner_half, 0.2, black, 0.75);
    paint_spot(cr, -m->inner_half, m->corner, 0.45 * m->inner_half, 0.2, black, 0.75);
    cairo_restore(cr);
}

static void paint_lips(cairo_t *cr, const struct look *l, const struct rim *m,
                       const struct mouth_pose *p)
{
    double top = -m->up - m->upper, bottom = m->down + m->lower;
    struct colour dark = colour_scale(l->lip, 0.74), light = l->lip;
    cairo_pattern_t *tone = cairo_pattern_create_linear(0, top, 0, bottom);
    double middle = (m->upper + m->up) / (bottom - top);
    cairo_pattern_add_color_stop_rgb(tone, 0, light.r * 0.9, light.g * 0.9, light.b * 0.9);
    cairo_pattern_add_color_stop_rgb(tone, middle, dark.r, dark.g, dark.b);
    cairo_pattern_add_color_stop_rgb(tone, fmin(1, middle + 0.06), light.r, light.g, light.b);
    cairo_pattern_add_color_stop_rgb(tone, 1, light.r * 0.82, light.g * 0.80, light.b * 0.80);
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_EVEN_ODD);
    cairo_new_path(cr);
    cairo_move_to(cr, -m->half, m->corner);
    upper_outer(cr, m);
    lower_outer(cr, m);
    cairo_close_path(cr);
    inner(cr, m);
    cairo_set_source(cr, tone);
    cairo_fill(cr);
    cairo_pattern_destroy(tone);
    cairo_set_fill_rule(cr, CAIRO_FILL_RULE_WINDING);
    double gloss = l->lip_gloss, x = 0.25 * l->light_x * m->half;
    paint_spot(cr, x, m->down + 0.45 * m->lower, 0.45 * m->half, 0.36 * m->lower, white,
               gloss * (1 - 0.6 * p->tuck));
    paint_spot(cr, x, -m->up - 0.62 * m->upper, 0.40 * m->half, 0.26 * m->upper, white,
               0.5 * gloss);
    inner(cr, m);
    for (int pass = 0; pass < 3; pass++) { /* the line between the lips, soft */
        cairo_set_line_width(cr, 0.052 - 0.016 * pass);
        paint_source(cr, colour_scale(l->lip, 0.36), 0.30);
        cairo_stroke_preserve(cr);
    }
    cairo_new_path(cr);
}

/* The skin around: shade under the lower lip, dimples at the corners, a rim of light above. */
static void paint_around(cairo_t *cr, const struct look *l, const struct rim *m,
                         const struct mouth_pose *p)
{
    struct colour shade = {l->skin.r * 0.42, l->skin.g * 0.30, l->skin.b * 0.26};
    struct colour glow = colour_mix(l->skin, white, 0.5);
    double k = l->contrast;
    paint_spot(cr, 0, m->down + m->lower + 0.07, 0.75 * m->half, 0.11, shade,
               (0.55 + 0.25 * p->round) * k);
    paint_spot(cr, m->half + 0.02, m->corner, 0.11, 0.13, shade, (0.45 + 0.3 * p->spread) * k);
    paint_spot(cr, -m->half - 0.02, m->corner, 0.11, 0.13, shade, (0.45 + 0.3 * p->spread) * k);
    paint_spot(cr, 0, -m->up - m->upper - 0.025, 0.55 * m->half, 0.045, glow, 0.35 * k);
}

void mouth_paint(cairo_t *cr, const struct look *l, const struct mouth_pose *pose)
{
    struct rim m = shape(l, pose);
    cairo_save(cr);
    cairo_translate(cr, l->yaw * 0.9, l->mouth_y);
    cairo_rotate(cr, l->mouth_skew);
    paint_around(cr, l, &m, pose);
    if (m.up + m.down > 0.012)
        paint_inside(cr, l, &m, pose);
    paint_lips(cr, l, &m, pose);
    cairo_restore(cr);
}
