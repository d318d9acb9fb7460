/*
 * Sound and pictures as they come -> utterances, one after the other, in memory that does not grow
 * with time: what files of any length, live sources and the library run on.
 *
 *     sound    -> voice activity --+-> endpoint -> a span of frames -> which modality -> words
 *     pictures -> faces, shots ----+               (waits for its pictures)
 *
 * Pushing never decodes. streams_decode takes the next span of each of several streams and decodes
 * them as one batch; stream_pop gives what became of them:
 *
 *     stream_sound(s, pcm, samples, err);  stream_picture(s, rgb, ..., err);   as they come
 *     while (stream_ready(s))
 *         streams_decode(t, &s, 1, err);
 *     while (stream_pop(s, &utterance)) ...
 *
 * Where two spans overlap (features/endpoint) the words of the seam are told apart once both are
 * known, so the first is held back until then.
 *
 * Which modality (enum fallback says what was not used): sound, where the detector hears a voice;
 * lips, where a face is seen in most of the span and its lips move. Where nobody is heard, lips
 * open a span only if there is no sound, or noise so loud that it may hide a voice, and in which
 * none was heard of late: so silence and music give no words. What is taken for a voice and is none
 * gives words that the model has little confidence in: such utterances are left out
 * (recognizer_config.least_confidence).
 */
#ifndef DECODE_STREAM_H
#define DECODE_STREAM_H

#include "decode/pace_run.h"
#include "decode/transcriber.h"
#include "decode/utterance.h"
#include "features/faces.h"

struct stream;

struct stream_options {
    bool sound, pictures;       /* will be pushed */
    bool automatic;             /* each span by what is in it; else `task`, as far as that can be */
    enum task task;             /* looked at unless automatic */
    int audio_rate, video_rate; /* of the model's; with pace 0: any */
    struct pace *pace;          /* borrowed: each utterance at the richest rates within limits */
    struct pace_limits limits;
    struct beam_options beam;
    double pause_seconds; /* of silence that end an utterance (features/endpoint: at times less);
                             0: 0.5 for a model of short utterances to 1.0 for one of 30 s */
    int face;             /* whose lips: the nth face of each shot; 0: the one who speaks */
    /* The faces of each picture, in order, before any utterance that has it. NULL: don't. */
    int (*faces)(void *arg, const struct faces_picture *faces, struct error *err);
    void *arg;
};

/* The finder is borrowed, and may be shared; NULL where there are no pictures. */
int stream_new(struct stream **s, struct recognizer *r, struct face_finder *finder,
               const struct stream_options *options, struct error *err);
void stream_free(struct stream *s); /* NULL is fine */

/* The stream's clock is that of media/media.h. 16 kHz mono in [-1, 1]; 25 pictures a second. */
int stream_sound(struct stream *s, const float *pcm, int64_t samples, struct error *err);
int stream_picture(struct stream *s, const uint8_t *rgb, int width, int height, int stride,
                   struct error *err);
int stream_finish(struct stream *s, struct error *err); /* no more comes */

/* From the next span on. */
void stream_set_rates(struct stream *s, int audio_rate, int video_rate);
void stream_set_limits(struct stream *s, const struct pace_limits *limits);

bool stream_ready(const struct stream *s); /* a span waits to be decoded */
/* One span of each stream that has one; the transcriber's other contents are gone. */
int streams_decode(struct transcriber *t, struct stream *const *streams, int count,
                   struct error *err);
bool stream_pop(struct stream *s, struct utterance *u); /* released by the caller */

/* What the utterance that is not over says so far; 0 words: nothing. Costs as much as decoding it.
   Words at its beginning that the reading before had too are settled (u->settled): local agreement
   of two readings (Liu et al. 2020, "Low-latency sequence-to-sequence speech recognition and
   translation by partial hypothesis selection", section 2.2). */
int stream_partial(struct transcriber *t, struct stream *s, struct utterance *u, struct error *err);

double stream_seconds(const struct stream *s); /* of media that was looked at */
/* Whether a voice was ever heard, and a face seen; and whether one is seen now. */
bool stream_heard(const struct stream *s);
bool stream_saw(const struct stream *s);
bool stream_sees(const struct stream *s);

#endif
