/* mome transcribe FILE...: the words of each clip, as lines, a table (several rates) or JSON. */
#include "base/memory.h"
#include "cli/command.h"
#include "cli/session.h"
#include "cli/text_json.h"
#include "features/face.h"
#include "media/media.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char help_text[] =
    "usage: mome transcribe FILE... [OPTIONS]\n\n"
    "Prints the words of each clip. FILE is anything that FFmpeg reads (mp4, mkv, webm, mov, wav,\n"
    "mp3, ...), or - for standard input. Without --task, sound and lips are used as far as the\n"
    "file has them.\n\n"
    "  mome transcribe clip.mp4                    sound and lips, at the model's richest rate\n"
    "  mome transcribe clip.mp4 --rate 16,5        faster: fewer tokens\n"
    "  mome transcribe clip.mp4 --rate all         every rate, as a table\n"
    "  mome transcribe clip.mp4 --deadline 300ms   the richest rate that is done by then\n"
    "  mome transcribe clip.mp4 --task vsr --debug-mouth seen.mp4    lips alone\n\n";
static const char help_more[] =
    "  --json           an array of objects, one a result: file, task, audio_rate, video_rate,\n"
    "                   snr_db (null: clean), text, score, prompt_tokens, media_tokens,\n"
    "                   encode_seconds, decode_seconds, n_best (text, score, log_probability);\n"
    "                   with --rate auto also seconds, late (a limit was not kept) and segments\n"
    "                   (start, end, task, audio_rate, video_rate, beam); rates that differ "
    "between\n"
    "                   segments are null\n"
    "  --debug-mouth F  write a video of what the model sees, for one FILE\n\n"
    "A file that cannot be read is told of and the others go on. Exit code: 0 good, 1 a file or\n"
    "more failed, 2 wrong usage.\n";

struct transcribe {
    struct session session;
    struct face_finder *finder;
    const char *debug_mouth;
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

static void print_row(const struct transcribe *t, const char *path, enum task task,
                      const int rates[2], double snr, double seconds, const struct transcript *out)
{
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, rates[0], rates[1]);
    session_noise_name(noise, snr);
    printf("%-*s  %-4s  %-5s  %-7s  %6lld  %7.1f  %s\n", t->name, path, task_name(task), rate,
           noise, (long long)out->prompt_tokens, 1e3 * seconds, out->text);
}

static json_t *rate_json(int rate)
{
    return rate ? json_integer(rate) : json_null();
}

static json_t *segments_json(const struct paced *paced)
{
    json_t *list = json_array();
    for (int i = 0; i < paced->count; i++) {
        const struct segment *s = &paced->segments[i].segment;
        const struct pace_plan *plan = &paced->segments[i].plan;
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:s, s:o, s:o, s:i}", "start", (double)s->start / MEDIA_FPS,
                            "end", (double)(s->start + s->count) / MEDIA_FPS, "task",
                            task_name(plan->task), "audio_rate", rate_json(plan->audio_rate),
                            "video_rate", rate_json(plan->video_rate), "beam", plan->beam));
    }
    return list;
}

/* paced: NULL at a fixed rate. */
static void print_one(struct transcribe *t, const char *path, enum task task, const int rates[2],
                      double snr, double encode, const struct transcript *out,
                      const struct paced *paced)
{
    if (t->json) {
        json_t *o = json_pack(
            "{s:o, s:s, s:o, s:o, s:o, s:s, s:f, s:I, s:I, s:f, s:f, s:o}", "file", text_json(path),
            "task", task_name(task), "audio_rate", rate_json(rates[0]), "video_rate",
            rate_json(rates[1]), "snr_db", isfinite(snr) ? json_real(snr) : json_null(), "text",
            out->text, "score", out->score, "prompt_tokens", (json_int_t)out->prompt_tokens,
            "media_tokens", (json_int_t)out->media_tokens, "encode_seconds", encode,
            "decode_seconds", out->decode_seconds, "n_best", hypotheses_json(out));
        if (paced)
            json_object_update_new(o,
                                   json_pack("{s:f, s:b, s:o}", "seconds", paced->seconds, "late",
                                             paced->late, "segments", segments_json(paced)));
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

/* What was chosen and what it took, and whether that was too much. */
static void say_pace(const struct transcribe *t, const char *path, enum task task,
                     const int rates[2], const struct paced *paced)
{
    char rate[SESSION_NAME], text[128];
    session_rate_name(rate, rates[0], rates[1]);
    snprintf(text, sizeof text, "%s, rate %s: %.0f ms%s", task_name(task),
             rates[0] || rates[1] ? rate : "by segment", 1e3 * paced->seconds,
             paced->late ? ", more than is allowed" : "");
    remark(t, path, text);
}

/* At rates that choose themselves. */
static int run_paced(struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task, double snr, struct error *err)
{
    struct session *s = &t->session;
    const struct pace_request request = session_request(s, task);
    struct paced paced;
    int rc = pace_run(&s->pace, &paced, &s->transcriber, clip, &request, err);
    if (rc)
        return rc;
    const struct pace_plan *first = paced.count ? &paced.segments[0].plan : NULL;
    int rates[2] = {first ? first->audio_rate : 0, first ? first->video_rate : 0};
    task = first ? first->task : task;
    for (int i = 1; i < paced.count; i++) {
        const struct pace_plan *plan = &paced.segments[i].plan;
        if (plan->audio_rate != rates[0] || plan->video_rate != rates[1])
            rates[0] = rates[1] = 0;
        if (task_sees(plan->task))
            task = plan->task;
    }
    print_one(t, path, task, rates, snr, paced.encode_seconds, &paced.transcript, &paced);
    say_pace(t, path, task, rates, &paced);
    paced_release(&paced);
    return 0;
}

static int run_task(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    double snr, struct error *err)
{
    int pairs[SESSION_MAX_RUNS][2];
    if (t->session.auto_rate)
        return run_paced(t, path, clip, task, snr, err);
    int count = session_rates(&t->session, task, pairs, err);
    int rc = count < 0 ? count : transcriber_load(&t->session.transcriber, clip, task, err);
    for (int i = 0; !rc && i < count; i++) {
        struct transcript out;
        rc = transcriber_run(&t->session.transcriber, &out, task, pairs[i][0], pairs[i][1],
                             &t->session.beam, err);
        if (!rc) {
            const struct loaded *x = t->session.transcriber.loaded;
            double encode = (task_hears(task) ? x->audio_seconds : 0) +
                            (task_sees(task) ? x->video_seconds : 0);
            print_one(t, path, task, pairs[i], snr, encode, &out, NULL);
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
    enum { JSON = 256, DEBUG_MOUTH, HELP };
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"json", no_argument, NULL, JSON},
                                            {"debug-mouth", required_argument, NULL, DEBUG_MOUTH},
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
    if (t.session.auto_rate && t.session.all_rates)
        return command_usage("transcribe", "--rate takes auto or all, not both", NULL);
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
