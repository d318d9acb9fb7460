/*
 * BPE of two types. Byte-level, as GPT-2, Whisper, Llama 3, Qwen2 and SmolLM2 have it: text is cut
 * into pieces by the split expression; each piece starts as its bytes, and the pair of neighbours
 * that was learned first is joined until no learned pair is left. So any bytes can be encoded.
 * SentencePiece type, as Llama 2 and TinyLlama have it: spaces are "▁", the text is one piece that
 * starts as its characters, and one that is no token falls back to its bytes.
 *
 * For valid UTF-8 the ids are those of the published tokenizer. Bytes that are not UTF-8 are
 * encoded as they are, byte by byte, and decode to themselves (the published programs never see
 * them: they replace them by U+FFFD before, as normalize_utf8 does; do that first where their ids
 * are wanted).
 *
 * Added tokens (<audio>, <|end_of_text|>, ...) have ids of their own that tokenizer_encode never
 * makes: "<audio>" in a transcript is seven characters. The caller puts them where they belong, by
 * tokenizer_special; or, in a text that he wrote himself, has them found by
 * tokenizer_encode_special. (One exception: a character that a tokenizer has no token for, and no
 * bytes to fall back to, is its unknown token, if it has one, else left out.)
 *
 * Prefix space: tokenizers trained here, and Llama 2's, put one space before a non-empty text and
 * decoding takes it away again, so that "blue" is one and the same token at the start of a sentence
 * and inside it.
 *
 * The file is Hugging Face's tokenizer.json; tokenizer_gguf.h has the other way. A tokenizer is
 * read-only once made (and given its special tokens): any number of threads may use it.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_MAX_TEXT_BYTES ((size_t)16 << 20)

extern const char tokenizer_split_gpt2[], tokenizer_split_llama3[], tokenizer_split_qwen2[];

/* <pad> <audio> </audio> <video> </video> <|begin_of_text|> <|end_of_text|>, ended by NULL */
extern const char *const tokenizer_default_specials[];

struct tokenizer;

struct tokenizer_options {
    int vocabulary;    /* largest number of ordinary tokens, >= 256 (the bytes); 0: 32768 */
    int64_t least;     /* a pair must occur this often to be joined; 0: 2 */
    const char *split; /* PCRE2 expression; NULL: tokenizer_split_llama3 */
    bool prefix_space; /* see above */
    const char *const *specials; /* names, ended by NULL; NULL: tokenizer_default_specials */
};

/* Learns from a text file, every line a text of its own. The same file and options always give the
   same tokenizer: the most frequent pair wins, then the one with the lowest ids. Ids: 0-255 the
   bytes, then the merges in order of learning, then the special tokens. options NULL: defaults,
   with prefix_space. */
int tokenizer_train(struct tokenizer **t, const char *path, const struct tokenizer_options *options,
                    struct error *err);
/* A file that is no tokenizer: the error says what it is instead. */
int tokenizer_load(struct tokenizer **t, const char *path, struct error *err);
/* What is loaded from it again encodes and decodes the same. */
int tokenizer_save(const struct tokenizer *t, const char *path, struct error *err);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

int tokenizer_size(const struct tokenizer *t); /* number of ids, special ones included */
int32_t tokenizer_special(const struct tokenizer *t, const char *name); /* -1: has none */

/* Gives name the next id, as a model needs whose tokenizer was published without it. A special
   token that is there already stays as it is. */
int tokenizer_add_special(struct tokenizer *t, const char *name, struct error *err);

/* No text of so many bytes has more ids. (Without NFC, length + 1 are enough for tokenizer_encode:
   no token is shorter than a byte, one more for the prefix space.) */
size_t tokenizer_room(const struct tokenizer *t, size_t length);

/* Writes the ids of text into ids, which has room for tokenizer_room(t, length) of them. Returns
   their number, or a negative error_code. */
int64_t tokenizer_encode(const struct tokenizer *t, int32_t *ids, const char *text, size_t length,
                         struct error *err);
/* The same, but names of added tokens in the text become their ids, as in the published programs:
   for prompts, never for what a stranger wrote. */
int64_t tokenizer_encode_special(const struct tokenizer *t, int32_t *ids, const char *text,
                                 size_t length, struct error *err);

/* Appends the text of the ids as valid UTF-8: wrong bytes become U+FFFD, and an unfinished
   character at the very end is held back, so a growing list of ids can be shown as it grows.
   Added tokens and ids out of range are left out. */
void tokenizer_decode(const struct tokenizer *t, struct strbuf *text, const int32_t *ids,
                      int64_t count);
/* The same as plain bytes, nothing replaced or held back. */
void tokenizer_decode_bytes(const struct tokenizer *t, struct strbuf *bytes, const int32_t *ids,
                            int64_t count);

#endif
