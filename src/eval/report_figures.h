/*
 * The figures of a report. Each begins and ends a plot and returns true, or has nothing to show,
 * leaves it alone and returns false. Out of memory: svg.failed of the plot.
 */
#ifndef EVAL_REPORT_FIGURES_H
#define EVAL_REPORT_FIGURES_H

#include "eval/plot.h"
#include "eval/report_data.h"

#define REPORT_WIDTH_PX 1040.0 /* of the page's column */

/* Word error rate of clean sound against the rate, a panel a task. */
bool report_figure_rates(struct plot *p, const struct report_data *d);
/* Against the signal-to-noise ratio, a panel a task and rate. */
bool report_figure_noise(struct plot *p, const struct report_data *d);
/* Against the TFLOPs of a clip, a panel a task, and the frontier: where no model is both cheaper
   and better. */
bool report_figure_cost(struct plot *p, const struct report_data *d);

/* Of one model (report_experts.c). How often each expert is chosen, a panel a layer, one curve a
   rate. */
bool report_figure_share(struct plot *p, const struct result_experts *experts);
/* How far two rates choose the same experts, and that by layer. */
bool report_figure_agreement(struct plot *p, const struct result_experts *experts);
/* Cosines between the tokens of a clip, and their means by rate. */
bool report_figure_similarity(struct plot *p, const struct result_similarity *similarity);

/* Mean total variation distance (half the sum of differences of share, 0..1) between two rates in
   one layer (layer -1: the mean of all), and between two layers at one rate. */
double report_rates_apart(const struct result_experts *experts, int layer);
double report_layers_apart(const struct result_experts *experts);

#endif
