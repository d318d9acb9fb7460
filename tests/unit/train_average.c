/* The mean of the last checkpoints of a stage. */
#include "temporary_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "train/average.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A trained weight, a frozen one, a running mean. */
struct model {
    struct tensor trained, frozen, statistic;
    struct param_list list;
    char folder[TEMPORARY_FOLDER], average[96];
};

static int setup(void **state)
{
    static struct model m;
    struct error err = {0};
    if (temporary_folder_make(m.folder))
        return -1;
    snprintf(m.average, sizeof m.average, "%s/average", m.folder);
    param_list_init(&m.list, &err);
    if (parameter_init(&m.trained, TENSOR_SHAPE(2, 3), &err) ||
        parameter_init(&m.frozen, TENSOR_SHAPE(2), &err) ||
        parameter_init(&m.statistic, TENSOR_SHAPE(2), &err) ||
        parameter_train(&m.trained, true, &err))
        return -1;
    m.list.visitor.visit(&m.list.visitor, "a.weight", &m.trained, PARAM_LINEAR);
    m.list.visitor.visit(&m.list.visitor, "b.weight", &m.frozen, PARAM_LINEAR);
    m.list.visitor.visit(&m.list.visitor, "norm.running_mean", &m.statistic, PARAM_MEAN);
    *state = &m;
    return m.list.code;
}

static int teardown(void **state)
{
    struct model *m = *state;
    parameter_release(&m->trained);
    parameter_release(&m->frozen);
    parameter_release(&m->statistic);
    param_list_release(&m->list);
    return temporary_folder_remove(m->folder);
}

static void set(struct model *m, float value)
{
    for (int i = 0; i < 6; i++)
        m->trained.data[i] = value + (float)i;
    for (int i = 0; i < 2; i++)
        m->frozen.data[i] = m->statistic.data[i] = value;
}

static void keep(struct model *m, int64_t step, float value, int most)
{
    struct error err = {0};
    set(m, value);
    if (average_keep(m->average, &m->list, step, most, &err))
        fail_msg("%s", err.message);
}

static void assert_taken(struct model *m, int files, float value)
{
    struct error err = {0};
    int count;
    set(m, -1);
    if (average_take(m->average, &m->list, &count, &err))
        fail_msg("%s", err.message);
    assert_int_equal(count, files);
    for (int i = 0; i < 6; i++)
        assert_true(m->trained.data[i] == value + (float)i);
    assert_true(m->statistic.data[1] == value);
    assert_true(m->frozen.data[1] == -1);
}

static void test_mean_of_the_last(void **state)
{
    struct model *m = *state;
    struct error err = {0};
    assert_int_equal(average_start(m->average, &err), 0);
    keep(m, 90, 100, 3);
    assert_taken(m, 1, 100);
    keep(m, 100, 1, 3);
    keep(m, 1000, 2, 3);
    keep(m, 20000, 6,
         3); /* the one of step 90 goes, though "90" is the last word in a dictionary */
    assert_taken(m, 3, 3);
    keep(m, 20000, 9, 3); /* a resumed run comes by once more */
    assert_taken(m, 3, 4);
}

static void test_another_run_starts_anew(void **state)
{
    struct model *m = *state;
    struct error err = {0};
    char *theirs = file_join(m->average, "notes.safetensors");
    assert_int_equal(average_start(m->average, &err), 0);
    keep(m, 5, 1, 2);
    assert_int_equal(file_write(theirs, "x", 1, &err), 0);
    assert_int_equal(average_start(m->average, &err), 0);
    assert_taken(m, 0, -1); /* nothing there: nothing changes */
    assert_int_equal(access(theirs, F_OK), 0);
    memory_free(theirs);
}

static void test_broken_file(void **state)
{
    struct model *m = *state;
    struct error err = {0};
    assert_int_equal(average_start(m->average, &err), 0);
    keep(m, 1, 1, 2);
    keep(m, 2, 1, 2);
    char *path = file_join(m->average, "000000000002.safetensors");
    assert_int_equal(truncate(path, 40), 0);
    assert_true(average_take(m->average, &m->list, NULL, &err) < 0);
    assert_non_null(strstr(err.message, "000000000002.safetensors"));
    memory_free(path);
    parameter_train(&m->frozen, true, &err); /* a stage that trains more: not in the files */
    keep(m, 2, 1, 2);
    assert_true(average_take(m->average, &m->list, NULL, &err) < 0);
    assert_non_null(strstr(err.message, "b.weight"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mean_of_the_last),
        TEST(test_another_run_starts_anew),
        TEST(test_broken_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
