/* The rows of a benchmark as a table, Markdown, CSV or JSON. */
#include "eval/bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CELL = 48 };

static void rate_cell(char cell[CELL], const struct bench_row *row)
{
    if (row->audio_rate && row->video_rate)
        snprintf(cell, CELL, "%d,%d", row->audio_rate, row->video_rate);
    else
        snprintf(cell, CELL, "%d", row->audio_rate + row->video_rate);
}

static void error_cells(char wer[CELL], char interval[CELL], const struct bench_row *row)
{
    snprintf(wer, CELL, "-");
    snprintf(interval, CELL, "-");
    if (isnan(row->wer))
        return;
    snprintf(wer, CELL, "%.2f", 100 * row->wer);
    snprintf(interval, CELL, "%.1f - %.1f", 100 * row->wer_low, 100 * row->wer_high);
}

/* In milliseconds. */
static void time_cell(char cell[CELL], const struct bench_number *n)
{
    snprintf(cell, CELL, "%.1f +- %.1f", 1e3 * n->mean, 1e3 * n->deviation);
}

static void write_rows(struct strbuf *out, bool markdown, const struct bench_row *rows, int count)
{
    strbuf_adds(
        out, markdown ? "| task | rate | beam | WER % | 95 % | encode ms | prefill ms | search "
                        "ms | total ms | tokens | RTF | peak MB |\n"
                        "|---|---|---|---|---|---|---|---|---|---|---|---|\n"
                      : "task  rate   beam   WER %  95 % interval       encode ms      prefill "
                        "ms       search ms        total ms  tokens              RTF  peak MB\n");
    for (int i = 0; i < count; i++) {
        const struct bench_row *row = &rows[i];
        char rate[CELL], wer[CELL], interval[CELL], encode[CELL], prefill[CELL], search[CELL],
            total[CELL], rtf[CELL];
        rate_cell(rate, row);
        error_cells(wer, interval, row);
        time_cell(encode, &row->encode);
        time_cell(prefill, &row->prefill);
        time_cell(search, &row->search);
        time_cell(total, &row->total);
        snprintf(rtf, CELL, "%.3f +- %.3f", row->rtf.mean, row->rtf.deviation);
        strbuf_addf(out,
                    markdown ? "| %s | %s | %d | %s | %s | %s | %s | %s | %s | %.1f | %s | %.0f |\n"
                             : "%-4s  %-5s  %4d  %6s  %13s  %14s  %14s  %14s  %14s  %6.1f  %15s  "
                               "%7.0f\n",
                    task_name(row->task), rate, row->beam, wer, interval, encode, prefill, search,
                    total, row->prompt_tokens, rtf, (double)row->peak_bytes / 1e6);
    }
}

static void csv_time(struct strbuf *out, const struct bench_number *n, double unit)
{
    strbuf_addf(out, ",%.6g,%.6g", unit * n->mean, unit * n->deviation);
}

/* Empty where there is nothing: a rate that the task lacks, an error rate without texts. */
static void csv_rate(struct strbuf *out, int rate)
{
    strbuf_addf(out, rate ? ",%d" : ",", rate);
}

static void csv_share(struct strbuf *out, double share)
{
    strbuf_addf(out, isnan(share) ? "," : ",%.6f", share);
}

static void write_csv(struct strbuf *out, const struct bench_row *rows, int count)
{
    strbuf_adds(out, "task,audio_rate,video_rate,beam,clips,words,errors,wer,wer_low,wer_high,"
                     "encode_ms,encode_ms_sd,prefill_ms,prefill_ms_sd,search_ms,search_ms_sd,"
                     "total_ms,total_ms_sd,rtf,rtf_sd,prompt_tokens,media_tokens,peak_bytes\n");
    for (int i = 0; i < count; i++) {
        const struct bench_row *row = &rows[i];
        strbuf_adds(out, task_name(row->task));
        csv_rate(out, row->audio_rate);
        csv_rate(out, row->video_rate);
        strbuf_addf(out, ",%d,%lld,%lld,%lld", row->beam, (long long)row->clips,
                    (long long)row->words, (long long)row->errors);
        csv_share(out, row->wer);
        csv_share(out, row->wer_low);
        csv_share(out, row->wer_high);
        csv_time(out, &row->encode, 1e3);
        csv_time(out, &row->prefill, 1e3);
        csv_time(out, &row->search, 1e3);
        csv_time(out, &row->total, 1e3);
        csv_time(out, &row->rtf, 1);
        strbuf_addf(out, ",%.6g,%.6g,%lld\n", row->prompt_tokens, row->media_tokens,
                    (long long)row->peak_bytes);
    }
}

static json_t *number_json(const struct bench_number *n)
{
    return json_pack("{s:f, s:f}", "mean", n->mean, "deviation", n->deviation);
}

static json_t *rate_json(int rate)
{
    return rate ? json_integer(rate) : json_null();
}

static json_t *share_json(double share)
{
    return isnan(share) ? json_null() : json_real(share);
}

static json_t *row_json(const struct bench_row *row)
{
    return json_pack(
        "{s:s, s:o, s:o, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, "
        "s:I}",
        "task", task_name(row->task), "audio_rate", rate_json(row->audio_rate), "video_rate",
        rate_json(row->video_rate), "beam", row->beam, "clips", (json_int_t)row->clips, "words",
        (json_int_t)row->words, "errors", (json_int_t)row->errors, "wer", share_json(row->wer),
        "wer_low", share_json(row->wer_low), "wer_high", share_json(row->wer_high),
        "encode_seconds", number_json(&row->encode), "prefill_seconds", number_json(&row->prefill),
        "search_seconds", number_json(&row->search), "seconds", number_json(&row->total), "rtf",
        number_json(&row->rtf), "prompt_tokens", row->prompt_tokens, "media_tokens",
        row->media_tokens, "peak_memory_bytes", (json_int_t)row->peak_bytes);
}

static void write_json(struct strbuf *out, const struct bench_head *head,
                       const struct bench_row *rows, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, row_json(&rows[i]));
    json_t *root =
        json_pack("{s:s, s:s, s:i, s:i, s:I, s:f, s:o}", "format", "mome-bench-1", "model",
                  head->model, "repetitions", head->repetitions, "threads", head->threads, "clips",
                  (json_int_t)head->clips, "clip_seconds", head->seconds, "results", list);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    out->failed |= !text;
    strbuf_addf(out, "%s\n", text ? text : "");
    json_decref(root);
    free(text);
}

void bench_write(struct strbuf *out, enum bench_format format, const struct bench_head *head,
                 const struct bench_row *rows, int count)
{
    if (format == BENCH_CSV)
        write_csv(out, rows, count);
    else if (format == BENCH_JSON)
        write_json(out, head, rows, count);
    else
        write_rows(out, format == BENCH_MARKDOWN, rows, count);
}
