#include "eval/report_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool report_same_rate(const struct report_rate *a, const struct report_rate *b)
{
    return a->task == b->task && a->audio_rate == b->audio_rate && a->video_rate == b->video_rate;
}

const char *report_task(enum task task)
{
    return task == TASK_ASR ? "ASR" : task == TASK_VSR ? "VSR" : "AVSR";
}

void report_rate_name(char name[REPORT_NAME], const struct report_rate *rate)
{
    if (!rate->audio_rate && !rate->video_rate)
        snprintf(name, REPORT_NAME, "auto");
    else if (rate->audio_rate && rate->video_rate)
        snprintf(name, REPORT_NAME, "(%d,%d)", rate->audio_rate, rate->video_rate);
    else
        snprintf(name, REPORT_NAME, "%d", rate->audio_rate + rate->video_rate);
}

void report_rate_title(char name[REPORT_NAME], const struct report_rate *rate)
{
    char plain[REPORT_NAME];
    report_rate_name(plain, rate);
    snprintf(name, REPORT_NAME, "%s %.32s", report_task(rate->task), plain);
}

void report_snr_name(char name[REPORT_NAME], double snr_db)
{
    if (!isfinite(snr_db))
        snprintf(name, REPORT_NAME, "clean");
    else
        snprintf(name, REPORT_NAME,
                 "%s%g\xc2\xa0"
                 "dB",
                 snr_db < 0 ? "\xe2\x88\x92" : "", fabs(snr_db));
}

static struct report_rate rate_of(const struct result_row *row)
{
    return (struct report_rate){row->task, row->audio_rate, row->video_rate};
}

static int by_rate(const void *left, const void *right)
{
    const struct report_rate *a = left, *b = right;
    const int order[] = {[TASK_AVSR] = 0, [TASK_ASR] = 1, [TASK_VSR] = 2};
    if (a->task != b->task)
        return order[a->task] - order[b->task];
    if (a->audio_rate != b->audio_rate)
        return a->audio_rate < b->audio_rate ? -1 : 1;
    return (a->video_rate > b->video_rate) - (a->video_rate < b->video_rate);
}

static int by_number(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static int add_model(struct report_data *d, const struct result *r, struct error *err)
{
    int i = 0;
    while (i < d->model_count && strcmp(d->models[i].name, r->name))
        i++;
    if (i == REPORT_MAX_MODELS)
        return error_set(err, ERROR_LIMIT, "more than %d models in one report", REPORT_MAX_MODELS);
    if (i == d->model_count)
        d->models[d->model_count++] = (struct report_model){.name = r->name, .first = r};
    d->models[i].files++;
    return 0;
}

static int add_row(struct report_data *d, const struct result_row *row, struct error *err)
{
    const struct report_rate rate = rate_of(row);
    int i = 0, k = 0;
    while (i < d->rate_count && !report_same_rate(&d->rates[i], &rate))
        i++;
    while (k < d->snr_count && d->snrs[k] != row->snr_db)
        k++;
    if (i == REPORT_MAX_RATES || k == REPORT_MAX_SNRS)
        return error_set(err, ERROR_LIMIT, "more than %d rates or %d noise levels in one report",
                         REPORT_MAX_RATES, REPORT_MAX_SNRS);
    d->rates[i] = rate;
    d->rate_count += i == d->rate_count;
    d->snrs[k] = row->snr_db;
    d->snr_count += k == d->snr_count;
    return 0;
}

int report_data_init(struct report_data *d, const struct result *results, int count,
                     struct error *err)
{
    *d = (struct report_data){.results = results, .result_count = count};
    for (int i = 0; i < count; i++) {
        int rc = add_model(d, &results[i], err);
        for (int k = 0; !rc && k < results[i].row_count; k++)
            rc = add_row(d, &results[i].rows[k], err);
        if (rc)
            return rc;
    }
    qsort(d->rates, (size_t)d->rate_count, sizeof d->rates[0], by_rate);
    qsort(d->snrs, (size_t)d->snr_count, sizeof d->snrs[0], by_number);
    return 0;
}

static struct report_cell row_cell(const struct result_row *row)
{
    return (struct report_cell){.wer = row->wer,
                                .low = row->wer_low,
                                .high = row->wer_high,
                                .wer_normalised = row->wer_normalised,
                                .cer = row->cer,
                                .prompt_tokens = row->prompt_tokens,
                                .media_tokens = row->media_tokens,
                                .tflops = row->tflops,
                                .rtf = row->rtf,
                                .failed = row->failed};
}

static void add_cell(struct report_cell *sum, const struct report_cell *one, double weight)
{
    sum->wer += weight * one->wer;
    sum->low += weight * one->low;
    sum->high += weight * one->high;
    sum->wer_normalised += weight * one->wer_normalised;
    sum->cer += weight * one->cer;
    sum->prompt_tokens += weight * one->prompt_tokens;
    sum->media_tokens += weight * one->media_tokens;
    sum->tflops += weight * one->tflops;
    sum->rtf += weight * one->rtf;
    sum->failed += weight * one->failed;
}

/* Mean of the rows of all noise seeds. */
static bool run_cell(struct report_cell *cell, const struct result *r,
                     const struct report_rate *rate, double snr_db)
{
    struct report_cell sum = {0};
    int count = 0;
    for (int i = 0; i < r->row_count; i++) {
        const struct report_rate other = rate_of(&r->rows[i]);
        const struct report_cell one = row_cell(&r->rows[i]);
        if (r->rows[i].snr_db != snr_db || !report_same_rate(&other, rate))
            continue;
        add_cell(&sum, &one, 1);
        count++;
    }
    *cell = (struct report_cell){0};
    add_cell(cell, &sum, count ? 1.0 / count : 0);
    return count > 0;
}

bool report_cell(struct report_cell *cell, const struct report_data *d, int model,
                 const struct report_rate *rate, double snr_db)
{
    struct report_cell sum = {0}, run;
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < d->result_count; i++) {
        const struct result *r = &d->results[i];
        if (strcmp(r->name, d->models[model].name) || !run_cell(&run, r, rate, snr_db))
            continue;
        add_cell(&sum, &run, 1);
        sum.runs++;
        low = fmin(low, run.wer);
        high = fmax(high, run.wer);
    }
    *cell = (struct report_cell){.runs = sum.runs};
    if (!sum.runs)
        return false;
    add_cell(cell, &sum, 1.0 / sum.runs);
    bool sound = cell->low <= cell->wer && cell->wer <= cell->high; /* a file may lack them */
    cell->low = sum.runs > 1 ? low : sound ? cell->low : NAN;
    cell->high = sum.runs > 1 ? high : sound ? cell->high : NAN;
    return true;
}

/* Of the number at `member` of struct result. */
static struct report_span span_of(const struct report_data *d, int model, size_t member)
{
    struct report_span span = {INT64_MAX, INT64_MIN};
    for (int i = 0; i < d->result_count; i++) {
        int64_t value;
        memcpy(&value, (const char *)&d->results[i] + member, sizeof value);
        if (strcmp(d->results[i].name, d->models[model].name))
            continue;
        span.low = value < span.low ? value : span.low;
        span.high = value > span.high ? value : span.high;
    }
    return span;
}

struct report_span report_active(const struct report_data *d, int model)
{
    return span_of(d, model, offsetof(struct result, active_parameters));
}

struct report_span report_parameters(const struct report_data *d, int model)
{
    return span_of(d, model, offsetof(struct result, parameters));
}

struct report_span report_memory(const struct report_data *d, int model)
{
    return span_of(d, model, offsetof(struct result, peak_memory_bytes));
}
