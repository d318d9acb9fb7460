/* mome doctor: what of this machine mome uses, what it lacks, and why it is slow where it is. */
#include "base/data.h"
#include "base/machine.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/session.h"
#include "eval/speed.h"
#include "media/capture_devices.h"
#include "media/media.h"
#include "models/recognizer.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/simd.h"
#include "text/text_json.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <pcre2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#define LITTLE_MEMORY ((int64_t)1 << 30)

static const char help_text[] =
    "usage: mome doctor [--quick] [--json]\n\n"
    "What of this machine mome uses, what is missing, what is slow here and why: processor and\n"
    "kernels, threads, memory, libraries, face landmarks, cameras and microphones, models; then\n"
    "two seconds of measuring products, the search for faces and a made-up clip of 3 s.\n\n"
    "  ok       as it should be\n"
    "  slow     works, but takes longer than it could; the line below says what to do\n"
    "  missing  something can't be done here; the line below says what and how to get it\n"
    "  broken   mome can't do its work\n\n"
    "  mome doctor\n"
    "  mome doctor --quick --json\n\n"
    "  --quick   measure nothing\n"
    "  --json    version; checks (name, state, found, advice); machine; measured\n\n"
    "Exit code: 0 good, also where something is slow or missing; 1 something is broken, 2 wrong\n"
    "usage.\n";

enum state { OK, SLOW, MISSING, BROKEN, STATES };
static const char *const state_names[STATES] = {"ok", "slow", "missing", "broken"};

struct doctor {
    struct machine machine;
    bool quick;
    json_t *checks, *measured; /* NULL: text */
    int counts[STATES];
};

/* One finding; advice NULL: nothing to be done. */
__attribute__((format(printf, 5, 6))) static void say(struct doctor *d, enum state state,
                                                      const char *name, const char *advice,
                                                      const char *format, ...)
{
    char found[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof found, format, arguments);
    va_end(arguments);
    d->counts[state]++;
    if (d->checks) {
        json_array_append_new(d->checks, json_pack("{s:s, s:s, s:o, s:s?}", "name", name, "state",
                                                   state_names[state], "found", text_json(found),
                                                   "advice", advice));
        return;
    }
    printf("%-8s %-11s %s\n", state_names[state], name, found);
    if (advice)
        printf("%-8s %-11s -> %s\n", "", "", advice);
    fflush(stdout);
}

static void measured(struct doctor *d, const char *name, double value)
{
    if (d->measured)
        json_object_set_new(d->measured, name, json_real(value));
}

/* ---- the machine --------------------------------------------------------------------------- */

static void check_build(struct doctor *d)
{
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    say(d, SLOW, "build", "for speed: cmake --preset release", "made to find bugs");
#else
    say(d, OK, "build", NULL, "mome %s", MOME_VERSION);
#endif
}

static const char *kernels_advice(const struct machine *m, const struct simd *simd)
{
    if (simd == &simd_avx512)
        return NULL;
    if (m->avx512 && simd == &simd_avx2)
        return "this AVX-512 lacks BF16 or VNNI, so products are float32's: encoders and LLM take "
               "about twice as long as with them";
    if (simd == &simd_avx2)
        return "no AVX-512 with BF16 and VNNI, so products are float32's: encoders and LLM take "
               "about twice as long as with them";
    return "neither AVX2 nor AVX-512 (in a virtual machine: let it see the host's processor): "
           "everything takes many times as long";
}

static void check_processor(struct doctor *d)
{
    const struct machine *m = &d->machine;
    const struct simd *simd = simd_best();
    const char *advice = kernels_advice(m, simd);
    char onednn[ONEDNN_TEXT];
    say(d, OK, "processor", NULL, "%s, %d thread%s on %d core%s",
        m->processor[0] ? m->processor : "of unknown name", m->threads, m->threads == 1 ? "" : "s",
        m->cores, m->cores == 1 ? "" : "s");
    onednn_describe(onednn);
    say(d, advice ? SLOW : OK, "kernels", advice, "%s; oneDNN %s", simd_name(simd), onednn);
    if (getenv("ONEDNN_MAX_CPU_ISA") || getenv("DNNL_MAX_CPU_ISA"))
        say(d, SLOW, "oneDNN", "unset ONEDNN_MAX_CPU_ISA and DNNL_MAX_CPU_ISA",
            "the environment limits its instruction set");
    if (m->emulation)
        say(d, SLOW, "emulation", "everything takes 10 to 100 times as long", "runs under %s",
            m->emulation);
}

static void check_threads(struct doctor *d)
{
    const struct machine *m = &d->machine;
    const int threads = omp_get_max_threads(), useful = machine_useful_threads(m);
    char quota[64] = "";
    if (m->quota > 0)
        snprintf(quota, sizeof quota, "; the control group may use %.3g processors", m->quota);
    if (threads > useful)
        say(d, SLOW, "threads",
            "more than can run at once wait for each other: set OMP_NUM_THREADS, or give "
            "--threads",
            "%d, of which %d can run at once%s", threads, useful, quota);
    else if (threads < useful)
        say(d, SLOW, "threads", "unset OMP_NUM_THREADS to use them all", "%d of %d%s", threads,
            useful, quota);
    else if (m->cores > 0 && m->cores < threads)
        say(d, OK, "threads",
            "two threads of a core share its arithmetic: half as many are often as fast",
            "%d on %d cores%s", threads, m->cores, quota);
    else
        say(d, OK, "threads", NULL, "%d%s", threads, quota);
    if (m->load > m->load_threads)
        say(d, SLOW, "load", "other programs compute: everything takes longer, also what follows",
            "%.1f programs want to run on %d thread%s", m->load, m->load_threads,
            m->load_threads == 1 ? "" : "s");
    else
        say(d, OK, "load", NULL, "%.1f of %d", m->load, m->load_threads);
}

static void check_memory(struct doctor *d)
{
    const struct machine *m = &d->machine;
    char limit[64] = "";
    if (m->memory_limit)
        snprintf(limit, sizeof limit, "; the control group's limit is %.1f GB",
                 (double)m->memory_limit / 1e9);
    bool little = m->memory_free && m->memory_free < LITTLE_MEMORY;
    say(d, little ? SLOW : OK, "memory",
        little ? "a model's files are read again and again where they do not fit" : NULL,
        "%.1f of %.1f GB free%s", (double)m->memory_free / 1e9, (double)m->memory_bytes / 1e9,
        limit);
}

static void check_libraries(struct doctor *d)
{
    char pcre2[64] = "", onednn[ONEDNN_TEXT];
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    pcre2[strcspn(pcre2, " ")] = 0; /* the date */
    onednn_describe(onednn);
    onednn[strcspn(onednn, ",")] = 0;
    say(d, OK, "libraries", NULL,
        "FFmpeg %s, oneDNN %s, dlib %s, jansson %s, PCRE2 %s, utf8proc %s", media_ffmpeg_version(),
        onednn, face_dlib_version(), jansson_version_str(), pcre2, utf8proc_version());
}

/* ---- devices ------------------------------------------------------------------------------- */

enum { MOST_DEVICES = 8 };

static void say_devices(struct doctor *d, const char *name, const char *group, const char *none,
                        const struct capture_device *devices, int count)
{
    char advice[96];
    snprintf(advice, sizeof advice, "for leave to use it: sudo adduser $USER %s, then log in anew",
             group);
    for (int i = 0; i < count; i++) {
        const struct capture_device *x = &devices[i];
        if (x->refused)
            say(d, MISSING, name, x->refused == EACCES ? advice : NULL, "%s: %s", x->path,
                strerror(x->refused));
        else
            say(d, OK, name, NULL, "%s: %s", x->path, x->name);
    }
    if (!count)
        say(d, MISSING, name, "files are transcribed all the same", "%s", none);
}

static void check_devices(struct doctor *d)
{
    struct capture_device devices[MOST_DEVICES + 1];
    int count = capture_cameras(devices, MOST_DEVICES, "");
    say_devices(d, "camera", "video", "none (/dev/video*)", devices, count);
    count = capture_microphones(devices, MOST_DEVICES, "");
    count += capture_sound_server(&devices[count]);
    say_devices(d, "microphone", "audio", "none (ALSA, PulseAudio, PipeWire)", devices, count);
}

static void check_faces(struct doctor *d)
{
    static const char advice[] = "apt install libdlib-data, or name a file by MOME_LANDMARKS; "
                                 "without it, sound alone is recognised (--task asr)";
    const char *path = face_landmark_file();
    struct error err;
    double load, search;
    if (access(path, R_OK)) {
        say(d, BROKEN, "faces", advice, "%s: %s", path, strerror(errno));
    } else if (d->quick) {
        say(d, OK, "faces", NULL, "%s", path);
    } else if (speed_faces(&load, &search, &err)) {
        say(d, BROKEN, "faces", advice, "%s", err.message);
    } else {
        say(d, OK, "faces", NULL, "%s; loaded in %.1f s, 640 x 480 pixels searched in %.0f ms",
            path, load, 1e3 * search);
        measured(d, "face_load_seconds", load);
        measured(d, "face_search_seconds", search);
    }
}

/* ---- models -------------------------------------------------------------------------------- */

/* Where encoders and LLM are published files, they must be there as well. */
static void check_base_en(struct doctor *d)
{
    char *folder = data_find("models/base-en");
    struct recognizer *r = NULL;
    struct error err;
    if (!folder)
        say(d, MISSING, "base-en", "to read any English: its adapters lie in mome's source tree",
            "not there");
    else if (recognizer_open(&r, folder, &err))
        say(d, MISSING, "base-en", "tools/fetch-base-parts.sh fetches its published parts, 200 MB",
            "%s", err.message);
    else
        say(d, OK, "base-en", NULL, "%s", folder);
    recognizer_free(r);
    memory_free(folder);
}

static const char *clip_advice(const struct speed_clip *s)
{
    double whole = s->audio_seconds + s->video_seconds + s->decode_seconds;
    if (whole <= s->clip_seconds)
        return NULL;
    if (s->video_seconds > whole / 2)
        return "slower than speech, most of it for lips: --task asr leaves them out";
    return s->decode_seconds > whole / 2
               ? "slower than speech, most of it in the LLM: a higher --rate gives it less to read"
               : "slower than speech, most of it for sound: --audio-window trim, where the model "
                 "allows it";
}

static int measure_clip(struct doctor *d, struct transcriber *t, struct error *err)
{
    struct speed_clip s;
    int rc = speed_clip(&s, t, err);
    if (rc)
        return rc;
    const char *advice = clip_advice(&s);
    double whole = s.audio_seconds + s.video_seconds + s.decode_seconds;
    say(d, advice ? SLOW : OK, "clip", advice,
        "%.0f s take %.2f s (sound %.2f, lips %.2f, %lld tokens of the LLM %.2f): real-time "
        "factor %.2f",
        s.clip_seconds, whole, s.audio_seconds, s.video_seconds, (long long)s.tokens,
        s.decode_seconds, whole / s.clip_seconds);
    measured(d, "audio_seconds", s.audio_seconds);
    measured(d, "video_seconds", s.video_seconds);
    measured(d, "decode_seconds", s.decode_seconds);
    measured(d, "real_time_factor", whole / s.clip_seconds);
    return 0;
}

/* Opens it; and measures. */
static int use_model(struct doctor *d, const char *folder, struct error *err)
{
    struct recognizer *r = NULL;
    struct transcriber t = {0};
    int rc = recognizer_open(&r, folder, err);
    if (!rc)
        rc = transcriber_init(&t, r, &device_cpu, PRECISION_BF16, err);
    if (!rc)
        say(d, OK, "model", NULL, "%s", folder);
    if (!rc && !d->quick)
        rc = measure_clip(d, &t, err);
    transcriber_release(&t);
    recognizer_free(r);
    return rc;
}

static void check_model(struct doctor *d)
{
    char *folder = data_default_model();
    struct error err;
    if (!folder)
        say(d, BROKEN, "model", "name one by --model or MOME_MODEL, or install mome again",
            "the one that comes with mome is not there");
    else if (!model_folder(folder))
        say(d, BROKEN, "model", "MOME_MODEL has to name a model folder", "%s: is none", folder);
    else if (use_model(d, folder, &err))
        say(d, BROKEN, "model", NULL, "%s", err.message);
    memory_free(folder);
}

static void check_products(struct doctor *d)
{
    struct speed_products s;
    struct error err;
    if (speed_products(&s, &device_cpu, &err)) {
        say(d, BROKEN, "products", NULL, "%s", err.message);
        return;
    }
    bool alone = s.threads == 1, slow = s.f32_all < 1.3 * s.f32 && !alone;
    char all[96] = "";
    if (!alone)
        snprintf(all, sizeof all, "; %d threads %.0f and %.0f", s.threads, s.f32_all, s.bf16_all);
    say(d, slow ? SLOW : OK, "products",
        slow ? "threads gain little here: they share cores, or wait for other programs; "
               "--threads 1 may be as fast"
             : NULL,
        "one thread %.0f GFLOP/s in float32, %.0f in bfloat16%s", s.f32, s.bf16, all);
    measured(d, "threads", s.threads);
    measured(d, "f32_gflops", s.f32);
    measured(d, "bf16_gflops", s.bf16);
    measured(d, "f32_gflops_all_threads", s.f32_all);
    measured(d, "bf16_gflops_all_threads", s.bf16_all);
}

/* ---- the command --------------------------------------------------------------------------- */

static json_t *machine_json(const struct machine *m)
{
    return json_pack("{s:o, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:s?}",
                     "processor", text_json(m->processor), "threads", m->threads, "cores", m->cores,
                     "quota", m->quota, "load", m->load, "memory_bytes",
                     (json_int_t)m->memory_bytes, "memory_free", (json_int_t)m->memory_free,
                     "memory_limit", (json_int_t)m->memory_limit, "avx2", m->avx2, "avx512",
                     m->avx512, "vnni", m->vnni, "bf16", m->bf16, "emulation", m->emulation);
}

static void check_all(struct doctor *d)
{
    machine_look(&d->machine, "");
    check_build(d);
    check_processor(d);
    check_threads(d);
    check_memory(d);
    check_libraries(d);
    check_devices(d);
    check_base_en(d);
    if (!d->quick)
        check_products(d);
    check_faces(d);
    check_model(d);
}

int command_doctor(int argc, char **argv)
{
    enum { QUICK = 256, JSON, HELP };
    static const struct option options[] = {{"quick", no_argument, NULL, QUICK},
                                            {"json", no_argument, NULL, JSON},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct doctor d = {0};
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option == QUICK)
            d.quick = true;
        else if (option == JSON)
            json = true;
        else
            return command_bad_option("doctor", option, argv);
    }
    if (argc > optind)
        return command_usage("doctor", "takes no file", argv[optind]);
    if (json) {
        d.checks = json_array();
        d.measured = json_object();
    }
    check_all(&d);
    if (json) {
        json_t *root =
            json_pack("{s:s, s:o, s:o, s:o}", "version", MOME_VERSION, "checks", d.checks,
                      "machine", machine_json(&d.machine), "measured", d.measured);
        json_dumpf(root, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(root);
    }
    return d.counts[BROKEN] ? EXIT_FAILED : EXIT_GOOD;
}
