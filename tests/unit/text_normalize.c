/* Folding, the English normaliser, repair of wrong UTF-8; prompts and their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/normalize.h"
#include "text/prompt.h"

#include <string.h>

typedef void normalizer(struct strbuf *out, const char *text, size_t length);

static void check(normalizer *normalize, const char *text, const char *wanted)
{
    struct strbuf out;
    strbuf_init(&out, 1000);
    normalize(&out, text, strlen(text));
    assert_false(out.failed);
    assert_string_equal(out.data, wanted);
    strbuf_release(&out);
}

static void test_fold(void **state)
{
    (void)state;
    check(normalize_fold, "", "");
    check(normalize_fold, " \t\r\n ", "");
    check(normalize_fold, "  Bin\tBLUE \n at ", "bin blue at");
    check(normalize_fold, "\xef\xbc\xa1\xef\xbc\xa2 \xef\xac\x81",
          "ab fi");                                                   /* full width, ligature */
    check(normalize_fold, "E\xcc\x81t\xc3\x89", "\xc3\xa9t\xc3\xa9"); /* one form of e acute */
    check(normalize_fold, "a\xc2\xa0\xe3\x80\x80 b", "a b"); /* no-break and ideographic space */
    check(normalize_fold, "a\xff", "a\xef\xbf\xbd");
    check(normalize_fold, "a\xe2\x82", "a\xef\xbf\xbd");
}

static void test_english(void **state)
{
    (void)state;
    check(normalize_english, "It's twenty-one, sir!", "it's twenty one sir");
    check(normalize_english, "DON\xe2\x80\x99T \"go\"...", "don't go");
    check(normalize_english, "rock 'n' roll'", "rock n roll");
    check(normalize_english, "-- !", "");
    check(normalize_english, "caf\xc3\xa9 3+4", "caf\xc3\xa9 3 4");
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
        size_t held;
    } cases[] = {
        {"abc", "abc", 0},
        {"a\xc3", "a", 1},
        {"a\xe2\x82", "a", 2},
        {"a\xf0\x9f\x98", "a", 3},
        {"\xe0", "", 1},
        {"\xf4", "", 1},
        {"\xed\xa0", "\xef\xbf\xbd\xef\xbf\xbd", 0}, /* a surrogate */
        {"\xe0\x80", "\xef\xbf\xbd\xef\xbf\xbd", 0}, /* overlong */
        {"\xf4\x90", "\xef\xbf\xbd\xef\xbf\xbd", 0}, /* above U+10FFFF */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", 0},
        {"\xff"
         "a\x80",
         "\xef\xbf\xbd"
         "a\xef\xbf\xbd",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf out;
        strbuf_init(&out, 1000);
        assert_int_equal(normalize_utf8(&out, cases[i].bytes, strlen(cases[i].bytes)),
                         cases[i].held);
        assert_string_equal(out.data, cases[i].text);
        strbuf_release(&out);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 3);
    normalize_fold(&out, "abcdef", 6);
    assert_true(out.failed);
    strbuf_clear(&out);
    normalize_english(&out, "abcdef", 6);
    assert_true(out.failed);
    strbuf_release(&out);
}

static void test_prompts(void **state)
{
    (void)state;
    for (int i = 0; i < TASK_COUNT; i++) {
        enum task task;
        assert_true(task_from_name(&task, task_name((enum task)i)));
        assert_int_equal(task, i);
    }
    enum task task;
    assert_false(task_from_name(&task, "ASR"));
    assert_string_equal(task_prompt(TASK_ASR), "Transcribe speech to text.");
    assert_string_equal(task_prompt(TASK_VSR), "Transcribe video to text.");
    assert_string_equal(task_prompt(TASK_AVSR), "Transcribe speech and video to text.");
    assert_true(task_hears(TASK_ASR) && !task_sees(TASK_ASR));
    assert_true(!task_hears(TASK_VSR) && task_sees(TASK_VSR));
    assert_true(task_hears(TASK_AVSR) && task_sees(TASK_AVSR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),  cmocka_unit_test(test_english), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
