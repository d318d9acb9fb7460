/* Training that goes on from a model folder: what is kept, what is new; features of frozen encoders
   on disk: the same losses, made once, made again when they must be; projectors aligned with the
   LLM's embeddings. */
#include "mouth_clips.h"
#include "base/file.h"
#include "base/memory.h"
#include "models/params.h"
#include "train/trainer.h"

#include <dirent.h>
#include <jansson.h>
#include <sys/stat.h>

static const char *const fresh =
    "{\"audio\": {\"d\": 48, \"layers\": 1, \"heads\": 2, \"ffn\": 96, \"dropout\": 0},"
    "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 1, \"heads\": 2,"
    " \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4, \"dropout\": 0},"
    "\"projector\": {\"hidden\": 64, \"norm\": false, \"audio_rates\": [2, 4], \"video_rates\": "
    "[1, 2]},"
    "\"llm\": {\"d\": 48, \"layers\": 2, \"heads\": 2, \"kv_heads\": 1, \"head_dim\": 24,"
    " \"ffn\": 96, \"dropout\": 0},"
    "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}}";

struct plan {
    const char *name, *start, *model, *stages;
    int64_t most_steps;
    bool resume;
};

static char *output(char path[256], const char *name, const char *file)
{
    snprintf(path, 256, "%s/%s/%s", clips.folder, name, file);
    return path;
}

static void run(const struct plan *p)
{
    char path[256], start[320] = "";
    struct train_config config;
    struct error err = {0};
    if (p->start)
        snprintf(start, sizeof start, "\"start\": \"%s/%s/best\", ", clips.folder, p->start);
    FILE *f = fopen(output(path, "", "config.json"), "w");
    assert_non_null(f);
    fprintf(f,
            "{%s\"seed\": 5, \"output\": \"%s/%s\", \"cache\": \"%s/cache\", \"vocabulary\": 262,"
            " \"bf16\": false, \"model\": %s, \"sources\": [{\"manifest\": \"%s\"}],"
            " \"stages\": [%s]}",
            start, clips.folder, p->name, clips.folder, p->model, clips.manifest, p->stages);
    assert_int_equal(fclose(f), 0);
    if (train_config_read(&config, path, &err))
        fail_msg("%s", err.message);
    const struct train_options options = {.resume = p->resume, .most_steps = p->most_steps};
    int rc = train(&config, &options, &err);
    train_config_release(&config);
    if (rc && !(p->most_steps && rc == ERROR_CANCELLED))
        fail_msg("%s", err.message);
}

/* The loss of every step. */
static int read_losses(double *losses, int room, const char *name)
{
    char path[256];
    FILE *f = fopen(output(path, name, "log.jsonl"), "r");
    json_t *line;
    int count = 0;
    assert_non_null(f);
    while (count < room && (line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        losses[count++] = json_real_value(json_object_get(line, "loss"));
        json_decref(line);
    }
    fclose(f);
    return count;
}

#define ADAPTERS "\"train\": [\"projectors\", \"mome\"], \"batch\": 3, \"rate\": 1e-3"

/* A model to start from, its encoders and LLM a little trained. */
static void make_start(void)
{
    run(&(struct plan){.name = "start",
                       .model = fresh,
                       .stages = "{\"name\": \"all\", \"train\": [\"audio\", \"video\", \"llm\"],"
                                 " \"steps\": 2, \"batch\": 2}"});
}

static struct recognizer *open_best(const char *name)
{
    char path[256];
    struct error err = {0};
    struct recognizer *r;
    if (recognizer_open(&r, output(path, name, "best"), &err))
        fail_msg("%s", err.message);
    return r;
}

static void test_what_start_has_is_kept(void **state)
{
    (void)state;
    run(&(struct plan){.name = "layer",
                       .start = "start",
                       .model = "{\"mome\": {\"placement\": \"layer\", \"bottleneck\": 2}}",
                       .stages = "{\"name\": \"mome\", \"steps\": 2, " ADAPTERS "}"});
    struct recognizer *before = open_best("start"), *after = open_best("layer");
    struct param_list a, b;
    struct error err = {0};
    assert_int_equal(after->config.mome.placement, MOME_LAYER);
    assert_int_equal(after->config.mome.bottleneck, 2);
    param_list_init(&a, &err);
    param_list_init(&b, &err);
    recognizer_params(before, &a.visitor);
    recognizer_params(after, &b.visitor);
    int kept = 0, trained = 0;
    for (int64_t i = 0; i < a.count; i++) {
        const struct tensor *x = a.entries[i].tensor;
        const struct param_entry *e = param_list_find(&b, a.entries[i].name);
        int64_t count = tensor_count(x);
        assert_non_null(e);
        if (!strncmp(e->name, "mome.", 5))
            continue;
        float *p = memory_new((size_t)count, sizeof *p), *q = memory_new((size_t)count, sizeof *q);
        parameter_read(p, x, 0, count);
        parameter_read(q, e->tensor, 0, count);
        bool same = !memcmp(p, q, (size_t)count * sizeof *p);
        bool projector = !strncmp(e->name, "projector.", 10) && !strstr(e->name, "tokens");
        if (!projector && !same)
            fail_msg("%s was to be kept", e->name);
        kept += !projector;
        trained += projector && !same;
        memory_free(p);
        memory_free(q);
    }
    assert_true(kept > 40);
    assert_int_equal(trained, 4 * 4); /* two matrices and their biases for each rate */
    param_list_release(&a);
    param_list_release(&b);
    recognizer_free(before);
    recognizer_free(after);
}

static int count_features(void)
{
    char path[256];
    int count = 0;
    DIR *folder = opendir(output(path, "cache", "features"));
    for (struct dirent *e; folder && (e = readdir(folder)) != NULL;)
        count += e->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* The name of one of the files, and when it was written. */
static time_t one_feature(char path[512])
{
    char name[256];
    struct stat st;
    DIR *folder = opendir(output(name, "cache", "features"));
    struct dirent *e;
    while ((e = readdir(folder)) != NULL && e->d_name[0] == '.')
        ;
    assert_non_null(e);
    snprintf(path, 512, "%s/%s", name, e->d_name);
    closedir(folder);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mtime;
}

static void test_cached_features(void **state)
{
    (void)state;
    enum { STEPS = 4 };
    double direct[STEPS], cached[STEPS], again[STEPS];
    char path[512];
    struct plan p = {.name = "direct",
                     .start = "start",
                     .model = "{}",
                     .stages = "{\"name\": \"mome\", \"steps\": 4, " ADAPTERS "}"};
    run(&p);
    assert_int_equal(read_losses(direct, STEPS, "direct"), STEPS);
    assert_int_equal(count_features(), 0);

    p.name = "cached";
    p.stages = "{\"name\": \"mome\", \"steps\": 4, \"copies\": 3, " ADAPTERS "}";
    run(&p);
    assert_int_equal(read_losses(cached, STEPS, "cached"), STEPS);
    assert_int_equal(count_features(), 2 * 4); /* nothing augments them: copies are one */
    for (int i = 0; i < STEPS; i++)
        assert_true(fabs(cached[i] - direct[i]) < 2e-2 * direct[i]); /* states in bfloat16 */

    time_t made = one_feature(path); /* a broken one is made again, the others are not touched */
    FILE *f = fopen(path, "r+");
    assert_int_equal(fseek(f, 100, SEEK_SET), 0);
    assert_int_equal(fputs("broken", f) >= 0 && fclose(f) == 0, true);
    p.name = "again";
    run(&p);
    assert_int_equal(count_features(), 2 * 4);
    assert_true(one_feature(path) >= made);
    assert_int_equal(read_losses(again, STEPS, "again"), STEPS);
    assert_memory_equal(again, cached, sizeof cached);

    p.name = "noisy"; /* augmented: copies differ, in files of their own */
    p.stages = "{\"name\": \"mome\", \"steps\": 1, \"copies\": 2, " ADAPTERS
               ", \"augment\": {\"gain_db\": 6}}";
    run(&p);
    assert_int_equal(count_features(), 2 * 4 + 2 * 4);

    p.name = "other"; /* another encoder */
    p.start = NULL;
    p.model = fresh;
    p.stages = "{\"name\": \"mome\", \"steps\": 1, \"copies\": 1, " ADAPTERS "}";
    run(&p);
    assert_int_equal(count_features(), 2 * 4 + 2 * 4 + 2 * 4);
}

static void test_alignment_is_learned(void **state)
{
    (void)state;
    enum { STEPS = 60 };
    double losses[STEPS];
    run(&(struct plan){.name = "aligned",
                       .start = "start",
                       .model = "{}",
                       .stages = "{\"name\": \"align\", \"train\": [\"projectors\"], \"batch\": 4,"
                                 " \"steps\": 60, \"rate\": 3e-3, \"text_weight\": 0,"
                                 " \"align_weight\": 1, \"copies\": 1}"});
    assert_int_equal(read_losses(losses, STEPS, "aligned"), STEPS);
    print_message("alignment loss %.3f -> %.3f\n", losses[0], losses[STEPS - 1]);
    assert_true(losses[STEPS - 1] < 0.5 * losses[0]);
}

static void test_pieces_are_the_same(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    double whole[STEPS], pieces[STEPS];
    struct plan p = {.name = "whole",
                     .start = "start",
                     .model = "{\"mome\": {\"placement\": \"ffn\"}}",
                     .stages = "{\"name\": \"align\", \"train\": [\"projectors\"], \"batch\": 2,"
                               " \"steps\": 2, \"text_weight\": 0, \"align_weight\": 1},"
                               "{\"name\": \"mome\", \"steps\": 3, \"pairs\": 2, \"copies\": 2,"
                               " \"pair_weights\": [[2, 1, 0.5]], \"frames\": 60,"
                               " \"align_weight\": [1, 0], " ADAPTERS
                               ", \"augment\": {\"shift\": 2, \"flip\": 0.5}}"};
    run(&p);
    p.name = "pieces";
    p.most_steps = 1;
    for (int i = 0; i < STEPS + 1; i++, p.resume = true)
        run(&p);
    assert_int_equal(read_losses(whole, STEPS, "whole"), STEPS);
    assert_int_equal(read_losses(pieces, STEPS, "pieces"), STEPS);
    assert_memory_equal(whole, pieces, sizeof whole);
}

/* LoRA in the video encoder learns through it, and the encoder itself stays. */
static void test_video_lora_is_trained(void **state)
{
    (void)state;
    run(&(struct plan){.name = "vsr",
                       .start = "start",
                       .model = "{\"video_lora\": {\"inner\": 4, \"scale\": 2}}",
                       .stages = "{\"name\": \"lora\", \"train\": [\"lora\"], \"batch\": 2,"
                                 " \"steps\": 2, \"rate\": 1e-2, \"copies\": 1,"
                                 " \"task_share\": [0, 1, 0]}"});
    struct recognizer *before = open_best("start"), *after = open_best("vsr");
    struct param_list a, b;
    struct error err = {0};
    param_list_init(&a, &err);
    param_list_init(&b, &err);
    recognizer_params(before, &a.visitor);
    recognizer_params(after, &b.visitor);
    int moved = 0;
    for (int64_t i = 0; i < b.count; i++) {
        struct tensor *y = b.entries[i].tensor;
        const struct param_entry *e = param_list_find(&a, b.entries[i].name);
        int64_t count = tensor_count(y);
        float *p = memory_new((size_t)count, sizeof *p), *q = memory_new((size_t)count, sizeof *q);
        parameter_read(q, y, 0, count);
        if (e)
            parameter_read(p, e->tensor, 0, count);
        if (e && memcmp(p, q, (size_t)count * sizeof *p))
            fail_msg("%s was to be kept", e->name);
        for (int64_t k = 0; !e && strstr(b.entries[i].name, "down") && k < count; k++)
            moved += q[k] != 0; /* starts at zero */
        memory_free(p);
        memory_free(q);
    }
    assert_true(moved > 0);
    param_list_release(&a);
    param_list_release(&b);
    recognizer_free(before);
    recognizer_free(after);
}

static int make_clips_and_start(void **state)
{
    int rc = make_clips(state);
    make_start();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_start_has_is_kept), cmocka_unit_test(test_cached_features),
        cmocka_unit_test(test_alignment_is_learned),   cmocka_unit_test(test_pieces_are_the_same),
        cmocka_unit_test(test_video_lora_is_trained),
    };
    return cmocka_run_group_tests(tests, make_clips_and_start, remove_clips);
}
