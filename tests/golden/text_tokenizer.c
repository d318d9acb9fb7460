/*
 * Our ids of 1000 strings are those of Hugging Face's library for the tokenizer.json that we wrote
 * (hashes made by check_tokenizer.py). Two tokenizers, trained on the strings themselves: with
 * Llama 3's split expression and a prefix space, and with GPT-2's and none.
 * With an argument: the two files stay in that folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *folder;

static struct tokenizer *make(const json_t *rows, int which)
{
    const struct tokenizer_options options = {
        .vocabulary = 1000,
        .split = which ? tokenizer_split_gpt2 : tokenizer_split_llama3,
        .prefix_space = which == 0,
    };
    struct error err = {0};
    struct strbuf text;
    struct tokenizer *trained = NULL, *t = NULL;
    char path[4096];
    strbuf_init(&text, 1 << 24);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        strbuf_adds(&text, json_string_value(json_array_get(json_array_get(rows, i), 0)));
        strbuf_adds(&text, "\n");
    }
    snprintf(path, sizeof path, "%s/%d.json", folder, which);
    if (file_write(path, text.data, text.length, &err) ||
        tokenizer_train(&trained, path, &options, &err) || tokenizer_save(trained, path, &err) ||
        tokenizer_load(&t, path, &err))
        fail_msg("%s", err.message);
    tokenizer_free(trained);
    strbuf_release(&text);
    return t;
}

static void hash_ids(char hash[17], const int32_t *ids, int64_t count)
{
    uint64_t h = 0xcbf29ce484222325;
    for (int64_t i = 0; i < count; i++)
        for (int shift = 0; shift < 32; shift += 8)
            h = (h ^ ((uint32_t)ids[i] >> shift & 255)) * 0x100000001b3;
    snprintf(hash, 17, "%016llx", (unsigned long long)h);
}

static void test_published_ids(void **state)
{
    json_t *rows = *state;
    assert_int_equal(json_array_size(rows), 1000);
    struct tokenizer *both[2] = {make(rows, 0), make(rows, 1)};
    for (int which = 0; which < 2; which++) {
        struct tokenizer *t = both[which];
        assert_true(tokenizer_size(t) > 700);
        for (size_t i = 0; i < json_array_size(rows); i++) {
            json_t *row = json_array_get(rows, i), *text = json_array_get(row, 0);
            struct error err = {0};
            char hash[17];
            size_t length = json_string_length(text);
            int32_t *ids = memory_new(tokenizer_room(t, length), sizeof *ids);
            int64_t count = tokenizer_encode(t, ids, json_string_value(text), length, &err);
            hash_ids(hash, ids, count);
            memory_free(ids);
            if (strcmp(hash, json_string_value(json_array_get(row, 1 + (size_t)which))) != 0)
                fail_msg("tokenizer %d, string %zu: %s", which, i, json_string_value(text));
        }
        tokenizer_free(t);
    }
}

static int read_rows(void **state)
{
    json_error_t at;
    *state = json_load_file("tests/golden/text_tokenizer.json", 0, &at);
    return *state ? 0 : -1;
}

static int free_rows(void **state)
{
    json_decref(*state);
    return 0;
}

int main(int argc, char **argv)
{
    char temporary[] = "/tmp/mome-golden-XXXXXX", path[64];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_published_ids, read_rows, free_rows)};
    folder = argc > 1 ? argv[1] : mkdtemp(temporary);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (argc > 1)
        return failed;
    for (int which = 0; which < 2; which++) {
        snprintf(path, sizeof path, "%s/%d.json", temporary, which);
        unlink(path);
    }
    rmdir(temporary);
    return failed;
}
