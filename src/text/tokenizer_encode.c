/*
 * Encoding a piece: its bytes or characters are a chain of symbols; a heap holds the pairs of
 * neighbours that have a rank, keyed by (rank, position), so the smallest key is the pair learned
 * first, leftmost. A key is stale when the pair at its position is no longer the one of its rank.
 * O(n log n), however long the piece is: of SentencePiece type a text may be one piece.
 */
#include "base/memory.h"
#include "text/bpe.h"
#include "text/normalize.h"

#include <string.h>

#define MAX_READY_BYTES (6 * TOKENIZER_MAX_TEXT_BYTES + 64)

struct symbol {
    int32_t id;             /* -1: joined to the one before */
    int32_t previous, next; /* -1: none */
};

struct encoder {
    const struct tokenizer *t;
    int32_t *ids;
    int64_t count;
    struct symbol *symbols; /* [room] */
    uint64_t *heap;         /* [3 * room]: one key for each first pair, two for each joining */
    size_t room, heap_count;
    int32_t symbol_count;
    bool unknown;                    /* one is to be added before the next symbol */
    struct strbuf normalized, ready; /* what normalizer and pre-tokenizer made */
    struct error *err;
};

/* ---- a piece ------------------------------------------------------------------------------- */

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

static void add_symbol(struct encoder *e, int32_t id)
{
    int32_t n = e->symbol_count++;
    e->symbols[n] = (struct symbol){id, n - 1, n + 1};
}

static void end_unknown(struct encoder *e)
{
    if (e->unknown)
        add_symbol(e, e->t->unknown);
    e->unknown = false;
}

/* The tokens of its bytes, if every one has one. They go before an unknown token that waits to be
   fused, as `tokenizers` has it. */
static bool fall_back(struct encoder *e, const char *character, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (e->t->fallback_ids[(unsigned char)character[i]] < 0)
            return false;
    for (size_t i = 0; i < length; i++)
        add_symbol(e, e->t->fallback_ids[(unsigned char)character[i]]);
    return true;
}

/* Adds what the piece begins with; returns its bytes. */
static size_t take_character(struct encoder *e, const char *piece, size_t length)
{
    const struct tokenizer *t = e->t;
    int32_t code, id = t->byte_ids[(unsigned char)piece[0]];
    size_t n = 1;
    if (t->marks && (unsigned char)piece[0] >= 0x80) {
        n = normalize_character(&code, piece, length);
        id = n ? strings_get(&t->ordinary, piece, n) : -1;
        n += n == 0;
    }
    if (id >= 0) {
        end_unknown(e);
        add_symbol(e, id);
    } else if (!fall_back(e, piece, n) && t->unknown >= 0) {
        if (!t->fuse_unknown)
            end_unknown(e);
        e->unknown = true;
    }
    return n;
}

static bool make_room(struct encoder *e, size_t length)
{
    if (length <= e->room)
        return true;
    memory_free(e->symbols);
    memory_free(e->heap);
    e->room = length > 2 * e->room ? length : 2 * e->room;
    e->symbols = memory_new(e->room, sizeof *e->symbols);
    e->heap = memory_new(3 * e->room, sizeof *e->heap);
    return e->symbols && e->heap;
}

static int encode_piece(void *arg, const char *piece, size_t length)
{
    struct encoder *e = arg;
    const struct tokenizer *t = e->t;
    int32_t whole = t->whole_pieces ? strings_get(&t->ordinary, piece, length) : -1;
    if (whole >= 0) {
        e->ids[e->count++] = whole;
        return 0;
    }
    if (!make_room(e, length))
        return error_set(e->err, ERROR_MEMORY, "out of memory");
    e->symbol_count = 0;
    for (size_t i = 0; i < length;)
        i += take_character(e, piece + i, length - i);
    end_unknown(e);
    if (!e->symbol_count)
        return 0;
    e->symbols[e->symbol_count - 1].next = -1;
    e->heap_count = 0;
    for (int32_t i = 0; i + 1 < e->symbol_count; i++)
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

/* ---- a text -------------------------------------------------------------------------------- */

void tokenizer_add_marked(struct strbuf *out, const char *text, size_t length)
{
    const char *space;
    while ((space = memchr(text, ' ', length)) != NULL) {
        size_t before = (size_t)(space - text);
        strbuf_add(out, text, before);
        strbuf_add(out, TOKENIZER_MARK, 3);
        text += before + 1;
        length -= before + 1;
    }
    strbuf_add(out, text, length);
}

void tokenizer_normalize(const struct tokenizer *t, struct strbuf *out, const char *text,
                         size_t length)
{
    if (!length)
        return;
    if (t->prefix == PREFIX_EVERY)
        strbuf_adds(out, t->marks ? TOKENIZER_MARK : " ");
    if (t->nfc)
        normalize_nfc(out, text, length);
    else if (t->marks && !t->metaspace)
        tokenizer_add_marked(out, text, length);
    else
        strbuf_add(out, text, length);
}

/* One piece; but where no merge reaches over them, words may as well be encoded one by one, which
   is faster. */
static int encode_whole(struct encoder *e, const char *text, size_t length)
{
    const char *end = text + length, *next;
    int rc = 0;
    for (; text < end && !rc; text = next) {
        for (next = text; end - next >= 3 && memcmp(next, TOKENIZER_MARK, 3) == 0;)
            next += 3;
        next = e->t->apart ? memmem(next, (size_t)(end - next), TOKENIZER_MARK, 3) : NULL;
        next = next ? next : end;
        rc = encode_piece(e, text, (size_t)(next - text));
    }
    return rc;
}

/* first: the text begins with this. */
static int pre_tokenize(struct encoder *e, const char *text, size_t length, bool first)
{
    const struct tokenizer *t = e->t;
    bool prefix = t->prefix == PREFIX_MISSING || (t->prefix == PREFIX_FIRST && first);
    if (text[0] == ' ' || (t->metaspace && length >= 3 && memcmp(text, TOKENIZER_MARK, 3) == 0))
        prefix = false;
    if (prefix || t->metaspace) {
        strbuf_clear(&e->ready);
        if (prefix)
            strbuf_adds(&e->ready, t->marks ? TOKENIZER_MARK : " ");
        if (t->metaspace)
            tokenizer_add_marked(&e->ready, text, length);
        else
            strbuf_add(&e->ready, text, length);
        if (e->ready.failed)
            return error_set(e->err, ERROR_MEMORY, "out of memory");
        text = e->ready.data;
        length = e->ready.length;
    }
    if (t->marks && !t->split.count)
        return encode_whole(e, text, length);
    return split_run(&t->split, text, length, encode_piece, e, e->err);
}

typedef int encode_part(struct encoder *e, const char *text, size_t length, bool first);

/* The ids of the added tokens in the text; what lies between them goes on to `part`. */
static int cut_at_added(struct encoder *e, const struct added *added, const char *text,
                        size_t length, bool first, encode_part *part)
{
    size_t from, end = 0;
    int rc = 0;
    do {
        size_t begin = end;
        int32_t id = added_next(added, text, length, &from, &end);
        if (from > begin)
            rc = part(e, text + begin, from - begin, first && begin == 0);
        if (id >= 0)
            e->ids[e->count++] = id;
    } while (!rc && end < length);
    return rc;
}

static int normalize_part(struct encoder *e, const char *text, size_t length)
{
    strbuf_clear(&e->normalized);
    tokenizer_normalize(e->t, &e->normalized, text, length);
    return e->normalized.failed ? error_set(e->err, ERROR_MEMORY, "out of memory") : 0;
}

static int encode_plain(struct encoder *e, const char *text, size_t length, bool first)
{
    int rc = normalize_part(e, text, length);
    return rc ? rc : pre_tokenize(e, e->normalized.data, e->normalized.length, first);
}

static int encode_rest(struct encoder *e, const char *text, size_t length, bool first)
{
    int rc = normalize_part(e, text, length);
    return rc ? rc
              : cut_at_added(e, &e->t->normalized, e->normalized.data, e->normalized.length, first,
                             pre_tokenize);
}

static int encode_special(struct encoder *e, const char *text, size_t length, bool first)
{
    return cut_at_added(e, &e->t->raw, text, length, first, encode_rest);
}

static int64_t encode(const struct tokenizer *t, int32_t *ids, const char *text, size_t length,
                      encode_part *part, struct error *err)
{
    struct encoder e = {.t = t, .ids = ids, .err = err};
    if (length > TOKENIZER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_LIMIT, "a text of %zu bytes, at most %zu can be encoded",
                         length, TOKENIZER_MAX_TEXT_BYTES);
    if (!length)
        return 0;
    strbuf_init(&e.normalized, MAX_READY_BYTES);
    strbuf_init(&e.ready, MAX_READY_BYTES);
    int rc = part(&e, text, length, true);
    strbuf_release(&e.ready);
    strbuf_release(&e.normalized);
    memory_free(e.heap);
    memory_free(e.symbols);
    return rc ? rc : e.count;
}

size_t tokenizer_room(const struct tokenizer *t, size_t length)
{
    return (t->nfc ? 6 : 2) * length + 2;
}

int64_t tokenizer_encode(const struct tokenizer *t, int32_t *ids, const char *text, size_t length,
                         struct error *err)
{
    return encode(t, ids, text, length, encode_plain, err);
}

int64_t tokenizer_encode_special(const struct tokenizer *t, int32_t *ids, const char *text,
                                 size_t length, struct error *err)
{
    return encode(t, ids, text, length, encode_special, err);
}
