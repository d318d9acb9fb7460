/*
 * What `mome live` shows: on a terminal, utterances that are over as lines that stay, below them
 * the one that goes on (settled words bright, the others dim) and a line on how it goes; elsewhere
 * lines of utterances, or of JSON.
 *
 *       12.4  both  place blue at f nine now
 *             lay green wi
 *     ▂▅▇ face  both 4,2  behind 0.1 s  latency 0.42 s, 95 % 0.71 s  0:15
 */
#ifndef CLI_LIVE_VIEW_H
#define CLI_LIVE_VIEW_H

#include "decode/utterance.h"
#include "eval/latency.h"

struct live_view {
    bool json, quiet;
    bool terminal, colours; /* stdout is one; it may have colours (NO_COLOR is not set) */
    int lines;              /* drawn below what stays */
    double drawn;           /* when, clock_seconds */
};

/* How it goes. */
struct live_state {
    double now, behind; /* seconds: on the clock of the media; of it, not looked at yet */
    double level;       /* of the sound, dB of full scale */
    bool sound, pictures, face;
    enum task task;             /* of the last reading, */
    int audio_rate, video_rate; /* and its rates; both 0: there was none */
    const struct latency *latency;
};

void live_view_init(struct live_view *v, bool json, bool quiet);
/* What is said so far; 0 words: nothing. */
int live_view_partial(struct live_view *v, const struct live_state *s, const struct utterance *u,
                      struct error *err);
int live_view_final(struct live_view *v, const struct live_state *s, const struct utterance *u,
                    struct error *err);
/* And the figures of it all. */
void live_view_end(struct live_view *v, const struct live_state *s);

#endif
