/*
 * A panel: a rectangle of data with a horizontal and a vertical axis, and series of points in it,
 * joined by lines, with bars from low to high.
 *
 * Axes run from round numbers to round numbers (1, 2, 2.5 or 5 times a power of ten); a log axis
 * has ticks at 1, 2 and 5 of each decade, where there are few decades; a named axis has one tick a
 * name. An axis may be broken at a value: what lies beyond is no longer to scale.
 */
#ifndef EVAL_PLOT_PANEL_H
#define EVAL_PLOT_PANEL_H

#include "eval/plot.h"

enum { PLOT_MAX_TICKS = 40, PLOT_TICK_BYTES = 24 };

struct plot_tick {
    double at;
    char label[PLOT_TICK_BYTES], below[PLOT_TICK_BYTES]; /* below: a second line; may be "" */
};

struct plot_axis {
    const char *label; /* with its unit; NULL: none, as inside a row of panels */
    double low, high;
    bool log, broken, bare; /* bare: ticks without labels */
    double broken_at;
    struct plot_tick ticks[PLOT_MAX_TICKS];
    int tick_count;
};

/* Covers low..high with at most `most` steps; what is not finite counts as 0. */
void plot_axis_linear(struct plot_axis *a, const char *label, double low, double high, int most);
void plot_axis_log(struct plot_axis *a, const char *label, double low, double high);
/* From low to high with no ticks yet. */
void plot_axis_plain(struct plot_axis *a, const char *label, double low, double high);
void plot_axis_tick(struct plot_axis *a, double at, const char *label, const char *below);

struct plot_panel {
    double x, y, width, height; /* of the data; labels stand outside */
    const char *title;          /* above it; may be NULL */
    struct plot_axis across, up;
};

void plot_panel_frame(struct plot *p, const struct plot_panel *panel);
double plot_panel_x(const struct plot_panel *panel, double value);
double plot_panel_y(const struct plot_panel *panel, double value);
/* How far the labels of the vertical axis reach to the left. */
double plot_panel_margin(const struct plot_axis *up);

struct plot_point {
    double x, y;                 /* y NAN: missing, which parts the line */
    double low, high;            /* NAN: no bar */
    char label[PLOT_TICK_BYTES]; /* for plot_panel_labels */
};

struct plot_series {
    const char *name;
    int number; /* colour, marker, dashes */
    const struct plot_point *points;
    int count;
    bool no_markers;
};

void plot_panel_series(struct plot *p, const struct plot_panel *panel,
                       const struct plot_series *series);
/* The points' labels, each where it covers least of the points, bars and other labels. */
void plot_panel_labels(struct plot *p, const struct plot_panel *panel,
                       const struct plot_series *series, int count);
/* A line across the panel at the value `up`. */
void plot_panel_level(struct plot *p, const struct plot_panel *panel, double up, const char *dash);

/* In rows of at most `width`, begun at (x, y), the top; names may be cut. Returns its height.
   p NULL: only measures. */
double plot_legend(struct plot *p, double x, double y, double width,
                   const struct plot_series *series, int count);

#endif
