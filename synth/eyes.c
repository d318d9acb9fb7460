/* Eyes: an almond of white with iris, pupil and glint, a dark upper rim, and the lid over it. */
#include "head.h"

#include <math.h>

static const struct colour black = {0, 0, 0}, white = {1, 1, 1};

/* Upper rim from the inner to the outer corner; `lid` closes it towards the lower rim. */
static void almond(cairo_t *cr, double w, double up, double down, double slant, double lid)
{
    double top = -up + (up + 0.8 * down) * lid;
    cairo_move_to(cr, -w, 0.01);
    cairo_curve_to(cr, -0.5 * w, top * 1.35, 0.45 * w, top * 1.35 - slant, w, -slant);
    cairo_curve_to(cr, 0.5 * w, down * 1.2 - slant, -0.5 * w, down * 1.2, -w, 0.01);
    cairo_close_path(cr);
}

static void one_eye(cairo_t *cr, const struct look *l, double lid, double gaze_x, double gaze_y)
{
    double w = 0.245 * l->eye_size, up = 0.095 * l->eye_size, down = 0.07 * l->eye_size;
    struct colour sclera = {0.90, 0.89, 0.87}, rim = colour_scale(l->skin, 0.28);
    struct colour crease = colour_mix(l->skin, rim, 0.6);
    cairo_save(cr);
    almond(cr, w, up, down, l->eye_slant, lid);
    cairo_clip(cr);
    paint_source(cr, colour_mix(sclera, l->skin, 0.18), 1);
    cairo_paint(cr);
    double x = 0.05 * gaze_x, y = -0.02 + 0.03 * gaze_y;
    paint_ellipse(cr, x, y, 0.118, 0.118, colour_scale(l->iris, 0.55), 1);
    paint_ellipse(cr, x, y, 0.098, 0.098, l->iris, 1);
    paint_ellipse(cr, x, y, 0.05, 0.05, black, 1);
    paint_ellipse(cr, x + 0.035 * l->light_x, y - 0.04, 0.022, 0.022, white, 0.9);
    paint_spot(cr, 0, -up - 0.02, w, 0.09, black, 0.55); /* the lid's shadow */
    cairo_restore(cr);
    double top = -up + (up + 0.8 * down) * lid;
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_move_to(cr, -w, 0.01);
    cairo_curve_to(cr, -0.5 * w, top * 1.35, 0.45 * w, top * 1.35 - l->eye_slant, w, -l->eye_slant);
    cairo_set_line_width(cr, 0.032);
    paint_source(cr, rim, 0.9);
    cairo_stroke(cr);
    cairo_move_to(cr, -w * 0.9, -0.06);
    cairo_curve_to(cr, -0.5 * w, -up * 1.9, 0.5 * w, -up * 1.95, w * 1.02, -0.06 - l->eye_slant);
    cairo_set_line_width(cr, 0.026);
    paint_source(cr, crease, 0.55);
    cairo_stroke(cr);
    cairo_move_to(cr, -w * 0.8, 0.03);
    cairo_curve_to(cr, -0.4 * w, down * 1.15, 0.5 * w, down * 1.1, w, -l->eye_slant);
    cairo_set_line_width(cr, 0.016);
    paint_source(cr, rim, 0.35);
    cairo_stroke(cr);
}

static void paint_glasses(cairo_t *cr)
{
    cairo_set_line_width(cr, 0.035);
    paint_source(cr, black, 0.75);
    for (int side = -1; side <= 1; side += 2) {
        cairo_save(cr);
        cairo_translate(cr, 0.5 * side, 0.03);
        cairo_scale(cr, 0.36, 0.26);
        cairo_new_sub_path(cr);
        cairo_arc(cr, 0, 0, 1, 0, 6.2831853);
        cairo_restore(cr);
        cairo_stroke(cr);
        cairo_move_to(cr, 0.86 * side, 0);
        cairo_line_to(cr, 1.02 * side, -0.04);
        cairo_stroke(cr);
    }
    cairo_move_to(cr, -0.14, 0);
    cairo_curve_to(cr, -0.05, -0.07, 0.05, -0.07, 0.14, 0);
    cairo_stroke(cr);
}

void eyes_paint(cairo_t *cr, const struct look *l, double lid, double gaze_x, double gaze_y)
{
    cairo_save(cr);
    cairo_translate(cr, l->yaw, 0);
    for (int side = -1; side <= 1; side += 2) {
        cairo_save(cr);
        cairo_translate(cr, 0.5 * side, 0);
        cairo_scale(cr, side, 1); /* the inner corner is at -w for both */
        if (lid > 0.05) {
            struct colour skin = colour_scale(l->skin, 0.86);
            paint_spot(cr, 0, -0.01, 0.30, 0.14, skin, lid);
        }
        one_eye(cr, l, lid, gaze_x * side, gaze_y);
        cairo_restore(cr);
    }
    if (l->glasses)
        paint_glasses(cr);
    cairo_restore(cr);
}
