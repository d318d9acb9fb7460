/* Byte-level BPE: what goes in comes out, files are read back the same, special tokens stay apart,
   training is what a count by hand says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/normalize.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/mome-tokenizer-XXXXXX";
static char path[64], other[64];

static const char *const corpus =
    "bin blue at f two now\nbin blue by m seven again\nlay green in t nine soon\n"
    "set white with z zero please\nplace red at a one now\nbin blue at f two now\n";

static const char *const strings[] = {
    "bin blue at f two now",
    "",
    " ",
    "  two  spaces ",
    "It's a test; they'LL see 12345 things?!",
    "line\r\nline\n\n\tend  ",
    "Z\xc3\xbcrich gro\xc3\x9f \xc3\xa9t\xc3\xa9",
    "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xd0\xbc\xd0\xb8\xd1\x80",
    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85",
    "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 \xf0\x9f\x8f\xb3\xef\xb8\x8f",
    "<audio></audio><pad> <|end_of_text|>",
    "\xff\xfe bad \xc3 bytes \xed\xa0\x80 \xf0\x9f",
    "\xc0\x80\x80\x80",
};
#define STRING_COUNT (sizeof strings / sizeof *strings)

static struct tokenizer *train(const char *text, const struct tokenizer_options *options)
{
    struct error err;
    struct tokenizer *t = NULL;
    if (file_write(path, text, strlen(text), &err) || tokenizer_train(&t, path, options, &err))
        fail_msg("%s", err.message);
    return t;
}

/* Encodes into *ids (freed by memory_free), returns the number. */
static int64_t encode(const struct tokenizer *t, int32_t **ids, const char *text, size_t length)
{
    struct error err;
    *ids = memory_new(tokenizer_room(t, length), sizeof **ids);
    int64_t count = tokenizer_encode(t, *ids, text, length, &err);
    assert_true(count >= 0 && count <= (int64_t)length + 1);
    return count;
}

static void check_round_trip(const struct tokenizer *t, const char *text, size_t length)
{
    int32_t *ids;
    struct strbuf bytes, shown;
    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&shown, 1 << 20);
    int64_t count = encode(t, &ids, text, length);
    tokenizer_decode_bytes(t, &bytes, ids, count);
    assert_int_equal(bytes.length, length);
    assert_memory_equal(bytes.data, text, length);
    tokenizer_decode(t, &shown, ids, count);
    assert_int_equal(normalize_valid(shown.data, shown.length), shown.length);
    if (normalize_valid(text, length) == length)
        assert_string_equal(shown.data, bytes.data);
    for (int64_t i = 0; i < count; i++) /* no special token from text */
        assert_true(ids[i] >= 0 && ids[i] < tokenizer_special(t, "<pad>"));
    strbuf_release(&bytes);
    strbuf_release(&shown);
    memory_free(ids);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 1);
    for (int prefix = 0; prefix < 2; prefix++) {
        struct tokenizer *t = train(corpus, &(struct tokenizer_options){.prefix_space = prefix});
        for (size_t i = 0; i < STRING_COUNT; i++)
            check_round_trip(t, strings[i], strlen(strings[i]));
        for (int i = 0; i < 2000; i++) {
            char noise[64];
            int64_t length = random_below(&random, sizeof noise);
            for (int64_t k = 0; k < length; k++)
                noise[k] = (char)random_below(&random, i % 2 ? 256 : 128);
            check_round_trip(t, noise, (size_t)length);
        }
        tokenizer_free(t);
    }
}

static void test_words_are_stable(void **state)
{
    (void)state;
    struct tokenizer *t = train(corpus, NULL);
    int32_t *first, *inside;
    assert_int_equal(encode(t, &first, "blue", 4), 1);
    assert_int_equal(encode(t, &inside, "bin blue", 8), 2);
    assert_int_equal(first[0], inside[1]);
    memory_free(first);
    memory_free(inside);
    tokenizer_free(t);
}

/* "ab" 5 times, "bc" 3, "cd" 3: ab, then the lower one of (b,c) and (c,d), which are as frequent.
 */
static void test_training_by_hand(void **state)
{
    (void)state;
    struct error err;
    struct strbuf text;
    strbuf_init(&text, 100);
    struct tokenizer *t = train("ab\nab\nab\nab\nab\ncd\ncd\ncd\nbc\nbc\nbc\nxy\n",
                                &(struct tokenizer_options){.split = "\\w+"});
    assert_int_equal(tokenizer_size(t), 256 + 3 + 7);
    tokenizer_decode_bytes(t, &text, (int32_t[]){256, 257, 258}, 3);
    assert_string_equal(text.data, "abbccd");
    assert_int_equal(tokenizer_special(t, "<pad>"), 259);
    assert_int_equal(tokenizer_special(t, "<|end_of_text|>"), 265);
    assert_int_equal(tokenizer_special(t, "ab"), -1);
    assert_int_equal(tokenizer_add_special(t, "<pad>", &err), 0);
    assert_int_equal(tokenizer_size(t), 266);
    assert_int_equal(tokenizer_add_special(t, "<more>", &err), 0);
    assert_int_equal(tokenizer_special(t, "<more>"), 266);
    assert_int_equal(tokenizer_add_special(t, "ab", &err), ERROR_USAGE);
    tokenizer_free(t);
    t = train(corpus, &(struct tokenizer_options){.vocabulary = 260});
    assert_int_equal(tokenizer_size(t), 260 + 7);
    tokenizer_free(t);
    strbuf_release(&text);
}

static void test_streaming(void **state)
{
    (void)state;
    struct tokenizer *t = train("x", NULL);
    struct strbuf text;
    strbuf_init(&text, 100);
    const int32_t ids[] = {' ', 'a',     0xf0, 0x9f, 0x98, 0x80, tokenizer_special(t, "<pad>"),
                           -1,  1 << 30, 0xff, 'b',  0xc3};
    const char *const wanted[] = {"", "", "a", "a", "a", "a", "a\xf0\x9f\x98\x80"};
    for (int n = 0; n < 7; n++) {
        strbuf_clear(&text);
        tokenizer_decode(t, &text, ids, n);
        assert_string_equal(text.data, wanted[n]);
    }
    strbuf_clear(&text);
    tokenizer_decode(t, &text, ids, 12);
    assert_string_equal(text.data, "a\xf0\x9f\x98\x80\xef\xbf\xbd"
                                   "b");
    strbuf_release(&text);
    tokenizer_free(t);
}

static void test_save_and_load(void **state)
{
    (void)state;
    struct error err;
    for (int prefix = 0; prefix < 2; prefix++) {
        struct tokenizer *a = train(corpus, &(struct tokenizer_options){.prefix_space = prefix}),
                         *b;
        assert_int_equal(tokenizer_save(a, path, &err), 0);
        assert_int_equal(tokenizer_load(&b, path, &err), 0);
        assert_int_equal(tokenizer_save(b, other, &err), 0);
        char *text_a, *text_b;
        size_t size_a, size_b;
        assert_int_equal(file_read(&text_a, &size_a, path, 1 << 24, &err), 0);
        assert_int_equal(file_read(&text_b, &size_b, other, 1 << 24, &err), 0);
        assert_int_equal(size_a, size_b);
        assert_memory_equal(text_a, text_b, size_a);
        assert_int_equal(tokenizer_size(a), tokenizer_size(b));
        assert_int_equal(tokenizer_special(a, "</video>"), tokenizer_special(b, "</video>"));
        for (size_t i = 0; i < STRING_COUNT; i++) {
            int32_t *x, *y;
            int64_t count = encode(a, &x, strings[i], strlen(strings[i]));
            assert_int_equal(encode(b, &y, strings[i], strlen(strings[i])), count);
            assert_memory_equal(x, y, (size_t)count * sizeof *x);
            memory_free(x);
            memory_free(y);
        }
        memory_free(text_a);
        memory_free(text_b);
        tokenizer_free(a);
        tokenizer_free(b);
    }
}

/* Names in a text are tokens only where that is asked for; added ones too, and after a save. */
static void test_special(void **state)
{
    (void)state;
    struct error err;
    struct tokenizer *t = train(corpus, NULL);
    const char *text = "blue<audio><more> now";
    assert_int_equal(tokenizer_add_special(t, "<more>", &err), 0);
    for (int again = 0; again < 2; again++) {
        int32_t *plain, ids[64], wanted[64];
        int64_t count = encode(t, &plain, "blue", 4);
        memcpy(wanted, plain, (size_t)count * sizeof *plain);
        memory_free(plain);
        wanted[count++] = tokenizer_special(t, "<audio>");
        wanted[count++] = tokenizer_special(t, "<more>");
        int64_t more = encode(t, &plain, " now", 4);
        memcpy(wanted + count, plain, (size_t)more * sizeof *plain);
        memory_free(plain);
        assert_true(tokenizer_room(t, strlen(text)) <= 64);
        assert_int_equal(tokenizer_encode_special(t, ids, text, strlen(text), &err), count + more);
        assert_memory_equal(ids, wanted, (size_t)(count + more) * sizeof *ids);
        int64_t without = encode(t, &plain, text, strlen(text));
        for (int64_t i = 0; i < without; i++)
            assert_true(plain[i] < tokenizer_special(t, "<pad>"));
        memory_free(plain);
        assert_int_equal(tokenizer_save(t, path, &err), 0);
        tokenizer_free(t);
        assert_int_equal(tokenizer_load(&t, path, &err), 0);
    }
    tokenizer_free(t);
}

/* A piece of a million bytes, all of them joinable, must not take a quadratic time. */
static void test_long_piece(void **state)
{
    (void)state;
    struct tokenizer *t = train("aaaaaaaa aaaaaaaa aaaaaaaaa", NULL);
    size_t length = 1000000;
    char *text = memory_new(length, 1);
    memset(text, 'a', length);
    int32_t *ids;
    int64_t count = encode(t, &ids, text, length);
    assert_true(count > 1000 && count < 600000);
    memory_free(ids);
    memory_free(text);
    tokenizer_free(t);
}

#define MODEL(vocab, merges)                                                                       \
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\"}],\"pre_tokenizer\":{\"type\":"              \
    "\"ByteLevel\"},"                                                                              \
    "\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges "}}"

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int code;
    } cases[] = {
        {MODEL("{\"a\":0,\"b\":1}", "[]"), 0},
        {MODEL("{\"a\":0,\"b\":1,\"<s>\":2,\"ab\":3}", "[\"a b\"]"), 0},
        {MODEL("{\"a\":0,\"b\":1,\"ab\":3}", "[[\"a\",\"b\"]]"), 0},
        {"", ERROR_FORMAT},
        {"{", ERROR_FORMAT},
        {"[]", ERROR_FORMAT},
        {"{\"model\":{\"type\":\"WordPiece\"}}", ERROR_UNSUPPORTED},
        {MODEL("{\"a\":0,\"a\":1}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":0}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":-1}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":3}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":2}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":99999999999}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":1.5}", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"\":1}", "[]"), 0},
        {MODEL("{\"a\":0,\"\xe2\x96\x81\":1}", "[]"), ERROR_UNSUPPORTED},
        {MODEL("[]", "[]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":1}", "[\"a b\"]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":1}", "[\"a\"]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":1}", "[7]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"b\":1,\"ab\":3}", "[\"a b\",\"a b\"]"), ERROR_FORMAT},
        {MODEL("{\"a\":0,\"<s>\":2,\"<\":1,\"s>\":3}", "[\"< s>\"]"), 0},
        {MODEL("{\"a\":0,\"b\":1,\"<s>\":3}", "[]"), ERROR_FORMAT},
        {"{\"added_tokens\":[{\"id\":0,\"content\":\"\"}],\"pre_tokenizer\":{\"type\":"
         "\"ByteLevel\"},"
         "\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}",
         ERROR_FORMAT},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
         "\"Isolated\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERROR_FORMAT},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
         "\"Isolated\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERROR_UNSUPPORTED},
        {"{\"pre_tokenizer\":null,\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct tokenizer *t;
        assert_int_equal(file_write(path, cases[i].json, strlen(cases[i].json), &err), 0);
        int rc = tokenizer_load(&t, path, &err);
        if (rc != cases[i].code)
            fail_msg("case %zu: %d instead of %d: %s", i, rc, cases[i].code, err.message);
        assert_true(rc == 0 || (!t && strstr(err.message, path)));
        tokenizer_free(t);
    }
}

static void check_ids(const char *json, const char *text, const int32_t *wanted, int64_t count)
{
    struct error err = {0};
    struct tokenizer *t;
    int32_t *ids;
    assert_int_equal(file_write(path, json, strlen(json), &err), 0);
    for (int again = 0; again < 2; again++) { /* as given, and as we write it */
        if (tokenizer_load(&t, path, &err))
            fail_msg("%s", err.message);
        assert_int_equal(encode(t, &ids, text, strlen(text)), count);
        assert_memory_equal(ids, wanted, (size_t)count * sizeof *ids);
        memory_free(ids);
        assert_int_equal(tokenizer_save(t, path, &err), 0);
        tokenizer_free(t);
    }
}

#define LAYOUT(steps, model)                                                                       \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" steps                          \
    "]},\"model\":{\"type\":\"BPE\"," model                                                        \
    "\"vocab\":{\"1\":0,\"2\":1,\"12\":2,\"\u0120\":3,\"\u01201\":4,\"a\":5},"                     \
    "\"merges\":[\"\u0120 1\",\"1 2\"]}}"

/* What SmolLM2's file has (digits apart, then GPT-2's expression) and Llama 3's (a piece that is a
   token taken whole). A byte without a token is left out. */
static void test_published_layouts(void **state)
{
    (void)state;
    static const char digits[] =
        LAYOUT("{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\","
               "\"add_prefix_space\":false,\"use_regex\":true}",
               "");
    static const char runs[] =
        LAYOUT("{\"type\":\"Digits\"},{\"type\":\"ByteLevel\",\"use_regex\":false}", "");
    static const char spaced[] = LAYOUT("{\"type\":\"ByteLevel\"}", "");
    check_ids(digits, "12 12xa", (int32_t[]){0, 1, 3, 0, 1, 5}, 6);
    check_ids(runs, "12 12xa", (int32_t[]){2, 3, 2, 5}, 4);
    check_ids(spaced, "12 12xa", (int32_t[]){2, 4, 1, 5}, 4);
#define WHOLE(model)                                                                               \
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\"," model               \
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]}}"
    check_ids(WHOLE(""), "ab", (int32_t[]){0, 1}, 2);
    check_ids(WHOLE("\"ignore_merges\":true,"), "ab", (int32_t[]){2}, 1);
}

/* An expression made to run for ever ends with an error. */
static void test_hostile_expression(void **state)
{
    (void)state;
    struct error err;
    struct tokenizer *t = NULL;
    char text[64];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    assert_int_equal(file_write(path, text, sizeof text, &err), 0);
    int rc =
        tokenizer_train(&t, path, &(struct tokenizer_options){.split = "((a|aa)+)+[cd]"}, &err);
    assert_int_equal(rc, ERROR_LIMIT);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(tokenizer_train(&t, path, &(struct tokenizer_options){.split = "a\\C"}, &err),
                     ERROR_FORMAT);
    assert_int_equal(tokenizer_train(&t, path, &(struct tokenizer_options){.vocabulary = 7}, &err),
                     ERROR_USAGE);
    assert_int_equal(tokenizer_train(&t, "/nonexistent", NULL, &err), ERROR_IO);
    for (size_t size = 0; size < 3; size++) { /* nothing to learn from */
        assert_int_equal(file_write(path, "\n\n", size, &err), 0);
        assert_int_equal(tokenizer_train(&t, path, NULL, &err), ERROR_FORMAT);
    }
}

/* A file that is something else is named as what it is. */
static void test_other_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *named;
    } cases[] = {
        {"", 0, "empty"},
        {"GGUF\3\0\0\0", 8, "GGUF"},
        {"PK\3\4....", 8, "zip"},
        {"\x10\0\0\0\0\0\0\0{\"a\":{}}", 16, "safetensors"},
        {"\n\016\n\005<unk>\025", 10, "tokenizer.model"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS"},
        {"<!doctype html>", 15, "HTML"},
        {"{\"model_type\":\"llama\"}", 22, "config.json"},
        {"{\"weight_map\":{}}", 17, "index"},
        {"{\"tokenizer_class\":\"x\"}", 23, "tokenizer_config.json"},
        {"{\"x\":1}", 7, "no \"model\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct tokenizer *t;
        assert_int_equal(file_write(path, cases[i].bytes, cases[i].size, &err), 0);
        assert_int_equal(tokenizer_load(&t, path, &err), ERROR_FORMAT);
        if (!strstr(err.message, cases[i].named) || !strstr(err.message, path))
            fail_msg("%s: not %s", err.message, cases[i].named);
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_words_are_stable),
        cmocka_unit_test(test_training_by_hand),  cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_save_and_load),     cmocka_unit_test(test_long_piece),
        cmocka_unit_test(test_bad_files),         cmocka_unit_test(test_hostile_expression),
        cmocka_unit_test(test_published_layouts), cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
