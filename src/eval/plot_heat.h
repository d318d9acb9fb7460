/*
 * Heat maps: a matrix as coloured cells (plot_ramp between `low` and `high`), with numbers where
 * they are few, and the scale that says what the colours mean.
 *
 * Cells of one colour are one path, runs of a row one rectangle of it, so that a matrix of a
 * hundred thousand cells stays a small file.
 */
#ifndef EVAL_PLOT_HEAT_H
#define EVAL_PLOT_HEAT_H

#include "eval/plot.h"

struct plot_heat {
    double x, y, cell; /* top left; side of a cell */
    int rows, columns;
    const double *values; /* [rows, columns]; not finite: left white */
    double low, high;     /* what the ends of the ramp stand for */
};

void plot_heat_cells(struct plot *p, const struct plot_heat *heat);
void plot_heat_numbers(struct plot *p, const struct plot_heat *heat, int decimals);
/* Upright at (x, y), of `height`, with its ticks and label to the right: 70 pixels in all. */
void plot_heat_scale(struct plot *p, const struct plot_heat *heat, double x, double y,
                     double height, const char *label);

#endif
