/*
 * How files spell the bytes of byte-level tokens, GPT-2's alphabet: printable Latin-1 bytes stand
 * for themselves, the other 68 in rising order for U+0100, U+0101, ... (space, the 33rd, is U+0120
 * Ġ).
 */
#ifndef TEXT_ALPHABET_H
#define TEXT_ALPHABET_H

#include "base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

/* Appends the spelling of the bytes, as UTF-8, at most two bytes for each. */
void alphabet_spell(struct strbuf *out, const char *bytes, size_t length);
/* The reverse, into bytes of room for length. Returns their number; -1: a character that is not of
   the alphabet. */
int64_t alphabet_read(char *bytes, const char *text, size_t length);

#endif
