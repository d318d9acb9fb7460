/*
 * What each rate costs and is worth: clips, already decoded, read again and again at one task, rate
 * (pair) and number of beams; one clip at a time, as a user would.
 *
 * The first pass over the clips is a warm-up and gives the error rate (texts are the same each
 * time); of the others, each the mean over its clips, mean and deviation are told. Peak memory is
 * the whole process', media included, while the row was measured.
 */
#ifndef EVAL_BENCH_H
#define EVAL_BENCH_H

#include "base/strbuf.h"
#include "decode/transcriber.h"

struct bench_clip {
    char *path; /* owned */
    char *text; /* what was said; NULL: not known; owned */
    struct clip clip;
};

struct bench_number {
    double mean, deviation; /* over the repetitions; deviation 0 where there is one */
};

struct bench_row {
    enum task task;
    int audio_rate, video_rate, beam;                   /* rates 0: the task lacks that modality */
    int64_t clips;                                      /* that have what the task needs */
    int64_t words, errors;                              /* of those whose text is known */
    double wer, wer_low, wer_high;                      /* 95 % interval; NAN: no text is known */
    struct bench_number encode, prefill, search, total; /* seconds a clip */
    struct bench_number rtf;                            /* total / length of the clips */
    double prompt_tokens, media_tokens;                 /* mean of the clips */
    int64_t peak_bytes;
};

struct bench_options {
    struct beam_options beam; /* all but its beams, which are the row's */
    int repetitions;          /* 1 .. BENCH_MAX_REPETITIONS */
    /* Called behind each clip; return not 0 cancels. May be NULL. */
    int (*report)(void *arg);
    void *arg;
};

enum { BENCH_MAX_REPETITIONS = 1000 };

/* Fills row, of which task, rates and beam are given. Where no clip has what the task needs, clips
   is 0. */
int bench_run(struct bench_row *row, struct transcriber *t, const struct bench_clip *clips,
              int64_t count, const struct bench_options *options, struct error *err);

enum bench_format { BENCH_TABLE, BENCH_MARKDOWN, BENCH_CSV, BENCH_JSON };

/* What all rows have in common. */
struct bench_head {
    const char *model;
    int repetitions, threads;
    int64_t clips;
    double seconds; /* their length */
};

/* Appends to out (check out->failed). The table and Markdown are for people; CSV has a head line.
 */
void bench_write(struct strbuf *out, enum bench_format format, const struct bench_head *head,
                 const struct bench_row *rows, int count);

/* Error rate against time as SVG, a line a task and number of beams, with bars for both. None of
   the rows has an error rate: ERROR_USAGE. */
int bench_plot(struct strbuf *svg, const struct bench_row *rows, int count, struct error *err);

#endif
