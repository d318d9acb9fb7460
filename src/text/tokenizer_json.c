/*
 * Reads tokenizer.json, the file of Hugging Face's `tokenizers`, as far as the two types of BPE go:
 *
 *     added_tokens   [{"id": 352, "content": "<pad>", ...}, ...]
 *     normalizer     null, NFC, Prepend, Replace " " by "▁", or a Sequence of these
 *     pre_tokenizer  ByteLevel, or Sequence of Split, Digits, ByteLevel: split expressions;
 *                    SentencePiece type: null or Metaspace
 *     model          {"type": "BPE", "vocab": {"Ġblue": 300, ...}, "merges": ["Ġb lue", ...]}
 *
 * Post-processor and decoder are not read: the caller places special tokens, and how to decode
 * follows from the rest.
 */
#include "base/file.h"
#include "text/bpe.h"

#include <jansson.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)

static bool text_is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, wanted) == 0;
}

static bool flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static bool empty_or_missing(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) || (json_is_string(value) && !json_string_length(value));
}

/* ---- normalizer and pre-tokenizer ---------------------------------------------------------- */

static int read_normalizer(struct tokenizer *t, const json_t *step, struct error *err)
{
    const json_t *pattern = json_object_get(step, "pattern");
    if (text_is(step, "type", "NFC") && !t->nfc)
        t->nfc = true;
    else if (text_is(step, "type", "Prepend") && t->prefix == PREFIX_NONE &&
             text_is(step, "prepend", t->marks ? TOKENIZER_MARK : " "))
        t->prefix = PREFIX_EVERY;
    else if (!text_is(step, "type", "Replace") || !t->marks || !text_is(pattern, "String", " ") ||
             !text_is(step, "content", TOKENIZER_MARK))
        return error_set(err, ERROR_UNSUPPORTED, "a normalizer that is not known here");
    return 0;
}

/* {"type": "ByteLevel"} with add_prefix_space, {"type": "Metaspace"}. */
static int read_prefix(struct tokenizer *t, enum prefix prefix, struct error *err)
{
    if (prefix == PREFIX_NONE)
        return 0;
    if (t->prefix != PREFIX_NONE || t->split.count)
        return error_set(err, ERROR_UNSUPPORTED, "a prefix space in two places, or after a split");
    t->prefix = prefix;
    return 0;
}

static int read_metaspace(struct tokenizer *t, const json_t *step, struct error *err)
{
    const json_t *scheme = json_object_get(step, "prepend_scheme");
    enum prefix prefix = PREFIX_MISSING;
    if (text_is(step, "prepend_scheme", "first"))
        prefix = PREFIX_FIRST;
    else if (text_is(step, "prepend_scheme", "never") ||
             (!scheme && json_is_false(json_object_get(step, "add_prefix_space"))))
        prefix = PREFIX_NONE;
    else if (scheme && !text_is(step, "prepend_scheme", "always"))
        return error_set(err, ERROR_UNSUPPORTED, "a prepend_scheme of Metaspace not known here");
    if (!text_is(step, "replacement", TOKENIZER_MARK))
        return error_set(err, ERROR_UNSUPPORTED, "a Metaspace with another mark than U+2581");
    t->metaspace = true;
    int rc = read_prefix(t, prefix, err);
    return rc || json_is_false(json_object_get(step, "split"))
               ? rc
               : split_add(&t->split, tokenizer_split_marks, err);
}

/* One step of the pre_tokenizer; *last: it was ByteLevel or Metaspace, which end the sequence. */
static int read_split(struct tokenizer *t, const json_t *step, bool *last, struct error *err)
{
    if (*last)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the pre-tokenizer goes on after ByteLevel or Metaspace");
    *last = true;
    if (t->marks && text_is(step, "type", "Metaspace"))
        return read_metaspace(t, step, err);
    if (!t->marks && text_is(step, "type", "ByteLevel")) {
        int rc = read_prefix(t, flag(step, "add_prefix_space") ? PREFIX_MISSING : PREFIX_NONE, err);
        return rc || json_is_false(json_object_get(step, "use_regex"))
                   ? rc
                   : split_add(&t->split, tokenizer_split_gpt2, err);
    }
    *last = false;
    if (!t->marks && text_is(step, "type", "Digits"))
        return split_add(&t->split, flag(step, "individual_digits") ? "\\p{N}" : "\\p{N}+", err);
    const char *regex =
        json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    if (!t->marks && text_is(step, "type", "Split") && regex &&
        text_is(step, "behavior", "Isolated") && !flag(step, "invert"))
        return split_add(&t->split, regex, err);
    return error_set(err, ERROR_UNSUPPORTED, "a pre-tokenizer that cuts in a way not known here");
}

/* The steps of a Sequence, or the one that it is itself; *count 0: null. */
static const json_t *step_at(const json_t *part, const char *list, size_t i, size_t *count)
{
    const json_t *steps = text_is(part, "type", "Sequence") ? json_object_get(part, list) : NULL;
    *count = steps ? json_array_size(steps) : !json_is_null(part) && part ? 1 : 0;
    return steps ? json_array_get(steps, i) : part;
}

/* SentencePiece type: byte fallback, or marks put in somewhere. */
static bool has_marks(const json_t *root)
{
    const json_t *normalizer = json_object_get(root, "normalizer"), *step;
    bool marks = flag(json_object_get(root, "model"), "byte_fallback") ||
                 text_is(json_object_get(root, "pre_tokenizer"), "type", "Metaspace");
    size_t count;
    step_at(normalizer, "normalizers", 0, &count);
    for (size_t i = 0; i < count; i++) {
        step = step_at(normalizer, "normalizers", i, &count);
        marks |= text_is(step, "type", "Replace");
    }
    return marks;
}

static int read_pipeline(struct tokenizer *t, const json_t *root, struct error *err)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *splits = json_object_get(root, "pre_tokenizer");
    bool last = false, replaces = false;
    size_t count;
    int rc = 0;
    t->marks = has_marks(root);
    step_at(normalizer, "normalizers", 0, &count);
    for (size_t i = 0; i < count && !rc; i++) {
        const json_t *step = step_at(normalizer, "normalizers", i, &count);
        replaces |= text_is(step, "type", "Replace");
        rc = read_normalizer(t, step, err);
    }
    step_at(splits, "pretokenizers", 0, &count);
    for (size_t i = 0; i < count && !rc; i++)
        rc = read_split(t, step_at(splits, "pretokenizers", i, &count), &last, err);
    if (rc)
        return rc;
    if (!t->marks && !last)
        return error_set(err, ERROR_UNSUPPORTED, "a pre-tokenizer without ByteLevel");
    if (t->marks && (replaces == t->metaspace || t->nfc))
        return error_set(err, ERROR_UNSUPPORTED,
                         "byte fallback without Metaspace or Replace by U+2581, with both, or "
                         "with NFC");
    return 0;
}

/* ---- tokens -------------------------------------------------------------------------------- */

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
    int rc = 0;
    for (size_t i = 0; i < json_array_size(added) && !rc; i++) {
        const json_t *entry = json_array_get(added, i);
        const json_t *content = json_object_get(entry, "content");
        int32_t id;
        if (!read_id(&id, t, json_object_get(entry, "id")) || json_string_length(content) == 0)
            return error_set(err, ERROR_FORMAT,
                             "added token %zu needs an id of its own and a content", i);
        rc = tokenizer_set(t, id, json_string_value(content), json_string_length(content), true,
                           err);
        if (rc)
            return rc;
        struct token *token = &t->tokens[id];
        token->plain = json_is_false(json_object_get(entry, "special"));
        token->normalized = flag(entry, "normalized");
        token->flags = (flag(entry, "single_word") ? ADDED_SINGLE_WORD : 0) |
                       (flag(entry, "lstrip") ? ADDED_LSTRIP : 0) |
                       (flag(entry, "rstrip") ? ADDED_RSTRIP : 0);
    }
    return rc;
}

static int read_vocabulary(struct tokenizer *t, json_t *vocabulary, struct error *err)
{
    const char *text;
    json_t *value;
    int rc = 0;
    json_object_foreach(vocabulary, text, value)
    {
        size_t length = strlen(text);
        int32_t id;
        if (!read_id(&id, t, value))
            return error_set(err, ERROR_FORMAT, "the vocabulary has an id outside 0-%d",
                             t->capacity - 1);
        if (strings_get(&t->names, text, length) == id)
            continue; /* an added token, listed in both places */
        rc = tokenizer_set_spelled(t, id, text, length, err);
        if (rc)
            return rc;
    }
    return rc;
}

static int read_merge(struct tokenizer *t, const json_t *entry, struct error *err)
{
    const json_t *left = json_array_get(entry, 0), *right = json_array_get(entry, 1);
    if (json_is_string(entry))
        return tokenizer_set_merge_line(t, json_string_value(entry), json_string_length(entry),
                                        err);
    if (json_array_size(entry) != 2 || !json_is_string(left) || !json_is_string(right))
        return error_set(err, ERROR_FORMAT, "merge %d is not two tokens", t->merge_count);
    return tokenizer_set_merge(t, json_string_value(left), json_string_length(left),
                               json_string_value(right), json_string_length(right), err);
}

static int read_unknown(struct tokenizer *t, const json_t *model, struct error *err)
{
    const json_t *name = json_object_get(model, "unk_token");
    if (empty_or_missing(model, "unk_token"))
        return 0;
    const char *text = json_string_value(name);
    size_t length = json_string_length(name);
    t->unknown = text ? strings_get(&t->names, text, length) : -1;
    if (text && t->unknown < 0)
        t->unknown = strings_get(&t->ordinary, text, length);
    return t->unknown < 0 ? error_set(err, ERROR_FORMAT, "unk_token is not one of the tokens") : 0;
}

static int read_model(struct tokenizer *t, const json_t *root, struct error *err)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *merges = json_object_get(model, "merges");
    t->fallback = flag(model, "byte_fallback");
    t->whole_pieces = flag(model, "ignore_merges");
    t->fuse_unknown = flag(model, "fuse_unk");
    int rc = read_added(t, json_object_get(root, "added_tokens"), err);
    if (!rc)
        rc = read_vocabulary(t, json_object_get(model, "vocab"), err);
    for (size_t i = 0; i < json_array_size(merges) && !rc; i++)
        rc = read_merge(t, json_array_get(merges, i), err);
    return rc ? rc : read_unknown(t, model, err);
}

static int read_root(struct tokenizer **out, const json_t *root, struct error *err)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *vocabulary = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    if (!text_is(model, "type", "BPE") || !empty_or_missing(model, "continuing_subword_prefix") ||
        !empty_or_missing(model, "end_of_word_suffix"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "a tokenizer that is not BPE (WordPiece, Unigram), or BPE with marks "
                         "inside words");
    size_t ids =
        json_object_size(vocabulary) + json_array_size(json_object_get(root, "added_tokens"));
    if (!json_is_object(vocabulary) || !json_is_array(merges) || ids == 0 ||
        ids > TOKENIZER_MAX_IDS || json_array_size(merges) > 2 * TOKENIZER_MAX_IDS)
        return error_set(err, ERROR_FORMAT, "the model needs a vocab and merges, at most %d tokens",
                         TOKENIZER_MAX_IDS);
    int rc = tokenizer_new(out, (int)ids, (int)json_array_size(merges), err);
    if (!rc)
        rc = read_pipeline(*out, root, err);
    if (!rc)
        rc = read_model(*out, root, err);
    return rc ? rc : tokenizer_finish(*out, err);
}

/* ---- the file ------------------------------------------------------------------------------ */

static bool begins(const struct file_map *map, const char *magic, size_t length)
{
    return map->size >= length && memcmp(map->data, magic, length) == 0;
}

/* What a file is that is not JSON; NULL: it may be. */
static const char *other_file(const struct file_map *map)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *name;
    } kinds[] = {
        {"GGUF", 4, "a GGUF file; its tokenizer is read with the model in it"},
        {"PK\3\4", 4, "a zip file, as PyTorch writes its weights"},
        {"lmgg", 4, "a ggml file, weights of whisper.cpp"},
        {"version https://git-lfs", 23, "a Git LFS pointer, not the file itself"},
        {"<!", 2, "an HTML page"},
        {"<h", 2, "an HTML page"},
        {"\n\016\n\005<unk>", 9, "SentencePiece's tokenizer.model; take the tokenizer.json"},
        {"#version:", 9, "a list of merges (merges.txt); take the tokenizer.json"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins(map, kinds[i].magic, kinds[i].length))
            return kinds[i].name;
    if (map->size > 9 && map->data[8] == '{' && map->data[5] == 0 && map->data[6] == 0 &&
        map->data[7] == 0)
        return "a safetensors file, weights";
    return map->size ? NULL : "an empty file";
}

/* What JSON is that is no tokenizer; NULL: it may be one. */
static const char *other_json(const json_t *root)
{
    static const struct {
        const char *key, *name;
    } kinds[] = {
        {"model_type", "a model's config.json"},
        {"architectures", "a model's config.json"},
        {"tokenizer_class", "a tokenizer_config.json; take the tokenizer.json beside it"},
        {"added_tokens_decoder", "a tokenizer_config.json; take the tokenizer.json beside it"},
        {"transformers_version", "a generation_config.json"},
        {"weight_map", "the index of a model in several files"},
        {"bos_token", "a special_tokens_map.json; take the tokenizer.json beside it"},
        {"eos_token", "a special_tokens_map.json; take the tokenizer.json beside it"},
        {"feature_extractor_type", "a preprocessor_config.json"},
    };
    if (json_is_object(json_object_get(root, "model")))
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (json_object_get(root, kinds[i].key))
            return kinds[i].name;
    void *first = json_object_iter((json_t *)root);
    if (first && json_object_size(root) >= 100 && json_is_integer(json_object_iter_value(first)))
        return "a vocabulary alone (vocab.json); take the tokenizer.json";
    return "JSON of another kind: it has no \"model\"";
}

static int read_file(struct tokenizer **t, const struct file_map *map, struct error *err)
{
    json_error_t at;
    const char *other = other_file(map);
    if (!other && map->size > MAX_FILE_BYTES)
        return error_set(err, ERROR_LIMIT, "%zu bytes, a tokenizer has at most %zu", map->size,
                         MAX_FILE_BYTES);
    json_t *root =
        other ? NULL : json_loadb((const char *)map->data, map->size, JSON_REJECT_DUPLICATES, &at);
    if (!root && !other)
        return error_set(err, ERROR_FORMAT, "line %d: %s", at.line, at.text);
    if (root)
        other = other_json(root);
    int rc = other ? error_set(err, ERROR_FORMAT, "this is %s, not a tokenizer.json", other)
                   : read_root(t, root, err);
    json_decref(root);
    return rc;
}

int tokenizer_load(struct tokenizer **t, const char *path, struct error *err)
{
    struct file_map map;
    *t = NULL;
    int rc = file_map_open(&map, path, err);
    if (rc)
        return rc;
    rc = read_file(t, &map, err);
    file_map_close(&map);
    if (rc) {
        tokenizer_free(*t);
        *t = NULL;
        return error_prefix(err, "%s", path);
    }
    return 0;
}
