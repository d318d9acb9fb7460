/*
 * UTF-8: what is valid, what its characters are; and text made comparable for word error rates.
 * Functions append to `out` (check out->failed). For the latter, where bytes that are not UTF-8
 * become U+FFFD:
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
#include <stdint.h>

void normalize_fold(struct strbuf *out, const char *text, size_t length);
void normalize_english(struct strbuf *out, const char *text, size_t length);

/* Appends `bytes` as valid UTF-8. Returns how many bytes at the end were left out because they
   are the beginning of a character that may yet be completed (0-3). */
size_t normalize_utf8(struct strbuf *out, const char *bytes, size_t length);

/* How many of the first bytes are valid UTF-8 (all of them: length). */
size_t normalize_valid(const char *bytes, size_t length);

/* Appends the text in Unicode's composed form (NFC), at most 3 times as long; bytes that are not
   UTF-8 stay as they are. */
void normalize_nfc(struct strbuf *out, const char *text, size_t length);

/* The valid character that text begins with: its bytes, 0: none. And the one it ends with. */
size_t normalize_character(int32_t *code, const char *text, size_t length);
size_t normalize_character_before(int32_t *code, const char *text, size_t length);
bool normalize_is_space(int32_t code); /* Unicode's White_Space */
/* What \w of regular expressions is: letters, marks, digits, joiners, "_". */
bool normalize_is_word(int32_t code);

#endif
