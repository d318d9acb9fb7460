/* mome.h as programs use it: options of other sizes, wrong arguments, sound and pictures pushed,
   files, rates that change, cancelling, several streams at once. On models/tiny and two of the
   samples. */
#include "api/api.h"
#include "media/media.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* All of a clip in memory. */
struct sample {
    float *pcm;
    int64_t samples;
    uint8_t *rgb;
    int64_t pictures;
    int width, height;
};

enum { ROOM = 10 }; /* seconds */

static mome_model *model;
static struct sample clips[2];

static void read_sample(struct sample *c, const char *path)
{
    struct media *media;
    struct media_chunk chunk;
    struct error err;
    assert_int_equal(media_open(&media, path, NULL, &err), 0);
    c->width = media_info(media).width;
    c->height = media_info(media).height;
    const size_t bytes = (size_t)c->width * (size_t)c->height * 3;
    c->pcm = malloc(ROOM * MEDIA_SAMPLE_RATE * sizeof *c->pcm);
    c->rgb = malloc(ROOM * MEDIA_FPS * bytes);
    while (media_read(media, &chunk, &err) == 1) {
        if (chunk.kind == MEDIA_SOUND) {
            memcpy(c->pcm + c->samples, chunk.pcm, (size_t)chunk.count * sizeof *c->pcm);
            c->samples += chunk.count;
            continue;
        }
        uint8_t *to = c->rgb + (size_t)c->pictures++ * bytes;
        for (int y = 0; y < c->height; y++)
            memcpy(to + (size_t)(y * 3 * c->width), chunk.rgb + (ptrdiff_t)y * chunk.stride,
                   (size_t)c->width * 3);
    }
    media_close(media);
}

static int open_all(void **state)
{
    (void)state;
    read_sample(&clips[0], "samples/000000.mp4");
    read_sample(&clips[1], "samples/000001.mp4");
    return mome_model_open(&model, "models/tiny", NULL);
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        free(clips[i].pcm);
        free(clips[i].rgb);
    }
    mome_model_close(model);
    return 0;
}

/* A stream of sound alone, with a greedy search. */
static mome_stream *open_sound(int audio_rate, int beam)
{
    mome_stream_options o;
    mome_stream *s;
    mome_stream_options_init(&o);
    o.pictures = 0;
    o.audio_rate = audio_rate;
    o.beam = beam;
    assert_int_equal(mome_stream_open(&s, model, &o), MOME_OK);
    return s;
}

static void push_sound(mome_stream *s, const struct sample *c)
{
    assert_int_equal(mome_stream_sound(s, c->pcm, (size_t)c->samples), MOME_OK);
}

static void push_silence(mome_stream *s)
{
    const float silence[2 * MEDIA_SAMPLE_RATE] = {0};
    assert_int_equal(mome_stream_sound(s, silence, 2 * MEDIA_SAMPLE_RATE), MOME_OK);
}

static void assert_usage(int code, const char *text)
{
    assert_int_equal(code, MOME_ERROR_USAGE);
    if (!strstr(mome_error(), text))
        fail_msg("no '%s' in: %s", text, mome_error());
}

/* The next utterance, as the caller's string. */
static char *next_text(mome_stream *s)
{
    const mome_result *r = mome_stream_next(s);
    if (!r)
        fail_msg("no result: %d, %s", mome_stream_code(s), mome_error());
    return strdup(r->text);
}

/* ---- options ------------------------------------------------------------------------------- */

static void test_options_of_other_sizes(void **state)
{
    (void)state;
    mome_stream *s;
    struct {
        mome_stream_options options;
        char more[24];
    } newer;
    mome_stream_options older;
    const size_t old_size = offsetof(mome_stream_options, max_tokens);
    memset(&older, 0x55, sizeof older);
    mome_stream_options_init_sized(&older, old_size);
    assert_int_equal(older.beam, 4);
    assert_int_equal(older.max_tokens, 0x55555555); /* not the older program's memory */
    older.beam = 2;
    assert_int_equal(mome_stream_open(&s, model, &older), MOME_OK);
    assert_int_equal(s->options.beam, 2);
    assert_int_equal(s->options.max_tokens, 0);
    assert_null(s->options.progress);
    mome_stream_close(s);

    memset(&newer, 0x55, sizeof newer);
    mome_stream_options_init_sized(&newer.options, sizeof newer);
    assert_int_equal(newer.more[23], 0);
    assert_int_equal(mome_stream_open(&s, model, &newer.options), MOME_OK);
    mome_stream_close(s);
}

static void test_wrong_options(void **state)
{
    (void)state;
    const struct {
        size_t field;
        int value;
        const char *text;
    } wrong[] = {
        {offsetof(mome_stream_options, task), 3, "task 3"},
        {offsetof(mome_stream_options, task), -2, "task -2"},
        {offsetof(mome_stream_options, audio_rate), 7, "7"},
        {offsetof(mome_stream_options, video_rate), -1, "-1"},
        {offsetof(mome_stream_options, beam), 0, "beam 0"},
        {offsetof(mome_stream_options, beam), 65, "beam 65"},
        {offsetof(mome_stream_options, n_best), 5, "n_best 5"},
        {offsetof(mome_stream_options, max_tokens), -1, "max_tokens -1"},
        {offsetof(mome_stream_options, face), -1, "face -1"},
        {offsetof(mome_stream_options, size), 0, "mome_stream_options_init"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mome_stream_options o;
        mome_stream *s;
        mome_stream_options_init(&o);
        memcpy((char *)&o + wrong[i].field, &wrong[i].value, sizeof wrong[i].value);
        assert_usage(mome_stream_open(&s, model, &o), wrong[i].text);
        assert_null(s);
    }
    mome_model *none;
    mome_model_options model_options = {0};
    assert_usage(mome_model_open(&none, "models/tiny", &model_options), "mome_model_options_init");
    assert_usage(mome_model_open(&none, NULL, NULL), "no folder");
    assert_int_equal(mome_model_open(&none, "models/none", NULL), MOME_ERROR_IO);
    assert_null(none);
}

static void test_model(void **state)
{
    (void)state;
    int rates[2] = {0, 0};
    assert_int_equal(mome_model_rates(model, 0, rates, 1), 2);
    assert_int_equal(rates[0], 4);
    assert_int_equal(rates[1], 0);
    assert_int_equal(mome_model_rates(model, 1, rates, 2), 2);
    assert_int_equal(rates[1], 5);
    assert_true(mome_model_can(model, MOME_TASK_AUTO));
    assert_true(mome_model_can(model, MOME_TASK_AVSR));
    assert_false(mome_model_can(model, (mome_task)3));
    assert_string_equal(mome_version(), "0.1.0");
}

/* ---- pushing ------------------------------------------------------------------------------- */

/* What is refused leaves the stream as it was. */
static void test_wrong_pushes(void **state)
{
    (void)state;
    const struct sample *c = &clips[0];
    const int row = 3 * c->width;
    mome_stream *s;
    assert_int_equal(mome_stream_open(&s, model, NULL), MOME_OK);
    assert_usage(mome_stream_picture(s, c->rgb, 0, c->height, row, 0), "picture of 0x");
    assert_usage(mome_stream_picture(s, c->rgb, c->width, c->height, row - 1, 0), "stride");
    assert_usage(mome_stream_picture(s, c->rgb, c->width, c->height, row, -1), "-1 s");
    assert_int_equal(mome_stream_picture(s, c->rgb, c->width, c->height, row, 1), MOME_OK);
    assert_usage(mome_stream_picture(s, c->rgb, c->width, c->height, row, 0.5), "0.5 s after");
    assert_usage(mome_stream_picture(s, c->rgb, c->width, 10, row, 2), "x10 after one of");
    assert_int_equal(mome_stream_code(s), MOME_OK);
    assert_int_equal(mome_stream_picture(s, c->rgb, c->width, c->height, row, 1.04), MOME_OK);
    assert_int_equal(mome_stream_picture(s, c->rgb, c->width, c->height, row, 1e6),
                     MOME_ERROR_LIMIT);
    assert_int_equal(mome_stream_code(s), MOME_ERROR_LIMIT);
    assert_null(mome_stream_next(s));
    mome_stream_close(s);

    s = open_sound(0, 1);
    assert_usage(mome_stream_picture(s, c->rgb, c->width, c->height, row, 0), "without pictures");
    push_sound(s, c);
    assert_usage(mome_stream_file(s, "samples/000000.mp4"), "used before");
    assert_int_equal(mome_stream_finish(s), MOME_OK);
    assert_usage(mome_stream_sound(s, c->pcm, 100), "after mome_stream_finish");
    assert_usage(mome_stream_finish(s), "after mome_stream_finish");
    free(next_text(s));
    assert_null(mome_stream_next(s));
    assert_int_equal(mome_stream_code(s), MOME_OK);
    mome_stream_close(s);
}

/* 24 pictures a second are put on the grid of 25, and give what the file gives. */
static void test_pictures_at_24(void **state)
{
    (void)state;
    const struct sample *c = &clips[0];
    const size_t bytes = (size_t)c->width * (size_t)c->height * 3;
    const double seconds = (double)c->pictures / MEDIA_FPS;
    mome_stream *s, *file;
    assert_int_equal(mome_stream_open(&s, model, NULL), MOME_OK);
    push_sound(s, c);
    for (int i = 0; i < seconds * 24; i++) {
        const int64_t nearest = lround(i / 24.0 * MEDIA_FPS);
        const int64_t shown = nearest < c->pictures ? nearest : c->pictures - 1;
        assert_int_equal(mome_stream_picture(s, c->rgb + (size_t)shown * bytes, c->width, c->height,
                                             3 * c->width, i / 24.0),
                         MOME_OK);
    }
    assert_int_equal(mome_stream_finish(s), MOME_OK);
    assert_in_range(s->pictures, c->pictures - 1, c->pictures + 1);
    const mome_result *r = mome_stream_next(s);
    assert_non_null(r);
    assert_int_equal(r->task, MOME_TASK_AVSR);
    assert_int_equal(r->final, 1);
    assert_true(r->word_count > 0 && r->words[0].start >= r->start &&
                r->words[r->word_count - 1].end <= r->end + 0.1);

    assert_int_equal(mome_stream_open(&file, model, NULL), MOME_OK);
    assert_int_equal(mome_stream_file(file, "samples/000000.mp4"), MOME_OK);
    char *text = next_text(file);
    assert_string_equal(text, r->text);
    free(text);
    assert_usage(mome_stream_sound(file, c->pcm, 100), "after mome_stream_finish or _file");
    assert_usage(mome_stream_file(file, "samples/000000.mp4"), "used before");
    mome_stream_close(file);
    mome_stream_close(s);
}

static void test_rates_in_mid_stream(void **state)
{
    (void)state;
    mome_stream *s = open_sound(16, 1);
    push_sound(s, &clips[0]);
    push_silence(s);
    const mome_result *r = mome_stream_next(s);
    assert_non_null(r);
    assert_int_equal(r->audio_rate, 16);
    assert_int_equal(r->video_rate, 0);
    const double end = r->end;
    assert_usage(mome_stream_set_rates(s, 7, 0), "7");
    assert_int_equal(mome_stream_set_rates(s, 0, 5), MOME_OK);
    push_sound(s, &clips[1]);
    assert_int_equal(mome_stream_finish(s), MOME_OK);
    r = mome_stream_next(s);
    assert_non_null(r);
    assert_int_equal(r->audio_rate, 4);
    assert_true(r->start >= end);
    mome_stream_close(s);
}

static void test_partial(void **state)
{
    (void)state;
    mome_stream *s = open_sound(16, 1);
    assert_null(mome_stream_partial(s)); /* nothing was pushed */
    assert_int_equal(mome_stream_sound(s, clips[0].pcm, 3 * MEDIA_SAMPLE_RATE / 2), MOME_OK);
    const mome_result *r = mome_stream_partial(s);
    assert_non_null(r);
    assert_int_equal(r->final, 0);
    assert_int_equal(r->settled, 0);
    const mome_result *again = mome_stream_partial(s); /* nothing new: the same words */
    assert_non_null(again);
    assert_int_equal(again->settled, again->word_count);
    assert_null(mome_stream_next(s));
    assert_int_equal(mome_stream_code(s), MOME_OK);
    mome_stream_close(s);
}

/* ---- several at once ----------------------------------------------------------------------- */

static void check_same(const mome_result *a, const mome_result *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->task, b->task);
    assert_int_equal(a->media_tokens, b->media_tokens);
    assert_int_equal(a->word_count, b->word_count);
    for (size_t i = 0; i < a->word_count; i++) {
        assert_true(a->words[i].start == b->words[i].start && a->words[i].end == b->words[i].end);
        assert_true(fabs(a->words[i].confidence - b->words[i].confidence) < 0.02); /* bfloat16 */
    }
    assert_int_equal(a->alternative_count, b->alternative_count);
    assert_true(a->expert_layers == 4 && a->expert_count == 23);
    for (size_t layer = 0; layer < a->expert_layers; layer++) {
        double sum = 0, differ = 0;
        for (size_t i = layer * a->expert_count; i < (layer + 1) * a->expert_count; i++) {
            sum += a->expert_share[i];
            differ += fabs(a->expert_share[i] - b->expert_share[i]);
        }
        assert_true(fabs(sum - 1) < 1e-9 && differ < 0.05);
    }
}

/* As one batch, or one after the other: the same. One of them searches differently. */
static void test_streams_together(void **state)
{
    (void)state;
    const int beams[] = {1, 2, 1};
    mome_stream *together[3], *alone[3];
    for (int i = 0; i < 3; i++) {
        together[i] = open_sound(4, beams[i]);
        alone[i] = open_sound(4, beams[i]);
        push_sound(together[i], &clips[i % 2]);
        push_sound(alone[i], &clips[i % 2]);
        if (i == 2) { /* a second utterance */
            push_sound(together[i], &clips[1]);
            push_sound(alone[i], &clips[1]);
        }
        assert_int_equal(mome_stream_finish(together[i]), MOME_OK);
        assert_int_equal(mome_stream_finish(alone[i]), MOME_OK);
    }
    assert_int_equal(mome_streams_decode(together, 3), 3);
    for (int i = 0; i < 3; i++)
        check_same(mome_stream_next(together[i]), mome_stream_next(alone[i]));
    mome_stream_cancel(together[0]); /* which takes no part any more */
    assert_int_equal(mome_streams_decode(together, 3), 1);
    check_same(mome_stream_next(together[2]), mome_stream_next(alone[2]));
    assert_int_equal(mome_streams_decode(together, 3), 0);
    assert_int_equal(mome_streams_decode(together, 0), 0);
    mome_stream *twice[] = {together[0], together[0]};
    assert_usage(mome_streams_decode(twice, 2), "twice");
    for (int i = 0; i < 3; i++) {
        mome_stream_close(together[i]);
        mome_stream_close(alone[i]);
    }
}

/* ---- stopping ------------------------------------------------------------------------------ */

struct canceller {
    mome_stream *stream;
    atomic_bool runs;
    char error[8]; /* mome_error of the other thread */
};

static int on_progress(void *arg, double seconds, double total)
{
    struct canceller *c = arg;
    (void)seconds;
    (void)total;
    atomic_store(&c->runs, true);
    return 0;
}

static void *cancel(void *arg)
{
    struct canceller *c = arg;
    while (!atomic_load(&c->runs))
        ;
    mome_stream_cancel(c->stream);
    snprintf(c->error, sizeof c->error, "%s", mome_error());
    return NULL;
}

static void test_cancel(void **state)
{
    (void)state;
    struct canceller c = {.error = "?"};
    pthread_t thread;
    mome_stream_options o;
    mome_stream_options_init(&o);
    o.progress = on_progress;
    o.arg = &c;
    assert_int_equal(mome_stream_open(&c.stream, model, &o), MOME_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel, &c), 0);
    assert_int_equal(mome_stream_file(c.stream, "samples/babble.m4a"), MOME_ERROR_CANCELLED);
    pthread_join(thread, NULL);
    assert_string_equal(c.error, ""); /* errors are the calling thread's */
    assert_int_equal(mome_stream_sound(c.stream, clips[0].pcm, 100), MOME_ERROR_CANCELLED);
    assert_null(mome_stream_next(c.stream));
    assert_int_equal(mome_stream_code(c.stream), MOME_ERROR_CANCELLED);
    mome_stream_close(c.stream);
}

static int stop(void *arg, const mome_result *r)
{
    *(int *)arg += r->final;
    return 1;
}

static void test_call_back_stops(void **state)
{
    (void)state;
    int results = 0;
    mome_stream *s;
    mome_stream_options o;
    mome_stream_options_init(&o);
    o.pictures = 0;
    o.beam = 1;
    o.result = stop;
    o.arg = &results;
    assert_int_equal(mome_stream_open(&s, model, &o), MOME_OK);
    assert_int_equal(mome_stream_file(s, "samples/000000.mp4"), MOME_ERROR_CANCELLED);
    assert_int_equal(results, 1);
    mome_stream_close(s);
    assert_int_equal(mome_stream_open(&s, model, &o), MOME_OK);
    assert_int_equal(mome_stream_file(s, "samples/none.mp4"), MOME_ERROR_IO);
    mome_stream_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_other_sizes),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_wrong_pushes),
        cmocka_unit_test(test_pictures_at_24),
        cmocka_unit_test(test_rates_in_mid_stream),
        cmocka_unit_test(test_partial),
        cmocka_unit_test(test_streams_together),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_call_back_stops),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
