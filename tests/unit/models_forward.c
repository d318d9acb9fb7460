/*
 * Equalities of the forward pass that hold whatever the weights are: a batch is its items one by
 * one, requests packed together are the requests alone, decoding with the cache is running it all
 * again, untrained experts are none, and one set of experts serves every rate.
 */
#include "unit/small_model.h"

/* ---- encoders ---------------------------------------------------------------------------- */

static void batch_of_sounds_is_each_alone(void **unused)
{
    (void)unused;
    static const int64_t lengths[] = {37, 60, 18};
    struct recognizer_config config;
    struct small_model m;
    small_config(&config);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    struct tensor *x = small_random(&m, TENSOR_SHAPE(3, 60, 10)); /* padding is not zero */
    struct tensor *all = recognizer_encode_audio(m.r, &m.c, x, lengths);
    assert_int_equal(tensor_rows(all), 3 * 30);
    for (int i = 0; i < 3; i++) {
        struct tensor *one = tensor_from(&m.c, x->data + i * 600, TENSOR_SHAPE(1, lengths[i], 10));
        struct tensor *y = recognizer_encode_audio(m.r, &m.c, one, NULL);
        assert_int_equal(tensor_rows(y), (lengths[i] + 1) / 2);
        assert_same(all->data + (int64_t)i * 30 * 16, y->data, tensor_count(y), "sound");
        for (int64_t row = tensor_rows(y); row < 30; row++)
            assert_true(all->data[(i * 30 + row) * 16] == 0);
    }
    small_close(&m);
}

static void batch_of_pictures_is_each_alone(void **unused)
{
    (void)unused;
    static const int64_t lengths[] = {4, 7};
    struct recognizer_config config;
    struct small_model m;
    small_config(&config);
    for (int zeros = 0; zeros < 2; zeros++) {
        config.video.audio_branch_zeros = zeros;
        small_open(&m, &config);
        small_shake(m.r, &m.err);
        struct tensor *x = small_random(&m, TENSOR_SHAPE(2, 7, 88, 88, 1));
        for (int recording = 0; recording < 2; recording++) {
            m.c.tape = recording ? &m.tape : NULL;
            struct tensor *all = recognizer_encode_video(m.r, &m.c, x, lengths);
            for (int i = 0; i < 2; i++) {
                struct tensor *one = tensor_from(&m.c, x->data + i * 7 * 7744,
                                                 TENSOR_SHAPE(1, lengths[i], 88, 88, 1));
                struct tensor *y = recognizer_encode_video(m.r, &m.c, one, NULL);
                assert_int_equal(tensor_rows(y), lengths[i]);
                assert_same(all->data + (int64_t)i * 7 * 16, y->data, tensor_count(y), "pictures");
            }
            tape_clear(&m.tape);
        }
        small_close(&m);
    }
}

/* A frozen norm keeps its running statistics while the rest trains; a trained one moves them. */
static void frozen_norms_keep_their_statistics(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    small_config(&config);
    small_open(&m, &config);
    struct tensor *x = small_random(&m, TENSOR_SHAPE(1, 3, 88, 88, 1));
    const float *mean = m.r->video.stem.mean.data;
    m.c.training = true;
    m.c.tape = &m.tape;
    recognizer_encode_video(m.r, &m.c, x, NULL);
    assert_true(mean[0] == 0 && mean[1] == 0);
    struct param_freezer trained;
    param_freezer_init(&trained, "video.", true, &m.err);
    recognizer_params(m.r, &trained.visitor);
    assert_true(trained.code == 0 && trained.matched > 50);
    recognizer_encode_video(m.r, &m.c, x, NULL);
    assert_true(mean[0] != 0 && mean[1] != 0);
    small_close(&m);
}

/* A clip by itself is done in parts, a batch is not. */
static void long_clip_is_its_parts(void **unused)
{
    (void)unused;
    enum { FRAMES = 150 };
    struct recognizer_config config;
    struct small_model m;
    small_config(&config);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    struct tensor *x = small_random(&m, TENSOR_SHAPE(2, FRAMES, 88, 88, 1));
    for (int64_t frames = FRAMES; frames > 0; frames -= 43) {
        struct tensor *one = tensor_from(&m.c, x->data, TENSOR_SHAPE(1, frames, 88, 88, 1));
        const int64_t lengths[] = {frames, FRAMES};
        struct tensor *y = recognizer_encode_video(m.r, &m.c, one, NULL);
        struct tensor *whole = recognizer_encode_video(m.r, &m.c, x, lengths);
        assert_int_equal(tensor_rows(y), frames);
        assert_same(whole->data, y->data, tensor_count(y), "parts");
    }
    small_close(&m);
}

/* ---- requests ---------------------------------------------------------------------------- */

enum { REQUESTS = 6 };
static const int32_t text[] = {40, 41, 42, 43, 44};

/* Every task, every pair, texts of several lengths; two clips of 2 s and 1 s lie in the states. */
static void make_requests(struct request *q)
{
    const struct span sound[] = {{0, 100}, {100, 50}}, pictures[] = {{0, 50}, {50, 25}};
    q[0] = (struct request){TASK_AVSR, 4, 2, sound[0], pictures[0], text, 5, NULL, 1};
    q[1] = (struct request){TASK_AVSR, 16, 5, sound[0], pictures[0], text, 5, NULL, 1};
    q[2] = (struct request){TASK_AVSR, 4, 5, sound[1], pictures[1], text, 3, NULL, 1};
    q[3] = (struct request){TASK_AVSR, 16, 2, sound[1], pictures[1], NULL, 0, NULL, 1};
    q[4] = (struct request){TASK_ASR, 4, 0, sound[0], {0, 0}, text + 1, 2, NULL, 1};
    q[5] = (struct request){TASK_VSR, 0, 5, {0, 0}, pictures[1], text, 4, NULL, 1};
}

static void with_every_adapter(void (*test)(struct small_model *m))
{
    for (int placement = 0; placement < MOME_PLACEMENTS; placement++)
        for (int variant = 0; variant < 4; variant++) {
            struct recognizer_config config;
            struct small_model m;
            small_config(&config);
            config.mome.placement = (enum mome_placement)placement;
            config.mome.separate_routers = variant & 1;
            config.mome.biases = config.mome.normalise_input = variant & 2;
            config.mome.renormalise = variant == 3;
            config.lora.inner = variant > 0 ? 2 : 0;
            config.lora.per_rate = variant & 2;
            config.lora.global = variant & 1;
            small_open(&m, &config);
            small_shake(m.r, &m.err);
            test(&m);
            small_close(&m);
        }
}

static void check_packed(struct small_model *m)
{
    struct request q[REQUESTS];
    struct prefilled all, one;
    struct tensor *sound = small_audio(m, 3), *pictures = small_video(m, 3);
    int64_t vocab = m->r->config.llm.vocab, tokens = 0;
    make_requests(q);
    recognizer_prefill(m->r, &m->c, sound, pictures, q, REQUESTS, NULL, &all);
    for (int i = 0; i < REQUESTS; i++) {
        recognizer_prefill(m->r, &m->c, sound, pictures, &q[i], 1, NULL, &one);
        assert_int_equal(all.spans[i].length, q[i].text_count + 1);
        assert_int_equal(one.tokens, recognizer_request_rows(m->r, &q[i], NULL));
        assert_same(all.logits->data + all.spans[i].start * vocab, one.logits->data,
                    tensor_count(one.logits), "packed");
        const int32_t *target = all.targets + all.spans[i].start;
        for (int j = 0; j < q[i].text_count; j++)
            assert_int_equal(target[j], q[i].text[j]);
        assert_int_equal(target[q[i].text_count], m->r->tokens.eos);
        tokens += one.tokens;
    }
    assert_int_equal(all.tokens, tokens);
}

static void packed_requests_are_each_alone(void **unused)
{
    (void)unused;
    with_every_adapter(check_packed);
}

/* Prefill without the text, then the text token by token. */
static void check_cached(struct small_model *m)
{
    struct request q[REQUESTS], bare[REQUESTS];
    struct prefilled whole, start;
    struct kv_cache cache;
    struct tensor *sound = small_audio(m, 3), *pictures = small_video(m, 3);
    int64_t vocab = m->r->config.llm.vocab;
    make_requests(q);
    q[3].text = q[4].text = text;
    for (int i = 0; i < REQUESTS; i++) {
        q[i].text_count = 3;
        bare[i] = q[i];
        bare[i].text_count = 0;
    }
    recognizer_prefill(m->r, &m->c, sound, pictures, q, REQUESTS, NULL, &whole);
    assert_int_equal(recognizer_cache_init(m->r, &cache, REQUESTS, 160, m->c.precision, &m->err),
                     0);
    recognizer_prefill(m->r, &m->c, sound, pictures, bare, REQUESTS, &cache, &start);
    const float *logits = start.logits->data;
    for (int step = 0; step <= 3; step++) {
        for (int i = 0; i < REQUESTS; i++)
            assert_same(logits + i * vocab,
                        whole.logits->data + (whole.spans[i].start + step) * vocab, vocab,
                        "cached");
        int32_t next[REQUESTS];
        for (int i = 0; i < REQUESTS; i++)
            next[i] = q[i].text[step];
        if (step < 3)
            logits = recognizer_step(m->r, &m->c, next, REQUESTS, &cache)->data;
    }
    kv_cache_release(&cache);
}

static void cached_decoding_is_uncached(void **unused)
{
    (void)unused;
    with_every_adapter(check_cached);
}

/* Beams that split, swap and die hold what their history says. */
static void beams_follow_their_parents(void **unused)
{
    (void)unused;
    enum { BEAMS = 4, STEPS = 5 };
    static const int32_t parents[STEPS][BEAMS] = {
        {0, 0, 0, 0}, {1, 0, 3, 2}, {0, 0, 1, 3}, {2, 2, 2, 0}, {3, 2, 1, 0}};
    static const int32_t next[STEPS][BEAMS] = {
        {40, 41, 42, 43}, {44, 45, 46, 47}, {48, 49, 50, 51}, {52, 53, 54, 55}, {56, 57, 58, 59}};
    int32_t history[BEAMS][STEPS] = {{0}}, old[BEAMS][STEPS];
    struct recognizer_config config;
    struct small_model m;
    struct request q[REQUESTS];
    struct prefilled out;
    struct kv_cache cache;
    small_config(&config);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
    make_requests(q);
    q[0].text_count = 0;
    assert_int_equal(recognizer_cache_init(m.r, &cache, BEAMS, 160, m.c.precision, &m.err), 0);
    for (int round = 0; round < 2; round++) { /* the second on a used cache */
        recognizer_prefill(m.r, &m.c, sound, pictures, q, 1, &cache, &out);
        for (int step = 0; step < STEPS; step++) {
            kv_cache_reorder(&cache, parents[step], BEAMS);
            struct tensor *logits = recognizer_step(m.r, &m.c, next[step], BEAMS, &cache);
            memcpy(old, history, sizeof old);
            for (int b = 0; b < BEAMS; b++) {
                memcpy(history[b], old[parents[step][b]], sizeof history[b]);
                history[b][step] = next[step][b];
                struct request again = q[0];
                again.text = history[b];
                again.text_count = step + 1;
                recognizer_prefill(m.r, &m.c, sound, pictures, &again, 1, NULL, &out);
                int64_t vocab = m.r->config.llm.vocab;
                assert_same(logits->data + b * vocab, out.logits->data + (step + 1) * vocab, vocab,
                            "beam");
            }
        }
    }
    kv_cache_release(&cache);
    small_close(&m);
}

/* ---- experts ----------------------------------------------------------------------------- */

/* Logits of all requests from a model with these experts and the seed's other weights. */
static void logits_with(enum mome_placement placement, bool shake, float *logits, int64_t *count)
{
    struct recognizer_config config;
    struct small_model m;
    struct request q[REQUESTS];
    struct prefilled out;
    small_config(&config);
    config.mome.placement = placement;
    small_open(&m, &config);
    for (int i = 0; shake && i < m.r->mome.count; i++)
        for (int64_t j = 0; j < tensor_count(&m.r->mome.layers[i].up); j++)
            m.r->mome.layers[i].up.data[j] = (float)(j % 5) - 2;
    struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
    make_requests(q);
    recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &out);
    *count = tensor_count(out.logits);
    assert_true(*count <= 20000);
    memcpy(logits, out.logits->data, (size_t)*count * sizeof *logits);
    small_close(&m);
}

static void untrained_experts_are_none(void **unused)
{
    (void)unused;
    static float alone[20000], with[20000];
    int64_t count;
    logits_with(MOME_NONE, false, alone, &count);
    for (int placement = 1; placement < MOME_PLACEMENTS; placement++) {
        logits_with((enum mome_placement)placement, false, with, &count);
        assert_memory_equal(alone, with, (size_t)count * sizeof *with);
        logits_with((enum mome_placement)placement, true, with, &count);
        assert_true(difference(with, alone, count) > 0.01);
    }
}

/* One expert tensor changes: so does the result of every task and rate pair. */
static void all_rates_use_the_same_experts(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    struct request q[REQUESTS];
    struct prefilled before, after;
    small_config(&config);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
    int64_t vocab = m.r->config.llm.vocab;
    make_requests(q);
    recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &before);
    struct param_list list;
    param_list_init(&list, &m.err);
    recognizer_params(m.r, &list.visitor);
    struct tensor *up = param_list_find(&list, "mome.layers.0.up.weight")->tensor;
    for (int64_t i = 0; i < tensor_count(up); i++)
        up->data[i] += 1;
    parameter_changed(up);
    recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &after);
    for (int i = 0; i < REQUESTS; i++)
        assert_true(difference(after.logits->data + after.spans[i].start * vocab,
                               before.logits->data + before.spans[i].start * vocab,
                               after.spans[i].length * vocab) > 1e-3);
    param_list_release(&list);
    small_close(&m);
}

/* The step of stage 2: everything frozen but projectors and experts, all pairs, balance terms; a
   few steps of plain descent lower the loss and leave the frozen parts without gradients. */
static void stage_two_learns(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    struct request q[REQUESTS];
    struct prefilled out;
    small_config(&config);
    small_open(&m, &config);
    struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
    make_requests(q);
    struct param_freezer experts, projectors;
    param_freezer_init(&experts, "mome.", true, &m.err);
    recognizer_params(m.r, &experts.visitor);
    param_freezer_init(&projectors, "projector.", true, &m.err);
    recognizer_params(m.r, &projectors.visitor);
    assert_int_equal(experts.matched, 2 * 5);
    assert_int_equal(projectors.matched, 4 * 6);
    struct param_list list;
    param_list_init(&list, &m.err);
    recognizer_params(m.r, &list.visitor);
    m.c.tape = &m.tape;
    float losses[20];
    for (int step = 0; step < 20; step++) {
        recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &out);
        struct tensor *balance[2];
        for (int i = 0; i < 2; i++) {
            float share = 0;
            for (int n = 0; n < 5; n++)
                share += out.expert_share[i * 5 + n];
            balance[i] = op_load_balance(&m.c, out.scores[i], out.expert_share + i * 5);
            assert_true(fabsf(share - 1) < 1e-5f && balance[i]->data[0] > 0.5f);
        }
        struct tensor *loss = op_cross_entropy(&m.c, out.logits, out.targets, NULL, 0);
        losses[step] = loss->data[0];
        loss = op_weighted_sum(&m.c, (struct tensor *[]){loss, balance[0], balance[1]},
                               (float[]){1, 0.01f, 0.01f}, 3);
        tape_backward(&m.c, loss, 1);
        for (int64_t i = 0; i < list.count; i++) {
            struct tensor *t = list.entries[i].tensor;
            bool trains = strncmp(list.entries[i].name, "mome.", 5) == 0 ||
                          strncmp(list.entries[i].name, "projector.", 10) == 0;
            assert_true((t->grad != NULL) == trains);
            for (int64_t j = 0; t->grad && j < tensor_count(t); j++) {
                t->data[j] -= 0.05f * t->grad[j];
                t->grad[j] = 0;
            }
            if (t->grad)
                parameter_changed(t);
        }
    }
    for (int step = 1; step < 20; step++)
        assert_true(losses[step] < losses[step - 1]);
    param_list_release(&list);
    small_close(&m);
}

/* ---- variants ---------------------------------------------------------------------------- */

/* All that is a setting, as config.json has it, beside these sizes. */
#define SIZES                                                                                      \
    "{\"audio\": {\"mels\": 10, \"d\": 16, \"layers\": 1, \"heads\": 2, \"ffn\": 24},"             \
    "\"video\": {\"stem\": 2, \"widths\": [2, 4, 6, 8], \"d\": 16, \"layers\": 1, \"heads\": 2,"   \
    "\"ffn\": 24, \"position_kernel\": 4, \"position_groups\": 4},"                                \
    "\"llm\": {\"vocab\": 300, \"d\": 24, \"layers\": 2, \"heads\": 4, \"kv_heads\": 2,"           \
    "\"head_dim\": 6, \"ffn\": 32},"

static const char *const variants[] = {
    SIZES "\"mome\": {\"placement\": \"mhsa\"}}",
    SIZES "\"mome\": {\"placement\": \"ffn\"}}",
    SIZES "\"mome\": {\"placement\": \"layer\", \"normalise_input\": false}}",
    SIZES "\"mome\": {\"placement\": \"layer\", \"normalise_input\": true}}",
    SIZES "\"mome\": {\"routed\": 1, \"active\": 1, \"shared\": 1, \"bottleneck\": 1}}",
    SIZES "\"mome\": {\"routed\": 1, \"active\": 1, \"shared\": 0, \"bottleneck\": 48}}",
    SIZES "\"mome\": {\"routed\": 0, \"shared\": 2, \"bottleneck\": 1}}",
    SIZES "\"mome\": {\"routed\": 23, \"active\": 4, \"shared\": 2, \"bottleneck\": 12}}",
    SIZES "\"mome\": {\"routed\": 4, \"active\": 4, \"biases\": false}}",
    SIZES "\"mome\": {\"routed\": 4, \"active\": 2, \"biases\": true, \"renormalise\": true}}",
    SIZES "\"mome\": {\"separate_routers\": true}}",
    SIZES
    "\"mome\": {\"separate_routers\": true, \"bottleneck\": 1}, \"projector\": {\"hidden\": 1}}",
    SIZES "\"projector\": {\"stack\": true, \"norm\": true}}",
    SIZES "\"projector\": {\"stack\": true, \"norm\": false}}",
    SIZES "\"projector\": {\"stack\": false, \"norm\": false}}",
    SIZES "\"mome\": {\"placement\": \"none\"}, \"lora\": {\"inner\": 1, \"scale\": 1}}",
    SIZES "\"mome\": {\"placement\": \"none\"},"
          "\"lora\": {\"inner\": 2, \"global\": false, \"per_rate\": true}}",
    SIZES "\"mome\": {\"placement\": \"layer\"}, \"lora\": {\"inner\": 2, \"per_rate\": true},"
          "\"video_lora\": {\"inner\": 1}}",
};

/* Alone as packed, and trained: every adapter and projector that a request uses gets a gradient. */
static void every_variant_runs_and_trains(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct recognizer_config config;
        struct small_model m = {0};
        struct request q[REQUESTS];
        struct prefilled out;
        if (config_from_json(&config, variants[i], "variant", &m.err) != 0)
            fail_msg("%s", m.err.message);
        config.llm.vocab = 0; /* the tokenizer's */
        small_open(&m, &config);
        small_shake(m.r, &m.err);
        check_packed(&m);
        struct param_freezer trained;
        struct param_list list;
        for (int k = 0; k < 3; k++) {
            param_freezer_init(&trained, (const char *[]){"mome.", "lora.", "projector."}[k], true,
                               &m.err);
            recognizer_params(m.r, &trained.visitor);
        }
        struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
        make_requests(q);
        m.c.tape = &m.tape;
        recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &out);
        struct tensor *loss = op_cross_entropy(&m.c, out.logits, out.targets, NULL, 0);
        tape_backward(&m.c, loss, 1);
        param_list_init(&list, &m.err);
        recognizer_params(m.r, &list.visitor);
        for (int64_t k = 0; k < list.count; k++) {
            const struct tensor *t = list.entries[k].tensor;
            double sum = 0;
            for (int64_t j = 0; t->grad && j < tensor_count(t); j++)
                sum += fabs((double)t->grad[j]);
            if (config.mome.routed == 1 && strstr(list.entries[k].name, "router"))
                continue; /* one expert: its gate is 1 */
            if (t->grad && !(sum > 0 && isfinite(sum)))
                fail_msg("%s: no gradient of %s", variants[i], list.entries[k].name);
        }
        param_list_release(&list);
        small_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_of_sounds_is_each_alone),
        cmocka_unit_test(batch_of_pictures_is_each_alone),
        cmocka_unit_test(long_clip_is_its_parts),
        cmocka_unit_test(frozen_norms_keep_their_statistics),
        cmocka_unit_test(packed_requests_are_each_alone),
        cmocka_unit_test(cached_decoding_is_uncached),
        cmocka_unit_test(beams_follow_their_parents),
        cmocka_unit_test(untrained_experts_are_none),
        cmocka_unit_test(all_rates_use_the_same_experts),
        cmocka_unit_test(stage_two_learns),
        cmocka_unit_test(every_variant_runs_and_trains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
