/* mome live [FILE]: what a camera and a microphone see and hear, as text while it is said. */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/live_view.h"
#include "cli/session.h"
#include "features/face.h"
#include "features/speaker.h"
#include "media/capture_devices.h"
#include "media/live.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#define READ_EVERY 0.2  /* seconds from one reading of an utterance that goes on to the next */
#define DEADLINE 0.25   /* seconds that a reading may take where the rate is free */
#define LAST_READING 4  /* deadlines that the one that stays may take */
#define LEAST_TIME 0.02 /* of it that is left however far behind we are */
#define WAIT 0.02       /* seconds for the next piece of media */

static const char help_text[] =
    "usage: mome live [FILE] [OPTIONS]\n\n"
    "Shows what is said while it is said: text that settles as more is heard and seen, then each\n"
    "utterance as a line that stays. Listens to a camera and a microphone, or to FILE at its own\n"
    "pace. The rate is chosen as the machine keeps up, unless --rate names one.\n\n"
    "  mome live                                   the first camera, the usual microphone\n"
    "  mome live --camera none                     sound alone\n"
    "  mome live --microphone alsa:hw:1 --task asr\n"
    "  mome live clip.mp4                          as if it were said now\n"
    "  mome live clip.mp4 --rate 4,2 --json        events for another program\n\n"
    "  --camera DEV     /dev/video0, ..; none (default: the first that there is)\n"
    "  --microphone M   pulse:NAME or alsa:NAME, such as pulse:default, alsa:hw:1; none (default:\n"
    "                   the sound server's, else ALSA's default); mome doctor lists them\n"
    "  --face N         read the lips of the Nth face (default: of the one who speaks)\n"
    "  --seconds S      stop after so long\n"
    "  --json           a line for each event: {\"event\": \"partial\" (what is said so far; its "
    "first\n"
    "                   \"settled\" words will hardly change), \"final\" (an utterance that is "
    "over) or\n"
    "                   \"end\" (latencies), \"at\": seconds, and the fields of transcribe -f "
    "json}\n";
static const char help_more[] =
    "\nOn a terminal the last line shows how loud it is, whether a face is seen, what is used and "
    "at\n"
    "which rate, how far the program is behind, and the latency: from the end of a word to the\n"
    "moment from which on it stood in the text. Ctrl-C ends it, and prints the figures of all "
    "words.\n"
    "Exit code: 0 good, 1 failed, 2 wrong usage.\n";

struct live_command {
    struct session session;
    struct face_finder *finder;
    struct live_options source;
    char camera[64]; /* that was found */
    int face;
    double seconds; /* 0: to the end */
    bool json;

    struct live *live;
    struct stream *stream;
    struct live_view view;
    struct latency latency;
    struct live_state state;
    double heard, seen;           /* seconds of media that were pushed */
    double last_read, read_takes; /* its beginning, clock_seconds; seconds */
};

/* ---- what to listen to --------------------------------------------------------------------- */

/* The devices where none is named. */
static int find_devices(struct live_command *c, struct error *err)
{
    struct live_options *o = &c->source;
    struct capture_device found;
    if (o->file)
        return 0;
    const bool hears = c->session.automatic || !c->session.tasks[TASK_VSR];
    const bool sees = c->session.automatic || !c->session.tasks[TASK_ASR];
    if (!o->camera && sees && capture_cameras(&found, 1, "") && !found.refused) {
        snprintf(c->camera, sizeof c->camera, "%s", found.path);
        o->camera = c->camera;
    }
    if (!o->microphone && hears) {
        if (capture_sound_server(&found))
            o->microphone = "pulse:default";
        else if (capture_microphones(&found, 1, "") && !found.refused)
            o->microphone = "alsa:default";
    }
    if (o->camera && !strcmp(o->camera, "none"))
        o->camera = NULL;
    if (o->microphone && !strcmp(o->microphone, "none"))
        o->microphone = NULL;
    return o->camera || o->microphone
               ? 0
               : error_set(err, ERROR_IO,
                           "no camera and no microphone found: name them with --camera and "
                           "--microphone (mome doctor lists what there is), or a FILE");
}

static int open_stream(struct live_command *c, struct error *err)
{
    struct stream_options o;
    int rc = session_stream(&c->session, &o, c->face, err);
    if (rc)
        return rc;
    c->source.no_sound = !o.sound;
    c->source.no_pictures = !o.pictures;
    c->source.microphone = o.sound ? c->source.microphone : NULL;
    c->source.camera = o.pictures ? c->source.camera : NULL;
    rc = live_open(&c->live, &c->source, err);
    if (rc)
        return rc;
    const struct media_info info = live_info(c->live);
    if (!c->session.automatic &&
        ((task_hears(o.task) && !info.has_sound) || (task_sees(o.task) && !info.has_pictures)))
        return error_set(err, ERROR_NO_STREAM, "there is no %s, which %s needs: try another --task",
                         info.has_sound ? "picture" : "sound", task_name(o.task));
    c->state.sound = o.sound = o.sound && info.has_sound;
    c->state.pictures = o.pictures = o.pictures && info.has_pictures;
    return stream_new(&c->stream, c->session.recognizer, c->finder, &o, err);
}

/* ---- while it goes on ---------------------------------------------------------------------- */

static int push(struct live_command *c, const struct media_chunk *chunk, struct error *err)
{
    float level;
    if (chunk->kind == MEDIA_PICTURE) {
        c->seen = (double)(chunk->start + 1) / MEDIA_FPS;
        return stream_picture(c->stream, chunk->rgb, chunk->width, chunk->height, chunk->stride,
                              err);
    }
    c->heard = (double)(chunk->start + chunk->count) / MEDIA_SAMPLE_RATE;
    speaker_levels(&level, 1, chunk->pcm, chunk->count);
    c->state.level = fmax(level, c->state.level - 1.5); /* falls slowly, to be seen */
    return stream_sound(c->stream, chunk->pcm, chunk->count, err);
}

static void look(struct live_command *c)
{
    struct live_state *s = &c->state;
    s->now = live_now(c->live);
    s->behind = s->now - fmax(c->heard, c->seen);
    s->face = stream_sees(c->stream);
}

/* The time that a reading may take: so many deadlines, less while we are behind. */
static void set_limits(struct live_command *c, double deadlines)
{
    struct pace_limits limits = c->session.limits;
    if (!c->session.auto_rate || !(limits.seconds > 0))
        return;
    look(c);
    limits.seconds = fmax(deadlines * limits.seconds - fmax(c->state.behind - WAIT, 0), LEAST_TIME);
    stream_set_limits(c->stream, &limits);
}

static void note_use(struct live_command *c, const struct utterance *u)
{
    c->state.task = u->task;
    c->state.audio_rate = u->audio_rate;
    c->state.video_rate = u->video_rate;
    look(c);
}

static int show_finals(struct live_command *c, struct error *err)
{
    struct utterance u;
    int rc = 0;
    while (!rc && stream_pop(c->stream, &u)) {
        note_use(c, &u);
        rc = latency_final(&c->latency, &u, c->state.now, err);
        rc = rc ? rc : live_view_final(&c->view, &c->state, &u, err);
        utterance_release(&u);
    }
    return rc;
}

static int decode_finals(struct live_command *c, struct error *err)
{
    int rc = 0;
    while (!rc && stream_ready(c->stream)) {
        set_limits(c, LAST_READING);
        rc = streams_decode(&c->session.transcriber, &c->stream, 1, err);
        rc = rc ? rc : show_finals(c, err);
    }
    return rc ? rc : show_finals(c, err);
}

static int read_partial(struct live_command *c, struct error *err)
{
    struct utterance u;
    const double start = clock_seconds();
    set_limits(c, 1);
    int rc = stream_partial(&c->session.transcriber, c->stream, &u, err);
    if (rc)
        return rc;
    c->last_read = start;
    c->read_takes = clock_seconds() - start;
    if (u.words.count)
        note_use(c, &u);
    else
        look(c);
    if (u.words.count)
        rc = latency_partial(&c->latency, &u, c->state.now, err);
    rc = rc ? rc : live_view_partial(&c->view, &c->state, &u, err);
    utterance_release(&u);
    return rc;
}

/* Readings take two thirds of the time at most, a third of that while media waits. */
static bool due(const struct live_command *c, bool waiting)
{
    const double period = fmax(READ_EVERY, 1.5 * c->read_takes);
    return clock_seconds() - c->last_read >= (waiting ? 3 : 1) * period;
}

static int follow(struct live_command *c, struct error *err)
{
    struct media_chunk chunk;
    int rc = 0, came;
    while (!rc && (came = live_take(c->live, &chunk, WAIT, err))) {
        if (came < 0)
            return came;
        if (came == 1)
            rc = push(c, &chunk, err);
        rc = rc ? rc : decode_finals(c, err);
        if (!rc && due(c, came == 1))
            rc = read_partial(c, err);
        if (interrupted() || (c->seconds > 0 && live_now(c->live) >= c->seconds))
            live_stop(c->live);
    }
    rc = rc ? rc : stream_finish(c->stream, err);
    return rc ? rc : decode_finals(c, err);
}

static int run(struct live_command *c, struct error *err)
{
    struct session *s = &c->session;
    if (!s->audio_rate && !s->auto_rate && !(s->limits.rtf > 0) && !s->limits.bytes) {
        s->auto_rate = true;
        s->limits.seconds = s->limits.seconds > 0 ? s->limits.seconds : DEADLINE;
    }
    live_view_init(&c->view, c->json, s->quiet);
    c->state.latency = &c->latency;
    c->state.level = -100;
    int rc = find_devices(c, err);
    rc = rc ? rc : session_open(s, err);
    rc = rc ? rc : face_finder_open(&c->finder, err);
    s->transcriber.compute.cancelled = NULL; /* Ctrl-C ends what comes in; what was said is read */
    interrupt_install();
    rc = rc ? rc : open_stream(c, err);
    rc = rc ? rc : follow(c, err);
    if (c->live && c->stream) {
        look(c);
        live_view_end(&c->view, &c->state);
    }
    return rc ? command_failed(err) : EXIT_GOOD;
}

/* ---- the command line ---------------------------------------------------------------------- */

enum { JSON = 256, CAMERA, MICROPHONE, FACE, SECONDS, HELP };

static int take_option(struct live_command *c, int option, char **argv)
{
    switch (option) {
    case JSON:
        c->json = true;
        return 0;
    case CAMERA:
        c->source.camera = optarg;
        return 0;
    case MICROPHONE:
        c->source.microphone = optarg;
        return 0;
    case FACE:
        if (option_integer(&c->face, optarg, 1, 1000))
            return command_usage("live", "--face takes 1, 2, .., not", optarg);
        return 0;
    case SECONDS:
        if (option_number(&c->seconds, optarg) || !(c->seconds > 0))
            return command_usage("live", "--seconds takes a number above 0, not", optarg);
        return 0;
    default:
        return session_option(&c->session, "live", option, argv);
    }
}

static const char *conflict(const struct live_command *c)
{
    const struct session *s = &c->session;
    if (s->all_rates || s->snr_count > 1 ||
        s->tasks[TASK_ASR] + s->tasks[TASK_VSR] + s->tasks[TASK_AVSR] > 1)
        return "takes one task and one rate at a time";
    if (s->noise_path)
        return "takes what is heard as it is: --noise goes with transcribe and evaluate";
    return c->source.file && (c->source.camera || c->source.microphone)
               ? "takes a FILE, or a camera and a microphone"
               : NULL;
}

static int read_arguments(struct live_command *c, int argc, char **argv, bool *help)
{
    static const struct option options[] = {SESSION_OPTIONS,
                                            {"camera", required_argument, NULL, CAMERA},
                                            {"microphone", required_argument, NULL, MICROPHONE},
                                            {"face", required_argument, NULL, FACE},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"json", no_argument, NULL, JSON},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    int option, rc = 0;
    while (!rc && (option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        *help = option == HELP || option == 'h';
        if (*help)
            return 0;
        rc = take_option(c, option, argv);
    }
    if (!rc && argc - optind > 1)
        return command_usage("live", "takes one file", argv[optind + 1]);
    c->source.file = optind < argc ? argv[optind] : NULL;
    const char *fault = rc ? NULL : conflict(c);
    return fault ? command_usage("live", fault, NULL) : rc;
}

int command_live(int argc, char **argv)
{
    struct live_command c = {0};
    struct error err = {0};
    bool help = false;
    const int cores = omp_get_num_procs();
    if (cores > 1 && omp_get_max_threads() == cores)
        omp_set_num_threads(cores - 1); /* one for the camera, and whatever else runs */
    session_init(&c.session);
    int rc = read_arguments(&c, argc, argv, &help);
    if (help)
        printf("%s%s%s", help_text, session_help, help_more);
    else if (!rc)
        rc = run(&c, &err);
    stream_free(c.stream);
    live_close(c.live);
    latency_release(&c.latency);
    face_finder_close(c.finder);
    session_close(&c.session);
    return rc;
}
