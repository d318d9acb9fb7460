/*
 * The report of one or more evaluations: one HTML file that needs nothing else, with tables, SVG
 * figures and the worst clips word by word. It is well-formed XML too, holds no script, and every
 * text of the files it is made of is escaped.
 */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "eval/result.h"

struct report_options {
    const char *title;
    const char *svg_folder; /* each figure as NAME.svg there too; NULL: no */
    int worst_clips;        /* of each model; 0: none */
};

/* Atomic; nothing is written, neither page nor figures, when making them fails. */
int report_write(const char *path, const struct result *results, int count,
                 const struct report_options *options, struct error *err);

#endif
