/* PyTorch checkpoints: files that PyTorch made against what PyTorch says is in them
   (make_torch_fixtures.py), and files made by hand that lie, wherever a file can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "weights/torch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char path[] = "made-up.pt";
static const char was_run[] = "/tmp/mome-torch-was-run";

/* ---- what PyTorch made ---- */

static double weighted_sum(const struct stored_tensor *t)
{
    struct error err = {0};
    float *values = malloc(sizeof *values * (size_t)(t->count + 1));
    double sum = 0;
    assert_int_equal(stored_read(values, t, 0, t->count, &err), 0);
    for (int64_t i = 0; i < t->count; i++)
        sum += (double)values[i] * (double)(1 + i % 7);
    free(values);
    return sum;
}

static void check_line(const struct torch *t, const char *line)
{
    char kind[16], name[600], type[16], shape[160], found[160];
    double value, number;
    int at = 0;
    if (sscanf(line, "%15s", kind) != 1)
        fail_msg("%s", line);
    if (strcmp(kind, "tensor") == 0) {
        const char *end = line + strlen(line); /* names may have spaces */
        for (int i = 0; i < 3; i++)
            while (*--end != ' ')
                ;
        snprintf(name, sizeof name, "%.*s", (int)(end - line - 7), line + 7);
        assert_int_equal(sscanf(end, "%15s %159s %lf", type, shape, &value), 3);
        const struct stored_tensor *tensor = torch_find(t, name);
        if (!tensor)
            fail_msg("%s: not found", line);
        stored_shape_text(found, sizeof found, tensor->dims, tensor->shape);
        assert_string_equal(found, shape);
        assert_string_equal(dtype_name(tensor->dtype), type);
        if (tensor->dtype != DTYPE_OTHER) {
            double sum = weighted_sum(tensor);
            if (!(fabs(sum - value) <= 1e-9 * (1 + fabs(value))))
                fail_msg("%s: %.17g", line, sum);
        }
        return;
    }
    assert_int_equal(sscanf(line + strlen(kind), " %599s %n", name, &at), 1);
    const char *text = torch_text(t, name);
    bool is_number = torch_number(t, name, &number);
    if (strcmp(kind, "text") == 0)
        assert_true(!is_number && text && strcmp(text, line + strlen(kind) + at) == 0);
    else if (strcmp(kind, "number") == 0)
        assert_true(!text && is_number && number == strtod(line + strlen(kind) + at, NULL));
    else
        assert_true(!text && !is_number && !torch_find(t, name));
}

/* Checks the files of torch_expected.txt whose path starts so; how many there were. */
static int check_files(const char *start)
{
    FILE *f = fopen("tests/formats/data/torch_expected.txt", "r");
    char line[1024], file[256];
    struct torch *t = NULL;
    struct error err = {0};
    int files = 0, count;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "file %255s %d", file, &count) == 2) {
            torch_close(t);
            t = NULL;
            if (strncmp(file, start, strlen(start)) != 0)
                continue;
            if (access(file, R_OK) != 0) {
                print_message("%s is missing\n", file);
                continue;
            }
            if (torch_open(&t, file, &err))
                fail_msg("%s", err.message);
            if (torch_count(t) != count)
                fail_msg("%s: %d tensors", line, torch_count(t));
            files++;
        } else if (t)
            check_line(t, line);
    }
    torch_close(t);
    fclose(f);
    return files;
}

static void test_made_by_torch(void **state)
{
    (void)state;
    unlink(was_run);
    assert_true(check_files("tests/") >= 15);
    assert_int_equal(access(was_run, F_OK), -1);
}

static void test_published(void **state)
{
    (void)state;
    if (check_files("../shared/") == 0)
        skip();
}

/* Contiguous tensors are where the file is mapped: of one storage, so they keep their distances. */
static void test_nothing_copied(void **state)
{
    (void)state;
    struct torch *t;
    struct error err = {0};
    assert_int_equal(torch_open(&t, "tests/formats/data/torch_views.pt", &err), 0);
    const struct stored_tensor *whole = torch_find(t, "whole"), *rows = torch_find(t, "rows");
    assert_ptr_equal(rows->data, whole->data + 2 * 8 * 4);
    assert_ptr_equal(torch_find(t, "row")->data, whole->data + 3 * 8 * 4);
    assert_ptr_equal(torch_find(t, "tied")->data, whole->data);
    const unsigned char *copied = torch_find(t, "transposed")->data;
    assert_true(copied < whole->data || copied >= whole->data + whole->bytes);
    assert_null(torch_find(t, "nothing"));
    for (int i = 1; i < torch_count(t); i++)
        assert_true(strcmp(torch_at(t, i - 1)->name, torch_at(t, i)->name) < 0);
    torch_close(t);
}

/* ---- what an enemy made ---- */

struct bytes {
    unsigned char data[1 << 17];
    size_t size;
};

static void add(struct bytes *b, const void *data, size_t size)
{
    assert_true(size <= sizeof b->data - b->size);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void add_number(struct bytes *b, uint64_t value, int size)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    add(b, bytes, (size_t)size);
}

static void put_number(struct bytes *b, size_t at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        b->data[at + (size_t)i] = (unsigned char)(value >> (8 * i));
}

struct zipped {
    const char *name;
    size_t name_bytes;
    const void *data;
    size_t size, local; /* local: where its header is, once written */
};

static void add_header(struct bytes *b, const struct zipped *e, bool central)
{
    add_number(b, central ? 0x02014b50 : 0x04034b50, 4);
    add_number(b, 0, central ? 4 : 2); /* versions */
    add_number(b, 0, 8);               /* flags, method, time, date */
    add_number(b, 0, 4);               /* check sum */
    add_number(b, e->size, 4);
    add_number(b, e->size, 4);
    add_number(b, e->name_bytes, 2);
    add_number(b, 0, 2);
    if (central) {
        add_number(b, 0, 8);
        add_number(b, 0, 2);
        add_number(b, e->local, 4);
    }
    add(b, e->name, e->name_bytes);
}

/* An archive; *directory: where its directory is. */
static void make_zip(struct bytes *b, struct zipped *entries, int count, size_t *directory)
{
    b->size = 0;
    for (int i = 0; i < count; i++) {
        entries[i].local = b->size;
        add_header(b, &entries[i], false);
        add(b, entries[i].data, entries[i].size);
    }
    *directory = b->size;
    for (int i = 0; i < count; i++)
        add_header(b, &entries[i], true);
    size_t size = b->size - *directory;
    add_number(b, 0x06054b50, 8);
    add_number(b, (uint64_t)count, 2);
    add_number(b, (uint64_t)count, 2);
    add_number(b, size, 4);
    add_number(b, *directory, 4);
    add_number(b, 0, 2);
}

/* As a file of exactly this size; its memory lasts until the next one. */
static int open_bytes(struct torch **t, const struct bytes *b, struct error *err)
{
    static unsigned char *copy;
    free(copy);
    copy = malloc(b->size + !b->size);
    memcpy(copy, b->data, b->size);
    *err = (struct error){0};
    return torch_read(t, copy, b->size, path, err);
}

/* Opens what must be refused with these words, and gives its name. */
static void refuse(const struct bytes *b, int code, const char *words)
{
    struct torch *t;
    struct error err;
    int rc = open_bytes(&t, b, &err);
    if (rc != code || t || !strstr(err.message, words) || !strstr(err.message, path))
        fail_msg("%s: %d %s", words, rc, err.message);
}

/* A zip with this pickle and a storage "0" of 8 floats. */
static int open_pickle(struct torch **t, const void *pickle, size_t size, struct error *err)
{
    static struct bytes b;
    static const float storage[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct zipped entries[] = {{"a/data.pkl", 10, pickle, size, 0},
                               {"a/data/0", 8, storage, sizeof storage, 0}};
    size_t directory;
    make_zip(&b, entries, 2, &directory);
    return open_bytes(t, &b, err);
}

#define STORAGE(type, key, elements)                                                               \
    "(S'storage'\nctorch\n" type "Storage\nS'" key "'\nS'cpu'\nI" elements "\ntQ"
#define TENSOR(offset, shape, stride)                                                              \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Float", "0", "8") "I" offset "\n(" shape       \
                                                                      "t(" stride "tI00\n(dtR"
/* Of a piece of the storage, as the older format has it. */
#define VIEW(from, elements, shape)                                                                \
    "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI8\n(S'" \
    "v"                                                                                            \
    "'\nI" from "\nI" elements "\nttQI0\n(I" shape "\nt(I1\ntI00\n(dtR"
#define GOOD TENSOR("0", "I2\nI2\n", "I2\nI1\n")

/* Pickles in protocol 0, which is text. */
static void test_lying_pickles(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        int code;
        const char *words;
    } cases[] = {
        {"(dS'x'\n" GOOD "s.", 0, ""},
        {"(dS'x'\n" TENSOR("4", "I2\nI2\n", "I2\nI1\n") "s.", 0, ""},
        {"(dS'x'\n" TENSOR("8", "I0\nI2\n", "I2\nI1\n") "s.", 0, ""},
        {"(dS'x'\n" TENSOR("7", "I1\nI1\n", "I9223372036854775807\nI1\n") "s.", 0, ""},
        {"(dS'x'\n" TENSOR("0", "", "") "s.", 0, ""},
        {"(dS'x'\n" VIEW("6", "2", "2") "s.", 0, ""},
        {"(dS'x'\n" TENSOR("0", "\x8a\x01\x02", "\x8a\x01\x01") "s.", 0, ""},
        {"(dS'x'\n" TENSOR("0", "\x8a\x01\xfe", "\x8a\x01\x01") "s.", ERROR_FORMAT, "strides"},
        {"(dS'x'\n" TENSOR("0", "\x8a\x09\1\1\1\1\1\1\1\1\1", "I1\n") "s.", ERROR_FORMAT,
         "strides"},
        /* outside the storage, or a piece of it */
        {"(dS'x'\n" VIEW("6", "2", "3") "s.", ERROR_FORMAT, "reaches past"},
        {"(dS'x'\n" VIEW("6", "3", "2") "s.", ERROR_FORMAT, "view reaches past"},
        {"(dS'x'\n" VIEW("-1", "3", "2") "s.", ERROR_FORMAT, "view reaches past"},
        {"(dS'x'\n" VIEW("9", "-1", "2") "s.", ERROR_FORMAT, "view reaches past"},
        {"(dS'x'\n" TENSOR("5", "I2\nI2\n", "I2\nI1\n") "s.", ERROR_FORMAT, "reaches past"},
        {"(dS'x'\n" TENSOR("9", "I0\n", "I1\n") "s.", ERROR_FORMAT, "outside its storage"},
        {"(dS'x'\n" TENSOR("-1", "I2\n", "I1\n") "s.", ERROR_FORMAT, "outside its storage"},
        {"(dS'x'\n" TENSOR("9223372036854775807", "I2\n", "I1\n") "s.", ERROR_FORMAT, "outside"},
        {"(dS'x'\n" TENSOR("0", "I2\nI2\n", "I7\nI1\n") "s.", ERROR_FORMAT, "reaches past"},
        {"(dS'x'\n" TENSOR("0", "I9\n", "I1\n") "s.", ERROR_FORMAT, "reaches past"},
        {"(dS'x'\n" TENSOR("0", "I2\n", "I-1\n") "s.", ERROR_FORMAT, "shape and strides"},
        {"(dS'x'\n" TENSOR("0", "I-2\n", "I1\n") "s.", ERROR_FORMAT, "shape and strides"},
        {"(dS'x'\n" TENSOR("0", "I2\n", "I1\nI1\n") "s.", ERROR_FORMAT, "shape and strides"},
        {"(dS'x'\n" TENSOR("0", "I3\n", "I9223372036854775807\n") "s.", ERROR_FORMAT, "strides"},
        {"(dS'x'\n" TENSOR("0", "I4294967296\nI4294967296\n", "I1\nI1\n") "s.", ERROR_FORMAT,
         "strides"},
        {"(dS'x'\n" TENSOR("0", "I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\n",
                           "I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\n") "s.",
         ERROR_FORMAT, "strides"},
        {"(dS'x'\n" TENSOR("0", "S'a'\n", "I1\n") "s.", ERROR_FORMAT, "strides"},
        {"(dS'x'\n" TENSOR("0", "I4294967296\n", "I0\n") "s.", ERROR_LIMIT, "too many to copy"},
        {"(dS'x'\n" TENSOR("0", "I4611686018427387904\n", "I0\n") "s.", ERROR_LIMIT, "too many"},
        /* storages that are not there */
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Float", "1",
                                                                "1") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "a/data/1 is missing"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Float", "0",
                                                                "9") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "fewer than its 9"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(
             "Double", "0", "2305843009213693953") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "fewer than its"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Float", "0",
                                                                "-1") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "no known kind"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Weird", "0",
                                                                "1") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "no known kind"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("Float", "../../x",
                                                                "1") "I0\n(I1\nt(I1\ntI00\n(dtRs.",
         ERROR_FORMAT, "is missing"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(NI0\n(I1\nt(I1\ntI00\n(dtRs.", ERROR_FORMAT,
         "no known kind"},
        {"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(NtRs.", ERROR_FORMAT, "in full"},
        /* names */
        {"(dS''\n" GOOD "s.", ERROR_FORMAT, "name"},
        {"(dS'a\tb'\n" GOOD "s.", ERROR_FORMAT, "name"},
        {"(dS'x'\n" GOOD "sV\nI1\nsV"
         "x\n" GOOD "s.",
         ERROR_FORMAT, "twice"},
        {"(dS'a'\n(dS'b'\n" GOOD "ssS'a.b'\n" GOOD "s.", ERROR_FORMAT, "twice"},
        /* nothing to be had */
        {"N.", ERROR_FORMAT, "without tensors"},
        {"(d.", ERROR_FORMAT, "without tensors"},
        {GOOD ".", ERROR_FORMAT, "single tensor"},
        {"cos\nsystem\n(S'touch /tmp/mome-torch-was-run'\ntR.", ERROR_FORMAT, "without tensors"},
        {"(S'touch /tmp/mome-torch-was-run'\nios\nsystem\n.", ERROR_FORMAT, "without tensors"},
        {"(cos\nsystem\nS'touch /tmp/mome-torch-was-run'\no.", ERROR_FORMAT, "without tensors"},
        {"(dS'x'\n" GOOD "sS'y'\ncos\nsystem\n(S'touch /tmp/mome-torch-was-run'\ntRs.", 0, ""},
        /* not a program at all */
        {"", ERROR_FORMAT, "truncated"},
        {".", ERROR_FORMAT, "stack is empty"},
        {"(.", ERROR_FORMAT, "stack is empty"},
        {"0.", ERROR_FORMAT, "stack is empty"},
        {"I1\nt.", ERROR_FORMAT, "mark is missing"},
        {"1.", ERROR_FORMAT, "mark is missing"},
        {"e.", ERROR_FORMAT, "mark is missing"},
        {"(d(I1\nu.", ERROR_FORMAT, "a key without value"},
        {"(I1\nd.", ERROR_FORMAT, "a key without value"},
        {"s.", ERROR_FORMAT, "stack is empty"},
        {"(o.", ERROR_FORMAT, "a class is missing"},
        {"o.", ERROR_FORMAT, "mark is missing"},
        {"\x85.", ERROR_FORMAT, "stack is empty"},
        {"N(\x87.", ERROR_FORMAT, "stack is empty"},
        {"g0\n.", ERROR_FORMAT, "memo has no such"},
        {"h\x07.", ERROR_FORMAT, "memo has no such"},
        {"g18446744073709551615\n.", ERROR_FORMAT, "memo has no such"},
        {"Np18446744073709551615\n.", ERROR_FORMAT, "index of the memo"},
        {"Nr\xff\xff\xff\x7f.", ERROR_FORMAT, "index of the memo"},
        {"p0\n.", ERROR_FORMAT, "stack is empty"},
        {"X\xff\xff\xff\xff"
         "abc.",
         ERROR_FORMAT, "truncated"},
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
         "abc.",
         ERROR_FORMAT, "truncated"},
        {"\x8b\xff\xff\xff\xff.", ERROR_FORMAT, "truncated"},
        {"\x80\x09N.", ERROR_FORMAT, "protocol"},
        {"NN\x93.", ERROR_FORMAT, "a class without name"},
        {"\x82\x01.", ERROR_FORMAT, "instruction"},
        {"?", ERROR_FORMAT, "instruction"},
        {"cos\nsystem", ERROR_FORMAT, "truncated"},
        {"I12", ERROR_FORMAT, "truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct torch *t;
        struct error err;
        int rc = open_pickle(&t, cases[i].pickle, strlen(cases[i].pickle), &err);
        if (rc != cases[i].code || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d %s", cases[i].pickle, rc, err.message);
        assert_true(rc ? !t : torch_find(t, "x") != NULL);
        torch_close(t);
        assert_int_equal(access(was_run, F_OK), -1);
    }
}

/* Names longer than any tensor's; values of objects with __slots__; a wrapped tensor. */
static void test_long_names(void **state)
{
    (void)state;
    static struct bytes b;
    struct torch *t;
    struct error err;
    double number;
    for (size_t length = 510; length < 1100; length++) {
        b.size = 0;
        add(&b, "(dX", 3);
        add_number(&b, length, 4);
        for (size_t i = 0; i < length; i++)
            add(&b, "n", 1);
        add(&b, GOOD "s.", sizeof GOOD "s." - 1);
        int rc = open_pickle(&t, b.data, b.size, &err);
        assert_int_equal(rc, length <= 512 ? 0 : length < 1023 ? ERROR_FORMAT : ERROR_LIMIT);
        torch_close(t);
    }
    static const char slots[] =
        "(dS'x'\nctorch.nn.parameter\nParameter\n(" GOOD "tRsS'o'\ncm\nC\n(tR("
        "(dS'a'\nI7\ns(dtbs.";
    assert_int_equal(open_pickle(&t, slots, sizeof slots - 1, &err), 0);
    assert_int_equal(torch_find(t, "x")->count, 4);
    assert_true(torch_number(t, "o.a", &number) && number == 7);
    torch_close(t);
}

static void test_name_with_nul(void **state)
{
    (void)state;
    static const char pickle[] = "(dX\3\0\0\0a\0b" GOOD "s.";
    struct torch *t;
    struct error err;
    assert_int_equal(open_pickle(&t, pickle, sizeof pickle - 1, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.message, "name"));
}

/* Lists in lists, each of them twice the one before: 2^60 lists to whoever unfolds them; a list in
   itself; a dictionary in itself; and a nesting that would overflow the C stack. */
static void test_mazes(void **state)
{
    (void)state;
    static struct bytes b;
    struct torch *t;
    struct error err;
    double number;
    b.size = 0;
    add(&b, "(lp0\n", 5);
    for (int i = 1; i < 60; i++) {
        char text[40];
        int n = sprintf(text, "(g%d\ng%d\nlp%d\n", i - 1, i - 1, i);
        add(&b, text, (size_t)n);
    }
    add(&b, ".", 1);
    assert_int_equal(open_pickle(&t, b.data, b.size, &err), ERROR_LIMIT);
    assert_non_null(strstr(err.message, "too often"));

    static const char self[] = "(dp0\nS'x'\n" GOOD "sS'me'\ng0\nsS'l'\n(lp1\ng1\nasS'n'\nI5\ns.";
    assert_int_equal(open_pickle(&t, self, sizeof self - 1, &err), 0);
    assert_int_equal(torch_count(t), 1);
    assert_true(torch_number(t, "n", &number) && number == 5);
    torch_close(t);

    b.size = 0;
    for (int i = 0; i < 20000; i++)
        add(&b, "(", 1);
    for (int i = 0; i < 20000; i++)
        add(&b, "l", 1);
    add(&b, ".", 1);
    assert_int_equal(open_pickle(&t, b.data, b.size, &err), ERROR_LIMIT);
    assert_non_null(strstr(err.message, "deep"));

    static const char beside[] = "(dS'state_dict'\n(dS'x'\n" GOOD "ssS'n'\n";
    b.size = 0;
    add(&b, beside, sizeof beside - 1); /* the same, where no tensors are looked for */
    for (int i = 0; i < 2000; i++)
        add(&b, "(dS'k'\n", 7);
    add(&b, "N", 1);
    for (int i = 0; i < 2001; i++)
        add(&b, "s", 1);
    add(&b, ".", 1);
    assert_int_equal(open_pickle(&t, b.data, b.size, &err), 0);
    assert_int_equal(torch_count(t), 1);
    torch_close(t);
}

static void test_lying_archives(void **state)
{
    (void)state;
    static struct bytes good, b;
    static const char pickle[] = "(dS'x'\n" GOOD "s.";
    static const float storage[8] = {0};
    enum { COUNT = 3, END = 22 };
    size_t directory;
    struct zipped entries[COUNT] = {{"a/data.pkl", 10, pickle, sizeof pickle - 1, 0},
                                    {"a/data/0", 8, storage, sizeof storage, 0},
                                    {"a/byteorder", 11, "little", 6, 0}};
    make_zip(&good, entries, COUNT, &directory);
    struct torch *t;
    struct error err;
    assert_int_equal(open_bytes(&t, &good, &err), 0);
    torch_close(t);
    size_t end = good.size - END, second = directory + 46 + 10; /* of the directory */
    static const struct {
        size_t from, at; /* 0: the end record, 1: the directory, 2: its second entry, 3: local */
        uint64_t value;
        int size, code;
        const char *words;
    } cases[] = {
        {0, 0, 0, 4, ERROR_FORMAT, "end record is missing"},
        {0, 4, 1, 2, ERROR_FORMAT, "several parts"},
        {0, 10, 4, 2, ERROR_FORMAT, "directory lies outside"},
        {0, 10, 2, 2, ERROR_FORMAT, "more entries"},
        {0, 10, 0xffff, 2, ERROR_FORMAT, "directory lies outside"},
        {0, 12, 0xffffffff, 4, ERROR_FORMAT, "directory lies outside"},
        {0, 16, 0xffffffff, 4, ERROR_FORMAT, "directory lies outside"},
        {0, 16, 0, 4, ERROR_FORMAT, "directory ends too early"},
        {0, 20, 1, 2, ERROR_FORMAT, "end record is missing"},
        {1, 0, 0, 4, ERROR_FORMAT, "directory ends too early"},
        {1, 28, 0xffff, 2, ERROR_FORMAT, "directory ends too early"},
        {1, 28, 0, 2, ERROR_FORMAT, "name"},
        {1, 30, 0xffff, 2, ERROR_FORMAT, "directory ends too early"},
        {1, 46, 0, 1, ERROR_FORMAT, "name"},
        {1, 47, 'x', 1, ERROR_FORMAT, "another name"},
        {1, 10, 8, 2, ERROR_UNSUPPORTED, "a/data.pkl is compressed"},
        {1, 8, 1, 2, ERROR_UNSUPPORTED, "a/data.pkl is encrypted"},
        {2, 10, 8, 2, ERROR_UNSUPPORTED, "a/data/0 is compressed"},
        {2, 20, 31, 4, ERROR_FORMAT, "two sizes"},
        {2, 24, 1 << 30, 4, ERROR_FORMAT, "two sizes"},
        {2, 20, 0xffffffff, 4, ERROR_FORMAT, "zip64 sizes"},
        {2, 42, 0xffffffff, 4, ERROR_FORMAT, "zip64 sizes"},
        {2, 42, 0x7fffffff, 4, ERROR_FORMAT, "no header"},
        {2, 42, 0, 4, ERROR_FORMAT, "another name"},
        {3, 28, 0xffff, 2, ERROR_FORMAT, "outside the file"},
        {3, 26, 0xffff, 2, ERROR_FORMAT, "outside the file"},
        {3, 0, 0, 4, ERROR_FORMAT, "no header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t from[] = {end, directory, second, entries[1].local};
        b = good;
        put_number(&b, from[cases[i].from] + cases[i].at, cases[i].value, cases[i].size);
        refuse(&b, cases[i].code, cases[i].words);
    }
    b = good; /* an entry that claims the next one's bytes too */
    put_number(&b, second + 20, sizeof storage + 41, 4);
    put_number(&b, second + 24, sizeof storage + 41, 4);
    refuse(&b, ERROR_FORMAT, "overlap");
    entries[2] = entries[1];
    make_zip(&b, entries, COUNT, &directory);
    refuse(&b, ERROR_FORMAT, "one name");
    entries[2] = (struct zipped){"b/data.pkl", 10, "N.", 2, 0};
    make_zip(&b, entries, COUNT, &directory);
    refuse(&b, ERROR_FORMAT, "two folders");
    entries[2] = (struct zipped){"a/byteorder", 11, "big", 3, 0};
    make_zip(&b, entries, COUNT, &directory);
    refuse(&b, ERROR_UNSUPPORTED, "big-endian");
    for (size_t n = 0; n < good.size; n++) {
        b = good;
        b.size = n;
        assert_int_equal(open_bytes(&t, &b, &err), ERROR_FORMAT);
    }
}

/* 64-bit sizes: in the directory's extra field, and in the end record. */
static void test_zip64(void **state)
{
    (void)state;
    static struct bytes b;
    struct torch *t;
    struct error err;
    static const char pickle[] = "(dS'x'\n" GOOD "s.";
    static const float storage[8] = {0};
    struct zipped entries[2] = {{"a/data.pkl", 10, pickle, sizeof pickle - 1, 0},
                                {"a/data/0", 8, storage, sizeof storage, 0}};
    size_t directory;
    make_zip(&b, entries, 2, &directory);
    b.size -= 22;
    size_t second = directory + 46 + 10;
    put_number(&b, second + 20, 0xffffffff, 4);
    put_number(&b, second + 24, 0xffffffff, 4);
    put_number(&b, second + 30, 4 + 3 + 4 + 16, 2);
    add_number(&b, 0x5855, 2); /* another field, then the one that counts */
    add_number(&b, 3, 2);
    add_number(&b, 0, 3);
    add_number(&b, 1, 2);
    add_number(&b, 16, 2);
    add_number(&b, sizeof storage, 8);
    add_number(&b, sizeof storage, 8);
    size_t end = b.size, size = end - directory;
    add_number(&b, 0x06064b50, 4);
    add_number(&b, 44, 8);
    add_number(&b, 0, 8);
    add_number(&b, 0, 4);
    add_number(&b, 2, 8);
    add_number(&b, 2, 8);
    add_number(&b, size, 8);
    add_number(&b, directory, 8);
    add_number(&b, 0x07064b50, 8);
    add_number(&b, end, 8);
    add_number(&b, 1, 4);
    add_number(&b, 0x06054b50, 8);
    add_number(&b, 0xffffffffffff, 8);
    add_number(&b, 0xffffffff, 4);
    add_number(&b, 0, 2);
    if (open_bytes(&t, &b, &err))
        fail_msg("%s", err.message);
    assert_int_equal(torch_find(t, "x")->count, 4);
    torch_close(t);
    struct bytes *bad = malloc(sizeof *bad);
    for (int i = 0; i < 3; i++) { /* count, size, start of the directory */
        *bad = b;
        put_number(bad, end + 32 + 8 * (size_t)i, UINT64_MAX - 8, 8);
        refuse(bad, ERROR_FORMAT, "directory lies outside");
    }
    *bad = b;
    put_number(bad, end + 56 + 8, UINT64_MAX, 8);
    refuse(bad, ERROR_FORMAT, "zip64 end record");
    *bad = b;
    put_number(bad, second + 46 + 8 + 7 + 2, 8, 2);
    refuse(bad, ERROR_FORMAT, "zip64 sizes");
    free(bad);
}

/* Archives of other programs. */
static void test_foreign(void **state)
{
    (void)state;
    static struct bytes b;
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"word/document.xml", "no data.pkl"},
        {"[Content_Types].xml", "Office"},
        {"arr_0.npy", "NumPy"},
        {"META-INF/MANIFEST.MF", "Java"},
        {"m/constants.pkl", "TorchScript"},
        {"data.pkl", "no data.pkl"},
        {"a/b/data.pkl", "no data.pkl"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zipped e = {cases[i].name, strlen(cases[i].name), "N.", 2, 0};
        size_t directory;
        make_zip(&b, &e, 1, &directory);
        refuse(&b, ERROR_FORMAT, cases[i].words);
    }
    b.size = 0;
    add(&b, "{\"a\": 1}", 8);
    refuse(&b, ERROR_FORMAT, "not a PyTorch file");
    b.size = 0;
    refuse(&b, ERROR_FORMAT, "not a PyTorch file");
    struct torch *t;
    struct error err = {0};
    assert_int_equal(torch_open(&t, "/nonexistent", &err), ERROR_IO);
}

/* Every fixture cut short anywhere, and with any one byte changed: an error, or tensors that can be
   read to their last element (the sanitizers watch). */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"fairseq_older", "views", "python2", "older_protocol4"};
    static struct bytes b;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char from[80], *text;
        struct error err = {0};
        struct torch *t;
        size_t size;
        sprintf(from, "tests/formats/data/torch_%s.pt", names[k]);
        assert_int_equal(file_read(&text, &size, from, sizeof b.data, &err), 0);
        for (size_t n = 0; n < size; n++) {
            b.size = 0;
            add(&b, text, n);
            if (open_bytes(&t, &b, &err) == 0)
                fail_msg("%s: opened with %zu of %zu bytes", from, n, size);
        }
        for (size_t n = 0; n < size; n++) {
            b.size = 0;
            add(&b, text, size);
            b.data[n] ^= (unsigned char)(1u << n % 8);
            if (open_bytes(&t, &b, &err) != 0)
                continue;
            for (int i = 0; i < torch_count(t); i++)
                if (torch_at(t, i)->dtype != DTYPE_OTHER)
                    weighted_sum(torch_at(t, i));
            torch_close(t);
        }
        free(text);
    }
}

/* A memo as large as the file is long would be more than a pickle may have. */
static void test_memory(void **state)
{
    (void)state;
    static const char start[] = "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02Nr\0\0\0\x03.";
    const size_t size = 0x03001000;
    unsigned char *bytes = calloc(size, 1);
    struct torch *t;
    struct error err;
    memcpy(bytes, start, sizeof start - 1);
    assert_int_equal(torch_read(&t, bytes, size, path, &err), ERROR_LIMIT);
    assert_non_null(strstr(err.message, "more memory"));
    free(bytes);
}

static void test_sniff(void **state)
{
    (void)state;
    assert_true(torch_sniff((const unsigned char *)"PK\3\4", 4));
    assert_false(torch_sniff((const unsigned char *)"PK\3", 3));
    assert_false(torch_sniff((const unsigned char *)"", 0));
    assert_false(torch_sniff((const unsigned char *)"\x80\x02}q\0.", 6)); /* some other pickle */
    assert_true(
        torch_sniff((const unsigned char *)"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", 15));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_by_torch),  cmocka_unit_test(test_published),
        cmocka_unit_test(test_nothing_copied), cmocka_unit_test(test_lying_pickles),
        cmocka_unit_test(test_name_with_nul),  cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_mazes),          cmocka_unit_test(test_lying_archives),
        cmocka_unit_test(test_zip64),          cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_damaged),        cmocka_unit_test(test_sniff),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
