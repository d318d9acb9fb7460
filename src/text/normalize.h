/*
 * Text made comparable for word error rates. Both functions append to `out` (check out->failed);
 * bytes that are not UTF-8 become U+FFFD.
 *
 *   fold     NFKC, case folded, white space runs to one space, none at the ends:
 *            "  Bin\tBLUE " -> "bin blue"
 *   english  fold, then every mark of punctuation or symbol becomes a space, except an apostrophe
 *            inside a word (typographic ones become '): "It's twenty-one, sir!" ->
 *            "it's twenty one sir"
 */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include "base/strbuf.h"

#include <stddef.h>

void normalize_fold(struct strbuf *out, const char *text, size_t length);
void normalize_english(struct strbuf *out, const char *text, size_t length);

/* Appends `bytes` as valid UTF-8. Returns how many bytes at the end were left out because they
   are the beginning of a character that may yet be completed (0-3). */
size_t normalize_utf8(struct strbuf *out, const char *bytes, size_t length);

/* How many of the first bytes are valid UTF-8 (all of them: length). */
size_t normalize_valid(const char *bytes, size_t length);

#endif
