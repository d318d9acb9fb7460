#include "paint.h"

#define POINTS_LIMIT 64

struct colour colour_mix(struct colour a, struct colour b, double s)
{
    return (struct colour){a.r + (b.r - a.r) * s, a.g + (b.g - a.g) * s, a.b + (b.b - a.b) * s};
}

static double unit(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

struct colour colour_scale(struct colour c, double f)
{
    return (struct colour){unit(c.r * f), unit(c.g * f), unit(c.b * f)};
}

void paint_source(cairo_t *cr, struct colour c, double alpha)
{
    cairo_set_source_rgba(cr, c.r, c.g, c.b, alpha);
}

static void unit_circle(cairo_t *cr, double x, double y, double rx, double ry)
{
    cairo_translate(cr, x, y);
    cairo_scale(cr, rx, ry);
    cairo_arc(cr, 0, 0, 1, 0, 6.2831853);
}

void paint_spot(cairo_t *cr, double x, double y, double rx, double ry, struct colour c,
                double alpha)
{
    cairo_save(cr);
    unit_circle(cr, x, y, rx, ry);
    cairo_pattern_t *p = cairo_pattern_create_radial(0, 0, 0, 0, 0, 1);
    cairo_pattern_add_color_stop_rgba(p, 0, c.r, c.g, c.b, alpha);
    cairo_pattern_add_color_stop_rgba(p, 0.4, c.r, c.g, c.b, alpha * 0.72);
    cairo_pattern_add_color_stop_rgba(p, 0.75, c.r, c.g, c.b, alpha * 0.18);
    cairo_pattern_add_color_stop_rgba(p, 1, c.r, c.g, c.b, 0);
    cairo_set_source(cr, p);
    cairo_fill(cr);
    cairo_pattern_destroy(p);
    cairo_restore(cr);
}

void paint_ellipse(cairo_t *cr, double x, double y, double rx, double ry, struct colour c,
                   double alpha)
{
    cairo_save(cr);
    unit_circle(cr, x, y, rx, ry);
    cairo_restore(cr);
    paint_source(cr, c, alpha);
    cairo_fill(cr);
}

void paint_curve(cairo_t *cr, const struct point *p, int count, int closed)
{
    cairo_move_to(cr, p[0].x, p[0].y);
    for (int i = 0; i < count - !closed; i++) {
        struct point a = p[i], b = p[(i + 1) % count];
        struct point before = i > 0 ? p[i - 1] : closed ? p[count - 1] : a;
        struct point after = i + 2 < count ? p[i + 2] : closed ? p[(i + 2) % count] : b;
        cairo_curve_to(cr, a.x + (b.x - before.x) / 6, a.y + (b.y - before.y) / 6,
                       b.x - (after.x - a.x) / 6, b.y - (after.y - a.y) / 6, b.x, b.y);
    }
    if (closed)
        cairo_close_path(cr);
}

void paint_symmetric(cairo_t *cr, const struct point *p, int count)
{
    struct point all[2 * POINTS_LIMIT];
    int n = 0;
    for (int i = 0; i < count && n < POINTS_LIMIT; i++)
        all[n++] = p[i];
    for (int i = count - 2; i > 0; i--)
        all[n++] = (struct point){-p[i].x, p[i].y};
    paint_curve(cr, all, n, 1);
}
