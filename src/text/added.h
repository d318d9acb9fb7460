/*
 * Finds added tokens in text as Hugging Face's `tokenizers` does: from left to right, of several
 * that begin at one place the longest, none inside another. Then the token's own wishes:
 *
 *     single_word   only where no letter, mark, digit or "_" touches it
 *     lstrip        white space before it belongs to it        rstrip   and after it
 */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include "text/strings.h"

#define ADDED_MAX_BYTES 1024 /* of the text that is looked for */

enum added_flags { ADDED_SINGLE_WORD = 1, ADDED_LSTRIP = 2, ADDED_RSTRIP = 4 };

struct added {
    struct strings names; /* -> id << 3 | flags */
    bool begins[256];     /* some name begins with this byte */
    int longest;
    bool lengths[ADDED_MAX_BYTES + 1]; /* some name has so many bytes */
};

void added_init(struct added *a);
void added_release(struct added *a);
/* length 1 to ADDED_MAX_BYTES, id < 2^28. false: out of memory. */
bool added_put(struct added *a, const char *name, size_t length, int32_t id, int flags);

/* The first token in text[*end, length), white space that belongs to it included. *end: where the
   search goes on, at first 0; *from is set too, never before the old *end. Returns its id; -1:
   there is none, and from = end = length. */
int32_t added_next(const struct added *a, const char *text, size_t length, size_t *from,
                   size_t *end);

#endif
