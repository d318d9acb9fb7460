/*
 * What a tokenizer is made of; shared by the tokenizer*.c files. The way of a text:
 *
 *     added tokens that are looked for in the text as it is     (tokenizer_encode_special only)
 *     normalizer       NFC; prefix; " " becomes "▁"
 *     added tokens that are looked for in normalized text       (tokenizer_encode_special only)
 *     pre-tokenizer    prefix; " " becomes "▁"; split into pieces
 *     model            BPE inside a piece
 *
 * Byte-level: tokens are bytes, a piece starts as its bytes. Else (SentencePiece type, `marks`):
 * tokens are UTF-8 as the file spells them, a piece starts as its characters; one that is no token
 * becomes the tokens <0xE2> ... of its bytes, or the unknown token.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/added.h"
#include "text/pairs.h"
#include "text/split.h"
#include "text/strings.h"
#include "text/tokenizer.h"

#define TOKENIZER_MAX_IDS (1 << 20)
#define TOKENIZER_MAX_BYTES ((size_t)256 << 20) /* of all tokens together */
#define TOKENIZER_MAX_TOKEN_BYTES 65536
#define TOKENIZER_MAX_NAME_BYTES 256  /* of an added token */
#define TOKENIZER_MARK "\xe2\x96\x81" /* U+2581, stands for a space */

extern const char tokenizer_split_marks[]; /* before every mark; Metaspace with "split" */

/* An added token has an id of its own that BPE never makes; its
   bytes are a name. The rest is about these: whether the published file calls it not special,
   whether it is looked for after the normalizer, enum added_flags. */
struct token {
    size_t start, length; /* in tokenizer.bytes */
    bool taken;           /* false: nothing has this id yet */
    bool added, plain, normalized;
    int flags;
};

struct merge {
    struct pair pair;
    int32_t joined;
};

/* One space (or mark) is put before ... */
enum prefix {
    PREFIX_NONE,
    PREFIX_EVERY,   /* every text, by the normalizer */
    PREFIX_MISSING, /* every text that does not begin with one, by the pre-tokenizer */
    PREFIX_FIRST    /* the same, but not after an added token */
};

struct tokenizer {
    struct strbuf bytes;  /* of the tokens, one after the other; of added ones the name */
    struct token *tokens; /* [count], by id */
    int count, capacity;
    struct strings ordinary; /* bytes -> id of the ordinary tokens */
    struct strings names;    /* name -> id of the added tokens */
    struct merge *merges;    /* [merge_count], by rank: the first is joined first */
    int merge_count, merge_capacity;
    struct pairs ranks;        /* pair -> rank */
    int32_t byte_ids[256];     /* token of one byte (below 0x80 alone, if marks); -1: none */
    int32_t fallback_ids[256]; /* token <0xE2> of a byte, -1: none; marks only */
    int32_t empty;             /* the token without text that Whisper's file has; -1: none */
    int32_t unknown;           /* stands for a character (or byte) without a token; -1: left out */
    bool fuse_unknown;         /* one for several in a row */
    bool fallback;             /* the model falls back to bytes */
    bool whole_pieces; /* a piece that is a token is taken whole, learned or not (ignore_merges) */
    bool nfc;
    bool marks;     /* SentencePiece type: spaces are "▁" */
    bool apart;     /* no merge reaches over the place before a mark that follows no mark */
    bool metaspace; /* marks are put by the pre-tokenizer, not by the normalizer */
    enum prefix prefix;
    struct split split;
    struct added raw, normalized; /* the added tokens, by where they are looked for */
};

/* Room for this many ids and merges. */
int tokenizer_new(struct tokenizer **t, int ids, int merges, struct error *err);
/* Gives id, which is within the room, its bytes; tells ids and bytes that are taken. */
int tokenizer_set(struct tokenizer *t, int32_t id, const char *bytes, size_t length, bool added,
                  struct error *err);
/* An ordinary token as a file spells it: in the byte-level alphabet, or as it is. */
int tokenizer_set_spelled(struct tokenizer *t, int32_t id, const char *text, size_t length,
                          struct error *err);
/* The next merge, of two tokens as a file spells them. One with an added token is left out: plain
   text never makes those. */
int tokenizer_set_merge(struct tokenizer *t, const char *left, size_t left_length,
                        const char *right, size_t right_length, struct error *err);
/* "left right" in one string. */
int tokenizer_set_merge_line(struct tokenizer *t, const char *line, size_t length,
                             struct error *err);
/* Last step of making one: fills byte_ids, ranks, raw and normalized, and checks what they need. */
int tokenizer_finish(struct tokenizer *t, struct error *err);

/* Appends the text as the normalizer leaves it. */
void tokenizer_normalize(const struct tokenizer *t, struct strbuf *out, const char *text,
                         size_t length);
/* Appends with every space as a mark. */
void tokenizer_add_marked(struct strbuf *out, const char *text, size_t length);

#endif
