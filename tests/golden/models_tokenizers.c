/*
 * SmolLM2's tokenizer as its GGUF has it gives the ids of the published one for 10,000 strings
 * (text_tokenizers.c; make_tokenizers.py). Only where $MOME_MODELS has smollm2.gguf.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden/tokenizer_hashes.h"
#include "models/part.h"

#include <stdlib.h>
#include <unistd.h>

static void test_smollm2(void **state)
{
    (void)state;
    const char *models = getenv("MOME_MODELS");
    char path[4096];
    struct error err = {0};
    struct part *part = NULL;
    struct tokenizer *t = NULL;
    json_error_t at;
    json_t *entry;
    size_t i;
    snprintf(path, sizeof path, "%s/smollm2.gguf", models ? models : "");
    if (!models || access(path, R_OK) != 0)
        skip();
    if (part_open(&part, PART_LLM, path, &err) || part_tokenizer(part, &t, &err))
        fail_msg("%s", err.message);
    json_t *entries = json_load_file("tests/golden/text_tokenizers.json", 0, &at);
    int checked = 0;
    json_array_foreach(entries, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "name")), "smollm2") != 0)
            continue;
        check_strings(t, entry, STRING_COUNT);
        checked++;
    }
    assert_int_equal(checked, 1);
    json_decref(entries);
    tokenizer_free(t);
    part_close(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_smollm2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
