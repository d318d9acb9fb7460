/* mome transcribe FILE...: the words of each clip, as lines, a table (several rates) or JSON. */
#include "base/memory.h"
#include "cli/command.h"
#include "cli/session.h"
#include "cli/text_json.h"
#include "features/face.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FACE_NUMBER_MAX = 1000 };

static const char help_text[] =
    "usage: mome transcribe FILE... [OPTIONS]\n\n"
    "Prints the words of each clip. FILE is anything that FFmpeg reads (mp4, mkv, webm, mov, wav,\n"
    "mp3, ...), or - for standard input. Without --task, sound and lips are used as far as the\n"
    "file has them.\n\n"
    "  mome transcribe clip.mp4                    sound and lips, at the model's richest rate\n"
    "  mome transcribe clip.mp4 --rate 16,5        faster: fewer tokens\n"
    "  mome transcribe clip.mp4 --rate all         every rate, as a table\n"
    "  mome transcribe clip.mp4 --task vsr --debug-mouth seen.mp4    lips alone\n"
    "  mome transcribe two.mp4 --face 2            the lips of the second face\n\n";
static const char help_more[] =
    "  --json           an array of objects, one a result: file, task, audio_rate, video_rate,\n"
    "                   snr_db (null: clean), text, score, prompt_tokens, media_tokens,\n"
    "                   encode_seconds, decode_seconds, n_best (text, score, log_probability),\n"
    "                   faces, face (that was read, null: none), lips_move\n"
    "  --face N         read the lips of the Nth face of each shot, counted from 1, the largest\n"
    "                   first, from left to right where they are alike (default: of the one\n"
    "                   whose lips move with the sound)\n"
    "  --debug-mouth F  write a video of what the model sees, for one FILE\n\n"
    "A file that cannot be read is told of and the others go on. Exit code: 0 good, 1 a file or\n"
    "more failed, 2 wrong usage.\n";

struct transcribe {
    struct session session;
    struct face_finder *finder;
    const char *debug_mouth;
    int face;        /* number asked for; 0: the one who speaks */
    json_t *json;    /* array, or NULL: text */
    bool table;      /* several results a file */
    int files, name; /* so many; width of the longest name */
};

static void remark(const struct transcribe *t, const char *path, const char *text)
{
    if (!t->session.quiet)
        fprintf(stderr, "mome: %s: %s\n", path, text);
}

static void say_task(const struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task)
{
    const struct recognizer_config *model = &t->session.recognizer->config;
    if (!model->has_audio || !model->has_video)
        return; /* no choice was made */
    if (task == TASK_ASR)
        remark(t, path,
               clip->has_face       ? "the lips do not move: using the sound alone (asr)"
               : clip->has_pictures ? "no face found: using the sound alone (asr)"
                                    : "no pictures: using the sound alone (asr)");
    else if (task == TASK_VSR)
        remark(t, path, "no sound: using the lips alone (vsr)");
}

static void say_face(const struct transcribe *t, const char *path, const struct clip *clip)
{
    char text[128];
    if (clip->faces < 2 || !clip->face)
        return;
    snprintf(text, sizeof text, "%d faces: reading the lips of face %d%s", clip->faces, clip->face,
             t->face           ? ""
             : clip->lips_move ? ", who speaks (--face N reads another's)"
                               : "; no lips move");
    remark(t, path, text);
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

static void print_row(const struct transcribe *t, const char *path, enum task task,
                      const int rates[2], double snr, double seconds, const struct transcript *out)
{
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, rates[0], rates[1]);
    session_noise_name(noise, snr);
    printf("%-*s  %-4s  %-5s  %-7s  %6lld  %7.1f  %s\n", t->name, path, task_name(task), rate,
           noise, (long long)out->prompt_tokens, 1e3 * seconds, out->text);
}

static void print_one(struct transcribe *t, const char *path, const struct clip *clip,
                      enum task task, const int rates[2], double snr, const struct transcript *out)
{
    const struct loaded *x = t->session.transcriber.loaded;
    double encode =
        (task_hears(task) ? x->audio_seconds : 0) + (task_sees(task) ? x->video_seconds : 0);
    if (t->json) {
        json_t *o = json_pack(
            "{s:o, s:s, s:o, s:o, s:o, s:s, s:f, s:I, s:I, s:f, s:f, s:o}", "file", text_json(path),
            "task", task_name(task), "audio_rate", rates[0] ? json_integer(rates[0]) : json_null(),
            "video_rate", rates[1] ? json_integer(rates[1]) : json_null(), "snr_db",
            isfinite(snr) ? json_real(snr) : json_null(), "text", out->text, "score", out->score,
            "prompt_tokens", (json_int_t)out->prompt_tokens, "media_tokens",
            (json_int_t)out->media_tokens, "encode_seconds", encode, "decode_seconds",
            out->decode_seconds, "n_best", hypotheses_json(out));
        json_object_set_new(o, "faces", json_integer(clip->faces));
        json_object_set_new(o, "face", clip->face ? json_integer(clip->face) : json_null());
        json_object_set_new(o, "lips_move", json_boolean(clip->lips_move));
        json_array_append_new(t->json, o);
        return;
    }
    if (t->table)
        print_row(t, path, task, rates, snr, encode + out->decode_seconds, out);
    else if (t->files > 1)
        printf("%-*s  %s\n", t->name, path, out->text);
    else
        printf("%s\n", out->text);
    for (int i = 0; t->session.beam.n_best > 1 && i < out->count; i++)
        printf("  %8.3f  %s\n", out->hypotheses[i].score, out->texts[i]);
}

static int run_task(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    double snr, struct error *err)
{
    int pairs[SESSION_MAX_PAIRS][2];
    int count = session_rates(&t->session, task, pairs, err);
    int rc = count < 0 ? count : transcriber_load(&t->session.transcriber, clip, task, err);
    for (int i = 0; !rc && i < count; i++) {
        struct transcript out;
        rc = transcriber_run(&t->session.transcriber, &out, task, pairs[i][0], pairs[i][1],
                             &t->session.beam, err);
        if (!rc) {
            print_one(t, path, clip, task, pairs[i], snr, &out);
            transcript_release(&out);
        }
    }
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
    say_face(t, path, clip);
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
                                         .face = t->face,
                                         .finder = t->finder,
                                         .debug_mouth = t->debug_mouth};
    struct clip clip;
    int rc = clip_load(&clip, path, &options, err);
    if (rc == ERROR_NO_STREAM && !sees)
        rc = error_set(err, rc, "%s: no sound in it, which asr needs: try --task vsr", path);
    if (!rc)
        rc = run_tasks(t, path, &clip, err);
    if (rc && !strstr(err->message, path))
        error_prefix(err, "%s", path);
    clip_release(&clip);
    return rc;
}

/* How the results are laid out, and what stands above them. */
static void begin_output(struct transcribe *t, char **files, bool json)
{
    const struct session *s = &t->session;
    int tasks = s->tasks[TASK_ASR] + s->tasks[TASK_VSR] + s->tasks[TASK_AVSR];
    t->json = json ? json_array() : NULL;
    t->table = s->all_rates || s->snr_count > 1 || tasks > 1;
    t->name = (int)strlen("file");
    for (int i = 0; i < t->files; i++)
        if (strlen(files[i]) > (size_t)t->name)
            t->name = (int)strlen(files[i]);
    if (t->table && !json)
        printf("%-*s  task  rate   noise    tokens       ms  text\n", t->name, "file");
}

static int transcribe_files(struct transcribe *t, char **files, struct error *err)
{
    int failures = 0;
    for (int i = 0; i < t->files; i++) {
        if (!transcribe_file(t, files[i], err))
            continue;
        failures++; /* the other files go on */
        fflush(stdout);
        command_failed(err);
    }
    if (t->json) {
        json_dumpf(t->json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    return failures ? EXIT_FAILED : EXIT_GOOD;
}

int command_transcribe(int argc, char **argv)
{
    enum { JSON = 256, DEBUG_MOUTH, FACE, HELP };
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"json", no_argument, NULL, JSON},
                                            {"debug-mouth", required_argument, NULL, DEBUG_MOUTH},
                                            {"face", required_argument, NULL, FACE},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct transcribe t = {0};
    struct error err = {0};
    int option, rc = 0;
    bool json = false;
    session_init(&t.session);
    while (!rc && (option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        if (option == JSON) {
            json = true;
        } else if (option == DEBUG_MOUTH) {
            t.debug_mouth = optarg;
        } else if (option == FACE) {
            if (option_integer(&t.face, optarg, 1, FACE_NUMBER_MAX))
                rc = command_usage("transcribe", "--face takes a number from 1 on, not", optarg);
        } else if (option == HELP || option == 'h') {
            printf("%s%s%s", help_text, session_help, help_more);
            return EXIT_GOOD;
        } else {
            rc = session_option(&t.session, "transcribe", option, argv);
        }
    }
    if (rc)
        return rc;
    t.files = argc - optind;
    if (t.files < 1)
        return command_usage("transcribe", "needs at least one file", NULL);
    if (t.debug_mouth && t.files > 1)
        return command_usage("transcribe", "--debug-mouth takes one file", NULL);
    if (session_open(&t.session, &err) || face_finder_open(&t.finder, &err)) {
        rc = command_failed(&err);
    } else {
        begin_output(&t, argv + optind, json);
        rc = transcribe_files(&t, argv + optind, &err);
    }
    json_decref(t.json);
    face_finder_close(t.finder);
    session_close(&t.session);
    return rc;
}
