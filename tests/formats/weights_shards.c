/* A model cut into shards with an index: found as one set of tensors; indices that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "made_weights.h"
#include "weights/weights.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/mome-shards-XXXXXX";
static char path[300];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Two tensors of one number each. */
static void write_shard(const char *name, const char *a, const char *b, float value)
{
    char header[300];
    struct strbuf file;
    struct error err;
    snprintf(header, sizeof header,
             "{\"__metadata__\":{\"from\":\"%s\"},"
             "\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
             "\"%s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]}}",
             name, a, b);
    strbuf_init(&file, 1000);
    put_text(&file, header, 8);
    put_float(&file, value), put_float(&file, value + 1);
    assert_int_equal(file_write(in_folder(name), file.data, file.length, &err), 0);
    strbuf_release(&file);
}

static void write_index(const char *name, const char *text)
{
    struct error err;
    assert_int_equal(file_write(in_folder(name), text, strlen(text), &err), 0);
}

#define INDEX "model.safetensors.index.json"
static const char good[] = "{\"metadata\": {\"total_size\": 16}, \"weight_map\": {"
                           "\"z\": \"1.safetensors\", \"b\": \"2.safetensors\", "
                           "\"c\": \"1.safetensors\", \"a\": \"2.safetensors\"}}";

static void test_good(void **state)
{
    (void)state;
    struct weights *w;
    struct error err = {0};
    write_index(INDEX, good);
    for (int as_folder = 0; as_folder < 2; as_folder++) {
        if (weights_open(&w, as_folder ? folder : in_folder(INDEX), &err))
            fail_msg("%s", err.message);
        assert_int_equal(weights_format(w), WEIGHTS_SAFETENSORS);
        assert_string_equal(weights_path(w), in_folder(INDEX));
        assert_int_equal(weights_count(w), 4);
        assert_int_equal(weights_bytes(w), 16);
        static const char *const names[] = {"a", "b", "c", "z"};
        static const float values[] = {30, 31, 11, 10};
        for (int i = 0; i < 4; i++) {
            float value;
            assert_string_equal(weights_at(w, i)->name, names[i]);
            assert_ptr_equal(weights_find(w, names[i]), weights_at(w, i));
            assert_int_equal(stored_read(&value, weights_at(w, i), 0, 1, &err), 0);
            assert_true(value == values[i]);
        }
        assert_string_equal(weights_text(w, "from"), "1.safetensors");
        weights_close(w);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *index;
        int code;
        const char *words;
    } cases[] = {
        {"{\"weight_map\": {}}", ERROR_FORMAT, "empty"},
        {"{\"weight_map\": 5}", ERROR_FORMAT, "empty"},
        {"{\"weight_map\": {\"z\": 5}}", ERROR_FORMAT, "no file beside it"},
        {"{\"weight_map\": {\"z\": \"\"}}", ERROR_FORMAT, "no file beside it"},
        {"{\"weight_map\": {\"z\": \"../1.safetensors\"}}", ERROR_FORMAT, "no file beside it"},
        {"{\"weight_map\": {\"z\": \"/etc/passwd\"}}", ERROR_FORMAT, "no file beside it"},
        {"{\"weight_map\": {\"z\": \"..\"}}", ERROR_FORMAT, "no file beside it"},
        {"{\"weight_map\": {\"z\": \"3.safetensors\"}}", ERROR_IO, "3.safetensors: No such file"},
        {"{\"weight_map\": {\"y\": \"1.safetensors\"}}", ERROR_FORMAT, "tensor y is not in "},
        {"{\"weight_map\": {\"z\": \"1.safetensors\", \"a\": \"1.safetensors\"}}", ERROR_FORMAT,
         "tensor a is not in "},
        {"{\"weight_map\": {\"z\": \"1.safetensors\", \"q\": \"twice.safetensors\"}}", ERROR_FORMAT,
         "tensor z is there twice"},
        {"{\"weight_map\": {\"z\": \"" INDEX "\"}}", ERROR_FORMAT, "this is a JSON text"},
        {"{\"weight_map\": {\"z\": \"1.safetensors\", \"m\": \"other.bin\"}}", ERROR_FORMAT,
         "some shards are safetensors, others whisper.cpp"},
        {"{\"weight_map\": {\"z\": \"1.safetensors\", \"z\": \"2.safetensors\"}}", ERROR_FORMAT,
         "this is a JSON text"},
    };
    struct error err;
    static const unsigned char ggml[64] = "lmgg";
    write_shard("twice.safetensors", "z", "q", 5);
    assert_int_equal(file_write(in_folder("other.bin"), ggml, 4 + 14 * 4, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights *w;
        err = (struct error){0};
        write_index(INDEX, cases[i].index);
        int rc = weights_open(&w, in_folder(INDEX), &err);
        if (rc != cases[i].code || w || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d %s", cases[i].index, rc, err.message);
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    write_shard("1.safetensors", "z", "c", 10);
    write_shard("2.safetensors", "a", "b", 30);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"1.safetensors", "2.safetensors", "twice.safetensors",
                                        "other.bin", INDEX};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
