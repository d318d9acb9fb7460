/*
 * The result of an evaluation, and the file that holds it: what `mome evaluate --json` writes and
 * `mome compare` and `mome report` read.
 *
 *   {"format": "mome-evaluation-1",
 *    "model": {"name", "folder", "parameters", "adapter_parameters", "active_parameters",
 *              "placement"},
 *    "manifest", "beam", "noise", "seeds": [..], "peak_memory_bytes",
 *    "results": [{"task", "audio_rate", "video_rate", "snr_db", "seed", "wer", "wer_low",
 *                 "wer_high", "wer_normalised", "cer", "words", "errors", "clips", "failed",
 *                 "prompt_tokens", "media_tokens", "tflops", "seconds", "audio_seconds", "rtf",
 * "held", "utterances": [[errors, words], ..]}, ..], "clips": [{"path", "seconds", "text",
 * "hypotheses": [one per result]}, ..], "experts": null or {"layers", "routed", "active",
 * "conditions": [{"task", "audio_rate", "video_rate"}, ..], "share": [condition][layer][expert],
 *                 "agreement": [condition][condition], "agreement_by_layer": [layer][..][..]},
 *    "similarity": null or {"clip", "tokens": [{"modality", "rate", "count"}, ..], "matrix"}}
 *
 * A rate that the task lacks and the SNR of clean sound are null; both rates are where they chose
 * themselves, clip by clip, which "held" says, otherwise null: the share of clips that kept the
 * limits. Reading passes over unknown keys and takes absent ones as empty, but for "format",
 * "results" and a result's "task"; what is there must have the right type, length and range. The
 * file is somebody else's: nothing in it is believed, its size is limited.
 *
 * A result's texts and arrays live in its arena until result_release.
 */
#ifndef EVAL_RESULT_H
#define EVAL_RESULT_H

#include "base/memory.h"
#include "text/prompt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESULT_MAX_ROWS = 4096 };

struct result_utterance {
    int64_t errors, words;
};

/* One cell of the table: a task at a rate (pair), noise level and seed. */
struct result_row {
    enum task task;
    int audio_rate, video_rate;         /* 0: the task lacks that modality; both: as was chosen */
    double snr_db;                      /* INFINITY: clean */
    int64_t seed;                       /* of the noise's offsets */
    double wer, wer_low, wer_high;      /* 95 % interval; 0.1 is 10 % */
    double wer_normalised, cer;         /* without punctuation; of characters */
    int64_t words, errors;              /* of wer */
    int64_t clips, failed;              /* failed: no face, say; all its words are errors */
    double prompt_tokens, media_tokens; /* mean of those not failed; media: of sound, pictures */
    double tflops;                      /* the same, in 1e12 multiplications and additions */
    double seconds, audio_seconds, rtf; /* computing, length of the clips, and their ratio */
    double held; /* share of clips that kept the limits; NAN: there were none */
    const struct result_utterance *utterances; /* [utterance_count] in the manifest's order */
    int64_t utterance_count;                   /* clips, or 0 */
};

struct result_clip {
    const char *path, *text; /* text: what was said */
    double seconds;
    const char *const *hypotheses; /* [row_count], or NULL */
};

struct result_expert_condition {
    enum task task;
    int audio_rate, video_rate; /* 0: the task lacks that modality */
};

/* Which experts were used; conditions are clean sound. */
struct result_experts {
    int layers, routed, active; /* active: K experts a row */
    int condition_count;
    const struct result_expert_condition *conditions;
    const double *share;     /* [condition_count, layers, routed]: of the K slots of all rows */
    const double *agreement; /* [condition_count, condition_count], 0..1; or NULL */
    const double *agreement_by_layer; /* [layers, condition_count, condition_count] or NULL */
};

struct result_tokens {
    bool video;
    int rate;
    int64_t count;
};

/* Between the projected tokens of one clip, all rates of both modalities. */
struct result_similarity {
    const char *clip;
    const struct result_tokens *tokens; /* [kinds], in the order of the matrix */
    int kinds;
    int64_t total;        /* sum of their counts */
    const double *matrix; /* [total, total] cosines */
};

struct result {
    const char *name, *folder, *placement;
    int64_t parameters;
    int64_t adapter_parameters, active_parameters; /* active: what one request uses of them */
    const char *manifest, *noise;                  /* noise NULL: none */
    int beam;
    const int64_t *seeds;
    int seed_count;
    int64_t peak_memory_bytes;
    struct result_row *rows;
    int row_count;
    struct result_clip *clips; /* NULL: not kept */
    int64_t clip_count;
    const struct result_experts *experts;       /* or NULL */
    const struct result_similarity *similarity; /* or NULL */
    struct arena memory;
};

int result_init(struct result *r, struct error *err);             /* empty, texts "" */
void result_release(struct result *r);                            /* also fine on a zeroed struct */
const char *result_text(struct result *r, const char *text);      /* a copy; what is not UTF-8
                                                                     becomes U+FFFD */
void *result_array(struct result *r, int64_t count, size_t size); /* zeroed; NULL for 0 */

/* On failure *r is empty. result_parse: `name` stands for the file in messages. */
int result_read(struct result *r, const char *path, struct error *err);
int result_parse(struct result *r, const char *text, size_t size, const char *name,
                 struct error *err);
int result_write(const struct result *r, const char *path, struct error *err); /* atomic */

#endif
