/* mome compare A.json B.json: whether two results of `mome evaluate` differ by more than chance, on
 * the clips and conditions that they share. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/session.h"
#include "eval/result.h"
#include "eval/significance.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "usage: mome compare A.json B.json [--json FILE] [--seed N]\n\n"
    "Whether two results of `mome evaluate --json` over the same clips differ by more than "
    "chance:\n"
    "for every task, rate, noise level and seed that both have,\n\n"
    "  B - A     difference of the word error rates in points; below 0, B makes fewer mistakes\n"
    "  interval  its 95 % interval, by paired bootstrap over the clips\n"
    "  p         how often a difference as large comes about if the two are the same: paired\n"
    "            approximate randomisation, 10000 exchanges of the clips' results\n"
    "  A<, B<    clips where A, where B has fewer errors\n\n"
    "Of n rows between equal systems, n / 20 have p below 0.05 by chance: to claim something for\n"
    "one of n rows, ask for p below 0.05 / n.\n\n"
    "  mome evaluate --model a --manifest test.tsv --json a.json\n"
    "  mome evaluate --model b --manifest test.tsv --json b.json\n"
    "  mome compare a.json b.json\n\n"
    "  --json FILE      write the comparison there\n"
    "  --seed N         of the exchanges and resamples (default 1)\n";

/* One condition of both. */
struct compared {
    const struct result_row *a, *b;
    struct significance s;
};

static bool same_condition(const struct result_row *a, const struct result_row *b)
{
    bool noisy = isfinite(a->snr_db);
    return a->task == b->task && a->audio_rate == b->audio_rate && a->video_rate == b->video_rate &&
           a->snr_db == b->snr_db && (!noisy || a->seed == b->seed);
}

/* The manifests may lie in different places, but the texts must be the same. */
static int check_clips(const struct result *a, const struct result *b, const char *const *files,
                       struct error *err)
{
    if (a->clip_count && b->clip_count && a->clip_count != b->clip_count)
        return error_set(err, ERROR_FORMAT, "%s has %lld clips, %s %lld: these are not the same",
                         files[0], (long long)a->clip_count, files[1], (long long)b->clip_count);
    for (int64_t i = 0; i < a->clip_count && i < b->clip_count; i++)
        if (strcmp(a->clips[i].text, b->clips[i].text) != 0)
            return error_set(err, ERROR_FORMAT,
                             "clip %lld is \"%.80s\" in %s, \"%.80s\" in %s: not the same clips",
                             (long long)i + 1, a->clips[i].text, files[0], b->clips[i].text,
                             files[1]);
    return 0;
}

static int compare_rows(struct compared *c, uint64_t seed, const char *const *files,
                        struct error *err)
{
    const int64_t count = c->a->utterance_count;
    if (count != c->b->utterance_count)
        return error_set(err, ERROR_FORMAT, "%s has %lld clips, %s %lld: these are not the same",
                         files[0], (long long)count, files[1], (long long)c->b->utterance_count);
    struct paired_utterance *pairs = memory_new((size_t)count, sizeof *pairs);
    if (!pairs)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = 0;
    for (int64_t i = 0; !rc && i < count; i++) {
        const struct result_utterance *a = &c->a->utterances[i], *b = &c->b->utterances[i];
        pairs[i] = (struct paired_utterance){a->words, a->errors, b->errors};
        if (a->words != b->words)
            rc = error_set(
                err, ERROR_FORMAT, "clip %lld has %lld words in %s, %lld in %s: not the same clips",
                (long long)i + 1, (long long)a->words, files[0], (long long)b->words, files[1]);
    }
    if (!rc)
        rc = significance_test(&c->s, pairs, count, seed, err);
    memory_free(pairs);
    return rc;
}

/* Fills list with what both have; returns how many, or a negative code. */
static int compare_all(struct compared *list, const struct result *a, const struct result *b,
                       uint64_t seed, const char *const *files, struct error *err)
{
    int count = 0, rc = check_clips(a, b, files, err);
    for (int i = 0; !rc && i < a->row_count; i++)
        for (int j = 0; !rc && j < b->row_count; j++) {
            if (!same_condition(&a->rows[i], &b->rows[j]) || !a->rows[i].utterance_count)
                continue;
            list[count] = (struct compared){.a = &a->rows[i], .b = &b->rows[j]};
            rc = compare_rows(&list[count++], seed, files, err);
            break;
        }
    if (!rc && !count)
        rc = error_set(err, ERROR_FORMAT,
                       "%s and %s have no task, rate and noise level in common for which both say "
                       "the errors of each clip",
                       files[0], files[1]);
    return rc ? rc : count;
}

static void print_table(const struct result *a, const struct result *b, const struct compared *list,
                        int count)
{
    printf("A: %s   B: %s\n\n", a->name, b->name);
    printf(
        "task  rate    noise     seed     A %%     B %%   B - A   95 %% interval        p    A<    "
        "B<  clips\n");
    for (int i = 0; i < count; i++) {
        const struct result_row *row = list[i].a;
        const struct significance *s = &list[i].s;
        char rate[SESSION_NAME], noise[SESSION_NAME];
        session_rate_name(rate, row->audio_rate, row->video_rate);
        session_noise_name(noise, row->snr_db);
        printf("%-5s %-7s %-8s %5lld  %6.2f  %6.2f  %+6.2f  %+6.2f .. %+6.2f  %6.4f  %4lld  %4lld  "
               "%5lld\n",
               task_name(row->task), rate, noise, (long long)row->seed, 100 * s->wer_a,
               100 * s->wer_b, 100 * s->difference, 100 * s->low, 100 * s->high, s->p,
               (long long)s->better_a, (long long)s->better_b, (long long)s->clips);
    }
}

static json_t *compared_json(const struct compared *c)
{
    const struct significance *s = &c->s;
    const struct result_row *row = c->a;
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}",
                     "task", task_name(row->task), "audio_rate",
                     row->audio_rate ? json_integer(row->audio_rate) : json_null(), "video_rate",
                     row->video_rate ? json_integer(row->video_rate) : json_null(), "snr_db",
                     isfinite(row->snr_db) ? json_real(row->snr_db) : json_null(), "seed",
                     (json_int_t)row->seed, "wer_a", s->wer_a, "wer_b", s->wer_b, "difference",
                     s->difference, "low", s->low, "high", s->high, "p", s->p, "better_a",
                     (json_int_t)s->better_a, "better_b", (json_int_t)s->better_b, "clips",
                     (json_int_t)s->clips);
}

static int write_json(const char *path, const struct result *a, const struct result *b,
                      const struct compared *list, int count, struct error *err)
{
    json_t *conditions = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(conditions, compared_json(&list[i]));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:o}", "format", "mome-comparison-1", "a", a->name, "b",
                  b->name, "manifest", a->manifest, "conditions", conditions);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    int rc = text ? file_write(path, text, strlen(text), err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
    free(text);
    json_decref(root);
    return rc;
}

static int compare(const char *const *files, const char *json, int seed, struct error *err)
{
    struct result a = {0}, b = {0};
    struct compared *list = NULL;
    int count = 0, rc = result_read(&a, files[0], err);
    if (!rc)
        rc = result_read(&b, files[1], err);
    if (!rc) {
        list = memory_new((size_t)a.row_count + 1, sizeof *list);
        rc = list ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    }
    if (!rc) {
        count = compare_all(list, &a, &b, (uint64_t)seed, files, err);
        rc = count < 0 ? count : 0;
    }
    if (!rc)
        print_table(&a, &b, list, count);
    if (!rc && json)
        rc = write_json(json, &a, &b, list, count, err);
    memory_free(list);
    result_release(&a);
    result_release(&b);
    return rc;
}

int command_compare(int argc, char **argv)
{
    enum { JSON = 256, SEED, HELP };
    static const struct option options[] = {{"json", required_argument, NULL, JSON},
                                            {"seed", required_argument, NULL, SEED},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    const char *json = NULL;
    struct error err = {0};
    int option, seed = 1;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            printf("%s", help_text);
            return EXIT_GOOD;
        }
        if (option == JSON)
            json = optarg;
        else if (option != SEED)
            return command_bad_option("compare", option, argv);
        else if (option_integer(&seed, optarg, 0, 1 << 30))
            return command_usage("compare", "this is not a number in range", optarg);
    }
    if (argc - optind != 2)
        return command_usage("compare", "needs two files that mome evaluate --json wrote", NULL);
    int rc = compare((const char *const *)argv + optind, json, seed, &err);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
