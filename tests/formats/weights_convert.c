/* The converter: which tensors change their type, values against dtype's rounding, exact copies,
   block types through safetensors and back, files that lie about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "made_weights.h"
#include "weights/checkpoint.h"
#include "weights/convert.h"
#include "weights/safetensors.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/mome-convert-XXXXXX";
static char source[64], target[64];

enum { MATRIX, HALF, BLOCKS, SMALL, NARROW, NORM, POSITIONS, CONVOLUTION, BF, EMPTY, TENSORS };

/* name, type and shape as in the source */
static const struct stored_tensor declared[TENSORS] = {
    [MATRIX] = {"big.weight", DTYPE_F32, 2, {3000, 64}, 0, 0, NULL}, /* more than one piece */
    [HALF] = {"half.weight", DTYPE_F16, 2, {40, 32}, 0, 0, NULL},
    [BLOCKS] = {"blocks.weight", DTYPE_Q8_0, 2, {33, 96}, 0, 0, NULL},
    [SMALL] = {"rows.weight", DTYPE_F32, 2, {31, 32}, 0, 0, NULL},
    [NARROW] = {"narrow.weight", DTYPE_F32, 2, {64, 33}, 0, 0, NULL},
    [NORM] = {"norm.weight", DTYPE_F16, 1, {64}, 0, 0, NULL},
    [POSITIONS] = {"embed_positions.weight", DTYPE_F32, 2, {64, 32}, 0, 0, NULL},
    [CONVOLUTION] = {"conv.weight", DTYPE_F16, 3, {32, 32, 32}, 0, 0, NULL},
    [BF] = {"bias", DTYPE_BF16, 1, {5}, 0, 0, NULL},
    [EMPTY] = {"empty", DTYPE_F32, 2, {0, 7}, 0, 0, NULL},
};

static int64_t elements(const struct stored_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->dims; i++)
        count *= t->shape[i];
    return count;
}

static void make_source(void)
{
    struct safetensors_writer *w;
    struct error err;
    struct random r;
    random_seed(&r, 5);
    assert_int_equal(
        safetensors_writer_open(&w, source, declared, TENSORS, "mome", "{\"old\":1}", &err), 0);
    for (int i = 0; i < TENSORS; i++) {
        int64_t count = elements(&declared[i]);
        float *values = calloc((size_t)count + 1, sizeof *values);
        for (int64_t k = 0; k < count; k++)
            values[k] = (float)random_normal(&r);
        assert_int_equal(safetensors_writer_add(w, values, count, &err), 0);
        free(values);
    }
    if (safetensors_writer_commit(w, &err))
        fail_msg("%s", err.message);
}

static struct weights *open_good(const char *path)
{
    struct weights *w;
    struct error err = {0};
    if (weights_open(&w, path, &err))
        fail_msg("%s", err.message);
    return w;
}

/* What the type should be, and that the values are the source's, rounded once. */
static void check_tensor(const struct stored_tensor *from, const struct stored_tensor *to,
                         enum dtype wanted)
{
    struct error err;
    assert_non_null(to);
    if (to->dtype != wanted)
        fail_msg("%s is %s, not %s", to->name, dtype_name(to->dtype), dtype_name(wanted));
    assert_int_equal(to->dims, from->dims);
    assert_memory_equal(to->shape, from->shape, sizeof *to->shape * (size_t)to->dims);
    if (to->dtype == from->dtype) {
        assert_int_equal(to->bytes, from->bytes);
        assert_true(!to->bytes || memcmp(to->data, from->data, (size_t)to->bytes) == 0);
        return;
    }
    float *values = calloc((size_t)from->count + 1, sizeof *values);
    unsigned char *rounded = calloc((size_t)to->bytes + 1, 1);
    assert_int_equal(stored_read(values, from, 0, from->count, &err), 0);
    dtype_from_float(rounded, wanted, values, from->count);
    assert_memory_equal(rounded, to->data, (size_t)to->bytes);
    free(rounded);
    free(values);
}

static void test_types(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_BF16,
                                       DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_OTHER};
    struct weights *from = open_good(source);
    assert_true(weights_find(from, "blocks.weight")->dtype == DTYPE_Q8_0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct conversion c = {.type = types[i], .metadata = "{\"new\":2}"};
        struct error err = {0};
        if (weights_convert(target, from, &c, &err))
            fail_msg("%s", err.message);
        struct weights *to = open_good(target);
        assert_true(c.written == TENSORS && c.skipped == 0 && c.bytes == weights_bytes(to));
        assert_string_equal(weights_text(to, "mome"), "{\"new\":2}");
        assert_int_equal(weights_count(to), TENSORS);
        for (int t = 0; t < TENSORS; t++) {
            enum dtype own = declared[t].dtype, wanted = DTYPE_F32;
            if (types[i] == DTYPE_OTHER)
                wanted = own;
            else if (t <= BLOCKS)
                wanted = types[i];
            else if (types[i] != DTYPE_F32 && (own == DTYPE_F16 || own == DTYPE_BF16))
                wanted = own;
            check_tensor(weights_find(from, declared[t].name), weights_find(to, declared[t].name),
                         wanted);
        }
        weights_close(to);
    }
    weights_close(from);
}

/* A checkpoint may be of block types: values come out as float. */
static void test_checkpoint(void **state)
{
    (void)state;
    struct weights *from = open_good(source);
    struct conversion c = {.type = DTYPE_Q8_0};
    struct error err = {0};
    struct checkpoint *p;
    float *in = calloc(3000 * 64, sizeof *in), *out = calloc(3000 * 64, sizeof *out);
    assert_int_equal(weights_convert(target, from, &c, &err), 0);
    assert_int_equal(checkpoint_open(&p, target, &err), 0);
    assert_string_equal(checkpoint_metadata(p), "{}");
    assert_int_equal(checkpoint_read(p, out, "big.weight", 2, (int64_t[]){3000, 64}, &err), 0);
    assert_int_equal(stored_read(in, weights_find(from, "big.weight"), 0, 3000 * 64, &err), 0);
    for (int i = 0; i < 3000 * 64; i++)
        assert_true(fabsf(in[i] - out[i]) < 0.03f); /* half a step of at most 6 / 127 */
    checkpoint_close(p);
    weights_close(from);
    free(in);
    free(out);
}

/* Onto itself: the file that is read stays until the new one is whole. */
static void test_in_place(void **state)
{
    (void)state;
    struct weights *from = open_good(source);
    struct conversion c = {.type = DTYPE_OTHER};
    struct error err;
    assert_int_equal(weights_convert(target, from, &c, &err), 0);
    weights_close(from);
    from = open_good(target);
    c.type = DTYPE_Q4_0;
    assert_int_equal(weights_convert(target, from, &c, &err), 0);
    struct weights *to = open_good(target);
    check_tensor(weights_find(from, "big.weight"), weights_find(to, "big.weight"), DTYPE_Q4_0);
    weights_close(to);
    weights_close(from);
}

static void test_skipped(void **state)
{
    (void)state;
    const char *header = "{\"steps\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[4,12]},"
                         "\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}";
    struct strbuf file;
    struct error err;
    struct conversion c = {.type = DTYPE_BF16};
    char path[80];
    strbuf_init(&file, 1000);
    put_text(&file, header, 8);
    put(&file, 0, 8), put(&file, 0, 4);
    snprintf(path, sizeof path, "%s/skip", folder);
    assert_int_equal(file_write(path, file.data, file.length, &err), 0);
    struct weights *from = open_good(path);
    assert_int_equal(weights_convert(target, from, &c, &err), 0);
    struct weights *to = open_good(target);
    assert_true(c.written == 1 && c.skipped == 1 && weights_count(to) == 1);
    weights_close(to);
    weights_close(from);
    unlink(path);
    strbuf_release(&file);
}

struct watch {
    int calls, stop_at;
    int64_t done, total;
};

static int watch(void *arg, int64_t done, int64_t total)
{
    struct watch *w = arg;
    assert_true(done >= w->done && done <= total);
    w->done = done;
    w->total = total;
    return ++w->calls == w->stop_at;
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

static void test_progress(void **state)
{
    (void)state;
    struct weights *from = open_good(source);
    struct watch seen = {0};
    struct conversion c = {.type = DTYPE_F16, .progress = watch, .arg = &seen};
    struct error err;
    assert_int_equal(weights_convert(target, from, &c, &err), 0);
    assert_true(seen.done == seen.total && seen.total == c.bytes && seen.calls > TENSORS);
    unlink(target);
    seen = (struct watch){.stop_at = 3};
    assert_int_equal(weights_convert(target, from, &c, &err), ERROR_CANCELLED);
    assert_int_equal(files_in_folder(), 1);
    c.type = DTYPE_Q4_K;
    assert_int_equal(weights_convert(target, from, &c, &err), ERROR_USAGE);
    assert_int_equal(files_in_folder(), 1);
    weights_close(from);
}

static void test_writer_refuses(void **state)
{
    (void)state;
    struct safetensors_writer *w;
    struct error err;
    float values[64] = {0};
    struct stored_tensor t = {.name = "q", .dtype = DTYPE_Q8_0, .dims = 2, .shape = {2, 33}};
    assert_int_equal(safetensors_writer_open(&w, target, &t, 1, NULL, NULL, &err), ERROR_USAGE);
    t.shape[1] = 32;
    assert_int_equal(safetensors_writer_open(&w, target, &t, 1, NULL, NULL, &err), 0);
    assert_int_equal(safetensors_writer_add(w, values, 32, &err), 0);
    assert_int_equal(safetensors_writer_add(w, values, 31, &err), ERROR_USAGE);
    assert_int_equal(safetensors_writer_add_stored(w, (unsigned char *)values, 35, &err),
                     ERROR_USAGE);
    safetensors_writer_abandon(w);
    t.dtype = DTYPE_Q4_1;
    assert_int_equal(safetensors_writer_open(&w, target, &t, 1, NULL, NULL, &err), 0);
    assert_int_equal(safetensors_writer_add(w, values, 32, &err), ERROR_USAGE);
    safetensors_writer_abandon(w);
    assert_int_equal(files_in_folder(), 1);
}

#define ENTRY(dtype, shape, end)                                                                   \
    "\"q\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[0," end "]}}"
#define TYPES(text) "{\"__metadata__\":{\"mome.types\":\"" text "\"},"

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *header, *words;
        size_t bytes;
    } cases[] = {
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[2,34]", "68"), NULL, 68},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[68]", "68"), NULL, 68},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[4,17]", "68"), "rows of 17 bytes", 68},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[-34]", "34"), "shape", 34},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[9223372036854775782]", "0"),
         "needs a shape", 0},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[]", "1"), "no proper type", 1},
        {TYPES("{\\\"q\\\":\\\"Q8_0\\\"}") ENTRY("I8", "[2,34]", "68"), "no proper type", 68},
        {TYPES("{\\\"q\\\":\\\"Q9\\\"}") ENTRY("U8", "[2,34]", "68"), "no proper type", 68},
        {TYPES("{\\\"q\\\":8}") ENTRY("U8", "[2,34]", "68"), "no proper type", 68},
        {TYPES("{\\\"r\\\":\\\"Q8_0\\\"}") ENTRY("U8", "[2,34]", "68"), "not there", 68},
        {TYPES("[]") ENTRY("U8", "[2,34]", "68"), "not an object", 68},
        {TYPES("{") ENTRY("U8", "[2,34]", "68"), "not an object", 68},
    };
    struct strbuf file;
    strbuf_init(&file, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made m;
        struct error err = {0};
        strbuf_clear(&file);
        put_text(&file, cases[i].header, 8);
        for (size_t k = 0; k < cases[i].bytes; k++)
            put(&file, 1, 1);
        int rc = made_read(&m, safetensors_read, file.data, file.length, &err);
        if (cases[i].words ? rc != ERROR_FORMAT || !strstr(err.message, cases[i].words) : rc)
            fail_msg("%s: %d %s", cases[i].header, rc, err.message);
        if (!rc) {
            const struct stored_tensor *t = tensor_list_find(&m.tensors, "q");
            assert_true(t->dtype == DTYPE_Q8_0 && t->count == 64 && t->bytes == 68);
        }
        made_close(&m);
    }
    strbuf_release(&file);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(source, sizeof source, "%s/source", folder);
    snprintf(target, sizeof target, "%s/target", folder);
    make_source();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(source);
    unlink(target);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),    cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_in_place), cmocka_unit_test(test_skipped),
        cmocka_unit_test(test_progress), cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_lies),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
