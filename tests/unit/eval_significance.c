/* The test of differences: answers that can be counted by hand, and, when there is no difference,
   as many false alarms as it promises. */
#include "base/random.h"
#include "eval/significance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

enum { CLIPS = 60 };

static struct significance test(const struct paired_utterance *u, int64_t count, uint64_t seed)
{
    struct significance s;
    struct error err;
    assert_int_equal(significance_test(&s, u, count, seed, &err), 0);
    return s;
}

static void test_the_same_twice(void **state)
{
    (void)state;
    struct paired_utterance u[CLIPS];
    for (int i = 0; i < CLIPS; i++)
        u[i] = (struct paired_utterance){6, i % 4, i % 4};
    struct significance s = test(u, CLIPS, 1);
    assert_true(s.p == 1 && s.difference == 0 && s.low == 0 && s.high == 0);
    assert_true(s.wer_a == s.wer_b && s.wer_a == 1.5 / 6);
    assert_int_equal(s.better_a + s.better_b, 0);
}

/* Of the 8 ways to exchange three clips that differ by one each, 2 give a difference of 3. Of the 4
   for differences of 2 and 1, 2 give 3; of those for 2 and -1, all give 1 or more. */
static void test_counted_by_hand(void **state)
{
    (void)state;
    const struct paired_utterance three[] = {{5, 1, 0}, {5, 2, 1}, {5, 3, 2}, {5, 2, 2}};
    const struct paired_utterance two[] = {{4, 0, 2}, {4, 0, 1}};
    const struct paired_utterance against[] = {{4, 0, 2}, {4, 1, 0}};
    struct significance s = test(three, 4, 1);
    assert_float_equal(s.p, 0.25, 0.015);
    assert_float_equal(s.difference, -3.0 / 20, 1e-6);
    assert_float_equal(s.wer_a - 8.0 / 20, 0, 1e-6);
    assert_true(s.better_b == 3 && s.better_a == 0 && s.clips == 4);
    assert_float_equal(test(two, 2, 1).p, 0.5, 0.015);
    assert_true(test(against, 2, 1).p == 1);
    /* two clips, four resamples of them: differences 2/4, 3/8, 3/8, 1/4 */
    s = test(two, 2, 1);
    assert_true(s.low == 0.25 && s.high == 0.5);
}

static void test_plain_difference(void **state)
{
    (void)state;
    struct paired_utterance u[CLIPS];
    for (int i = 0; i < CLIPS; i++)
        u[i] = (struct paired_utterance){6, 2 + i % 2, i % 3};
    struct significance s = test(u, CLIPS, 1), again = test(u, CLIPS, 1), other = test(u, CLIPS, 2);
    assert_true(s.p <= 2.0 / SIGNIFICANCE_TRIALS);
    assert_true(s.low < s.difference && s.difference < s.high && s.high < 0);
    assert_true(s.p == again.p && s.low == again.low && s.high == again.high);
    assert_true(fabs(other.low - s.low) < 0.02 && other.difference == s.difference);
}

/* Two systems with the same chances, many times over: 5 % of the times p is below 0.05, and the
   interval leaves 0 out. 400 draws: 20 +- 4.4 (the interval of 30 clips is a little narrow). */
static void test_no_more_alarms_than_promised(void **state)
{
    (void)state;
    enum { DRAWS = 400, FEW = 30 };
    struct random random;
    int alarms = 0, outside = 0;
    double mean = 0;
    random_seed(&random, 11);
    for (int draw = 0; draw < DRAWS; draw++) {
        struct paired_utterance u[FEW];
        for (int i = 0; i < FEW; i++) {
            double hard = random_uniform(&random); /* a clip is hard for both */
            u[i] = (struct paired_utterance){.words = 8};
            for (int word = 0; word < 8; word++) {
                u[i].errors_a += random_uniform(&random) < hard;
                u[i].errors_b += random_uniform(&random) < hard;
            }
        }
        struct significance s = test(u, FEW, (uint64_t)draw);
        alarms += s.p < 0.05;
        outside += s.low > 0 || s.high < 0;
        mean += s.p / DRAWS;
    }
    printf("p < 0.05: %d of %d; 0 outside of the interval: %d; mean p %.3f\n", alarms, DRAWS,
           outside, mean);
    assert_in_range(alarms, 7, 33);
    assert_in_range(outside, 7, 45);
    assert_float_equal(mean, 0.55, 0.08); /* above a half: ties count */
}

static void test_nothing(void **state)
{
    (void)state;
    const struct paired_utterance none[1] = {{0, 0, 0}};
    struct significance s = test(none, 1, 1);
    assert_true(s.p == 1 && s.wer_a == 0 && s.low == 0 && s.high == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_twice),
        cmocka_unit_test(test_counted_by_hand),
        cmocka_unit_test(test_plain_difference),
        cmocka_unit_test(test_no_more_alarms_than_promised),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
