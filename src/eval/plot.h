/*
 * Vector figures as SVG text: the sheet, and the marks that a figure is made of.
 *
 * Lengths are CSS pixels (1/96 inch), the origin is top left, y grows downwards. Text is set in the
 * sans serif that the reader has; its width is estimated by the advance widths of DejaVu Sans, the
 * widest of the usual ones, so that what is laid out here overlaps nowhere. All text may come from
 * outside: it is escaped, and what XML cannot hold becomes U+FFFD.
 *
 * A series has a number: its colour, marker and dash pattern. The colours are Okabe and Ito's
 * (2008), which colour-blind readers tell apart; marker and dashes tell them apart in grey.
 * Of quantities, plot_ramp makes colours from near white to near black whose lightness falls
 * evenly, so that a grey print says the same.
 */
#ifndef EVAL_PLOT_H
#define EVAL_PLOT_H

#include "base/strbuf.h"

#include <stdbool.h>

#define PLOT_INK "#1a1a1a"            /* text, axes */
#define PLOT_QUIET "#595959"          /* secondary text */
#define PLOT_GRID "#dedede"           /* lines of the grid */
#define PLOT_NONE "none"              /* no fill or stroke */
#define PLOT_TEXT_PX 12.0             /* labels */
#define PLOT_SMALL_PX 11.0            /* ticks, notes */
#define PLOT_LIMIT ((size_t)64 << 20) /* bytes of one figure */

struct plot {
    struct strbuf svg; /* complete after plot_end; check svg.failed */
    double width, height;
};

/* title and about: what a reader who cannot see the figure is told. */
void plot_begin(struct plot *p, double width, double height, const char *title, const char *about);
void plot_end(struct plot *p);
void plot_release(struct plot *p);

enum plot_anchor { PLOT_START, PLOT_MIDDLE, PLOT_END };

struct plot_font {
    double size;
    enum plot_anchor anchor;
    const char *colour; /* NULL: PLOT_INK */
    bool bold, halo;    /* halo: a white rim, where text stands on lines */
    double turn;        /* degrees, clockwise, about (x, y) */
};

/* y is the base line. */
void plot_text(struct plot *p, double x, double y, const struct plot_font *font, const char *text);
double plot_text_width(const char *text, double size);
/* text, or its beginning and "…" where it is wider than `width`. */
void plot_text_fit(struct plot *p, double x, double y, const struct plot_font *font,
                   const char *text, double width);

void plot_line(struct plot *p, double x1, double y1, double x2, double y2, const char *colour,
               double width, const char *dash); /* dash NULL: solid */
void plot_rect(struct plot *p, double x, double y, double width, double height, const char *fill,
               const char *stroke);
/* A line of many points: begin, the points (`jump`: not joined to the one before), end. */
void plot_path_begin(struct plot *p);
void plot_path_to(struct plot *p, double x, double y, bool jump);
void plot_path_end(struct plot *p, const char *colour, double width, const char *dash);

/* Of series `number`, any from 0 on; they repeat after 56. */
const char *plot_colour(int number);
const char *plot_dash(int number); /* NULL: solid */
void plot_marker(struct plot *p, int number, double x, double y, double size);

/* "#rrggbb" of 0..1. */
void plot_ramp(char colour[8], double share);
/* What is read best on plot_ramp(share). */
const char *plot_ramp_ink(double share);

/* Appends text to markup: & < > " ' escaped, invalid characters replaced. */
void plot_escape(struct strbuf *out, const char *text);

#endif
