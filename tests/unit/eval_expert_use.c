/* Shares and agreement of choices written down by hand, and of a small model's on a clip. */
#include "mouth_clips.h"
#include "small_model.h"
#include "eval/expert_use.h"

static void test_by_hand(void **state)
{
    (void)state;
    const struct result_expert_condition conditions[] = {
        {TASK_ASR, 1, 0}, {TASK_ASR, 2, 0}, {TASK_VSR, 0, 1}};
    const struct expert_rows rows[] = {{.rate = {1, 0}, .rows = {{0, 4}}},
                                       {.rate = {2, 0}, .rows = {{4, 2}}},
                                       {.rate = {0, 1}, .rows = {{0, 0}, {6, 2}}}};
    /* [2 layers, 8 rows, 2]; in the second layer everybody chooses 2 and 3 */
    int32_t chosen[2 * 8 * 2] = {0, 1, 0, 2, 1, 3, 0, 1, 0, 1, 2, 3, 0, 3, 1, 3};
    for (int i = 16; i < 32; i++)
        chosen[i] = 2 + i % 2;
    struct recognizer_config config;
    struct expert_use use;
    struct result r;
    struct error err;
    config_default(&config);
    config.llm.layers = 2;
    config.mome.placement = MOME_FFN;
    config.mome.routed = 4;
    config.mome.active = 2;
    assert_int_equal(expert_use_init(&use, &config, conditions, 3, &err), 0);
    expert_use_add(&use, chosen, 8, rows);
    expert_use_add(&use, chosen, 8, rows); /* a second clip alike changes no mean */
    assert_int_equal(result_init(&r, &err), 0);
    expert_use_result(&use, &r);
    const struct result_experts *e = r.experts;
    const double share[] = {3 / 8.0, 3 / 8.0, 1 / 8.0, 1 / 8.0, 0, 0, 0.5, 0.5};
    for (int i = 0; i < 8; i++)
        assert_true(e->share[i] == share[i]);
    /* sound at 1 and 2: 1, 1/2, 1/2, 0; sound at 1 and pictures: 1/2, 1/2, 1, 1/2; at 2: 1/2 */
    const double first[] = {1, 0.5, 0.625, 0.5, 1, 0.5, 0.625, 0.5, 1};
    for (int i = 0; i < 9; i++) {
        assert_true(e->agreement_by_layer[i] == first[i]);
        assert_true(e->agreement_by_layer[9 + i] == 1);
        assert_true(e->agreement[i] == (first[i] + 1) / 2);
    }
    result_release(&r);
    expert_use_release(&use);
    config.mome.placement = MOME_NONE;
    assert_int_equal(expert_use_init(&use, &config, conditions, 3, &err), ERROR_UNSUPPORTED);
}

static void test_of_a_clip(void **state)
{
    (void)state;
    const struct result_expert_condition conditions[] = {
        {TASK_ASR, 4, 0}, {TASK_ASR, 16, 0}, {TASK_VSR, 0, 2}, {TASK_AVSR, 4, 5}};
    struct recognizer_config config;
    struct small_model m;
    struct mouth_clips clips;
    struct transcriber t;
    struct expert_use use;
    struct result r;
    struct clip clip;
    char path[128];
    small_config(&config);
    config.longest_seconds = 0.8; /* the clip's 1.28 are two segments */
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    mouth_clips_make(&clips);
    snprintf(path, sizeof path, "%s/clip0.mp4", clips.folder);
    assert_int_equal(clip_load(&clip, path, NULL, &m.err), 0);
    assert_int_equal(transcriber_init(&t, m.r, &device_cpu, PRECISION_F32, &m.err), 0);
    assert_int_equal(expert_use_init(&use, &m.r->config, conditions, 4, &m.err), 0);
    assert_int_equal(result_init(&r, &m.err), 0);
    assert_int_equal(expert_use_clip(&use, &t, &clip, &m.err), 0);
    expert_use_result(&use, &r);
    for (int i = 0; i < 4 * 2; i++) {
        double sum = 0;
        for (int k = 0; k < 5; k++)
            sum += r.experts->share[i * 5 + k];
        assert_true(fabs(sum - 1) < 1e-9);
    }
    /* a transcript says the same of its own */
    struct transcript out;
    double share[2 * 5];
    assert_int_equal(transcriber_load(&t, &clip, TASK_AVSR, &m.err), 0);
    assert_int_equal(
        transcriber_run(&t, &out, TASK_AVSR, 4, 5,
                        &(struct beam_options){.beam = 2, .n_best = 1, .max_tokens = 3}, &m.err),
        0);
    assert_true(out.experts.layers == 2 && out.experts.routed == 5);
    expert_slots_share(share, &out.experts);
    for (int i = 0; i < 2 * 5; i++)
        assert_true(fabs(share[i] - r.experts->share[3 * 2 * 5 + i]) < 1e-9);
    transcript_release(&out);
    int64_t whole[2] = {0, 0}; /* frames of the rows of each segment, at rates 4 and 16 */
    assert_true(t.loaded->segments > 1);
    for (int i = 0; i < t.loaded->segments; i++)
        for (int k = 0; k < 2; k++)
            whole[k] += t.loaded->audio_states[i] / (k ? 16 : 4) * (k ? 16 : 4);
    assert_true(use.matched[0] == (double)whole[0] && use.matched[1] == (double)whole[1]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            double same = r.experts->agreement[i * 4 + j];
            assert_true(i == j ? fabs(same - 1) < 1e-9 : same >= 0 && same <= 1);
            assert_true(fabs(same - r.experts->agreement[j * 4 + i]) < 1e-9);
        }
    assert_int_equal(expert_use_similarity(&r, &t, &clip, "clip", &m.err), 0);
    const struct result_similarity *s = r.similarity;
    assert_int_equal(s->kinds, 4); /* 4 16, 2 5 */
    assert_true(!s->tokens[1].video && s->tokens[1].rate == 16 && s->tokens[3].video);
    assert_int_equal(s->tokens[2].count, t.loaded->segment[0].count / 2);
    for (int64_t i = 0; i < s->total; i++)
        for (int64_t j = 0; j < s->total; j++) {
            double cosine = s->matrix[i * s->total + j];
            assert_true(i == j ? fabs(cosine - 1) < 1e-5 : cosine >= -1 && cosine <= 1);
        }
    result_release(&r);
    expert_use_release(&use);
    clip_release(&clip);
    transcriber_release(&t);
    mouth_clips_remove(&clips);
    small_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_of_a_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
