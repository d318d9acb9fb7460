/*
 * What is said in a clip, as data sets publish it: bytes -> folded text (text/normalize.h), and
 * where they are given the times of its words.
 *
 *   plain     the whole file is the text
 *   LRS2/3    "Text:  WORDS" in the first line, braces around some of them; further down the line
 *             "WORD START END ..." (seconds) and below it a line per word
 *   GRID      "START END WORD" lines in 1/25000 s; "sil" and "sp" are silence
 *   sentence  GRID's file names: bbaf3s is "bin blue at f three soon"; with something before a
 *             "_" (Lombard GRID: s2_l_bbaf3s) it is the last part that counts
 *
 * plus a line of auto_avsr's label files: DATASET,PATH,FRAMES,TOKEN IDS,TEXT, where the text may
 * hold further commas.
 *
 * Any bytes are fine. Times that are not in order, or words that fold to nothing or to two, cost
 * the times and not the text.
 */
#ifndef TRAIN_IMPORT_TEXT_H
#define TRAIN_IMPORT_TEXT_H

#include "text/manifest.h"

#include <stdbool.h>
#include <stddef.h>

#define IMPORT_MAX_TEXT 16384 /* bytes, folded: what a manifest takes */

struct spoken {
    char *text;                  /* folded, UTF-8, no control character; never empty; owned */
    struct manifest_word *words; /* [word_count] by rising start; NULL: not known; owned */
    int32_t word_count;
    char *word_bytes; /* what words[].text point into; owned */
};

/* Each returns NULL, or what is wrong: *t is empty then. */
const char *spoken_plain(struct spoken *t, const char *bytes, size_t size);
/* The same, of a field of a CSV file: it may stand in quotes, with those inside doubled. */
const char *spoken_quoted(struct spoken *t, const char *bytes, size_t size);
const char *spoken_lrs(struct spoken *t, const char *bytes, size_t size);
const char *spoken_grid(struct spoken *t, const char *bytes, size_t size);
/* name: of the file, without folder and ending; length bytes of it */
const char *spoken_sentence(struct spoken *t, const char *name, size_t length);
/* Text and times that are known already. */
const char *spoken_given(struct spoken *t, const char *text, const struct manifest_word *words,
                         int32_t count);
void spoken_release(struct spoken *t); /* also fine on a zeroed struct */

/* Whether the words, put together, are the text. */
bool spoken_timed(const struct spoken *t);

/* Whether a text file is of the LRS kind. */
bool spoken_is_lrs(const char *bytes, size_t size);

struct label_line {
    const char *dataset, *path, *text; /* into the line, not terminated; text NULL: not there */
    size_t dataset_length, path_length, text_length;
};
/* false: not a line of this kind (its third field must be a number). */
bool label_line_read(struct label_line *l, const char *line, size_t length);

/* Cuts the next line off [*at, end): its first byte; *length without the line's end. */
const char *next_line(const char **at, const char *end, size_t *length);

#endif
