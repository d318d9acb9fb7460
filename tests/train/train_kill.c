/*
 * Training is killed with SIGKILL at ten random moments, and once the disk is full; resumed each
 * time, it ends with the log, the checkpoint and the model of the run that nobody touched, to the
 * bit. The program starts itself as `PROGRAM train CONFIG`.
 */
#include "mouth_clips.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/trainer.h"

#include <dirent.h>
#include <jansson.h>
#include <omp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { KILLS = 10, FULL_DISK_AFTER = 5, FULL_DISK_BYTES = 50000 };

static char program[512];

/* Two stages, all that is random is on, a checkpoint after every step, validations: so that a kill
   may hit any of it. */
static void write_config(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s.json", clips.folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"seed\": 11, \"output\": \"%s/%s\", \"cache\": \"%s/cache\", \"validation\": \"%s\","
            " \"validation_clips\": 2, \"vocabulary\": 262, \"save_seconds\": 0, \"model\": {"
            "\"audio\": {\"d\": 48, \"layers\": 1, \"heads\": 2, \"ffn\": 96, \"dropout\": 0.1},"
            "\"video\": {\"stem\": 4, \"widths\": [4, 8, 8, 16], \"d\": 48, \"layers\": 1,"
            " \"heads\": 2, \"ffn\": 96, \"position_kernel\": 7, \"position_groups\": 4},"
            "\"projector\": {\"hidden\": 64, \"audio_rates\": [4], \"video_rates\": [2]},"
            "\"llm\": {\"d\": 48, \"layers\": 2, \"heads\": 2, \"kv_heads\": 1, \"head_dim\": 24,"
            " \"ffn\": 96},"
            "\"mome\": {\"routed\": 4, \"active\": 2, \"shared\": 1, \"bottleneck\": 4}},"
            "\"sources\": [{\"manifest\": \"%s\", \"splice\": 0.5}], \"stages\": ["
            "{\"name\": \"all\", \"train\": [\"audio\", \"video\", \"projectors\", \"llm\"],"
            " \"steps\": 14, \"batch\": 3, \"frame_weight\": 1, \"task_share\": 0.7,"
            " \"augment\": {\"speed\": 0.1, \"gain_db\": 6, \"shift\": 4, \"whole\": 0.3}},"
            "{\"name\": \"mome\", \"train\": [\"projectors\", \"mome\"], \"steps\": 14,"
            " \"batch\": 3, \"accumulate\": 2, \"validate_every\": 4, \"average\": 3}]}",
            clips.folder, name, clips.folder, clips.manifest, clips.manifest);
    assert_int_equal(fclose(f), 0);
}

/* `PROGRAM train CONFIG [full]`: one thread, so that sums have one order. */
static int train_main(const char *path, bool full)
{
    const struct rlimit small = {FULL_DISK_BYTES, FULL_DISK_BYTES};
    const struct train_options options = {.resume = true};
    struct train_config config;
    struct error err = {0};
    omp_set_num_threads(1);
    if (full) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
    }
    int rc = train_config_read(&config, path, &err);
    if (!rc) {
        rc = train(&config, &options, &err);
        train_config_release(&config);
    }
    if (rc)
        fprintf(stderr, "%s\n", err.message);
    return rc ? 1 : 0;
}

static pid_t start(const char *config, bool full)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child)
        return child;
    execl(program, program, "train", config, full ? "full" : NULL, (char *)NULL);
    _exit(127);
}

static int finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static char *output(char path[256], const char *run, const char *file)
{
    snprintf(path, 256, "%s/%s/%s", clips.folder, run, file);
    return path;
}

/* The log without what a clock says. */
static char *read_log(const char *run)
{
    char path[256];
    json_t *lines = json_array(), *line;
    FILE *f = fopen(output(path, run, "log.jsonl"), "r");
    assert_non_null(f);
    while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        json_object_del(line, "clips_per_second");
        json_array_append_new(lines, line);
    }
    fclose(f);
    char *text = json_dumps(lines, JSON_SORT_KEYS | JSON_INDENT(0));
    json_decref(lines);
    return text;
}

static void assert_same_file(const char *a, const char *b, const char *file)
{
    char path[256], *x, *y;
    size_t m, n;
    struct error err = {0};
    assert_int_equal(file_read(&x, &m, output(path, a, file), 1 << 28, &err), 0);
    assert_int_equal(file_read(&y, &n, output(path, b, file), 1 << 28, &err), 0);
    assert_int_equal(m, n);
    if (memcmp(x, y, n))
        fail_msg("%s of the two runs differ", file);
    memory_free(x);
    memory_free(y);
}

/* Files that a kill left half written are gone in the end. */
static void assert_no_temporaries(const char *run, const char *folder)
{
    char path[256];
    DIR *d = opendir(output(path, run, folder));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strstr(e->d_name, ".tmp"))
            fail_msg("%s%s is left", folder, e->d_name);
    closedir(d);
}

static void assert_same_runs(const char *a, const char *b)
{
    char *x = read_log(a), *y = read_log(b);
    assert_string_equal(x, y);
    free(x);
    free(y);
    assert_same_file(a, b, "checkpoint.safetensors");
    assert_same_file(a, b, "best/model.safetensors");
    assert_same_file(a, b, "best/config.json");
    assert_same_file(a, b, "tokenizer.json");
    assert_no_temporaries(b, "");
    assert_no_temporaries(b, "best/");
    assert_no_temporaries(b, "average/");
}

static void sleep_seconds(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&t, NULL);
}

static int log_lines(const char *run)
{
    char path[256], *text;
    size_t size;
    int lines = 0;
    struct error err = {0};
    if (file_read(&text, &size, output(path, run, "log.jsonl"), 1 << 20, &err))
        return 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    memory_free(text);
    return lines;
}

static void fill_the_disk(const char *config)
{
    int status = finish(start(config, true));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
        fail_msg("a full disk ended with status %x", status);
}

static void test_ten_kills(void **state)
{
    (void)state;
    char whole[256], config[256], name[32];
    struct random random;
    uint64_t seed = (uint64_t)time(NULL);
    random_seed(&random, seed);
    write_config(whole, "whole");
    double began = clock_seconds();
    assert_int_equal(finish(start(whole, false)), 0);
    double seconds = clock_seconds() - began; /* a run that ends before its ten kills.. */
    print_message("seed %llu, %.1f s, %d lines; killed at line", (unsigned long long)seed, seconds,
                  log_lines("whole"));
    int kills = 0, runs = 0;
    for (bool ended = true; kills < KILLS || !ended;) {
        if (ended) {
            snprintf(name, sizeof name, "killed%d", runs++); /* .. is followed by another */
            write_config(config, name);
            ended = false;
        }
        pid_t child = start(config, false);
        if (kills < KILLS) {
            sleep_seconds(random_uniform(&random) * seconds * 0.6);
            kill(child, SIGKILL);
        }
        int status = finish(child);
        ended = WIFEXITED(status);
        assert_true(!ended || WEXITSTATUS(status) == 0);
        if (!ended) {
            print_message(" %d", log_lines(name));
            if (++kills == FULL_DISK_AFTER)
                fill_the_disk(config);
        } else {
            print_message(" (end)");
            assert_same_runs("whole", name);
        }
    }
    print_message("\n");
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "train"))
        return train_main(argv[2], argc > 3);
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ten_kills)};
    return cmocka_run_group_tests(tests, make_clips, remove_clips);
}
