/*
 * From a clip to text. A transcriber belongs to one thread and borrows an immutable recognizer.
 * transcriber_load runs the encoders once; transcriber_run then decodes what was loaded, for any
 * task and any rates, as often as wanted: the rate is chosen per call.
 *
 * To do many things to a clip at once, transcriber_add loads it for other tasks, and other sounds
 * of it (with noise mixed in, say), beside what is loaded, encoding nothing twice; and
 * transcriber_run_all decodes any number of jobs in batches.
 *
 * A clip longer than the encoders take at once is cut into segments (features/segment.h), whose
 * words are joined (decode/join.h); each word gets its time (decode/align.h).
 *
 * Where compute.cancelled is set, from any thread, both end before the next segment or token with
 * ERROR_CANCELLED.
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
#include "text/words.h"

#define TRANSCRIBER_MAX_SEGMENTS 256
#define TRANSCRIBER_BATCH 64 /* beams of all requests that are decoded at once */

/* What an encoder made of a piece of sound or pictures. */
struct encoded {
    const void *source;        /* the clip's pcm or mouth */
    int64_t start, rows, real; /* frames; rows into the encoder; samples of them that are sound */
    struct tensor *states;
    double seconds; /* it took */
    struct encoded *next;
};

/* A clip as a task takes it. */
struct loaded {
    int segments;
    struct segment *segment;             /* [segments] */
    struct encoded **audio, **video;     /* [segments], or NULL */
    int64_t *audio_states;               /* [segments]: how many of the rows of audio count */
    bool **sounds;                       /* [segments]: which frames are not silent, or NULL */
    int64_t samples, frames;             /* of the clip; 0: lacks that modality */
    double audio_seconds, video_seconds; /* in log-mel and each encoder, had it been loaded alone */
};

struct transcriber {
    struct recognizer *recognizer; /* borrowed */
    struct compute compute;
    struct arena arena;
    struct logmel *logmel;
    struct ctc_head ctc; /* once a search or alignment has read it */
    bool exact_window;   /* the model's; may be changed between loads */
    int64_t longest;     /* frames of a segment: config.longest_seconds, at most transcriber_window;
                            may be made less between loads */
    bool any_rate;       /* off; rates the model was not trained at too (recognizer_check_rates) */
    int batch;           /* requests decoded at once; 0: TRANSCRIBER_BATCH beams */
    struct loaded *loaded; /* [loaded_count]; owned, what is in them lives in the arena */
    int loaded_count;
    struct encoded *encoded; /* all of them, the last first */
};

/* What is to be decoded. */
struct job {
    int loaded; /* 0: transcriber_load's, or what transcriber_add gave */
    enum task task;
    int audio_rate, video_rate;
};

struct transcript {
    struct words words;            /* with times from the clip's beginning; owned */
    char *text;                    /* the words as one line; owned */
    struct hypothesis *hypotheses; /* [count], of the last segment where there are several; owned */
    char **texts;                  /* [count], of the hypotheses; owned */
    int count;
    double score;                /* sum over segments of the best scores */
    int64_t prompt_tokens;       /* rows into the LLM before the first new token */
    int64_t media_tokens;        /* of them from sound and pictures */
    int64_t ctc_rows;            /* rows that CTC read */
    int64_t step_rows;           /* rows after those of the prompt */
    int64_t keys;                /* that all those rows saw, added up */
    struct expert_slots experts; /* of the media tokens */
    double decode_seconds;       /* projectors and LLM; of a batch, its share (decode/beam.h) */
    double prefill_seconds;      /* of them, projectors and the prompt */
};

int transcriber_init(struct transcriber *t, struct recognizer *r, const struct device *device,
                     enum precision precision, struct error *err);
void transcriber_release(struct transcriber *t); /* also fine on a zeroed struct */

/* Whether the model has the encoders that a task needs. */
bool transcriber_can(const struct recognizer *r, enum task task);
/* Frames of a segment, at most: what the model was trained on, or what the encoders take. */
int64_t transcriber_longest(const struct recognizer_config *config);
/* The longest piece that the encoders take at once, in frames at 25 fps. */
int64_t transcriber_window(const struct recognizer_config *config);
/* The task that a clip is fit for: avsr, or asr or vsr where a stream (or the face) is missing; asr
   also where the face does not move its lips. */
enum task transcriber_task(const struct clip *clip, const struct recognizer *r);
/* Whether the clip has what the task needs: 0, or why not. */
int transcriber_check(const struct clip *clip, enum task task, struct error *err);

/* Encodes the streams that the task needs; what was loaded before is gone. */
int transcriber_load(struct transcriber *t, const struct clip *clip, enum task task,
                     struct error *err);
/* The same beside what is loaded; returns its number, 1, 2, .. (0: nothing was loaded before), or a
   negative code. Sound and pictures that are the same memory as a clip's before, which must still
   be there, are not encoded again where they are cut alike. */
int transcriber_add(struct transcriber *t, const struct clip *clip, enum task task,
                    struct error *err);
void transcriber_forget(struct transcriber *t); /* what is loaded */
/* Forgets it, and gives the memory back to the system that the largest of it took. */
int transcriber_shrink(struct transcriber *t, struct error *err);

int transcriber_run(struct transcriber *t, struct transcript *out, enum task task, int audio_rate,
                    int video_rate, const struct beam_options *options, struct error *err);
/* out[count]; on failure there is nothing to release. */
int transcriber_run_all(struct transcriber *t, struct transcript *out, const struct job *jobs,
                        int count, const struct beam_options *options, struct error *err);
void transcript_release(struct transcript *t);

/* The requests of jobs at one segment, which all of them have, and the tensors that they look into
   (NULL: none hears, none sees); all in t->arena. The jobs' rates are the caller's to check. */
struct request *transcriber_requests(struct transcriber *t, const struct job *const *jobs,
                                     int count, int segment, struct tensor **audio,
                                     struct tensor **video);

#endif
