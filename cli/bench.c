/* mome bench: what each rate costs on this machine, and what it is worth: one table, and a plot. */
#include "eval/bench.h"
#include "base/data.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "features/clip_cache.h"
#include "features/face.h"
#include "media/media.h"
#include "text/manifest.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BEAMS = 16, MAX_ROWS = 1024 };

#define OUTPUT_LIMIT ((size_t)16 << 20)

static const char help_text[] =
    "usage: mome bench [FILE...] [OPTIONS]\n\n"
    "Times every task, rate (pair) and number of beams on this machine, one clip at a time, and "
    "says\n"
    "how many words each gets wrong. Clips: FILEs, a --manifest, or else the project's sample "
    "clips.\n\n"
    "  mome bench                                        the sample clips at every rate\n"
    "  mome bench --manifest dev.tsv --clips 20 --beam 1,5 --plot wer-time.svg\n"
    "  mome bench talk.mp4 --task asr --rate 4 -r 20 -o json\n\n"
    "  encode   log-mel and encoders           the same at every rate of a task\n"
    "  prefill  projectors, and the LLM reads  falls with the rate: fewer tokens\n"
    "  search   the LLM writes                 grows with the words and --beam\n"
    "  total    from decoded media to text     mean +- deviation over the repetitions, a clip\n"
    "  tokens   that the LLM reads a clip, the prompt's own included\n"
    "  RTF      total / length of the clips    below 1: faster than speech\n"
    "  peak MB  of the whole process, while the row was measured\n\n"
    "A pass before the first repetition warms up and is not timed. On a machine that does other\n"
    "things, raise -r and look at the deviation before believing a difference. To let a limit "
    "choose\n"
    "the rate, see --deadline of mome transcribe.\n\n";
static const char help_more[] =
    "  -o, --output F   table (default), md, csv or json. JSON: {format: mome-bench-1, model,\n"
    "                   repetitions, threads, clips, clip_seconds, results: [..]}; times in "
    "seconds\n"
    "                   as {mean, deviation}; CSV: one line a row, times in ms, error rates 0 .. "
    "1\n"
    "  --plot FILE.svg  draw error rate against time there\n"
    "  -r, --repeat N   repetitions (default 5)\n"
    "  --manifest TSV   clips and their words (columns path, text)\n"
    "  --clips N        only so many of them, evenly taken (default 20)\n"
    "  --cache DIR      keep decoded clips there between runs\n"
    "Of the options below, --beam takes a list (1,5) here; without --task every task that the "
    "model\n"
    "can do is measured, without --rate every rate; noise and limits are other commands'.\n\n";

struct arguments {
    const char *manifest, *plot, *cache;
    enum bench_format format;
    int repetitions, most_clips;
    int beams[MAX_BEAMS], beam_count;
};

struct run {
    struct session *session;
    const struct arguments *arguments;
    struct progress progress;
    int64_t done, total; /* clips read, of all passes */
    struct bench_clip *clips;
    int64_t count;
    double seconds; /* of the clips */
    struct bench_row rows[MAX_ROWS];
    int row_count;
};

static int report(void *arg)
{
    struct run *run = arg;
    progress_update(&run->progress, ++run->done, run->total, -1, NULL);
    return interrupted();
}

static void note_line(void *arg, const char *message)
{
    progress_note(&((struct run *)arg)->progress, message);
}

/* ---- clips ------------------------------------------------------------------------------- */

/* text NULL: what is said is not known. A clip that can't be read is told of and left out. */
static int add_clip(struct run *run, struct face_finder *finder, const char *path, const char *text,
                    struct error *err)
{
    struct bench_clip *c = &run->clips[run->count];
    const struct clip_options options = {
        .finder = finder, .no_pictures = !run->session->recognizer->config.has_video};
    const char *cache = run->arguments->cache;
    int rc = cache ? clip_cache_load(&c->clip, cache, path, &options, err)
                   : clip_load(&c->clip, path, &options, err);
    if (rc == ERROR_MEMORY)
        return rc;
    if (rc) {
        note_line(run, err->message);
        return 0;
    }
    run->count++;
    run->seconds += clip_seconds(c->clip.samples, c->clip.frames);
    c->path = memory_strdup(path);
    c->text = text ? memory_strdup(text) : NULL;
    return c->path && (c->text || !text) ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
}

/* Some of the clips of a list, at equal distances; with a manifest, that one's, else the files. */
static int load_clips(struct run *run, struct face_finder *finder, const struct manifest *m,
                      char **files, int64_t all, struct error *err)
{
    const int64_t most = run->arguments->most_clips;
    const int64_t wanted = m && most < all ? most : all;
    int rc = 0;
    run->clips = memory_new((size_t)wanted, sizeof *run->clips);
    if (!run->clips)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int64_t i = 0; !rc && i < wanted; i++) {
        const struct manifest_entry *entry = m ? &m->entries[i * all / wanted] : NULL;
        rc = add_clip(run, finder, entry ? entry->path : files[i], entry ? entry->text : NULL, err);
        progress_update(&run->progress, i + 1, wanted, -1, NULL);
        if (!rc && interrupted())
            rc = error_set(err, ERROR_CANCELLED, "stopped");
    }
    if (!rc && !run->count)
        rc = error_set(err, ERROR_IO, "none of the clips could be read");
    return rc;
}

static int find_clips(struct run *run, char **files, int file_count, struct error *err)
{
    struct face_finder *finder;
    struct manifest manifest = {0};
    char *sample = NULL;
    const char *path = run->arguments->manifest;
    int rc = face_finder_open(&finder, err);
    if (rc)
        return rc;
    if (!path && !file_count) {
        path = sample = data_find("samples/manifest.tsv");
        rc = sample ? 0
                    : error_set(err, ERROR_USAGE,
                                "there are no sample clips here: name FILEs or --manifest TSV");
    }
    if (!rc && path)
        rc = manifest_load(&manifest, path, note_line, run, err);
    if (!rc)
        rc = load_clips(run, finder, path ? &manifest : NULL, files,
                        path ? manifest.count : file_count, err);
    manifest_release(&manifest);
    memory_free(sample);
    face_finder_close(finder);
    return rc;
}

/* ---- rows -------------------------------------------------------------------------------- */

/* Whether any clip has what the task needs. */
static bool possible(const struct run *run, enum task task)
{
    struct error none;
    for (int64_t i = 0; i < run->count; i++)
        if (transcriber_check(&run->clips[i].clip, task, &none) == 0)
            return true;
    return false;
}

static int add_rows(struct run *run, enum task task, struct error *err)
{
    int pairs[SESSION_MAX_RUNS][2];
    const struct arguments *a = run->arguments;
    const int count = session_rates(run->session, task, pairs, err);
    if (count < 0)
        return count;
    for (int beam = 0; beam < a->beam_count; beam++)
        for (int i = 0; i < count; i++) {
            if (run->row_count == MAX_ROWS)
                return error_set(err, ERROR_LIMIT, "more than %d combinations", MAX_ROWS);
            run->rows[run->row_count++] = (struct bench_row){.task = task,
                                                             .audio_rate = pairs[i][0],
                                                             .video_rate = pairs[i][1],
                                                             .beam = a->beams[beam]};
        }
    return 0;
}

/* Those asked for; without --task, all that model and clips allow. */
static int make_rows(struct run *run, struct error *err)
{
    const struct session *s = run->session;
    int rc = 0;
    for (int task = 0; !rc && task < TASK_COUNT; task++) {
        bool able =
            transcriber_can(s->recognizer, (enum task)task) && possible(run, (enum task)task);
        if (s->automatic ? able : s->tasks[task])
            rc = add_rows(run, (enum task)task, err);
        if (!rc && !able && s->tasks[task])
            rc = error_set(err, ERROR_NO_STREAM, "none of the clips has what %s needs",
                           task_name((enum task)task));
    }
    if (!rc && !run->row_count)
        rc = error_set(err, ERROR_NO_STREAM, "none of the clips has sound or a face to read");
    return rc;
}

static int write_results(const struct run *run, struct error *err)
{
    const struct arguments *a = run->arguments;
    const struct bench_head head = {.model = run->session->folder,
                                    .repetitions = a->repetitions,
                                    .threads = omp_get_max_threads(),
                                    .clips = run->count,
                                    .seconds = run->seconds};
    struct strbuf text;
    int rc = 0;
    strbuf_init(&text, OUTPUT_LIMIT);
    bench_write(&text, a->format, &head, run->rows, run->row_count);
    if (text.failed)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    else
        fputs(text.data, stdout);
    strbuf_clear(&text);
    if (!rc && a->plot)
        rc = bench_plot(&text, run->rows, run->row_count, err);
    if (!rc && a->plot)
        rc = file_write(a->plot, text.data, text.length, err);
    strbuf_release(&text);
    return rc;
}

static int run_bench(struct session *s, const struct arguments *a, char **files, int file_count,
                     struct error *err)
{
    struct run *run = memory_new(1, sizeof *run);
    if (!run)
        return error_set(err, ERROR_MEMORY, "out of memory");
    run->session = s;
    run->arguments = a;
    progress_start(&run->progress, "decoding", s->quiet);
    int rc = find_clips(run, files, file_count, err);
    if (!rc)
        rc = make_rows(run, err);
    const struct bench_options options = {
        .beam = s->beam, .repetitions = a->repetitions, .report = report, .arg = run};
    run->total = run->row_count * run->count * (a->repetitions + 1);
    progress_start(&run->progress, "measuring", s->quiet);
    for (int i = 0; !rc && i < run->row_count; i++)
        rc = bench_run(&run->rows[i], &s->transcriber, run->clips, run->count, &options, err);
    progress_end(&run->progress);
    if (!rc)
        rc = write_results(run, err);
    for (int64_t i = 0; i < run->count; i++) {
        memory_free(run->clips[i].path);
        memory_free(run->clips[i].text);
        clip_release(&run->clips[i].clip);
    }
    memory_free(run->clips);
    memory_free(run);
    return rc;
}

/* ---- options ----------------------------------------------------------------------------- */

enum { MANIFEST = 256, CLIPS, CACHE, PLOT };

static int read_beams(struct arguments *a, const char *list)
{
    a->beam_count = 0;
    for (const char *at = list;; at++) {
        char one[16];
        size_t n = strcspn(at, ",");
        if (n >= sizeof one || a->beam_count == MAX_BEAMS)
            return -1;
        memcpy(one, at, n);
        one[n] = 0;
        if (option_integer(&a->beams[a->beam_count++], one, 1, 256))
            return -1;
        at += n;
        if (!*at)
            return 0;
    }
}

static int read_format(struct arguments *a, const char *name)
{
    static const char *const names[] = {[BENCH_TABLE] = "table",
                                        [BENCH_MARKDOWN] = "md",
                                        [BENCH_CSV] = "csv",
                                        [BENCH_JSON] = "json"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (!strcmp(name, names[i])) {
            a->format = (enum bench_format)i;
            return 0;
        }
    return -1;
}

/* What an option of the command's own should have been given; NULL: good; "": none of them. */
static const char *read_option(struct arguments *a, int option, const char *value)
{
    switch (option) {
    case MANIFEST:
        a->manifest = value;
        return NULL;
    case PLOT:
        a->plot = value;
        return NULL;
    case CACHE:
        a->cache = value;
        return NULL;
    case CLIPS:
        return option_integer(&a->most_clips, value, 1, 1 << 20) ? "--clips takes a number, not"
                                                                 : NULL;
    case 'r':
        return option_integer(&a->repetitions, value, 1, BENCH_MAX_REPETITIONS)
                   ? "--repeat takes 1 to 1000, not"
                   : NULL;
    case 'o':
        return read_format(a, value) ? "--output takes table, md, csv or json, not" : NULL;
    case SESSION_BEAM:
        return read_beams(a, value) ? "--beam takes numbers from 1 to 256 with commas between, not"
                                    : NULL;
    default:
        return "";
    }
}

/* What belongs to other commands. */
static const char *misplaced(const struct session *s, const struct arguments *a, int files)
{
    if (s->auto_rate || s->limits.seconds > 0 || s->limits.rtf > 0 || s->limits.bytes)
        return "it measures fixed rates: --rate auto and its limits are transcribe's and "
               "evaluate's";
    if (s->noise_path || s->snr_count > 1 || isfinite(s->snrs[0]))
        return "it measures clean sound: --noise and --snr are evaluate's";
    if (a->manifest && files)
        return "takes FILEs or a --manifest, not both";
    return NULL;
}

int command_bench(int argc, char **argv)
{
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"manifest", required_argument, NULL, MANIFEST},
                                            {"clips", required_argument, NULL, CLIPS},
                                            {"cache", required_argument, NULL, CACHE},
                                            {"plot", required_argument, NULL, PLOT},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct session session;
    struct arguments a = {.repetitions = 5, .most_clips = 20, .beams = {1}, .beam_count = 1};
    struct error err = {0};
    int option, rc = 0;
    session_init(&session);
    session.all_rates = true;
    while (!rc && (option = getopt_long(argc, argv, ":hqo:r:", options, NULL)) != -1) {
        if (option == 'h') {
            printf("%s%s%s", help_text, help_more, session_help);
            return EXIT_GOOD;
        }
        const char *takes = read_option(&a, option, optarg);
        if (takes && takes[0])
            return command_usage("bench", takes, optarg);
        if (takes)
            rc = session_option(&session, "bench", option, argv);
    }
    if (rc)
        return rc;
    const char *wrong = misplaced(&session, &a, argc - optind);
    if (wrong)
        return command_usage("bench", wrong, NULL);
    rc = session_open(&session, &err);
    interrupt_install();
    if (!rc)
        rc = run_bench(&session, &a, argv + optind, argc - optind, &err);
    session_close(&session);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
