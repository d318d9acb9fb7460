/* mome transcribe FILE...: the words of each clip, as lines, a table (several rates), or files of
   many formats. */
#include "base/memory.h"
#include "cli/command.h"
#include "cli/transcribe.h"
#include "decode/transcribe.h"
#include "text/normalize.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FACE_NUMBER_MAX = 1000 };

static const char help_text[] =
    "usage: mome transcribe FILE... [OPTIONS]\n\n"
    "Prints the words of each clip. FILE is anything that FFmpeg reads (mp4, mkv, webm, mov, wav,\n"
    "mp3, ...), a folder, which stands for all the media in it and in its folders, or - for\n"
    "standard input. Without --task, sound and lips are used as far as the file has them.\n\n"
    "  mome transcribe clip.mp4                    sound and lips, at the model's richest rate\n"
    "  mome transcribe clip.mp4 --rate 16,5        faster: fewer tokens\n"
    "  mome transcribe clip.mp4 --rate all         every rate, as a table\n"
    "  mome transcribe clip.mp4 --deadline 300ms   the richest rate that is done by then\n"
    "  mome transcribe talk.mp4 -f srt >talk.srt   subtitles\n"
    "  mome transcribe talks/ -f srt,json -o out   out/NAME.srt and out/NAME.json of each\n"
    "  mome transcribe clip.mp4 --task vsr --debug-mouth seen.mp4    lips alone\n"
    "  mome transcribe two.mp4 --face 2            the lips of the second face\n"
    "  mome transcribe clip.mp4 --show words.mp4   the words in the picture\n\n"
    "  -f, --format F,...  of what is written: txt (a line for each utterance), srt, vtt, lrc, "
    "tsv\n"
    "                   (subtitles of at most 2 lines of 42 characters; srt and vtt name the\n"
    "                   face once a second one speaks), json (everything: word times and\n"
    "                   confidences, alternatives, face, tokens, seconds, use of experts).\n"
    "                   Default: txt\n"
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
    "                   encode_seconds, decode_seconds, n_best (text, score, log_probability);\n"
    "                   with --rate auto also seconds, late (a limit was not kept) and segments\n"
    "                   (start, end, task, audio_rate, video_rate, beam); rates that differ\n"
    "                   between segments are null; with pictures also faces, face (that was\n"
    "                   read, null: none), lips_move\n"
    "  --face N         read the lips of the Nth face of each shot, counted from 1, the largest\n"
    "                   first, from left to right where they are alike (default: of the one\n"
    "                   whose lips move with the sound)\n"
    "  --show F.mp4     write the video anew, its rate and its sound kept, with the words in it:\n"
    "                   the one that is spoken, those that are doubtful (red, underlined), the\n"
    "                   mouth that is read, whether sound or lips are, and why; for one FILE\n"
    "  --debug-mouth F  write a video of what the model sees, for one FILE\n\n"
    "A file that cannot be read is told of and the others go on. Transcripts are whole or not\n"
    "there: Ctrl-C stops without one of the file that was being read. Exit code: 0 good, 1 a file\n"
    "or more failed, or stopped, 2 wrong usage.\n";

void transcribe_remark(const struct transcribe *t, const char *path, const char *text)
{
    char line[1024];
    snprintf(line, sizeof line, "mome: %s: %s", path, text);
    if (!t->session.quiet)
        progress_note(&t->progress, line);
}

void transcribe_print(const struct transcribe *t, const char *path, const char *text)
{
    if (t->inputs.count > 1)
        printf("%-*s  %s\n", t->name, path, text);
    else
        printf("%s\n", text);
}

void transcribe_say_pace(const struct transcribe *t, const char *path, const char *what,
                         const int rates[2], double seconds, bool late)
{
    char rate[SESSION_NAME], text[128];
    session_rate_name(rate, rates[0], rates[1]);
    snprintf(text, sizeof text, "%s, rate %s: %.0f ms%s", what,
             rates[0] || rates[1] ? rate : "by segment", 1e3 * seconds,
             late ? ", more than is allowed" : "");
    transcribe_remark(t, path, text);
}

/* What was said in a file as it is found. */
struct reading {
    struct transcribe *t;
    const struct input *input;
    struct transcribed what;
    bool said; /* which stream it lacks */
};

static int print_utterance(struct reading *r, const struct utterance *u, struct error *err)
{
    const struct transcribe *t = r->t;
    char *text = words_text(&u->words);
    if (!text)
        return error_set(err, ERROR_MEMORY, "out of memory");
    transcribe_print(t, r->input->path, text);
    for (int i = 0; t->session.beam.n_best > 1 && i < u->n_best_count; i++)
        printf("  %8.3f  %s\n", u->n_best[i].score, u->n_best[i].text);
    fflush(stdout);
    memory_free(text);
    return 0;
}

/* Says from when on which modality is missing, where that changes. */
static void say_fallback(const struct transcribe *t, const struct input *input,
                         const struct utterance *u)
{
    static const char *const what[FALLBACK_COUNT] = {
        [FALLBACK_NO_SOUND] = "no voice to be heard: using the lips alone (vsr)",
        [FALLBACK_DROWNED] = "the sound is drowned in noise: using the lips alone (vsr)",
        [FALLBACK_NO_FACE] = "no speaking face to be seen: using the sound alone (asr)",
    };
    char text[128];
    if (!what[u->fallback])
        return;
    snprintf(text, sizeof text, "%.1f s: %s", u->start, what[u->fallback]);
    transcribe_remark(t, input->path, text);
}

/* The same of an utterance. */
static void say_pace(const struct transcribe *t, const struct input *input,
                     const struct utterance *u)
{
    char what[64];
    const int rates[2] = {u->audio_rate, u->video_rate};
    if (!t->session.auto_rate)
        return;
    snprintf(what, sizeof what, "%.1f s: %s", u->start, task_name(u->task));
    transcribe_say_pace(t, input->path, what, rates, u->encode_seconds + u->decode_seconds,
                        u->late);
}

/* Says once which stream a file lacks that the model could take. */
static void say_streams(struct reading *r)
{
    const struct recognizer_config *model = &r->t->session.recognizer->config;
    if (r->said || !r->t->session.automatic || !model->has_audio || !model->has_video)
        return;
    r->said = true;
    if (!r->what.had_pictures)
        transcribe_remark(r->t, r->input->path, "no pictures: using the sound alone (asr)");
    else if (!r->what.had_sound)
        transcribe_remark(r->t, r->input->path, "no sound: using the lips alone (vsr)");
}

static int on_utterance(void *arg, struct utterance *u, struct error *err)
{
    struct reading *r = arg;
    struct transcribe *t = r->t;
    if (!t->writes)
        progress_end(&t->progress);
    say_fallback(t, r->input, u);
    say_pace(t, r->input, u);
    int rc = t->shown ? show_utterance(t->shown, u, err) : 0;
    if (rc)
        return rc;
    return t->writes ? outputs_add(&t->outputs, u, err) : print_utterance(r, u, err);
}

static int on_progress(void *arg, double seconds, double total)
{
    struct reading *r = arg;
    say_streams(r);
    progress_media(&r->t->progress, seconds, total, r->t->place);
    return interrupted();
}

static int read_media(struct transcribe *t, const struct input *input, struct error *err)
{
    struct reading reading = {.t = t, .input = input};
    struct transcribe_options options = {
        .finder = t->finder, .utterance = on_utterance, .progress = on_progress, .arg = &reading};
    int rc = session_stream(&t->session, &options.stream, t->face, err);
    options.stream.faces = t->shown ? show_faces : NULL;
    options.stream.arg = t->shown;
    rc = rc ? rc
            : transcribe_file(&t->session.transcriber, &reading.what, input->path, &options, err);
    if (rc && !strstr(err->message, input->path))
        error_prefix(err, "%s", input->path);
    if (!rc && !reading.what.heard && !reading.what.saw)
        transcribe_remark(t, input->path, "nobody speaks in it");
    return rc;
}

/* The bar and what stands beside it begin anew. */
static void begin_progress(struct transcribe *t, const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t most = sizeof t->label - 1;
    name = slash ? slash + 1 : name;
    snprintf(t->label, sizeof t->label, "%.*s",
             (int)normalize_valid(name, strlen(name) < most ? strlen(name) : most), name);
    progress_start(&t->progress, t->label,
                   t->session.quiet || !(t->asked || isatty(STDERR_FILENO)));
}

static int on_shown(void *arg, double seconds, double total)
{
    struct transcribe *t = arg;
    progress_media(&t->progress, seconds, total, t->place);
    return interrupted();
}

/* The words, and the video in which they are seen. */
static int show_media(struct transcribe *t, const struct input *input, struct error *err)
{
    int rc = show_new(&t->shown, err);
    rc = rc ? rc : read_media(t, input, err);
    if (!rc) {
        progress_end(&t->progress);
        begin_progress(t, t->show);
        rc = show_write(t->shown, input->path, t->show, on_shown, t, err);
    }
    show_free(t->shown);
    t->shown = NULL;
    return rc;
}

static int transcribe_media(struct transcribe *t, const struct input *input, struct error *err)
{
    const struct session *s = &t->session;
    if (t->show)
        return show_media(t, input, err);
    bool whole = t->table || t->json || t->debug_mouth || s->noise_path;
    return whole ? transcribe_clip(t, input->path, err) : read_media(t, input, err);
}

/* A file into its outputs, which are whole afterwards or not there. */
static int transcribe_input(struct transcribe *t, const struct input *input, struct error *err)
{
    if (!t->writes)
        return transcribe_media(t, input, err);
    int rc = outputs_open(&t->outputs, input, err);
    if (!rc && !t->outputs.open_count && !t->show) {
        transcribe_remark(t, input->path,
                          "its transcripts are there already (--force replaces them)");
        return 0;
    }
    if (!rc)
        rc = transcribe_media(t, input, err);
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

static int transcribe_inputs(struct transcribe *t, struct error *err)
{
    int failures = t->inputs.failures, done = 0, rc = 0, i;
    for (i = 0; rc != ERROR_CANCELLED && !interrupted() && i < t->inputs.count; i++) {
        if (t->inputs.count > 1)
            snprintf(t->place, sizeof t->place, "(file %d of %d)", i + 1, t->inputs.count);
        begin_progress(t, t->inputs.list[i].name);
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
        json_dumpf(t->json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
        putchar('\n');
    }
    return failures ? EXIT_FAILED : EXIT_GOOD;
}

/* What does not go together; NULL: nothing. */
static const char *conflict(const struct transcribe *t)
{
    if (t->session.auto_rate && t->session.all_rates)
        return "--rate takes auto or all, not both";
    if (t->writes && t->json)
        return "--json prints a table's rows; -f json makes transcripts";
    if (t->writes && t->table)
        return "several tasks, rates or noise levels make a table, which -f, -o and --beside "
               "do not write (--json does)";
    if (t->outputs.folder && t->outputs.beside)
        return "-o and --beside exclude each other";
    if (t->show && (t->table || t->json || t->debug_mouth || t->session.noise_path))
        return "--show does not go with tables, --json, noise or --debug-mouth";
    if (t->show && t->inputs.count > 1)
        return "--show takes one file";
    return t->debug_mouth && t->inputs.count > 1 ? "--debug-mouth takes one file" : NULL;
}

static int run(struct transcribe *t, struct error *err)
{
    int rc = t->inputs.count ? 0 : EXIT_FAILED; /* said already */
    if (!rc && t->show && show_check(t->inputs.list[0].path, t->show, t->outputs.replace, err))
        return command_failed(err);
    if (!rc && (outputs_check(&t->outputs, &t->inputs, err) || session_open(&t->session, err) ||
                face_finder_open(&t->finder, err)))
        rc = command_failed(err);
    if (rc)
        return rc;
    begin_output(t);
    interrupt_install();
    return transcribe_inputs(t, err);
}

enum { JSON = 256, BESIDE, FORCE, PROGRESS, FACE, SHOW, DEBUG_MOUTH, HELP };

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
    case FACE:
        if (option_integer(&t->face, optarg, 1, FACE_NUMBER_MAX))
            return command_usage("transcribe", "--face takes 1, 2, .., not", optarg);
        return 0;
    case SHOW:
        t->show = optarg;
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
                                            {"face", required_argument, NULL, FACE},
                                            {"show", required_argument, NULL, SHOW},
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
