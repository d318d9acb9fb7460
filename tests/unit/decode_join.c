/* Words of segments that overlap, joined. */
#include "base/memory.h"
#include "base/strbuf.h"
#include "decode/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

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

/* The words of a line, half a second each from `start` on. */
static void say(struct words *words, const char *line, double start)
{
    struct error err;
    *words = (struct words){0};
    for (size_t length; *line; line += length + (line[length] == ' ')) {
        length = strcspn(line, " ");
        double at = start + 0.5 * words->count;
        assert_int_equal(words_add(words, line, length, at, at + 0.5, 1, &err), 0);
    }
}

static void add(struct words *all, const char *line, double start, bool overlaps)
{
    struct words words;
    struct error err;
    say(&words, line, start);
    if (overlaps)
        join_seam(all, &words);
    assert_int_equal(words_append(all, &words, &err), 0);
    words_release(&words);
    for (int i = 1; i < all->count; i++)
        assert_true(all->list[i].start >= all->list[i - 1].end);
}

static void check_text(const struct words *words, const char *expected)
{
    char *text = words_text(words);
    assert_string_equal(text, expected);
    memory_free(text);
}

static void check(const char *first, const char *second, bool overlaps, const char *joined)
{
    struct words words = {0};
    add(&words, first, 0, overlaps);
    check_text(&words, first);
    add(&words, second, 1, overlaps);
    check_text(&words, joined);
    words_release(&words);
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
    struct words words = {0};
    struct strbuf all;
    strbuf_init(&all, 1 << 12);
    for (int start = 0; start < 40; start += 6) {
        struct strbuf part;
        strbuf_init(&part, 1 << 12);
        for (int i = start; i < start + 10 && i < 40; i++) {
            bool cut = (i == start && start) || (i == start + 9 && i < 39);
            strbuf_addf(&part, "%s%s%d", part.length ? " " : "", cut ? "half" : "w", i);
        }
        add(&words, part.data, 0.5 * start, true);
        strbuf_release(&part);
    }
    for (int i = 0; i < 40; i++) {
        strbuf_addf(&all, "%sw%d", i ? " " : "", i);
        assert_float_equal(words.list[i].start, 0.5 * i, 1e-9);
    }
    check_text(&words, all.data);
    words_release(&words);
    strbuf_release(&all);
}

/* What follows the seam keeps its times, but for an overlap with what stands before it. */
static void times(void **state)
{
    (void)state;
    struct words words = {0};
    add(&words, "the cat sat on th", 0, true);
    add(&words, "hat sat on the mat", 0.6, true); /* "the" from 2.1 on, "on" was until 2 */
    assert_float_equal(words.list[3].end, 2, 1e-9);
    assert_float_equal(words.list[4].start, 2.1, 1e-9);
    words_release(&words);
    add(&words, "one two", 0, true);
    add(&words, "three four", 0.8, true);
    assert_float_equal(words.list[2].start, 1, 1e-9);
    assert_float_equal(words.list[2].end, 1.3, 1e-9);
    assert_float_equal(words.list[3].start, 1.3, 1e-9);
    words_release(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seams),
        cmocka_unit_test(no_overlap),
        cmocka_unit_test(many_segments),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
