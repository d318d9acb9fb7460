/*
 * Frames of 40 ms are numbered from the stream's beginning; what is kept of them begins at `base`,
 * which moves on as soon as no span can want them. A frame goes to the endpointer when the voice
 * detector has decided it and, where pictures come, the mouths are known; but pictures that stay
 * away for LIPS_WAIT frames are not waited for.
 */
#include "decode/stream_parts.h"

#include "base/memory.h"
#include "features/speaker.h"
#include "media/media.h"

#include <math.h>
#include <string.h>

enum {
    LIPS_WAIT = 100,     /* frames: the tracker's gap and smoothing, and as much again */
    DEAF_WAIT = 50,      /* frames after a voice: noise that it was heard in hides none */
    MARGIN = 8,          /* frames around the speech */
    SHORTEST_PAUSE = 12, /* frames */
    LONGEST_PAUSE = 25,
};

/* ---- life ---------------------------------------------------------------------------------- */

static int64_t pause_frames(double seconds, int64_t longest)
{
    int64_t pause = seconds > 0 ? (int64_t)lround(seconds * MEDIA_FPS) : longest / 10;
    int64_t least = seconds > 0 ? 3 : SHORTEST_PAUSE;
    return pause < least ? least : pause > LONGEST_PAUSE ? LONGEST_PAUSE : pause;
}

int stream_new(struct stream **out, struct recognizer *r, struct face_finder *finder,
               const struct stream_options *options, struct error *err)
{
    struct stream *s = *out = memory_new(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_MEMORY, "out of memory");
    s->options = *options;
    s->recognizer = r;
    s->longest = transcriber_longest(&r->config);
    struct endpoint_options o = {.longest = s->longest,
                                 .pause = pause_frames(options->pause_seconds, s->longest),
                                 .breath = r->config.longest_seconds > 0};
    o.margin = o.pause < MARGIN ? o.pause : MARGIN;
    int rc = endpoint_new(&s->endpoint, &o, err);
    if (!rc && options->sound)
        rc = voice_new(&s->voice, err);
    if (!rc && options->pictures)
        rc = faces_new(&s->faces, finder, err);
    if (rc) {
        stream_free(s);
        *out = NULL;
    }
    return rc;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->done_count; i++)
        utterance_release(&s->done[i]);
    utterance_release(&s->held);
    words_release(&s->read);
    endpoint_free(s->endpoint);
    voice_free(s->voice);
    faces_free(s->faces);
    clip_faces_release(&s->seen);
    memory_free(s->shots);
    memory_free(s->pcm);
    memory_free(s->frames);
    memory_free(s->spans);
    memory_free(s->done);
    memory_free(s);
}

/* ---- what comes in ------------------------------------------------------------------------- */

static int add_span(struct stream *s, const struct endpoint_span *span, struct error *err)
{
    if (!memory_reserve(&s->spans, &s->span_room, s->span_count, s->span_count + 1,
                        sizeof *s->spans))
        return error_set(err, ERROR_MEMORY, "out of memory");
    s->spans[s->span_count++] = *span;
    return 0;
}

/* How likely somebody speaks in a frame: as the sound says; where it can't, as the lips do. */
static float activity(struct stream *s, int64_t frame, bool seen)
{
    const struct stream_frame none = {0, STREAM_QUIET};
    const struct stream_frame *f =
        frame - s->base < s->frame_count ? &s->frames[frame - s->base] : &none;
    if (f->voice > 0.5f)
        s->deaf_from = frame + DEAF_WAIT;
    bool hidden = f->level > STREAM_HIDES_VOICES && frame >= s->deaf_from;
    bool deaf = !s->voice || hidden || frame - s->base >= s->frame_count;
    return seen && deaf && clip_faces_move(&s->seen, frame) ? 1 : f->voice;
}

/* Whether a new shot begins with a frame; those before it are forgotten. */
static bool shot_begins(struct stream *s, int64_t frame)
{
    while (s->shot_count && s->shots[0] < frame)
        memmove(s->shots, s->shots + 1, (size_t)--s->shot_count * sizeof *s->shots);
    return s->shot_count && s->shots[0] == frame;
}

/* Gives the endpointer the frames that all is known of, or will be. */
static int advance(struct stream *s, struct error *err)
{
    int rc = 0;
    for (;;) {
        const int64_t heard = s->voice ? s->base + s->frame_count : 0;
        const int64_t seen = s->seen.pictures;
        const bool hears = s->asked < heard, sees = s->asked < seen;
        bool waits_sound = s->voice && !hears && seen - s->asked < LIPS_WAIT;
        bool waits_lips = s->faces && !sees && heard - s->asked < LIPS_WAIT;
        if (rc || (!hears && !sees) || (!s->finished && (waits_sound || waits_lips)))
            return rc;
        struct endpoint_span span;
        const float voice = activity(s, s->asked, sees);
        const bool shot = shot_begins(s, s->asked++);
        if (endpoint_push(s->endpoint, voice, shot, &span))
            rc = add_span(s, &span, err);
    }
}

/* Drops what no span can want any more. */
static void forget(struct stream *s)
{
    int64_t needed = endpoint_needed(s->endpoint);
    for (int i = 0; i < s->span_count; i++)
        needed = s->spans[i].start < needed ? s->spans[i].start : needed;
    clip_faces_forget(&s->seen, needed);
    int64_t drop = needed - s->base;
    drop = drop < s->frame_count ? drop : s->frame_count;
    if (drop <= 0 || !s->voice)
        return;
    s->pcm_count -= drop * FRAME_SAMPLES;
    memmove(s->pcm, s->pcm + drop * FRAME_SAMPLES, (size_t)s->pcm_count * sizeof *s->pcm);
    s->frame_count -= drop;
    memmove(s->frames, s->frames + drop, (size_t)s->frame_count * sizeof *s->frames);
    s->base += drop;
}

/* The frames that the voice detector has decided. */
static int take_frames(struct stream *s, struct error *err)
{
    float voice;
    while (voice_pop(s->voice, &voice)) {
        if (!memory_reserve(&s->frames, &s->frame_room, s->frame_count, s->frame_count + 1,
                            sizeof *s->frames))
            return error_set(err, ERROR_MEMORY, "out of memory");
        int64_t at = s->frame_count * FRAME_SAMPLES, left = s->pcm_count - at;
        struct stream_frame *f = &s->frames[s->frame_count++];
        f->voice = voice;
        speaker_levels(&f->level, 1, s->pcm + at, left);
        s->heard = s->heard || voice > 0.5f;
    }
    return 0;
}

int stream_sound(struct stream *s, const float *pcm, int64_t samples, struct error *err)
{
    int rc = 0;
    if (!s->voice)
        return error_set(err, ERROR_USAGE, "the stream was opened without sound");
    if (!memory_reserve(&s->pcm, &s->pcm_room, s->pcm_count, s->pcm_count + samples,
                        sizeof *s->pcm))
        return error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(s->pcm + s->pcm_count, pcm, (size_t)samples * sizeof *pcm);
    s->pcm_count += samples;
    for (int64_t at = 0; !rc && at < samples; at += VOICE_PUSH) {
        int64_t count = samples - at < VOICE_PUSH ? samples - at : VOICE_PUSH;
        rc = voice_push(s->voice, pcm + at, count, err);
        rc = rc ? rc : take_frames(s, err);
    }
    rc = rc ? rc : advance(s, err);
    forget(s);
    return rc;
}

/* The pictures whose faces are decided. */
static int take_pictures(struct stream *s, struct error *err)
{
    const struct stream_options *o = &s->options;
    int rc = 0;
    while (!rc && faces_pop(s->faces, &s->picture)) {
        rc = o->faces ? o->faces(o->arg, &s->picture, err) : 0;
        if (!rc && (!clip_faces_add(&s->seen, &s->picture, o->face) ||
                    !memory_reserve(&s->shots, &s->shot_room, s->shot_count, s->shot_count + 1,
                                    sizeof *s->shots)))
            rc = error_set(err, ERROR_MEMORY, "out of memory");
        if (!rc && s->picture.shot)
            s->shots[s->shot_count++] = s->picture.index;
    }
    return rc;
}

int stream_picture(struct stream *s, const uint8_t *rgb, int width, int height, int stride,
                   struct error *err)
{
    if (!s->faces)
        return error_set(err, ERROR_USAGE, "the stream was opened without pictures");
    int rc = faces_push(s->faces, rgb, width, height, stride, err);
    rc = rc ? rc : take_pictures(s, err);
    rc = rc ? rc : advance(s, err);
    forget(s);
    return rc;
}

int stream_finish(struct stream *s, struct error *err)
{
    struct endpoint_span span;
    int rc = s->voice ? voice_finish(s->voice, err) : 0;
    s->finished = true;
    if (!rc && s->voice)
        rc = take_frames(s, err);
    if (!rc && s->faces) {
        faces_finish(s->faces);
        rc = take_pictures(s, err);
    }
    rc = rc ? rc : advance(s, err);
    if (!rc && endpoint_finish(s->endpoint, &span))
        rc = add_span(s, &span, err);
    return rc ? rc : stream_release_held(s, err);
}

void stream_set_rates(struct stream *s, int audio_rate, int video_rate)
{
    s->options.audio_rate = audio_rate;
    s->options.video_rate = video_rate;
}

void stream_set_limits(struct stream *s, const struct pace_limits *limits)
{
    s->options.limits = *limits;
}

bool stream_ready(const struct stream *s)
{
    return s->span_count > 0;
}

bool stream_pop(struct stream *s, struct utterance *u)
{
    if (!s->done_count)
        return false;
    *u = s->done[0];
    memmove(s->done, s->done + 1, (size_t)--s->done_count * sizeof *s->done);
    return true;
}

double stream_seconds(const struct stream *s)
{
    return (double)s->asked / MEDIA_FPS;
}

bool stream_heard(const struct stream *s)
{
    return s->heard;
}

bool stream_saw(const struct stream *s)
{
    return s->seen.found > 0;
}

bool stream_sees(const struct stream *s)
{
    return s->picture.count > 0;
}
