/*
 * Encoding a piece: its bytes are a chain of symbols; a heap holds the pairs of neighbours that
 * have a rank, keyed by (rank, position), so the smallest key is the pair learned first, leftmost.
 * A key is stale when the pair at its position is no longer the one of its rank. O(n log n).
 */
#include "text/tokenizer.h"
#include "base/memory.h"
#include "text/bpe.h"
#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SPECIAL_BYTES 256

/* As published with GPT-2 and with Llama 3. */
const char tokenizer_split_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char tokenizer_split_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const char *const tokenizer_default_specials[] = {
    "<pad>",    "<audio>",           "</audio>",        "<video>",
    "</video>", "<|begin_of_text|>", "<|end_of_text|>", NULL};

int tokenizer_new(struct tokenizer **out, int ids, int merges, struct error *err)
{
    struct tokenizer *t = memory_new(1, sizeof *t);
    *out = NULL;
    if (t) {
        strbuf_init(&t->bytes, TOKENIZER_MAX_BYTES);
        t->capacity = ids;
        t->tokens = memory_new((size_t)ids, sizeof *t->tokens);
        t->merges = memory_new((size_t)merges, sizeof *t->merges);
    }
    if (!t || !t->tokens || !t->merges) {
        tokenizer_free(t);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    *out = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    split_release(&t->split);
    pairs_release(&t->ranks);
    strbuf_release(&t->bytes);
    memory_free(t->by_bytes);
    memory_free(t->merges);
    memory_free(t->tokens);
    memory_free(t);
}

void tokenizer_set(struct tokenizer *t, int32_t id, const char *bytes, size_t length, bool special)
{
    t->tokens[id] = (struct token){t->bytes.length, length, special};
    strbuf_add(&t->bytes, bytes, length);
    if (id >= t->count)
        t->count = id + 1;
}

static const char *token_bytes(const struct tokenizer *t, int32_t id)
{
    return t->bytes.data + t->tokens[id].start;
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_bytes(const void *a, const void *b, void *tokenizer)
{
    const struct tokenizer *t = tokenizer;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return compare_bytes(token_bytes(t, x), t->tokens[x].length, token_bytes(t, y),
                         t->tokens[y].length);
}

/* The ordinary token with these bytes, -1: none. */
static int32_t find_token(const struct tokenizer *t, const char *bytes, size_t length)
{
    int low = 0, high = t->ordinary;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int32_t id = t->by_bytes[middle];
        int order = compare_bytes(bytes, length, token_bytes(t, id), t->tokens[id].length);
        if (order == 0)
            return id;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

int tokenizer_finish(struct tokenizer *t, struct error *err)
{
    if (t->bytes.failed)
        return error_set(err, ERROR_LIMIT, "the tokens have too many bytes together");
    t->by_bytes = memory_new((size_t)t->count, sizeof *t->by_bytes);
    if (!t->by_bytes)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int32_t id = 0; id < t->count; id++) {
        if (t->tokens[id].length == 0)
            return error_set(err, ERROR_FORMAT, "no token has id %d, but there are larger ids", id);
        if (!t->tokens[id].special)
            t->by_bytes[t->ordinary++] = id;
    }
    qsort_r(t->by_bytes, (size_t)t->ordinary, sizeof *t->by_bytes, by_bytes, t);
    for (int byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = find_token(t, (char[]){(char)byte}, 1);
    for (int rank = 0; rank < t->merge_count; rank++) {
        size_t before = t->ranks.count;
        int64_t *value = pairs_put(&t->ranks, t->merges[rank].pair);
        if (!value)
            return error_set(err, ERROR_MEMORY, "out of memory");
        if (t->ranks.count == before)
            return error_set(err, ERROR_FORMAT, "merge %d is there twice", rank);
        *value = rank;
    }
    return 0;
}

int tokenizer_size(const struct tokenizer *t)
{
    return t->count;
}

int32_t tokenizer_special(const struct tokenizer *t, const char *name)
{
    size_t length = strlen(name);
    for (int32_t id = t->count - 1; id >= 0; id--)
        if (t->tokens[id].special && t->tokens[id].length == length &&
            memcmp(token_bytes(t, id), name, length) == 0)
            return id;
    return -1;
}

int tokenizer_add_special(struct tokenizer *t, const char *name, struct error *err)
{
    size_t length = strlen(name);
    if (length < 1 || length > MAX_SPECIAL_BYTES || normalize_valid(name, length) != length)
        return error_set(err, ERROR_USAGE, "a special token needs a name of 1 to %d bytes of UTF-8",
                         MAX_SPECIAL_BYTES);
    if (tokenizer_special(t, name) >= 0)
        return 0;
    if (find_token(t, name, length) >= 0)
        return error_set(err, ERROR_USAGE, "%s is an ordinary token, it cannot be a special one",
                         name);
    if (t->count == t->capacity) {
        if (t->count >= TOKENIZER_MAX_IDS)
            return error_set(err, ERROR_LIMIT, "more than %d tokens", TOKENIZER_MAX_IDS);
        struct token *tokens = memory_new((size_t)t->capacity + 64, sizeof *tokens);
        if (!tokens)
            return error_set(err, ERROR_MEMORY, "out of memory");
        memcpy(tokens, t->tokens, (size_t)t->count * sizeof *tokens);
        memory_free(t->tokens);
        t->tokens = tokens;
        t->capacity += 64;
    }
    tokenizer_set(t, t->count, name, length, true);
    return t->bytes.failed ? error_set(err, ERROR_MEMORY, "out of memory") : 0;
}

struct symbol {
    int32_t id;             /* -1: joined to the one before */
    int32_t previous, next; /* -1: none */
};

struct encoder {
    const struct tokenizer *t;
    int32_t *ids;
    int64_t count;
    struct symbol *symbols; /* [length of the text] */
    uint64_t *heap;         /* [3 * length]: one key for each first pair, two for each joining */
    size_t heap_count;
};

static void heap_push(struct encoder *e, uint64_t key)
{
    size_t i = e->heap_count++;
    for (; i > 0 && e->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = key;
}

static uint64_t heap_pop(struct encoder *e)
{
    uint64_t top = e->heap[0], key = e->heap[--e->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < e->heap_count) {
        child += child + 1 < e->heap_count && e->heap[child + 1] < e->heap[child];
        if (e->heap[child] >= key)
            break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    e->heap[i] = key;
    return top;
}

/* Rank of the pair that starts at a symbol; -1: it is none, or was never learned. */
static int64_t rank_at(const struct encoder *e, int32_t at)
{
    if (at < 0 || e->symbols[at].id < 0 || e->symbols[at].next < 0)
        return -1;
    struct pair pair = {e->symbols[at].id, e->symbols[e->symbols[at].next].id};
    const int64_t *rank = pairs_get(&e->t->ranks, pair);
    return rank ? *rank : -1;
}

static void propose(struct encoder *e, int32_t at)
{
    int64_t rank = rank_at(e, at);
    if (rank >= 0)
        heap_push(e, (uint64_t)rank << 32 | (uint32_t)at);
}

static void join(struct encoder *e, int32_t at, int32_t joined)
{
    struct symbol *left = &e->symbols[at], *right = &e->symbols[left->next];
    left->id = joined;
    right->id = -1;
    left->next = right->next;
    if (left->next >= 0)
        e->symbols[left->next].previous = at;
    propose(e, left->previous);
    propose(e, at);
}

static int encode_piece(void *arg, const char *piece, size_t length)
{
    struct encoder *e = arg;
    const struct tokenizer *t = e->t;
    int32_t whole = t->whole_pieces ? find_token(t, piece, length) : -1;
    if (whole >= 0) {
        e->ids[e->count++] = whole;
        return 0;
    }
    int32_t n = 0;
    for (size_t i = 0; i < length; i++) {
        int32_t id = t->byte_ids[(unsigned char)piece[i]];
        if (id < 0)
            continue;
        e->symbols[n] = (struct symbol){id, n - 1, n + 1};
        n++;
    }
    if (!n)
        return 0;
    e->symbols[n - 1].next = -1;
    e->heap_count = 0;
    for (int32_t i = 0; i + 1 < n; i++)
        propose(e, i);
    while (e->heap_count) {
        uint64_t key = heap_pop(e);
        int32_t at = (int32_t)(key & 0xffffffff);
        int64_t rank = (int64_t)(key >> 32);
        if (rank_at(e, at) == rank)
            join(e, at, t->merges[rank].joined);
    }
    for (int32_t i = 0; i >= 0; i = e->symbols[i].next)
        e->ids[e->count++] = e->symbols[i].id;
    return 0;
}

int64_t tokenizer_encode(const struct tokenizer *t, int32_t *ids, const char *text, size_t length,
                         struct error *err)
{
    if (length > TOKENIZER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_LIMIT, "a text of %zu bytes, at most %zu can be encoded",
                         length, TOKENIZER_MAX_TEXT_BYTES);
    if (!length)
        return 0;
    size_t space = t->prefix_space;
    char *copy = memory_new(length + space, 1);
    struct encoder e = {.t = t,
                        .ids = ids,
                        .symbols = memory_new(length + space, sizeof *e.symbols),
                        .heap = memory_new(3 * (length + space), sizeof *e.heap)};
    int rc = 0;
    if (!copy || !e.symbols || !e.heap) {
        rc = error_set(err, ERROR_MEMORY, "out of memory");
        goto out;
    }
    copy[0] = ' ';
    memcpy(copy + space, text, length);
    rc = split_run(&t->split, copy, length + space, encode_piece, &e, err);
out:
    memory_free(e.heap);
    memory_free(e.symbols);
    memory_free(copy);
    return rc ? rc : e.count;
}

void tokenizer_decode_bytes(const struct tokenizer *t, struct strbuf *bytes, const int32_t *ids,
                            int64_t count)
{
    bool first = t->prefix_space;
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= t->count || t->tokens[ids[i]].special)
            continue;
        const char *token = token_bytes(t, ids[i]);
        size_t skip = first && token[0] == ' ';
        strbuf_add(bytes, token + skip, t->tokens[ids[i]].length - skip);
        first = false;
    }
}

void tokenizer_decode(const struct tokenizer *t, struct strbuf *text, const int32_t *ids,
                      int64_t count)
{
    struct strbuf bytes;
    strbuf_init(&bytes, text->limit);
    tokenizer_decode_bytes(t, &bytes, ids, count);
    normalize_utf8(text, bytes.data, bytes.length);
    if (bytes.failed)
        text->failed = true;
    strbuf_release(&bytes);
}
