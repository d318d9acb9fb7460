/*
 * Shading by soft spots: light on forehead, cheeks, nose and chin on the side of the lamp, shade in
 * the eye sockets, beside and below the nose, under the lip and along the far side of the outline.
 * Hair and beard are many thin strokes of slightly different colours.
 */
#include "head.h"

#include <math.h>

static const struct colour black = {0, 0, 0}, white = {1, 1, 1};

static double between(struct random *r, double low, double high)
{
    return low + (high - low) * random_uniform(r);
}

static void outline(cairo_t *cr, const struct look *l, double grow)
{
    double w = l->width + grow, j = l->width * l->jaw + grow, c = l->chin + grow;
    struct point p[] = {
        {0, -1.32 + l->forehead - grow},
        {0.55 * w, -1.18 + l->forehead - grow},
        {0.92 * w, -0.70},
        {1.02 * w, -0.10},
        {0.98 * w, 0.45},
        {0.86 * j, 1.05},
        {0.60 * j, 1.48 + 0.6 * c},
        {0.27 * j, 1.72 + c},
        {0, 1.77 + c},
    };
    paint_symmetric(cr, p, sizeof p / sizeof *p);
}

static struct colour shade_of(const struct look *l)
{
    struct colour warm = {l->skin.r * 0.42, l->skin.g * 0.30, l->skin.b * 0.26};
    return warm;
}

static struct colour glow_of(const struct look *l)
{
    return colour_mix(l->skin, white, 0.45);
}

/* Base tone: lit side to shaded side. */
static void paint_skin(cairo_t *cr, const struct look *l)
{
    struct colour shade = shade_of(l);
    cairo_pattern_t *p = cairo_pattern_create_radial(0.55 * l->light_x, 0.1 + 0.5 * l->light_y, 0.1,
                                                     0.1 * l->light_x, 0.25, 1.75);
    struct colour bright = colour_mix(l->skin, white, 0.10 * l->contrast);
    struct colour dark = colour_mix(l->skin, shade, 0.62 * l->contrast);
    cairo_pattern_add_color_stop_rgb(p, 0, bright.r, bright.g, bright.b);
    cairo_pattern_add_color_stop_rgb(p, 0.45, l->skin.r, l->skin.g, l->skin.b);
    cairo_pattern_add_color_stop_rgb(p, 1, dark.r, dark.g, dark.b);
    cairo_set_source(cr, p);
    cairo_paint(cr);
    cairo_pattern_destroy(p);
    double far = l->light_x > 0 ? -1 : 1, depth = l->contrast * (0.25 + 0.4 * fabs(l->light_x));
    paint_spot(cr, far * 1.15, 0.4, 0.75, 1.7, shade, depth);
    paint_spot(cr, -far * 1.2, 0.5, 0.45, 1.5, shade, 0.25 * l->contrast);
    paint_spot(cr, 0, 1.95, 1.1, 0.5, shade, 0.5 * l->contrast);
}

static void paint_forms(cairo_t *cr, const struct look *l)
{
    struct colour shade = shade_of(l), glow = glow_of(l), blush = {0.85, 0.32, 0.28};
    double k = l->contrast, x = 0.18 * l->light_x;
    paint_spot(cr, x, -0.80 + l->forehead, 0.62, 0.36, glow, 0.40 * k);
    paint_spot(cr, 0, l->mouth_y + 0.52, 0.30, 0.18, glow, 0.26 * k);
    for (int side = -1; side <= 1; side += 2) {
        double lit = 0.65 + 0.35 * side * (l->light_x > 0 ? 1 : -1);
        paint_spot(cr, 0.5 * side, -0.10, 0.36, 0.27, shade, 0.50 * k);
        paint_spot(cr, 0.22 * side, -0.05, 0.13, 0.25, shade, 0.36 * k);
        paint_spot(cr, 0.52 * side, 0.19, 0.28, 0.10, shade, (0.10 + 0.25 * l->age) * k);
        paint_spot(cr, 0.58 * side + x, 0.44, 0.34, 0.28, glow, 0.34 * k * lit);
        paint_spot(cr, 0.60 * side, 0.58, 0.32, 0.26, blush, l->blush);
        paint_spot(cr, 0.78 * side, 0.95, 0.30, 0.45, shade, 0.28 * k);
    }
}

static void paint_nose(cairo_t *cr, const struct look *l)
{
    struct colour shade = shade_of(l), glow = glow_of(l);
    double k = l->contrast, w = l->nose_width, y = 0.66 + l->nose_length, x = l->yaw * 0.8;
    double far = l->light_x > 0 ? -1 : 1;
    paint_spot(cr, x + far * 0.15 * w, y - 0.28, 0.12, 0.42, shade, 0.52 * k);
    paint_spot(cr, x - far * 0.17 * w, y - 0.22, 0.09, 0.34, shade, 0.24 * k);
    paint_spot(cr, x - far * 0.02, y - 0.34, 0.075, 0.44, glow, 0.55 * k);
    paint_spot(cr, x, y + 0.14, 0.36 * w, 0.13, shade, 0.50 * k);
    paint_spot(cr, x - far * 0.03, y - 0.04, 0.12, 0.10, glow, 0.62 * k);
    for (int side = -1; side <= 1; side += 2) {
        cairo_new_path(cr);
        struct point wing[] = {{x + side * 0.15 * w, y - 0.10},
                               {x + side * 0.225 * w, y - 0.01},
                               {x + side * 0.20 * w, y + 0.07},
                               {x + side * 0.12 * w, y + 0.075}};
        paint_curve(cr, wing, 4, 0);
        cairo_set_line_width(cr, 0.045);
        paint_source(cr, shade, 0.32);
        cairo_stroke(cr);
        paint_ellipse(cr, x + side * 0.105 * w, y + 0.065, 0.062 * w, 0.030,
                      colour_scale(shade, 0.5), 0.75);
    }
    paint_spot(cr, x, y + 0.22, 0.05, 0.14, shade, 0.26 * k); /* philtrum */
}

static void paint_folds(cairo_t *cr, const struct look *l)
{
    struct colour shade = shade_of(l);
    double depth = (0.12 + 0.38 * l->age) * l->contrast;
    for (int side = -1; side <= 1; side += 2) {
        struct point fold[] = {{side * 0.27 + l->yaw * 0.7, 0.66},
                               {side * 0.42 + l->yaw * 0.5, 0.84},
                               {side * 0.52 + l->yaw * 0.5, l->mouth_y - 0.02}};
        cairo_new_path(cr);
        paint_curve(cr, fold, 3, 0);
        cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
        for (int pass = 0; pass < 3; pass++) {
            cairo_set_line_width(cr, 0.10 - 0.03 * pass);
            paint_source(cr, shade, depth * 0.22);
            cairo_stroke_preserve(cr);
        }
        cairo_new_path(cr);
    }
    for (int i = 0; l->age > 0.6 && i < 3; i++) {
        double y = -0.72 - 0.12 * i;
        struct point line[] = {{-0.45, y + 0.03}, {0, y}, {0.45, y + 0.03}};
        cairo_new_path(cr);
        paint_curve(cr, line, 3, 0);
        cairo_set_line_width(cr, 0.025);
        paint_source(cr, shade, (l->age - 0.5) * 0.3);
        cairo_stroke(cr);
    }
}

static void paint_brows(cairo_t *cr, const struct look *l, struct random *r)
{
    struct colour hair = colour_mix(l->hair, shade_of(l), 0.35);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    for (int side = -1; side <= 1; side += 2) {
        for (int i = 0; i < 44; i++) {
            double t = random_uniform(r), thick = 0.055 * l->brow_weight * (1.15 - 0.8 * t);
            double x = l->yaw + side * (0.20 + 0.62 * t);
            double y = l->brow_y - l->brow_arch * sin(3.0 * (0.12 + 0.78 * t)) + 0.06 * t * t;
            y += between(r, -thick, thick);
            cairo_move_to(cr, x, y + 0.02);
            cairo_line_to(cr, x + side * 0.10, y - 0.02 + 0.05 * t);
            cairo_set_line_width(cr, 0.03);
            paint_source(cr, colour_scale(hair, between(r, 0.7, 1.1)), 0.55);
            cairo_stroke(cr);
        }
    }
}

static void
strokes(cairo_t *cr, struct random *r, int count, struct colour hair, double width, double alpha,
        void (*place)(struct random *r, const struct look *l, struct point *from, struct point *to),
        const struct look *l)
{
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_width(cr, width);
    for (int i = 0; i < count; i++) {
        struct point from, to;
        place(r, l, &from, &to);
        paint_source(cr, colour_scale(hair, between(r, 0.6, 1.25)), alpha);
        cairo_move_to(cr, from.x, from.y);
        cairo_line_to(cr, to.x, to.y);
        cairo_stroke(cr);
    }
}

static void beard_hair(struct random *r, const struct look *l, struct point *from, struct point *to)
{
    double a = between(r, -1.45, 1.45); /* along the jaw, from ear to ear */
    double depth = between(r, 0.0, 0.42), j = l->width * l->jaw;
    double x = sin(a) * (0.96 - depth) * j, y = 0.62 + cos(a) * (1.14 - depth * 0.9);
    double mouth_x = (x - l->yaw * 0.9) / 0.56, mouth_y = (y - l->mouth_y - 0.03) / 0.27;
    if (mouth_x * mouth_x + mouth_y * mouth_y < 1) { /* lips are free */
        x = 0.62 * j * (x < 0 ? -1 : 1);
        y = l->mouth_y + between(r, -0.1, 0.3);
    }
    *from = (struct point){x, y};
    *to = (struct point){x + between(r, -0.03, 0.03), y + between(r, 0.05, 0.1)};
}

static void moustache_hair(struct random *r, const struct look *l, struct point *from,
                           struct point *to)
{
    double t = between(r, -1, 1);
    double x = l->yaw * 0.9 + t * 0.40, y = l->mouth_y - 0.20 + 0.10 * t * t;
    y += between(r, -0.05, 0.06);
    *from = (struct point){x, y};
    *to = (struct point){x + 0.05 * t + between(r, -0.02, 0.02), y + between(r, 0.03, 0.07)};
}

static void paint_beard(cairo_t *cr, const struct look *l, struct random *r)
{
    struct colour hair = colour_mix(l->hair, shade_of(l), 0.25);
    if (l->stubble > 0) {
        paint_spot(cr, -0.45, 1.35, 0.5, 0.5, hair, 0.25 * l->stubble);
        paint_spot(cr, 0.45, 1.35, 0.5, 0.5, hair, 0.25 * l->stubble);
        paint_spot(cr, 0, 1.55, 0.5, 0.3, hair, 0.35 * l->stubble);
        paint_spot(cr, 0, l->mouth_y - 0.2, 0.4, 0.12, hair, 0.3 * l->stubble);
    }
    strokes(cr, r, (int)(420 * l->beard), hair, 0.035, 0.55, beard_hair, l);
    strokes(cr, r, (int)(110 * l->moustache), hair, 0.035, 0.6, moustache_hair, l);
}

static void paint_ears(cairo_t *cr, const struct look *l)
{
    struct colour shade = shade_of(l);
    for (int side = -1; side <= 1; side += 2) {
        double x = side * (1.03 * l->width) - l->yaw * 0.4;
        struct colour tone = colour_mix(l->skin, shade, side * l->light_x > 0 ? 0.15 : 0.4);
        tone.r = fmin(1, tone.r * 1.05);
        paint_ellipse(cr, x, 0.18, 0.14 * l->ear, 0.30 * l->ear, tone, 1);
        paint_spot(cr, x + side * 0.02, 0.18, 0.09 * l->ear, 0.2 * l->ear, shade, 0.6);
    }
}

/* Hairline to crown: a cap around the skull with its lower edge on the forehead. */
static void cap_path(cairo_t *cr, const struct look *l)
{
    double w = l->width, volume = 0.10 + 0.07 * l->hair_style;
    double line = -0.98 + 0.32 * l->fringe * (l->hair_style > 1) + l->forehead * 0.5;
    double side = l->hair_style >= 3 ? 0.55 : 0.0;
    struct point p[] = {{(1.00 + volume) * w, side},
                        {(1.03 + volume) * w, -0.45},
                        {(0.80 + volume) * w, -1.15},
                        {0, -1.42 - volume * 1.3 + l->forehead},
                        {-(0.80 + volume) * w, -1.15},
                        {-(1.03 + volume) * w, -0.45},
                        {-(1.00 + volume) * w, side},
                        {-0.93 * w, -0.10},
                        {-0.86 * w, -0.55},
                        {-0.5 + 0.4 * l->parting, line + 0.04},
                        {l->parting * 0.6, line - 0.12},
                        {0.5 + 0.4 * l->parting, line + 0.04},
                        {0.86 * w, -0.55},
                        {0.93 * w, -0.10}};
    paint_curve(cr, p, sizeof p / sizeof *p, 1);
}

static void paint_hair(cairo_t *cr, const struct look *l, struct random *r)
{
    if (l->hair_style == 0)
        return;
    cairo_save(cr);
    cairo_new_path(cr);
    cap_path(cr, l);
    paint_source(cr, colour_scale(l->hair, 0.85), 1);
    cairo_fill_preserve(cr);
    cairo_clip(cr);
    cairo_set_line_width(cr, 0.03);
    for (int i = 0; i < 190; i++) {
        double a = between(r, -1.7, 1.7), out = between(r, 0.75, 1.25);
        double top_x = l->parting * 0.5, top_y = -1.45 + l->forehead;
        double x = 1.15 * out * sin(a), y = -0.2 - 1.1 * out * cos(a) + 0.5 * fabs(sin(a));
        paint_source(cr, colour_scale(l->hair, between(r, 0.5, 1.45)), 0.4);
        cairo_move_to(cr, top_x + between(r, -0.2, 0.2), top_y);
        cairo_curve_to(cr, 0.6 * x + 0.4 * top_x, top_y, x, y - 0.4, x, y + 0.35);
        cairo_stroke(cr);
    }
    paint_spot(cr, 0.5 * l->light_x, -1.25, 0.7, 0.35, white, 0.16);
    cairo_restore(cr);
}

void head_paint_back(cairo_t *cr, const struct look *l, uint64_t seed)
{
    struct random r;
    if (l->hair_style < 4)
        return;
    random_seed(&r, seed ^ 0xbacbULL);
    double w = 1.30 * l->width;
    struct point p[] = {{0, -1.55},      {0.95 * w, -1.15}, {1.08 * w, -0.2}, {1.12 * w, 0.9},
                        {1.05 * w, 1.9}, {0.5 * w, 2.2},    {0, 2.25}};
    cairo_save(cr);
    cairo_new_path(cr);
    paint_symmetric(cr, p, 7);
    paint_source(cr, colour_scale(l->hair, 0.6), 1);
    cairo_fill_preserve(cr);
    cairo_clip(cr);
    cairo_set_line_width(cr, 0.04);
    for (int i = 0; i < 160; i++) {
        double x = between(&r, -1.15, 1.15) * w, wave = between(&r, -0.12, 0.12);
        paint_source(cr, colour_scale(l->hair, between(&r, 0.4, 1.2)), 0.45);
        cairo_move_to(cr, x * 0.8, -1.3);
        cairo_curve_to(cr, x + wave, 0, x - wave, 1, x + wave, 2.3);
        cairo_stroke(cr);
    }
    cairo_restore(cr);
}

void head_paint_neck(cairo_t *cr, const struct look *l, uint64_t seed)
{
    (void)seed;
    struct colour shade = shade_of(l);
    struct colour tone = colour_mix(l->skin, shade, 0.30);
    double w = 0.62 * l->width * l->jaw;
    struct point neck[] = {{0, 1.0}, {w, 1.1}, {w * 0.98, 1.9}, {w * 1.15, 2.3}, {0, 2.7}};
    struct point shirt[] = {{0, 2.42},  {0.55, 2.20}, {0.95, 2.24}, {2.1, 2.62},
                            {2.7, 3.4}, {2.8, 6},     {0, 6}};
    paint_symmetric(cr, shirt, 7);
    cairo_save(cr);
    cairo_clip(cr);
    paint_source(cr, l->shirt, 1);
    cairo_paint(cr);
    paint_spot(cr, 1.6 * l->light_x, 3.0, 2.2, 1.3, white, 0.14);
    paint_spot(cr, -1.9 * l->light_x, 3.6, 2.4, 2.0, black, 0.28);
    paint_spot(cr, 0, 2.2, 1.2, 0.7, black, 0.30);
    cairo_restore(cr);
    paint_symmetric(cr, neck, 5);
    paint_source(cr, tone, 1);
    cairo_fill(cr);
    paint_spot(cr, -0.25 * l->light_x, 1.80, 0.75, 0.42, shade, 0.6);
    paint_spot(cr, -0.5 * l->light_x, 2.1, 0.35, 0.6, shade, 0.35);
}

void head_paint_front(cairo_t *cr, const struct look *l, uint64_t seed)
{
    struct random r;
    random_seed(&r, seed ^ 0x4eadULL);
    if (l->hair_style < 4)
        paint_ears(cr, l);
    cairo_save(cr);
    cairo_new_path(cr);
    outline(cr, l, 0);
    cairo_clip(cr);
    paint_skin(cr, l);
    cairo_translate(cr, l->yaw, 0);
    paint_forms(cr, l);
    cairo_translate(cr, -l->yaw, 0);
    paint_folds(cr, l);
    paint_nose(cr, l);
    for (int i = 0; i < 60; i++) /* uneven skin */
        paint_spot(cr, between(&r, -1, 1), between(&r, -1.1, 1.7), between(&r, 0.03, 0.14),
                   between(&r, 0.03, 0.14), random_uniform(&r) < 0.5 ? shade_of(l) : glow_of(l),
                   between(&r, 0.02, 0.08));
    paint_beard(cr, l, &r);
    cairo_restore(cr);
    paint_brows(cr, l, &r);
    paint_hair(cr, l, &r);
}
