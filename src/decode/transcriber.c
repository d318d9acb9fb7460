#include "decode/transcriber.h"
#include "base/clock.h"
#include "base/memory.h"
#include "decode/join.h"
#include "features/mouth.h"
#include "media/media.h"
#include "text/tokenizer.h"

#include <math.h>
#include <string.h>

#define SIDE CONFIG_PICTURE
#define BORDER ((MOUTH_SIDE - SIDE) / 2)

#define SAMPLES_PER_STATE 320
#define LEAST_STATES 25 /* that an exact window keeps */

/* Frames of a segment: what the model was trained on, or what the encoders take. */
static int64_t longest_segment(const struct recognizer_config *config)
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
                              .longest = longest_segment(&r->config)};
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
    logmel_free(t->logmel);
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
    bool sees = clip->has_face && r->config.has_video;
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

static int encode_audio(struct transcriber *t, struct tensor **states, const struct clip *clip,
                        const struct segment *s, struct error *err)
{
    const struct whisper_config *config = &t->recognizer->config.audio;
    int64_t start = s->start * FRAME_SAMPLES, samples = s->count * FRAME_SAMPLES;
    int64_t real = larger(0, smaller(clip->samples - start, samples));
    int64_t rows = t->exact_window ? 2 * config->positions : logmel_frames(samples);
    int64_t kept = t->frames ? 2 * s->count : larger(real / SAMPLES_PER_STATE, LEAST_STATES);
    double begin = clock_seconds();
    size_t mark = arena_mark(&t->arena);
    struct tensor *mel = tensor_new(&t->compute, TENSOR_SHAPE(1, rows, config->mels));
    int rc = logmel_compute(t->logmel, mel->data, rows, clip->pcm + start, real, err);
    if (rc)
        return rc;
    *states = recognizer_encode_audio(t->recognizer, &t->compute, mel, NULL);
    *states = keep_states(t, mark, *states, t->exact_window ? kept : INT64_MAX);
    t->audio_seconds += clock_seconds() - begin;
    return 0;
}

static void encode_video(struct transcriber *t, struct tensor **states, const struct clip *clip,
                         const struct segment *s)
{
    double begin = clock_seconds();
    size_t mark = arena_mark(&t->arena);
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
    *states = recognizer_encode_video(t->recognizer, &t->compute, x, NULL);
    *states = keep_states(t, mark, *states, INT64_MAX);
    t->video_seconds += clock_seconds() - begin;
}

int transcriber_load(struct transcriber *t, const struct clip *clip, enum task task,
                     struct error *err)
{
    bool hears = task_hears(task), sees = task_sees(task);
    if (hears && !clip->has_sound)
        return error_set(err, ERROR_NO_STREAM, "no sound in it, which %s needs: try --task vsr",
                         task_name(task));
    if (sees && !clip->has_face)
        return error_set(err, ERROR_NO_FACE,
                         clip->has_pictures
                             ? "no face found in its pictures, which %s needs: try --task asr"
                             : "no pictures in it, which %s needs: try --task asr",
                         task_name(task));
    arena_rewind(&t->arena, 0);
    t->samples = hears ? clip->samples : 0;
    t->frames = sees ? clip->frames : 0;
    t->audio_seconds = t->video_seconds = 0;
    int64_t sound_frames = (t->samples + FRAME_SAMPLES - 1) / FRAME_SAMPLES;
    t->segments = segment_clip(t->segment, TRANSCRIBER_MAX_SEGMENTS, clip,
                               larger(sound_frames, t->frames), t->longest, err);
    int rc = t->segments < 0 ? t->segments : 0;
    for (int i = 0; !rc && i < t->segments; i++) {
        t->audio[i] = t->video[i] = NULL;
        if (hears)
            rc = encode_audio(t, &t->audio[i], clip, &t->segment[i], err);
        if (!rc && sees)
            encode_video(t, &t->video[i], clip, &t->segment[i]);
    }
    if (rc)
        t->segments = 0;
    return rc;
}

/* One line: each run of white space and control characters becomes one space, none at the ends. */
static void tidy(char *text)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        bool blank = (unsigned char)*p <= ' ' || *p == 127;
        if (!blank)
            text[n++] = *p;
        else if (n && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    text[n && text[n - 1] == ' ' ? n - 1 : n] = 0;
}

static char *decode_text(const struct tokenizer *tokenizer, const struct hypothesis *h)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    tokenizer_decode(tokenizer, &text, h->ids, h->count);
    char *copy = text.failed ? NULL : memory_strdup(text.data);
    strbuf_release(&text);
    if (copy)
        tidy(copy);
    return copy;
}

static void drop_hypotheses(struct transcript *out)
{
    for (int i = 0; i < out->count; i++) {
        hypothesis_release(&out->hypotheses[i]);
        memory_free(out->texts[i]);
        out->texts[i] = NULL;
    }
    out->count = 0;
}

static int run_segment(struct transcriber *t, struct transcript *out, int segment,
                       struct request *request, const struct beam_options *options,
                       struct strbuf *text, struct error *err)
{
    struct tensor *audio = task_hears(request->task) ? t->audio[segment] : NULL;
    struct tensor *video = task_sees(request->task) ? t->video[segment] : NULL;
    int64_t tokens = 0, media = 0;
    request->audio = (struct span){0, audio ? tensor_rows(audio) : 0};
    request->video = (struct span){0, video ? tensor_rows(video) : 0};
    recognizer_request_rows(t->recognizer, request, &media);
    drop_hypotheses(out);
    int rc = beam_search(out->hypotheses, &out->count, &tokens, t->recognizer, &t->compute, audio,
                         video, request, options, err);
    if (rc)
        return rc;
    out->prompt_tokens += tokens;
    out->media_tokens += media;
    for (int i = 0; i < out->count; i++) {
        out->texts[i] = decode_text(t->recognizer->tokenizer, &out->hypotheses[i]);
        if (!out->texts[i])
            return error_set(err, ERROR_MEMORY, "out of memory");
    }
    if (out->count) {
        join_texts(text, out->texts[0], t->segment[segment].overlap > 0);
        out->score += out->hypotheses[0].score;
    }
    return 0;
}

int transcriber_run(struct transcriber *t, struct transcript *out, enum task task, int audio_rate,
                    int video_rate, const struct beam_options *options, struct error *err)
{
    struct request request = {.task = task, .audio_rate = audio_rate, .video_rate = video_rate};
    struct strbuf text;
    *out = (struct transcript){0};
    int rc =
        recognizer_check_rates(t->recognizer, task, audio_rate, video_rate, t->any_rate, NULL, err);
    if (rc)
        return rc;
    if (!t->segments || (task_hears(task) && !t->audio[0]) || (task_sees(task) && !t->video[0]))
        return error_set(err, ERROR_NO_STREAM, "task %s: the clip was not loaded for it",
                         task_name(task));
    double begin = clock_seconds();
    strbuf_init(&text, 1 << 20);
    out->hypotheses = memory_new((size_t)options->n_best, sizeof *out->hypotheses);
    out->texts = memory_new((size_t)options->n_best, sizeof *out->texts);
    if (!out->hypotheses || !out->texts)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < t->segments; i++)
        rc = run_segment(t, out, i, &request, options, &text, err);
    if (!rc) {
        out->text = text.failed ? NULL : memory_strdup(text.data);
        if (!out->text)
            rc = error_set(err, ERROR_MEMORY, "out of memory");
    }
    out->decode_seconds = clock_seconds() - begin;
    strbuf_release(&text);
    if (rc)
        transcript_release(out);
    return rc;
}

void transcript_release(struct transcript *t)
{
    drop_hypotheses(t);
    memory_free(t->hypotheses);
    memory_free(t->texts);
    memory_free(t->text);
    *t = (struct transcript){0};
}
