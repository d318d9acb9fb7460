/* Which tokens make which words: whatever the tokens, the words are those of the text, and each
   token with something to say belongs to the word that it says a part of. */
#include "base/file.h"
#include "base/memory.h"
#include "text/token_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 256 };

static struct tokenizer *tokenizer;
static struct error err;

static int open_tokenizer(void **state)
{
    (void)state;
    static const char text[] = "bin blue at\nbin blue at\nbin blue\n";
    char path[] = "/tmp/mome-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(file_write(path, text, sizeof text - 1, &err), 0);
    const struct tokenizer_options options = {.prefix_space = true};
    assert_int_equal(tokenizer_train(&tokenizer, path, &options, &err), 0);
    return unlink(path);
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

/* The words of ids and their tokens as a line: "bin 0-0 blue 1-2". */
static void check_ids(const int32_t *ids, int count, const char *expected)
{
    struct strbuf bytes, line;
    struct token_word *words;
    strbuf_init(&bytes, 1000);
    strbuf_init(&line, 1000);
    int found = token_words(&words, &bytes, tokenizer, ids, count, &err);
    assert_true(found >= 0);
    for (int i = 0; i < found; i++) {
        strbuf_adds(&line, i ? " " : "");
        token_words_text(&line, &bytes, &words[i]);
        strbuf_addf(&line, " %d-%d", words[i].first, words[i].last);
    }
    assert_string_equal(line.data, expected);
    memory_free(words);
    strbuf_release(&bytes);
    strbuf_release(&line);
}

static void check(const char *text, const char *expected)
{
    int32_t ids[MOST];
    int64_t count = tokenizer_encode(tokenizer, ids, text, strlen(text), &err);
    assert_in_range(count, 0, MOST);
    check_ids(ids, (int)count, expected);
}

static void test_words_of_tokens(void **state)
{
    (void)state;
    check("", "");
    check("bin blue at", "bin 0-0 blue 1-1 at 2-2");
    check("zx bin", "zx 0-2 bin 3-3"); /* " ", "z", "x" */
    check("bin zx", "bin 0-0 zx 1-3");
    check(" \t\n ", "");
}

/* Bytes are tokens: characters of several, cut off, wrong, with white space and control characters
   around. */
static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *words;
    } cases[] = {
        {"\303\274 a", "\303\274 0-1 a 2-3"},
        {"a\303", "a 0-1"},                   /* not finished */
        {"\303", " 0-0"},                     /* nothing to say yet */
        {"\303 b", "\357\277\275 0-0 b 1-2"}, /* never will be */
        {"a\001\177b", "a 0-0 b 1-3"},
        {"a\r\n", "a 0-0"},
    };
    int32_t byte[256], ids[MOST];
    for (int i = 0; i < 256; i++) { /* which token a byte is */
        struct strbuf s;
        int32_t pair[2] = {0, i};
        strbuf_init(&s, 16);
        tokenizer_decode_bytes(tokenizer, &s, pair, 2);
        byte[(unsigned char)s.data[s.length - 1]] = i;
        strbuf_release(&s);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int count = (int)strlen(cases[i].bytes);
        for (int k = 0; k < count; k++)
            ids[k] = byte[(unsigned char)cases[i].bytes[k]];
        check_ids(ids, count, cases[i].words);
    }
}

/* Added tokens and ids that are none say nothing. */
static void test_added_tokens(void **state)
{
    (void)state;
    int32_t ids[MOST];
    int64_t count = tokenizer_encode(tokenizer, ids + 1, "bin", 3, &err);
    assert_int_equal(count, 1);
    ids[0] = ids[2] = tokenizer_special(tokenizer, "<audio>");
    assert_int_equal(tokenizer_encode(tokenizer, ids + 3, "bin at", 6, &err), 2);
    ids[5] = 1 << 20;
    check_ids(ids, 6, "bin 0-1 bin 3-3 at 4-4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_tokens),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_added_tokens),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
