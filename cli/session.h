/*
 * What transcribe and evaluate share: the options that choose model, task, rates, search, noise and
 * threads, and the model opened by them.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "decode/pace_measure.h"
#include "decode/pace_run.h"
#include "decode/stream.h"
#include "media/noise.h"

#include <getopt.h>

#define SESSION_MAX_SNRS 16
#define SESSION_MAX_PAIRS (CONFIG_MAX_RATES * CONFIG_MAX_RATES)
#define SESSION_NAME 32 /* bytes of a rate's or noise level's name */

struct session {
    const char *model; /* folder asked for; NULL: the default */
    bool tasks[TASK_COUNT];
    bool automatic;             /* --task auto: by what each file has */
    int audio_rate, video_rate; /* 0: see all_rates */
    bool all_rates;             /* --rate all */
    bool auto_rate;             /* --rate auto: by the limits, one of which there is then */
    struct pace_limits limits;
    bool any_rate; /* --any-rate: also one that the model was not trained at */
    struct beam_options beam;
    const char *noise_path;
    double snrs[SESSION_MAX_SNRS]; /* INFINITY: clean */
    int snr_count;
    bool quiet, f32;
    enum { WINDOW_OF_MODEL, WINDOW_EXACT, WINDOW_TRIM } window;
    double segment_seconds; /* longest segment of a long clip; 0: what the encoders take */

    char *folder; /* of the model that is open; owned */
    struct recognizer *recognizer;
    struct transcriber transcriber;
    struct noise noise;
    struct pace pace; /* where auto_rate */
};

/* For getopt_long: the shared options, then the command's own behind them. */
enum {
    SESSION_MODEL = 512,
    SESSION_TASK,
    SESSION_RATE,
    SESSION_ANY_RATE,
    SESSION_DEADLINE,
    SESSION_RTF,
    SESSION_MEMORY,
    SESSION_BEAM,
    SESSION_PENALTY,
    SESSION_CTC,
    SESSION_N_BEST,
    SESSION_MAX_TOKENS,
    SESSION_NOISE,
    SESSION_SNR,
    SESSION_WINDOW,
    SESSION_SEGMENT,
    SESSION_THREADS,
    SESSION_F32,
    SESSION_QUIET
};
#define SESSION_OPTIONS                                                                            \
    {"model", required_argument, NULL, SESSION_MODEL},                                             \
        {"task", required_argument, NULL, SESSION_TASK},                                           \
        {"rate", required_argument, NULL, SESSION_RATE},                                           \
        {"rates", required_argument, NULL, SESSION_RATE},                                          \
        {"any-rate", no_argument, NULL, SESSION_ANY_RATE},                                         \
        {"deadline", required_argument, NULL, SESSION_DEADLINE},                                   \
        {"rtf", required_argument, NULL, SESSION_RTF},                                             \
        {"memory", required_argument, NULL, SESSION_MEMORY},                                       \
        {"beam", required_argument, NULL, SESSION_BEAM},                                           \
        {"length-penalty", required_argument, NULL, SESSION_PENALTY},                              \
        {"ctc-weight", required_argument, NULL, SESSION_CTC},                                      \
        {"n-best", required_argument, NULL, SESSION_N_BEST},                                       \
        {"max-tokens", required_argument, NULL, SESSION_MAX_TOKENS},                               \
        {"noise", required_argument, NULL, SESSION_NOISE},                                         \
        {"snr", required_argument, NULL, SESSION_SNR},                                             \
        {"audio-window", required_argument, NULL, SESSION_WINDOW},                                 \
        {"segment", required_argument, NULL, SESSION_SEGMENT},                                     \
        {"threads", required_argument, NULL, SESSION_THREADS},                                     \
        {"f32", no_argument, NULL, SESSION_F32},                                                   \
    {                                                                                              \
        "quiet", no_argument, NULL, SESSION_QUIET                                                  \
    }
extern const char session_help[]; /* of these options */

void session_init(struct session *s); /* defaults: auto, first rates, greedy, clean */
/* An option that getopt_long returned; EXIT_USAGE after saying what is wrong with it. */
int session_option(struct session *s, const char *command, int option, char **argv);
int session_open(struct session *s, struct error *err);
void session_close(struct session *s);

/* The rates to run a task at: all of the model's, those asked for, or the model's richest, as pairs
   of (audio, video), 0 where the task lacks the modality; returns their number. Before them, where
   auto_rate, the pair 0, 0, and alone unless all_rates. A task or a rate that the model has not:
   ERROR_UNSUPPORTED, naming model and rates. */
int session_rates(const struct session *s, enum task task, int (*pairs)[2], struct error *err);
#define SESSION_MAX_RUNS (SESSION_MAX_PAIRS + 1) /* pairs that it gives at most */

/* What a stream is to be: all that is asked for as far as the model can take it. face: the number
   asked for; 0: the one who speaks. */
int session_stream(struct session *s, struct stream_options *out, int face, struct error *err);

/* A clip for pace_run, at rates that are free. */
struct pace_request session_request(const struct session *s, enum task task);

/* Whether a path is a model folder of ours, well or damaged: with a config.json that is not one of
   Hugging Face's, which name the model's type. */
bool model_folder(const char *path);

/* "4,2" or "16" or "auto", "clean" or "-5 dB", as tables show them. */
void session_rate_name(char name[SESSION_NAME], int audio_rate, int video_rate);
void session_noise_name(char name[SESSION_NAME], double snr_db);

#endif
