/* mome evaluate --manifest TSV: error rates per task, rate and noise: a table, and JSON for
 * programs. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "eval/evaluate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CONDITIONS 1024

static const char help_text[] =
    "usage: mome evaluate --manifest TSV [OPTIONS]\n\n"
    "Word error rates of a model over a manifest (columns path, text), for every task, rate and\n"
    "noise level asked for, with 95 % bootstrap intervals.\n\n"
    "  mome evaluate --manifest test.tsv --task asr,vsr,avsr --rates all --beam 5\n"
    "  mome evaluate --manifest test.tsv --task asr,avsr --rate 4,2 --noise babble.flac --snr "
    "clean,0,-5\n\n";
static const char help_more[] =
    "  --manifest TSV   the clips\n"
    "  --json FILE      write the results there: {\"results\": [{task, audio_rate, video_rate, "
    "snr_db\n"
    "                   (null: clean), wer, wer_low, wer_high, cer, words, errors, clips, failed,\n"
    "                   prompt_tokens, media_tokens, seconds, rtf}]}\n"
    "  --hypotheses F   write every clip's text and result there, in columns with tabs between\n"
    "  --example        show the first clip's text in every row\n"
    "  --clips N        only so many clips, evenly taken\n"
    "  --seed N         of the noise's offsets and the bootstrap (default 1)\n"
    "  --cache DIR      keep decoded clips there between runs\n";

struct run {
    struct progress progress;
    struct file_writer hypotheses;  /* stream NULL: not wanted */
    const char *example_path;       /* of the first clip, once it is known */
    char *examples[MAX_CONDITIONS]; /* its result in each condition, in order; --example */
    int example_count;
};

static int report(void *arg, int64_t done, int64_t total, const char *note)
{
    struct run *run = arg;
    if (note)
        progress_note(&run->progress, note);
    progress_update(&run->progress, done, total, -1, NULL);
    return interrupted();
}

static void utterance(void *arg, const struct manifest_entry *entry, const struct condition *k,
                      const char *hypothesis)
{
    struct run *run = arg;
    if (!run->example_path)
        run->example_path = entry->path;
    if (run->example_path == entry->path && run->example_count < MAX_CONDITIONS)
        run->examples[run->example_count++] = memory_strdup(hypothesis);
    if (!run->hypotheses.stream)
        return;
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, k->audio_rate, k->video_rate);
    session_noise_name(noise, k->snr_db);
    fprintf(run->hypotheses.stream, "%s\t%s\t%s\t%s\t%s\t%s\n", entry->path, task_name(k->task),
            rate, noise, entry->text, hypothesis);
}

static json_t *score_json(const struct score *s)
{
    const struct condition *k = &s->condition;
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "task",
        task_name(k->task), "audio_rate", k->audio_rate ? json_integer(k->audio_rate) : json_null(),
        "video_rate", k->video_rate ? json_integer(k->video_rate) : json_null(), "snr_db",
        isfinite(k->snr_db) ? json_real(k->snr_db) : json_null(), "wer", wer_rate(&s->words),
        "wer_low", s->interval.low, "wer_high", s->interval.high, "cer", wer_rate(&s->characters),
        "words", (json_int_t)s->words.length, "errors", (json_int_t)wer_errors(&s->words), "clips",
        (json_int_t)s->clips, "failed", (json_int_t)s->failed, "prompt_tokens",
        s->clips ? (double)s->prompt_tokens / (double)s->clips : 0.0, "media_tokens",
        s->clips ? (double)s->media_tokens / (double)s->clips : 0.0, "seconds", s->seconds, "rtf",
        s->audio_seconds > 0 ? s->seconds / s->audio_seconds : 0.0);
}

static int write_json(const char *path, const struct session *s, const char *manifest,
                      const struct score *scores, int count, struct error *err)
{
    json_t *results = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(results, score_json(&scores[i]));
    json_t *root = json_pack("{s:s, s:i, s:s?, s:o}", "manifest", manifest, "beam", s->beam.beam,
                             "noise", s->noise_path, "results", results);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    int rc = text ? file_write(path, text, strlen(text), err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
    free(text);
    json_decref(root);
    return rc;
}

static void print_table(const struct score *scores, int count, char *const *examples)
{
    printf("task  rate    noise      WER %%   95 %% interval   words  tokens  ms/clip  failed%s\n",
           examples ? "  the first clip" : "");
    for (int i = 0; i < count; i++) {
        const struct score *s = &scores[i];
        const struct condition *k = &s->condition;
        char rate[SESSION_NAME], noise[SESSION_NAME];
        session_rate_name(rate, k->audio_rate, k->video_rate);
        session_noise_name(noise, k->snr_db);
        double clips = s->clips ? (double)s->clips : 1;
        printf("%-5s %-7s %-8s %7.2f   %5.1f - %5.1f  %6lld  %6.1f  %7.1f  %6lld  %s\n",
               task_name(k->task), rate, noise, 100 * wer_rate(&s->words), 100 * s->interval.low,
               100 * s->interval.high, (long long)s->words.length, (double)s->prompt_tokens / clips,
               1e3 * s->seconds / clips, (long long)s->failed,
               examples && examples[i] ? examples[i] : "");
    }
}

/* Conditions in the order task, SNR, rate: the same encoder input stands together. */
static int make_conditions(struct condition *list, const struct session *s, struct error *err)
{
    const struct recognizer_config *config = &s->recognizer->config;
    const int richest = !config->has_video ? TASK_ASR : !config->has_audio ? TASK_VSR : TASK_AVSR;
    int count = 0;
    for (int task = 0; task < TASK_COUNT; task++) {
        bool wanted = s->automatic ? task == richest : s->tasks[task];
        for (int i = 0; wanted && count >= 0 && i < (task_hears(task) ? s->snr_count : 1); i++) {
            const double clean = INFINITY;
            int pairs[SESSION_MAX_PAIRS][2];
            int n = session_rates(s, task, pairs, err);
            for (int p = 0; n > 0 && count >= 0 && p < n; p++)
                count =
                    conditions_add(list, count, MAX_CONDITIONS, s->recognizer, task, pairs[p][0],
                                   pairs[p][1], task_hears(task) ? &s->snrs[i] : &clean, 1, err);
            count = n < 0 ? n : count;
        }
    }
    return count;
}

struct arguments {
    const char *manifest, *json, *hypotheses;
    struct evaluate_options options;
    bool example;
    int clips, seed;
};

static void note_line(void *arg, const char *message)
{
    progress_note(&((struct run *)arg)->progress, message);
}

static int run_evaluation(struct session *s, struct arguments *a, struct error *err)
{
    static struct condition conditions[MAX_CONDITIONS];
    static struct score scores[MAX_CONDITIONS];
    struct run run = {0};
    struct manifest manifest = {0};
    progress_start(&run.progress, "evaluating", s->quiet);
    int count = make_conditions(conditions, s, err);
    int rc = count < 0 ? count : manifest_load(&manifest, a->manifest, note_line, &run, err);
    if (!rc && a->hypotheses)
        rc = file_writer_open(&run.hypotheses, a->hypotheses, err);
    if (!rc && run.hypotheses.stream)
        fputs("path\ttask\trate\tnoise\ttext\thypothesis\n", run.hypotheses.stream);
    a->options.noise = &s->noise;
    a->options.beam = s->beam;
    a->options.most_clips = a->clips;
    a->options.seed = (uint64_t)a->seed;
    a->options.report = report;
    a->options.utterance = utterance;
    a->options.arg = &run;
    if (!rc)
        rc = evaluate(scores, conditions, count, &s->transcriber, &manifest, &a->options, err);
    progress_end(&run.progress);
    if (!rc) {
        print_table(scores, count, a->example ? run.examples : NULL);
        if (a->json)
            rc = write_json(a->json, s, a->manifest, scores, count, err);
        if (!rc && run.hypotheses.stream)
            rc = file_writer_commit(&run.hypotheses, err);
        for (int i = 0; i < count; i++)
            score_release(&scores[i]);
    }
    for (int i = 0; i < run.example_count; i++)
        memory_free(run.examples[i]);
    file_writer_abandon(&run.hypotheses); /* unless it is committed */
    manifest_release(&manifest);
    return rc;
}

int command_evaluate(int argc, char **argv)
{
    enum { MANIFEST = 256, JSON, HYPOTHESES, CLIPS, SEED, CACHE, EXAMPLE, HELP };
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"manifest", required_argument, NULL, MANIFEST},
                                            {"json", required_argument, NULL, JSON},
                                            {"hypotheses", required_argument, NULL, HYPOTHESES},
                                            {"clips", required_argument, NULL, CLIPS},
                                            {"seed", required_argument, NULL, SEED},
                                            {"cache", required_argument, NULL, CACHE},
                                            {"example", no_argument, NULL, EXAMPLE},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct session session;
    struct arguments a = {.seed = 1};
    struct error err = {0};
    int option, rc = 0;
    session_init(&session);
    while (!rc && (option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            printf("%s%s%s", help_text, help_more, session_help);
            return EXIT_GOOD;
        }
        if (option == MANIFEST)
            a.manifest = optarg;
        else if (option == JSON)
            a.json = optarg;
        else if (option == HYPOTHESES)
            a.hypotheses = optarg;
        else if (option == CACHE)
            a.options.cache = optarg;
        else if (option == EXAMPLE)
            a.example = true;
        else if (option == CLIPS)
            rc = option_integer(&a.clips, optarg, 1, 1 << 30);
        else if (option == SEED)
            rc = option_integer(&a.seed, optarg, 0, 1 << 30);
        else
            rc = session_option(&session, "evaluate", option, argv);
        if (rc == -1)
            return command_usage("evaluate", "this is not a number in range", optarg);
    }
    if (rc)
        return rc;
    if (!a.manifest || optind != argc)
        return command_usage("evaluate", "needs --manifest TSV and no other arguments", NULL);
    rc = session_open(&session, &err);
    interrupt_install();
    if (!rc)
        rc = run_evaluation(&session, &a, &err);
    session_close(&session);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
