/*
 * From a clip to text. A transcriber belongs to one thread and borrows an immutable recognizer.
 * transcriber_load runs the encoders once; transcriber_run then decodes what was loaded, for any
 * task and any rates, as often as wanted: the rate is chosen per call.
 *
 * Clips longer than the audio encoder's window are encoded in windows cut where the sound is
 * quietest; their texts are joined.
 */
#ifndef DECODE_TRANSCRIBER_H
#define DECODE_TRANSCRIBER_H

#include "decode/beam.h"
#include "features/clip.h"
#include "features/logmel.h"
#include "tensor/device.h"

#define TRANSCRIBER_MAX_WINDOWS 256

struct transcriber {
    struct recognizer *recognizer; /* borrowed */
    struct compute compute;
    struct arena arena;
    struct logmel *logmel;
    int windows;
    struct tensor *audio[TRANSCRIBER_MAX_WINDOWS], *video[TRANSCRIBER_MAX_WINDOWS]; /* states */
    int64_t samples, frames;             /* of the loaded clip; 0: lacks that modality */
    double audio_seconds, video_seconds; /* time spent in log-mel and each encoder */
};

struct transcript {
    char *text;                    /* one line; owned */
    struct hypothesis *hypotheses; /* [count], of the last window where there are several; owned */
    char **texts;                  /* [count], of the hypotheses; owned */
    int count;
    double score;          /* sum over windows of the best scores */
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
