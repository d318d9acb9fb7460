/* Captions: which word is marked when, and that no text becomes markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "text/caption.h"
#include "text/normalize.h"

#include <string.h>

#define JOINER "\xe2\x81\xa0"

static void expect(const char *text, const char *want)
{
    struct strbuf out;
    strbuf_init(&out, 1 << 16);
    caption_escape(&out, text);
    assert_string_equal(out.data, want);
    strbuf_release(&out);
}

static void test_escape(void **state)
{
    (void)state;
    expect("", "");
    expect("caf\xc3\xa9", "caf\xc3\xa9");
    expect("{\\b1}", "\\{\\" JOINER "b1\\}");
    expect("\\N\\n\\h", "\\" JOINER "N\\" JOINER "n\\" JOINER "h");
    expect("\\", "\\" JOINER);
    expect("\\{", "\\" JOINER "\\{");
    expect("two\nlines\r\tand\x01\x7f", "two lines  and  ");
    expect("\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd");
    expect("\xc3\\N", "\xef\xbf\xbd\\" JOINER "N");
}

/* Of random bytes comes valid UTF-8 without a brace, backslash or line that means anything. */
static void test_any_bytes(void **state)
{
    static const char likely[] = "{}\\Nnh\n\r\xc3\xa9\xff p1";
    struct random r;
    (void)state;
    random_seed(&r, 1);
    for (int round = 0; round < 2000; round++) {
        char text[32] = "";
        struct strbuf out;
        for (int i = 0; i < 31; i++)
            text[i] = likely[random_below(&r, sizeof likely)];
        strbuf_init(&out, 1 << 12);
        caption_escape(&out, text);
        assert_int_equal(normalize_valid(out.data, out.length), out.length);
        for (const char *p = out.data; *p; p++) {
            assert_true((unsigned char)*p >= ' ' && *p != '{' && *p != '}');
            if (*p != '\\')
                continue;
            assert_true(p[1] == '{' || p[1] == '}' || !strncmp(p + 1, JOINER, 3));
            p++;
        }
        strbuf_release(&out);
    }
}

static void expect_words(const struct words *w, double now, const char *want)
{
    struct strbuf out;
    strbuf_init(&out, 1 << 12);
    caption_words(&out, w->list, w->count, now);
    assert_string_equal(out.data, want);
    strbuf_release(&out);
}

#define WHITE "{\\1c&HFFFFFF&\\u0}"
#define YELLOW "{\\1c&H4DD8FF&\\u0}"
#define PALE "{\\1c&H8C9CFF&\\u1}"
#define YELLOW_DOUBTED "{\\1c&H4DD8FF&\\u1}"

static void test_words(void **state)
{
    struct words w = {0};
    struct error err = {0};
    (void)state;
    assert_int_equal(words_add(&w, "so", 2, 1, 1.5, 0.9, &err), 0);
    assert_int_equal(words_add(&w, "b{", 2, 1.5, 2, 0.4, &err), 0);
    expect_words(&w, 0.9, WHITE "so" WHITE " " PALE "b\\{" WHITE);
    expect_words(&w, 1.0, YELLOW "so" WHITE " " PALE "b\\{" WHITE);
    expect_words(&w, 1.5, WHITE "so" WHITE " " YELLOW_DOUBTED "b\\{" WHITE);
    expect_words(&w, 2.1, WHITE "so" WHITE " " YELLOW_DOUBTED "b\\{" WHITE);
    expect_words(&w, 2.2, WHITE "so" WHITE " " PALE "b\\{" WHITE);
    words_release(&w);
    expect_words(&w, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
