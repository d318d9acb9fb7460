/* Training end to end on four made-up clips: it learns them by heart with all tasks and rates, a
   resumed run is the same to the bit, frozen parts stay, a full disk leaves the old checkpoint. */
#include "mouth_clips.h"
#include "base/file.h"
#include "base/memory.h"
#include "models/params.h"
#include "train/trainer.h"
#include "weights/checkpoint.h"

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *const head =
    "{\"seed\": 5, \"output\": \"%s/%s\", \"cache\": \"%s/cache\", \"validation\": \"%s\","
    " \"vocabulary\": 262, \"model\": {"
    "\"audio\": {\"d\": 48, \"layers\": 1, \"heads\": 2, \"ffn\": 96, \"dropout\": %g%s},"
    "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 1, \"heads\": 2,"
    " \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4},"
    "\"projector\": {\"hidden\": 64, \"audio_rates\": [2, 4], \"video_rates\": [1, 2]},"
    "\"llm\": {\"d\": 48, \"layers\": 2, \"heads\": 2, \"kv_heads\": 1, \"head_dim\": 24,"
    " \"ffn\": 96},"
    "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}},"
    "\"sources\": [{\"manifest\": \"%s\"%s}], \"stages\": [%s]}";

/* The options of a run: `name` is its folder. */
struct plan {
    const char *name, *manifest, *source, *stages, *audio;
    double dropout;
    int64_t most_steps;
    bool resume;
};

static int read_config(struct train_config *config, const struct plan *p, struct error *err)
{
    char path[128];
    const char *manifest = p->manifest ? p->manifest : clips.manifest;
    snprintf(path, sizeof path, "%s/config.json", clips.folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, head, clips.folder, p->name, clips.folder, manifest, p->dropout,
            p->audio ? p->audio : "", manifest, p->source ? p->source : "", p->stages);
    assert_int_equal(fclose(f), 0);
    return train_config_read(config, path, err);
}

static int run(const struct plan *p, struct error *err)
{
    struct train_config config;
    const struct train_options options = {.resume = p->resume, .most_steps = p->most_steps};
    if (read_config(&config, p, err))
        fail_msg("%s", err->message);
    int rc = train(&config, &options, err);
    train_config_release(&config);
    return rc;
}

static void good_run(const struct plan *p)
{
    struct error err = {0};
    int rc = run(p, &err);
    if (rc && !(p->most_steps && rc == ERROR_CANCELLED))
        fail_msg("%s", err.message);
}

static char *output(char path[256], const char *run_name, const char *file)
{
    snprintf(path, 256, "%s/%s/%s", clips.folder, run_name, file);
    return path;
}

/* All lines of the log in one array. */
static json_t *read_log(const char *run_name)
{
    char path[256];
    FILE *f = fopen(output(path, run_name, "log.jsonl"), "r");
    json_t *lines = json_array(), *line;
    assert_non_null(f);
    while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL)
        json_array_append_new(lines, line);
    fclose(f);
    return lines;
}

#define PARTS "\"train\": [\"audio\", \"video\", \"projectors\", \"llm\"]"

static void test_four_clips_are_learned(void **state)
{
    (void)state;
    good_run(&(struct plan){
        .name = "learn",
        .stages = "{\"name\": \"all\", " PARTS ", \"steps\": 200, \"batch\": 4, \"rate\": 4e-3,"
                  " \"decay\": 0, \"frame_weight\": [1, 0.3], \"augment\": {\"margin\": 5}},"
                  "{\"name\": \"mome\", \"train\": [\"projectors\", \"mome\"], \"steps\": 10,"
                  " \"batch\": 4, \"rate\": 1e-3}"});
    json_t *log = read_log("learn");
    size_t n = json_array_size(log);
    assert_int_equal(n, 200 + 1 + 10 + 1);
    json_t *last = json_array_get(log, n - 1);
    double wer = json_real_value(json_object_get(last, "validation_wer"));
    double loss = json_real_value(json_object_get(json_array_get(log, n - 2), "text"));
    bool mome = !strcmp(json_string_value(json_object_get(last, "stage")), "mome");
    json_decref(log);
    print_message("text loss %.3f, WER %.3f over all tasks and rates\n", loss, wer);
    assert_true(mome);
    assert_true(wer == 0);
}

/* With the encoder's window padded with silence the clips are learned as well, and the model says
   so: what decodes with it does the same. */
static void test_learned_in_an_exact_window(void **state)
{
    (void)state;
    char path[256];
    struct error err = {0};
    struct recognizer *r;
    good_run(&(struct plan){.name = "exact",
                            .audio = ", \"positions\": 100, \"exact_window\": true",
                            .stages = "{\"name\": \"all\", " PARTS
                                      ", \"steps\": 200, \"batch\": 4, \"rate\": 4e-3,"
                                      " \"decay\": 0, \"frame_weight\": [1, 0.3]}"});
    json_t *log = read_log("exact");
    json_t *last = json_array_get(log, json_array_size(log) - 1);
    print_message("WER %.3f\n", json_real_value(json_object_get(last, "validation_wer")));
    assert_true(json_real_value(json_object_get(last, "validation_wer")) <= 0.25);
    json_decref(log);
    assert_int_equal(recognizer_open(&r, output(path, "exact", "best"), &err), 0);
    assert_true(r->config.audio.exact_window);
    recognizer_free(r);
}

/* The checkpoint's tensor of a parameter: memory_free. */
static float *read_tensor(struct checkpoint *c, const struct param_entry *p)
{
    char name[256];
    struct error err = {0};
    float *data = memory_new((size_t)tensor_count(p->tensor), sizeof *data);
    snprintf(name, sizeof name, "model.%s", p->name);
    if (checkpoint_read(c, data, name, p->tensor->dims, p->tensor->shape, &err))
        fail_msg("%s", err.message);
    return data;
}

static bool same_tensor(struct checkpoint *a, struct checkpoint *b, const struct param_entry *p)
{
    float *x = read_tensor(a, p), *y = read_tensor(b, p);
    bool same = !memcmp(x, y, (size_t)tensor_count(p->tensor) * sizeof *x);
    memory_free(x);
    memory_free(y);
    return same;
}

#define SHORT_STAGES                                                                               \
    "{\"name\": \"all\", " PARTS ", \"steps\": 2, \"batch\": 3, \"frame_weight\": 1},"             \
    "{\"name\": \"mome\", \"train\": [\"projectors\", \"mome\"], \"steps\": 3, \"batch\": 3,"      \
    " \"validate_every\": 2}"

static void test_frozen_parts_stay(void **state)
{
    (void)state;
    char path[256];
    struct error err = {0};
    struct recognizer *r;
    struct param_list list;
    struct checkpoint *before, *after;
    struct plan p = {.name = "frozen", .stages = SHORT_STAGES, .most_steps = 2};
    good_run(&p);
    assert_int_equal(
        checkpoint_open(&before, output(path, "frozen", "checkpoint.safetensors"), &err), 0);
    p.resume = true;
    p.most_steps = 0;
    good_run(&p);
    assert_int_equal(checkpoint_open(&after, path, &err), 0);
    assert_int_equal(recognizer_open(&r, output(path, "frozen", "best"), &err), 0);
    param_list_init(&list, &err);
    recognizer_params(r, &list.visitor);
    int changed = 0;
    for (int64_t i = 0; i < list.count; i++) {
        const struct param_entry *e = &list.entries[i];
        bool trained = !strncmp(e->name, "projector.", 10) || !strncmp(e->name, "mome.", 5);
        bool same = same_tensor(before, after, e);
        if (!trained && !same)
            fail_msg("%s is frozen and has changed", e->name);
        changed += trained && !same;
    }
    assert_true(changed > 16); /* projectors of four rates, experts, routers */
    param_list_release(&list);
    recognizer_free(r);
    checkpoint_close(before);
    checkpoint_close(after);
}

static void assert_same_logs(const char *a, const char *b)
{
    json_t *x = read_log(a), *y = read_log(b), *line;
    size_t i;
    json_array_foreach(x, i, line) json_object_del(line, "clips_per_second");
    json_array_foreach(y, i, line) json_object_del(line, "clips_per_second");
    char *s = json_dumps(x, JSON_SORT_KEYS), *t = json_dumps(y, JSON_SORT_KEYS);
    assert_string_equal(s, t);
    free(s);
    free(t);
    json_decref(x);
    json_decref(y);
}

/* Dropout, splicing, masks: all that is random is on. */
#define RANDOM                                                                                     \
    "\"augment\": {\"speed\": 0.1, \"gain_db\": 6, \"mel_masks\": 1, \"mel_mask_width\": 9,"       \
    " \"time_masks\": 1, \"time_mask_frames\": 3, \"shift\": 4, \"flip\": 0.5, \"margin\": 3,"     \
    " \"whole\": 0.3}, \"task_share\": 0.7"

static void test_resumed_run_is_the_same(void **state)
{
    (void)state;
    struct plan p = {
        .name = "whole",
        .source = ", \"splice\": 0.5",
        .dropout = 0.2,
        .stages =
            "{\"name\": \"all\", " PARTS ", \"steps\": 5, \"batch\": 3, \"frame_weight\": 1,"
            " \"validate_every\": 2, " RANDOM "},"
            "{\"name\": \"mome\", \"train\": [\"mome\"], \"steps\": 3, \"batch\": 3," RANDOM "}"};
    good_run(&p);
    p.name = "pieces";
    p.most_steps = 3; /* breaks inside both stages */
    for (int i = 0; i < 4; i++, p.resume = true)
        good_run(&p);
    assert_same_logs("whole", "pieces");
    char a[256], b[256];
    struct error err = {0};
    struct file_map x, y;
    assert_int_equal(file_map_open(&x, output(a, "whole", "best/model.safetensors"), &err), 0);
    assert_int_equal(file_map_open(&y, output(b, "pieces", "best/model.safetensors"), &err), 0);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    file_map_close(&x);
    file_map_close(&y);
}

static void test_full_disk_leaves_the_old_checkpoint(void **state)
{
    (void)state;
    char path[256], *before, *after;
    size_t size, size_after;
    struct error err = {0};
    struct rlimit old, small = {20000, RLIM_INFINITY};
    struct plan p = {.name = "full", .stages = SHORT_STAGES, .most_steps = 1};
    good_run(&p);
    output(path, "full", "checkpoint.safetensors");
    assert_int_equal(file_read(&before, &size, path, 1 << 26, &err), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    p.resume = true;
    int rc = run(&p, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, ERROR_IO);
    assert_non_null(strstr(err.message, "checkpoint.safetensors"));
    assert_null(strchr(err.message, '\n'));
    assert_int_equal(file_read(&after, &size_after, path, 1 << 26, &err), 0);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    DIR *folder = opendir(output(path, "full", ""));
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        assert_null(strstr(e->d_name, ".tmp"));
    closedir(folder);
    memory_free(before);
    memory_free(after);
    p.most_steps = 0; /* and with room again it goes on */
    good_run(&p);
}

/* Clips with both streams, sound alone, pictures alone, unreadable, and one whose words lie beyond
   its end: the first three are trained on. */
static void test_mixed_clips(void **state)
{
    (void)state;
    char manifest[128], path[160];
    snprintf(manifest, sizeof manifest, "%s/mixed.tsv", clips.folder);
    FILE *f = fopen(manifest, "w");
    fprintf(f, "path\ttext\twords_ms\n");
    snprintf(path, sizeof path, "%s/sound.wav", clips.folder);
    mouth_clip_write(path, 0, true, false);
    mouth_clip_manifest_line(f, "sound.wav", 0);
    snprintf(path, sizeof path, "%s/silent.mp4", clips.folder);
    mouth_clip_write(path, 1, false, true);
    mouth_clip_manifest_line(f, "silent.mp4", 1);
    mouth_clip_manifest_line(f, "clip2.mp4", 2);
    fprintf(f, "missing.mp4\tred blue\t\nclip3.mp4\tred blue\tred:0:100 blue:5000:5100\n");
    fclose(f);
    good_run(&(struct plan){.name = "mixed",
                            .manifest = manifest,
                            .stages = "{\"name\": \"all\", " PARTS ", \"steps\": 3, \"batch\": 4,"
                                      " \"frame_weight\": 1}"});
    json_t *log = read_log("mixed"), *line;
    size_t i;
    assert_int_equal(json_array_size(log), 4);
    json_array_foreach(log, i, line) if (i < 3)
        assert_true(json_real_value(json_object_get(line, "loss")) > 0);
    json_decref(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixed_clips),
        cmocka_unit_test(test_frozen_parts_stay),
        cmocka_unit_test(test_resumed_run_is_the_same),
        cmocka_unit_test(test_full_disk_leaves_the_old_checkpoint),
        cmocka_unit_test(test_four_clips_are_learned),
        cmocka_unit_test(test_learned_in_an_exact_window),
    };
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
