/*
 * A tokenizer from what a GGUF says of it under tokenizer.ggml.*. This folder does not read GGUF:
 * who does fills a tokenizer_source, which is only looked at during the call.
 *
 *     model "gpt2"   byte-level BPE; `pre` names how the text is cut, as llama.cpp names it:
 *                    gpt-2, smollm, llama-bpe (Llama 3), qwen2, and their other names; an unknown
 *                    name is an error that says it
 *     model "llama"  SentencePiece-type BPE with byte fallback; without merges they are made from
 *                    the scores: the pair that makes the token of the highest score is joined first
 *
 * Token types: 1 ordinary, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte (<0x0A>).
 * Unknown, control and user-defined ones become added tokens (tokenizer.h); unused ones are never
 * made.
 */
#ifndef TEXT_TOKENIZER_GGUF_H
#define TEXT_TOKENIZER_GGUF_H

#include "text/tokenizer.h"

struct tokenizer_source {
    const char *model;          /* tokenizer.ggml.model */
    const char *pre;            /* tokenizer.ggml.pre; NULL: the file has none */
    int64_t tokens, merges;     /* how many; merges 0: the file has none */
    bool add_space_prefix;      /* tokenizer.ggml.add_space_prefix; not there: true for "llama" */
    bool has_scores, has_types; /* .scores and .token_type are there, one for each token */
    const void *arg;            /* handed to the four functions below */
    const char *(*token)(const void *arg, int64_t i, size_t *length); /* NULL: it is no text */
    const char *(*merge)(const void *arg, int64_t i, size_t *length); /* "Ġb lue"; NULL: no text */
    double (*score)(const void *arg, int64_t i);                      /* if has_scores */
    double (*type)(const void *arg, int64_t i);                       /* if has_types */
};

/* Messages name the token or merge, not the file: the caller puts that before them. */
int tokenizer_from_gguf(struct tokenizer **t, const struct tokenizer_source *source,
                        struct error *err);

#endif
