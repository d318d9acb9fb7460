/* What a tokenizer is made of; shared by tokenizer.c, tokenizer_train.c and tokenizer_json.c. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/pairs.h"
#include "text/split.h"
#include "text/tokenizer.h"

#define TOKENIZER_MAX_IDS (1 << 20)
#define TOKENIZER_MAX_BYTES ((size_t)256 << 20) /* of all tokens together */

struct token {
    size_t start, length; /* in tokenizer.bytes; length 0: nothing has this id yet */
    bool special;
};

struct merge {
    struct pair pair;
    int32_t joined;
};

struct tokenizer {
    struct strbuf bytes;  /* of the tokens, one after the other; of special ones the name */
    struct token *tokens; /* [count], by id */
    int count, capacity;
    struct merge *merges; /* [merge_count], by rank: the first is joined first */
    int merge_count;
    struct pairs ranks;    /* pair -> rank */
    int32_t byte_ids[256]; /* -1: such a byte has no token and is left out */
    int32_t *by_bytes;     /* [ordinary] ids of the ordinary tokens in order of their bytes */
    int ordinary;
    struct split split;
    bool prefix_space;
    bool whole_pieces; /* a piece that is a token is taken whole, learned or not (ignore_merges) */
};

/* Room for this many ids and merges. */
int tokenizer_new(struct tokenizer **t, int ids, int merges, struct error *err);
/* Gives id, which is free and within the room, its bytes. */
void tokenizer_set(struct tokenizer *t, int32_t id, const char *bytes, size_t length, bool special);
/* Last step of making one: fills byte_ids, ranks and by_bytes, and checks what they need. */
int tokenizer_finish(struct tokenizer *t, struct error *err);

#endif
