/* Memory: zeroed, aligned, overflow refused; arenas: pieces in order, rewound, never moved. */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void test_memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        char *p = memory_new(n, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n); /* so that the next one may find it dirty */
        memory_free(p);
    }
    memory_free(NULL);
}

static void test_impossible_sizes_give_null(void **state)
{
    (void)state;
    assert_null(memory_new(SIZE_MAX, 2));
    assert_null(memory_new(SIZE_MAX / 2, 4));
    assert_null(memory_new(SIZE_MAX, 1));
}

static void test_strdup(void **state)
{
    (void)state;
    char *copy = memory_strdup("mouth");
    assert_string_equal(copy, "mouth");
    memory_free(copy);
}

static void test_a_list_grows(void **state)
{
    (void)state;
    int *list = NULL;
    int64_t room = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(memory_reserve(&list, &room, i, i + 1, sizeof *list));
        assert_true(room > i);
        list[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    int *before = list;
    const int64_t had = room;
    assert_true(memory_reserve(&list, &room, 1000, 10, sizeof *list)); /* there already */
    assert_false(memory_reserve(&list, &room, 1000, INT64_MAX, sizeof *list));
    assert_ptr_equal(list, before);
    assert_int_equal(room, had);
    memory_free(list);
}

static void test_arena_pieces(void **state)
{
    (void)state;
    struct arena a;
    struct error err;
    assert_int_equal(arena_init(&a, 1 << 20, &err), 0);
    char *first = arena_alloc(&a, 1), *second = arena_alloc(&a, 65);
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_int_equal(second - first, 64);
    char *third = arena_alloc(&a, 0); /* a piece of its own, too */
    assert_int_equal(third - second, 128);
    memset(first, 1, 256);
    arena_release(&a);
    assert_null(a.base);
    arena_release(&a); /* fine on a zeroed struct */
}

static void test_arena_rewinds(void **state)
{
    (void)state;
    struct arena a;
    struct error err;
    assert_int_equal(arena_init(&a, 1 << 20, &err), 0);
    arena_alloc(&a, 100);
    size_t mark = arena_mark(&a);
    void *p = arena_alloc(&a, 5000);
    size_t peak = a.peak;
    arena_rewind(&a, mark);
    assert_int_equal(arena_mark(&a), mark);
    assert_ptr_equal(arena_alloc(&a, 10), p);
    assert_int_equal(a.peak, peak);
    arena_rewind(&a, 0);
    assert_ptr_equal(arena_alloc(&a, 1 << 20), a.base); /* all of it */
    assert_int_equal(a.used, a.limit);
    arena_release(&a);
}

/* Address space only: what is not touched costs nothing. */
static void test_arena_reserves_more_than_there_is(void **state)
{
    (void)state;
    struct arena a;
    struct error err;
    assert_int_equal(arena_init(&a, (size_t)1 << 40, &err), 0);
    char *p = arena_alloc(&a, (size_t)1 << 39);
    p[0] = p[((size_t)1 << 39) - 1] = 1;
    arena_release(&a);
    assert_int_equal(arena_init(&a, SIZE_MAX / 2, &err), ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_impossible_sizes_give_null),
        cmocka_unit_test(test_strdup),
        cmocka_unit_test(test_a_list_grows),
        cmocka_unit_test(test_arena_pieces),
        cmocka_unit_test(test_arena_rewinds),
        cmocka_unit_test(test_arena_reserves_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
