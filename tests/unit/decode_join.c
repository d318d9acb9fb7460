/* Texts of segments that overlap, joined. */
#include "decode/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
    const char *first, *second, *joined;
} overlapping[] = {
    {"the cat sat on th", "hat sat on the mat", "the cat sat on the mat"},
    {"the cat sat on", "sat on the mat", "the cat sat on the mat"},
    {"the cat", "the cat", "the cat"},
    {"one two three", "three four", "one two three four"},
    {"one two three", "four five six", "one two three four five six"}, /* nothing in common */
    {"Bin blue, At", "at F now.", "Bin blue, At F now."}, /* without case and punctuation */
    {"l\303\244uft D\303\234NN", "d\303\274nn aus", "l\303\244uft D\303\234NN aus"},
    {"a x b", "c x d", "a x d"},                       /* one cut word on either side */
    {"a x b c", "d e x f", "a x b c d e x f"},         /* one word is too little for four */
    {"a x y b c", "d e x y f", "a x y f"},             /* two are not */
    {"go go go", "go go now", "go go go now"},         /* the run that leaves out least */
    {"x a b c d e f g", "x h", "x a b c d e f g x h"}, /* too far back */
    {"", "x", "x"},
    {"x", "", "x"},
    {"", "", ""},
    {"- x", "- y", "- x - y"}, /* a dash is no word */
};

static void check(const char *first, const char *second, bool overlaps, const char *joined)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 10);
    join_texts(&text, first, overlaps);
    assert_string_equal(text.data, first);
    join_texts(&text, second, overlaps);
    assert_string_equal(text.data, joined);
    assert_false(text.failed);
    strbuf_release(&text);
}

static void seams(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof overlapping / sizeof overlapping[0]; i++)
        check(overlapping[i].first, overlapping[i].second, true, overlapping[i].joined);
}

/* Cut in a silence: what is said twice was said twice. */
static void no_overlap(void **state)
{
    (void)state;
    check("no no", "no no", false, "no no no no");
    check("", "x", false, "x");
    check("x", "", false, "x");
}

/* A text of 40 words heard in segments of 10 that share 3, the words at their ends misheard:
   nothing is lost and nothing is said twice. */
static void many_segments(void **state)
{
    (void)state;
    struct strbuf text, all;
    strbuf_init(&text, 1 << 12);
    strbuf_init(&all, 1 << 12);
    for (int start = 0; start < 40; start += 6) {
        struct strbuf part;
        strbuf_init(&part, 1 << 12);
        for (int i = start; i < start + 10 && i < 40; i++) {
            bool cut = (i == start && start) || (i == start + 9 && i < 39);
            strbuf_addf(&part, "%s%s%d", part.length ? " " : "", cut ? "half" : "w", i);
        }
        join_texts(&text, part.data, true);
        strbuf_release(&part);
    }
    for (int i = 0; i < 40; i++)
        strbuf_addf(&all, "%sw%d", i ? " " : "", i);
    assert_string_equal(text.data, all.data);
    strbuf_release(&text);
    strbuf_release(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seams),
        cmocka_unit_test(no_overlap),
        cmocka_unit_test(many_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
