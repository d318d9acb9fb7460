/*
 * Subtitles: words with times become cues, which a viewer can read. After the Netflix Timed Text
 * Style Guide (General Requirements, English) and the BBC Subtitle Guidelines:
 *
 *     a line holds 42 characters, a cue two lines; what fits in one line is one line; a word that
 *     is longer has a line for itself
 *     a cue is seen for 5/6 s to 7 s, and 20 characters a second can be read where the speech
 *     leaves the time
 *     it stays up to 0.5 s longer than it is heard; two pictures are left before the next one
 *     cues and lines end in pauses and behind punctuation rather than elsewhere; lines are balanced
 *
 * Words are cut where the sum of costs over all cues is least, as TeX breaks paragraphs (Knuth and
 * Plass 1981). They come utterance by utterance; the last cue in hand waits for the next utterance,
 * which says how long it may be seen and, of the same speaker, whose first words it may take in,
 * and for no other.
 */
#ifndef TEXT_SUBTITLE_H
#define TEXT_SUBTITLE_H

#include "text/words.h"

#include <stdbool.h>

#define SUBTITLE_LINE 42            /* characters, as a reader counts them (grapheme clusters) */
#define SUBTITLE_SPEED 20           /* characters a second */
#define SUBTITLE_SHORTEST (5.0 / 6) /* seconds */
#define SUBTITLE_LONGEST 7.0        /* seconds */
#define SUBTITLE_GAP (2.0 / 25)     /* seconds between cues */
#define SUBTITLE_LINGER 0.5         /* seconds that a cue stays behind its last word */

/* Valid until the call-back returns. */
struct cue {
    double start, end;        /* seconds; after the end of the cue before */
    const struct word *words; /* [count] */
    int count, first_line;    /* of them in the first line; all, where there is only one */
    int speaker;              /* as was said with them */
};
typedef int cue_taker(void *arg, const struct cue *cue, struct error *err); /* 0, or fails */

struct subtitler {
    cue_taker *take;
    void *arg;
    struct words words; /* of the cue that waits */
    int speaker;        /* of these */
    bool crosses;       /* it begins in an utterance before the last one */
    double free;        /* seconds; no cue may start before */
};

void subtitler_init(struct subtitler *s, cue_taker *take, void *arg);
/* The words of the next utterance; those in hand become cues, all but the last one. speaker: any
   number for whoever says them. */
int subtitler_push(struct subtitler *s, const struct words *utterance, int speaker,
                   struct error *err);
int subtitler_finish(struct subtitler *s, struct error *err); /* the last cue */
void subtitler_release(struct subtitler *s);                  /* also fine on a zeroed struct */

#endif
