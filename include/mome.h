/*
 * mome: speech recognition from a talking face, by sound, lips, or both.
 *
 *     mome_model    a model folder, opened once; never changes, shared by any number of threads
 *     mome_stream   one source of sound and pictures; one thread at a time
 *     mome_result   an utterance: words with times and confidences, what was used, what it cost
 *
 *     mome_model *model;
 *     mome_stream *stream;
 *     const mome_result *r;
 *     if (mome_model_open(&model, "models/tiny", NULL) ||
 *         mome_stream_open(&stream, model, NULL) ||
 *         mome_stream_file(stream, "clip.mp4"))
 *         fprintf(stderr, "%s\n", mome_error());
 *     while ((r = mome_stream_next(stream)))
 *         printf("%6.2f  %s\n", r->start, r->text);
 *     mome_stream_close(stream);
 *     mome_model_close(model);
 *
 * Functions that can fail return MOME_OK (0) or a negative mome_code; mome_error() then says what
 * is wrong, in a sentence, for the calling thread. Strings are UTF-8. Times are seconds from the
 * beginning of the stream. Structures that the caller fills are initialised by the function named
 * with them, which also knows the size of the structure that the caller was compiled with: new
 * fields come at the end, so that programs need not be built anew.
 *
 * The method: Mixture of Matryoshka Experts (arXiv 2510.04136, NeurIPS 2025). A rate says how many
 * encoder frames become one token of the language model (sound has 50 a second, pictures 25): a
 * higher rate is faster and less exact. Every stream, and every moment of it, may have its own.
 */
#ifndef MOME_H
#define MOME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MOME_API __attribute__((visibility("default")))
#else
#define MOME_API
#endif

#define MOME_VERSION_MAJOR 0
#define MOME_VERSION_MINOR 1
#define MOME_VERSION_PATCH 0

/* "0.1.0", of the library that runs. */
MOME_API const char *mome_version(void);

/* ---- errors -------------------------------------------------------------------------------- */

typedef enum mome_code {
    MOME_OK = 0,
    MOME_ERROR_USAGE = -1,       /* asked for something that cannot be (bad rate, bad order) */
    MOME_ERROR_IO = -2,          /* the system refused: missing file, full disk */
    MOME_ERROR_FORMAT = -3,      /* the bytes are not what they should be */
    MOME_ERROR_LIMIT = -4,       /* larger than is accepted */
    MOME_ERROR_MEMORY = -5,      /* out of memory */
    MOME_ERROR_UNSUPPORTED = -6, /* valid, but not something this build can do */
    MOME_ERROR_NO_STREAM = -7,   /* media without the sound or pictures that the task needs */
    MOME_ERROR_NO_FACE = -8,     /* pictures without a face */
    MOME_ERROR_CANCELLED = -9    /* mome_stream_cancel, or a call-back said stop */
} mome_code;

/* Of the calling thread's last call that failed; "" before. Valid until its next call. */
MOME_API const char *mome_error(void);

/* ---- models -------------------------------------------------------------------------------- */

typedef struct mome_model mome_model;

typedef struct mome_model_options {
    size_t size; /* of this structure: set by mome_model_options_init */
    int exact;   /* 0: as fast as the CPU allows; 1: in float32, digits as in training */
} mome_model_options;

#define mome_model_options_init(o) mome_model_options_init_sized((o), sizeof *(o))
MOME_API void mome_model_options_init_sized(mome_model_options *o, size_t size);

/* Opens a model folder (models/tiny, or what `mome assemble` or `mome train` made). options NULL:
   defaults. */
MOME_API int mome_model_open(mome_model **model, const char *folder,
                             const mome_model_options *options);
/* Its streams must have been closed. NULL is fine. */
MOME_API void mome_model_close(mome_model *model);

typedef enum mome_task {
    MOME_TASK_AUTO = -1, /* each utterance by what there is of it */
    MOME_TASK_ASR = 0,   /* sound */
    MOME_TASK_VSR = 1,   /* lips */
    MOME_TASK_AVSR = 2   /* both */
} mome_task;

/* Whether the model can do a task. */
MOME_API int mome_model_can(const mome_model *model, mome_task task);
/* The rates that it was trained at, as it lists them: writes at most `room` of them, returns how
   many there are. pictures 0: of sound. */
MOME_API int mome_model_rates(const mome_model *model, int pictures, int *rates, int room);

/* ---- streams ------------------------------------------------------------------------------- */

typedef struct mome_stream mome_stream;
struct mome_result;

typedef struct mome_stream_options {
    size_t size;
    mome_task task;      /* MOME_TASK_AUTO */
    int sound, pictures; /* 1, 1: what will be pushed (mome_stream_file looks for itself) */
    int audio_rate;      /* 0: the model's finest */
    int video_rate;      /* 0: the model's finest */
    int beam;            /* 4; 1: greedy */
    int n_best;          /* 1: how many alternatives a result holds, up to `beam` */
    int max_tokens;      /* 0: as many as the utterance can hold */
    int face;            /* 0: whoever speaks; 1, 2, ..: the nth face of each shot */
    double pause;        /* 0: the model's; seconds of silence that end an utterance */
    /* Both are called from mome_stream_file, with `arg`; not 0 stops it. NULL: not called. */
    int (*progress)(void *arg, double seconds, double total);   /* total 0: not known */
    int (*result)(void *arg, const struct mome_result *result); /* instead of mome_stream_next:
                                                                   each as soon as it is over */
    void *arg;
} mome_stream_options;

#define mome_stream_options_init(o) mome_stream_options_init_sized((o), sizeof *(o))
MOME_API void mome_stream_options_init_sized(mome_stream_options *o, size_t size);

MOME_API int mome_stream_open(mome_stream **stream, mome_model *model,
                              const mome_stream_options *options);
MOME_API void mome_stream_close(mome_stream *stream); /* NULL is fine */

/* Sound: mono in [-1, 1], 16000 samples a second, from the stream's beginning without gaps. */
MOME_API int mome_stream_sound(mome_stream *stream, const float *pcm, size_t samples);
/* A picture: RGB, 8 bits each, rows of `stride` bytes, upright, shown from `time` on (seconds, not
   descending). Any rate: they are put on a grid of 25 a second. All of a stream have one size. */
MOME_API int mome_stream_picture(mome_stream *stream, const uint8_t *rgb, int width, int height,
                                 int stride, double time);
/* No more comes: the last utterance is over. */
MOME_API int mome_stream_finish(mome_stream *stream);
/* All of a file that FFmpeg reads ("-": standard input), to its end, on a stream that nothing was
   pushed to. Its results come by options.result while it runs, or by mome_stream_next afterwards.
 */
MOME_API int mome_stream_file(mome_stream *stream, const char *path);

/* From the next utterance on; 0: the model's finest. */
MOME_API int mome_stream_set_rates(mome_stream *stream, int audio_rate, int video_rate);
/* From any thread: what runs ends soon with MOME_ERROR_CANCELLED, and so does every later call. */
MOME_API void mome_stream_cancel(mome_stream *stream);

/* ---- results ------------------------------------------------------------------------------- */

typedef struct mome_word {
    const char *text;
    double start, end;
    double confidence; /* 0 .. 1 */
} mome_word;

typedef struct mome_alternative {
    const char *text;
    double score; /* log probability, higher is better */
} mome_alternative;

typedef enum mome_fallback {
    MOME_FALLBACK_NONE = 0,     /* all that was asked for was used */
    MOME_FALLBACK_NO_SOUND = 1, /* there is none: lips alone */
    MOME_FALLBACK_DROWNED = 2,  /* noise covers the sound: lips alone */
    MOME_FALLBACK_NO_FACE = 3   /* no face, or one that does not move: sound alone */
} mome_fallback;

typedef struct mome_result {
    double start, end;
    int final; /* 0: what is known so far of an utterance that goes on (mome_stream_partial) */
    const char *text;
    const mome_word *words; /* [word_count] */
    size_t word_count;
    const mome_alternative *alternatives; /* [alternative_count], best first */
    size_t alternative_count;
    mome_task task; /* what was used */
    mome_fallback fallback;
    int audio_rate, video_rate; /* 0: not used */
    int face;                   /* whose lips: the nth of the shot; 0: nobody's */
    int64_t media_tokens;       /* that the language model read of sound and pictures */
    double encode_seconds, decode_seconds;
    /* [expert_layers, expert_count]: of the choices that the router of each layer made for those
       tokens, the share that fell on each of its experts; NULL where there are none to choose. */
    const double *expert_share;
    size_t expert_layers, expert_count;
    size_t settled; /* words at the beginning that will hardly change: the reading before had them
                       too; of a final result all */
} mome_result;

/* The next utterance that is over, decoded by this call unless it was before; NULL: none yet, or an
   error, which mome_stream_code tells apart. Valid until the stream's next call. */
MOME_API const mome_result *mome_stream_next(mome_stream *stream);
/* What the utterance that goes on says so far; NULL: nothing, or an error. */
MOME_API const mome_result *mome_stream_partial(mome_stream *stream);
/* MOME_OK, or the error that ended the stream: any but MOME_ERROR_USAGE, after which it goes on. */
MOME_API int mome_stream_code(const mome_stream *stream);
/* Decodes the next utterance of each of several streams of one model as one batch, which is faster
   than one after the other. Returns how many had one (mome_stream_next gives them), or an error. */
MOME_API int mome_streams_decode(mome_stream *const *streams, size_t count);

#ifdef __cplusplus
}
#endif

#endif
