/* Making a tokenizer, its special tokens, and decoding. Encoding: tokenizer_encode.c. */
#include "text/tokenizer.h"
#include "base/memory.h"
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/normalize.h"

#include <stdio.h>
#include <string.h>

/* As published with GPT-2, with Llama 3 and with Qwen2. */
const char tokenizer_split_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char tokenizer_split_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char tokenizer_split_qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const char tokenizer_split_marks[] = "\xe2\x96\x81?[^\xe2\x96\x81]*";

const char *const tokenizer_default_specials[] = {
    "<pad>",    "<audio>",           "</audio>",        "<video>",
    "</video>", "<|begin_of_text|>", "<|end_of_text|>", NULL};

int tokenizer_new(struct tokenizer **out, int ids, int merges, struct error *err)
{
    struct tokenizer *t = memory_new(1, sizeof *t);
    *out = NULL;
    if (t) {
        strbuf_init(&t->bytes, TOKENIZER_MAX_BYTES);
        strings_init(&t->ordinary);
        strings_init(&t->names);
        added_init(&t->raw);
        added_init(&t->normalized);
        t->unknown = t->empty = -1;
        t->capacity = ids;
        t->merge_capacity = merges;
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
    strings_release(&t->ordinary);
    strings_release(&t->names);
    added_release(&t->raw);
    added_release(&t->normalized);
    strbuf_release(&t->bytes);
    memory_free(t->merges);
    memory_free(t->tokens);
    memory_free(t);
}

static const char *token_bytes(const struct tokenizer *t, int32_t id)
{
    return t->bytes.data + t->tokens[id].start;
}

/* The ordinary token that a file spells so; -1: none. */
static int32_t find_spelled(const struct tokenizer *t, const char *text, size_t length)
{
    char bytes[2 * TOKENIZER_MAX_TOKEN_BYTES];
    if (t->marks)
        return strings_get(&t->ordinary, text, length);
    int64_t count = length <= sizeof bytes ? alphabet_read(bytes, text, length) : -1;
    return count < 0 ? -1 : strings_get(&t->ordinary, bytes, (size_t)count);
}

static int same_token(int32_t id, int32_t other, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "tokens %d and %d are the same", other, id);
}

int tokenizer_set(struct tokenizer *t, int32_t id, const char *bytes, size_t length, bool added,
                  struct error *err)
{
    size_t most = added ? TOKENIZER_MAX_NAME_BYTES : TOKENIZER_MAX_TOKEN_BYTES;
    if (length < added || length > most)
        return error_set(err, ERROR_FORMAT, "token %d has %zu bytes, 1 to %zu can be", id, length,
                         most);
    if (t->tokens[id].taken)
        return error_set(err, ERROR_FORMAT, "id %d is given twice", id);
    struct strings *map = added ? &t->names : &t->ordinary;
    int32_t other = length ? strings_get(map, bytes, length) : t->empty;
    if (other < 0 && added)
        other = find_spelled(t, bytes, length);
    if (other >= 0)
        return same_token(id, other, err);
    if (!length)
        t->empty = id;
    else if (!strings_put(map, bytes, length, id))
        return error_set(err, ERROR_MEMORY, "out of memory");
    t->tokens[id] =
        (struct token){.start = t->bytes.length, .length = length, .taken = true, .added = added};
    strbuf_add(&t->bytes, bytes, length);
    if (id >= t->count)
        t->count = id + 1;
    return t->bytes.failed ? error_set(err, ERROR_LIMIT, "the tokens have too many bytes together")
                           : 0;
}

int tokenizer_set_spelled(struct tokenizer *t, int32_t id, const char *text, size_t length,
                          struct error *err)
{
    char bytes[TOKENIZER_MAX_TOKEN_BYTES];
    int32_t other = strings_get(&t->names, text, length);
    if (other >= 0)
        return same_token(id, other, err);
    if (t->marks || length > sizeof bytes)
        return tokenizer_set(t, id, text, length, false, err);
    int64_t count = alphabet_read(bytes, text, length);
    if (count < 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "token %d is not spelled in the byte-level alphabet", id);
    return tokenizer_set(t, id, bytes, (size_t)count, false, err);
}

int tokenizer_set_merge(struct tokenizer *t, const char *left, size_t left_length,
                        const char *right, size_t right_length, struct error *err)
{
    char joined[2 * TOKENIZER_MAX_TOKEN_BYTES];
    const char *part[3] = {left, right, joined};
    size_t length[3] = {left_length, right_length, left_length + right_length};
    int32_t id[3];
    int rank = t->merge_count;
    if (left_length > sizeof joined / 2 || right_length > sizeof joined / 2)
        return error_set(err, ERROR_FORMAT, "merge %d has a token of too many bytes", rank);
    memcpy(joined, left, left_length);
    memcpy(joined + left_length, right, right_length);
    for (int k = 0; k < 3; k++) {
        id[k] = find_spelled(t, part[k], length[k]);
        if (id[k] < 0 && strings_get(&t->names, part[k], length[k]) >= 0)
            return 0;
        if (id[k] < 0)
            return error_set(err, ERROR_FORMAT, "merge %d is not two tokens that make a third",
                             rank);
    }
    t->merges[t->merge_count++] = (struct merge){{id[0], id[1]}, id[2]};
    return 0;
}

int tokenizer_set_merge_line(struct tokenizer *t, const char *line, size_t length,
                             struct error *err)
{
    const char *space = memchr(line, ' ', length);
    if (!space)
        return error_set(err, ERROR_FORMAT, "merge %d is not two tokens that make a third",
                         t->merge_count);
    size_t left = (size_t)(space - line);
    return tokenizer_set_merge(t, line, left, space + 1, length - left - 1, err);
}

static void find_bytes(struct tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) {
        char spelled[8];
        snprintf(spelled, sizeof spelled, "<0x%02X>", (unsigned)byte);
        bool alone = !t->marks || byte < 0x80;
        t->byte_ids[byte] = alone ? strings_get(&t->ordinary, (char[]){(char)byte}, 1) : -1;
        t->fallback_ids[byte] = t->fallback ? strings_get(&t->ordinary, spelled, 6) : -1;
    }
}

/* Puts an added token where it is looked for. */
static int register_added(struct tokenizer *t, int32_t id, struct error *err)
{
    const struct token *token = &t->tokens[id];
    struct strbuf name;
    bool good;
    strbuf_init(&name, ADDED_MAX_BYTES);
    if (token->normalized)
        tokenizer_normalize(t, &name, token_bytes(t, id), token->length);
    else
        strbuf_add(&name, token_bytes(t, id), token->length);
    good = !name.failed && added_put(token->normalized ? &t->normalized : &t->raw, name.data,
                                     name.length, id, token->flags);
    strbuf_release(&name);
    return good ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
}

/* Does a mark follow something else in the token? */
static bool has_inner_mark(const struct tokenizer *t, int32_t id)
{
    const char *token = token_bytes(t, id), *end = token + t->tokens[id].length, *at = token;
    while ((at = memmem(at, (size_t)(end - at), TOKENIZER_MARK, 3)) != NULL) {
        if (at > token && (at - token < 3 || memcmp(at - 3, TOKENIZER_MARK, 3) != 0))
            return true;
        at += 3;
    }
    return false;
}

static int rank_merges(struct tokenizer *t, struct error *err)
{
    t->apart = t->marks && !t->whole_pieces;
    for (int rank = 0; rank < t->merge_count; rank++) {
        t->apart = t->apart && !has_inner_mark(t, t->merges[rank].joined);
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

int tokenizer_finish(struct tokenizer *t, struct error *err)
{
    int rc = 0;
    for (int32_t id = 0; id < t->count && !rc; id++) {
        if (!t->tokens[id].taken)
            return error_set(err, ERROR_FORMAT, "no token has id %d, but there are larger ids", id);
        if (t->tokens[id].added)
            rc = register_added(t, id, err);
    }
    if (!rc && t->marks && strings_get(&t->ordinary, TOKENIZER_MARK, 3) < 0)
        rc = error_set(err, ERROR_UNSUPPORTED, "no token is the mark of a space, U+2581");
    find_bytes(t);
    return rc ? rc : rank_merges(t, err);
}

int tokenizer_size(const struct tokenizer *t)
{
    return t->count;
}

int32_t tokenizer_special(const struct tokenizer *t, const char *name)
{
    return strings_get(&t->names, name, strlen(name));
}

static int grow_tokens(struct tokenizer *t, struct error *err)
{
    if (t->count >= TOKENIZER_MAX_IDS)
        return error_set(err, ERROR_LIMIT, "more than %d tokens", TOKENIZER_MAX_IDS);
    struct token *tokens = memory_new((size_t)t->capacity + 64, sizeof *tokens);
    if (!tokens)
        return error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(tokens, t->tokens, (size_t)t->count * sizeof *tokens);
    memory_free(t->tokens);
    t->tokens = tokens;
    t->capacity += 64;
    return 0;
}

int tokenizer_add_special(struct tokenizer *t, const char *name, struct error *err)
{
    size_t length = strlen(name);
    if (length < 1 || length > TOKENIZER_MAX_NAME_BYTES || normalize_valid(name, length) != length)
        return error_set(err, ERROR_USAGE, "a special token needs a name of 1 to %d bytes of UTF-8",
                         TOKENIZER_MAX_NAME_BYTES);
    if (tokenizer_special(t, name) >= 0)
        return 0;
    if (find_spelled(t, name, length) >= 0)
        return error_set(err, ERROR_USAGE, "%s is an ordinary token, it cannot be a special one",
                         name);
    int rc = t->count == t->capacity ? grow_tokens(t, err) : 0;
    if (!rc)
        rc = tokenizer_set(t, t->count, name, length, true, err);
    return rc ? rc : register_added(t, t->count - 1, err);
}

/* Is it <0xE2>, and which byte is that? */
static bool is_byte(const char *token, size_t length, char *byte)
{
    static const char digits[] = "0123456789ABCDEF";
    if (length != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return false;
    const char *high = memchr(digits, token[3], 16), *low = memchr(digits, token[4], 16);
    if (high && low)
        *byte = (char)((high - digits) << 4 | (low - digits));
    return high && low;
}

/* Appends a token of SentencePiece type: marks are spaces again. */
static void add_unmarked(struct strbuf *bytes, const char *token, size_t length)
{
    const char *mark;
    while ((mark = memmem(token, length, TOKENIZER_MARK, 3)) != NULL) {
        size_t before = (size_t)(mark - token);
        strbuf_add(bytes, token, before);
        strbuf_adds(bytes, " ");
        token += before + 3;
        length -= before + 3;
    }
    strbuf_add(bytes, token, length);
}

void tokenizer_decode_bytes(const struct tokenizer *t, struct strbuf *bytes, const int32_t *ids,
                            int64_t count)
{
    bool first = t->prefix != PREFIX_NONE;
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= t->count || t->tokens[ids[i]].added)
            continue;
        const char *token = token_bytes(t, ids[i]), *space = t->marks ? TOKENIZER_MARK : " ";
        size_t length = t->tokens[ids[i]].length, skip = strlen(space);
        char byte;
        if (first && length >= skip && memcmp(token, space, skip) == 0) {
            token += skip;
            length -= skip;
        }
        first = false;
        if (t->fallback && is_byte(token, length, &byte))
            strbuf_add(bytes, &byte, 1);
        else if (t->marks)
            add_unmarked(bytes, token, length);
        else
            strbuf_add(bytes, token, length);
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
