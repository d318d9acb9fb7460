/* What a dry run says of a small model is what the model is; and it leaves nothing behind. */
#include "mouth_clips.h"
#include "train/dry_run.h"

#include <omp.h>
#include <sys/stat.h>

static void read_config(struct train_config *config)
{
    char path[128];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/config.json", clips.folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"output\": \"%s/out\", \"cache\": \"%s/cache\", \"vocabulary\": 262, \"model\": {"
            "\"audio\": {\"d\": 48, \"layers\": 1, \"heads\": 2, \"ffn\": 96},"
            "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 1,"
            " \"heads\": 2, \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4},"
            "\"projector\": {\"hidden\": 64, \"audio_rates\": [2, 4], \"video_rates\": [1]},"
            "\"llm\": {\"d\": 48, \"layers\": 2, \"heads\": 2, \"kv_heads\": 1, \"head_dim\": 24,"
            " \"ffn\": 96},"
            "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}},"
            "\"sources\": [{\"manifest\": \"%s\"}], \"stages\": ["
            "{\"name\": \"audio\", \"train\": [\"audio\"], \"steps\": 9, \"batch\": 2,"
            " \"frame_weight\": 1, \"text_weight\": 0},"
            "{\"name\": \"mome\", \"train\": [\"mome\"], \"steps\": 6, \"batch\": 2},"
            "{\"name\": \"kept\", \"train\": [\"mome\"], \"steps\": 6, \"batch\": 2, \"copies\": 1}"
            "]}",
            clips.folder, clips.folder, clips.manifest);
    assert_int_equal(fclose(f), 0);
    if (train_config_read(config, path, &err))
        fail_msg("%s", err.message);
}

static int on_progress(void *arg, int done, int total, const char *text)
{
    (void)text;
    *(int *)arg = done == total ? 1 : *(int *)arg;
    return 0;
}

static const struct dry_part *find_part(const struct dry_run *r, const char *name)
{
    for (int i = 0; i < r->part_count; i++)
        if (!strcmp(r->parts[i].name, name))
            return &r->parts[i];
    fail_msg("no part %s", name);
    return NULL;
}

static bool is_there(const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", clips.folder, name);
    return stat(path, &st) == 0;
}

static void test_says_what_is(void **state)
{
    (void)state;
    struct train_config config;
    struct dry_run r;
    struct error err = {0};
    int done = 0;
    const struct dataset_progress progress = {on_progress, &done};
    read_config(&config);
    if (dry_run(&r, &config, &progress, &err))
        fail_msg("%s", err.message);
    assert_true(done);
    assert_int_equal(r.clips, 4);
    assert_int_equal(r.probed, 4);
    assert_float_equal(r.clip_seconds, MOUTH_CLIP_FRAMES * 0.04, 1e-6);
    assert_int_equal(r.rate_count, 3);
    assert_float_equal(r.rates[1].tokens, MOUTH_CLIP_FRAMES * 2 / 4.0, 1e-6);
    assert_float_equal(r.rates[2].tokens, MOUTH_CLIP_FRAMES, 1e-6);

    /* experts: down 20 x 48 and 20, up 48 x (20 + 4) and 48, router 4 x 48; 2 layers */
    assert_int_equal(find_part(&r, "MoME experts")->parameters,
                     2 * (20 * 48 + 20 + 48 * 24 + 48 + 4 * 48));
    assert_int_equal(r.stage_count, 3);
    assert_int_equal(r.stages[1].trained, find_part(&r, "MoME experts")->parameters);
    assert_float_equal(r.stages[1].moment_bytes, 8.0 * (double)r.stages[1].trained, 0.5);
    assert_float_equal(r.stages[1].steps_an_epoch, 2, 1e-9);
    assert_true(r.stages[0].rows == 0 && r.stages[1].rows > 0);
    for (int s = 0; s < 3; s++)
        assert_true(r.stages[s].seconds > 0 && r.stages[s].activation_bytes > 1000);

    /* cached encoders are not computed again, but kept: bf16 rows of 48 of both encoders */
    assert_true(r.stages[2].flops > 0 && r.stages[2].flops < 0.8 * r.stages[1].flops);
    assert_true(r.stages[1].features_bytes == 0);
    assert_float_equal(r.stages[2].features_bytes, 4 * 3 * MOUTH_CLIP_FRAMES * 48 * 2, 0.5);

    assert_false(is_there("out"));
    assert_false(is_there("cache/features"));
    assert_true(is_there("cache"));
    train_config_release(&config);
}

int main(void)
{
    omp_set_num_threads(1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_says_what_is)};
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
