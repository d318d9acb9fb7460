#include "eval/report_page.h"

#include <math.h>
#include <stdio.h>

static void begin(struct strbuf *out, int *table, const char *caption)
{
    strbuf_addf(out, "<table>\n<caption><b>Table %d.</b> %s</caption>\n<thead>", ++*table, caption);
}

static void cell(struct strbuf *out, const char *text)
{
    strbuf_adds(out, "<td>");
    plot_escape(out, text);
    strbuf_adds(out, "</td>");
}

/* A name, over its `rows` rows; nothing for 0: the cell above reaches here. */
static void name_cell(struct strbuf *out, const char *name, int rows)
{
    if (!rows)
        return;
    strbuf_addf(out, rows > 1 ? "<td class=\"name\" rowspan=\"%d\">" : "<td class=\"name\">", rows);
    plot_escape(out, name);
    strbuf_adds(out, "</td>");
}

static void rate_cell(struct strbuf *out, const struct report_rate *rate)
{
    char title[REPORT_NAME];
    report_rate_title(title, rate);
    strbuf_addf(out, "<td class=\"r\">%s</td>", title);
}

static void number(struct strbuf *out, double value, int decimals, bool best)
{
    const char *minus = value < 0 ? "\xe2\x88\x92" : "";
    if (!isfinite(value))
        strbuf_adds(out, "<td class=\"n\">\xe2\x80\x93</td>");
    else
        strbuf_addf(out,
                    best ? "<td class=\"n\"><b>%s%.*f</b></td>" : "<td class=\"n\">%s%.*f</td>",
                    minus, decimals, fabs(value));
}

/* To three digits. */
static void tflops_cell(struct strbuf *out, double tflops)
{
    int decimals = tflops > 0 ? 2 - (int)floor(log10(tflops)) : 0;
    number(out, tflops > 0 ? tflops : NAN, decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, false);
}

/* "12.7", or "12.7-27.5" where a model's files differ; of `unit`; "-" for 0. */
static void span(struct strbuf *out, struct report_span value, double unit, int decimals)
{
    if (value.high <= 0)
        strbuf_adds(out, "<td class=\"n\">\xe2\x80\x93</td>");
    else if (value.low == value.high)
        strbuf_addf(out, "<td class=\"n\">%.*f</td>", decimals, (double)value.low / unit);
    else
        strbuf_addf(out, "<td class=\"n\">%.*f\xe2\x80\x93%.*f</td>", decimals,
                    (double)value.low / unit, decimals, (double)value.high / unit);
}

/* At how many rates a model was evaluated on clean sound. */
static int clean_rates(const struct report_data *d, int model)
{
    struct report_cell c;
    int count = 0;
    for (int r = 0; r < d->rate_count; r++)
        count += report_cell(&c, d, model, &d->rates[r], INFINITY);
    return count;
}

void report_table_models(struct strbuf *out, const struct report_data *d, int *table)
{
    begin(out, table,
          "Models. Active parameters are the adapters\xe2\x80\x99 that one request uses, "
          "projectors not counted.");
    strbuf_adds(out, "<tr><th>model</th><th>adapters at</th><th class=\"n\">parameters (M)</th>"
                     "<th class=\"n\">active (M)</th><th class=\"n\">peak memory (MiB)</th>"
                     "<th class=\"n\">files</th><th>folder</th></tr></thead>\n");
    for (int i = 0; i < d->model_count; i++) {
        const struct result *r = d->models[i].first;
        strbuf_adds(out, "<tr>");
        name_cell(out, r->name, 1);
        cell(out, r->placement[0] ? r->placement : "\xe2\x80\x93");
        span(out, report_parameters(d, i), 1e6, 2);
        span(out, report_active(d, i), 1e6, 3);
        span(out, report_memory(d, i), 1 << 20, 0);
        strbuf_addf(out, "<td class=\"n\">%d</td>", d->models[i].files);
        cell(out, r->folder);
        strbuf_adds(out, "</tr>\n");
    }
    strbuf_adds(out, "</table>\n");
}

/* Two rows: tasks over their rates. */
static void rate_heads(struct strbuf *out, const struct report_data *d, const char *first)
{
    char name[REPORT_NAME];
    strbuf_addf(out, "<tr><th rowspan=\"2\">%s</th>", first);
    for (int i = 0, count; i < d->rate_count; i += count) {
        for (count = 1; i + count < d->rate_count && d->rates[i + count].task == d->rates[i].task;)
            count++;
        strbuf_addf(out, "<th class=\"c\" colspan=\"%d\">%s</th>", count,
                    report_task(d->rates[i].task));
    }
    strbuf_adds(out, "</tr>\n<tr>");
    for (int i = 0; i < d->rate_count; i++) {
        report_rate_name(name, &d->rates[i]);
        strbuf_addf(out, "<th class=\"n\">%s</th>", name);
    }
    strbuf_adds(out, "</tr></thead>\n");
}

static double wer_of(const struct report_data *d, int model, int rate, double snr_db)
{
    struct report_cell c;
    return report_cell(&c, d, model, &d->rates[rate], snr_db) ? 100 * c.wer : NAN;
}

/* The lowest of several models; NAN where only one has it. */
static double best_of(const struct report_data *d, int rate, double snr_db)
{
    double best = INFINITY;
    int count = 0;
    for (int i = 0; i < d->model_count; i++) {
        double wer = wer_of(d, i, rate, snr_db);
        best = fmin(best, wer);
        count += isfinite(wer);
    }
    return count > 1 ? best : NAN;
}

/* As printed, so that what reads the same is marked the same. */
static bool same_tenth(double a, double b)
{
    return isfinite(a) && isfinite(b) && fabs(round(10 * a) - round(10 * b)) < 0.5;
}

void report_table_rates(struct strbuf *out, const struct report_data *d, int *table)
{
    char noise[REPORT_NAME];
    begin(out, table,
          "Word error rate (%) at each compression rate, clean and by signal-to-noise ratio. "
          "Means, where a model has several files or noise seeds; the lowest of a column in bold.");
    rate_heads(out, d, "model");
    for (int k = d->snr_count - 1; k >= 0; k--) {
        report_snr_name(noise, d->snrs[k]);
        strbuf_addf(out, "<tr class=\"group\"><td colspan=\"%d\">%s</td></tr>\n", d->rate_count + 1,
                    noise);
        for (int i = 0; i < d->model_count; i++) {
            bool any = false;
            for (int r = 0; r < d->rate_count; r++)
                any = any || isfinite(wer_of(d, i, r, d->snrs[k]));
            if (!any)
                continue;
            strbuf_adds(out, "<tr>");
            name_cell(out, d->models[i].name, 1);
            for (int r = 0; r < d->rate_count; r++) {
                double wer = wer_of(d, i, r, d->snrs[k]);
                number(out, wer, 1, same_tenth(wer, best_of(d, r, d->snrs[k])));
            }
            strbuf_adds(out, "</tr>\n");
        }
    }
    strbuf_adds(out, "</table>\n");
}

/* A model's row at a rate, clean sound: name (once for all *rows of them) and rate; false: it was
   not evaluated there. */
static bool begin_row(struct strbuf *out, struct report_cell *c, const struct report_data *d,
                      int model, int rate, int *rows)
{
    if (!report_cell(c, d, model, &d->rates[rate], INFINITY))
        return false;
    strbuf_adds(out, *rows ? "<tr class=\"first\">" : "<tr>");
    name_cell(out, d->models[model].name, *rows);
    *rows = 0;
    rate_cell(out, &d->rates[rate]);
    return true;
}

void report_table_cost(struct strbuf *out, const struct report_data *d, int *table)
{
    begin(out, table,
          "Cost of a clip, and errors by other measures; clean sound. Tokens: what the language "
          "model reads, and those of sound and pictures among them. RTF: computing time over the "
          "clips\xe2\x80\x99 length on the machine of the evaluation.");
    strbuf_adds(out, "<tr><th>model</th><th>rate</th><th class=\"n\">prompt (tokens)</th>"
                     "<th class=\"n\">media (tokens)</th><th class=\"n\">TFLOPs</th>"
                     "<th class=\"n\">RTF</th><th class=\"n\">WER (%)</th>"
                     "<th class=\"n\">WER, no punctuation (%)</th><th class=\"n\">CER (%)</th>"
                     "<th class=\"n\">failed clips</th></tr></thead>\n");
    for (int i = 0; i < d->model_count; i++)
        for (int r = 0, rows = clean_rates(d, i); r < d->rate_count; r++) {
            struct report_cell c;
            if (!begin_row(out, &c, d, i, r, &rows))
                continue;
            number(out, c.prompt_tokens > 0 ? c.prompt_tokens : NAN, 1, false);
            number(out, c.media_tokens > 0 ? c.media_tokens : NAN, 1, false);
            tflops_cell(out, c.tflops);
            number(out, c.rtf > 0 ? c.rtf : NAN, 3, false);
            number(out, 100 * c.wer, 1, false);
            number(out, 100 * c.wer_normalised, 1, false);
            number(out, 100 * c.cer, 1, false);
            number(out, c.failed, c.failed == round(c.failed) ? 0 : 1, false);
            strbuf_adds(out, "</tr>\n");
        }
    strbuf_adds(out, "</table>\n");
}

void report_table_files(struct strbuf *out, const struct report_data *d, int *table)
{
    begin(out, table, "What was evaluated, a row a result file.");
    strbuf_adds(out, "<tr><th>model</th><th>manifest</th><th class=\"n\">clips</th>"
                     "<th class=\"n\">words</th><th class=\"n\">beam</th><th>noise</th>"
                     "<th>noise seeds</th></tr></thead>\n");
    for (int i = 0; i < d->result_count; i++) {
        const struct result *r = &d->results[i];
        strbuf_adds(out, "<tr>");
        name_cell(out, r->name, 1);
        cell(out, r->manifest);
        strbuf_addf(out,
                    "<td class=\"n\">%lld</td><td class=\"n\">%lld</td><td class=\"n\">%d</td>",
                    (long long)(r->row_count ? r->rows[0].clips : r->clip_count),
                    (long long)(r->row_count ? r->rows[0].words : 0), r->beam);
        cell(out, r->noise ? r->noise : "\xe2\x80\x93");
        strbuf_adds(out, "<td>");
        for (int k = 0; k < r->seed_count; k++)
            strbuf_addf(out, "%s%lld", k ? ", " : "", (long long)r->seeds[k]);
        strbuf_adds(out, "</td></tr>\n");
    }
    strbuf_adds(out, "</table>\n");
}

void report_table_spread(struct strbuf *out, const struct report_data *d, int *table)
{
    begin(out, table,
          "Word error rate (%), clean: lowest and highest of several files, else the "
          "95 % bootstrap interval.");
    strbuf_adds(out, "<tr><th>model</th><th>rate</th><th class=\"n\">WER</th>"
                     "<th class=\"n\">spread</th><th class=\"n\">files</th></tr></thead>\n");
    for (int i = 0; i < d->model_count; i++)
        for (int r = 0, rows = clean_rates(d, i); r < d->rate_count; r++) {
            struct report_cell c;
            if (!begin_row(out, &c, d, i, r, &rows))
                continue;
            number(out, 100 * c.wer, 1, false);
            if (isfinite(c.low))
                strbuf_addf(out, "<td class=\"n\">%.1f\xe2\x80\x93%.1f</td>", 100 * c.low,
                            100 * c.high);
            else
                number(out, NAN, 1, false);
            strbuf_addf(out, "<td class=\"n\">%d</td></tr>\n", c.runs);
        }
    strbuf_adds(out, "</table>\n");
}

/* Mean over the rates that have both; NAN: none. */
static double mean_rise(const struct report_data *d, int model, double snr_db)
{
    double sum = 0;
    int count = 0;
    for (int r = 0; r < d->rate_count; r++) {
        double rise = wer_of(d, model, r, snr_db) - wer_of(d, model, r, INFINITY);
        sum += isfinite(rise) ? rise : 0;
        count += isfinite(rise);
    }
    return count ? sum / count : NAN;
}

void report_table_noise(struct strbuf *out, const struct report_data *d, int *table)
{
    char noise[REPORT_NAME];
    begin(out, table,
          "Rise of the word error rate over clean sound (points), mean over the rates.");
    strbuf_adds(out, "<tr><th>model</th>");
    for (int k = d->snr_count - 1; k >= 0; k--) {
        report_snr_name(noise, d->snrs[k]);
        if (isfinite(d->snrs[k]))
            strbuf_addf(out, "<th class=\"n\">%s</th>", noise);
    }
    strbuf_adds(out, "</tr></thead>\n");
    for (int i = 0; i < d->model_count; i++) {
        strbuf_adds(out, "<tr>");
        name_cell(out, d->models[i].name, 1);
        for (int k = d->snr_count - 1; k >= 0; k--)
            if (isfinite(d->snrs[k]))
                number(out, mean_rise(d, i, d->snrs[k]), 1, false);
        strbuf_adds(out, "</tr>\n");
    }
    strbuf_adds(out, "</table>\n");
}

/* Is there, at this task, a model and rate as good and as cheap, and better in one of the two? */
static bool is_beaten(const struct report_data *d, enum task task, const struct report_cell *c)
{
    struct report_cell other;
    for (int i = 0; i < d->model_count; i++)
        for (int r = 0; r < d->rate_count; r++)
            if (d->rates[r].task == task && report_cell(&other, d, i, &d->rates[r], INFINITY) &&
                other.tflops > 0 && other.tflops <= c->tflops && other.wer <= c->wer &&
                (other.tflops < c->tflops || other.wer < c->wer))
                return true;
    return false;
}

void report_table_frontier(struct strbuf *out, const struct report_data *d, int *table)
{
    begin(out, table, "The frontier: what is beaten by nothing as cheap or cheaper.");
    strbuf_adds(out, "<tr><th>rate</th><th>model</th><th class=\"n\">TFLOPs</th>"
                     "<th class=\"n\">WER (%)</th></tr></thead>\n");
    for (int r = 0; r < d->rate_count; r++)
        for (int i = 0; i < d->model_count; i++) {
            struct report_cell c;
            if (!report_cell(&c, d, i, &d->rates[r], INFINITY) || !(c.tflops > 0) ||
                is_beaten(d, d->rates[r].task, &c))
                continue;
            strbuf_adds(out, "<tr>");
            rate_cell(out, &d->rates[r]);
            name_cell(out, d->models[i].name, 1);
            tflops_cell(out, c.tflops);
            number(out, 100 * c.wer, 1, false);
            strbuf_adds(out, "</tr>\n");
        }
    strbuf_adds(out, "</table>\n");
}

void report_table_share(struct strbuf *out, const struct result_experts *e, int *table)
{
    begin(out, table,
          "By layer: the expert chosen most, its share of token slots (mean of the "
          "rates), and how far the rates are apart (total variation, 0 to 1).");
    strbuf_adds(out,
                "<tr><th class=\"n\">layer</th><th class=\"n\">expert</th>"
                "<th class=\"n\">share (%)</th><th class=\"n\">rates apart</th></tr></thead>\n");
    for (int layer = 0; layer < e->layers; layer++) {
        double most = -1;
        int best = 0;
        for (int n = 0; n < e->routed; n++) {
            double sum = 0;
            for (int k = 0; k < e->condition_count; k++)
                sum +=
                    e->share[((size_t)k * (size_t)e->layers + (size_t)layer) * (size_t)e->routed +
                             (size_t)n];
            best = sum > most ? n : best;
            most = fmax(sum, most);
        }
        strbuf_addf(out,
                    "<tr><td class=\"n\">%d</td><td class=\"n\">%d</td><td class=\"n\">%.1f</td>"
                    "<td class=\"n\">%.3f</td></tr>\n",
                    layer + 1, best + 1, 100 * most / e->condition_count,
                    report_rates_apart(e, layer));
    }
    strbuf_adds(out, "</table>\n");
}
