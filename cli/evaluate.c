/* mome evaluate --manifest TSV: error rates per task, rate, noise and seed: a table, and a result
 * file (eval/result.h) for `mome compare`, `mome report` and other programs. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "eval/evaluate.h"
#include "eval/expert_use.h"
#include "eval/result.h"
#include "models/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_CONDITIONS = 1024, MAX_SEEDS = 64 };

static const char help_text[] =
    "usage: mome evaluate --manifest TSV [OPTIONS]\n\n"
    "Word error rates of a model over a manifest (columns path, text), for every task, rate, "
    "noise\n"
    "level and seed asked for, with 95 % bootstrap intervals and what each costs.\n\n"
    "  mome evaluate --manifest test.tsv --task asr,vsr,avsr --rates all --beam 5\n"
    "  mome evaluate --manifest test.tsv --rate auto,all --deadline 300ms\n"
    "  mome evaluate --manifest test.tsv --task asr,avsr --rate 4,2 --noise babble.flac \\\n"
    "                --snr clean,0,-5 --seeds 1,2,3 --json result.json\n\n"
    "WER compares words in lower case as white space divides them; norm WER compares them without\n"
    "punctuation; CER compares characters. TFLOPs are counted from the model's shapes, for a "
    "clip.\n"
    "ms/clip and RTF (time / length of the sound) are shares: all conditions of a clip are "
    "decoded\n"
    "as one batch, its sounds and pictures are encoded once. --batch 1 measures each alone.\n"
    "With --rate auto each clip and row is done alone, from decoded clip to text, and `held` is "
    "the\n"
    "share of clips that kept the limits; `auto,all` adds the fixed rates, measured likewise.\n\n";
static const char help_more[] =
    "  --manifest TSV   the clips\n"
    "  --json FILE      write the result there, every hypothesis included: `mome compare A B` "
    "says\n"
    "                   whether two differ, `mome report` draws them\n"
    "  --name NAME      of the model in that file (default: the folder's)\n"
    "  --hypotheses F   write every clip's text and result there, in columns with tabs between\n"
    "  --example        show the first clip's text in every row\n"
    "  --clips N        only so many clips, evenly taken\n"
    "  --seeds N,...    of the noise's offsets; each is a row of its own (default 1). The first "
    "is\n"
    "                   the bootstrap's as well; where nothing is mixed in, there is only that "
    "one\n"
    "  --batch N        decode so many conditions at once (default: 64 beams)\n"
    "  --experts        write which experts each rate uses, how far rates agree in that, and how\n"
    "                   alike the tokens of all rates are, into the --json file; takes one more\n"
    "                   pass over each clip's sound without noise\n"
    "  --cache DIR      keep decoded clips there between runs\n";

struct arguments {
    const char *manifest, *json, *hypotheses, *name;
    struct evaluate_options options;
    bool example, experts;
    int clips, batch;
    int64_t seeds[MAX_SEEDS];
    int seed_count;
};

struct run {
    struct progress progress;
    struct file_writer hypotheses; /* stream NULL: not wanted */
    const struct condition *conditions;
    struct result result;
    struct expert_use use; /* count 0: not wanted */
};

static int report(void *arg, int64_t done, int64_t total, const char *note)
{
    struct run *run = arg;
    if (note)
        progress_note(&run->progress, note);
    progress_update(&run->progress, done, total, -1, NULL);
    return interrupted();
}

static void note_line(void *arg, const char *message)
{
    progress_note(&((struct run *)arg)->progress, message);
}

/* Into the result's clips, and a line of the file. */
static void utterance(void *arg, const struct evaluated *u)
{
    struct run *run = arg;
    const struct condition *k = &run->conditions[u->condition];
    struct result_clip *clip = &run->result.clips[u->clip];
    const char **hypotheses = (const char **)clip->hypotheses;
    if (!hypotheses) {
        hypotheses = result_array(&run->result, run->result.row_count, sizeof *hypotheses);
        *clip = (struct result_clip){.path = result_text(&run->result, u->entry->path),
                                     .text = result_text(&run->result, u->entry->text),
                                     .seconds = u->seconds,
                                     .hypotheses = hypotheses};
    }
    hypotheses[u->condition] = result_text(&run->result, u->hypothesis);
    if (!run->hypotheses.stream)
        return;
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, k->audio_rate, k->video_rate);
    session_noise_name(noise, k->snr_db);
    fprintf(run->hypotheses.stream, "%s\t%s\t%s\t%s\t%s\t%s\n", u->entry->path, task_name(k->task),
            rate, noise, u->entry->text, u->hypothesis);
}

/* With --experts: the clip once more. */
static int use_experts(void *arg, struct transcriber *t, const struct clip *clip,
                       const struct manifest_entry *entry, struct error *err)
{
    struct run *run = arg;
    int rc = expert_use_clip(&run->use, t, clip, err);
    if (!rc && !run->result.similarity)
        rc = expert_use_similarity(&run->result, t, clip, entry->path, err);
    return rc;
}

/* Each task and rate of the conditions, whatever the noise. */
static int start_experts(struct run *run, const struct session *s, int count, struct error *err)
{
    static struct result_expert_condition all[MAX_CONDITIONS];
    int n = 0;
    for (int i = 0; i < count; i++) {
        const struct condition *k = &run->conditions[i];
        int same = 0;
        while (same < n && (all[same].task != k->task || all[same].audio_rate != k->audio_rate ||
                            all[same].video_rate != k->video_rate))
            same++;
        all[same] = (struct result_expert_condition){k->task, k->audio_rate, k->video_rate};
        n += same == n;
    }
    int rc = expert_use_init(&run->use, &s->recognizer->config, all, n, err);
    return rc ? error_prefix(err, "%s: --experts", s->folder) : 0;
}

/* ---- the result -------------------------------------------------------------------------- */

static void fill_row(struct result *r, struct result_row *row, const struct score *s, bool limited)
{
    const struct condition *k = &s->condition;
    const double clips = fmax(1, (double)(s->clips - s->failed)); /* that were read */
    struct result_utterance *utterances = result_array(r, s->clips, sizeof *utterances);
    for (int64_t i = 0; i < s->clips; i++)
        utterances[i] =
            (struct result_utterance){wer_errors(&s->utterances[i]), s->utterances[i].length};
    *row = (struct result_row){
        .task = k->task,
        .audio_rate = k->audio_rate,
        .video_rate = k->video_rate,
        .snr_db = k->snr_db,
        .seed = (int64_t)k->seed,
        .wer = wer_rate(&s->words),
        .wer_low = s->interval.low,
        .wer_high = s->interval.high,
        .wer_normalised = wer_rate(&s->normalised),
        .cer = wer_rate(&s->characters),
        .words = s->words.length,
        .errors = wer_errors(&s->words),
        .clips = s->clips,
        .failed = s->failed,
        .prompt_tokens = (double)s->prompt_tokens / clips,
        .media_tokens = (double)s->media_tokens / clips,
        .tflops = 1e-12 * s->flops / clips,
        .seconds = s->seconds,
        .audio_seconds = s->audio_seconds,
        .rtf = s->audio_seconds > 0 ? s->seconds / s->audio_seconds : 0,
        .held = limited ? (double)s->held / clips : NAN,
        .utterances = utterances,
        .utterance_count = s->clips,
    };
}

/* The last part of a path. */
static const char *last_part(struct result *r, const char *path)
{
    size_t end = strlen(path), start;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/';)
        start--;
    char *copy = memory_strdup(path + start);
    if (!copy)
        return "";
    copy[end - start] = 0;
    const char *kept = result_text(r, copy);
    memory_free(copy);
    return kept;
}

/* Where the experts are, or what there is instead. */
static const char *placement(const struct recognizer_config *config)
{
    static const char *const names[MOME_PLACEMENTS] = {"none", "mhsa", "ffn", "layer"};
    const struct lora_config *l = &config->lora;
    if (config->mome.placement != MOME_NONE || !l->inner)
        return names[config->mome.placement];
    return !l->per_rate ? "lora"
           : l->global  ? "lora, one for all and one a rate"
                        : "lora, one a rate";
}

static void fill_head(struct result *r, const struct session *s, const struct arguments *a)
{
    struct param_counter counter;
    struct rusage usage;
    param_counter_init(&counter);
    recognizer_params(s->recognizer, &counter.visitor);
    r->name = a->name ? result_text(r, a->name) : last_part(r, s->folder);
    r->folder = result_text(r, s->folder);
    r->placement = placement(&s->recognizer->config);
    r->parameters = counter.parameters;
    recognizer_adapter_parameters(s->recognizer, &r->adapter_parameters, &r->active_parameters);
    r->manifest = result_text(r, a->manifest);
    r->noise = s->noise_path ? result_text(r, s->noise_path) : NULL;
    r->beam = s->beam.beam;
    r->seeds = a->seeds;
    r->seed_count = a->seed_count;
    getrusage(RUSAGE_SELF, &usage);
    r->peak_memory_bytes = (int64_t)usage.ru_maxrss * 1024;
}

static void print_table(const struct result *r, bool example)
{
    const bool seeds = r->seed_count > 1, limited = r->row_count && !isnan(r->rows[0].held);
    printf("task  rate    noise   %s   WER %%   95 %% interval  norm %%   CER %%   words  tokens  "
           "TFLOPs  ms/clip     RTF  failed%s%s\n",
           seeds ? "  seed" : "", limited ? "  held %" : "", example ? "  the first clip" : "");
    for (int i = 0; i < r->row_count; i++) {
        const struct result_row *row = &r->rows[i];
        char rate[SESSION_NAME], noise[SESSION_NAME], seed[SESSION_NAME] = "",
                                                      held[SESSION_NAME] = "";
        session_rate_name(rate, row->audio_rate, row->video_rate);
        session_noise_name(noise, row->snr_db);
        if (seeds)
            snprintf(seed, sizeof seed, "  %4lld", (long long)row->seed);
        if (limited)
            snprintf(held, sizeof held, "  %6.1f", 100 * row->held);
        printf("%-5s %-7s %-8s%s  %6.2f   %5.1f - %5.1f  %6.2f  %6.2f  %6lld  %6.1f  %6.3f  %7.1f  "
               "%6.3f  %6lld%s  %s\n",
               task_name(row->task), rate, noise, seed, 100 * row->wer, 100 * row->wer_low,
               100 * row->wer_high, 100 * row->wer_normalised, 100 * row->cer,
               (long long)row->words, row->prompt_tokens, row->tflops,
               1e3 * row->seconds / fmax(1, (double)(row->clips - row->failed)), row->rtf,
               (long long)row->failed, held,
               example && r->clip_count ? r->clips[0].hypotheses[i] : "");
    }
}

/* ---- the run ----------------------------------------------------------------------------- */

/* One task's, in the order noise, seed, rate. */
static int add_task(struct condition *list, int count, const struct session *s,
                    const struct arguments *a, enum task task, struct error *err)
{
    const double clean = INFINITY;
    int pairs[SESSION_MAX_RUNS][2];
    int rates = session_rates(s, task, pairs, err);
    if (rates < 0)
        return rates;
    for (int i = 0; i < (task_hears(task) ? s->snr_count : 1); i++) {
        const double *snr = task_hears(task) ? &s->snrs[i] : &clean;
        for (int seed = 0; seed < (isfinite(*snr) ? a->seed_count : 1); seed++)
            for (int p = 0; p < rates; p++) {
                if (count == MAX_CONDITIONS)
                    return error_set(err, ERROR_LIMIT, "more than %d combinations", MAX_CONDITIONS);
                list[count++] = (struct condition){task, pairs[p][0], pairs[p][1], *snr,
                                                   (uint64_t)a->seeds[seed]};
            }
    }
    return count;
}

static int make_conditions(struct condition *list, const struct session *s,
                           const struct arguments *a, struct error *err)
{
    const struct recognizer_config *config = &s->recognizer->config;
    const int richest = !config->has_video ? TASK_ASR : !config->has_audio ? TASK_VSR : TASK_AVSR;
    int count = 0;
    for (int task = 0; count >= 0 && task < TASK_COUNT; task++)
        if (s->automatic ? task == richest : s->tasks[task])
            count = add_task(list, count, s, a, (enum task)task, err);
    return count;
}

/* Evaluates, and writes and shows the result. */
static int run_conditions(struct run *run, struct session *s, struct arguments *a,
                          const struct manifest *manifest, int count, struct error *err)
{
    static struct score scores[MAX_CONDITIONS];
    struct result *r = &run->result;
    int64_t clips = a->clips && a->clips < manifest->count ? a->clips : manifest->count;
    r->row_count = count;
    r->rows = result_array(r, count, sizeof *r->rows);
    r->clip_count = clips;
    r->clips = result_array(r, clips, sizeof *r->clips);
    a->options.noise = &s->noise;
    a->options.beam = s->beam;
    a->options.most_clips = a->clips;
    a->options.seed = (uint64_t)a->seeds[0];
    a->options.report = report;
    a->options.utterance = utterance;
    a->options.arg = run;
    a->options.pace = s->auto_rate ? &s->pace : NULL;
    a->options.limits = s->limits;
    a->options.may_drop_pictures = s->automatic;
    s->transcriber.batch = a->batch;
    int rc = a->experts ? start_experts(run, s, count, err) : 0;
    a->options.clip = a->experts ? use_experts : NULL;
    if (!rc)
        rc = evaluate(scores, run->conditions, count, &s->transcriber, manifest, &a->options, err);
    progress_end(&run->progress);
    if (rc)
        return rc;
    for (int i = 0; i < count; i++) {
        fill_row(r, &r->rows[i], &scores[i], s->auto_rate);
        score_release(&scores[i]);
    }
    fill_head(r, s, a);
    if (a->experts)
        expert_use_result(&run->use, r);
    print_table(r, a->example);
    if (a->json)
        rc = result_write(r, a->json, err);
    if (!rc && run->hypotheses.stream)
        rc = file_writer_commit(&run->hypotheses, err);
    return rc;
}

static int run_evaluation(struct session *s, struct arguments *a, struct error *err)
{
    static struct condition conditions[MAX_CONDITIONS];
    struct run run = {.conditions = conditions};
    struct manifest manifest = {0};
    progress_start(&run.progress, "evaluating", s->quiet);
    int rc = result_init(&run.result, err);
    int count = rc ? rc : make_conditions(conditions, s, a, err);
    rc = count < 0 ? count : manifest_load(&manifest, a->manifest, note_line, &run, err);
    if (!rc && a->hypotheses)
        rc = file_writer_open(&run.hypotheses, a->hypotheses, err);
    if (!rc && run.hypotheses.stream)
        fputs("path\ttask\trate\tnoise\ttext\thypothesis\n", run.hypotheses.stream);
    if (!rc)
        rc = run_conditions(&run, s, a, &manifest, count, err);
    progress_end(&run.progress);
    file_writer_abandon(&run.hypotheses); /* unless it is committed */
    manifest_release(&manifest);
    expert_use_release(&run.use);
    result_release(&run.result);
    return rc;
}

/* ---- options ----------------------------------------------------------------------------- */

static int read_seeds(struct arguments *a, const char *list)
{
    a->seed_count = 0;
    for (const char *at = list;; at++) {
        char one[16];
        int value;
        size_t n = strcspn(at, ",");
        if (n >= sizeof one || a->seed_count == MAX_SEEDS)
            return -1;
        memcpy(one, at, n);
        one[n] = 0;
        if (option_integer(&value, one, 0, 1 << 30))
            return -1;
        a->seeds[a->seed_count++] = value;
        at += n;
        if (!*at)
            return 0;
    }
}

enum { MANIFEST = 256, JSON, NAME, HYPOTHESES, CLIPS, SEEDS, BATCH, CACHE, EXAMPLE, EXPERTS, HELP };

/* One of the command's own; -1: not a number in range; 1: none of them. */
static int read_option(struct arguments *a, int option, const char *value)
{
    switch (option) {
    case MANIFEST:
        a->manifest = value;
        return 0;
    case JSON:
        a->json = value;
        return 0;
    case NAME:
        a->name = value;
        return 0;
    case HYPOTHESES:
        a->hypotheses = value;
        return 0;
    case CACHE:
        a->options.cache = value;
        return 0;
    case EXAMPLE:
        a->example = true;
        return 0;
    case EXPERTS:
        a->experts = true;
        return 0;
    case CLIPS:
        return option_integer(&a->clips, value, 1, 1 << 30);
    case BATCH:
        return option_integer(&a->batch, value, 1, 4096);
    case SEEDS:
        return read_seeds(a, value);
    default:
        return 1;
    }
}

int command_evaluate(int argc, char **argv)
{
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"manifest", required_argument, NULL, MANIFEST},
                                            {"json", required_argument, NULL, JSON},
                                            {"name", required_argument, NULL, NAME},
                                            {"hypotheses", required_argument, NULL, HYPOTHESES},
                                            {"clips", required_argument, NULL, CLIPS},
                                            {"seed", required_argument, NULL, SEEDS},
                                            {"seeds", required_argument, NULL, SEEDS},
                                            {"batch", required_argument, NULL, BATCH},
                                            {"cache", required_argument, NULL, CACHE},
                                            {"example", no_argument, NULL, EXAMPLE},
                                            {"experts", no_argument, NULL, EXPERTS},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct session session;
    struct arguments a = {.seeds = {1}, .seed_count = 1};
    struct error err = {0};
    int option, rc = 0;
    session_init(&session);
    while (!rc && (option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            printf("%s%s%s", help_text, help_more, session_help);
            return EXIT_GOOD;
        }
        rc = read_option(&a, option, optarg);
        if (rc == -1)
            return command_usage("evaluate", "this is not a number in range", optarg);
        if (rc == 1)
            rc = session_option(&session, "evaluate", option, argv);
    }
    if (rc)
        return rc;
    if (!a.manifest || optind != argc)
        return command_usage("evaluate", "needs --manifest TSV and no other arguments", NULL);
    if (a.experts && !a.json)
        return command_usage("evaluate", "--experts needs --json FILE to write to", NULL);
    rc = session_open(&session, &err);
    interrupt_install();
    if (!rc)
        rc = run_evaluation(&session, &a, &err);
    session_close(&session);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
