/*
 * Our ids of 10,000 strings (tokenizer_strings.h) are those of the published libraries, for every
 * pipeline of text/tokenizer.h: hashes by make_tokenizers.py in text_tokenizers.json, where each
 * tokenizer is a file and what is changed in it. Each is saved and loaded again too. Real ones:
 * Llama 2's from ../shared/data, Whisper's from the folder $MOME_MODELS, left out where missing.
 * With an argument: the saved files stay in that folder, for make_tokenizers.py check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "golden/tokenizer_hashes.h"
#include "text/tokenizer_gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder;
static json_t *entries;

/* The entry's file with its change, as JSON; NULL: it is not there. */
static json_t *read_entry(const json_t *entry)
{
    const char *file = json_string_value(json_object_get(entry, "file"));
    char path[4096];
    json_error_t at;
    if (strncmp(file, "MODELS/", 7) == 0) {
        const char *models = getenv("MOME_MODELS");
        if (!models)
            return NULL;
        snprintf(path, sizeof path, "%s/%s", models, file + 7);
    } else {
        snprintf(path, sizeof path, "%s", file);
    }
    if (access(path, R_OK) != 0)
        return NULL;
    json_t *root = json_load_file(path, 0, &at);
    if (!root)
        fail_msg("%s: %s", path, at.text);
    assert_int_equal(json_object_update_recursive(root, json_object_get(entry, "change")), 0);
    return root;
}

static struct tokenizer *load(const char *path)
{
    struct error err = {0};
    struct tokenizer *t = NULL;
    if (tokenizer_load(&t, path, &err))
        fail_msg("%s", err.message);
    return t;
}

/* state: the index of the entry. */
static void test_entry(void **state)
{
    const json_t *entry = json_array_get(entries, *(size_t *)*state);
    const char *name = json_string_value(json_object_get(entry, "name"));
    char path[4096];
    struct error err = {0};
    json_t *root = read_entry(entry);
    if (!root)
        skip();
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    struct tokenizer *t = load(path);
    check_strings(t, entry, STRING_COUNT);
    assert_int_equal(tokenizer_save(t, path, &err), 0);
    tokenizer_free(t);
    t = load(path); /* as we wrote it */
    check_strings(t, entry, STRING_COUNT / 10);
    tokenizer_free(t);
}

/* ---- bytes that are not UTF-8 -------------------------------------------------------------- */

static void test_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/golden/tokenizers/llama3.json",
                                        "tests/golden/tokenizers/sentencepiece.json"};
    for (int f = 0; f < 2; f++) {
        struct tokenizer *t = load(files[f]);
        struct maker m = {.state = 3};
        struct strbuf seen, decoded;
        struct error err;
        strbuf_init(&m.text, 1 << 24);
        strbuf_init(&seen, 1 << 24);
        strbuf_init(&decoded, 1 << 24);
        for (int i = 0; i < STRING_COUNT / 10; i++) {
            next_string(&m, &seen);
            if (f && memmem(m.text.data, m.text.length, "\xe2\x96\x81", 3))
                continue; /* decodes to a space, as published */
            int32_t *ids = memory_new(tokenizer_room(t, m.text.length), sizeof *ids);
            int64_t n = tokenizer_encode(t, ids, m.text.data, m.text.length, &err);
            assert_true(n >= 0);
            strbuf_clear(&decoded);
            tokenizer_decode_bytes(t, &decoded, ids, n);
            memory_free(ids);
            assert_int_equal(decoded.length, m.text.length);
            assert_memory_equal(decoded.data, m.text.data, decoded.length);
        }
        strbuf_release(&decoded);
        strbuf_release(&seen);
        strbuf_release(&m.text);
        tokenizer_free(t);
    }
}

/* A million bytes, of which each piece of SentencePiece type is one, must not take a quadratic time
   (that would be an hour): words, and nothing but one character. */
static void test_long(void **state)
{
    (void)state;
    struct tokenizer *t = load("tests/golden/tokenizers/sentencepiece.json");
    const size_t length = 1000000;
    char *text = memory_new(length, 1);
    int32_t *ids = memory_new(tokenizer_room(t, length), sizeof *ids);
    struct error err;
    for (int words = 0; words < 2; words++) {
        for (size_t i = 0; i < length; i++)
            text[i] = words ? "the speech of the text "[i % 23] : 'a';
        int64_t n = tokenizer_encode(t, ids, text, length, &err);
        assert_true(n > 1000 && n <= (int64_t)length + 1);
    }
    tokenizer_free(t);
    t = load("tests/golden/tokenizers/qwen2.json"); /* nor a character with 200,000 marks */
    int32_t *more = memory_new(tokenizer_room(t, 400000), sizeof *more);
    for (size_t i = 0; i < 400000; i++)
        text[i] = "\xcc\x81\xcc\x96"[i % 4];
    assert_true(tokenizer_encode(t, more, text, 400000, &err) > 1000);
    memory_free(more);
    memory_free(ids);
    memory_free(text);
    tokenizer_free(t);
}

/* ---- the same tokenizers as a GGUF says them ----------------------------------------------- */

struct said {
    const char **tokens, **merges;
    double *types;
    int64_t ordinary; /* ids below: SentencePiece's score is 259 - id */
};

static const char *said_token(const void *arg, int64_t i, size_t *length)
{
    const char *token = ((const struct said *)arg)->tokens[i];
    *length = token ? strlen(token) : 0;
    return token;
}

static const char *said_merge(const void *arg, int64_t i, size_t *length)
{
    const char *merge = ((const struct said *)arg)->merges[i];
    *length = strlen(merge);
    return merge;
}

static double said_score(const void *arg, int64_t i)
{
    (void)arg;
    return i < 259 ? 0 : 259 - (double)i;
}

static double said_type(const void *arg, int64_t i)
{
    return ((const struct said *)arg)->types[i];
}

/* Fills the lists from a tokenizer.json. */
static void say(struct said *s, struct tokenizer_source *source, json_t *root)
{
    json_t *model = json_object_get(root, "model"), *value;
    json_t *vocabulary = json_object_get(model, "vocab"), *added, *merges;
    added = json_object_get(root, "added_tokens");
    merges = json_object_get(model, "merges");
    const char *token;
    size_t i, room = json_object_size(vocabulary) + json_array_size(added);
    s->tokens = memory_new(room, sizeof *s->tokens);
    s->types = memory_new(room, sizeof *s->types);
    s->merges = memory_new(json_array_size(merges), sizeof *s->merges);
    json_object_foreach(vocabulary, token, value)
    {
        int64_t id = json_integer_value(value);
        s->tokens[id] = token;
        s->types[id] = strlen(token) == 6 && memcmp(token, "<0x", 3) == 0 ? 6 : 1;
        source->tokens = id >= source->tokens ? id + 1 : source->tokens;
    }
    json_array_foreach(added, i, value)
    {
        int64_t id = json_integer_value(json_object_get(value, "id"));
        s->tokens[id] = json_string_value(json_object_get(value, "content"));
        s->types[id] = strcmp(s->tokens[id], "<unk>") == 0 ? 2 : 3;
        source->tokens = id >= source->tokens ? id + 1 : source->tokens;
    }
    json_array_foreach(merges, i, value) s->merges[i] = json_string_value(value);
    source->merges = (int64_t)json_array_size(merges);
    source->arg = s;
    source->token = said_token;
    source->merge = said_merge;
    source->score = said_score;
    source->type = said_type;
    source->has_types = true;
}

/* name: of the entry whose plain ids it must give. */
static void check_said(const char *file, const char *name, struct tokenizer_source source)
{
    struct said s = {0};
    struct tokenizer *t = NULL;
    struct error err = {0};
    json_error_t at;
    size_t i;
    json_t *root = json_load_file(file, 0, &at), *entry, *plain = NULL;
    assert_non_null(root);
    say(&s, &source, root);
    if (source.has_scores)
        source.merges = 0;
    if (tokenizer_from_gguf(&t, &source, &err))
        fail_msg("%s", err.message);
    json_array_foreach(
        entries, i, entry) if (strcmp(name, json_string_value(json_object_get(entry, "name"))) == 0)
        plain = json_pack("{s:s, s:O}", "name", name, "plain", json_object_get(entry, "plain"));
    assert_non_null(plain);
    check_strings(t, plain, STRING_COUNT);
    tokenizer_free(t);
    json_decref(plain);
    json_decref(root);
    memory_free(s.tokens);
    memory_free(s.types);
    memory_free(s.merges);
}

static void test_gguf(void **state)
{
    (void)state;
#define FILE_OF(name) "tests/golden/tokenizers/" name ".json"
    check_said(FILE_OF("llama3"), "llama3",
               (struct tokenizer_source){.model = "gpt2", .pre = "llama-bpe"});
    check_said(FILE_OF("llama3"), "smollm pipeline",
               (struct tokenizer_source){.model = "gpt2", .pre = "smollm"});
    check_said(FILE_OF("qwen2"), "qwen2",
               (struct tokenizer_source){.model = "gpt2", .pre = "qwen2"});
    check_said(FILE_OF("sentencepiece"), "sentencepiece",
               (struct tokenizer_source){.model = "llama", .add_space_prefix = true});
    check_said(
        FILE_OF("sentencepiece"), "sentencepiece",
        (struct tokenizer_source){.model = "llama", .add_space_prefix = true, .has_scores = true});
    check_said(FILE_OF("sentencepiece"), "no prefix",
               (struct tokenizer_source){.model = "llama", .has_scores = true});
}

static const char *bad_token(const void *arg, int64_t i, size_t *length)
{
    static const char *const tokens[] = {"\xe2\x96\x81", "a", "b", "ab"};
    *length = arg && i == 1 ? 1 : strlen(tokens[i]);
    return arg && i == 1 ? arg : tokens[i];
}

static double bad_score(const void *arg, int64_t i)
{
    return arg && i == 3 ? NAN : -(double)i;
}

static void test_bad_gguf(void **state)
{
    (void)state;
    const struct tokenizer_source good = {
        .model = "llama", .tokens = 4, .has_scores = true, .token = bad_token, .score = bad_score};
    struct {
        const char *named;
        struct tokenizer_source source;
    } cases[9];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cases[i].source = good;
    cases[0].named = NULL;
    cases[1].named = "bert", cases[1].source.model = "bert";
    cases[2].named = "", cases[2].source.model = NULL;
    cases[3].named = "at most", cases[3].source.tokens = 0;
    cases[4].named = "at most", cases[4].source.tokens = (int64_t)1 << 40;
    cases[5].named = "neither merges nor scores", cases[5].source.has_scores = false;
    cases[6].named = "token 1", cases[6].source.arg = "\xff";
    cases[7].named = "score", cases[7].source.arg = "a";
    cases[8].named = "strange", cases[8].source.model = "gpt2", cases[8].source.pre = "strange";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct tokenizer *t = NULL;
        int rc = tokenizer_from_gguf(&t, &cases[i].source, &err);
        assert_int_equal(rc == 0, cases[i].named == NULL);
        if (rc && !strstr(err.message, cases[i].named))
            fail_msg("%zu: %s", i, err.message);
        assert_true(rc == 0 || !t);
        tokenizer_free(t);
    }
}

int main(int argc, char **argv)
{
    char temporary[] = "/tmp/mome-golden-XXXXXX", path[4096];
    struct CMUnitTest tests[32] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_long),
                                   cmocka_unit_test(test_gguf), cmocka_unit_test(test_bad_gguf)};
    static size_t index[28];
    size_t count = 4;
    json_error_t at;
    folder = argc > 1 ? argv[1] : mkdtemp(temporary);
    entries = json_load_file("tests/golden/text_tokenizers.json", 0, &at);
    for (size_t i = 0; i < json_array_size(entries) && i < 28; i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *file = json_string_value(json_object_get(entry, "file"));
        index[i] = i;
        if (strstr(file, ".json")) /* a GGUF: models_tokenizers.c */
            tests[count++] =
                (struct CMUnitTest){.name = json_string_value(json_object_get(entry, "name")),
                                    .test_func = test_entry,
                                    .initial_state = &index[i]};
    }
    int failed = count < 16 ? 1 : _cmocka_run_group_tests("tokenizers", tests, count, NULL, NULL);
    for (size_t i = 4; i < count && argc < 2; i++) {
        snprintf(path, sizeof path, "%s/%s.json", folder, tests[i].name);
        unlink(path);
    }
    if (argc < 2)
        rmdir(temporary);
    json_decref(entries);
    return failed;
}
