/*
 * Merges from scores, as SentencePiece's BPE has them: two neighbours that together are a token may
 * be joined, the token of the highest score first. So each token of two or more characters gives
 * one merge for each place where it parts into two tokens, ordered by (score, length of the left
 * part, of the right part), highest first, as Hugging Face's own conversion orders them.
 */
#include "text/tokenizer_gguf.h"
#include "base/memory.h"
#include "text/bpe.h"
#include "text/normalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARTED_BYTES 256 /* a longer token is not made by merges */

enum type { TYPE_ORDINARY = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

/* How byte-level text is cut, by the names of llama.cpp, as the publishers' tokenizer.json do it.
 */
static const struct {
    const char *names[4];
    const char *split[2];
    bool nfc, whole_pieces;
} pipelines[] = {
    {{"gpt-2", "gpt2", "phi-2"}, {tokenizer_split_gpt2}, false, false},
    {{"smollm"}, {"\\p{N}", tokenizer_split_gpt2}, false, false},
    {{"llama-bpe", "llama3", "llama-v3"}, {tokenizer_split_llama3}, false, true},
    {{"qwen2", "deepseek-r1-qwen"}, {tokenizer_split_qwen2}, true, false},
};

static int byte_level(struct tokenizer *t, const struct tokenizer_source *s, struct error *err)
{
    if (!s->pre || strcmp(s->pre, "default") == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the file does not say how its tokenizer cuts text (tokenizer.ggml.pre)");
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++)
        for (int k = 0; k < 4 && pipelines[i].names[k]; k++) {
            if (strcmp(pipelines[i].names[k], s->pre) != 0)
                continue;
            t->nfc = pipelines[i].nfc;
            t->whole_pieces = pipelines[i].whole_pieces;
            t->prefix = s->add_space_prefix ? PREFIX_EVERY : PREFIX_NONE;
            int rc = split_add(&t->split, pipelines[i].split[0], err);
            return rc || !pipelines[i].split[1] ? rc
                                                : split_add(&t->split, pipelines[i].split[1], err);
        }
    return error_set(err, ERROR_UNSUPPORTED,
                     "its tokenizer cuts text in a way that is not known here "
                     "(tokenizer.ggml.pre is \"%.64s\")",
                     s->pre);
}

static int type_of(const struct tokenizer_source *s, int64_t i)
{
    double type = s->has_types ? s->type(s->arg, i) : TYPE_ORDINARY;
    return type >= TYPE_ORDINARY && type <= TYPE_BYTE ? (int)type : 0;
}

static int set_token(struct tokenizer *t, const struct tokenizer_source *s, int32_t id,
                     struct error *err)
{
    size_t length = 0;
    const char *text = s->token(s->arg, id, &length);
    int type = type_of(s, id);
    if (!text || !type || memchr(text, 0, length) || normalize_valid(text, length) != length)
        return error_set(err, ERROR_FORMAT, "token %d is no UTF-8, or of a type not known", id);
    if (type != TYPE_UNKNOWN && type != TYPE_CONTROL && type != TYPE_USER)
        return tokenizer_set_spelled(t, id, text, length, err);
    int rc = tokenizer_set(t, id, text, length, true, err);
    if (rc)
        return rc;
    t->tokens[id].plain = type == TYPE_USER;
    if (t->marks && type == TYPE_UNKNOWN)
        t->unknown = id;
    return 0;
}

static int set_merges(struct tokenizer *t, const struct tokenizer_source *s, struct error *err)
{
    int rc = 0;
    for (int64_t i = 0; i < s->merges && !rc; i++) {
        size_t length = 0;
        const char *line = s->merge(s->arg, i, &length);
        rc = line ? tokenizer_set_merge_line(t, line, length, err)
                  : error_set(err, ERROR_FORMAT, "merge %lld is no text", (long long)i);
    }
    return rc;
}

/* ---- merges from scores -------------------------------------------------------------------- */

struct candidate {
    double score;
    int left_length, right_length; /* characters */
    int32_t order;                 /* as found */
    struct merge merge;
};

struct candidates {
    struct candidate *list;
    int count, room;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_length != y->left_length)
        return x->left_length > y->left_length ? -1 : 1;
    if (x->right_length != y->right_length)
        return x->right_length > y->right_length ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int add_candidate(struct candidates *c, struct candidate candidate, struct error *err)
{
    if (c->count == c->room) {
        int room = c->room ? 2 * c->room : 4096;
        struct candidate *list =
            room <= 4 * TOKENIZER_MAX_IDS ? memory_new((size_t)room, sizeof *list) : NULL;
        if (!list)
            return error_set(err, ERROR_LIMIT, "the tokens part in more than %d ways",
                             4 * TOKENIZER_MAX_IDS);
        if (c->count)
            memcpy(list, c->list, (size_t)c->count * sizeof *list);
        memory_free(c->list);
        c->list = list;
        c->room = room;
    }
    candidate.order = c->count;
    c->list[c->count++] = candidate;
    return 0;
}

static int characters(const char *text, size_t length)
{
    int count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* All the ways in which a token parts into two. */
static int part_token(struct candidates *c, const struct tokenizer *t,
                      const struct tokenizer_source *s, int32_t id, struct error *err)
{
    const struct token *token = &t->tokens[id];
    const char *text = t->bytes.data + token->start;
    int rc = 0;
    double score = s->score(s->arg, id);
    if (!isfinite(score))
        return error_set(err, ERROR_FORMAT, "the score of token %d is no number", id);
    for (size_t k = 1; k < token->length && !rc; k++) {
        if (((unsigned char)text[k] & 0xc0) == 0x80)
            continue;
        int32_t left = strings_get(&t->ordinary, text, k);
        int32_t right = strings_get(&t->ordinary, text + k, token->length - k);
        if (left < 0 || right < 0 || type_of(s, left) != TYPE_ORDINARY ||
            type_of(s, right) != TYPE_ORDINARY)
            continue;
        struct candidate candidate = {.score = score,
                                      .left_length = characters(text, k),
                                      .right_length = characters(text + k, token->length - k),
                                      .merge = {{left, right}, id}};
        rc = add_candidate(c, candidate, err);
    }
    return rc;
}

static int merges_from_scores(struct tokenizer *t, const struct tokenizer_source *s,
                              struct error *err)
{
    struct candidates c = {0};
    int rc = 0;
    for (int32_t id = 0; id < t->count && !rc; id++)
        if (type_of(s, id) == TYPE_ORDINARY && t->tokens[id].length <= MAX_PARTED_BYTES)
            rc = part_token(&c, t, s, id, err);
    if (!rc && c.count) {
        qsort(c.list, (size_t)c.count, sizeof *c.list, compare_candidates);
        memory_free(t->merges);
        t->merges = memory_new((size_t)c.count, sizeof *t->merges);
        t->merge_capacity = t->merges ? c.count : 0;
        if (!t->merges)
            rc = error_set(err, ERROR_MEMORY, "out of memory");
        for (; t->merge_count < t->merge_capacity; t->merge_count++)
            t->merges[t->merge_count] = c.list[t->merge_count].merge;
    }
    memory_free(c.list);
    return rc;
}

static int sentence_piece(struct tokenizer *t, const struct tokenizer_source *s, struct error *err)
{
    t->marks = true;
    t->fallback = true;
    t->fuse_unknown = true;
    t->prefix = s->add_space_prefix ? PREFIX_EVERY : PREFIX_NONE;
    return s->merges || s->has_scores
               ? 0
               : error_set(err, ERROR_FORMAT, "its tokenizer has neither merges nor scores");
}

static int build(struct tokenizer *t, const struct tokenizer_source *s, struct error *err)
{
    bool llama = strcmp(s->model, "llama") == 0;
    int rc = llama ? sentence_piece(t, s, err) : byte_level(t, s, err);
    for (int32_t id = 0; id < s->tokens && !rc; id++)
        rc = set_token(t, s, id, err);
    if (!rc)
        rc = llama && !s->merges ? merges_from_scores(t, s, err) : set_merges(t, s, err);
    return rc ? rc : tokenizer_finish(t, err);
}

int tokenizer_from_gguf(struct tokenizer **out, const struct tokenizer_source *s, struct error *err)
{
    *out = NULL;
    if (!s->model || (strcmp(s->model, "gpt2") != 0 && strcmp(s->model, "llama") != 0))
        return error_set(err, ERROR_UNSUPPORTED,
                         "its tokenizer is of type \"%.64s\", gpt2 and llama can be read",
                         s->model ? s->model : "");
    if (s->tokens < 1 || s->tokens > TOKENIZER_MAX_IDS || s->merges < 0 ||
        s->merges > 2 * TOKENIZER_MAX_IDS)
        return error_set(err, ERROR_LIMIT, "a tokenizer has 1 to %d tokens, at most %d merges",
                         TOKENIZER_MAX_IDS, 2 * TOKENIZER_MAX_IDS);
    int rc = tokenizer_new(out, (int)s->tokens, (int)s->merges, err);
    if (!rc)
        rc = build(*out, s, err);
    if (rc) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return rc;
}
