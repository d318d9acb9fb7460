/*
 * Which tokens make which words. A word is a run of bytes without white space in what tokens decode
 * to; its tokens are those that a byte of it, or of the white space before it, comes from:
 *
 *     tokens   " bin"  " bl" "ue"  " " "at"
 *     words      bin     blue        at        tokens 0 .. 0, 1 .. 2, 3 .. 4
 */
#ifndef TEXT_TOKEN_WORDS_H
#define TEXT_TOKEN_WORDS_H

#include "text/tokenizer.h"

struct token_word {
    size_t from, to; /* bytes of the text: [from, to) */
    int first, last; /* tokens, the last one included */
};

/* Whether a byte parts words: white space and control characters of ASCII. */
bool token_words_blank(char byte);

/* Writes the bytes of ids[count] to `bytes` (empty), and their words to *words (freed by
   memory_free; NULL where it fails). Returns the number of words, or a negative code. */
int token_words(struct token_word **words, struct strbuf *bytes, const struct tokenizer *t,
                const int32_t *ids, int count, struct error *err);

/* Appends the text of one of the words, as tokenizer_decode would give it. */
void token_words_text(struct strbuf *text, const struct strbuf *bytes, const struct token_word *w);

#endif
