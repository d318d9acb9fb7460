/* Configurations: defaults, and one clear line for each mistake. */
#include "base/file.h"
#include "train/train_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define STAGE "{\"name\": \"a\", \"train\": [\"llm\"]}"
#define WITH(more)                                                                                 \
    "{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{\"manifest\": \"m\"}], "  \
    "\"stages\": [" STAGE "]" more "}"
#define WITH_STAGE(more)                                                                           \
    "{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{\"manifest\": \"m\"}], "  \
    "\"stages\": [" STAGE ", {\"name\": \"b\", \"train\": [\"audio\"]" more "}]}"

static int read_text(struct train_config *config, const char *text, struct error *err)
{
    char path[] = "/tmp/mome-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int rc = train_config_read(config, path, err);
    if (rc && !strstr(err->message, path))
        fail_msg("the file is not named: %s", err->message);
    unlink(path);
    return rc;
}

static void test_defaults(void **state)
{
    (void)state;
    struct train_config c;
    struct error err = {0};
    if (read_text(&c, WITH(""), &err))
        fail_msg("%s", err.message);
    assert_int_equal(c.stage_count, 1);
    assert_string_equal(c.stages[0].name, "a");
    assert_int_equal(c.stages[0].parts, TRAIN_LLM);
    assert_int_equal(c.stages[0].augment.margin, -1);
    assert_int_equal(c.model.llm.vocab, c.vocabulary);
    assert_true(c.sources[0].weight == 1 && c.bf16);
    assert_null(c.noise);
    train_config_release(&c);
}

static void test_values(void **state)
{
    (void)state;
    struct train_config c;
    struct error err = {0};
    const char *text = WITH_STAGE(", \"frame_weight\": [1, 0.25], \"text_weight\": 0,"
                                  " \"noise_share\": 0.5, \"task_share\": [0, 0.5, 1],"
                                  " \"task_weight\": 2, \"augment\": {\"shift\": 3}");
    if (read_text(&c, text, &err))
        fail_msg("%s", err.message);
    const struct stage_config *s = &c.stages[1];
    assert_true(s->frame_weight[0] == 1 && s->frame_weight[1] == 0.25);
    assert_true(s->noise_share[0] == 0.5 && s->noise_share[1] == 0.5);
    assert_true(s->task_share[0] == 0 && s->task_share[1] == 0.5 && s->task_share[2] == 1);
    assert_true(s->task_weight[0] == 2 && s->task_weight[2] == 2);
    assert_int_equal(s->augment.shift, 3);
    train_config_release(&c);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } mistakes[] = {
        {"", ""},
        {"[1", ""},
        {"[]", "must be an object"},
        {"{}", "needs lists \"sources\" (1 .. 16) and \"stages\""},
        {WITH(", \"colour\": 1"), "unknown key \"colour\""},
        {WITH(", \"seed\": -1"), "\"seed\" must be a whole number 0 to"},
        {WITH(", \"seed\": 1.5"), "\"seed\""},
        {WITH(", \"seed\": 1, \"seed\": 2"), "duplicate"},
        {WITH(", \"bf16\": 1"), "\"bf16\" must be true or false"},
        {WITH(", \"noise\": 7"), "\"noise\" must be a text"},
        {WITH(", \"noise\": \"a\\u0000b\""), "\\u0000"},
        {WITH(", \"vocabulary\": 100"), "\"vocabulary\" must be a whole number 256"},
        {WITH_STAGE(", \"batch\": 0"), "stages[1]: \"batch\" must be a whole number 1 to 1024"},
        {WITH_STAGE(", \"steps\": \"many\""), "\"steps\""},
        {WITH_STAGE(", \"warmup\": 2"), "\"warmup\" must be a number 0 to 1"},
        {WITH_STAGE(", \"snr_low\": [1, 2, 3]"), "\"snr_low\" must be a number, or [from, to],"},
        {WITH_STAGE(", \"task_share\": [1, 1]"), "[asr, vsr, avsr]"},
        {WITH_STAGE(", \"augment\": {\"mel_masks\": -1}"), "\"mel_masks\""},
        {WITH_STAGE(", \"augment\": {\"shift\": 5}"), "\"shift\" must be a whole number 0 to 4"},
        {WITH_STAGE(", \"augment\": []"), "must be an object"},
        {WITH_STAGE(", \"text_weight\": 0"), "stages[1] trains nothing"},
        {"{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{}], \"stages\": "
         "[" STAGE "]}",
         "sources[0] needs a \"manifest\""},
        {"{\"output\": \"o\", \"cache\": \"c\", \"sources\": [{\"manifest\": \"m\"}], \"stages\": "
         "[" STAGE "]}",
         "needs \"model\""},
        {"{\"model\": {}, \"sources\": [{\"manifest\": \"m\"}], \"stages\": [" STAGE "]}",
         "needs \"output\" and \"cache\""},
        {"{\"output\": \"o\", \"cache\": \"c\", \"model\": {\"llm\": {\"d\": -1}}, \"sources\": "
         "[{\"manifest\": \"m\"}], \"stages\": [" STAGE "]}",
         "llm.d"},
        {"{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{\"manifest\": "
         "\"m\"}], \"stages\": [{\"name\": \"a\", \"train\": [\"lips\"]}]}",
         "audio, video, projectors, llm, mome"},
        {"{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{\"manifest\": "
         "\"m\"}], \"stages\": [{\"name\": \"a\"}]}",
         "needs a list \"train\""},
        {"{\"output\": \"o\", \"cache\": \"c\", \"model\": {}, \"sources\": [{\"manifest\": "
         "\"m\"}], \"stages\": [{\"train\": [\"llm\"]}]}",
         "needs a \"name\""},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct train_config c;
        struct error err = {0};
        int rc = read_text(&c, mistakes[i].text, &err);
        if (!rc)
            fail_msg("accepted: %s", mistakes[i].text);
        if (!strstr(err.message, mistakes[i].says) || strchr(err.message, '\n'))
            fail_msg("%s: says %s", mistakes[i].text, err.message);
    }
    struct train_config c;
    struct error err = {0};
    assert_int_equal(train_config_read(&c, "/nowhere/config.json", &err), ERROR_IO);
}

/* The one that made models/tiny. */
static void test_tiny_is_read(void **state)
{
    (void)state;
    struct train_config c;
    struct error err = {0};
    if (train_config_read(&c, "configs/tiny.json", &err))
        fail_msg("%s", err.message);
    assert_true(c.stage_count >= 2);
    assert_true(c.stages[c.stage_count - 1].parts & TRAIN_MOME);
    train_config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_tiny_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
