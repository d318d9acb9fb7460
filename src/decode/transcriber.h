/*
 * From a clip to text. A transcriber belongs to one thread and borrows an immutable recognizer.
 * transcriber_load runs the encoders once; transcriber_run then decodes what was loaded, for any
 * task and any rates, as often as wanted: the rate is chosen per call.
 *
 * A clip longer than the encoders take at once is cut into segments (features/segment.h), whose
 * texts are joined (decode/join.h).
 *
 * The audio encoder's window:
 *     exact   as published: the log-mel of each segment is padded with silence to 2 * positions
 *             frames, and of the states the first max(samples / 320, 25) are kept (with pictures: 2
 *             for each picture)
 *     trim    only the frames that are there
 * What is trained on the states expects the window that it was trained with: config.json says it.
 */
#ifndef DECODE_TRANSCRIBER_H
#define DECODE_TRANSCRIBER_H

#include "decode/beam.h"
#include "features/clip.h"
#include "features/logmel.h"
#include "features/segment.h"
#include "tensor/device.h"

#define TRANSCRIBER_MAX_SEGMENTS 256

struct transcriber {
    struct recognizer *recognizer; /* borrowed */
    struct compute compute;
    struct arena arena;
    struct logmel *logmel;
    bool exact_window; /* the model's; may be changed between loads */
    int64_t longest;   /* frames of a segment: config.longest_seconds, at most transcriber_window;
                          may be made less between loads */
    bool any_rate;     /* off; rates the model was not trained at too (recognizer_check_rates) */
    int segments;
    struct segment segment[TRANSCRIBER_MAX_SEGMENTS];
    struct tensor *audio[TRANSCRIBER_MAX_SEGMENTS], *video[TRANSCRIBER_MAX_SEGMENTS]; /* states */
    int64_t samples, frames;             /* of the loaded clip; 0: lacks that modality */
    double audio_seconds, video_seconds; /* time spent in log-mel and each encoder */
};

struct transcript {
    char *text;                    /* one line; owned */
    struct hypothesis *hypotheses; /* [count], of the last segment where there are several; owned */
    char **texts;                  /* [count], of the hypotheses; owned */
    int count;
    double score;          /* sum over segments of the best scores */
    int64_t prompt_tokens; /* rows into the LLM before the first new token */
    int64_t media_tokens;  /* of them from sound and pictures */
    double decode_seconds; /* projectors and LLM */
};

int transcriber_init(struct transcriber *t, struct recognizer *r, const struct device *device,
                     enum precision precision, struct error *err);
void transcriber_release(struct transcriber *t); /* also fine on a zeroed struct */

/* Whether the model has the encoders that a task needs. */
bool transcriber_can(const struct recognizer *r, enum task task);
/* The longest piece that the encoders take at once, in frames at 25 fps. */
int64_t transcriber_window(const struct recognizer_config *config);
/* The task that a clip is fit for: avsr, or asr or vsr where a stream (or the face) is missing. */
enum task transcriber_task(const struct clip *clip, const struct recognizer *r);

/* Encodes the streams that the task needs; what was loaded before is gone. */
int transcriber_load(struct transcriber *t, const struct clip *clip, enum task task,
                     struct error *err);
int transcriber_run(struct transcriber *t, struct transcript *out, enum task task, int audio_rate,
                    int video_rate, const struct beam_options *options, struct error *err);
void transcript_release(struct transcript *t);

#endif
