/* Costs against numbers worked out by hand, and against the weights themselves: a row that sees no
   key costs two operations for each number of the matrices it goes through. */
#include "small_model.h"
#include "eval/cost.h"

static void test_audio_by_hand(void **state)
{
    (void)state;
    const struct recognizer_config config = {
        .audio = {.mels = 2, .d = 4, .layers = 1, .heads = 1, .ffn = 8}};
    /* 6 mel rows, 3 states: 6 x (3 x 2) x 4 + 3 x (3 x 4) x 4 products in the convolutions;
       4 x 3 x 4 x 4 + 2 x 3 x 4 x 8 in the layer's matrices; 2 x 3 x 3 x 4 in its attention */
    assert_true(cost_audio_encoder(&config, 6) == 2 * (144 + 144 + 192 + 192 + 72));
    assert_true(cost_audio_encoder(&config, 5) < cost_audio_encoder(&config, 6));
}

/* Whisper base over its 30 s: 20.6 M weights in the encoder, of which the table of positions and
   the biases do nothing; each of the others is used 1500 times (conv1: 3000). */
static void test_whisper_base(void **state)
{
    (void)state;
    const struct recognizer_config base = {
        .audio = {.mels = 80, .d = 512, .layers = 6, .heads = 8, .ffn = 2048}};
    double weights = 1500 * (6 * (4 * 512.0 * 512 + 2 * 512.0 * 2048) + 3 * 512.0 * 512) +
                     3000 * (3 * 80 * 512.0);
    double attention = 6 * 2 * 1500.0 * 1500 * 512;
    assert_float_equal(cost_audio_encoder(&base, 3000), 2 * (weights + attention), 1);
}

static void test_video_by_hand(void **state)
{
    (void)state;
    struct recognizer_config config = {.video = {.stem = 2,
                                                 .widths = {2, 3, 3, 4},
                                                 .blocks = {1, 1, 1, 1},
                                                 .d = 4,
                                                 .layers = 1,
                                                 .heads = 1,
                                                 .ffn = 8,
                                                 .position_kernel = 4,
                                                 .position_groups = 2}};
    double stem = 44 * 44 * 245 * 2;
    double trunk = 22 * 22 * (9 * 2 * 2 + 9 * 2 * 2) + 11 * 11 * (9 * 2 * 3 + 9 * 3 * 3 + 2 * 3) +
                   6 * 6 * (9 * 3 * 3 + 9 * 3 * 3 + 3 * 3) +
                   3 * 3 * (9 * 3 * 4 + 9 * 4 * 4 + 3 * 4);
    double rest = 4 * 4 + 4 * 2 * 4 + 4 * 4 * 4 + 2 * 4 * 8;
    double attention = 2 * 4; /* one picture sees itself */
    assert_true(cost_video_encoder(&config, 1) == 2 * (stem + trunk + rest + attention));
    struct recognizer_config more = config;
    more.video.audio_branch_zeros = true; /* 4 -> 4, then 8 -> 4 instead of 4 -> 4 */
    assert_true(cost_video_encoder(&more, 1) - cost_video_encoder(&config, 1) ==
                2 * (4 * 4 + 8 * 4 - 4 * 4));
    more = config;
    more.video_lora.inner = 3; /* two down, two up */
    assert_true(cost_video_encoder(&more, 1) - cost_video_encoder(&config, 1) == 2 * 4 * 3 * 4);
}

/* Elements of the matrices whose names begin so, each used once for a row. */
static double matrices(struct recognizer *r, const char *prefix)
{
    struct param_list list;
    struct error err;
    double sum = 0;
    param_list_init(&list, &err);
    recognizer_params(r, &list.visitor);
    for (int64_t i = 0; i < list.count; i++)
        if (list.entries[i].tensor->dims == 2 &&
            !strncmp(list.entries[i].name, prefix, strlen(prefix)))
            sum += (double)tensor_count(list.entries[i].tensor);
    param_list_release(&list);
    assert_true(sum > 0);
    return sum;
}

static void test_as_many_as_weights(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct recognizer_config config;
        struct small_model m;
        small_config(&config);
        config.mome.biases = variant == 1;
        config.llm.qkv_bias = variant == 1;
        config.projector.stack = variant == 2;
        config.llm.tied = variant != 2;
        config.lora.inner = variant == 1 ? 3 : 0;
        config.lora.global = true;
        small_open(&m, &config);
        const struct recognizer_config *c = &m.r->config;
        const struct llm_work row = {.rows = 1}, head = {.heads = 1}, keys = {.keys = 7};
        assert_true(cost_llm(c, &row) ==
                    2 * (matrices(m.r, "llm.model.layers.") + matrices(m.r, "mome.layers.") +
                         (variant == 1 ? matrices(m.r, "lora.layers.") : 0)));
        assert_true(cost_llm(c, &head) ==
                    2 * matrices(m.r, variant == 2 ? "llm.lm_head" : "llm.model.embed_tokens"));
        assert_true(cost_llm(c, &keys) == 2 * 2 * 7 * 2 * 24); /* layers 2, heads 4 of 6 */
        assert_true(cost_projector(c, false, 16, 1) == 2 * matrices(m.r, "projector.audio.16."));
        assert_true(cost_projector(c, true, 5, 3) == 3 * 2 * matrices(m.r, "projector.video.5."));
        small_close(&m);
    }
    struct recognizer_config config;
    const struct llm_work row = {.rows = 1};
    config_default(&config);
    config.lora.inner = 3;
    config.lora.global = true;
    double one = cost_llm(&config, &row); /* a set for all; and of those for rates, one */
    config.lora.per_rate = true;
    double both = cost_llm(&config, &row);
    config.lora.inner = 0;
    assert_true(both - one == one - cost_llm(&config, &row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audio_by_hand),
        cmocka_unit_test(test_whisper_base),
        cmocka_unit_test(test_video_by_hand),
        cmocka_unit_test(test_as_many_as_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
