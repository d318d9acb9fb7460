/* Writes tokenizer.json (tokenizer_json.c), so that `tokenizers` and tokenizer_load encode with it
   as we do. */
#include "base/file.h"
#include "text/alphabet.h"
#include "text/bpe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *describe_added(const struct tokenizer *t)
{
    json_t *list = json_array();
    for (int32_t id = 0; id < t->count; id++) {
        const struct token *token = &t->tokens[id];
        if (token->added)
            json_array_append_new(
                list, json_pack("{s:i, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                t->bytes.data + token->start, token->length, "single_word",
                                token->flags & ADDED_SINGLE_WORD, "lstrip",
                                token->flags & ADDED_LSTRIP, "rstrip", token->flags & ADDED_RSTRIP,
                                "normalized", token->normalized, "special", !token->plain));
    }
    return list;
}

/* NULL in place of nothing, one step as it is, several as a Sequence; takes the list. */
static json_t *sequence(json_t *steps, const char *name)
{
    json_t *all = json_array_size(steps) == 0 ? json_null()
                  : json_array_size(steps) == 1
                      ? json_incref(json_array_get(steps, 0))
                      : json_pack("{s:s, s:O}", "type", "Sequence", name, steps);
    json_decref(steps);
    return all;
}

static json_t *describe_normalizer(const struct tokenizer *t)
{
    json_t *steps = json_array();
    if (t->nfc)
        json_array_append_new(steps, json_pack("{s:s}", "type", "NFC"));
    if (t->prefix == PREFIX_EVERY)
        json_array_append_new(steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend",
                                               t->marks ? TOKENIZER_MARK : " "));
    if (t->marks && !t->metaspace)
        json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
                                               "String", " ", "content", TOKENIZER_MARK));
    return sequence(steps, "normalizers");
}

/* As a step of the pre-tokenizer and as decoder. */
static json_t *describe_byte_level(bool prefix)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
                     "trim_offsets", 1, "use_regex", 0);
}

/* ByteLevel puts its prefix space before it is split, so it comes first then. */
static json_t *describe_splits(const struct tokenizer *t)
{
    static const char *const scheme[] = {[PREFIX_NONE] = "never",
                                         [PREFIX_EVERY] = "never",
                                         [PREFIX_MISSING] = "always",
                                         [PREFIX_FIRST] = "first"};
    if (t->marks && !t->metaspace)
        return json_null();
    if (t->marks)
        return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", TOKENIZER_MARK,
                         "prepend_scheme", scheme[t->prefix], "split", t->split.count > 0);
    if (t->prefix ==
        PREFIX_MISSING) /* read from ByteLevel alone: with its own expression or none */
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                         "trim_offsets", 1, "use_regex", t->split.count > 0);
    json_t *list = json_array();
    for (int i = 0; i < t->split.count; i++)
        json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split",
                                              "pattern", "Regex", t->split.expressions[i],
                                              "behavior", "Isolated", "invert", 0));
    json_array_append_new(list, describe_byte_level(false));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

static json_t *describe_decoder(const struct tokenizer *t)
{
    json_t *steps = json_array();
    if (t->marks)
        json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
                                               "String", TOKENIZER_MARK, "content", " "));
    if (t->fallback)
        json_array_append_new(steps, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(steps, t->marks ? json_pack("{s:s}", "type", "Fuse")
                                          : describe_byte_level(false));
    if (t->prefix != PREFIX_NONE)
        json_array_append_new(steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                               " ", "start", 1, "stop", 0));
    return sequence(steps, "decoders");
}

/* Appends a token as the file spells it. */
static void spell(const struct tokenizer *t, struct strbuf *out, int32_t id)
{
    const struct token *token = &t->tokens[id];
    const char *bytes = t->bytes.data + token->start;
    if (t->marks || token->added)
        strbuf_add(out, bytes, token->length);
    else
        alphabet_spell(out, bytes, token->length);
}

/* `tokenizers` keeps to the ids of the added tokens only if they come after the vocabulary's; the
   others, and the unknown token, it wants in the vocabulary too. */
static json_t *describe_vocabulary(const struct tokenizer *t)
{
    json_t *vocabulary = json_object();
    struct strbuf text;
    int32_t last = t->count - 1;
    size_t count = 0;
    strbuf_init(&text, 4 * TOKENIZER_MAX_BYTES);
    while (last > 0 && t->tokens[last].added)
        last--;
    for (int32_t id = 0; id < t->count; id++) {
        if (id > last && id != t->unknown)
            continue;
        strbuf_clear(&text);
        spell(t, &text, id);
        json_object_set_new(vocabulary, text.data, json_integer(id));
        count++;
    }
    bool whole = !text.failed && json_object_size(vocabulary) == count;
    strbuf_release(&text);
    if (!whole) { /* out of memory somewhere above */
        json_decref(vocabulary);
        return NULL;
    }
    return vocabulary;
}

/* "a b", or where a token may have a space in it ["a", "b"]. */
static json_t *describe_merges(const struct tokenizer *t)
{
    json_t *merges = json_array();
    struct strbuf text;
    strbuf_init(&text, 8 * TOKENIZER_MAX_BYTES);
    for (int rank = 0; rank < t->merge_count; rank++) {
        strbuf_clear(&text);
        spell(t, &text, t->merges[rank].pair.left);
        size_t left = text.length;
        strbuf_adds(&text, " ");
        spell(t, &text, t->merges[rank].pair.right);
        json_array_append_new(merges,
                              t->marks ? json_pack("[s%, s]", text.data, left, text.data + left + 1)
                                       : json_string(text.data));
    }
    bool whole = !text.failed && json_array_size(merges) == (size_t)t->merge_count;
    strbuf_release(&text);
    if (!whole) {
        json_decref(merges);
        return NULL;
    }
    return merges;
}

static json_t *describe_model(const struct tokenizer *t)
{
    struct strbuf name;
    strbuf_init(&name, TOKENIZER_MAX_BYTES);
    if (t->unknown >= 0)
        spell(t, &name, t->unknown);
    json_t *unknown = t->unknown >= 0 ? json_string(name.data) : json_null();
    strbuf_release(&name);
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", unknown, "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", t->fuse_unknown, "byte_fallback", t->fallback, "ignore_merges",
                     t->whole_pieces, "vocab", describe_vocabulary(t), "merges",
                     describe_merges(t));
}

int tokenizer_save(const struct tokenizer *t, const char *path, struct error *err)
{
    json_t *root =
        json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation",
                  "padding", "added_tokens", describe_added(t), "normalizer",
                  describe_normalizer(t), "pre_tokenizer", describe_splits(t), "post_processor",
                  "decoder", describe_decoder(t), "model", describe_model(t));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    int rc = file_write(path, text, strlen(text), err);
    free(text);
    return rc;
}
