/* The parts of a report's page that are HTML: appended to `out`, whose `failed` tells of missing
   memory. */
#ifndef EVAL_REPORT_PAGE_H
#define EVAL_REPORT_PAGE_H

#include "base/strbuf.h"
#include "eval/report_data.h"
#include "eval/report_figures.h"

/* Number the tables of a page from 1; 0 before the first. */
void report_table_models(struct strbuf *out, const struct report_data *d, int *table);
void report_table_rates(struct strbuf *out, const struct report_data *d, int *table);
void report_table_cost(struct strbuf *out, const struct report_data *d, int *table);
void report_table_files(struct strbuf *out, const struct report_data *d, int *table);
/* Beside figures: error rates with their spread, the rise in noise, experts by layer. */
void report_table_spread(struct strbuf *out, const struct report_data *d, int *table);
void report_table_noise(struct strbuf *out, const struct report_data *d, int *table);
void report_table_frontier(struct strbuf *out, const struct report_data *d, int *table);
void report_table_share(struct strbuf *out, const struct result_experts *experts, int *table);

/* The worst clips of each model by errors a spoken word in clean sound, aligned word by word;
 *any tells whether the files hold texts at all. */
int report_clips(struct strbuf *out, const struct report_data *d, int most, bool *any,
                 struct error *err);

#endif
