/*
 * tokenizer.json, the file of Hugging Face's `tokenizers`, as far as byte-level BPE goes:
 *
 *     added_tokens   [{"id": 352, "content": "<pad>", ...}, ...]        special tokens
 *     normalizer     null, or {"type": "Prepend", "prepend": " "}       prefix space
 *     pre_tokenizer  ByteLevel, or Sequence of Split, Digits, ByteLevel split expressions
 *     model          {"type": "BPE", "vocab": {"Ġblue": 300, ...}, "merges": ["Ġb lue", ...]}
 *
 * Vocabulary entries spell bytes in GPT-2's alphabet: printable Latin-1 bytes stand for themselves,
 * the other 68 in rising order for U+0100, U+0101, ... (space, the 33rd, is U+0120 Ġ).
 * Post-processor and decoder are not read: the caller places special tokens, and byte-level
 * decoding has no choices.
 */
#include "base/file.h"
#include "base/memory.h"
#include "text/bpe.h"
#include "text/normalize.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)
#define MAX_TOKEN_BYTES 65536

static bool stands_for_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* Code point of each byte. */
static void alphabet(int code[256])
{
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++)
        code[byte] = stands_for_itself(byte) ? byte : next++;
}

/* Spells bytes in the alphabet; all of it is below U+0800: one or two bytes of UTF-8 each. */
static void spell(struct strbuf *out, const char *bytes, size_t length)
{
    int code[256];
    alphabet(code);
    for (size_t i = 0; i < length; i++) {
        int c = code[(unsigned char)bytes[i]];
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            utf8[0] = (char)c;
        strbuf_add(out, utf8, c < 0x80 ? 1 : 2);
    }
}

/* The reverse, into bytes of room for length; -1: a character outside the alphabet. */
static int64_t unspell(char *bytes, const char *text, size_t length)
{
    int code[256];
    unsigned char back[0x144] = {0};
    alphabet(code);
    for (int byte = 0; byte < 256; byte++)
        back[code[byte]] = (unsigned char)byte;
    int64_t count = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)text[i];
        if (c >= 0xc0 && i + 1 < length)
            c = (c & 0x1f) << 6 | ((unsigned char)text[++i] & 0x3f);
        if (c >= 0x144 || code[back[c]] != c)
            return -1;
        bytes[count++] = (char)back[c];
    }
    return count;
}

static bool text_is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, wanted) == 0;
}

static bool empty_or_missing(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) || (json_is_string(value) && !json_string_length(value));
}

/* One step of the pre_tokenizer; *last: it was ByteLevel, which ends the sequence. */
static int read_split(struct tokenizer *t, const json_t *step, bool *last, struct error *err)
{
    if (*last)
        return error_set(err, ERROR_UNSUPPORTED, "the pre-tokenizer goes on after ByteLevel");
    if (text_is(step, "type", "ByteLevel")) {
        *last = true;
        if (json_is_true(json_object_get(step, "add_prefix_space")))
            return error_set(err, ERROR_UNSUPPORTED, "ByteLevel with add_prefix_space");
        return json_is_false(json_object_get(step, "use_regex"))
                   ? 0
                   : split_add(&t->split, tokenizer_split_gpt2, err);
    }
    if (text_is(step, "type", "Digits"))
        return split_add(
            &t->split,
            json_is_true(json_object_get(step, "individual_digits")) ? "\\p{N}" : "\\p{N}+", err);
    const char *regex =
        json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    if (text_is(step, "type", "Split") && regex && text_is(step, "behavior", "Isolated") &&
        !json_is_true(json_object_get(step, "invert")))
        return split_add(&t->split, regex, err);
    return error_set(err, ERROR_UNSUPPORTED,
                     "a pre-tokenizer that is not byte-level, or cuts in a way not known here");
}

static int read_pipeline(struct tokenizer *t, const json_t *root, struct error *err)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (text_is(normalizer, "type", "Prepend") && text_is(normalizer, "prepend", " "))
        t->prefix_space = true;
    else if (normalizer && !json_is_null(normalizer))
        return error_set(err, ERROR_UNSUPPORTED, "a normalizer that is not known here");
    const json_t *step = json_object_get(root, "pre_tokenizer"), *steps = NULL;
    if (text_is(step, "type", "Sequence"))
        steps = json_object_get(step, "pretokenizers");
    bool last = false;
    int rc = steps ? 0 : read_split(t, step, &last, err);
    for (size_t i = 0; i < json_array_size(steps) && !rc; i++)
        rc = read_split(t, json_array_get(steps, i), &last, err);
    if (!rc && !last)
        rc = error_set(err, ERROR_UNSUPPORTED, "a pre-tokenizer without ByteLevel");
    return rc;
}

static bool read_id(int32_t *id, const struct tokenizer *t, const json_t *value)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n >= t->capacity)
        return false;
    *id = (int32_t)n;
    return true;
}

static int read_added(struct tokenizer *t, const json_t *added, struct error *err)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const json_t *content = json_object_get(entry, "content");
        int32_t id;
        if (!read_id(&id, t, json_object_get(entry, "id")) || t->tokens[id].length ||
            json_string_length(content) == 0 || json_string_length(content) > MAX_TOKEN_BYTES)
            return error_set(err, ERROR_FORMAT,
                             "added token %zu needs an id of its own and a content", i);
        tokenizer_set(t, id, json_string_value(content), json_string_length(content), true);
    }
    return 0;
}

static int read_vocabulary(struct tokenizer *t, json_t *vocabulary, struct error *err)
{
    const char *text;
    json_t *value;
    json_object_foreach(vocabulary, text, value)
    {
        char bytes[MAX_TOKEN_BYTES];
        size_t length = strlen(text);
        int32_t id;
        if (!read_id(&id, t, value) || length == 0 || length > sizeof bytes)
            return error_set(err, ERROR_FORMAT,
                             "the vocabulary has an id outside 0-%d, or a token without text",
                             t->capacity - 1);
        const struct token *token = &t->tokens[id];
        if (token->special && token->length == length &&
            memcmp(t->bytes.data + token->start, text, length) == 0)
            continue; /* an added token, listed in both places */
        int64_t count = unspell(bytes, text, length);
        if (count < 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "token %d is not spelled in the byte-level alphabet", id);
        if (token->length)
            return error_set(err, ERROR_FORMAT, "id %d is given twice", id);
        tokenizer_set(t, id, bytes, (size_t)count, false);
    }
    return 0;
}

/* "a b" (or ["a", "b"]) -> the two parts and them joined, in text: "a\0b\0ab\0". */
static bool read_parts(struct strbuf *text, const char *part[3], const json_t *entry)
{
    const char *left = json_string_value(entry), *right = NULL;
    size_t length = 0;
    if (left) {
        length = strcspn(left, " ");
        right = left[length] ? left + length + 1 : NULL;
    } else if (json_array_size(entry) == 2) {
        left = json_string_value(json_array_get(entry, 0));
        right = json_string_value(json_array_get(entry, 1));
        length = left ? strlen(left) : 0;
    }
    if (!left || !right)
        return false;
    strbuf_clear(text);
    strbuf_add(text, left, length);
    strbuf_add(text, "", 1);
    strbuf_add(text, right, strlen(right) + 1);
    strbuf_add(text, left, length);
    strbuf_adds(text, right);
    part[0] = text->data;
    part[1] = part[0] + length + 1;
    part[2] = part[1] + strlen(right) + 1;
    return !text->failed;
}

static int read_merges(struct tokenizer *t, const json_t *merges, const json_t *vocabulary,
                       struct error *err)
{
    struct strbuf text;
    int rc = 0;
    strbuf_init(&text, 4 * MAX_TOKEN_BYTES);
    for (size_t i = 0; i < json_array_size(merges) && !rc; i++) {
        const char *part[3];
        int32_t id[3];
        bool good = read_parts(&text, part, json_array_get(merges, i));
        for (int k = 0; k < 3 && good; k++)
            good = read_id(&id[k], t, json_object_get(vocabulary, part[k])) &&
                   !t->tokens[id[k]].special;
        if (good)
            t->merges[t->merge_count++] = (struct merge){{id[0], id[1]}, id[2]};
        else
            rc = error_set(err, ERROR_FORMAT, "merge %zu is not two tokens that make a third", i);
    }
    strbuf_release(&text);
    return rc;
}

static int read_root(struct tokenizer **out, const json_t *root, struct error *err)
{
    const json_t *model = json_object_get(root, "model"), *added, *merges;
    json_t *vocabulary = json_object_get(model, "vocab");
    added = json_object_get(root, "added_tokens");
    merges = json_object_get(model, "merges");
    if (!text_is(model, "type", "BPE") || json_is_true(json_object_get(model, "byte_fallback")) ||
        !empty_or_missing(model, "continuing_subword_prefix") ||
        !empty_or_missing(model, "end_of_word_suffix"))
        return error_set(
            err, ERROR_UNSUPPORTED,
            "only byte-level BPE can be read (not a SentencePiece type, not WordPiece)");
    size_t ids = json_object_size(vocabulary) + json_array_size(added);
    if (!json_is_object(vocabulary) || !json_is_array(merges) || ids == 0 ||
        ids > TOKENIZER_MAX_IDS || json_array_size(merges) > 2 * TOKENIZER_MAX_IDS)
        return error_set(err, ERROR_FORMAT, "the model needs a vocab and merges, at most %d tokens",
                         TOKENIZER_MAX_IDS);
    int rc = tokenizer_new(out, (int)ids, (int)json_array_size(merges), err);
    struct tokenizer *t = *out;
    if (!rc)
        rc = read_pipeline(t, root, err);
    if (!rc)
        rc = read_added(t, added, err);
    if (!rc)
        rc = read_vocabulary(t, vocabulary, err);
    if (!rc)
        rc = read_merges(t, merges, vocabulary, err);
    if (rc)
        return rc;
    t->whole_pieces = json_is_true(json_object_get(model, "ignore_merges"));
    return tokenizer_finish(t, err);
}

int tokenizer_load(struct tokenizer **t, const char *path, struct error *err)
{
    char *text;
    size_t size;
    json_error_t at;
    *t = NULL;
    int rc = file_read(&text, &size, path, MAX_FILE_BYTES, err);
    if (rc)
        return rc;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    memory_free(text);
    if (!root)
        return error_set(err, ERROR_FORMAT, "%s:%d: %s", path, at.line, at.text);
    rc = read_root(t, root, err);
    json_decref(root);
    if (rc) {
        tokenizer_free(*t);
        *t = NULL;
        return error_prefix(err, "%s", path);
    }
    return 0;
}

static json_t *describe_added(const struct tokenizer *t)
{
    json_t *list = json_array();
    for (int32_t id = 0; id < t->count; id++) {
        const struct token *token = &t->tokens[id];
        if (token->special)
            json_array_append_new(list, json_pack("{s:i, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", id,
                                                  "content", t->bytes.data + token->start,
                                                  token->length, "single_word", 0, "lstrip", 0,
                                                  "rstrip", 0, "normalized", 0, "special", 1));
    }
    return list;
}

/* As a step of the pre-tokenizer and as decoder. */
static json_t *describe_byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 0);
}

static json_t *describe_splits(const struct tokenizer *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->split.count; i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                              "pattern", "Regex", t->split.expressions[i],
                                              "behavior", "Isolated", "invert", 0));
    json_array_append_new(list, describe_byte_level());
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

static json_t *describe_model(const struct tokenizer *t)
{
    json_t *vocabulary = json_object(), *merges = json_array();
    struct strbuf text;
    strbuf_init(&text, 4 * TOKENIZER_MAX_BYTES);
    for (int32_t id = 0; id < t->count; id++) {
        if (t->tokens[id].special)
            continue;
        strbuf_clear(&text);
        spell(&text, t->bytes.data + t->tokens[id].start, t->tokens[id].length);
        json_object_set_new(vocabulary, text.data, json_integer(id));
    }
    for (int rank = 0; rank < t->merge_count; rank++) {
        const struct token *left = &t->tokens[t->merges[rank].pair.left];
        const struct token *right = &t->tokens[t->merges[rank].pair.right];
        strbuf_clear(&text);
        spell(&text, t->bytes.data + left->start, left->length);
        strbuf_adds(&text, " ");
        spell(&text, t->bytes.data + right->start, right->length);
        json_array_append_new(merges, json_string(text.data));
    }
    bool whole = !text.failed && json_object_size(vocabulary) == (size_t)t->ordinary &&
                 json_array_size(merges) == (size_t)t->merge_count;
    strbuf_release(&text);
    if (!whole) { /* out of memory somewhere above */
        json_decref(vocabulary);
        json_decref(merges);
        return NULL;
    }
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0,
                     "byte_fallback", 0, "ignore_merges", t->whole_pieces, "vocab", vocabulary,
                     "merges", merges);
}

int tokenizer_save(const struct tokenizer *t, const char *path, struct error *err)
{
    json_t *normalizer = json_null();
    json_t *decoder = describe_byte_level();
    if (t->prefix_space) {
        normalizer = json_pack("{s:s, s:s}", "type", "Prepend", "prepend", " ");
        decoder = json_pack("{s:s, s:[o, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders",
                            decoder, "type", "Strip", "content", " ", "start", 1, "stop", 0);
    }
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0",
                             "truncation", "padding", "added_tokens", describe_added(t),
                             "normalizer", normalizer, "pre_tokenizer", describe_splits(t),
                             "post_processor", "decoder", decoder, "model", describe_model(t));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    int rc = file_write(path, text, strlen(text), err);
    free(text);
    return rc;
}
