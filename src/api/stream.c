/* mome.h's streams: what the caller pushes, put on the clock of decode/stream, and its results. */
#include "api/api.h"

#include "base/memory.h"
#include "decode/transcribe.h"
#include "media/media.h"

#include <math.h>
#include <string.h>

enum { MOST_SAMPLES = 60 * MEDIA_SAMPLE_RATE, LONGEST_STILL = 60 * MEDIA_FPS };

/* ---- life ---------------------------------------------------------------------------------- */

void mome_stream_options_init_sized(mome_stream_options *o, size_t size)
{
    const mome_stream_options all = {
        .size = size, .task = MOME_TASK_AUTO, .sound = 1, .pictures = 1, .beam = 4, .n_best = 1};
    api_options_init(o, size, &all, sizeof all);
}

static int check_options(const mome_stream_options *o, const mome_model *m, struct error *err)
{
    if ((int)o->task < MOME_TASK_AUTO || (int)o->task >= TASK_COUNT)
        return error_set(err, ERROR_USAGE, "task %d: there is none such", (int)o->task);
    if (o->task >= 0 && !transcriber_can(m->recognizer, (enum task)o->task))
        return error_set(err, ERROR_USAGE, "the model has no encoder for %s",
                         task_name((enum task)o->task));
    if (o->beam < 1 || o->beam > 64 || o->n_best < 1 || o->n_best > o->beam)
        return error_set(err, ERROR_USAGE, "beam %d, n_best %d: expected 1 <= n_best <= beam <= 64",
                         o->beam, o->n_best);
    if (o->face < 0)
        return error_set(err, ERROR_USAGE, "face %d: they are numbered from 1", o->face);
    if (o->max_tokens < 0 || o->max_tokens > 4096 || !(o->pause >= 0 && o->pause <= 10))
        return error_set(err, ERROR_USAGE, "max_tokens %d (0..4096), pause %g (0..10 s)",
                         o->max_tokens, o->pause);
    return 0;
}

/* The rates asked for, or the finest; checked. */
static int set_rates(mome_stream *s, int audio_rate, int video_rate, struct error *err)
{
    const struct recognizer_config *c = &s->model->recognizer->config;
    const struct projector_config *p = &c->projector;
    if (!audio_rate && c->has_audio)
        audio_rate = config_finest_rate(p->audio_rates, p->audio_rate_count);
    if (!video_rate && c->has_video)
        video_rate = config_finest_rate(p->video_rates, p->video_rate_count);
    enum task task = c->has_audio && c->has_video ? TASK_AVSR : c->has_audio ? TASK_ASR : TASK_VSR;
    int rc = recognizer_check_rates(s->model->recognizer, task, audio_rate, video_rate, false, NULL,
                                    err);
    if (rc)
        return rc;
    s->inner.audio_rate = audio_rate;
    s->inner.video_rate = video_rate;
    if (s->stream)
        stream_set_rates(s->stream, audio_rate, video_rate);
    return 0;
}

static void set_inner(mome_stream *s)
{
    const mome_stream_options *o = &s->options;
    const struct recognizer_config *c = &s->model->recognizer->config;
    const bool automatic = o->task < 0;
    s->inner.automatic = automatic;
    s->inner.task = automatic ? TASK_AVSR : (enum task)o->task;
    s->inner.sound = o->sound && c->has_audio;
    s->inner.pictures = o->pictures && c->has_video && (automatic || task_sees(s->inner.task));
    s->inner.face = o->face;
    s->inner.pause_seconds = o->pause;
    s->inner.beam = (struct beam_options){.beam = o->beam,
                                          .n_best = o->n_best,
                                          .max_tokens = o->max_tokens ? o->max_tokens : 256,
                                          .ctc_weight = c->ctc_weight};
}

int mome_stream_open(mome_stream **stream, mome_model *model, const mome_stream_options *options)
{
    struct error err = {0};
    *stream = NULL;
    mome_stream *s = memory_new(1, sizeof *s);
    int rc = s ? 0 : error_set(&err, ERROR_MEMORY, "out of memory");
    if (!rc) {
        mome_stream_options_init(&s->options);
        rc = api_options_take(&s->options, sizeof s->options, options, "mome_stream_options", &err);
    }
    rc = rc ? rc : check_options(&s->options, model, &err);
    if (!rc) {
        s->model = model;
        set_inner(s);
        rc = set_rates(s, s->options.audio_rate, s->options.video_rate, &err);
    }
    rc = rc ? rc
            : transcriber_init(&s->transcriber, model->recognizer, &device_cpu, model->precision,
                               &err);
    if (rc) {
        mome_stream_close(s);
        return api_failed(&err);
    }
    s->transcriber.compute.cancelled = &s->cancelled;
    *stream = s;
    return MOME_OK;
}

void mome_stream_close(mome_stream *s)
{
    if (!s)
        return;
    for (int i = s->kept_next; i < s->kept_count; i++)
        utterance_release(&s->kept[i]);
    memory_free(s->kept);
    memory_free(s->picture.rgb);
    api_result_release(&s->result);
    stream_free(s->stream);
    transcriber_release(&s->transcriber);
    memory_free(s);
}

/* ---- what comes in ------------------------------------------------------------------------- */

/* Every call passes here in the end. The first error stays, but for those of usage, which are found
 * before anything is done. */
static int done(mome_stream *s, int rc, const struct error *err)
{
    if (!rc)
        return MOME_OK;
    if (!s->code && rc != ERROR_USAGE)
        s->code = rc;
    return api_failed(err);
}

static int begin(mome_stream *s, struct error *err)
{
    if (atomic_load(&s->cancelled))
        return error_set(err, ERROR_CANCELLED, "the stream was cancelled");
    if (s->code)
        return error_set(err, s->code, "the stream ended with an error before");
    return 0;
}

static int begin_push(mome_stream *s, struct error *err)
{
    int rc = begin(s, err);
    if (!rc && s->ended)
        rc = error_set(err, ERROR_USAGE, "nothing may be pushed after mome_stream_finish or _file");
    if (!rc && !s->stream)
        rc = stream_new(&s->stream, s->model->recognizer, s->model->finder, &s->inner, err);
    return rc;
}

int mome_stream_sound(mome_stream *s, const float *pcm, size_t samples)
{
    struct error err = {0};
    int rc = begin_push(s, &err);
    while (!rc && samples) {
        size_t count = samples < MOST_SAMPLES ? samples : MOST_SAMPLES;
        rc = stream_sound(s->stream, pcm, (int64_t)count, &err);
        pcm += count;
        samples -= count;
    }
    return done(s, rc, &err);
}

/* Puts the picture that is held on the grid, up to where the next one takes over. */
static int place_picture(mome_stream *s, double until, struct error *err)
{
    const struct api_picture *p = &s->picture;
    int64_t end = (int64_t)ceil(until * MEDIA_FPS - 0.5);
    int rc = 0;
    if (p->rgb && end - s->pictures > LONGEST_STILL)
        return error_set(err, ERROR_LIMIT, "pictures with %.0f s between them",
                         (double)(end - s->pictures) / MEDIA_FPS);
    for (; !rc && p->rgb && s->pictures < end; s->pictures++)
        rc = stream_picture(s->stream, p->rgb, p->width, p->height, 3 * p->width, err);
    return rc;
}

static int hold_picture(struct api_picture *p, const uint8_t *rgb, int width, int height,
                        int stride, double time, struct error *err)
{
    if (!p->rgb)
        p->rgb = memory_new((size_t)width * 3, (size_t)height);
    if (!p->rgb)
        return error_set(err, ERROR_MEMORY, "out of memory");
    p->width = width;
    p->height = height;
    p->time = time;
    for (int row = 0; row < height; row++)
        memcpy(p->rgb + (size_t)row * 3 * (size_t)width, rgb + (size_t)row * (size_t)stride,
               (size_t)width * 3);
    return 0;
}

static int check_picture(const mome_stream *s, int width, int height, int stride, double time,
                         struct error *err)
{
    const struct api_picture *p = &s->picture;
    if (!s->inner.pictures)
        return error_set(err, ERROR_USAGE, "the stream was opened without pictures");
    if (width < 1 || height < 1 || width > 16384 || height > 16384 || stride < 3 * width)
        return error_set(err, ERROR_USAGE, "a picture of %dx%d, stride %d", width, height, stride);
    if (p->rgb && (width != p->width || height != p->height))
        return error_set(err, ERROR_USAGE, "a picture of %dx%d after one of %dx%d", width, height,
                         p->width, p->height);
    if (!(time >= p->time && time < 1e9))
        return error_set(err, ERROR_USAGE, "a picture at %g s after one at %g s", time, p->time);
    return 0;
}

int mome_stream_picture(mome_stream *s, const uint8_t *rgb, int width, int height, int stride,
                        double time)
{
    struct error err = {0};
    int rc = begin_push(s, &err);
    rc = rc ? rc : check_picture(s, width, height, stride, time, &err);
    rc = rc ? rc : place_picture(s, time, &err);
    rc = rc ? rc : hold_picture(&s->picture, rgb, width, height, stride, time, &err);
    return done(s, rc, &err);
}

int mome_stream_finish(mome_stream *s)
{
    struct error err = {0};
    int rc = begin_push(s, &err);
    rc = rc ? rc : place_picture(s, s->picture.time + 1.0 / MEDIA_FPS, &err);
    rc = rc ? rc : stream_finish(s->stream, &err);
    s->ended = s->ended || !rc;
    return done(s, rc, &err);
}

/* ---- files --------------------------------------------------------------------------------- */

static int keep(mome_stream *s, struct utterance *u, struct error *err)
{
    if (!memory_reserve(&s->kept, &s->kept_room, s->kept_count, s->kept_count + 1, sizeof *s->kept))
        return error_set(err, ERROR_MEMORY, "out of memory");
    s->kept[s->kept_count++] = *u;
    *u = (struct utterance){0};
    return 0;
}

static int on_utterance(void *arg, struct utterance *u, struct error *err)
{
    mome_stream *s = arg;
    if (!s->options.result)
        return keep(s, u, err);
    int rc = api_result_set(&s->result, u, true, err);
    if (!rc && s->options.result(s->options.arg, &s->result.result))
        rc = error_set(err, ERROR_CANCELLED, "stopped");
    return rc;
}

static int on_progress(void *arg, double seconds, double total)
{
    mome_stream *s = arg;
    if (atomic_load(&s->cancelled))
        return 1;
    return s->options.progress ? s->options.progress(s->options.arg, seconds, total) : 0;
}

int mome_stream_file(mome_stream *s, const char *path)
{
    struct error err = {0};
    struct transcribed what;
    const struct transcribe_options options = {.stream = s->inner,
                                               .finder = s->model->finder,
                                               .utterance = on_utterance,
                                               .progress = on_progress,
                                               .arg = s};
    int rc = begin(s, &err);
    if (!rc && (s->stream || s->ended || !path))
        rc = error_set(&err, ERROR_USAGE,
                       path ? "mome_stream_file: the stream was used before"
                            : "mome_stream_file: no path");
    s->ended = s->ended || !rc;
    rc = rc ? rc : transcribe_file(&s->transcriber, &what, path, &options, &err);
    return done(s, rc, &err);
}

/* ---- results ------------------------------------------------------------------------------- */

int mome_stream_set_rates(mome_stream *s, int audio_rate, int video_rate)
{
    struct error err = {0};
    return set_rates(s, audio_rate, video_rate, &err) ? api_failed(&err) : MOME_OK;
}

void mome_stream_cancel(mome_stream *s)
{
    atomic_store(&s->cancelled, true);
}

int mome_stream_code(const mome_stream *s)
{
    return s->code;
}

/* The next utterance that is there, or can be decoded; false: none. */
static bool next(mome_stream *s, struct utterance *u, int *rc, struct error *err)
{
    if (s->kept_next < s->kept_count) {
        *u = s->kept[s->kept_next++];
        return true;
    }
    while (!*rc && s->stream) {
        if (stream_pop(s->stream, u))
            return true;
        if (!stream_ready(s->stream))
            break;
        *rc = streams_decode(&s->transcriber, &s->stream, 1, err);
    }
    return false;
}

const mome_result *mome_stream_next(mome_stream *s)
{
    struct error err = {0};
    struct utterance u;
    int rc = begin(s, &err);
    bool found = !rc && next(s, &u, &rc, &err);
    if (!rc && found)
        rc = api_result_set(&s->result, &u, true, &err);
    return done(s, rc, &err) || !found ? NULL : &s->result.result;
}

const mome_result *mome_stream_partial(mome_stream *s)
{
    struct error err = {0};
    struct utterance u = {0};
    int rc = begin(s, &err);
    if (!rc && s->stream)
        rc = stream_partial(&s->transcriber, s->stream, &u, &err);
    bool found = !rc && u.words.count > 0;
    if (found)
        rc = api_result_set(&s->result, &u, false, &err);
    utterance_release(&u);
    return done(s, rc, &err) || !found ? NULL : &s->result.result;
}

static bool repeats(mome_stream *const *streams, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (streams[i] == streams[at])
            return true;
    return false;
}

int mome_streams_decode(mome_stream *const *streams, size_t count)
{
    struct error err = {0};
    struct stream **inner = memory_new(count + 1, sizeof *inner);
    struct transcriber *transcriber = NULL; /* of the first that takes part */
    int n = 0, ready = 0, rc = inner ? 0 : error_set(&err, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; !rc && i < count; i++) {
        if (streams[i]->model != streams[0]->model)
            rc = error_set(&err, ERROR_USAGE, "mome_streams_decode: streams of several models");
        else if (repeats(streams, i))
            rc = error_set(&err, ERROR_USAGE, "mome_streams_decode: a stream is there twice");
        else if (streams[i]->stream && !begin(streams[i], &err)) {
            transcriber = transcriber ? transcriber : &streams[i]->transcriber;
            inner[n++] = streams[i]->stream;
            ready += stream_ready(streams[i]->stream);
        }
    }
    if (!rc && ready)
        rc = streams_decode(transcriber, inner, n, &err);
    memory_free(inner);
    return rc ? api_failed(&err) : ready;
}
