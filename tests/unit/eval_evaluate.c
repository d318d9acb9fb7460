/* Evaluation on made-up clips with a small random model. Its texts are not known beforehand, so
   references are made from what it says: then the counts must be what was put in. */
#include "mouth_clips.h"
#include "base/memory.h"
#include "small_model.h"
#include "eval/evaluate.h"

enum { CLIPS = 4, ROOM = 16 };

static struct small_model model;
static struct transcriber transcriber;
static struct noise noise;

/* What the call-backs were told. */
struct told {
    char texts[ROOM * CLIPS][128];
    int utterances, reports;
    char note[600];
};

static void utterance(void *arg, const struct evaluated *u)
{
    struct told *t = arg;
    assert_true(t->utterances < ROOM * CLIPS);
    assert_true(u->seconds == 0 || fabs(u->seconds - 1.28) < 0.01);
    assert_int_equal(u->clip, t->reports);
    snprintf(t->texts[t->utterances++], sizeof t->texts[0], "%s", u->hypothesis);
}

static int report(void *arg, int64_t done, int64_t total, const char *note)
{
    struct told *t = arg;
    assert_int_equal(done, ++t->reports);
    assert_true(done <= total);
    if (note)
        snprintf(t->note, sizeof t->note, "%s", note);
    return 0;
}

static int open_all(void **state)
{
    (void)state;
    struct recognizer_config config;
    struct random random;
    small_config(&config);
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    random_seed(&random, 4);
    noise.samples = 16000;
    noise.pcm = memory_new((size_t)noise.samples, sizeof *noise.pcm);
    for (int64_t i = 0; i < noise.samples; i++)
        noise.pcm[i] = (float)random_normal(&random);
    mouth_clips_make(&clips);
    return transcriber_init(&transcriber, model.r, &device_cpu, PRECISION_F32, &model.err);
}

static int close_all(void **state)
{
    (void)state;
    noise_release(&noise);
    mouth_clips_remove(&clips);
    transcriber_release(&transcriber);
    small_close(&model);
    return 0;
}

/* Writes a manifest of the clips with these texts; `last` replaces the last clip's path. */
static void write_manifest(char path[128], const char *const texts[CLIPS], const char *last)
{
    snprintf(path, 128, "%s/own.tsv", clips.folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "path\ttext\n");
    for (int i = 0; i < CLIPS; i++) {
        char name[32];
        snprintf(name, sizeof name, "clip%d.mp4", i);
        fprintf(f, "%s\t%s\n", i == CLIPS - 1 && last ? last : name, texts[i]);
    }
    assert_int_equal(fclose(f), 0);
}

static void run(struct score *scores, struct told *told, const char *manifest_path,
                const struct condition *conditions, int count, int64_t most)
{
    struct manifest manifest;
    const struct evaluate_options options = {.noise = &noise,
                                             .seed = 1,
                                             .most_clips = most,
                                             .beam = {.beam = 1, .n_best = 1, .max_tokens = 6},
                                             .report = report,
                                             .utterance = utterance,
                                             .arg = told};
    *told = (struct told){0};
    assert_int_equal(manifest_load(&manifest, manifest_path, NULL, NULL, &model.err), 0);
    if (evaluate(scores, conditions, count, &transcriber, &manifest, &options, &model.err))
        fail_msg("%s", model.err.message);
    manifest_release(&manifest);
}

/* The words of a text, folded as references are; "x" where there are none. */
static void as_reference(char out[160], const char *hypothesis, const char *more)
{
    char copy[128], *rest, *word;
    snprintf(copy, sizeof copy, "%s", hypothesis);
    out[0] = 0;
    for (word = strtok_r(copy, " \n\t", &rest); word; word = strtok_r(NULL, " \n\t", &rest)) {
        strncat(out, word, 150 - strlen(out));
        strncat(out, " ", 2);
    }
    strncat(out, more, 8);
}

static void test_counts_of_known_texts(void **state)
{
    (void)state;
    static struct told told;
    char path[128], references[CLIPS][160];
    const char *texts[CLIPS];
    struct score score;
    const struct condition k = {TASK_AVSR, 4, 2, INFINITY, 1};
    run(&score, &told, clips.manifest, &k, 1, 0);
    assert_int_equal(told.utterances, CLIPS);
    assert_int_equal(told.reports, CLIPS);
    assert_int_equal(score.clips, CLIPS);
    score_release(&score);
    for (int i = 0; i < CLIPS; i++) { /* one word more than was said: one deletion each */
        as_reference(references[i], told.texts[i], "zzz");
        texts[i] = references[i];
    }
    write_manifest(path, texts, NULL);
    run(&score, &told, path, &k, 1, 0);
    assert_int_equal(score.words.deletions, CLIPS);
    assert_int_equal(score.words.substitutions + score.words.insertions, 0);
    assert_int_equal(score.failed, 0);
    assert_true(score.interval.low <= wer_rate(&score.words));
    assert_true(score.interval.high >= wer_rate(&score.words));
    assert_int_equal(score.media_tokens, CLIPS * (64 / 4 + 32 / 2));
    assert_true(fabs(score.audio_seconds - CLIPS * 1.28) < 0.01);
    score_release(&score);
}

/* Its three words are all deleted, at every condition; the message names the file. */
static void test_failed_clip_is_deleted_words(void **state)
{
    (void)state;
    static struct told told;
    char path[128];
    const char *texts[CLIPS] = {"", "", "", "red green blue"};
    struct score before[2], after[2];
    const struct condition k[2] = {{TASK_ASR, 4, 0, INFINITY, 1}, {TASK_AVSR, 16, 5, INFINITY, 1}};
    for (int i = 0; i < CLIPS - 1; i++)
        texts[i] = "red";
    write_manifest(path, texts, NULL);
    run(before, &told, path, k, 2, 3); /* 3 of 4, evenly: 0, 1, 2 */
    assert_int_equal(before[0].clips, 3);
    write_manifest(path, texts, "missing.mp4");
    run(after, &told, path, k, 2, 0);
    assert_non_null(strstr(told.note, "missing.mp4"));
    assert_null(strstr(told.note, "try --task"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(after[i].failed, 1);
        assert_int_equal(after[i].clips, 4);
        assert_int_equal(after[i].words.length, before[i].words.length + 3);
        assert_int_equal(after[i].words.deletions, before[i].words.deletions + 3);
        assert_int_equal(after[i].words.insertions, before[i].words.insertions);
        score_release(&before[i]);
        score_release(&after[i]);
    }
}

/* A clip without sound serves VSR, and counts as failed for the others. */
static void test_silent_clip_fails_for_sound_alone(void **state)
{
    (void)state;
    static struct told told;
    char path[160];
    const char *texts[CLIPS] = {"red", "red", "red", "red"};
    struct score s[2];
    const struct condition k[2] = {{TASK_ASR, 4, 0, INFINITY, 1}, {TASK_VSR, 0, 2, INFINITY, 1}};
    snprintf(path, sizeof path, "%s/silent.mp4", clips.folder);
    mouth_clip_write(path, 0, false, true);
    write_manifest(path, texts, "silent.mp4");
    run(s, &told, path, k, 2, 0);
    assert_int_equal(s[0].failed, 1);
    assert_int_equal(s[1].failed, 0);
    assert_non_null(strstr(told.note, "silent.mp4"));
    score_release(&s[0]);
    score_release(&s[1]);
}

static void test_noise_is_the_seeds(void **state)
{
    (void)state;
    static struct told a, b, other;
    struct score s[2];
    struct condition k[2] = {{TASK_ASR, 4, 0, INFINITY, 1}, {TASK_ASR, 4, 0, -5, 1}};
    double length[3];
    struct told *told[3] = {&a, &b, &other};
    for (int i = 0; i < 3; i++) {
        k[0].seed = k[1].seed = i < 2 ? 1 : 2;
        run(s, told[i], clips.manifest, k, 2, 0);
        length[i] = (double)s[1].characters.length;
        score_release(&s[0]);
        score_release(&s[1]);
    }
    assert_true(length[0] == length[1]);
    for (int i = 0; i < 2 * CLIPS; i++)
        assert_string_equal(a.texts[i], b.texts[i]);
    for (int i = 0; i < 2 * CLIPS; i += 2) /* clean: no seed matters */
        assert_string_equal(a.texts[i], other.texts[i]);
    int heard = 0;
    for (int i = 1; i < 2 * CLIPS; i += 2)
        heard += strcmp(a.texts[i], a.texts[i - 1]) != 0;
    assert_true(heard > 0);
}

/* All conditions in one batch give what each gives alone: texts, tokens, costs. */
static void test_together_as_alone(void **state)
{
    (void)state;
    static struct told all, alone;
    const struct condition k[] = {
        {TASK_AVSR, 4, 5, -5, 1}, {TASK_ASR, 16, 0, INFINITY, 1}, {TASK_VSR, 0, 2, INFINITY, 1},
        {TASK_ASR, 4, 0, -5, 1},  {TASK_AVSR, 16, 2, -5, 2},      {TASK_AVSR, 4, 2, INFINITY, 2},
        {TASK_ASR, 16, 0, -5, 2}, {TASK_VSR, 0, 5, INFINITY, 2},
    };
    enum { CONDITIONS = sizeof k / sizeof *k };
    struct score together[CONDITIONS], one;
    run(together, &all, clips.manifest, k, CONDITIONS, 0);
    assert_int_equal(all.utterances, CONDITIONS * CLIPS);
    for (int i = 0; i < CONDITIONS; i++) {
        run(&one, &alone, clips.manifest, &k[i], 1, 0);
        for (int clip = 0; clip < CLIPS; clip++)
            assert_string_equal(all.texts[clip * CONDITIONS + i], alone.texts[clip]);
        assert_memory_equal(&together[i].words, &one.words, sizeof one.words);
        assert_memory_equal(&together[i].normalised, &one.normalised, sizeof one.normalised);
        assert_int_equal(together[i].prompt_tokens, one.prompt_tokens);
        assert_true(together[i].flops == one.flops && one.flops > 0);
        assert_true(together[i].seconds > 0);
        score_release(&together[i]);
        score_release(&one);
    }
}

/* Punctuation counts in the one rate and not in the other. */
static void test_normalised(void **state)
{
    (void)state;
    static struct told told;
    char path[128], references[CLIPS][160];
    const char *texts[CLIPS];
    struct score score;
    const struct condition k = {TASK_ASR, 4, 0, INFINITY, 1};
    run(&score, &told, clips.manifest, &k, 1, 0);
    score_release(&score);
    for (int i = 0; i < CLIPS; i++) {
        as_reference(references[i], told.texts[i], "- !");
        texts[i] = references[i];
    }
    write_manifest(path, texts, NULL);
    run(&score, &told, path, &k, 1, 0);
    assert_int_equal(wer_errors(&score.words), 2 * CLIPS);
    assert_int_equal(wer_errors(&score.normalised), 0);
    score_release(&score);
}

static void test_conditions(void **state)
{
    (void)state;
    struct condition list[ROOM];
    const double snrs[] = {INFINITY, 0};
    struct error err = {0};
    int n = conditions_add(list, 0, ROOM, model.r, TASK_ASR, 0, 0, snrs, 2, &err);
    assert_int_equal(n, 4);
    assert_int_equal(list[0].audio_rate, 4);
    assert_int_equal(list[0].video_rate, 0);
    assert_true(list[1].snr_db == 0);
    n = conditions_add(list, n, ROOM, model.r, TASK_AVSR, 0, 5, snrs, 1, &err);
    assert_int_equal(n, 6);
    assert_int_equal(list[5].audio_rate, 16);
    assert_int_equal(list[5].video_rate, 5);
    n = conditions_add(list, n, ROOM, model.r, TASK_AVSR, 16, 2, snrs, 1, &err);
    assert_int_equal(n, 7);
    assert_true(conditions_add(list, n, ROOM, model.r, TASK_AVSR, 3, 2, snrs, 1, &err) < 0);
    assert_non_null(strstr(err.message, "4 16"));
    assert_int_equal(conditions_add(list, n, n, model.r, TASK_VSR, 0, 0, snrs, 1, &err),
                     ERROR_LIMIT);
}

static void test_noise_is_needed(void **state)
{
    (void)state;
    struct manifest manifest;
    struct score score;
    struct error err = {0};
    const struct condition k = {TASK_ASR, 4, 0, 0, 1};
    const struct evaluate_options options = {.beam = {.beam = 1, .n_best = 1, .max_tokens = 1}};
    assert_int_equal(manifest_load(&manifest, clips.manifest, NULL, NULL, &err), 0);
    assert_int_equal(evaluate(&score, &k, 1, &transcriber, &manifest, &options, &err), ERROR_USAGE);
    manifest_release(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_known_texts),
        cmocka_unit_test(test_failed_clip_is_deleted_words),
        cmocka_unit_test(test_silent_clip_fails_for_sound_alone),
        cmocka_unit_test(test_noise_is_the_seeds),
        cmocka_unit_test(test_together_as_alone),
        cmocka_unit_test(test_normalised),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_noise_is_needed),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
