/* Latencies of words by hand-made readings: what stands for good counts from when it stood. */
#include "eval/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A reading of words that end at 1, 2, 3, .. s after the utterance's beginning. */
static void reading(struct utterance *u, double start, const char *text, int settled)
{
    struct error err;
    char copy[64], *rest, *word;
    *u = (struct utterance){.start = start, .settled = settled};
    snprintf(copy, sizeof copy, "%s", text);
    for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const double end = start + u->words.count + 1;
        assert_int_equal(words_add(&u->words, word, strlen(word), end - 1, end, 1, &err), 0);
    }
}

static void partial(struct latency *l, double start, const char *text, int settled, double at)
{
    struct utterance u;
    struct error err;
    reading(&u, start, text, settled);
    assert_int_equal(latency_partial(l, &u, at, &err), 0);
    utterance_release(&u);
}

static void final(struct latency *l, double start, const char *text, double at)
{
    struct utterance u;
    struct error err;
    reading(&u, start, text, 0);
    assert_int_equal(latency_final(l, &u, at, &err), 0);
    utterance_release(&u);
}

static void words_count_from_when_they_stay(void **state)
{
    (void)state;
    struct latency l = {0};
    partial(&l, 0, "bin", 0, 1.5);
    partial(&l, 0, "bin red", 1, 2.5);      /* bin: shown 1.5, settled 2.5 */
    partial(&l, 0, "bin blue at", 1, 3.25); /* red was no word that stays */
    final(&l, 0, "bin blue by", 4);         /* at was none either */
    assert_int_equal(l.total, 3);
    assert_true(l.shown[0] == 0.5 && l.settled[0] == 1.5);
    assert_true(l.shown[1] == 1.25 && l.settled[1] == 2);
    assert_true(l.shown[2] == 1 && l.settled[2] == 1);
    assert_int_equal(l.taken_back, 0);
    latency_release(&l);
}

static void settled_words_that_change_are_counted(void **state)
{
    (void)state;
    struct latency l = {0};
    partial(&l, 2, "lay green", 0, 4);
    partial(&l, 2, "lay green", 2, 4.5);
    partial(&l, 2, "lay", 1, 5); /* green is gone */
    final(&l, 2, "set", 6);      /* and lay */
    assert_int_equal(l.taken_back, 2);
    assert_int_equal(l.total, 1);
    assert_true(l.shown[0] == 3);
    latency_release(&l);
}

static void utterances_do_not_mix(void **state)
{
    (void)state;
    struct latency l = {0};
    partial(&l, 0, "bin blue", 0, 1);
    partial(&l, 5, "bin", 0, 6.5); /* the first one was dropped */
    final(&l, 5, "bin", 7);
    final(&l, 9, "bin", 12); /* never read while it went on */
    assert_int_equal(l.total, 2);
    assert_true(l.shown[0] == 0.5 && l.settled[0] == 1);
    assert_true(l.shown[1] == 2);
    latency_release(&l);
}

static void figures_are_of_the_last_words(void **state)
{
    (void)state;
    struct latency l = {0};
    struct latency_figures f;
    assert_true(latency_figures(&l, l.shown, 0, &f) && f.median == 0 && f.p95 == 0);
    for (int i = 0; i < 100; i++)
        final(&l, 10 * i, "bin", 10 * i + 1 + (i < 80 ? 0.25 : 1 + i)); /* 0.25 s; 81 to 100 s */
    assert_true(latency_figures(&l, l.shown, 0, &f));
    assert_true(f.median == 0.25 && f.p95 == 95);
    assert_true(latency_figures(&l, l.shown, 10, &f));
    assert_true(f.median == 96 && f.p95 == 100);
    latency_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_count_from_when_they_stay),
        cmocka_unit_test(settled_words_that_change_are_counted),
        cmocka_unit_test(utterances_do_not_mix),
        cmocka_unit_test(figures_are_of_the_last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
