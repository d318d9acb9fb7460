/*
 * Memory for time: steps whose layers run again make the same losses and weights to the bit; which
 * steps those are follows from the limit, and what is counted for it is what is used.
 */
#include "mouth_clips.h"
#include "train/learner.h"

#include <omp.h>

static void read_config(struct train_config *config)
{
    char path[128];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/config.json", clips.folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(
        f,
        "{\"output\": \"%s/out\", \"cache\": \"%s/cache\", \"vocabulary\": 262, \"bf16\": false,"
        "\"model\": {"
        "\"audio\": {\"d\": 48, \"layers\": 4, \"heads\": 2, \"ffn\": 96, \"dropout\": 0.1},"
        "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 4,"
        " \"heads\": 2, \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4},"
        "\"projector\": {\"hidden\": 64, \"audio_rates\": [2, 4], \"video_rates\": [1, 2]},"
        "\"llm\": {\"d\": 48, \"layers\": 8, \"heads\": 2, \"kv_heads\": 1, \"head_dim\": 24,"
        " \"ffn\": 128, \"dropout\": 0.1},"
        "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}},"
        "\"sources\": [{\"manifest\": \"%s\"}], \"stages\": ["
        "{\"name\": \"all\", \"train\": [\"audio\", \"video\", \"projectors\", \"llm\", \"mome\"],"
        " \"steps\": 4, \"batch\": 3, \"frame_weight\": 1, \"load_balance\": 0.1},"
        "{\"name\": \"mome\", \"train\": [\"projectors\", \"mome\"], \"steps\": 4, \"batch\": 4,"
        " \"accumulate\": 2, \"load_balance\": 0.1},"
        "{\"name\": \"kept\", \"train\": [\"projectors\", \"mome\"], \"steps\": 4, \"batch\": 4,"
        " \"copies\": 1}]}",
        clips.folder, clips.folder, clips.manifest);
    assert_int_equal(fclose(f), 0);
    if (train_config_read(config, path, &err))
        fail_msg("%s", err.message);
    assert_true(config->memory_gb == 0);
}

enum { STEPS = 3 };

struct outcome {
    double loss[STEPS], balance[STEPS], recomputed[STEPS];
    double held, peak;
    uint64_t weights; /* a sum of all their bits */
};

static int on_progress(void *arg, int done, int total, const char *text)
{
    (void)arg, (void)done, (void)total, (void)text;
    return 0;
}

static uint64_t sum_bits(const struct param_list *params)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < params->count; i++) {
        const struct tensor *t = params->entries[i].tensor;
        for (int64_t k = 0; k < tensor_count(t); k++) {
            uint32_t bits;
            memcpy(&bits, &t->data[k], sizeof bits);
            sum = sum * 31 + bits;
        }
    }
    return sum;
}

static void learn(struct outcome *out, int stage, double memory_gb)
{
    struct train_config config;
    struct learner l;
    struct error err = {0};
    struct distributed alone = {.ranks = 1};
    const struct dataset_progress progress = {on_progress, NULL};
    read_config(&config);
    config.memory_gb = memory_gb;
    int rc = learner_init(&l, &config, &alone, clips.folder, false, &progress, &err);
    rc = rc ? rc : learner_choose(&l, stage, &err);
    rc = rc ? rc : learner_prepare(&l, &progress, &err);
    l.arena.peak = 0;
    for (int i = 0; !rc && i < STEPS; i++) {
        struct step_report report;
        rc = learner_step(&l, i, &report, &err);
        out->loss[i] = report.measures.loss;
        out->balance[i] = report.measures.balance;
        out->recomputed[i] = report.recomputed;
    }
    if (rc)
        fail_msg("%s", err.message);
    out->held = l.held_bytes;
    out->peak = (double)l.arena.peak;
    out->weights = sum_bits(&l.params);
    learner_release(&l);
    train_config_release(&config);
}

static void test_same_numbers(void **state)
{
    (void)state;
    for (int stage = 0; stage < 3; stage++) {
        struct outcome kept, again;
        learn(&kept, stage, 0);
        learn(&again, stage, 1e-6);
        print_message("stage %d: %.2f MB kept, %.2f MB again\n", stage, kept.peak / 1e6,
                      again.peak / 1e6);
        for (int i = 0; i < STEPS; i++) {
            assert_true(kept.recomputed[i] == 0 && again.recomputed[i] == 1);
            assert_true(kept.loss[i] == again.loss[i] && kept.loss[i] > 0);
            assert_true(kept.balance[i] == again.balance[i]);
        }
        assert_true(kept.weights == again.weights);
        assert_true(again.peak < (stage ? 0.6 : 0.9) * kept.peak);
    }
}

/* A fifth more than is used is enough, a fifth less is not. */
static void test_limit_is_what_is_used(void **state)
{
    (void)state;
    for (int stage = 0; stage < 3; stage++) {
        struct outcome kept, some;
        learn(&kept, stage, 0);
        learn(&some, stage, (kept.held + 1.2 * kept.peak) / 1e9);
        double enough = some.recomputed[0] + some.recomputed[1] + some.recomputed[2];
        learn(&some, stage, (kept.held + 0.8 * kept.peak) / 1e9);
        double little = some.recomputed[0] + some.recomputed[1] + some.recomputed[2];
        print_message("stage %d: %.1f of 3 steps again with more, %.1f with less\n", stage, enough,
                      little);
        assert_true(enough == 0);
        assert_true(little > 0);
    }
}

int main(void)
{
    omp_set_num_threads(1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_numbers),
                                       cmocka_unit_test(test_limit_is_what_is_used)};
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
