/* Where what comes with the program is found: beside an installed one, in the source tree. */
#include "base/data.h"
#include "base/file.h"
#include "base/memory.h"
#include "temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void make(char path[256], const char *folder, const char *name)
{
    struct error err;
    snprintf(path, 256, "%s/%s", folder, name);
    assert_int_equal(file_make_folder(path, &err), 0);
}

static void test_places(void **state)
{
    (void)state;
    char folder[TEMPORARY_FOLDER], installed[256], tree[256], program[256];
    assert_int_equal(temporary_folder_make(folder), 0);
    make(program, folder, "build/bin");
    strcat(program, "/mome");
    assert_null(data_find_beside(program, "models/tiny"));
    make(tree, folder, "models/tiny");
    char *found = data_find_beside(program, "models/tiny");
    assert_string_equal(found, tree);
    memory_free(found);
    make(installed, folder, "build/share/mome/models/tiny");
    found = data_find_beside(program, "models/tiny");
    assert_string_equal(found, installed);
    memory_free(found);
    assert_null(data_find_beside("mome", "models/tiny"));
    temporary_folder_remove(folder);
}

static void test_default_model(void **state)
{
    (void)state;
    setenv("MOME_MODEL", "/no/such/folder", 1);
    char *model = data_default_model();
    assert_string_equal(model, "/no/such/folder");
    memory_free(model);
    setenv("MOME_MODEL", "", 1);
    model = data_default_model(); /* this test lies in build/PRESET, as the program */
    assert_non_null(strstr(model, "/models/tiny"));
    memory_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_default_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
