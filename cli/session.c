#include "cli/session.h"
#include "base/data.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "media/media.h"

#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define CONFIG_LIMIT ((size_t)4 << 20)

const char session_help[] =
    "  --model DIR      model folder (default: $MOME_MODEL, else the one that comes with mome)\n"
    "  --task T         auto, asr (sound), vsr (lips), avsr (both); lists with commas\n"
    "  --rate A,V       audio and video rate: how many encoder frames make one token of the LLM;\n"
    "                   low is accurate, high is fast. One number for asr or vsr. `all`: every "
    "rate\n"
    "                   (default: the model's lowest); `auto`: the richest within the limits "
    "below\n"
    "  --any-rate       let --rate be one that the model was not trained at: frames are averaged "
    "at\n"
    "                   that rate and go through the nearest rate's projector; expect more errors\n"
    "  --deadline T     choose the rate, segment by segment, so that a clip's text is there T "
    "after\n"
    "                   it is decoded: 300ms, 1.5s. Costs are measured once on this machine (kept "
    "in\n"
    "                   ~/.cache/mome) and followed while running; beams may become one; with\n"
    "                   --task auto pictures may be passed over\n"
    "  --rtf X          the same, within X times the length of the clip: 0.2\n"
    "  --memory SIZE    the same, within so much memory: 800M, 2G\n"
    "  --beam N         beams of the search; 1 is greedy (default 1)\n"
    "  --length-penalty X  score = log probability / tokens^X (default 0)\n"
    "  --ctc-weight X   how much the projected tokens' own reading counts beside the LLM's, 0 to "
    "0.99\n"
    "                   (default: as the model was made)\n"
    "  --n-best N       so many hypotheses with their scores, at most the number of beams\n"
    "  --max-tokens N   longest answer (default 128)\n"
    "  --noise FILE     mix this noise into the sound ...\n"
    "  --snr DB         ... at this ratio; `clean` or lists with commas where a table is made\n"
    "  --audio-window W exact: sound is padded with silence to the encoder's window (30 s), as\n"
    "                   Whisper was published; trim: only what is there, faster. Default: as the\n"
    "                   model was made\n"
    "  --segment S      cut long clips into segments of at most S seconds, in pauses where there\n"
    "                   are any (default: what the model was trained on, at most 30 s)\n"
    "  --threads N      default: all cores\n"
    "  --f32            all arithmetic in float32 (default: bf16 products where the CPU has them)\n"
    "  --quiet          no progress, no remarks\n";

void session_init(struct session *s)
{
    *s = (struct session){
        .automatic = true,
        .beam = {.beam = 1, .n_best = 1, .max_tokens = 128, .ctc_weight = -1},
        .snrs = {INFINITY},
        .snr_count = 1,
    };
}

static int read_tasks(struct session *s, const char *list)
{
    char copy[64], *rest, *name;
    int count = 0;
    s->automatic = !strcmp(list, "auto");
    if (s->automatic)
        return 0;
    if (strlen(list) >= sizeof copy)
        return -1;
    memcpy(copy, list, strlen(list) + 1);
    for (name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        enum task task;
        if (!task_from_name(&task, name))
            return -1;
        s->tasks[task] = true;
        count++;
    }
    return count ? 0 : -1;
}

static int read_rate(struct session *s, const char *text)
{
    s->auto_rate = !strcmp(text, "auto") || !strcmp(text, "auto,all");
    s->all_rates = !strcmp(text, "all") || !strcmp(text, "auto,all");
    s->audio_rate = s->video_rate = 0;
    if (s->all_rates || s->auto_rate)
        return 0;
    char copy[32];
    if (strlen(text) >= sizeof copy)
        return -1;
    memcpy(copy, text, strlen(text) + 1);
    char *comma = strchr(copy, ',');
    if (comma)
        *comma++ = 0;
    if (option_integer(&s->audio_rate, copy, 1, 1000))
        return -1;
    s->video_rate = s->audio_rate; /* one number: of whichever modality is used */
    return comma ? option_integer(&s->video_rate, comma, 1, 1000) : 0;
}

/* A number above 0 and one of the units, which come in pairs of a name and what it stands for. */
static int read_quantity(double *value, const char *text, const char *const *units,
                         const double *sizes, int count)
{
    const size_t length = strspn(text, "0123456789.");
    char number[32];
    if (!length || length >= sizeof number)
        return -1;
    memcpy(number, text, length);
    number[length] = 0;
    if (option_number(value, number) || !(*value > 0))
        return -1;
    for (int i = 0; i < count; i++)
        if (!strcmp(text + length, units[i])) {
            *value *= sizes[i];
            return 0;
        }
    return -1;
}

static int read_deadline(struct session *s, const char *text)
{
    static const char *const units[] = {"ms", "s"};
    static const double sizes[] = {1e-3, 1};
    return read_quantity(&s->limits.seconds, text, units, sizes, 2) || s->limits.seconds > 86400
               ? -1
               : 0;
}

static int read_memory(struct session *s, const char *text)
{
    static const char *const units[] = {"K", "M", "G"};
    static const double sizes[] = {1 << 10, 1 << 20, 1 << 30};
    double bytes;
    if (read_quantity(&bytes, text, units, sizes, 3) || bytes > 0x1p50)
        return -1;
    s->limits.bytes = (int64_t)bytes;
    return 0;
}

static int read_snrs(struct session *s, const char *list)
{
    char copy[256], *rest, *item;
    if (strlen(list) >= sizeof copy)
        return -1;
    memcpy(copy, list, strlen(list) + 1);
    s->snr_count = 0;
    for (item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (s->snr_count == SESSION_MAX_SNRS)
            return -1;
        double *snr = &s->snrs[s->snr_count++];
        if (!strcasecmp(item, "clean"))
            *snr = INFINITY;
        else if (option_number(snr, item) || fabs(*snr) > 100)
            return -1;
    }
    return s->snr_count ? 0 : -1;
}

int session_option(struct session *s, const char *command, int option, char **argv)
{
    int threads;
    const char *value = optarg, *takes = NULL; /* takes: what the option should have been given */
    switch (option) {
    case SESSION_MODEL:
        s->model = value;
        break;
    case SESSION_TASK:
        takes = read_tasks(s, value) ? "--task takes auto, or some of asr,vsr,avsr, not" : NULL;
        break;
    case SESSION_RATE:
        takes = read_rate(s, value) ? "--rate takes AUDIO,VIDEO, all or auto, not" : NULL;
        break;
    case SESSION_DEADLINE:
        takes =
            read_deadline(s, value) ? "--deadline takes a time such as 300ms or 1.5s, not" : NULL;
        break;
    case SESSION_RTF:
        if (option_number(&s->limits.rtf, value) || !(s->limits.rtf > 0 && s->limits.rtf <= 1000))
            takes = "--rtf takes a number above 0, not";
        break;
    case SESSION_MEMORY:
        takes = read_memory(s, value) ? "--memory takes a size such as 800M or 2G, not" : NULL;
        break;
    case SESSION_ANY_RATE:
        s->any_rate = true;
        break;
    case SESSION_BEAM:
        if (option_integer(&s->beam.beam, value, 1, 256))
            takes = "--beam takes 1 to 256, not";
        break;
    case SESSION_PENALTY:
        if (option_number(&s->beam.length_penalty, value) || fabs(s->beam.length_penalty) > 10)
            takes = "--length-penalty takes -10 to 10, not";
        break;
    case SESSION_CTC:
        if (option_number(&s->beam.ctc_weight, value) || s->beam.ctc_weight < 0 ||
            s->beam.ctc_weight > 0.99)
            takes = "--ctc-weight takes 0 to 0.99, not";
        break;
    case SESSION_N_BEST:
        if (option_integer(&s->beam.n_best, value, 1, 256))
            takes = "--n-best takes 1 to 256, not";
        break;
    case SESSION_MAX_TOKENS:
        if (option_integer(&s->beam.max_tokens, value, 1, 4096))
            takes = "--max-tokens takes 1 to 4096, not";
        break;
    case SESSION_NOISE:
        s->noise_path = value;
        break;
    case SESSION_SNR:
        takes = read_snrs(s, value) ? "--snr takes dB or clean, with commas between, not" : NULL;
        break;
    case SESSION_WINDOW:
        s->window = !strcmp(value, "exact") ? WINDOW_EXACT : WINDOW_TRIM;
        if (s->window == WINDOW_TRIM && strcmp(value, "trim"))
            takes = "--audio-window takes exact or trim, not";
        break;
    case SESSION_SEGMENT:
        if (option_number(&s->segment_seconds, value) ||
            !(s->segment_seconds >= 1 && s->segment_seconds <= 3600))
            takes = "--segment takes 1 to 3600 seconds, not";
        break;
    case SESSION_THREADS:
        if (option_integer(&threads, value, 1, 1024))
            takes = "--threads takes 1 to 1024, not";
        else
            omp_set_num_threads(threads);
        break;
    case SESSION_F32:
        s->f32 = true;
        break;
    case SESSION_QUIET:
    case 'q':
        s->quiet = true;
        break;
    default:
        return command_bad_option(command, option, argv);
    }
    return takes ? command_usage(command, takes, value) : EXIT_GOOD;
}

bool model_folder(const char *path)
{
    struct error err;
    char *text = NULL, *config = file_join(path, "config.json");
    size_t size;
    bool ours = false;
    if (config && file_read(&text, &size, config, CONFIG_LIMIT, &err) == 0) {
        json_t *root = json_loadb(text, size, 0, NULL);
        ours = !json_object_get(root, "model_type") && !json_object_get(root, "architectures") &&
               (!root || json_object_get(root, "llm"));
        json_decref(root);
    }
    memory_free(text);
    memory_free(config);
    return ours;
}

/* The model, and whether it can do anything of what is asked. */
static int open_model(struct session *s, struct error *err)
{
    struct stat st;
    s->folder = s->model ? memory_strdup(s->model) : data_default_model();
    if (!s->folder)
        return error_set(err, ERROR_IO,
                         "the model that comes with mome is not there: name one with --model DIR");
    if (stat(s->folder, &st) != 0)
        return error_set(err, ERROR_IO, "%s: no such model folder: name one with --model DIR",
                         s->folder);
    if (!model_folder(s->folder))
        return error_set(err, ERROR_FORMAT,
                         "%s: this is not a model folder (config.json, tokenizer.json, "
                         "model.safetensors); mome assemble makes one out of published parts",
                         s->folder);
    int rc = recognizer_open(&s->recognizer, s->folder, err);
    if (!rc && s->beam.ctc_weight < 0)
        s->beam.ctc_weight = s->recognizer->config.ctc_weight;
    if (rc)
        return rc;
    int able = 0, pairs[SESSION_MAX_RUNS][2];
    for (int task = 0; task < TASK_COUNT; task++)
        if (s->automatic || s->tasks[task])
            able += session_rates(s, (enum task)task, pairs, err) > 0;
    return able ? 0 : err->code;
}

/* What the options change in how the model hears; said where that is not how it was trained. */
static void tune(struct session *s)
{
    struct transcriber *t = &s->transcriber;
    t->any_rate = s->any_rate;
    int64_t longest = (int64_t)(s->segment_seconds * MEDIA_FPS);
    if (longest && longest < t->longest)
        t->longest = longest;
    if (s->window == WINDOW_OF_MODEL || t->exact_window == (s->window == WINDOW_EXACT))
        return;
    t->exact_window = s->window == WINDOW_EXACT;
    if (!s->quiet && s->recognizer->config.has_audio)
        fprintf(stderr,
                "mome: %s: its adapters were trained with --audio-window %s; with %s they make "
                "more mistakes\n",
                s->folder, t->exact_window ? "trim" : "exact", t->exact_window ? "exact" : "trim");
}

/* Rates it was not trained at are said, once. */
static void warn_of_rates(const struct session *s)
{
    bool untrained = false;
    struct error none;
    for (int task = 0; task < TASK_COUNT && !untrained; task++) {
        int pairs[SESSION_MAX_RUNS][2];
        if ((s->automatic || s->tasks[task]) && !s->auto_rate &&
            session_rates(s, (enum task)task, pairs, &none) == 1)
            recognizer_check_rates(s->recognizer, (enum task)task, pairs[0][0], pairs[0][1], true,
                                   &untrained, &none);
    }
    if (untrained && !s->quiet)
        fprintf(stderr,
                "mome: %s: was not trained at --rate %d,%d; the nearest rate's projector is used, "
                "expect more mistakes\n",
                s->folder, s->audio_rate, s->video_rate);
}

/* Limits and --rate auto belong together. */
static int check_limits(struct session *s, struct error *err)
{
    const char *limit = s->limits.seconds > 0 ? "--deadline"
                        : s->limits.rtf > 0   ? "--rtf"
                        : s->limits.bytes     ? "--memory"
                                              : NULL;
    if (limit && (s->audio_rate || (s->all_rates && !s->auto_rate)))
        return error_set(err, ERROR_USAGE,
                         "%s chooses the rate: it goes with --rate auto, not with a fixed one",
                         limit);
    if (s->auto_rate && !limit)
        return error_set(err, ERROR_USAGE, "--rate auto needs --deadline, --rtf or --memory");
    s->auto_rate = limit != NULL;
    return 0;
}

static void note_pace(void *arg, const char *message)
{
    const struct session *s = arg;
    if (!s->quiet)
        fprintf(stderr, "mome: %s\n", message);
}

int session_open(struct session *s, struct error *err)
{
    bool noisy = false;
    for (int i = 0; i < s->snr_count; i++)
        noisy |= isfinite(s->snrs[i]);
    if (noisy && !s->noise_path)
        return error_set(err, ERROR_USAGE, "--snr needs --noise FILE");
    if (!noisy && s->noise_path)
        return error_set(err, ERROR_USAGE, "--noise needs --snr DB");
    if (s->beam.n_best > s->beam.beam)
        return error_set(err, ERROR_USAGE, "--n-best %d needs --beam %d or more", s->beam.n_best,
                         s->beam.n_best);
    int rc = check_limits(s, err);
    if (!rc)
        rc = open_model(s, err);
    enum precision precision = s->f32 ? PRECISION_F32 : PRECISION_BF16;
    if (!rc)
        rc = transcriber_init(&s->transcriber, s->recognizer, &device_cpu, precision, err);
    s->transcriber.compute.cancelled = interrupt_flag();
    if (!rc && noisy)
        rc = noise_load(&s->noise, s->noise_path, err);
    if (!rc) {
        tune(s);
        warn_of_rates(s);
    }
    if (!rc && s->auto_rate)
        rc = pace_open(&s->pace, &s->transcriber, &s->beam, note_pace, s, err);
    return rc;
}

void session_close(struct session *s)
{
    noise_release(&s->noise);
    transcriber_release(&s->transcriber);
    recognizer_free(s->recognizer);
    memory_free(s->folder);
}

static int lowest(const int *rates, int count)
{
    int least = rates[0];
    for (int i = 1; i < count; i++)
        least = rates[i] < least ? rates[i] : least;
    return least;
}

int session_rates(const struct session *s, enum task task, int (*pairs)[2], struct error *err)
{
    const struct projector_config *p = &s->recognizer->config.projector;
    int audio = s->audio_rate ? s->audio_rate : lowest(p->audio_rates, p->audio_rate_count);
    int video = s->video_rate ? s->video_rate : lowest(p->video_rates, p->video_rate_count);
    int count = 0;
    const bool several = s->all_rates || s->auto_rate;
    if (!several || !transcriber_can(s->recognizer, task)) {
        if (recognizer_check_rates(s->recognizer, task, audio, video, s->any_rate, NULL, err)) {
            struct error why = *err, none;
            bool possible =
                !recognizer_check_rates(s->recognizer, task, audio, video, true, NULL, &none);
            return error_set(err, ERROR_UNSUPPORTED, "%s: %.400s%s", s->folder, why.message,
                             possible ? "; --any-rate takes others" : "");
        }
        pairs[0][0] = task_hears(task) ? audio : 0;
        pairs[0][1] = task_sees(task) ? video : 0;
        return 1;
    }
    if (s->auto_rate)
        pairs[count][0] = pairs[count][1] = 0, count++;
    for (int i = 0; s->all_rates && i < (task_hears(task) ? p->audio_rate_count : 1); i++) {
        for (int j = 0; j < (task_sees(task) ? p->video_rate_count : 1); j++) {
            pairs[count][0] = task_hears(task) ? p->audio_rates[i] : 0;
            pairs[count++][1] = task_sees(task) ? p->video_rates[j] : 0;
        }
    }
    return count;
}

int session_stream(struct session *s, struct stream_options *out, int face, struct error *err)
{
    const struct recognizer_config *model = &s->recognizer->config;
    struct stream_options o = {.automatic = s->automatic, .beam = s->beam, .face = face};
    int pairs[SESSION_MAX_RUNS][2];
    for (int task = 0; task < TASK_COUNT; task++)
        if (s->tasks[task])
            o.task = (enum task)task;
    o.sound = model->has_audio && (s->automatic || task_hears(o.task));
    o.pictures = model->has_video && (s->automatic || task_sees(o.task));
    if (s->auto_rate) {
        o.pace = &s->pace;
        o.limits = s->limits;
    } else {
        const enum task widest = !s->automatic ? o.task
                                 : o.sound     ? (o.pictures ? TASK_AVSR : TASK_ASR)
                                               : TASK_VSR;
        int count = session_rates(s, widest, pairs, err);
        if (count < 0)
            return count;
        o.audio_rate = pairs[0][0];
        o.video_rate = pairs[0][1];
    }
    *out = o;
    return 0;
}

struct pace_request session_request(const struct session *s, enum task task)
{
    return (struct pace_request){.task = task,
                                 .may_drop_pictures =
                                     s->automatic && s->recognizer->config.has_audio,
                                 .beam = s->beam,
                                 .limits = s->limits};
}

void session_rate_name(char name[SESSION_NAME], int audio_rate, int video_rate)
{
    if (!audio_rate && !video_rate)
        snprintf(name, SESSION_NAME, "auto");
    else
        snprintf(name, SESSION_NAME, audio_rate && video_rate ? "%d,%d" : "%d",
                 audio_rate ? audio_rate : video_rate, video_rate);
}

void session_noise_name(char name[SESSION_NAME], double snr_db)
{
    if (isfinite(snr_db))
        snprintf(name, SESSION_NAME, "%g dB", snr_db);
    else
        snprintf(name, SESSION_NAME, "clean");
}
