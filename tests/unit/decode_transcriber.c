/* From clips to texts: every rate on one set of weights, prompt lengths, segments, windows, what is
   missing. */
#include "base/memory.h"
#include "small_model.h"
#include "decode/join.h"
#include "decode/transcriber.h"

#include <stdatomic.h>

static struct small_model model;
static struct transcriber transcriber;
static const struct beam_options greedy = {.beam = 1, .n_best = 1, .max_tokens = 4};

/* A made-up clip: babbling noise and pictures, `loud` but for silence in `quiet` .. quiet + 5. */
static void make_clip(struct clip *clip, int64_t frames, int64_t quiet, bool sound, bool pictures)
{
    struct random random;
    random_seed(&random, 9);
    *clip = (struct clip){.samples = sound ? frames * 640 : 0,
                          .frames = pictures ? frames : 0,
                          .has_sound = sound,
                          .has_pictures = pictures,
                          .has_face = pictures};
    clip->pcm = memory_new((size_t)clip->samples + 1, sizeof *clip->pcm);
    clip->mouth = memory_new((size_t)clip->frames * MOUTH_PIXELS + 1, 1);
    for (int64_t i = 0; i < clip->samples; i++) {
        bool silent = i / 640 >= quiet && i / 640 < quiet + 5;
        clip->pcm[i] = silent ? 0 : (float)(0.2 * random_uniform(&random) - 0.1);
    }
    for (int64_t i = 0; i < clip->frames * MOUTH_PIXELS; i++)
        clip->mouth[i] = (uint8_t)random_below(&random, 256);
}

static int open_model(void **state)
{
    (void)state;
    struct recognizer_config config;
    small_config(&config);
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    return transcriber_init(&transcriber, model.r, &device_cpu, PRECISION_F32, &model.err);
}

static int close_model(void **state)
{
    (void)state;
    transcriber_release(&transcriber);
    small_close(&model);
    return 0;
}

static void load(const struct clip *clip, enum task task)
{
    if (transcriber_load(&transcriber, clip, task, &model.err))
        fail_msg("%s", model.err.message);
}

static struct transcript transcribe(enum task task, int audio_rate, int video_rate)
{
    struct transcript out;
    if (transcriber_run(&transcriber, &out, task, audio_rate, video_rate, &greedy, &model.err))
        fail_msg("%s", model.err.message);
    assert_non_null(out.text);
    return out;
}

/* 37 frames: 74 audio and 37 video states. All pairs of all tasks, loaded once each. */
static void test_prompt_falls_with_the_rate(void **state)
{
    (void)state;
    struct clip clip;
    const int audio_rates[] = {4, 16}, video_rates[] = {2, 5};
    make_clip(&clip, 37, 0, true, true);
    for (int task = 0; task < TASK_COUNT; task++) {
        int64_t fixed = -1; /* BOS, marks, instruction: the same at every rate */
        load(&clip, task);
        for (int i = 0; i < 4; i++) {
            int a = audio_rates[i / 2], v = video_rates[i % 2];
            struct transcript out = transcribe(task, a, v);
            int64_t media = (task_hears(task) ? 74 / a : 0) + (task_sees(task) ? 37 / v : 0);
            assert_int_equal(out.media_tokens, media);
            if (fixed < 0)
                fixed = out.prompt_tokens - media;
            assert_int_equal(out.prompt_tokens, fixed + media);
            transcript_release(&out);
        }
        assert_true(fixed > 4);
    }
    clip_release(&clip);
}

/* What is loaded for both serves each task alone, to the same text. */
static void test_one_load_serves_all_tasks(void **state)
{
    (void)state;
    struct clip clip;
    make_clip(&clip, 30, 0, true, true);
    for (int task = 0; task < TASK_COUNT; task++) {
        load(&clip, task);
        struct transcript own = transcribe(task, 4, 2);
        load(&clip, TASK_AVSR);
        struct transcript shared = transcribe(task, 4, 2);
        assert_string_equal(own.text, shared.text);
        assert_true(fabs(own.score - shared.score) < 1e-3);
        transcript_release(&own);
        transcript_release(&shared);
    }
    clip_release(&clip);
}

/* A segment of a clip, as a clip of its own; borrowed. */
static struct clip part_of(const struct clip *clip, const struct segment *s)
{
    return (struct clip){.pcm = clip->pcm + s->start * 640,
                         .samples = s->count * 640,
                         .mouth = clip->mouth + s->start * MOUTH_PIXELS,
                         .frames = s->count,
                         .has_sound = true,
                         .has_pictures = true,
                         .has_face = true};
}

static void check_words(const struct words *a, const struct words *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct word *x = &a->list[i], *y = &b->list[i];
        assert_string_equal(x->text, y->text);
        assert_float_equal(x->start, y->start, 1e-6);
        assert_float_equal(x->end, y->end, 1e-6);
        assert_float_equal(x->confidence, y->confidence, 1e-3);
    }
}

/* The small model's encoder takes 50 frames. 110 are cut where it is quiet, in frames 40 .. 44;
   from there on there is no silence: an overlap of a quarter. Each segment gives what it gives
   alone. */
static void test_long_clip_in_segments(void **state)
{
    (void)state;
    struct clip clip;
    assert_int_equal(transcriber_window(&model.r->config), 50);
    make_clip(&clip, 110, 40, true, true);
    load(&clip, TASK_AVSR);
    assert_int_equal(transcriber.loaded->segments, 3);
    struct segment segments[3];
    memcpy(segments, transcriber.loaded->segment, sizeof segments);
    assert_int_equal(segments[0].count, 42);
    assert_int_equal(segments[1].overlap, 0);
    assert_int_equal(segments[2].overlap, 12);
    struct transcript whole = transcribe(TASK_AVSR, 4, 2);
    struct words words = {0};
    int64_t media = 0;
    double score = 0;
    for (int i = 0; i < 3; i++) {
        struct clip part = part_of(&clip, &segments[i]);
        load(&part, TASK_AVSR);
        assert_int_equal(transcriber.loaded->segments, 1);
        assert_int_equal(transcriber.loaded->audio_states[0], 2 * segments[i].count);
        assert_int_equal(tensor_rows(transcriber.loaded->video[0]->states), segments[i].count);
        struct transcript out = transcribe(TASK_AVSR, 4, 2);
        words_shift(&out.words, (double)segments[i].start / 25);
        if (segments[i].overlap > 0)
            join_seam(&words, &out.words);
        assert_int_equal(words_append(&words, &out.words, &model.err), 0);
        score += out.score;
        media += out.media_tokens;
        transcript_release(&out);
    }
    assert_int_equal(whole.media_tokens, media);
    assert_true(fabs(whole.score - score) < 1e-3);
    char *text = words_text(&words);
    assert_string_equal(whole.text, text);
    memory_free(text);
    check_words(&whole.words, &words);
    words_release(&words);
    transcript_release(&whole);
    clip_release(&clip);
}

/* `longest` makes segments shorter than the encoders' window. */
static void test_shorter_segments(void **state)
{
    (void)state;
    struct clip clip;
    make_clip(&clip, 48, 20, true, true);
    load(&clip, TASK_AVSR);
    assert_int_equal(transcriber.loaded->segments, 1);
    transcriber.longest = 30;
    load(&clip, TASK_AVSR);
    assert_int_equal(transcriber.loaded->segments, 2);
    assert_int_equal(transcriber.loaded->segment[0].count, 22);
    transcriber.longest = 50;
    clip_release(&clip);
}

/* The exact window: the first states of what the encoder makes of the sound with silence up to its
   2 * 100 frames; without pictures by samples, 25 at least; with pictures two for each. */
static void test_exact_window(void **state)
{
    (void)state;
    static const struct {
        int64_t samples, pictures, states;
    } cases[] = {{30 * 640, 30, 60},
                 {30 * 640 - 100, 0, 59},
                 {5 * 640, 0, 25},
                 {5 * 640, 5, 10},
                 {50 * 640, 0, 100}};
    transcriber.exact_window = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum task task = cases[i].pictures ? TASK_AVSR : TASK_ASR;
        struct clip clip;
        make_clip(&clip, 50, 0, true, true);
        clip.samples = cases[i].samples;
        clip.frames = cases[i].pictures;
        clip.has_face = cases[i].pictures > 0;
        load(&clip, task);
        const struct tensor *got = transcriber.loaded->audio[0]->states;
        int64_t states = transcriber.loaded->audio_states[0];
        assert_int_equal(states, cases[i].states);
        struct tensor *mel = tensor_new(&transcriber.compute, TENSOR_SHAPE(1, 200, 10));
        assert_int_equal(
            logmel_compute(transcriber.logmel, mel->data, 200, clip.pcm, clip.samples, &model.err),
            0);
        struct tensor *all = recognizer_encode_audio(model.r, &transcriber.compute, mel, NULL);
        assert_int_equal(tensor_rows(all), 100);
        assert_same(got->data, all->data, states * tensor_width(got), "exact window");
        clip_release(&clip);
    }
    transcriber.exact_window = false;
}

static void test_what_is_missing_is_said(void **state)
{
    (void)state;
    struct clip sound, lips;
    struct error err = {0};
    struct transcript out;
    make_clip(&sound, 20, 0, true, false);
    make_clip(&lips, 20, 0, false, true);
    assert_int_equal(transcriber_task(&sound, model.r), TASK_ASR);
    assert_int_equal(transcriber_task(&lips, model.r), TASK_VSR);
    const struct clip still = {.has_sound = true, .has_pictures = true, .has_face = true};
    assert_int_equal(transcriber_task(&still, model.r), TASK_ASR); /* its lips do not move */
    assert_int_equal(transcriber_load(&transcriber, &sound, TASK_AVSR, &err), ERROR_NO_FACE);
    assert_non_null(strstr(err.message, "no pictures"));
    assert_int_equal(transcriber_load(&transcriber, &lips, TASK_ASR, &err), ERROR_NO_STREAM);
    assert_non_null(strstr(err.message, "no sound"));
    lips.has_face = false;
    assert_int_equal(transcriber_load(&transcriber, &lips, TASK_VSR, &err), ERROR_NO_FACE);
    assert_non_null(strstr(err.message, "no face"));
    load(&sound, TASK_ASR);
    assert_int_equal(transcriber_run(&transcriber, &out, TASK_AVSR, 4, 2, &greedy, &err),
                     ERROR_NO_STREAM);
    assert_int_equal(transcriber_run(&transcriber, &out, TASK_ASR, 7, 0, &greedy, &err),
                     ERROR_USAGE);
    assert_non_null(strstr(err.message, "4 16")); /* the rates it has */
    clip_release(&sound);
    clip_release(&lips);
}

static void test_n_best_texts(void **state)
{
    (void)state;
    struct clip clip;
    struct transcript out;
    make_clip(&clip, 20, 0, true, true);
    load(&clip, TASK_AVSR);
    const struct beam_options three = {.beam = 3, .n_best = 3, .max_tokens = 3};
    assert_int_equal(transcriber_run(&transcriber, &out, TASK_AVSR, 16, 5, &three, &model.err), 0);
    assert_int_equal(out.count, 3);
    assert_string_equal(out.text, out.texts[0]);
    assert_true(out.hypotheses[0].score >= out.hypotheses[2].score);
    transcript_release(&out);
    clip_release(&clip);
}

/* Whatever bytes the model says, a text is one tidy line. */
static void test_texts_are_one_line(void **state)
{
    (void)state;
    struct clip clip;
    struct transcript out;
    make_clip(&clip, 20, 0, true, true);
    load(&clip, TASK_AVSR);
    const struct beam_options many = {.beam = 60, .n_best = 60, .max_tokens = 2};
    assert_int_equal(transcriber_run(&transcriber, &out, TASK_AVSR, 4, 2, &many, &model.err), 0);
    int blanks = 0;
    for (int i = 0; i < out.count; i++) {
        const struct hypothesis *h = &out.hypotheses[i];
        for (int k = 0; k < h->count; k++)
            blanks += h->ids[k] <= ' '; /* the first 256 ids are the bytes */
        for (const char *p = out.texts[i]; *p; p++)
            assert_false((unsigned char)*p < ' ' || *p == 127);
        assert_true(out.texts[i][0] != ' ' && !strstr(out.texts[i], "  "));
    }
    assert_true(blanks > 0);
    transcript_release(&out);
    clip_release(&clip);
}

static atomic_bool cancelled;
static int until, passes; /* that the experts run before somebody cancels; so far */

static void top_k(float *gates, int32_t *chosen, const float *scores, int k, bool renormalise,
                  int64_t rows, int64_t width)
{
    device_cpu.top_k(gates, chosen, scores, k, renormalise, rows, width);
    if (++passes == until)
        atomic_store(&cancelled, true);
}

/* What is cancelled in the middle of an utterance ends with its next token. */
static void test_cancelled(void **state)
{
    (void)state;
    struct clip clip;
    struct transcript out;
    struct error err = {0};
    struct device counting = device_cpu;
    const int layers = model.r->config.llm.layers;
    const struct beam_options endless = {.beam = 4, .n_best = 1, .max_tokens = 200};
    counting.top_k = top_k;
    make_clip(&clip, 20, 0, true, true);
    load(&clip, TASK_AVSR);
    transcriber.compute.device = &counting;
    transcriber.compute.cancelled = &cancelled;
    for (until = 1; until <= 4 * layers; until++) {
        passes = 0;
        atomic_store(&cancelled, false);
        assert_int_equal(transcriber_run(&transcriber, &out, TASK_AVSR, 16, 5, &endless, &err),
                         ERROR_CANCELLED);
        assert_int_equal(passes, (until + layers - 1) / layers * layers);
    }
    assert_int_equal(transcriber_load(&transcriber, &clip, TASK_ASR, &err), ERROR_CANCELLED);
    transcriber.compute.device = &device_cpu;
    transcriber.compute.cancelled = NULL;
    load(&clip, TASK_AVSR);
    out = transcribe(TASK_AVSR, 16, 5);
    transcript_release(&out);
    clip_release(&clip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_falls_with_the_rate),
        cmocka_unit_test(test_one_load_serves_all_tasks),
        cmocka_unit_test(test_long_clip_in_segments),
        cmocka_unit_test(test_shorter_segments),
        cmocka_unit_test(test_exact_window),
        cmocka_unit_test(test_what_is_missing_is_said),
        cmocka_unit_test(test_n_best_texts),
        cmocka_unit_test(test_texts_are_one_line),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
