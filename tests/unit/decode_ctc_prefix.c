/* CTC prefix scores against all alignments there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "decode/ctc_prefix.h"

#include <math.h>
#include <string.h>

enum { ROWS = 5, CLASSES = 3, PATHS = 1024, MOST = 3 };

static float scores[ROWS * (CLASSES + 1)];
static struct ctc_table table;

static int make_table(void **state)
{
    (void)state;
    struct error err = {0};
    struct random random;
    random_seed(&random, 5);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0, x[CLASSES + 1];
        for (int k = 0; k <= CLASSES; k++)
            sum += x[k] = exp(2 * random_normal(&random));
        for (int k = 0; k <= CLASSES; k++)
            scores[r * (CLASSES + 1) + k] = (float)log(x[k] / sum);
    }
    return ctc_table_init(&table, scores, ROWS, CLASSES, &err);
}

static int drop_table(void **state)
{
    (void)state;
    ctc_table_release(&table);
    return 0;
}

/* The sums over all alignments whose text begins with the prefix, and is the prefix. */
static void sum_paths(const int32_t *prefix, int count, double *begins, double *is)
{
    *begins = *is = 0;
    for (int path = 0; path < PATHS; path++) {
        int32_t text[ROWS];
        int length = 0, before = CLASSES;
        double log_probability = 0;
        for (int r = 0, rest = path; r < ROWS; r++, rest /= CLASSES + 1) {
            int k = rest % (CLASSES + 1);
            log_probability += scores[r * (CLASSES + 1) + k];
            if (k != CLASSES && k != before)
                text[length++] = k;
            before = k;
        }
        if (length < count || memcmp(text, prefix, (size_t)count * sizeof *text))
            continue;
        *begins += exp(log_probability);
        *is += length == count ? exp(log_probability) : 0;
    }
}

/* All prefixes from this one on. */
static void check(const struct ctc_prefix *p, int32_t *text, int count)
{
    double begins, is;
    sum_paths(text, count, &begins, &is);
    assert_float_equal(exp((double)ctc_prefix_end(p, &table)), is, 1e-5);
    for (int32_t k = 0; count < MOST && k < CLASSES; k++) {
        float token[ROWS], blank[ROWS];
        struct ctc_prefix to = {.token = token, .blank = blank};
        text[count] = k;
        sum_paths(text, count + 1, &begins, &is);
        assert_float_equal(exp((double)ctc_prefix_extend(NULL, p, &table, k)), begins, 1e-5);
        assert_float_equal(exp((double)ctc_prefix_extend(&to, p, &table, k)), begins, 1e-5);
        check(&to, text, count + 1);
    }
}

static void test_prefixes_are_sums_of_alignments(void **state)
{
    (void)state;
    float token[ROWS], blank[ROWS];
    struct ctc_prefix p = {.token = token, .blank = blank};
    int32_t text[MOST];
    ctc_prefix_start(&p, &table);
    check(&p, text, 0);
}

static void test_unlikely_classes_share_the_floor(void **state)
{
    (void)state;
    struct error err = {0};
    const float sure[2 * 4] = {-40, -1, -30, -0.5f, -20, -2, -50, -0.2f};
    struct ctc_table t;
    float token[2], blank[2];
    struct ctc_prefix p = {.token = token, .blank = blank};
    assert_int_equal(ctc_table_init(&t, sure, 2, 3, &err), 0);
    assert_true(t.place[0] < 0 && t.place[1] >= 0 && t.place[2] < 0);
    assert_int_equal(t.likely_count, 1);
    assert_int_equal(t.likely[0], 1);
    ctc_prefix_start(&p, &t);
    assert_true(ctc_prefix_extend(NULL, &p, &t, 0) == ctc_prefix_extend(NULL, &p, &t, 2));
    assert_true(ctc_prefix_extend(NULL, &p, &t, 0) > 2 * CTC_FLOOR);
    assert_true(ctc_prefix_extend(NULL, &p, &t, 0) < CTC_FLOOR + 1);
    ctc_table_release(&t);
}

static void test_without_rows_nothing_was_said(void **state)
{
    (void)state;
    struct error err = {0};
    struct ctc_table t;
    struct ctc_prefix p = {0};
    assert_int_equal(ctc_table_init(&t, NULL, 0, 3, &err), 0);
    ctc_prefix_start(&p, &t);
    assert_true(ctc_prefix_end(&p, &t) == 0);
    assert_true(ctc_prefix_extend(NULL, &p, &t, 1) < -1e20f);
    ctc_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefixes_are_sums_of_alignments),
        cmocka_unit_test(test_unlikely_classes_share_the_floor),
        cmocka_unit_test(test_without_rows_nothing_was_said),
    };
    return cmocka_run_group_tests(tests, make_table, drop_table);
}
