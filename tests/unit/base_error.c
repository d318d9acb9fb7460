/* Errors: code and message, cut where they do not fit. */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void test_set(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set(&err, ERROR_FORMAT, "%s: %d tensors", "a.bin", 3), ERROR_FORMAT);
    assert_int_equal(err.code, ERROR_FORMAT);
    assert_string_equal(err.message, "a.bin: 3 tensors");
}

static void test_prefix(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERROR_IO, "no such file");
    assert_int_equal(error_prefix(&err, "clip %d", 7), ERROR_IO);
    assert_string_equal(err.message, "clip 7: no such file");
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    struct error err;
    char text[2 * sizeof err.message];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    error_set(&err, ERROR_LIMIT, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    error_prefix(&err, "%s", "short");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "short: x", 8);
    error_prefix(&err, "%s", text); /* a prefix that fills all */
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
