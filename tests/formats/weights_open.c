/* weights_open: each format by its first bytes, folders, and what it says of files that hold no
   weights. */
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

static char folder[] = "/tmp/mome-weights-XXXXXX";
static char path[300];
static struct strbuf file;

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    struct error err;
    assert_int_equal(file_write(in_folder(name), bytes, size, &err), 0);
}

static void make_safetensors(void)
{
    const char *header = "{\"__metadata__\":{\"k\":\"v\"},\"s\":{\"dtype\":\"F32\",\"shape\":[1],"
                         "\"data_offsets\":[0,4]}}";
    strbuf_clear(&file);
    put_text(&file, header, 8);
    put_float(&file, 7);
}

static void make_gguf(void)
{
    strbuf_clear(&file);
    strbuf_adds(&file, "GGUF");
    put(&file, 3, 4), put(&file, 1, 8), put(&file, 3, 8);
    put_text(&file, "general.name", 8), put(&file, 8, 4), put_text(&file, "made", 8);
    put_text(&file, "n", 8), put(&file, NUMBER_U8, 4), put(&file, 9, 1);
    put_text(&file, "list", 8), put(&file, 9, 4), put(&file, NUMBER_F32, 4), put(&file, 2, 8);
    put_float(&file, 1), put_float(&file, -2.5f);
    put_text(&file, "g", 8), put(&file, 1, 4), put(&file, 1, 8), put(&file, 0, 4);
    put(&file, 0, 8);
    while (file.length % 32)
        put(&file, 0, 1);
    put_float(&file, 7);
}

static void make_ggml(void)
{
    strbuf_clear(&file);
    strbuf_adds(&file, "lmgg");
    for (int i = 0; i < 14; i++)
        put(&file, 0, 4); /* header, no filters, no words */
    put(&file, 1, 4), put(&file, 1, 4), put(&file, 0, 4), put(&file, 1, 4);
    strbuf_adds(&file, "m");
    put_float(&file, 7);
}

static void make_ct2(void)
{
    strbuf_clear(&file);
    put(&file, 6, 4), put(&file, 2, 2);
    strbuf_add(&file, "S", 2);
    put(&file, 1, 4), put(&file, 1, 4), put(&file, 2, 2);
    strbuf_add(&file, "c", 2);
    put(&file, 1, 1), put(&file, 1, 4), put(&file, 0, 1), put(&file, 4, 4);
    put_float(&file, 7);
    put(&file, 0, 4);
}

static void check_one(enum weights_format format, const char *name)
{
    struct weights *w;
    struct error err = {0};
    float value = 0;
    write_file("weights", file.data, file.length);
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.message);
    assert_int_equal(weights_format(w), format);
    assert_string_equal(weights_path(w), path);
    assert_int_equal(weights_count(w), 1);
    assert_int_equal(weights_bytes(w), 4);
    assert_ptr_equal(weights_find(w, name), weights_at(w, 0));
    assert_null(weights_find(w, "no such"));
    assert_null(weights_array(w, "no such"));
    assert_null(weights_text(w, "no such"));
    assert_int_equal(stored_read(&value, weights_at(w, 0), 0, 1, &err), 0);
    assert_true(value == 7);
    weights_close(w);
}

static void test_formats(void **state)
{
    (void)state;
    make_safetensors();
    check_one(WEIGHTS_SAFETENSORS, "s");
    make_gguf();
    check_one(WEIGHTS_GGUF, "g");
    make_ggml();
    check_one(WEIGHTS_GGML, "m");
    make_ct2();
    check_one(WEIGHTS_CT2, "c");
    assert_string_equal(weights_format_name(WEIGHTS_CT2), "CTranslate2");
}

static void test_metadata(void **state)
{
    (void)state;
    struct weights *w;
    struct error err = {0};
    double value = -1;
    make_gguf();
    write_file("weights", file.data, file.length);
    assert_int_equal(weights_open(&w, path, &err), 0);
    assert_string_equal(weights_text(w, "general.name"), "made");
    assert_null(weights_text(w, "n"));
    assert_false(weights_number(w, "general.name", &value));
    assert_false(weights_number(w, "list", &value));
    assert_true(value == -1);
    assert_true(weights_number(w, "n", &value) && value == 9);
    const struct weights_array *a = weights_array(w, "list");
    assert_null(weights_array(w, "n"));
    assert_true(weights_array_count(a) == 2 && !weights_array_is_text(a));
    assert_true(weights_array_number(a, 1) == -2.5);
    weights_close(w);
}

static void expect_refused(const char *name, const void *bytes, size_t size, int code,
                           const char *words)
{
    struct weights *w;
    struct error err = {0};
    write_file(name, bytes, size);
    int rc = weights_open(&w, path, &err);
    if (rc != code || w || !strstr(err.message, words) || !strstr(err.message, path))
        fail_msg("%s: %d %s, not \"%s\"", name, rc, err.message, words);
    unlink(path);
}

static void test_foreign(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *words;
        int length; /* 0: as the text */
    } cases[] = {
        {"", "this is an empty file; expected are weights: safetensors, GGUF", 0},
        {"{\"version\":\"1.0\",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}",
         "this is a tokenizer (tokenizer.json), not a model", 0},
        {" \n{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0}}}",
         "this is a Llama tokenizer (tokenizer.json), not a model", 0},
        {"{\"tokenizer_class\":\"LlamaTokenizer\"}", "this is a tokenizer's settings", 0},
        {"{\"architectures\":[\"Llama\"],\"model_type\":\"llama\"}",
         "this is a model's configuration (config.json), not its weights", 0},
        {"{\"feature_extractor_type\":\"Whisper\"}", "a feature extractor's settings", 0},
        {"{\"a\":1}", "this is a JSON text", 0},
        {"[1, 2]", "this is a JSON text", 0},
        {"{\"a\":", "this is a text", 0},
        {"<!DOCTYPE html>\n<html>", "this is an HTML page", 0},
        {"\r\n<HTML lang=en>", "this is an HTML page", 0},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n",
         "this is a Git LFS pointer, not the file itself", 0},
        {"\x89PNG\r\n\x1a\n", "a picture (PNG)", 0},
        {"\xff\xd8\xff\xe0", "a picture (JPEG)", 0},
        {"\0\0\0\x20"
         "ftypisom",
         "a video or sound (MP4)", 12},
        {"RIFF\x10\0\0\0WAVEfmt ", "a sound (WAV)", 16},
        {"OggS\0\2", "a sound (Ogg)", 6},
        {"\x1f\x8b\x08\0", "a gzip archive: unpack it first", 4},
        {"tjgg\1\0\0\0", "an old llama.cpp file (GGJT)", 8},
        {"\x89HDF\r\n\x1a\n", "an HDF5 file", 0},
        {"\x0a\x0e\x0a\x05<unk>\x15", "a SentencePiece tokenizer", 0},
        {"hello, world\n", "this is a text", 0},
        {"\1\2", "this is 2 bytes long only", 0},
        {"\1\2\3\4\5\6\7\x7f", "of an unknown kind (it begins 01 02 03 04)", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused("foreign", cases[i].bytes,
                       cases[i].length ? (size_t)cases[i].length : strlen(cases[i].bytes),
                       ERROR_FORMAT, cases[i].words);
    char tar[512] = "folder/";
    memcpy(tar + 257, "ustar", 5);
    expect_refused("a.tar", tar, sizeof tar, ERROR_FORMAT, "this is a tar archive");
}

/* llama2.c: dim 8, hidden 16, 1 layer, 2 heads, 1 of keys and values, 5 words, length 4 */
static void test_llama2c(void **state)
{
    (void)state;
    static const int32_t header[] = {8, 16, 1, 2, 1, 5, 4};
    int floats = 5 * 8 + (2 * 8 + 2 * 64 + 2 * 8 * 4 + 3 * 8 * 16) + 8 + 4 * 4;
    strbuf_clear(&file);
    for (int i = 0; i < 7; i++)
        put(&file, (uint64_t)header[i], 4);
    for (int i = 0; i < floats; i++)
        put_float(&file, (float)i);
    expect_refused("stories.bin", file.data, file.length, ERROR_FORMAT, "a model of llama2.c");
    put(&file, 0, 4);
    expect_refused("stories.bin", file.data, file.length, ERROR_FORMAT, "unknown kind");
    strbuf_clear(&file);
    put(&file, 5, 4);
    put_float(&file, 0), put_text(&file, "<unk>", 4), put_float(&file, -1), put_text(&file, "a", 4);
    expect_refused("tok.bin", file.data, file.length, ERROR_FORMAT,
                   "a Llama tokenizer of llama2.c");
}

static void test_truncated(void **state)
{
    (void)state;
    make_gguf();
    expect_refused("cut", file.data, file.length - 1, ERROR_FORMAT,
                   "it needs 4 bytes, there are 3");
    expect_refused("cut", file.data, 30, ERROR_FORMAT, "this GGUF file is truncated");
    make_ct2();
    expect_refused("cut", file.data, 20, ERROR_FORMAT, "this CTranslate2 file is truncated");
    make_ggml();
    expect_refused("cut", file.data, 20, ERROR_FORMAT, "this whisper.cpp file is truncated");
    make_safetensors();
    expect_refused("cut", file.data, 40, ERROR_FORMAT, "safetensors file, or truncated");
}

static void expect_folder(int code, enum weights_format format, const char *words)
{
    struct weights *w;
    struct error err = {0};
    int rc = weights_open(&w, folder, &err);
    if (rc != code || (!rc && weights_format(w) != format) || !strstr(err.message, words))
        fail_msg("%d %s, not \"%s\"", rc, err.message, words);
    assert_true(rc || strncmp(weights_path(w), folder, strlen(folder)) == 0);
    weights_close(w);
}

/* From the last choice to the first: each new file is preferred to those that are there. */
static void test_folder(void **state)
{
    (void)state;
    struct weights *w;
    struct error err = {0};
    unlink(in_folder("weights"));
    expect_folder(ERROR_IO, 0, "no weights in this folder");
    make_gguf();
    write_file("a.gguf", file.data, file.length);
    expect_folder(0, WEIGHTS_GGUF, "");
    write_file("b.gguf", file.data, file.length);
    expect_folder(ERROR_USAGE, 0, "several *.gguf");
    make_ct2();
    write_file("model.bin", file.data, file.length);
    expect_folder(0, WEIGHTS_CT2, "");
    make_safetensors();
    write_file("model.safetensors", file.data, file.length);
    expect_folder(0, WEIGHTS_SAFETENSORS, "");
    assert_int_equal(weights_open(&w, in_folder("nothing"), &err), ERROR_IO);
    assert_non_null(strstr(err.message, "No such file"));
    static const char *const names[] = {"a.gguf", "b.gguf", "model.bin", "model.safetensors"};
    for (int i = 0; i < 4; i++)
        unlink(in_folder(names[i]));
}

/* The real thing, where it is: files people may well name. */
static void test_published(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int format; /* -1: refused, with */
        const char *words;
    } cases[] = {
        {"../shared/data/models/silero_vad_16k.safetensors", WEIGHTS_SAFETENSORS, ""},
        {"../shared/data/models/yunet_n.pth", WEIGHTS_TORCH, ""},
        {"../shared/data/models/mtcnn-onet.pt", WEIGHTS_TORCH, ""},
        {"../shared/data/models/llama2-tokenizer.json", -1, "this is a Llama tokenizer"},
        {"../shared/data/models/stories260K.bin", -1, "this is a model of llama2.c"},
        {"../shared/data/models/tok512.bin", -1, "this is a Llama tokenizer of llama2.c"},
        {"../shared/data/models", -1, "no weights in this folder"},
    };
    if (access(cases[0].path, R_OK) != 0)
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights *w;
        struct error err = {0};
        int rc = weights_open(&w, cases[i].path, &err);
        if ((rc == 0) != (cases[i].format >= 0) || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d %s", cases[i].path, rc, err.message);
        assert_true(rc || (int)weights_format(w) == cases[i].format);
        assert_true(rc || weights_count(w) > 10);
        weights_close(w);
    }
}

static int make_folder(void **state)
{
    (void)state;
    strbuf_init(&file, 1 << 20);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    strbuf_release(&file);
    unlink(in_folder("weights"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),   cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_foreign),   cmocka_unit_test(test_llama2c),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_folder),
        cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
