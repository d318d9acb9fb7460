/* The model folder, the parameter walk, the configuration file and the choice of rates. */
#include "unit/small_model.h"

/* ---- folder and walk --------------------------------------------------------------------- */

static void list_all(struct small_model *m, struct param_list *list)
{
    param_list_init(list, &m->err);
    recognizer_params(m->r, &list->visitor);
    assert_int_equal(list->code, 0);
}

static void walk_has_published_names(void **unused)
{
    (void)unused;
    static const char *const names[] = {
        "audio.model.encoder.conv1.weight",
        "audio.model.encoder.embed_positions.weight",
        "audio.model.encoder.layers.1.self_attn.out_proj.bias",
        "video.feature_extractor_video.resnet.frontend3D.0.weight",
        "video.feature_extractor_video.resnet.trunk.layer2.0.downsample.1.running_var",
        "video.encoder.pos_conv.0.weight",
        "projector.audio.16.2.weight",
        "projector.video.5.3.bias",
        "llm.model.embed_tokens.weight",
        "llm.model.layers.1.mlp.gate_proj.weight",
        "mome.layers.1.router.weight",
    };
    struct recognizer_config config;
    struct small_model m;
    struct param_list list;
    struct param_counter counter;
    small_config(&config);
    small_open(&m, &config);
    list_all(&m, &list);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!param_list_find(&list, names[i]))
            fail_msg("no %s", names[i]);
    assert_null(param_list_find(&list, "audio.model.encoder.layers.0.self_attn.k_proj.bias"));
    assert_null(param_list_find(&list, "llm.lm_head.weight"));
    for (int64_t i = 0; i < list.count; i++)
        for (int64_t j = 0; j < i; j++)
            assert_string_not_equal(list.entries[i].name, list.entries[j].name);
    param_counter_init(&counter);
    recognizer_params(m.r, &counter.visitor);
    assert_int_equal(counter.tensors, list.count);
    assert_int_equal(counter.trainable, 0);
    param_list_release(&list);
    small_close(&m);
}

/* The paper's own count: MoME-23/4, b 12, on Llama 3.2-3B has 12.73 M active parameters. */
static void experts_count_as_printed(void **unused)
{
    (void)unused;
    struct experts e;
    struct param_counter counter;
    experts_init(&e, &(struct experts_sizes){.width = 3072,
                                             .routed = 23,
                                             .active = 4,
                                             .shared = 1,
                                             .bottleneck = 12,
                                             .routers = 1,
                                             .biases = true});
    param_counter_init(&counter);
    experts_params(&e, &counter.visitor);
    int64_t router = 23 * 3072, one = (counter.parameters - router) / 24;
    assert_int_equal((counter.parameters - router) % 24, 0);
    assert_int_equal(28 * (5 * one + router), 12732048);
}

static void saved_model_opens_the_same(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    small_config(&config);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct recognizer *again;
        struct param_list before, after;
        assert_int_equal(recognizer_save(m.r, m.folder, bf16, &m.err), 0);
        if (recognizer_open(&again, m.folder, &m.err) != 0)
            fail_msg("%s", m.err.message);
        assert_memory_equal(&again->config, &m.r->config, sizeof config);
        assert_memory_equal(again->tokens.prompt[TASK_VSR], m.r->tokens.prompt[TASK_VSR],
                            (size_t)again->tokens.prompt_count[TASK_VSR] * sizeof(int32_t));
        list_all(&m, &before);
        param_list_init(&after, &m.err);
        recognizer_params(again, &after.visitor);
        assert_int_equal(before.count, after.count);
        for (int64_t i = 0; i < before.count; i++) {
            const struct tensor *x = before.entries[i].tensor, *y = after.entries[i].tensor;
            assert_string_equal(before.entries[i].name, after.entries[i].name);
            if (bf16) { /* tables and products stay as they are stored */
                float *z = memory_new((size_t)tensor_count(x), sizeof *z);
                parameter_read(z, y, 0, tensor_count(y));
                assert_true(difference(z, x->data, tensor_count(x)) < 4e-3);
                memory_free(z);
            } else {
                assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof(float));
            }
        }
        param_list_release(&before);
        param_list_release(&after);
        recognizer_free(again);
    }
    small_close(&m);
}

/* Same numbers from the same seed, others from another. */
static void seeds_decide(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model a, b;
    small_config(&config);
    small_open(&a, &config);
    small_open(&b, &config);
    const struct tensor *x = &a.r->llm.embed, *y = &b.r->llm.embed;
    assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * sizeof(float));
    struct param_initialiser other;
    param_initialiser_init(&other, 4);
    recognizer_params(b.r, &other.visitor);
    assert_true(difference(y->data, x->data, tensor_count(x)) > 1);
    small_close(&a);
    small_close(&b);
}

/* A config.json that does not fit the weights beside it. */
static void wrong_shapes_are_told(void **unused)
{
    (void)unused;
    static const struct {
        int layers, ffn;
        const char *message;
    } cases[] = {
        {2, 40, "mlp.gate_proj.weight"},
        {3, 32, "llm.model.layers.2."},
        {1, 32, "configuration does not have"},
    };
    struct recognizer_config config;
    struct small_model m;
    struct recognizer *r;
    small_config(&config);
    small_open(&m, &config);
    assert_int_equal(recognizer_save(m.r, m.folder, false, &m.err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config = m.r->config;
        config.llm.layers = cases[i].layers;
        config.llm.ffn = cases[i].ffn;
        char *json = config_to_json(&config), *path = file_join(m.folder, "config.json");
        assert_int_equal(file_write(path, json, strlen(json), &m.err), 0);
        assert_int_equal(recognizer_open(&r, m.folder, &m.err), ERROR_FORMAT);
        assert_null(r);
        assert_non_null(strstr(m.err.message, "model.safetensors"));
        if (!strstr(m.err.message, cases[i].message))
            fail_msg("%s", m.err.message);
        memory_free(json);
        memory_free(path);
    }
    small_close(&m);
    assert_int_equal(recognizer_open(&r, "/nowhere", &m.err), ERROR_IO);
    assert_non_null(strstr(m.err.message, "/nowhere/config.json"));
}

static void one_encoder_is_enough(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    struct recognizer *again;
    small_config(&config);
    config.has_video = false;
    small_open(&m, &config);
    assert_int_equal(recognizer_save(m.r, m.folder, false, &m.err), 0);
    assert_int_equal(recognizer_open(&again, m.folder, &m.err), 0);
    assert_false(again->config.has_video);
    assert_int_equal(recognizer_check_rates(again, TASK_ASR, 4, 2, false, NULL, &m.err), 0);
    assert_int_equal(recognizer_check_rates(again, TASK_AVSR, 4, 2, false, NULL, &m.err),
                     ERROR_USAGE);
    assert_non_null(strstr(m.err.message, "video"));
    recognizer_free(again);
    small_close(&m);
}

static void heads_are_apart(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    struct param_counter without, with, heads;
    small_config(&config);
    small_open(&m, &config);
    param_counter_init(&without);
    recognizer_params(m.r, &without.visitor);
    assert_int_equal(recognizer_add_heads(m.r, 7, 9, 1, &m.err), 0);
    param_counter_init(&with);
    recognizer_params(m.r, &with.visitor);
    param_counter_init(&heads);
    recognizer_head_params(m.r, &heads.visitor);
    assert_int_equal(with.parameters, without.parameters);
    assert_int_equal(heads.parameters, 7 * 17 + 9 * 17);
    struct tensor *y = recognizer_video_head(m.r, &m.c, small_video(&m, 1));
    assert_true(tensor_rows(y) == 25 && tensor_width(y) == 9);
    small_close(&m);
}

/* ---- rates ------------------------------------------------------------------------------- */

static int check(struct small_model *m, enum task task, int audio, int video, bool nearest,
                 bool *untrained)
{
    return recognizer_check_rates(m->r, task, audio, video, nearest, untrained, &m->err);
}

static void rates_are_checked(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model m;
    bool untrained;
    small_config(&config);
    small_open(&m, &config);
    assert_int_equal(check(&m, TASK_AVSR, 8, 2, false, &untrained), ERROR_USAGE);
    assert_string_equal(m.err.message, "the model has no audio rate 8; it has 4 16");
    assert_int_equal(check(&m, TASK_VSR, 8, 2, false, &untrained), 0);
    assert_false(untrained);
    assert_int_equal(check(&m, TASK_AVSR, 8, 2, true, &untrained), 0);
    assert_true(untrained);
    assert_int_equal(check(&m, TASK_AVSR, 16, 5, true, &untrained), 0);
    assert_false(untrained);
    assert_int_equal(check(&m, TASK_VSR, 4, 1000, true, &untrained), 0);
    assert_true(untrained);
    assert_int_equal(check(&m, TASK_VSR, 4, -1, true, &untrained), ERROR_USAGE);
    assert_int_equal(check(&m, TASK_ASR, 0, 2, true, &untrained), ERROR_USAGE);
    small_close(&m);
    config.projector.stack = true;
    small_open(&m, &config);
    assert_int_equal(check(&m, TASK_ASR, 4, 0, true, &untrained), 0);
    assert_int_equal(check(&m, TASK_ASR, 8, 0, true, &untrained), ERROR_USAGE);
    assert_string_equal(
        m.err.message,
        "frames are stacked, which fixes the rates: the model has no audio rate 8; it has 4 16");
    small_close(&m);
}

/* ---- config.json ------------------------------------------------------------------------- */

static void config_survives_json(void **unused)
{
    (void)unused;
    struct recognizer_config config, again;
    struct error err;
    memset(&config, 0, sizeof config);
    small_config(&config);
    config.llm.vocab = 321;
    config.audio.dropout = 0.1f;
    config.llm.rope_theta = 500000;
    config.mome.placement = MOME_LAYER;
    config.lora = (struct lora_config){.inner = 6, .scale = 0.5f, .per_rate = true};
    config.video_lora.inner = 3;
    config.projector.audio_rate_count = 5;
    for (int i = 0; i < 5; i++)
        config.projector.audio_rates[i] = 4 * (i + 1);
    for (int video = 0; video < 2; video++) {
        config.has_video = video;
        char *json = config_to_json(&config), *once_more;
        assert_int_equal(config_from_json(&again, json, "config.json", &err), 0);
        once_more = config_to_json(&again);
        assert_string_equal(json, once_more);
        assert_true(again.has_video == video && again.projector.audio_rates[4] == 20);
        assert_true(again.lora.inner == 6 && again.lora.scale == 0.5f && again.lora.per_rate);
        assert_true(!again.lora.global && again.video_lora.inner == 3);
        assert_true(again.audio.dropout == 0.1f && again.mome.placement == MOME_LAYER);
        memory_free(json);
        memory_free(once_more);
    }
}

static void wrong_configs_are_told(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        {"{", "x.json:1"},
        {"[]", "object"},
        {"{\"llm\": {\"vocab\": 300}, \"lm\": {}}", "\"lm\""},
        {"{\"llm\": {\"vocab\": 300, \"layer\": 3}}", "\"llm.layer\""},
        {"{\"llm\": {\"vocab\": 300, \"layers\": 3.5}}", "\"llm.layers\" must be an integer"},
        {"{\"llm\": {\"vocab\": 300, \"layers\": 0}}", "\"llm.layers\" is 0, it must be 1 to 512"},
        {"{\"llm\": {\"vocab\": 300, \"d\": 99999999999}}", "\"llm.d\" is 99999999999"},
        {"{\"llm\": {\"vocab\": 300, \"heads\": 3}}", "does not divide"},
        {"{\"llm\": {\"vocab\": 300, \"head_dim\": 31}}", "does not divide"},
        {"{\"llm\": {\"vocab\": 300, \"dropout\": 1.5}}", "\"llm.dropout\" is 1.5"},
        {"{\"llm\": {}}", "\"llm.vocab\" is 0"},
        {"{\"llm\": {\"vocab\": 300}, \"llm\": {}}", "x.json"},
        {"{\"llm\": {\"vocab\": 300}, \"audio\": 3}", "\"audio\" must be an object"},
        {"{\"llm\": {\"vocab\": 300}, \"audio\": null, \"video\": null}", "neither"},
        {"{\"llm\": {\"vocab\": 300}, \"video\": {\"widths\": [1, 2]}}", "\"video.widths\""},
        {"{\"llm\": {\"vocab\": 300}, \"video\": {\"position_groups\": 7}}", "position_groups"},
        {"{\"llm\": {\"vocab\": 300}, \"projector\": {\"audio_rates\": []}}", "audio_rates"},
        {"{\"llm\": {\"vocab\": 300}, \"projector\": {\"audio_rates\": [4, 4]}}", "4 twice"},
        {"{\"llm\": {\"vocab\": 300}, \"mome\": {\"placement\": \"left\"}}", "\"mome.placement\""},
        {"{\"llm\": {\"vocab\": 300}, \"mome\": {\"active\": 24}}", "\"mome.active\" is 24"},
        {"{\"llm\": {\"vocab\": 300}, \"text\": {\"bos\": 3}}", "\"text.bos\""},
        {"{\"llm\": {\"vocab\": 300}, \"lora\": {\"inner\": -1}}", "\"lora.inner\" is -1"},
        {"{\"llm\": {\"vocab\": 300}, \"lora\": {\"rank\": 8}}", "\"lora.rank\""},
        {"{\"llm\": {\"vocab\": 300}, \"lora\": {\"inner\": 8, \"global\": false}}", "per_rate"},
        {"{\"llm\": {\"vocab\": 300}, \"video_lora\": {\"scale\": -2}}", "\"video_lora.scale\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recognizer_config config;
        struct error err = {0};
        assert_int_equal(config_from_json(&config, cases[i][0], "x.json", &err), ERROR_FORMAT);
        if (!strstr(err.message, cases[i][1]) || !strstr(err.message, "x.json"))
            fail_msg("%s gave: %s", cases[i][0], err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_has_published_names),
        cmocka_unit_test(experts_count_as_printed),
        cmocka_unit_test(saved_model_opens_the_same),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(wrong_shapes_are_told),
        cmocka_unit_test(one_encoder_is_enough),
        cmocka_unit_test(heads_are_apart),
        cmocka_unit_test(rates_are_checked),
        cmocka_unit_test(config_survives_json),
        cmocka_unit_test(wrong_configs_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
