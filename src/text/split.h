/*
 * Cuts text into the pieces inside which BPE joins bytes: one or more expressions, each cutting
 * what the one before left whole. What an expression matches is a piece, and so is what lies
 * between two matches ("Isolated" in tokenizer.json). A byte that is not UTF-8 is a piece alone.
 */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H

#include "base/error.h"

#include <stddef.h>

#define SPLIT_MAX_STAGES 4

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;

/* Zeroed: no expression, a whole run of UTF-8 is one piece. Read-only once made. */
struct split {
    int count;
    char *expressions[SPLIT_MAX_STAGES];
    struct pcre2_real_code_8 *compiled[SPLIT_MAX_STAGES];
    struct pcre2_real_match_context_8 *limits;
};

int split_add(struct split *s, const char *expression, struct error *err); /* PCRE2, Unicode */
void split_release(struct split *s);

/* Calls take(arg, piece, length) for each piece in order, length >= 1; stops at the first non-zero
   answer and returns it. */
typedef int split_take(void *arg, const char *piece, size_t length);
int split_run(const struct split *s, const char *text, size_t length, split_take *take, void *arg,
              struct error *err);

#endif
