#include "decode/transcriber.h"
#include "base/clock.h"
#include "base/memory.h"
#include "features/mouth.h"
#include "media/media.h"

#include <math.h>
#include <string.h>

#define SIDE CONFIG_PICTURE
#define BORDER ((MOUTH_SIDE - SIDE) / 2)

#define SAMPLES_PER_STATE 320
#define LEAST_STATES 25 /* that an exact window keeps */

int64_t transcriber_longest(const struct recognizer_config *config)
{
    int64_t window = transcriber_window(config);
    int64_t trained = (int64_t)(config->longest_seconds * MEDIA_FPS);
    return trained > 0 && trained < window ? trained : window;
}

int transcriber_init(struct transcriber *t, struct recognizer *r, const struct device *device,
                     enum precision precision, struct error *err)
{
    *t = (struct transcriber){.recognizer = r,
                              .exact_window = r->config.audio.exact_window,
                              .longest = transcriber_longest(&r->config)};
    int rc = arena_init(&t->arena, ARENA_DEFAULT_LIMIT, err);
    if (!rc && r->config.has_audio)
        rc = logmel_new(&t->logmel, r->config.audio.mels, err);
    t->compute = (struct compute){.device = device, .arena = &t->arena, .precision = precision};
    if (rc)
        transcriber_release(t);
    return rc;
}

void transcriber_release(struct transcriber *t)
{
    memory_free(t->loaded);
    logmel_free(t->logmel);
    ctc_head_release(&t->ctc);
    arena_release(&t->arena);
    *t = (struct transcriber){0};
}

bool transcriber_can(const struct recognizer *r, enum task task)
{
    return (!task_hears(task) || r->config.has_audio) && (!task_sees(task) || r->config.has_video);
}

int64_t transcriber_window(const struct recognizer_config *config)
{
    return config->has_audio ? config->audio.positions / 2 : 750; /* 50 positions a second; 30 s */
}

enum task transcriber_task(const struct clip *clip, const struct recognizer *r)
{
    bool hears = clip->has_sound && r->config.has_audio;
    bool sees = clip->has_face && (clip->lips_move || !hears) && r->config.has_video;
    return hears && sees ? TASK_AVSR : sees ? TASK_VSR : TASK_ASR;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Moves the first rows of the states down to the mark: a long clip's must not add up in memory. */
static struct tensor *keep_states(struct transcriber *t, size_t mark, const struct tensor *states,
                                  int64_t rows)
{
    const struct tensor *from = states;
    const float *data = from->data;
    int64_t width = tensor_width(from);
    if (tensor_rows(from) < rows)
        rows = tensor_rows(from);
    arena_rewind(&t->arena, mark);
    struct tensor *to = tensor_new(&t->compute, TENSOR_SHAPE(rows, width));
    memmove(to->data, data, (size_t)(rows * width) * sizeof(float));
    return to;
}

/* What was made of the same before, at least `kept` states of it; NULL: nothing. */
static struct encoded *find_encoded(const struct transcriber *t, const struct encoded *like,
                                    int64_t kept)
{
    struct encoded *e = t->encoded;
    while (e && (e->source != like->source || e->start != like->start || e->rows != like->rows ||
                 e->real != like->real || tensor_rows(e->states) < kept))
        e = e->next;
    return e;
}

/* Room for one more; what the encoder leaves in the arena above it is the caller's to rewind. */
static struct encoded *new_encoded(struct transcriber *t, const struct encoded *like)
{
    struct encoded *e = arena_alloc(&t->arena, sizeof *e);
    *e = *like;
    e->next = t->encoded;
    return e;
}

static int encode_audio(struct transcriber *t, struct loaded *l, int i, const struct clip *clip,
                        struct error *err)
{
    const struct whisper_config *config = &t->recognizer->config.audio;
    const struct segment *s = &l->segment[i];
    const int64_t start = s->start * FRAME_SAMPLES, samples = s->count * FRAME_SAMPLES;
    const int64_t real = larger(0, smaller(clip->samples - start, samples));
    const int64_t rows = t->exact_window ? 2 * config->positions : logmel_frames(samples);
    const int64_t kept =
        t->exact_window
            ? smaller(l->frames ? 2 * s->count : larger(real / SAMPLES_PER_STATE, LEAST_STATES),
                      config->positions)
            : 0; /* what else there is: all */
    const struct encoded like = {
        .source = clip->pcm, .start = s->start, .rows = rows, .real = real};
    struct encoded *e = find_encoded(t, &like, kept);
    if (!e) {
        double begin = clock_seconds();
        e = new_encoded(t, &like);
        size_t mark = arena_mark(&t->arena);
        struct tensor *mel = tensor_new(&t->compute, TENSOR_SHAPE(1, rows, config->mels));
        int rc = logmel_compute(t->logmel, mel->data, rows, clip->pcm + start, real, err);
        if (rc)
            return rc;
        e->states = recognizer_encode_audio(t->recognizer, &t->compute, mel, NULL);
        e->states = keep_states(t, mark, e->states,
                                t->exact_window ? larger(kept, 2 * s->count) : INT64_MAX);
        e->seconds = clock_seconds() - begin;
        t->encoded = e;
    }
    l->audio[i] = e;
    l->audio_states[i] = t->exact_window ? kept : tensor_rows(e->states);
    l->audio_seconds += e->seconds;
    return 0;
}

/* -> [1, count, SIDE, SIDE, 1]; past the end of the clip its last picture stands still. */
static struct tensor *pictures_of(struct transcriber *t, const struct clip *clip,
                                  const struct segment *s)
{
    struct tensor *x = tensor_new(&t->compute, TENSOR_SHAPE(1, s->count, SIDE, SIDE, 1));
    for (int64_t f = 0; f < s->count; f++) {
        int64_t from = s->start + f < clip->frames ? s->start + f : clip->frames - 1;
        const uint8_t *mouth = clip->mouth + from * MOUTH_PIXELS;
        float *to = x->data + f * SIDE * SIDE;
        for (int row = 0; row < SIDE; row++)
            for (int column = 0; column < SIDE; column++)
                to[row * SIDE + column] =
                    (mouth[(row + BORDER) * MOUTH_SIDE + column + BORDER] / 255.0f - PICTURE_MEAN) /
                    PICTURE_DEVIATION;
    }
    return x;
}

static void encode_video(struct transcriber *t, struct loaded *l, int i, const struct clip *clip)
{
    const struct segment *s = &l->segment[i];
    const struct encoded like = {.source = clip->mouth, .start = s->start, .rows = s->count};
    struct encoded *e = find_encoded(t, &like, s->count);
    if (!e) {
        double begin = clock_seconds();
        e = new_encoded(t, &like);
        size_t mark = arena_mark(&t->arena);
        e->states =
            recognizer_encode_video(t->recognizer, &t->compute, pictures_of(t, clip, s), NULL);
        e->states = keep_states(t, mark, e->states, INT64_MAX);
        e->seconds = clock_seconds() - begin;
        t->encoded = e;
    }
    l->video[i] = e;
    l->video_seconds += e->seconds;
}

void transcriber_forget(struct transcriber *t)
{
    memory_free(t->loaded);
    t->loaded = NULL;
    t->loaded_count = 0;
    t->encoded = NULL;
    arena_rewind(&t->arena, 0);
}

int transcriber_shrink(struct transcriber *t, struct error *err)
{
    const size_t limit = t->arena.limit;
    transcriber_forget(t);
    arena_release(&t->arena);
    return arena_init(&t->arena, limit, err);
}

int transcriber_check(const struct clip *clip, enum task task, struct error *err)
{
    if (task_hears(task) && !clip->has_sound)
        return error_set(err, ERROR_NO_STREAM, "no sound in it, which %s needs: try --task vsr",
                         task_name(task));
    if (task_sees(task) && !clip->has_face)
        return error_set(err, ERROR_NO_FACE,
                         clip->has_pictures
                             ? "no face found in its pictures, which %s needs: try --task asr"
                             : "no pictures in it, which %s needs: try --task asr",
                         task_name(task));
    return 0;
}

static int find_sounds(struct transcriber *t, struct loaded *l, const struct clip *clip,
                       struct error *err)
{
    int rc = 0;
    l->sounds = arena_alloc(&t->arena, (size_t)l->segments * sizeof *l->sounds);
    for (int i = 0; !rc && i < l->segments; i++) {
        l->sounds[i] = arena_alloc(&t->arena, (size_t)l->segment[i].count * sizeof **l->sounds);
        rc = segment_sounds(l->sounds[i], &l->segment[i], clip, err);
    }
    return rc;
}

/* Cuts the clip; all of it but the states is in l then. */
static int cut(struct transcriber *t, struct loaded *l, const struct clip *clip, enum task task,
               struct error *err)
{
    struct segment segments[TRANSCRIBER_MAX_SEGMENTS];
    *l = (struct loaded){.samples = task_hears(task) ? clip->samples : 0,
                         .frames = task_sees(task) ? clip->frames : 0};
    int64_t sound_frames = (l->samples + FRAME_SAMPLES - 1) / FRAME_SAMPLES;
    int n = segment_clip(segments, TRANSCRIBER_MAX_SEGMENTS, clip, larger(sound_frames, l->frames),
                         t->longest, err);
    if (n < 0)
        return n;
    size_t count = (size_t)n;
    l->segments = n;
    l->segment = arena_alloc(&t->arena, count * sizeof *l->segment);
    memcpy(l->segment, segments, count * sizeof *l->segment);
    if (task_hears(task))
        l->audio = arena_alloc(&t->arena, count * sizeof(struct encoded *));
    if (task_sees(task))
        l->video = arena_alloc(&t->arena, count * sizeof(struct encoded *));
    l->audio_states = arena_alloc(&t->arena, count * sizeof *l->audio_states);
    return task_hears(task) ? find_sounds(t, l, clip, err) : 0;
}

int transcriber_add(struct transcriber *t, const struct clip *clip, enum task task,
                    struct error *err)
{
    struct loaded l;
    int rc = transcriber_check(clip, task, err);
    if (!rc)
        rc = cut(t, &l, clip, task, err);
    for (int i = 0; !rc && i < l.segments; i++) {
        rc = compute_check(&t->compute, err);
        if (!rc && l.audio)
            rc = encode_audio(t, &l, i, clip, err);
        if (!rc && l.video)
            encode_video(t, &l, i, clip);
    }
    if (rc)
        return rc;
    struct loaded *all = memory_new((size_t)t->loaded_count + 1, sizeof *all);
    if (!all)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (t->loaded)
        memcpy(all, t->loaded, (size_t)t->loaded_count * sizeof *all);
    memory_free(t->loaded);
    t->loaded = all;
    all[t->loaded_count] = l;
    return t->loaded_count++;
}

int transcriber_load(struct transcriber *t, const struct clip *clip, enum task task,
                     struct error *err)
{
    transcriber_forget(t);
    int rc = transcriber_add(t, clip, task, err);
    return rc < 0 ? rc : 0;
}
