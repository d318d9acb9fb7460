/* CTranslate2 files of versions 2 to 6, read back; then made wrong in every field and cut at every
   byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_weights.h"
#include "weights/ct2.h"

static struct strbuf file;

static struct {
    size_t version, specification, variables, name, dims, size, type, bytes, aliases, alias, of;
} at;

static void name(const char *text)
{
    put(&file, strlen(text) + 1, 2);
    strbuf_add(&file, text, strlen(text) + 1);
}

/* type: of version 4 on; older ones say the bytes of a number. */
static void variable(uint32_t version, const char *of, int dims, const uint32_t *sizes,
                     uint32_t type, uint32_t width, uint32_t count)
{
    at.name = file.length;
    name(of);
    at.dims = file.length;
    put(&file, (uint64_t)dims, 1);
    at.size = file.length;
    for (int i = 0; i < dims; i++)
        put(&file, sizes[i], 4);
    at.type = file.length;
    put(&file, version < 4 ? width : type, 1);
    at.bytes = file.length;
    put(&file, version < 4 ? count : count * width, 4);
}

static void make(uint32_t version)
{
    strbuf_clear(&file);
    at.version = file.length;
    put(&file, version, 4);
    at.specification = file.length;
    name("WhisperSpec");
    put(&file, 3, 4);
    at.variables = file.length;
    put(&file, 5, 4);
    variable(version, "encoder/num_heads", 0, NULL, 2, 2, 1), put(&file, 8, 2);
    variable(version, "scale", 0, NULL, 0, 4, 1), put_float(&file, 0.5f);
    variable(version, "w", 2, (uint32_t[]){2, 3}, 1, 1, 6);
    strbuf_add(&file, "abcdef", 6);
    variable(version, "w_scale", 1, (uint32_t[]){2}, 0, 4, 2);
    put_float(&file, 1), put_float(&file, 2);
    variable(version, "a", 2, (uint32_t[]){3, 1}, 0, 4, 3);
    for (int i = 0; i < 3; i++)
        put_float(&file, (float)i);
    if (version < 3)
        return;
    at.aliases = file.length;
    put(&file, 3, 4);
    at.alias = file.length;
    name("b"), name("w");
    at.of = file.length;
    name("c"), name("a");
    name("d"), name("nothing");
}

static void test_good(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 6; version++) {
        struct made m;
        struct error err = {0};
        float values[3];
        make(version);
        if (made_read(&m, ct2_read, file.data, file.length, &err))
            fail_msg("%s", err.message);
        assert_true(ct2_sniff((unsigned char *)file.data, file.length));
        assert_int_equal(m.tensors.count, version < 3 ? 3 : 6);
        const struct stored_tensor *a = tensor_list_find(&m.tensors, "a");
        assert_true(a->dims == 2 && a->shape[0] == 3 && a->shape[1] == 1);
        assert_int_equal(stored_read(values, a, 0, 3, &err), 0);
        assert_true(values[0] == 0 && values[2] == 2);
        const struct stored_tensor *w = tensor_list_find(&m.tensors, "w");
        assert_true(w->dtype == DTYPE_OTHER && w->bytes == 6 && w->data[5] == 'f');
        const struct stored_tensor *b = tensor_list_find(&m.tensors, "b");
        const struct stored_tensor *scale = tensor_list_find(&m.tensors, "b_scale");
        assert_true(version < 3 ? !b : b->data == w->data && b->shape[1] == 3);
        assert_true(version < 3 ? !scale
                                : scale->data == tensor_list_find(&m.tensors, "w_scale")->data);
        assert_true(metadata_find(&m.metadata, "encoder/num_heads")->number == 8);
        assert_true(metadata_find(&m.metadata, "scale")->number == 0.5);
        assert_true(metadata_find(&m.metadata, "version")->number == version);
        assert_true(metadata_find(&m.metadata, "revision")->number == 3);
        assert_string_equal(metadata_find(&m.metadata, "specification")->text, "WhisperSpec");
        made_close(&m);
    }
}

static void test_halves(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    float value;
    strbuf_clear(&file);
    put(&file, 6, 4), name("S"), put(&file, 1, 4), put(&file, 3, 4);
    variable(6, "f16", 1, (uint32_t[]){1}, 4, 2, 1), put(&file, 0xc000, 2);
    variable(6, "bf16", 1, (uint32_t[]){1}, 5, 2, 1), put(&file, 0xc040, 2);
    variable(6, "setting", 0, NULL, 4, 2, 1), put(&file, 0x3c00, 2);
    put(&file, 0, 4);
    assert_int_equal(made_read(&m, ct2_read, file.data, file.length, &err), 0);
    assert_int_equal(stored_read(&value, tensor_list_find(&m.tensors, "f16"), 0, 1, &err), 0);
    assert_true(value == -2);
    assert_int_equal(stored_read(&value, tensor_list_find(&m.tensors, "bf16"), 0, 1, &err), 0);
    assert_true(value == -3);
    assert_true(metadata_find(&m.metadata, "setting")->number == 1);
    made_close(&m);
}

static void test_truncated(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 6; version++) {
        make(version);
        expect_cuts(&file, ct2_read, 4);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    make(6);
    const struct patch patches[] = {
        {at.version, 7, 4, "version 7"},
        {at.version, 1, 4, "version 1"},
        {at.version, 0, 4, "version 0"},
        {at.version, UINT32_MAX, 4, "version"},
        {at.specification, 0, 2, "truncated"},
        {at.specification, 11, 2, "truncated"}, /* no NUL */
        {at.specification, 13, 2, "truncated"}, /* a NUL inside */
        {at.specification, UINT16_MAX, 2, "truncated"},
        {at.variables, 4, 4, ""},
        {at.variables, 6, 4, ""},
        {at.variables, UINT32_MAX, 4, ""},
        {at.name, 0, 2, "truncated"},
        {at.name + 2, 7, 1, "name"},
        {at.name + 2, 'w', 1, "tensor w is there twice"},
        {at.dims, 9, 1, "9 dimensions"},
        {at.dims, 255, 1, "255 dimensions"},
        {at.dims, 1, 1, ""},
        {at.size, UINT32_MAX, 4, "outside"},
        {at.size, 2, 4, "has 12 bytes, its shape needs 8"},
        {at.size, 4, 4, "outside"},
        {at.type, 6, 1, "unknown type"},
        {at.type, 255, 1, "unknown type"},
        {at.type, 4, 1, "has 12 bytes, its shape needs 6"},
        {at.bytes, UINT32_MAX, 4, "truncated"},
        {at.aliases, UINT32_MAX, 4, "truncated"},
        {at.aliases, 4, 4, "truncated"},
        {at.aliases, 2, 4, "after the last variable"},
        {at.alias, 1, 2, "truncated"}, /* "b" is no NUL */
        {at.alias + 2, '\t', 1, "no proper name"},
        {at.alias + 2, 'w', 1, "tensor w is there twice"},
        {at.of + 2, 'b', 1, "tensor b is there twice"},
    };
    expect_patches(&file, ct2_read, patches, sizeof patches / sizeof *patches);
    make(3);
    expect_patched(&file, ct2_read, at.type, 3, 1, "");
    expect_patched(&file, ct2_read, at.type, 8, 1, "");
    expect_patched(&file, ct2_read, at.bytes, UINT32_MAX, 4, "truncated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_wrong),
    };
    strbuf_init(&file, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    strbuf_release(&file);
    return failed;
}
