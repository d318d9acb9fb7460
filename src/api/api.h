/* What the files of src/api share: mome.h's handles, and the error of the calling thread. */
#ifndef API_API_H
#define API_API_H

#include "mome.h"

#include "decode/stream.h"
#include "features/face.h"

#include <stdatomic.h>

struct mome_model {
    struct recognizer *recognizer;
    struct face_finder *finder;
    enum precision precision;
};

/* A result with all that it points to. */
struct api_result {
    mome_result result;
    struct utterance utterance; /* whose texts the result shows */
    char *text;
    mome_word *words;
    mome_alternative *alternatives;
    double *expert_share;
};

/* The last picture, until it is known how long it was shown. */
struct api_picture {
    uint8_t *rgb; /* [height, width, 3]; NULL: none yet */
    int width, height;
    double time;
};

struct mome_stream {
    mome_model *model;
    mome_stream_options options;
    struct stream_options inner;
    struct transcriber transcriber;
    struct stream *stream; /* NULL: it is opened by the first push, or by mome_stream_file */
    struct api_picture picture;
    int64_t pictures; /* pushed to `stream` */
    struct api_result result;
    struct utterance *kept; /* of mome_stream_file, [kept_count] from kept_next on */
    int kept_count, kept_next;
    int64_t kept_room;
    bool ended; /* mome_stream_finish or mome_stream_file was called: nothing more may come */
    int code;   /* of the error that ended the stream */
    atomic_bool cancelled;
};

/* Takes what went wrong as the calling thread's last error; returns its code. */
int api_failed(const struct error *err);
/* Options, which begin with their size: the defaults, of which `known` bytes are ours, as far as
   the caller's structure goes; and what the caller set, in the structure as it is today, which has
   the defaults. o NULL: nothing. */
void api_options_init(void *o, size_t size, const void *defaults, size_t known);
int api_options_take(void *all, size_t known, const void *o, const char *name, struct error *err);
/* Shows an utterance, which is taken over, as the stream's result. */
int api_result_set(struct api_result *r, struct utterance *u, bool final, struct error *err);
void api_result_release(struct api_result *r);

#endif
