/*
 * A list of clips with their words: a text file of tab-separated columns. The first line names the
 * columns; `path` and `text` must be there, `words_ms` may be, others are passed over.
 *
 *     path            text                    words_ms
 *     s1/bbaf2n.mp4   bin blue at f two now   bin:950:1180 blue:1180:1360 ...
 *
 * A relative path is relative to the manifest's folder. A broken line is reported and left out, the
 * others stay: no path or text, too few columns, not UTF-8, a control character, a word without
 * times or one that ends before it starts.
 */
#ifndef TEXT_MANIFEST_H
#define TEXT_MANIFEST_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct manifest_word {
    const char *text;
    int32_t start_ms, end_ms; /* from the start of the clip */
};

struct manifest_entry {
    char *path; /* ready to open */
    const char *text;
    const struct manifest_word *words; /* [word_count]; the line has no times: NULL, 0 */
    int32_t word_count;
    int64_t line; /* in the file, from 1 */
};

struct manifest {
    struct manifest_entry *entries; /* [count] in the order of the file */
    int64_t count, broken;
    struct manifest_word *words; /* of all entries */
    char *text;                  /* the file, cut into the other strings */
};

/* Told each broken line as "FILE:LINE: what is wrong". */
typedef void manifest_warn(void *arg, const char *message);

/* warn may be NULL. A file without one good line is an error. */
int manifest_load(struct manifest *m, const char *path, manifest_warn *warn, void *arg,
                  struct error *err);
void manifest_release(struct manifest *m); /* also fine on a zeroed struct */

#endif
