/* Error rates: counts and alignments by hand, against a plain recursive distance, and the
   bootstrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "eval/wer.h"

#include <math.h>
#include <string.h>

static struct wer count(const char *reference, const char *hypothesis, enum wer_unit unit)
{
    struct wer w;
    struct error err = {0};
    assert_int_equal(wer_align(&w, NULL, NULL, reference, hypothesis, unit, &err), 0);
    return w;
}

static void check(const char *reference, const char *hypothesis, enum wer_unit unit, int length,
                  int substitutions, int deletions, int insertions)
{
    struct wer w = count(reference, hypothesis, unit);
    assert_int_equal(w.length, length);
    assert_int_equal(w.substitutions, substitutions);
    assert_int_equal(w.deletions, deletions);
    assert_int_equal(w.insertions, insertions);
}

static void test_counts(void **state)
{
    (void)state;
    check("bin blue at f two now", "bin blue at f two now", WER_WORDS, 6, 0, 0, 0);
    check("bin blue at f two now", "bin red at two now", WER_WORDS, 6, 1, 1, 0);
    check("bin blue at f two now", "bin red at two now now", WER_WORDS, 6, 3, 0, 0); /* tie */
    check("", "", WER_WORDS, 0, 0, 0, 0);
    check("", " a  b ", WER_WORDS, 0, 0, 0, 2);
    check("a b\tc\n", "", WER_WORDS, 3, 0, 3, 0);
    check("a b c", "x y z", WER_WORDS, 3, 3, 0, 0);
    check("ab", "a b", WER_WORDS, 1, 1, 0, 1);
    check(" a  b ", "a b", WER_CHARACTERS, 3, 0, 0, 0);
    check("kitten", "sitting", WER_CHARACTERS, 6, 2, 0, 1);
    check("caf\xc3\xa9", "cafe", WER_CHARACTERS, 4, 1, 0, 0);
    struct wer empty = {0}, extra = {.insertions = 2};
    assert_true(wer_rate(&empty) == 0.0);
    assert_true(wer_rate(&extra) == 2.0);
}

static void test_alignment(void **state)
{
    (void)state;
    struct wer w;
    struct wer_step *steps;
    int64_t n;
    struct error err = {0};
    assert_int_equal(
        wer_align(&w, &steps, &n, "bin blue at now", "bin red at at now", WER_WORDS, &err), 0);
    assert_int_equal(n, 5);
    static const enum wer_edit edits[] = {WER_HIT, WER_INSERTION, WER_SUBSTITUTION, WER_HIT,
                                          WER_HIT};
    for (int i = 0; i < 5; i++)
        assert_int_equal(steps[i].edit, edits[i]);
    assert_int_equal(steps[1].reference_bytes, 0);
    assert_memory_equal(steps[1].hypothesis, "red", 3);
    assert_int_equal(steps[2].reference_bytes, 4);
    assert_memory_equal(steps[2].reference, "blue", 4);
    assert_memory_equal(steps[2].hypothesis, "at", 2);
    memory_free(steps);
}

static int distance(const char *a, const char *b)
{
    if (!*a || !*b)
        return (int)(strlen(a) + strlen(b));
    if (*a == *b)
        return distance(a + 1, b + 1);
    int x = distance(a + 1, b + 1), y = distance(a + 1, b), z = distance(a, b + 1);
    int least = x < y ? x : y;
    return 1 + (least < z ? least : z);
}

static void test_against_recursion(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 3);
    for (int i = 0; i < 300; i++) {
        char text[2][8] = {{0}};
        for (int k = 0; k < 2; k++) {
            int64_t n = random_below(&r, 7);
            for (int64_t c = 0; c < n; c++)
                text[k][c] = (char)('a' + random_below(&r, 3));
        }
        struct wer w;
        struct wer_step *steps;
        int64_t n, hits = 0, from_reference = 0, from_hypothesis = 0;
        struct error err = {0};
        assert_int_equal(wer_align(&w, &steps, &n, text[0], text[1], WER_CHARACTERS, &err), 0);
        assert_int_equal(wer_errors(&w), distance(text[0], text[1]));
        for (int64_t k = 0; k < n; k++) {
            hits += steps[k].edit == WER_HIT;
            from_reference += steps[k].reference_bytes;
            from_hypothesis += steps[k].hypothesis_bytes;
        }
        assert_int_equal(hits + wer_errors(&w), n);
        assert_int_equal(from_reference, strlen(text[0]));
        assert_int_equal(from_hypothesis, strlen(text[1]));
        memory_free(steps);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    size_t n = 40000;
    char *text = memory_new(2 * n + 1, 1);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 2 * i, "a ", 2);
    struct wer w;
    struct error err = {0};
    assert_int_equal(wer_align(&w, NULL, NULL, text, text, WER_WORDS, &err), ERROR_LIMIT);
    memory_free(text);
}

/* 400 utterances of 10 words, each word wrong with probability 0.2: the interval must be close to
   0.2 +- 1.96 sqrt(0.2 * 0.8 / 4000), about the corpus' own rate. */
static void test_bootstrap(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 5);
    struct wer utterances[400] = {{0}}, total = {0};
    for (int i = 0; i < 400; i++) {
        utterances[i].length = 10;
        for (int k = 0; k < 10; k++)
            utterances[i].substitutions += random_uniform(&r) < 0.2;
        wer_add(&total, &utterances[i]);
    }
    assert_int_equal(total.length, 4000);
    struct wer_interval a, b, one;
    struct error err = {0};
    assert_int_equal(wer_bootstrap(&a, utterances, 400, 1, &err), 0);
    assert_int_equal(wer_bootstrap(&b, utterances, 400, 1, &err), 0);
    assert_true(a.low == b.low && a.high == b.high);
    double half = 1.96 * sqrt(0.2 * 0.8 / 4000), rate = wer_rate(&total);
    assert_true(a.low < rate && rate < a.high);
    assert_true(fabs(a.high - a.low - 2 * half) < 0.25 * half);
    assert_int_equal(wer_bootstrap(&one, utterances, 1, 1, &err), 0);
    assert_true(one.low == one.high && one.low == wer_rate(&utterances[0]));
    assert_int_equal(wer_bootstrap(&one, utterances, 0, 1, &err), 0);
    assert_true(one.low == 0 && one.high == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_against_recursion),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_bootstrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
