#include "cli/session.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

const char session_help[] =
    "  --model DIR      model folder (default: $MOME_MODEL, else models/tiny)\n"
    "  --task T         auto, asr (sound), vsr (lips), avsr (both); lists with commas\n"
    "  --rate A,V       audio and video rate: how many encoder frames make one token of the LLM;\n"
    "                   low is accurate, high is fast. One number for asr or vsr. `all`: every "
    "rate\n"
    "                   (default: the model's lowest)\n"
    "  --beam N         beams of the search; 1 is greedy (default 1)\n"
    "  --length-penalty X   score = log probability / tokens^X (default 0)\n"
    "  --n-best N       so many hypotheses with their scores, at most the number of beams\n"
    "  --max-tokens N   longest answer (default 128)\n"
    "  --noise FILE     mix this noise into the sound ...\n"
    "  --snr DB         ... at this ratio; `clean` or lists with commas where a table is made\n"
    "  --threads N      default: all cores\n"
    "  --f32            all arithmetic in float32 (default: bf16 products where the CPU has them)\n"
    "  --quiet          no progress, no remarks\n";

void session_init(struct session *s)
{
    *s = (struct session){
        .automatic = true,
        .beam = {.beam = 1, .n_best = 1, .max_tokens = 128},
        .snrs = {INFINITY},
        .snr_count = 1,
    };
}

static int read_tasks(struct session *s, const char *list)
{
    char copy[64], *rest, *name;
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
    }
    return 0;
}

static int read_rate(struct session *s, const char *text)
{
    s->all_rates = !strcmp(text, "all");
    if (s->all_rates)
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

int session_option(struct session *s, const char *command, int option, const char *value)
{
    int threads, bad = 0;
    switch (option) {
    case SESSION_MODEL:
        s->model = value;
        break;
    case SESSION_TASK:
        bad = read_tasks(s, value);
        break;
    case SESSION_RATE:
        bad = read_rate(s, value);
        break;
    case SESSION_BEAM:
        bad = option_integer(&s->beam.beam, value, 1, 256);
        break;
    case SESSION_PENALTY:
        bad = option_number(&s->beam.length_penalty, value);
        break;
    case SESSION_N_BEST:
        bad = option_integer(&s->beam.n_best, value, 1, 256);
        break;
    case SESSION_MAX_TOKENS:
        bad = option_integer(&s->beam.max_tokens, value, 1, 4096);
        break;
    case SESSION_NOISE:
        s->noise_path = value;
        break;
    case SESSION_SNR:
        bad = read_snrs(s, value);
        break;
    case SESSION_THREADS:
        bad = option_integer(&threads, value, 1, 1024);
        if (!bad)
            omp_set_num_threads(threads);
        break;
    case SESSION_F32:
        s->f32 = true;
        break;
    case SESSION_QUIET:
        s->quiet = true;
        break;
    default:
        return command_usage(command, "unknown or incomplete option", NULL);
    }
    return bad ? command_usage(command, "bad value of an option", value) : EXIT_GOOD;
}

/* models/tiny below the working folder, or beside the program's build folder. Caller frees. */
static char *default_model(void)
{
    const char *env = getenv("MOME_MODEL");
    struct stat st;
    if (env && env[0])
        return memory_strdup(env);
    if (stat("models/tiny/config.json", &st) == 0)
        return memory_strdup("models/tiny");
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 3; up++) { /* build/release/mome -> the project's folder */
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = 0;
    }
    return file_join(path, "models/tiny");
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
    char *folder = s->model ? memory_strdup(s->model) : default_model();
    int rc = folder ? recognizer_open(&s->recognizer, folder, err)
                    : error_set(err, ERROR_MEMORY, "out of memory");
    memory_free(folder);
    enum precision precision = s->f32 ? PRECISION_F32 : PRECISION_BF16;
    if (!rc)
        rc = transcriber_init(&s->transcriber, s->recognizer, &device_cpu, precision, err);
    if (!rc && noisy)
        rc = noise_load(&s->noise, s->noise_path, err);
    return rc;
}

void session_close(struct session *s)
{
    noise_release(&s->noise);
    transcriber_release(&s->transcriber);
    recognizer_free(s->recognizer);
}

int session_rates(const struct session *s, enum task task, int (*pairs)[2], int room,
                  struct error *err)
{
    const struct projector_config *p = &s->recognizer->config.projector;
    int audio = s->audio_rate ? s->audio_rate : p->audio_rates[0];
    int video = s->video_rate ? s->video_rate : p->video_rates[0];
    int count = 0;
    if (!s->all_rates) {
        int rc = recognizer_choose_rates(s->recognizer, task, &audio, &video, false, NULL, err);
        pairs[0][0] = task_hears(task) ? audio : 0;
        pairs[0][1] = task_sees(task) ? video : 0;
        return rc ? rc : 1;
    }
    for (int i = 0; i < (task_hears(task) ? p->audio_rate_count : 1); i++) {
        for (int j = 0; j < (task_sees(task) ? p->video_rate_count : 1) && count < room; j++) {
            pairs[count][0] = task_hears(task) ? p->audio_rates[i] : 0;
            pairs[count++][1] = task_sees(task) ? p->video_rates[j] : 0;
        }
    }
    return count;
}
