/* Costs fitted to what made-up machines take, the choice among plans, errors followed while
   running, the file of a measurement in all the ways that it can be wrong, and clips within limits.
 */
#include "base/memory.h"
#include "small_model.h"
#include "decode/pace_measure.h"
#include "decode/pace_run.h"

/* ---- the fit ----------------------------------------------------------------------------- */

static void test_fit_finds_what_there_was(void **state)
{
    (void)state;
    const double true_costs[3] = {0.01, 0.002, 3e-6}, n[] = {25, 50, 100, 200, 400};
    double x[5][3], y[5], c[3];
    for (int i = 0; i < 5; i++) {
        x[i][0] = 1;
        x[i][1] = n[i];
        x[i][2] = n[i] * n[i];
        y[i] = pace_curve(true_costs, n[i]);
    }
    pace_fit(c, x[0], y, 5, 3);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(pace_curve(c, n[i]) / y[i] - 1) < 1e-3);
    assert_true(fabs(pace_curve(c, 800) / pace_curve(true_costs, 800) - 1) < 0.01);
}

/* What falls with the length would be a negative coefficient. */
static void test_fit_is_never_negative(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 3);
    for (int round = 0; round < 200; round++) {
        double x[6][3], y[6], c[3];
        for (int i = 0; i < 6; i++) {
            x[i][0] = 1;
            x[i][1] = i + 1;
            x[i][2] = (i + 1) * (i + 1);
            y[i] = 0.1 + random_uniform(&random) / (i + 1);
        }
        pace_fit(c, x[0], y, 6, 3);
        for (int j = 0; j < 3; j++)
            assert_true(c[j] >= 0 && isfinite(c[j]));
    }
}

/* A column of zeros (a model without CTC) costs nothing, and all zeros no division by zero. */
static void test_fit_of_what_was_not_seen(void **state)
{
    (void)state;
    const double x[4][2] = {{1, 0}, {1, 0}, {1, 0}, {1, 0}}, y[4] = {2, 2, 2, 2};
    double c[2];
    pace_fit(c, x[0], y, 4, 2);
    assert_true(fabs(c[0] - 2) < 1e-6);
    assert_true(c[1] == 0);
}

/* ---- the choice -------------------------------------------------------------------------- */

static const struct pace_plan plans[] = {
    {TASK_AVSR, 4, 2, 5, 88, 0.40, 300e6},
    {TASK_AVSR, 4, 5, 5, 65, 0.35, 280e6},
    {TASK_AVSR, 16, 5, 1, 36, 0.30, 250e6},
    {TASK_ASR, 16, 0, 1, 12, 0.10, 200e6},
};
enum { PLANS = sizeof plans / sizeof plans[0] };

static void pick(int expected, double seconds, double bytes, bool expected_late)
{
    bool late;
    assert_int_equal(pace_pick(plans, PLANS, seconds, bytes, &late), expected);
    assert_int_equal(late, expected_late);
}

static void test_richest_that_holds(void **state)
{
    (void)state;
    pick(0, 0, 0, false); /* no limit */
    pick(0, 0.40, 0, false);
    pick(1, 0.39, 0, false);
    pick(3, 0.29, 0, false);
    pick(1, 0, 299e6, false);
    pick(2, 0.35, 260e6, false); /* each limit alone would allow more */
    pick(3, 1, 200e6, false);
}

static void test_none_holds(void **state)
{
    (void)state;
    pick(3, 0.05, 0, true);
    pick(3, 0, 100e6, true);
    pick(3, 0.05, 1e12, true);
}

/* ---- while running ----------------------------------------------------------------------- */

/* Times a third longer than predicted, with 20 % noise: what is counted on holds for 95 of 100, and
   is not twice too much. */
static void test_drift_covers(void **state)
{
    (void)state;
    struct pace_costs none = {0};
    struct pace p;
    struct random random;
    int held = 0;
    double allowed = 0;
    enum { WARM = 50, RUNS = 2000 };
    random_seed(&random, 5);
    pace_init(&p, &none, 3);
    assert_true(pace_drift_factor(&p.decoder) > 1.2 && pace_drift_factor(&p.decoder) < 1.6);
    for (int i = 0; i < WARM + RUNS; i++) {
        double real = 1.33 * exp(0.2 * random_normal(&random));
        if (i >= WARM) {
            held += real <= pace_drift_factor(&p.decoder);
            allowed += pace_drift_factor(&p.decoder) / RUNS;
        }
        pace_drift_add(&p.decoder, real, 1);
    }
    assert_true(held >= 0.95 * RUNS);
    assert_true(allowed < 1.33 * 1.7);
}

static void test_drift_follows(void **state)
{
    (void)state;
    struct pace_costs none = {0};
    struct pace p;
    pace_init(&p, &none, 10);
    for (int i = 0; i < 200; i++)
        pace_drift_add(&p.audio, 3, 1);
    assert_true(pace_drift_factor(&p.audio) > 2.9 && pace_drift_factor(&p.audio) < 3.2);
    pace_drift_add(&p.audio, NAN, 1); /* nothing to learn from */
    pace_drift_add(&p.audio, 0, 0);
    assert_true(isfinite(pace_drift_factor(&p.audio)));
    for (int i = 0; i < 100; i++)
        pace_add_steps(&p, 8, 4);
    assert_true(fabs(p.steps_per_second - 2) < 0.1);
}

/* ---- the model and its file -------------------------------------------------------------- */

static struct small_model model;
static struct transcriber transcriber;
static const struct beam_options options = {.beam = 2, .n_best = 2, .max_tokens = 4};
static char *notes; /* of pace_open, the last one */

static int open_model(void **state)
{
    (void)state;
    struct recognizer_config config;
    small_config(&config);
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    setenv("XDG_CACHE_HOME", model.folder, 1);
    return transcriber_init(&transcriber, model.r, &device_cpu, PRECISION_F32, &model.err);
}

/* The only file of the cache's folder. */
static void cache_file(char path[256])
{
    char pattern[256];
    snprintf(pattern, sizeof pattern, "ls %s/mome/pace-*.json", model.folder);
    FILE *list = popen(pattern, "r");
    assert_non_null(fgets(path, 256, list));
    path[strcspn(path, "\n")] = 0;
    assert_int_equal(pclose(list), 0);
}

static int close_model(void **state)
{
    (void)state;
    char path[256];
    cache_file(path);
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path); /* small_close says if anything else is left */
    memory_free(notes);
    transcriber_release(&transcriber);
    small_close(&model);
    return 0;
}

static void note(void *arg, const char *message)
{
    (void)arg;
    memory_free(notes);
    notes = memory_strdup(message);
}

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, text, strlen(text), &model.err), 0);
}

#define FILE_OF(key, decoder)                                                                      \
    "{\"format\": \"mome-pace-1\", \"key\": \"" key "\", \"audio\": [1, 2, 3], "                   \
    "\"video\": [1, 2, 3], \"decoder\": [" decoder "], \"audio_bytes\": [1, 2, 3], "               \
    "\"video_bytes\": [1, 2, 3], \"decoder_bytes\": [1, 2, 3]}"

static void test_file_keeps_numbers(void **state)
{
    (void)state;
    struct pace_costs costs = {.audio = {0.1, 1e-300, 3}, .decoder = {0, 0.25, 7e-9}}, again;
    char *path = file_join(model.folder, "pace.json");
    memset(&again, 1, sizeof again);
    assert_int_equal(pace_file_write(&costs, path, 0xfeed, &model.err), 0);
    assert_int_equal(pace_file_read(&again, path, 0xfeed, &model.err), 0);
    assert_memory_equal(&costs, &again, sizeof costs);
    assert_int_equal(pace_file_read(&again, path, 0xbeef, &model.err), ERROR_FORMAT);
    unlink(path);
    memory_free(path);
}

static void test_file_of_an_enemy(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\xff\xfe",
        FILE_OF("00000000000000ff", "1, 2, 3, 4, 5, 6, 7"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, 7, 8"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, -7"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, 1e300"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, \"7\""),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, null"),
        FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, 1e999"),
        "{\"format\": \"mome-pace-1\", \"key\": \"000000000000feed\", \"audio\": 3}",
        "{\"format\": 1, \"key\": 2}"};
    struct pace_costs costs;
    char *path = file_join(model.folder, "pace.json");
    write_text(path, FILE_OF("000000000000feed", "1, 2, 3, 4, 5, 6, 7"));
    assert_int_equal(pace_file_read(&costs, path, 0xfeed, &model.err), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_text(path, wrong[i]);
        assert_int_equal(pace_file_read(&costs, path, 0xfeed, &model.err), ERROR_FORMAT);
        assert_non_null(strstr(model.err.message, path));
    }
    assert_int_equal(truncate(path, 1 << 20), 0);
    assert_int_equal(pace_file_read(&costs, path, 0xfeed, &model.err), ERROR_LIMIT);
    unlink(path);
    memory_free(path);
}

static void test_measured_once(void **state)
{
    (void)state;
    struct pace first, second;
    char path[256];
    assert_int_equal(pace_open(&first, &transcriber, &options, note, NULL, &model.err), 0);
    assert_null(notes);
    for (int i = 0; i < PACE_DECODER; i++)
        assert_true(first.costs.decoder[i] >= 0);
    assert_true(pace_curve(first.costs.audio, 50) > 0 && pace_curve(first.costs.video, 50) > 0);
    assert_true(pace_curve(first.costs.audio_bytes, 50) > 0);
    assert_true(first.steps_per_second >= 2.5);
    assert_int_equal(pace_open(&second, &transcriber, &options, note, NULL, &model.err), 0);
    assert_memory_equal(&first.costs, &second.costs, sizeof first.costs);

    cache_file(path); /* broken: told, measured again, and whole afterwards */
    write_text(path, "{\"format\": \"mome-pace-1\"");
    assert_int_equal(pace_open(&second, &transcriber, &options, note, NULL, &model.err), 0);
    assert_non_null(notes);
    assert_non_null(strstr(notes, path));
    memory_free(notes);
    notes = NULL;
    assert_int_equal(pace_open(&second, &transcriber, &options, note, NULL, &model.err), 0);
    assert_null(notes);
}

/* ---- clips ------------------------------------------------------------------------------- */

static void make_clip(struct clip *clip, int64_t frames)
{
    struct random random;
    random_seed(&random, 9);
    assert_int_equal(clip_init(clip, frames, &model.err), 0);
    for (int64_t i = 0; i < clip->samples; i++)
        clip->pcm[i] = (float)(0.2 * random_uniform(&random) - 0.1);
    for (int64_t i = 0; i < frames * MOUTH_PIXELS; i++)
        clip->mouth[i] = (uint8_t)random_below(&random, 256);
}

static void run(struct pace *pace, struct paced *out, const struct clip *clip,
                struct pace_request request)
{
    request.beam = options;
    if (pace_run(pace, out, &transcriber, clip, &request, &model.err))
        fail_msg("%s", model.err.message);
    assert_non_null(out->transcript.text);
}

/* Video a second a picture, sound nothing. */
static const struct pace_costs slow_video = {.audio = {1e-9}, .video = {0, 1}, .decoder = {1e-9}};

static void test_without_need_it_is_the_richest(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct transcript plain;
    struct clip clip;
    make_clip(&clip, 37);
    pace_init(&pace, &slow_video, 3);
    run(&pace, &out, &clip, (struct pace_request){.task = TASK_AVSR, .limits.seconds = 1e6});
    assert_false(out.late);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.segments[0].plan.audio_rate, 4);
    assert_int_equal(out.segments[0].plan.video_rate, 2);
    assert_int_equal(out.segments[0].plan.beam, 2);
    assert_int_equal(transcriber_load(&transcriber, &clip, TASK_AVSR, &model.err), 0);
    assert_int_equal(transcriber_run(&transcriber, &plain, TASK_AVSR, 4, 2, &options, &model.err),
                     0);
    assert_string_equal(out.transcript.text, plain.text);
    assert_int_equal(out.transcript.prompt_tokens, plain.prompt_tokens);
    assert_int_equal((int)out.segments[0].plan.tokens, (int)plain.media_tokens);
    transcript_release(&plain);
    paced_release(&out);
    clip_release(&clip);
}

static void test_pictures_are_dropped_where_allowed(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct clip clip;
    make_clip(&clip, 37);
    pace_init(&pace, &slow_video, 3);
    run(&pace, &out, &clip,
        (struct pace_request){.task = TASK_AVSR, .may_drop_pictures = true, .limits.seconds = 10});
    assert_int_equal(out.segments[0].plan.task, TASK_ASR);
    assert_int_equal(out.segments[0].plan.audio_rate, 4);
    assert_int_equal(out.segments[0].video_rows, 0);
    assert_false(out.late);
    paced_release(&out);
    run(&pace, &out, &clip, (struct pace_request){.task = TASK_AVSR, .limits.seconds = 10});
    assert_int_equal(out.segments[0].plan.task, TASK_AVSR);
    paced_release(&out);
    clip_release(&clip);
}

/* A search that costs a second a beam and step: one beam, at the richest rate. */
static void test_beams_go_first(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct clip clip;
    const struct pace_costs slow_beams = {.decoder = {0, 0, 0, 0, 1}};
    make_clip(&clip, 25);
    pace_init(&pace, &slow_beams, 1);
    run(&pace, &out, &clip, (struct pace_request){.task = TASK_AVSR, .limits.seconds = 3.5});
    assert_int_equal(out.segments[0].plan.beam, 1);
    assert_int_equal(out.segments[0].plan.audio_rate, 4);
    assert_int_equal(out.segments[0].plan.video_rate, 2);
    assert_int_equal(out.transcript.count, 1); /* n_best was 2 */
    paced_release(&out);
    clip_release(&clip);
}

/* A time that nothing can keep: the cheapest, and said. */
static void test_late(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct clip clip;
    const struct pace_costs slow_llm = {.decoder = {0, 1}};
    make_clip(&clip, 37);
    pace_init(&pace, &slow_llm, 3);
    run(&pace, &out, &clip, (struct pace_request){.task = TASK_AVSR, .limits.rtf = 1e-6});
    assert_true(out.late);
    assert_int_equal(out.segments[0].plan.audio_rate, 16);
    assert_int_equal(out.segments[0].plan.video_rate, 5);
    paced_release(&out);
    run(&pace, &out, &clip, (struct pace_request){.task = TASK_AVSR, .limits.bytes = 1000});
    assert_true(out.late);
    assert_int_equal(out.segments[0].plan.beam, 1);
    paced_release(&out);
    run(&pace, &out, &clip,
        (struct pace_request){
            .task = TASK_AVSR, .audio_rate = 4, .video_rate = 5, .limits.bytes = 1000});
    assert_true(out.late); /* a rate that was asked for stays, beams as well */
    assert_int_equal(out.segments[0].plan.audio_rate, 4);
    assert_int_equal(out.segments[0].plan.beam, 2);
    paced_release(&out);
    clip_release(&clip);
}

/* Segments as the transcriber cuts them, also where one stream is longer. */
static void test_long_clips(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct transcript plain;
    struct clip clip;
    make_clip(&clip, 137);
    pace_init(&pace, &slow_video, 3);
    for (int cut = 0; cut < 3; cut++) {
        struct clip part = clip;
        part.frames = cut == 1 ? 40 : part.frames;
        part.samples = cut == 2 ? 40 * FRAME_SAMPLES : part.samples;
        run(&pace, &out, &part, (struct pace_request){.task = TASK_AVSR});
        assert_int_equal(transcriber_load(&transcriber, &part, TASK_AVSR, &model.err), 0);
        assert_int_equal(
            transcriber_run(&transcriber, &plain, TASK_AVSR, 4, 2, &options, &model.err), 0);
        assert_true(out.count > 1 && out.count == transcriber.loaded[0].segments);
        assert_string_equal(out.transcript.text, plain.text);
        assert_int_equal(out.transcript.media_tokens, plain.media_tokens);
        transcript_release(&plain);
        paced_release(&out);
        pace_init(&pace, &slow_video, 3);
        run(&pace, &out, &part, /* sound alone for all that is left */
            (struct pace_request){
                .task = TASK_AVSR, .may_drop_pictures = true, .limits.seconds = 1});
        for (int i = 0; i < out.count; i++)
            assert_int_equal(out.segments[i].plan.task, TASK_ASR);
        paced_release(&out);
    }
    clip_release(&clip);
}

static void test_what_a_clip_lacks(void **state)
{
    (void)state;
    struct pace pace;
    struct paced out;
    struct clip clip;
    const struct pace_request request = {.task = TASK_AVSR, .beam = options};
    make_clip(&clip, 37);
    pace_init(&pace, &slow_video, 3);
    clip.has_face = false;
    assert_int_equal(pace_run(&pace, &out, &transcriber, &clip, &request, &model.err),
                     ERROR_NO_FACE);
    assert_null(out.segments);
    clip_release(&clip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit_finds_what_there_was),
        cmocka_unit_test(test_fit_is_never_negative),
        cmocka_unit_test(test_fit_of_what_was_not_seen),
        cmocka_unit_test(test_richest_that_holds),
        cmocka_unit_test(test_none_holds),
        cmocka_unit_test(test_drift_covers),
        cmocka_unit_test(test_drift_follows),
        cmocka_unit_test(test_file_keeps_numbers),
        cmocka_unit_test(test_file_of_an_enemy),
        cmocka_unit_test(test_measured_once),
        cmocka_unit_test(test_without_need_it_is_the_richest),
        cmocka_unit_test(test_pictures_are_dropped_where_allowed),
        cmocka_unit_test(test_beams_go_first),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_long_clips),
        cmocka_unit_test(test_what_a_clip_lacks),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
