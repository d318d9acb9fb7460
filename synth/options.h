/* The command line of mome-synth. */
#ifndef SYNTH_OPTIONS_H
#define SYNTH_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_JOBS_LIMIT 64

struct options {
    enum { OPTIONS_HELP, OPTIONS_ONE, OPTIONS_MANY, OPTIONS_BABBLE, OPTIONS_SHEET } mode;
    const char *output;
    char **texts; /* --text (one) or the lines of --texts; NULL with --grammar */
    int text_count;
    char *text_file; /* the bytes that texts point into */
    bool grammar, sound_only, has_face_seed;
    uint64_t seed, face_seed;
    int64_t count;
    int jobs, voice;
    double pitch, rate, seconds;
};

/* options_release is due in every case. ERROR_USAGE: the message says what to write instead. */
int options_read(struct options *o, int count, char **words, struct error *err);
void options_release(struct options *o);
void options_help(void);

#endif
