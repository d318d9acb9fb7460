/*
 * A file or pipe of any length -> its utterances, as they end: media/media read into decode/stream.
 */
#ifndef DECODE_TRANSCRIBE_H
#define DECODE_TRANSCRIBE_H

#include "decode/stream.h"

struct transcribe_options {
    struct stream_options stream; /* sound, pictures: false leaves them out */
    struct face_finder *finder;   /* borrowed */
    /* Each utterance, in the order of time; what is left of it is released afterwards. Not 0 ends
       the work with that. */
    int (*utterance)(void *arg, struct utterance *u, struct error *err);
    /* Now and then; total 0: not known. Not 0 ends the work with ERROR_CANCELLED. NULL: don't. */
    int (*progress)(void *arg, double seconds, double total);
    void *arg;
};

/* What was found in a file. */
struct transcribed {
    bool had_sound, had_pictures; /* streams that are there, and were wanted */
    bool heard, saw;              /* a voice; a face */
    double seconds;
};

/* path "-" is standard input. ERROR_NO_STREAM, ERROR_NO_FACE: the file has nothing that the task
   could use. */
int transcribe_file(struct transcriber *t, struct transcribed *what, const char *path,
                    const struct transcribe_options *options, struct error *err);

#endif
