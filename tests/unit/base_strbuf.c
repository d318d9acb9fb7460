/* The growing string: always terminated, limited, failure is sticky. */
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void test_empty(void **state)
{
    (void)state;
    struct strbuf s;
    strbuf_init(&s, 100);
    assert_string_equal(s.data, "");
    strbuf_add(&s, "", 0);
    strbuf_adds(&s, "");
    strbuf_clear(&s);
    assert_int_equal(s.length, 0);
    strbuf_release(&s);
}

static void test_grows(void **state)
{
    (void)state;
    struct strbuf s;
    strbuf_init(&s, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        strbuf_addf(&s, "%04d", i);
        assert_int_equal(s.length, 4 * (i + 1));
        assert_int_equal(s.data[s.length], 0);
    }
    assert_memory_equal(s.data + 4 * 567, "0567", 4);
    strbuf_add(&s, "a\0b", 3); /* bytes, not text */
    assert_memory_equal(s.data + 4000, "a\0b", 4);
    assert_false(s.failed);
    strbuf_clear(&s);
    assert_string_equal(s.data, "");
    strbuf_adds(&s, "again");
    assert_string_equal(s.data, "again");
    strbuf_release(&s);
    assert_string_equal(s.data, "");
}

static void test_limit_is_sticky(void **state)
{
    (void)state;
    struct strbuf s;
    strbuf_init(&s, 8);
    strbuf_adds(&s, "12345678");
    assert_false(s.failed); /* the limit itself fits */
    strbuf_clear(&s);
    strbuf_adds(&s, "12345");
    strbuf_adds(&s, "6789");
    assert_true(s.failed);
    assert_string_equal(s.data, "12345");
    strbuf_adds(&s, "6"); /* would fit, but something is lost already */
    strbuf_addf(&s, "%d", 6);
    assert_string_equal(s.data, "12345");
    strbuf_clear(&s);
    assert_false(s.failed);
    strbuf_addf(&s, "%d", 123456789);
    assert_true(s.failed);
    assert_string_equal(s.data, "");
    strbuf_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_limit_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
