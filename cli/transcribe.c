/* mome transcribe FILE...: the words of each clip, as lines, a table (several rates), or files of
   many formats. */
#include "base/memory.h"
#include "cli/command.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "features/face.h"
#include "media/media.h"
#include "text/normalize.h"
#include "text/text_json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "usage: mome transcribe FILE... [OPTIONS]\n\n"
    "Prints the words of each clip. FILE is anything that FFmpeg reads (mp4, mkv, webm, mov, wav,\n"
    "mp3, ...), a folder, which stands for all the media in it and in its folders, or - for\n"
    "standard input. Without --task, sound and lips are used as far as the file has them.\n\n"
    "  mome transcribe clip.mp4                    sound and lips, at the model's richest rate\n"
    "  mome transcribe clip.mp4 --rate 16,5        faster: fewer tokens\n"
    "  mome transcribe clip.mp4 --rate all         every rate, as a table\n"
    "  mome transcribe talk.mp4 -f srt >talk.srt   subtitles\n"
    "  mome transcribe talks/ -f srt,json -o out   out/NAME.srt and out/NAME.json of each\n"
    "  mome transcribe clip.mp4 --task vsr --debug-mouth seen.mp4    lips alone\n\n"
    "  -f, --format F,...  of what is written: txt (a line for each utterance), srt, vtt, lrc, "
    "tsv\n"
    "                   (subtitles of at most 2 lines of 42 characters), json (everything: word\n"
    "                   times and confidences, alternatives, tokens, seconds). Default: txt\n"
    "  -o, --output-dir DIR  write each file's transcripts there, as NAME.srt, NAME.json, ...;\n"
    "                   those of a folder keep their place below it\n"
    "  --beside         write them beside each file; without either they go to standard output,\n"
    "                   which takes one format, and one file if that is not txt\n"
    "  --force          replace transcripts that are there; otherwise they are left as they are,\n"
    "                   and a file that has all of them is not read again\n"
    "  --progress       progress lines also where stderr is no terminal\n";
static const char help_more[] =
    "  --json           a table's rows: an array of objects, one a result: file, task,\n"
    "                   audio_rate, video_rate, snr_db (null: clean), text, words (word, start,\n"
    "                   end in seconds, confidence 0 .. 1), score, prompt_tokens, media_tokens,\n"
    "                   encode_seconds, decode_seconds, n_best (text, score, log_probability)\n"
    "  --debug-mouth F  write a video of what the model sees, for one FILE\n\n"
    "A file that cannot be read is told of and the others go on. Transcripts are whole or not\n"
    "there: Ctrl-C stops without one of the file that was being read. Exit code: 0 good, 1 a file\n"
    "or more failed, or stopped, 2 wrong usage.\n";

struct transcribe {
    struct session session;
    struct face_finder *finder;
    const char *debug_mouth;
    struct inputs inputs;
    struct outputs outputs;
    bool writes;  /* into outputs; else results are printed, or go into json */
    json_t *json; /* array, or NULL */
    bool table;   /* several results a file */
    int name;     /* width of the longest path */

    bool asked; /* --progress */
    struct progress progress;
    char label[48], place[32]; /* of the file that is read */
};

static void remark(const struct transcribe *t, const char *path, const char *text)
{
    char line[1024];
    snprintf(line, sizeof line, "mome: %s: %s", path, text);
    if (!t->session.quiet)
        progress_note(&t->progress, line);
}

static void say_task(const struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task)
{
    const struct recognizer_config *model = &t->session.recognizer->config;
    if (!model->has_audio || !model->has_video)
        return; /* no choice was made */
    if (task == TASK_ASR)
        remark(t, path,
               clip->has_pictures ? "no face found: using the sound alone (asr)"
                                  : "no pictures: using the sound alone (asr)");
    else if (task == TASK_VSR)
        remark(t, path, "no sound: using the lips alone (vsr)");
}

static json_t *hypotheses_json(const struct transcript *out)
{
    json_t *list = json_array();
    for (int i = 0; i < out->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "text", out->texts[i], "score",
                                              out->hypotheses[i].score, "log_probability",
                                              out->hypotheses[i].log_probability));
    return list;
}

static json_t *words_json(const struct words *words)
{
    json_t *list = json_array();
    for (int i = 0; i < words->count; i++) {
        const struct word *w = &words->list[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:f, s:f, s:f}", "word", w->text, "start", w->start,
                                        "end", w->end, "confidence", w->confidence));
    }
    return list;
}

static void print_row(const struct transcribe *t, const char *path, enum task task,
                      const int rates[2], double snr, double seconds, const struct transcript *out)
{
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, rates[0], rates[1]);
    session_noise_name(noise, snr);
    printf("%-*s  %-4s  %-5s  %-7s  %6lld  %7.1f  %s\n", t->name, path, task_name(task), rate,
           noise, (long long)out->prompt_tokens, 1e3 * seconds, out->text);
}

static double encode_seconds(const struct transcribe *t, enum task task)
{
    const struct loaded *x = t->session.transcriber.loaded;
    return (task_hears(task) ? x->audio_seconds : 0) + (task_sees(task) ? x->video_seconds : 0);
}

static void print_one(struct transcribe *t, const char *path, enum task task, const int rates[2],
                      double snr, const struct transcript *out)
{
    const double encode = encode_seconds(t, task);
    progress_end(&t->progress);
    if (t->json) {
        json_t *o =
            json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:o, s:f, s:I, s:I, s:f, s:f, s:o}", "file",
                      text_json(path), "task", task_name(task), "audio_rate",
                      rates[0] ? json_integer(rates[0]) : json_null(), "video_rate",
                      rates[1] ? json_integer(rates[1]) : json_null(), "snr_db",
                      isfinite(snr) ? json_real(snr) : json_null(), "text", out->text, "words",
                      words_json(&out->words), "score", out->score, "prompt_tokens",
                      (json_int_t)out->prompt_tokens, "media_tokens", (json_int_t)out->media_tokens,
                      "encode_seconds", encode, "decode_seconds", out->decode_seconds, "n_best",
                      hypotheses_json(out));
        json_array_append_new(t->json, o);
        return;
    }
    if (t->table)
        print_row(t, path, task, rates, snr, encode + out->decode_seconds, out);
    else if (t->inputs.count > 1)
        printf("%-*s  %s\n", t->name, path, out->text);
    else
        printf("%s\n", out->text);
    for (int i = 0; t->session.beam.n_best > 1 && i < out->count; i++)
        printf("  %8.3f  %s\n", out->hypotheses[i].score, out->texts[i]);
}

static double clip_seconds(const struct clip *clip)
{
    return fmax((double)clip->samples / MEDIA_SAMPLE_RATE, (double)clip->frames / MEDIA_FPS);
}

/* The whole clip as one utterance, its words spread evenly over it. */
static int make_utterance(struct utterance *u, const struct transcribe *t, const struct clip *clip,
                          enum task task, const int rates[2], const struct transcript *out,
                          struct error *err)
{
    const double seconds = clip_seconds(clip);
    int count = 1, n = 0, rc = 0;
    *u = (struct utterance){.end = seconds,
                            .task = task,
                            .audio_rate = rates[0],
                            .video_rate = rates[1],
                            .face = task_sees(task) ? 0 : -1,
                            .media_tokens = out->media_tokens,
                            .encode_seconds = encode_seconds(t, task),
                            .decode_seconds = out->decode_seconds};
    for (const char *at = out->text; *at; at++)
        count += *at == ' ';
    for (const char *at = out->text; !rc && *at; at += strspn(at, " "), n++) {
        size_t length = strcspn(at, " ");
        rc = words_add(&u->words, at, length, n * seconds / count, (n + 1) * seconds / count, 1,
                       err);
        at += length;
    }
    u->n_best = memory_new((size_t)out->count + 1, sizeof *u->n_best);
    for (int i = 0; u->n_best && i < out->count; i++)
        u->n_best[u->n_best_count++] =
            (struct alternative){memory_strdup(out->texts[i]), out->hypotheses[i].score};
    return rc;
}

static int run_pair(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    const int rates[2], double snr, struct error *err)
{
    struct transcript out;
    struct utterance u = {0};
    if (interrupted())
        return error_set(err, ERROR_CANCELLED, "stopped");
    int rc = transcriber_run(&t->session.transcriber, &out, task, rates[0], rates[1],
                             &t->session.beam, err);
    if (rc)
        return rc;
    if (t->writes)
        rc = make_utterance(&u, t, clip, task, rates, &out, err);
    else
        print_one(t, path, task, rates, snr, &out);
    if (!rc && t->writes)
        rc = outputs_add(&t->outputs, &u, err);
    if (!rc && !t->table)
        progress_media(&t->progress, clip_seconds(clip), clip_seconds(clip), t->place);
    utterance_release(&u);
    transcript_release(&out);
    return rc;
}

static int run_task(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    double snr, struct error *err)
{
    int pairs[SESSION_MAX_PAIRS][2];
    int count = session_rates(&t->session, task, pairs, err);
    int rc = count < 0 ? count : transcriber_load(&t->session.transcriber, clip, task, err);
    for (int i = 0; !rc && i < count; i++)
        rc = run_pair(t, path, clip, task, pairs[i], snr, err);
    return rc;
}

/* At every noise level; noise goes into the clean sound, which is put back behind each. */
static int run_levels(struct transcribe *t, const char *path, struct clip *clip, enum task task,
                      struct error *err)
{
    const struct session *s = &t->session;
    const size_t size = (size_t)clip->samples * sizeof *clip->pcm;
    int levels = task_hears(task) ? s->snr_count : 1, rc = 0;
    float *clean = clip->pcm;
    float *noisy = memory_new((size_t)clip->samples + 1, sizeof *noisy);
    if (!noisy)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < levels; i++) {
        double snr = task_hears(task) ? s->snrs[i] : INFINITY;
        if (isfinite(snr) && size) {
            memcpy(noisy, clean, size);
            noise_mix(noisy, clip->samples, &s->noise, snr, 1);
            clip->pcm = noisy;
        }
        rc = run_task(t, path, clip, task, snr, err);
        clip->pcm = clean;
    }
    memory_free(noisy);
    return rc;
}

static int run_tasks(struct transcribe *t, const char *path, struct clip *clip, struct error *err)
{
    const struct session *s = &t->session;
    int rc = 0;
    if (s->automatic) {
        enum task task = transcriber_task(clip, s->recognizer);
        say_task(t, path, clip, task);
        return run_levels(t, path, clip, task, err);
    }
    for (int task = 0; !rc && task < TASK_COUNT; task++)
        if (s->tasks[task])
            rc = run_levels(t, path, clip, (enum task)task, err);
    return rc;
}

static int transcribe_file(struct transcribe *t, const char *path, struct error *err)
{
    const struct session *s = &t->session;
    bool sees = s->automatic || s->tasks[TASK_VSR] || s->tasks[TASK_AVSR];
    const struct clip_options options = {.no_pictures = !sees || !s->recognizer->config.has_video,
                                         .finder = t->finder,
                                         .debug_mouth = t->debug_mouth};
    struct clip clip;
    int rc = clip_load(&clip, path, &options, err);
    if (rc == ERROR_NO_STREAM && !sees)
        rc = error_set(err, rc, "%s: no sound in it, which asr needs: try --task vsr", path);
    if (!rc) {
        progress_media(&t->progress, 0, clip_seconds(&clip), t->place);
        rc = run_tasks(t, path, &clip, err);
    }
    if (rc && !strstr(err->message, path))
        error_prefix(err, "%s", path);
    clip_release(&clip);
    return rc;
}

/* A file into its outputs, which are whole afterwards or not there. */
static int transcribe_input(struct transcribe *t, const struct input *input, struct error *err)
{
    if (!t->writes)
        return transcribe_file(t, input->path, err);
    int rc = outputs_open(&t->outputs, input, err);
    if (!rc && !t->outputs.open_count) {
        remark(t, input->path, "its transcripts are there already (--force replaces them)");
        return 0;
    }
    if (!rc)
        rc = transcribe_file(t, input->path, err);
    if (!rc)
        rc = outputs_commit(&t->outputs, err);
    outputs_abandon(&t->outputs);
    return rc;
}

/* How the results are laid out, and what stands above them. */
static void begin_output(struct transcribe *t)
{
    t->name = (int)strlen("file");
    for (int i = 0; i < t->inputs.count; i++)
        if (strlen(t->inputs.list[i].path) > (size_t)t->name)
            t->name = (int)strlen(t->inputs.list[i].path);
    if (t->table && !t->json)
        printf("%-*s  task  rate   noise    tokens       ms  text\n", t->name, "file");
}

static void begin_progress(struct transcribe *t, int number)
{
    const char *name = t->inputs.list[number].name, *slash = strrchr(name, '/');
    size_t most = sizeof t->label - 1;
    name = slash ? slash + 1 : name;
    snprintf(t->label, sizeof t->label, "%.*s",
             (int)normalize_valid(name, strlen(name) < most ? strlen(name) : most), name);
    if (t->inputs.count > 1)
        snprintf(t->place, sizeof t->place, "(file %d of %d)", number + 1, t->inputs.count);
    progress_start(&t->progress, t->label,
                   t->session.quiet || !(t->asked || isatty(STDERR_FILENO)));
}

static int transcribe_inputs(struct transcribe *t, struct error *err)
{
    int failures = t->inputs.failures, done = 0, rc = 0, i;
    for (i = 0; rc != ERROR_CANCELLED && !interrupted() && i < t->inputs.count; i++) {
        begin_progress(t, i);
        rc = transcribe_input(t, &t->inputs.list[i], err);
        progress_end(&t->progress);
        done += !rc;
        if (!rc || rc == ERROR_CANCELLED)
            continue;
        failures++; /* the other files go on */
        fflush(stdout);
        command_failed(err);
    }
    if (rc == ERROR_CANCELLED || i < t->inputs.count) {
        error_set(err, ERROR_CANCELLED, "stopped: %d of %d files are done", done, t->inputs.count);
        failures += command_failed(err);
    }
    if (t->json) {
        json_dumpf(t->json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    return failures ? EXIT_FAILED : EXIT_GOOD;
}

/* What does not go together; NULL: nothing. */
static const char *conflict(const struct transcribe *t)
{
    if (t->writes && t->json)
        return "--json prints a table's rows; -f json makes transcripts";
    if (t->writes && t->table)
        return "several tasks, rates or noise levels make a table, which -f, -o and --beside do "
               "not "
               "write (--json does)";
    if (t->outputs.folder && t->outputs.beside)
        return "-o and --beside exclude each other";
    return t->debug_mouth && t->inputs.count > 1 ? "--debug-mouth takes one file" : NULL;
}

static int run(struct transcribe *t, struct error *err)
{
    int rc = t->inputs.count ? 0 : EXIT_FAILED; /* said already */
    if (!rc && (outputs_check(&t->outputs, &t->inputs, err) || session_open(&t->session, err) ||
                face_finder_open(&t->finder, err)))
        rc = command_failed(err);
    if (rc)
        return rc;
    begin_output(t);
    interrupt_install();
    return transcribe_inputs(t, err);
}

enum { JSON = 256, BESIDE, FORCE, PROGRESS, DEBUG_MOUTH, HELP };

/* One of the command's own or the session's; EXIT_USAGE after saying what is wrong with it. */
static int take_option(struct transcribe *t, int option, char **argv)
{
    switch (option) {
    case 'f':
        if (outputs_formats(&t->outputs, optarg))
            return command_usage("transcribe", "-f takes some of txt,srt,vtt,tsv,lrc,json, not",
                                 optarg);
        return 0;
    case 'o':
        t->outputs.folder = optarg;
        return 0;
    case BESIDE:
        t->outputs.beside = true;
        return 0;
    case FORCE:
        t->outputs.replace = true;
        return 0;
    case PROGRESS:
        t->asked = true;
        return 0;
    case JSON:
        t->json = t->json ? t->json : json_array();
        return 0;
    case DEBUG_MOUTH:
        t->debug_mouth = optarg;
        return 0;
    default:
        return session_option(&t->session, "transcribe", option, argv);
    }
}

/* All of the command line; EXIT_USAGE after saying what is wrong with it. */
static int read_arguments(struct transcribe *t, int argc, char **argv, bool *help,
                          struct error *err)
{
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"format", required_argument, NULL, 'f'},
                                            {"output-dir", required_argument, NULL, 'o'},
                                            {"beside", no_argument, NULL, BESIDE},
                                            {"force", no_argument, NULL, FORCE},
                                            {"progress", no_argument, NULL, PROGRESS},
                                            {"json", no_argument, NULL, JSON},
                                            {"debug-mouth", required_argument, NULL, DEBUG_MOUTH},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    const struct session *s = &t->session;
    int option, rc = 0;
    while (!rc && (option = getopt_long(argc, argv, ":hqf:o:", options, NULL)) != -1) {
        *help = option == HELP || option == 'h';
        if (*help)
            return 0;
        rc = take_option(t, option, argv);
    }
    if (!rc && optind == argc)
        rc = command_usage("transcribe", "needs at least one file", NULL);
    for (int i = optind; !rc && i < argc; i++)
        if (inputs_add(&t->inputs, argv[i], err))
            rc = command_failed(err);
    t->table = s->all_rates || s->snr_count > 1 ||
               s->tasks[TASK_ASR] + s->tasks[TASK_VSR] + s->tasks[TASK_AVSR] > 1;
    t->writes = outputs_wanted(&t->outputs);
    const char *fault = rc ? NULL : conflict(t);
    return fault ? command_usage("transcribe", fault, NULL) : rc;
}

int command_transcribe(int argc, char **argv)
{
    struct transcribe t = {0};
    struct error err = {0};
    bool help = false;
    session_init(&t.session);
    int rc = read_arguments(&t, argc, argv, &help, &err);
    if (help)
        printf("%s%s%s", help_text, session_help, help_more);
    else if (!rc)
        rc = run(&t, &err);
    json_decref(t.json);
    face_finder_close(t.finder);
    session_close(&t.session);
    inputs_release(&t.inputs);
    return rc;
}
