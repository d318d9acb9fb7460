/* mome transcribe FILE...: the words of each clip, as lines, a table (several rates) or JSON. */
#include "base/clock.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/session.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAIRS (CONFIG_MAX_RATES * CONFIG_MAX_RATES)

static const char help_text[] =
    "usage: mome transcribe FILE... [OPTIONS]\n\n"
    "Prints the words of each clip. FILE is anything that FFmpeg reads (mp4, mkv, webm, mov, wav,\n"
    "mp3, ...), or - for standard input. Without --task, lips and sound are used as far as the "
    "file\n"
    "has them.\n\n"
    "  mome transcribe clip.mp4                    sound and lips, at the model's richest rate\n"
    "  mome transcribe clip.mp4 --rate 16,5        faster: fewer tokens\n"
    "  mome transcribe clip.mp4 --rate all         every rate, as a table\n"
    "  mome transcribe clip.mp4 --task vsr --debug-mouth seen.mp4\n\n";
static const char help_more[] =
    "  --json           an array of objects with times, tokens, scores\n"
    "  --debug-mouth F  write a video of what the model sees, for one FILE\n";

struct transcribe {
    struct session session;
    const char *debug_mouth;
    json_t *json; /* array, or NULL: text */
    int files;
};

static void remark(const struct transcribe *t, const char *path, const char *text)
{
    if (!t->session.quiet)
        fprintf(stderr, "mome: %s: %s\n", path, text);
}

static void say_task(const struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task)
{
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

static void print_one(struct transcribe *t, const char *path, enum task task, const int rates[2],
                      double snr, const struct transcript *out)
{
    const struct transcriber *x = &t->session.transcriber;
    double encode =
        (task_hears(task) ? x->audio_seconds : 0) + (task_sees(task) ? x->video_seconds : 0);
    if (t->json) {
        json_t *o = json_pack(
            "{s:s, s:s, s:o, s:o, s:o, s:s, s:f, s:I, s:I, s:f, s:f, s:o}", "file", path, "task",
            task_name(task), "audio_rate", rates[0] ? json_integer(rates[0]) : json_null(),
            "video_rate", rates[1] ? json_integer(rates[1]) : json_null(), "snr_db",
            isfinite(snr) ? json_real(snr) : json_null(), "text", out->text, "score", out->score,
            "prompt_tokens", (json_int_t)out->prompt_tokens, "media_tokens",
            (json_int_t)out->media_tokens, "encode_seconds", encode, "decode_seconds",
            out->decode_seconds, "n_best", hypotheses_json(out));
        json_array_append_new(t->json, o);
        return;
    }
    if (t->session.all_rates || t->session.snr_count > 1) {
        char rate[32], noise[32] = "clean";
        snprintf(rate, sizeof rate, rates[0] && rates[1] ? "%d,%d" : "%d",
                 rates[0] ? rates[0] : rates[1], rates[1]);
        if (isfinite(snr))
            snprintf(noise, sizeof noise, "%g dB", snr);
        printf("%-24s %-5s %-6s %-8s %7lld %6.0f ms  %s\n", path, task_name(task), rate, noise,
               (long long)out->prompt_tokens, 1e3 * (encode + out->decode_seconds), out->text);
        return;
    }
    if (t->files > 1)
        printf("%s\t", path);
    printf("%s\n", out->text);
    for (int i = 0; t->session.beam.n_best > 1 && i < out->count; i++)
        printf("  %8.3f  %s\n", out->hypotheses[i].score, out->texts[i]);
}

static int run_task(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    double snr, struct error *err)
{
    int pairs[MAX_PAIRS][2];
    int count = session_rates(&t->session, task, pairs, MAX_PAIRS, err);
    int rc = count < 0 ? count : transcriber_load(&t->session.transcriber, clip, task, err);
    for (int i = 0; !rc && i < count; i++) {
        struct transcript out;
        rc = transcriber_run(&t->session.transcriber, &out, task, pairs[i][0], pairs[i][1],
                             &t->session.beam, err);
        if (!rc) {
            print_one(t, path, task, pairs[i], snr, &out);
            transcript_release(&out);
        }
    }
    return rc;
}

static int run_noise(struct transcribe *t, const char *path, struct clip *clip, double snr,
                     struct error *err)
{
    struct session *s = &t->session;
    int rc = 0;
    if (isfinite(snr) && clip->has_sound)
        noise_mix(clip->pcm, clip->samples, &s->noise, snr, 1);
    if (s->automatic) {
        enum task task = transcriber_task(clip, s->recognizer);
        say_task(t, path, clip, task);
        return run_task(t, path, clip, task, snr, err);
    }
    for (int task = 0; !rc && task < TASK_COUNT; task++)
        if (s->tasks[task])
            rc = run_task(t, path, clip, (enum task)task, snr, err);
    return rc;
}

static int transcribe_file(struct transcribe *t, const char *path, struct error *err)
{
    const struct session *s = &t->session;
    bool sees = s->automatic || s->tasks[TASK_VSR] || s->tasks[TASK_AVSR];
    bool hears = s->automatic || s->tasks[TASK_ASR] || s->tasks[TASK_AVSR];
    const struct clip_options options = {.no_pictures = !sees || !s->recognizer->config.has_video,
                                         .no_sound = !hears || !s->recognizer->config.has_audio,
                                         .debug_mouth = t->debug_mouth};
    struct clip clip;
    int rc = clip_load(&clip, path, &options, err);
    if (rc)
        return rc;
    float *clean = memory_new((size_t)clip.samples + 1, sizeof(float));
    if (!clean)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    else if (clip.samples)
        memcpy(clean, clip.pcm, (size_t)clip.samples * sizeof(float));
    for (int i = 0; !rc && i < s->snr_count; i++) {
        if (i)
            memcpy(clip.pcm, clean, (size_t)clip.samples * sizeof(float));
        rc = run_noise(t, path, &clip, s->snrs[i], err);
    }
    if (rc && !strstr(err->message, path))
        error_prefix(err, "%s", path);
    memory_free(clean);
    clip_release(&clip);
    return rc;
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
    int option, failures = 0, rc;
    bool json = false;
    session_init(&t.session);
    while ((option = getopt_long(argc, argv, "hq", options, NULL)) != -1) {
        if (option == JSON) {
            json = true;
        } else if (option == DEBUG_MOUTH) {
            t.debug_mouth = optarg;
        } else if (option == HELP || option == 'h') {
            printf("%s%s%s", help_text, session_help, help_more);
            return EXIT_GOOD;
        } else {
            rc = session_option(&t.session, "transcribe", option == 'q' ? SESSION_QUIET : option,
                                optarg);
            if (rc)
                return rc;
        }
    }
    t.files = argc - optind;
    if (t.files < 1)
        return command_usage("transcribe", "needs at least one file", NULL);
    if (t.debug_mouth && t.files > 1)
        return command_usage("transcribe", "--debug-mouth takes one file", NULL);
    rc = session_open(&t.session, &err);
    t.json = json ? json_array() : NULL;
    for (int i = optind; !rc && i < argc; i++) {
        if (!transcribe_file(&t, argv[i], &err))
            continue;
        failures++; /* the other files go on */
        if (err.code == ERROR_USAGE)
            rc = err.code;
        else
            command_failed(&err);
    }
    if (t.json && !rc) {
        json_dumpf(t.json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(t.json);
    session_close(&t.session);
    if (rc)
        return command_failed(&err);
    return failures ? EXIT_FAILED : EXIT_GOOD;
}
