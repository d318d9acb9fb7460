/* Random numbers: the published algorithm's own numbers, the right distributions, resumable. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

/* xoshiro256** of state {1, 2, 3, 4}: the first numbers of the authors' xoshiro256starstar.c. */
static void test_published_numbers(void **state)
{
    (void)state;
    struct random r = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520u, 0u, 1509978240u, 1215971899390074240u};
    for (int i = 0; i < 4; i++)
        assert_true(random_next(&r) == expected[i]);
}

/* splitmix64 of seed 0: the first numbers of the authors' splitmix64.c. */
static void test_published_seeding(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 0);
    assert_true(r.state[0] == 0xe220a8397b1dcdafu);
    assert_true(r.state[1] == 0x6e789e6aa1b965f4u);
}

static void test_resumes_from_a_copy(void **state)
{
    (void)state;
    struct random a, b;
    random_seed(&a, 42);
    for (int i = 0; i < 10; i++)
        random_normal(&a);
    b = a;
    for (int i = 0; i < 10; i++)
        assert_true(random_normal(&a) == random_normal(&b));
}

static void test_uniform(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 1);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double x = random_uniform(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    assert_float_equal(sum / 100000, 0.5, 0.005); /* 5 standard deviations */
}

static void test_normal(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 2);
    double sum = 0, square = 0;
    for (int i = 0; i < 100000; i++) {
        double x = random_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        square += x * x;
    }
    assert_float_equal(sum / 100000, 0, 0.016);
    assert_float_equal(square / 100000, 1, 0.023);
}

static void test_below(void **state)
{
    (void)state;
    struct random r;
    int seen[7] = {0};
    random_seed(&r, 3);
    for (int i = 0; i < 70000; i++) {
        int64_t x = random_below(&r, 7);
        assert_true(x >= 0 && x < 7);
        seen[x]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    for (int i = 0; i < 100; i++)
        assert_int_equal(random_below(&r, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_numbers),
        cmocka_unit_test(test_published_seeding),
        cmocka_unit_test(test_resumes_from_a_copy),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
