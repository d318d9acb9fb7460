/*
 * Several evaluations as one table: models x rates x noise.
 *
 * Files of one model name are one model: trained with several seeds, or once a rate pair. A run is
 * one file: the mean of its noise seeds. A cell is the mean of its runs; its spread is lowest to
 * highest of several runs, and the 95 % bootstrap interval of a single one.
 */
#ifndef EVAL_REPORT_DATA_H
#define EVAL_REPORT_DATA_H

#include "eval/result.h"

enum { REPORT_MAX_MODELS = 64, REPORT_MAX_RATES = 96, REPORT_MAX_SNRS = 32, REPORT_NAME = 48 };

struct report_rate {
    enum task task;
    int audio_rate, video_rate; /* 0: the task lacks it */
};

struct report_model {
    const char *name;
    const struct result *first; /* of its files */
    int files;
};

struct report_data {
    const struct result *results;
    int result_count;
    struct report_model models[REPORT_MAX_MODELS]; /* in the order of the files */
    int model_count;
    struct report_rate rates[REPORT_MAX_RATES]; /* AVSR, ASR, VSR; each from rich to coarse */
    int rate_count;
    double snrs[REPORT_MAX_SNRS]; /* rising; INFINITY, clean, is the last */
    int snr_count;
};

int report_data_init(struct report_data *d, const struct result *results, int count,
                     struct error *err);

struct report_cell {
    double wer, low, high; /* low, high: the spread; NAN: unknown */
    double wer_normalised, cer, prompt_tokens, media_tokens, tflops, rtf, failed;
    int runs;
};

/* false: no file has it. */
bool report_cell(struct report_cell *cell, const struct report_data *d, int model,
                 const struct report_rate *rate, double snr_db);

/* Lowest and highest of a model's files. */
struct report_span {
    int64_t low, high;
};

struct report_span report_active(const struct report_data *d, int model);
struct report_span report_parameters(const struct report_data *d, int model);
struct report_span report_memory(const struct report_data *d, int model); /* peak, bytes */

bool report_same_rate(const struct report_rate *a, const struct report_rate *b);
/* "AVSR" */
const char *report_task(enum task task);
/* "(4,2)", "16" */
void report_rate_name(char name[REPORT_NAME], const struct report_rate *rate);
/* "AVSR (4,2)" */
void report_rate_title(char name[REPORT_NAME], const struct report_rate *rate);
/* "clean", "-5 dB" with a true minus sign */
void report_snr_name(char name[REPORT_NAME], double snr_db);

#endif
