/* A whisper.cpp file of three tensors, read back; then made wrong in every field and cut at every
   byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made_weights.h"
#include "weights/ggml.h"

static struct strbuf file;

static struct {
    size_t header, mels, words, first_word, tensors, dims, name_length, type, size, name, second;
} at;

static void tensor(const char *name, int dims, const int *sizes, uint32_t type)
{
    at.dims = file.length;
    put(&file, (uint64_t)dims, 4);
    at.name_length = file.length;
    put(&file, strlen(name), 4);
    at.type = file.length;
    put(&file, type, 4);
    at.size = file.length;
    for (int i = 0; i < dims; i++)
        put(&file, (uint64_t)sizes[i], 4);
    at.name = file.length;
    strbuf_adds(&file, name);
}

static void make(void)
{
    strbuf_clear(&file);
    strbuf_adds(&file, "lmgg");
    at.header = file.length;
    for (int i = 0; i < 10; i++)
        put(&file, (uint64_t)(100 + i), 4);
    put(&file, 2002, 4);
    at.mels = file.length;
    put(&file, 2, 4), put(&file, 3, 4);
    for (int i = 0; i < 6; i++)
        put_float(&file, (float)i / 4);
    at.words = file.length;
    put(&file, 2, 4);
    at.first_word = file.length;
    put_text(&file, "hello", 4), put_text(&file, "", 4);
    at.tensors = file.length;
    tensor("conv.weight", 3, (int[]){3, 2, 1}, 0);
    for (int i = 0; i < 6; i++)
        put_float(&file, (float)i);
    at.second = file.length;
    tensor("q", 2, (int[]){32, 2}, 2); /* Q4_0 */
    for (int i = 0; i < 36; i++)
        put(&file, (uint64_t)i, 1);
    tensor("b", 1, (int[]){2}, 1); /* F16 */
    put(&file, 0x3c00, 2), put(&file, 0xc000, 2);
}

static void test_good(void **state)
{
    (void)state;
    struct made m;
    struct error err = {0};
    float values[6];
    make();
    if (made_read(&m, ggml_read, file.data, file.length, &err))
        fail_msg("%s", err.message);
    assert_int_equal(m.tensors.count, 3);
    const struct stored_tensor *t = tensor_list_find(&m.tensors, "conv.weight");
    assert_true(t->dims == 3 && t->shape[0] == 1 && t->shape[1] == 2 && t->shape[2] == 3);
    assert_int_equal(stored_read(values, t, 0, 6, &err), 0);
    assert_true(values[0] == 0 && values[5] == 5);
    t = tensor_list_find(&m.tensors, "q");
    assert_true(t->dtype == DTYPE_Q4_0 && t->shape[0] == 2 && t->shape[1] == 32 && t->bytes == 36);
    t = tensor_list_find(&m.tensors, "b");
    assert_int_equal(stored_read(values, t, 0, 2, &err), 0);
    assert_true(values[0] == 1 && values[1] == -2);
    assert_true(metadata_find(&m.metadata, "n_vocab")->number == 100);
    assert_true(metadata_find(&m.metadata, "n_audio_state")->number == 102);
    assert_true(metadata_find(&m.metadata, "n_mels")->number == 109);
    assert_true(metadata_find(&m.metadata, "ftype")->number == 2002);
    const struct weights_array *filters = &metadata_find(&m.metadata, "mel_filters")->array;
    assert_true(filters->count == 6 && number_read(filters->type, filters->numbers + 20) == 1.25);
    const struct weights_array *words = &metadata_find(&m.metadata, "tokens")->array;
    assert_true(words->count == 2 && words->texts[0].length == 5 && words->texts[1].length == 0);
    assert_memory_equal(words->texts[0].data, "hello", 5);
    made_close(&m);
}

/* There is no count of tensors: a file cut between two of them is a shorter file. */
static void test_truncated(void **state)
{
    (void)state;
    make();
    size_t third = at.dims;
    for (size_t n = 0; n < file.length; n++) {
        struct made m;
        struct error err = {0};
        int rc = made_read(&m, ggml_read, file.data, n, &err);
        bool whole = n == at.tensors || n == at.second || n == third;
        if (rc != (whole ? 0 : ERROR_FORMAT))
            fail_msg("%zu of %zu bytes: %d %s", n, file.length, rc, err.message);
        made_close(&m);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    make();
    const struct patch patches[] = {
        {at.header, 0x80000000, 4, "n_vocab is -2147483648"},
        {at.header + 4, UINT32_MAX, 4, "n_audio_ctx is -1"},
        {at.mels, UINT32_MAX, 4, "mel filters"},
        {at.mels + 4, 1 << 30, 4, "mel filters"},
        {at.mels, 1 << 24, 4, "truncated"},
        {at.words, UINT32_MAX, 4, "truncated"},
        {at.words, 1 << 20, 4, "truncated"},
        {at.words, 20, 4, "truncated"},
        {at.first_word, UINT32_MAX, 4, "truncated"},
        {at.dims, 5, 4, "5 dimensions"},
        {at.dims, UINT32_MAX, 4, "dimensions"},
        {at.name_length, 0, 4, "name"},
        {at.name_length, 1 << 20, 4, "truncated"},
        {at.name_length, UINT32_MAX, 4, "truncated"},
        {at.type, 4, 4, "unknown type 4"},
        {at.type, UINT32_MAX, 4, "unknown type"},
        {at.type, 8, 4, "which Q8_0 cannot be"},
        {at.type, 0, 4, "tensor b lies outside the file: it needs 8 bytes, there are 4"},
        {at.size, UINT32_MAX, 4, "needs a shape"},
        {at.size, INT32_MAX, 4, "outside"},
        {at.size, 1, 4, "truncated"}, /* the rest is a tensor of two bytes */
        {at.name, 0x1b, 1, "name"},
        {at.name, 'q', 1, "tensor q is there twice"},
    };
    expect_patches(&file, ggml_read, patches, sizeof patches / sizeof *patches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_wrong),
    };
    strbuf_init(&file, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    strbuf_release(&file);
    return failed;
}
