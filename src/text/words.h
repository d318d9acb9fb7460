/*
 * Words with times: what alignment makes, and subtitles, results and the library pass on.
 */
#ifndef TEXT_WORDS_H
#define TEXT_WORDS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct word {
    char *text;        /* UTF-8, no white space in it; owned */
    double start, end; /* seconds from the beginning of the media; start <= end */
    double confidence; /* 0 .. 1: the chance that it is right, as the model sees it */
};

struct words {
    struct word *list; /* [count], in the order of their starts; owned */
    int count;
    int64_t room;
};

/* Appends a copy of text[length]. */
int words_add(struct words *w, const char *text, size_t length, double start, double end,
              double confidence, struct error *err);
/* Appends copies of list[count]. */
int words_copy(struct words *w, const struct word *list, int count, struct error *err);
/* Moves those of another list behind these; it is empty then. */
int words_append(struct words *w, struct words *from, struct error *err);
void words_drop(struct words *w, int from, int to); /* words from .. to - 1 */
void words_shift(struct words *w, double seconds);  /* all of them, later by so much */
double words_confidence(const struct words *w);     /* the mean; 0 words: 0 */
/* With one space between them; freed by memory_free; NULL: out of memory. */
char *words_text(const struct words *w);
void words_clear(struct words *w);
void words_release(struct words *w); /* also fine on a zeroed struct */

#endif
