/* Streams: the same utterances however sound and pictures are cut, each modality alone, bounded
   buffers, what is not over yet, several streams as one batch. Real speech, ready mouths (96x96
   pictures), a small random model that cuts after 2 s. */
#include "base/memory.h"
#include "decode/stream_parts.h"
#include "features/clip.h"
#include "media/media.h"
#include "small_model.h"

enum { SIDE = 96, MOST = 64, PICTURE = FRAME_SAMPLES };

static struct small_model model;
static struct transcriber transcriber;
static float *pcm; /* two samples with 2 s of silence before, between and behind */
static int64_t samples;

struct said {
    struct utterance list[MOST];
    int count;
};

static void must(int rc)
{
    if (rc)
        fail_msg("%s", model.err.message);
}

static int open_all(void **state)
{
    (void)state;
    static const char *const paths[] = {"samples/000000.mp4", "samples/000001.mp4"};
    struct recognizer_config config;
    small_config(&config);
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    pcm = memory_new(20 * MEDIA_SAMPLE_RATE, sizeof *pcm);
    samples = 2 * MEDIA_SAMPLE_RATE;
    for (int i = 0; i < 2; i++) {
        struct clip clip;
        must(clip_load(&clip, paths[i], &(struct clip_options){.no_pictures = true}, &model.err));
        memcpy(pcm + samples, clip.pcm, (size_t)clip.samples * sizeof *pcm);
        samples += clip.samples + 2 * MEDIA_SAMPLE_RATE;
        clip_release(&clip);
    }
    return transcriber_init(&transcriber, model.r, &device_cpu, PRECISION_F32, &model.err);
}

static int close_all(void **state)
{
    (void)state;
    memory_free(pcm);
    transcriber_release(&transcriber);
    small_close(&model);
    return 0;
}

static struct stream *open_stream(bool sound, bool pictures)
{
    struct stream *s;
    const struct stream_options options = {.sound = sound,
                                           .pictures = pictures,
                                           .automatic = true,
                                           .audio_rate = 4,
                                           .video_rate = 2,
                                           .beam = {.beam = 1, .n_best = 1, .max_tokens = 6}};
    must(stream_new(&s, model.r, NULL, &options, &model.err));
    return s;
}

static void push_pictures(struct stream *s, int64_t from, int64_t to)
{
    static uint8_t rgb[SIDE * SIDE * 3];
    for (int64_t k = from; k < to; k++) {
        for (size_t i = 0; i < sizeof rgb; i++)
            rgb[i] = (uint8_t)(i * 7 + (size_t)k * 31);
        must(stream_picture(s, rgb, SIDE, SIDE, 3 * SIDE, &model.err));
    }
}

static void pop(struct stream *s, struct said *said)
{
    while (said->count < MOST && stream_pop(s, &said->list[said->count]))
        said->count++;
}

static void drain(struct stream *s, struct said *said)
{
    while (stream_ready(s))
        must(streams_decode(&transcriber, &s, 1, &model.err));
    pop(s, said);
}

/* All of the sound, and pictures as far as it goes, `step` samples at a time. */
static void listen(struct said *said, bool sound, bool pictures, int64_t step)
{
    struct stream *s = open_stream(sound, pictures);
    *said = (struct said){0};
    for (int64_t at = 0; at < samples; at += step) {
        int64_t end = at + step < samples ? at + step : samples;
        if (sound)
            must(stream_sound(s, pcm + at, end - at, &model.err));
        if (pictures)
            push_pictures(s, at / PICTURE, end / PICTURE);
        drain(s, said);
    }
    must(stream_finish(s, &model.err));
    drain(s, said);
    assert_int_equal(stream_heard(s), sound);
    assert_int_equal(stream_saw(s), pictures);
    stream_free(s);
}

static void release(struct said *said)
{
    for (int i = 0; i < said->count; i++)
        utterance_release(&said->list[i]);
    said->count = 0;
}

static void check_same(const struct said *a, const struct said *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct utterance *x = &a->list[i], *y = &b->list[i];
        assert_float_equal(x->start, y->start, 1e-9);
        assert_float_equal(x->end, y->end, 1e-9);
        assert_int_equal(x->task, y->task);
        assert_int_equal(x->fallback, y->fallback);
        assert_int_equal(x->words.count, y->words.count);
        for (int w = 0; w < x->words.count; w++) {
            assert_string_equal(x->words.list[w].text, y->words.list[w].text);
            assert_float_equal(x->words.list[w].start, y->words.list[w].start, 1e-6);
            assert_float_equal(x->words.list[w].confidence, y->words.list[w].confidence, 1e-3);
        }
    }
}

static void check_task(const struct said *said, enum task task)
{
    assert_true(said->count >= 2);
    for (int i = 0; i < said->count; i++) {
        const struct utterance *u = &said->list[i];
        assert_int_equal(u->task, task);
        assert_int_equal(u->fallback, FALLBACK_NONE);
        assert_true(u->words.count > 0 && u->media_tokens > 0);
        assert_true(u->words.list[0].start >= u->start - 1e-6);
        assert_true(u->words.list[u->words.count - 1].end <= u->end + 1e-6);
        assert_true(!i || u->start >= said->list[i - 1].start);
    }
}

static void test_any_cut(void **state)
{
    (void)state;
    static const int64_t steps[] = {PICTURE, 3001, 50 * PICTURE, 1 << 20};
    struct said whole, cut;
    for (int pictures = 0; pictures < 2; pictures++) {
        listen(&whole, true, pictures, 5 * PICTURE);
        check_task(&whole, pictures ? TASK_AVSR : TASK_ASR);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            listen(&cut, true, pictures, steps[i]);
            check_same(&whole, &cut);
            release(&cut);
        }
        release(&whole);
    }
}

/* Nobody is heard in what is silent, whatever the lips do; without sound they are all there is. */
static void test_one_modality(void **state)
{
    (void)state;
    struct said said;
    listen(&said, true, false, PICTURE);
    check_task(&said, TASK_ASR);
    assert_true(said.list[0].start > 1.5);
    release(&said);
    listen(&said, false, true, PICTURE);
    check_task(&said, TASK_VSR);
    assert_true(said.list[0].start < 0.5);
    release(&said);
}

static size_t room(const struct stream *s)
{
    size_t bytes = (size_t)s->pcm_room * sizeof *s->pcm +
                   (size_t)s->frame_room * sizeof *s->frames +
                   (size_t)s->span_room * sizeof *s->spans + (size_t)s->done_room * sizeof *s->done;
    for (int i = 0; i < s->seen.count; i++)
        bytes += (size_t)s->seen.list[i].room * MOUTH_PIXELS;
    return bytes;
}

/* Minutes of speech, silence, and speech without a pause: buffers stay as they are after the
   first round of it. */
static void test_buffers_are_bounded(void **state)
{
    (void)state;
    enum { ROUNDS = 8, RUNNING = 4 };
    struct stream *s = open_stream(true, true);
    struct said said = {0};
    size_t first = 0;
    int64_t pictures = 0, sound = 0;
    for (int i = 0; i < ROUNDS * (RUNNING + 1); i++) {
        /* the middle of a sample, again and again; then everything */
        const bool all = i % (RUNNING + 1) == RUNNING;
        const float *part = all ? pcm : pcm + 5 * MEDIA_SAMPLE_RATE / 2;
        const int64_t count = all ? samples : 3 * MEDIA_SAMPLE_RATE / 2;
        for (int64_t at = 0; at < count; at += PICTURE) {
            int64_t some = count - at < PICTURE ? count - at : PICTURE;
            must(stream_sound(s, part + at, some, &model.err));
            sound += some;
            push_pictures(s, pictures, sound / PICTURE);
            pictures = sound / PICTURE;
            drain(s, &said);
            release(&said);
        }
        first = i == RUNNING ? room(s) : first;
    }
    assert_true(first > 0);
    assert_int_equal(room(s), first);
    stream_free(s);
}

/* What is not over yet is read without changing what comes of it. */
static void test_partial(void **state)
{
    (void)state;
    struct said whole, with_partials = {0};
    int partials = 0;
    listen(&whole, true, true, 10 * PICTURE);
    struct stream *s = open_stream(true, true);
    for (int64_t at = 0; at < samples; at += 10 * PICTURE) {
        struct utterance u;
        int64_t count = samples - at < 10 * PICTURE ? samples - at : 10 * PICTURE;
        must(stream_sound(s, pcm + at, count, &model.err));
        push_pictures(s, at / PICTURE, (at + count) / PICTURE);
        drain(s, &with_partials);
        must(stream_partial(&transcriber, s, &u, &model.err));
        partials += u.words.count > 0;
        assert_true(!u.words.count || (u.start > 1.5 && u.end <= (double)(at + count) / 16000));
        utterance_release(&u);
    }
    must(stream_finish(s, &model.err));
    drain(s, &with_partials);
    stream_free(s);
    assert_true(partials >= 3);
    check_same(&whole, &with_partials);
    release(&whole);
    release(&with_partials);
}

/* A stream of both and one of sound alone, span by span together. */
static void test_two_streams_as_a_batch(void **state)
{
    (void)state;
    struct said alone[2], together[2] = {0};
    struct stream *streams[2];
    for (int i = 0; i < 2; i++) {
        listen(&alone[i], true, i == 1, 10 * PICTURE);
        streams[i] = open_stream(true, i == 1);
        must(stream_sound(streams[i], pcm, samples, &model.err));
    }
    push_pictures(streams[1], 0, samples / PICTURE);
    for (int i = 0; i < 2; i++)
        must(stream_finish(streams[i], &model.err));
    while (stream_ready(streams[0]) || stream_ready(streams[1]))
        must(streams_decode(&transcriber, streams, 2, &model.err));
    for (int i = 0; i < 2; i++) {
        pop(streams[i], &together[i]);
        check_same(&alone[i], &together[i]);
        release(&alone[i]);
        release(&together[i]);
        stream_free(streams[i]);
    }
}

/* Utterances of words that the model does not believe in are left out; lips may mumble. */
static void test_least_confidence(void **state)
{
    (void)state;
    struct said all, some;
    listen(&all, true, false, PICTURE);
    double least = 1, most = 0;
    for (int i = 0; i < all.count; i++) {
        const double confidence = words_confidence(&all.list[i].words);
        least = confidence < least ? confidence : least;
        most = confidence > most ? confidence : most;
    }
    assert_true(least < most);
    model.r->config.least_confidence = (float)((least + most) / 2);
    listen(&some, true, false, PICTURE);
    assert_true(some.count > 0 && some.count < all.count);
    release(&some);
    model.r->config.least_confidence = 1;
    listen(&some, false, true, PICTURE);
    assert_true(some.count > 0);
    model.r->config.least_confidence = 0;
    release(&some);
    release(&all);
}

static void test_what_was_not_opened(void **state)
{
    (void)state;
    struct error err = {0};
    const uint8_t rgb[3] = {0};
    struct stream *s = open_stream(true, false);
    assert_int_equal(stream_picture(s, rgb, 1, 1, 3, &err), ERROR_USAGE);
    stream_free(s);
    s = open_stream(false, true);
    assert_int_equal(stream_sound(s, pcm, 1, &err), ERROR_USAGE);
    stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_one_modality),
        cmocka_unit_test(test_buffers_are_bounded),
        cmocka_unit_test(test_partial),
        cmocka_unit_test(test_two_streams_as_a_batch),
        cmocka_unit_test(test_least_confidence),
        cmocka_unit_test(test_what_was_not_opened),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
