/* The safetensors reader against files made wrong in every field, the writer against the reader,
   rounding to BF16, checkpoints, and a disk that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[] = "/tmp/mome-safetensors-XXXXXX";
static char path[64];

/* Writes a file of this header and data_bytes zeros, and opens it. */
static int open_header(struct weights **s, const char *header, size_t data_bytes, struct error *err)
{
    size_t n = strlen(header), size = 8 + n + data_bytes;
    unsigned char *bytes = calloc(size, 1);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> (8 * i));
    memcpy(bytes + 8, header, n);
    assert_int_equal(file_write(path, bytes, size, err), 0);
    free(bytes);
    return weights_open(s, path, err);
}

#define T(dtype, shape, begin, end)                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_bytes;
        int code;
        const char *words; /* of the message */
    } cases[] = {
        {"{}", 0, 0, ""},
        {"{\"a\":" T("F32", "2", "0", "8") "}", 8, 0, ""},
        {"{\"a\":" T("F32", "", "0", "4") "}   ", 4, 0, ""},
        {"{\"a\":" T("I64", "1", "0", "8") ",\"b\":" T("BF16", "2,3", "8", "20") "}", 20, 0, ""},
        {"{\"b\":" T("F16", "1", "2", "4") ",\"a\":" T("F16", "1", "0", "2") "}", 4, 0, ""},
        {"{\"b\":" T("F16", "1", "0", "2") ",\"a\":" T("F16", "0,9", "0", "0") "}", 2, 0, ""},
        {"{\"__metadata__\":{\"k\":\"v\"}}", 0, 0, ""},
        {"", 0, ERROR_FORMAT, "unknown kind"},
        {"nonsense", 0, ERROR_FORMAT, "unknown kind"},
        {"[]", 0, ERROR_FORMAT, "unknown kind"},
        {"{}x", 0, ERROR_FORMAT, "header"},
        {"{\"a\":" T("F32", "2", "0", "8"), 8, ERROR_FORMAT, "header"},
        {"{\"a\":1}", 0, ERROR_FORMAT, "dtype"},
        {"{\"a\":{}}", 0, ERROR_FORMAT, "dtype"},
        {"{\"a\":" T("F33", "2", "0", "8") "}", 8, ERROR_FORMAT, "dtype"},
        {"{\"a\":" T("F32", "2", "0", "7") "}", 7, ERROR_FORMAT, "7 bytes"},
        {"{\"a\":" T("F32", "3", "0", "8") "}", 8, ERROR_FORMAT, "need 12"},
        {"{\"a\":" T("F32", "2", "0", "8") "}", 7, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "2", "0", "8") "}", 9, ERROR_FORMAT, "1 bytes at the end"},
        {"{\"a\":" T("F32", "2", "8", "0") "}", 8, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "2", "-8", "0") "}", 8, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "2", "9223372036854775800", "9223372036854775807") "}", 8, ERROR_FORMAT,
         "outside"},
        {"{\"a\":" T("F32", "2", "99999999999999999999", "8") "}", 8, ERROR_FORMAT, "header"},
        {"{\"a\":" T("F32", "2", "0.0", "8") "}", 8, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "2", "0,4", "8") "}", 8, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "-2", "0", "8") "}", 8, ERROR_FORMAT, "shape"},
        {"{\"a\":" T("F32", "-1,-2", "0", "8") "}", 8, ERROR_FORMAT, "shape"},
        {"{\"a\":" T("F32", "4294967296,4294967296", "0", "0") "}", 0, ERROR_FORMAT, "shape"},
        {"{\"a\":" T("F32", "4611686018427387904", "0", "0") "}", 0, ERROR_FORMAT, "shape"},
        {"{\"a\":" T("F32", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, ERROR_FORMAT, "shape"},
        {"{\"a\":" T("F32", "\"2\"", "0", "8") "}", 8, ERROR_FORMAT, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, ERROR_FORMAT,
         "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, ERROR_FORMAT, "outside"},
        {"{\"a\":" T("F32", "1", "0", "4") ",\"b\":" T("F32", "1", "0", "4") "}", 4, ERROR_FORMAT,
         "overlaps"},
        {"{\"a\":" T("F32", "2", "0", "8") ",\"b\":" T("F32", "2", "4", "12") "}", 12, ERROR_FORMAT,
         "overlaps"},
        {"{\"a\":" T("F32", "1", "0", "4") ",\"b\":" T("F32", "1", "8", "12") "}", 12, ERROR_FORMAT,
         "gap"},
        {"{\"a\":" T("F32", "1", "4", "8") "}", 8, ERROR_FORMAT, "gap"},
        {"{\"a\":" T("F32", "1", "0", "4") ",\"a\":" T("F32", "1", "4", "8") "}", 8, ERROR_FORMAT,
         "duplicate"},
        {"{\"\":" T("F32", "1", "0", "4") "}", 4, ERROR_FORMAT, "name"},
        {"{\"a\\nb\":" T("F32", "1", "0", "4") "}", 4, ERROR_FORMAT, "name"},
        {"{\"a\\u0000b\":" T("F32", "1", "0", "4") "}", 4, ERROR_FORMAT, "header"},
        {"{\"__metadata__\":{\"k\":1}}", 0, ERROR_FORMAT, "__metadata__"},
        {"{\"__metadata__\":7}", 0, ERROR_FORMAT, "__metadata__"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct weights *s;
        int rc = open_header(&s, cases[i].header, cases[i].data_bytes, &err);
        if (rc != cases[i].code || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d %s", cases[i].header, rc, err.message);
        assert_true(rc == 0 || (!s && strstr(err.message, path)));
        weights_close(s);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    const char *header = "{\"a\":" T("F32", "2", "0", "8") "}";
    unsigned char bytes[200] = {(unsigned char)strlen(header)};
    size_t size = 8 + strlen(header) + 8;
    strcpy((char *)bytes + 8, header);
    for (size_t n = 0; n < size; n++) {
        struct error err = {0};
        struct weights *s;
        assert_int_equal(file_write(path, bytes, n, &err), 0);
        assert_int_equal(weights_open(&s, path, &err), ERROR_FORMAT);
    }
    for (int i = 1; i < 8; i++) { /* a header as long as the world */
        struct error err = {0};
        struct weights *s;
        bytes[i] = 0xff;
        assert_int_equal(file_write(path, bytes, size, &err), 0);
        assert_int_equal(weights_open(&s, path, &err), ERROR_FORMAT);
    }
    struct error err = {0};
    struct weights *s;
    assert_int_equal(weights_open(&s, "/nonexistent", &err), ERROR_IO);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Opens a file of one tensor of two-byte elements. */
static struct weights *open_words(const char *dtype, const uint16_t *words, int count)
{
    unsigned char bytes[400] = {0};
    char *header = (char *)bytes + 8;
    int n = sprintf(header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%d]}}",
                    dtype, count, 2 * count);
    bytes[0] = (unsigned char)n;
    memcpy(bytes + 8 + n, words, 2 * (size_t)count);
    struct error err;
    struct weights *s;
    assert_int_equal(file_write(path, bytes, 8 + (size_t)(n + 2 * count), &err), 0);
    assert_int_equal(weights_open(&s, path, &err), 0);
    return s;
}

static void test_element_types(void **state)
{
    (void)state;
    static const uint16_t halves[] = {0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0400,
                                      0x0001, 0x83ff, 0x7c00, 0xfc00, 0x3555, 0x7e00};
    static const float wanted[] = {0.0f,     -0.0f,     1.0f,       -2.0f,
                                   65504.0f, 0x1p-14f,  0x1p-24f,   -0x1.ff8p-15f,
                                   INFINITY, -INFINITY, 0x1.554p-2f};
    float out[12];
    struct error err = {0};
    struct weights *s = open_words("F16", halves, 12);
    assert_int_equal(stored_read(out, weights_at(s, 0), 0, 12, &err), 0);
    for (int i = 0; i < 11; i++)
        assert_int_equal(bits_of(out[i]), bits_of(wanted[i]));
    assert_true(isnan(out[11]));
    assert_int_equal(stored_read(out, weights_at(s, 0), 2, 1, &err), 0);
    assert_true(out[0] == 1.0f);
    assert_int_equal(stored_read(out, weights_at(s, 0), 11, 2, &err), ERROR_USAGE);
    assert_int_equal(stored_read(out, weights_at(s, 0), -1, 2, &err), ERROR_USAGE);
    assert_null(weights_find(s, "b"));
    assert_null(weights_text(s, "k"));
    weights_close(s);
    s = open_words("I16", halves, 12);
    assert_int_equal(stored_read(out, weights_at(s, 0), 0, 1, &err), ERROR_UNSUPPORTED);
    weights_close(s);
}

/* Nearest BF16, ties to even, sought among the two neighbours in double precision. */
static void test_rounding(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static float in[COUNT], out[COUNT];
    struct random r;
    random_seed(&r, 2);
    static const uint32_t special[] = {0,          0x80000000, 0x3f808000, 0x3f818000, 0x3f808001,
                                       0x3f807fff, 0x7f7fffff, 0x7f800000, 0xff800000, 0x00008000,
                                       0x00018000, 0x7f800001, 0xffffffff};
    for (int i = 0; i < COUNT; i++)
        in[i] = from_bits(i < 13 ? special[i] : (uint32_t)random_next(&r));
    struct error err = {0};
    struct checkpoint_tensor t = {"x", 1, (int64_t[]){COUNT}, in, DTYPE_BF16};
    struct checkpoint *c;
    assert_int_equal(checkpoint_save(path, NULL, &t, 1, &err), 0);
    assert_int_equal(checkpoint_open(&c, path, &err), 0);
    assert_string_equal(checkpoint_metadata(c), "{}");
    assert_int_equal(checkpoint_read(c, out, "x", 1, (int64_t[]){COUNT}, &err), 0);
    for (int i = 0; i < COUNT; i++) {
        if (isnan(in[i])) {
            assert_true(isnan(out[i]));
            continue;
        }
        uint32_t low = bits_of(in[i]) & 0xffff0000, rest = bits_of(in[i]) & 0xffff;
        bool up = rest > 0x8000 || (rest == 0x8000 && (low & 0x10000));
        assert_int_equal(bits_of(out[i]), low + (up ? 0x10000 : 0));
    }
    checkpoint_close(c);
}

static void test_checkpoint(void **state)
{
    (void)state;
    float a[6] = {1, -2, 3.25f, 4, 5, 6}, b[1] = {7}, out[6];
    const struct checkpoint_tensor tensors[] = {
        {"encoder.weight", 2, (int64_t[]){2, 3}, a, DTYPE_F32},
        {"scalar", 0, NULL, b, DTYPE_F32},
        {"empty", 2, (int64_t[]){0, 5}, NULL, DTYPE_F32},
        {"a.bias", 1, (int64_t[]){3}, a, DTYPE_BF16},
    };
    struct error err = {0};
    struct checkpoint *c;
    const char *name;
    assert_int_equal(
        checkpoint_save(path, "{\"step\": 12, \"caf\xc3\xa9\": \"\\n\"}", tensors, 4, &err), 0);
    assert_int_equal(checkpoint_open(&c, path, &err), 0);
    assert_string_equal(checkpoint_metadata(c), "{\"step\": 12, \"caf\xc3\xa9\": \"\\n\"}");
    assert_int_equal(weights_count(checkpoint_tensors(c)), 4);
    assert_true(checkpoint_has(c, "scalar") && !checkpoint_has(c, "scala"));
    assert_int_equal(checkpoint_unread(c, &name), 4);
    assert_string_equal(name, "a.bias");
    assert_int_equal(checkpoint_read(c, out, "encoder.weight", 2, (int64_t[]){2, 3}, &err), 0);
    assert_memory_equal(out, a, sizeof a);
    assert_int_equal(checkpoint_read(c, out, "scalar", 0, NULL, &err), 0);
    assert_true(out[0] == 7);
    assert_int_equal(checkpoint_read(c, out, "empty", 2, (int64_t[]){0, 5}, &err), 0);
    assert_int_equal(checkpoint_read(c, out, "a.bias", 2, (int64_t[]){768, 80}, &err),
                     ERROR_FORMAT);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, ": tensor a.bias is 3, the configuration says 768x80"));
    assert_int_equal(checkpoint_read(c, out, "scalar", 1, (int64_t[]){1}, &err), ERROR_FORMAT);
    assert_int_equal(checkpoint_read(c, out, "other", 0, NULL, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.message, "tensor other is missing"));
    assert_int_equal(checkpoint_unread(c, &name), 1);
    assert_string_equal(name, "a.bias");
    checkpoint_close(c);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    float a[4] = {0};
    struct error err = {0};
    struct safetensors_writer *w;
    struct stored_tensor t[2] = {{.name = "a", .dims = 1, .shape = {2}},
                                 {.name = "a", .dims = 1, .shape = {2}}};
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, NULL, NULL, &err), ERROR_USAGE);
    t[1].name = "b";
    t[1].shape[0] = -2;
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, NULL, NULL, &err), ERROR_USAGE);
    t[1].shape[0] = 2;
    t[1].dtype = DTYPE_OTHER;
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, NULL, NULL, &err), ERROR_USAGE);
    t[1].dtype = DTYPE_BF16;
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, "k", "\xff", &err), ERROR_USAGE);
    unlink(path);
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, NULL, NULL, &err), 0);
    assert_int_equal(safetensors_writer_add(w, a, 3, &err), 0);
    assert_int_equal(safetensors_writer_commit(w, &err), ERROR_USAGE); /* one is missing */
    assert_int_equal(safetensors_writer_open(&w, path, t, 2, NULL, NULL, &err), 0);
    assert_int_equal(safetensors_writer_add(w, a, 4, &err), 0);
    assert_int_equal(safetensors_writer_add(w, a, 1, &err), ERROR_USAGE); /* one too many */
    safetensors_writer_abandon(w);
    assert_int_equal(access(path, F_OK), -1);
}

static int files_in_folder(void)
{
    DIR *dir = opendir(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* A limit on the size of files refuses bytes like a full disk does: the old checkpoint stays, and
   nothing else is left. */
static void test_full_disk(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    static float values[COUNT], out[1];
    struct error err = {0};
    struct rlimit old, small;
    struct checkpoint_tensor t = {"x", 1, (int64_t[]){1}, values, DTYPE_F32};
    values[0] = 5;
    assert_int_equal(checkpoint_save(path, NULL, &t, 1, &err), 0);
    t.shape = (int64_t[]){COUNT};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 0; limit < 4 * COUNT; limit = 3 * limit + 50) {
        small = old;
        small.rlim_cur = limit;
        setrlimit(RLIMIT_FSIZE, &small);
        int rc = checkpoint_save(path, NULL, &t, 1, &err);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(rc, ERROR_IO);
        assert_non_null(strstr(err.message, path));
        assert_int_equal(files_in_folder(), 1);
    }
    struct checkpoint *c;
    assert_int_equal(checkpoint_open(&c, path, &err), 0);
    assert_int_equal(checkpoint_read(c, out, "x", 1, (int64_t[]){1}, &err), 0);
    assert_true(out[0] == 5);
    checkpoint_close(c);
}

static void test_published(void **state)
{
    (void)state;
    const char *published = "../shared/data/models/silero_vad_16k.safetensors";
    struct error err = {0};
    struct weights *s;
    if (access(published, R_OK) != 0)
        skip();
    if (weights_open(&s, published, &err))
        fail_msg("%s", err.message);
    assert_true(weights_count(s) > 5);
    for (int i = 0; i < weights_count(s); i++) {
        const struct stored_tensor *t = weights_at(s, i);
        float *values = malloc(sizeof *values * (size_t)(t->count + 1));
        assert_ptr_equal(weights_find(s, t->name), t);
        assert_int_equal(stored_read(values, t, 0, t->count, &err), 0);
        for (int64_t k = 0; k < t->count; k++)
            assert_true(fabsf(values[k]) < 1000);
        free(values);
    }
    weights_close(s);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_element_types), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_checkpoint),    cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_full_disk),     cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
