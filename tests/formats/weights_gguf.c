/* A GGUF file with every kind of value, read back; then made wrong in every field and cut at every
   byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_weights.h"
#include "weights/gguf.h"

#include <math.h>

enum { STRING = 8, ARRAY = 9 };

static struct strbuf file;

/* Where in the file what is made wrong below is. */
static struct {
    size_t version, tensors, values, first_key, text, bool_type, texts, first_text, numbers, nested,
        nested_count, alignment, alignment_value, name, second_name, dims, size, type, offset, data;
} at;

static void key(const char *name, uint32_t type)
{
    put_text(&file, name, 8);
    put(&file, type, 4);
}

static void tensor(const char *name, int dims, const uint64_t *sizes, uint32_t type,
                   uint64_t offset)
{
    put_text(&file, name, 8);
    at.dims = file.length;
    put(&file, (uint64_t)dims, 4);
    at.size = file.length;
    for (int i = 0; i < dims; i++)
        put(&file, sizes[i], 8);
    at.type = file.length;
    put(&file, type, 4);
    at.offset = file.length;
    put(&file, offset, 8);
}

static void make_values(void)
{
    at.first_key = file.length;
    key("u8", NUMBER_U8), put(&file, 200, 1);
    key("i8", NUMBER_I8), put(&file, 200, 1);
    key("u16", NUMBER_U16), put(&file, 40000, 2);
    key("i16", NUMBER_I16), put(&file, 40000, 2);
    key("u32", NUMBER_U32), put(&file, 4000000000, 4);
    key("i32", NUMBER_I32), put(&file, 4000000000, 4);
    key("f32", NUMBER_F32), put_float(&file, 1e-5f);
    at.bool_type = file.length + 8 + 4;
    key("bool", NUMBER_BOOL), put(&file, 1, 1);
    key("u64", NUMBER_U64), put(&file, (uint64_t)1 << 40, 8);
    key("i64", NUMBER_I64), put(&file, (uint64_t)-3, 8);
    key("f64", NUMBER_F64), put(&file, 0x3ff8000000000000, 8); /* 1.5 */
    key("text", STRING);
    at.text = file.length;
    put_text(&file, "llama", 8);
    key("texts", ARRAY), put(&file, STRING, 4);
    at.texts = file.length;
    put(&file, 3, 8);
    at.first_text = file.length;
    put_text(&file, "a", 8), put_text(&file, "", 8), put_text(&file, "\xff\xfe", 8);
    key("numbers", ARRAY), put(&file, NUMBER_I16, 4);
    at.numbers = file.length;
    put(&file, 2, 8), put(&file, 5, 2), put(&file, (uint64_t)-6, 2);
    key("nested", ARRAY);
    at.nested = file.length;
    put(&file, ARRAY, 4), put(&file, 2, 8);
    put(&file, NUMBER_U32, 4);
    at.nested_count = file.length;
    put(&file, 1, 8), put(&file, 7, 4);
    put(&file, STRING, 4), put(&file, 1, 8), put_text(&file, "x", 8);
    at.alignment = file.length + 8;
    key("general.alignment", NUMBER_U32);
    at.alignment_value = file.length;
    put(&file, 64, 4);
}

static void make(uint32_t version)
{
    strbuf_clear(&file);
    strbuf_adds(&file, "GGUF");
    at.version = file.length;
    put(&file, version, 4);
    at.tensors = file.length;
    put(&file, 5, 8);
    at.values = file.length;
    put(&file, 16, 8);
    make_values();
    at.second_name = file.length;
    tensor("b", 2, (uint64_t[]){64, 2}, 8, 64); /* Q8_0, 136 bytes */
    tensor("c", 1, (uint64_t[]){3}, 30, 256);   /* BF16 */
    tensor("d", 1, (uint64_t[]){256}, 10, 320); /* Q2_K, 84 bytes */
    tensor("e", 1, (uint64_t[]){5}, 99, 448);   /* nobody knows */
    at.name = file.length;
    tensor("a", 3, (uint64_t[]){3, 2, 1}, 0, 448);
    while (file.length % 64)
        put(&file, 0, 1);
    at.data = file.length;
    for (int i = 0; i < 448; i++)
        put(&file, (uint64_t)i, 1);
    for (int i = 0; i < 6; i++)
        put_float(&file, (float)i - 2.5f);
}

static double number(const struct made *m, const char *name)
{
    const struct metadata_entry *e = metadata_find(&m->metadata, name);
    assert_true(e && e->is_number);
    return e->number;
}

static void check_metadata(const struct made *m)
{
    static const struct {
        const char *key;
        double value;
    } numbers[] = {{"u8", 200},
                   {"i8", -56},
                   {"u16", 40000},
                   {"i16", -25536},
                   {"u32", 4000000000},
                   {"i32", -294967296},
                   {"f32", (double)1e-5f},
                   {"bool", 1},
                   {"u64", 1099511627776},
                   {"i64", -3},
                   {"f64", 1.5},
                   {"general.alignment", 64}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(number(m, numbers[i].key) == numbers[i].value);
    assert_string_equal(metadata_find(&m->metadata, "text")->text, "llama");
    assert_null(metadata_find(&m->metadata, "nested"));
    assert_null(metadata_find(&m->metadata, "tex"));
    const struct weights_array *texts = &metadata_find(&m->metadata, "texts")->array;
    const struct weights_array *numbers_of = &metadata_find(&m->metadata, "numbers")->array;
    assert_true(texts->count == 3 && texts->texts[0].length == 1 && texts->texts[0].data[0] == 'a');
    assert_true(texts->texts[1].length == 0 && texts->texts[2].length == 2);
    assert_memory_equal(texts->texts[2].data, "\xff\xfe", 2);
    assert_true(numbers_of->count == 2 && !numbers_of->texts);
    assert_true(number_read(numbers_of->type, numbers_of->numbers) == 5);
    assert_true(number_read(numbers_of->type, numbers_of->numbers + 2) == -6);
}

static void test_good(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct made m;
        struct error err = {0};
        float values[64];
        make(version);
        if (made_read(&m, gguf_read, file.data, file.length, &err))
            fail_msg("%s", err.message);
        check_metadata(&m);
        assert_int_equal(m.tensors.count, 5);
        const struct stored_tensor *a = tensor_list_find(&m.tensors, "a");
        assert_true(a->dims == 3 && a->shape[0] == 1 && a->shape[1] == 2 && a->shape[2] == 3);
        assert_true(a->dtype == DTYPE_F32 && a->bytes == 24);
        assert_int_equal(stored_read(values, a, 0, 6, &err), 0);
        for (int i = 0; i < 6; i++)
            assert_true(values[i] == (float)i - 2.5f);
        const struct stored_tensor *b = tensor_list_find(&m.tensors, "b");
        assert_true(b->dtype == DTYPE_Q8_0 && b->bytes == 136 && b->shape[1] == 64);
        assert_int_equal(b->data[0], 64);
        assert_int_equal(stored_read(values, b, 64, 64, &err), 0);
        assert_true(tensor_list_find(&m.tensors, "c")->dtype == DTYPE_BF16);
        const struct stored_tensor *d = tensor_list_find(&m.tensors, "d");
        assert_true(d->dtype == DTYPE_OTHER && d->bytes == 84 && d->count == 256);
        const struct stored_tensor *e = tensor_list_find(&m.tensors, "e");
        assert_true(e->dtype == DTYPE_OTHER && e->bytes == 0 && e->count == 5);
        assert_int_equal(stored_read(values, e, 0, 5, &err), ERROR_UNSUPPORTED);
        made_close(&m);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    make(3);
    expect_cuts(&file, gguf_read, 0);
}

static void test_wrong(void **state)
{
    (void)state;
    make(3);
    const struct patch patches[] = {
        {at.version, 1, 4, "a version 1"},
        {at.version, 0x03000000, 4, "big-endian"},
        {at.version, 4, 4, "version 4"},
        {at.version, 0, 4, "version 0"},
        {at.tensors, 6, 8, "truncated"},
        {at.tensors, UINT64_MAX, 8, "truncated"},
        {at.tensors, 4, 8, NULL},
        {at.values, 17, 8, ""}, /* the first tensor as a value */
        {at.values, UINT64_MAX, 8, ""},
        {at.first_key, 0, 8, "unknown type"},
        {at.first_key, UINT64_MAX, 8, "truncated"},
        {at.first_key, (uint64_t)1 << 63, 8, "truncated"},
        {at.first_key + 8, 0x07, 1, "not text"},
        {at.first_key + 8, 'i', 1, "i8 is there twice"},
        {at.bool_type, 13, 4, "unknown type 13"},
        {at.bool_type, UINT32_MAX, 4, "unknown type"},
        {at.bool_type, STRING, 4, "truncated"},
        {at.text, UINT64_MAX - 7, 8, "truncated"},
        {at.texts, UINT64_MAX, 8, "truncated"},
        {at.texts, (uint64_t)1 << 61, 8, "truncated"},
        {at.texts - 4, 77, 4, "unknown type 77"},
        {at.first_text, 1 << 20, 8, "truncated"},
        {at.numbers, (uint64_t)1 << 63, 8, "truncated"},
        {at.numbers, 1 << 20, 8, "truncated"},
        {at.nested + 4, (uint64_t)1 << 60, 8, ""},
        {at.nested_count, (uint64_t)1 << 62, 8, "truncated"},
        {at.nested_count - 4, 55, 4, "unknown type 55"},
        {at.alignment, 'x', 1, NULL}, /* no such key: 32 */
        {at.alignment_value, 0, 4, "power of two"},
        {at.alignment_value, 48, 4, "power of two"},
        {at.alignment_value, 1u << 31, 4, "power of two"},
        {at.alignment_value, 128, 4, "not aligned to 128"},
        {at.second_name + 8, 'a', 1, "tensor a is there twice"},
        {at.name + 8, '\n', 1, "name"},
        {at.name, 0, 8, ""},
        {at.dims, 9, 4, "9 dimensions"},
        {at.dims, UINT32_MAX, 4, ""},
        {at.size, (uint64_t)1 << 62, 8, "tensor a needs a shape"},
        {at.size, UINT64_MAX, 8, "tensor a needs a shape"},
        {at.size, 4, 8, "tensor a lies outside the file: it needs 32 bytes, there are 24"},
        {at.type, 8, 4, "tensor a is 1x2x3, which Q8_0 cannot be"},
        {at.type, 10, 4, "which other cannot be"},
        {at.offset, 512, 8, "tensor a lies outside the file: it needs 24 bytes, there are 0"},
        {at.offset, 449, 8, "tensor a is not aligned to 64 bytes"},
        {at.offset, UINT64_MAX - 63, 8, "outside the file"},
    };
    expect_patches(&file, gguf_read, patches, sizeof patches / sizeof *patches);
}

/* Lists in lists in lists: refused, not followed to the end of the stack. */
static void test_nesting(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    strbuf_clear(&file);
    strbuf_adds(&file, "GGUF");
    put(&file, 3, 4), put(&file, 0, 8), put(&file, 1, 8);
    key("deep", ARRAY);
    for (int i = 0; i < 100000; i++)
        put(&file, ARRAY, 4), put(&file, 1, 8);
    assert_int_equal(made_read(&m, gguf_read, file.data, file.length, &err), ERROR_LIMIT);
    assert_non_null(strstr(err.message, "nest"));
    made_close(&m);
}

static void test_parts(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    strbuf_clear(&file);
    strbuf_adds(&file, "GGUF");
    put(&file, 3, 4), put(&file, 0, 8), put(&file, 1, 8);
    key("split.count", NUMBER_U16), put(&file, 3, 2);
    assert_int_equal(made_read(&m, gguf_read, file.data, file.length, &err), ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "one of 3 parts"));
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_wrong), cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_parts),
    };
    strbuf_init(&file, 1 << 24);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    strbuf_release(&file);
    return failed;
}
