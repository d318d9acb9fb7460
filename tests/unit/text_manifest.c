/* Manifests: good lines, every kind of broken line with its number, broken files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "text/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/mome-manifest-XXXXXX";
static char path[64];

struct warnings {
    int count;
    char last[600];
};

static void note(void *arg, const char *message)
{
    struct warnings *w = arg;
    w->count++;
    snprintf(w->last, sizeof w->last, "%s", message);
}

static int load(struct manifest *m, struct warnings *w, const char *text, size_t size,
                struct error *err)
{
    *w = (struct warnings){0};
    if (file_write(path, text, size, err))
        fail_msg("%s", err->message);
    return manifest_load(m, path, note, w, err);
}

static void test_good(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfpath\tspeaker\ttext\twords_ms\r\n"
                               "s1/a.mp4\t1\tbin blue\tbin:950:1180 a:b:1180:1360\r\n"
                               "\n"
                               "/abs/b.mp4\t2\tlay red\t\n"
                               "c d.mp4\t2\tset";
    struct manifest m;
    struct warnings w;
    struct error err = {0};
    assert_int_equal(load(&m, &w, text, sizeof text - 1, &err), 0);
    assert_int_equal(w.count, 0);
    assert_int_equal(m.count, 3);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "%s/s1/a.mp4", folder);
    assert_string_equal(m.entries[0].path, wanted);
    assert_string_equal(m.entries[0].text, "bin blue");
    assert_int_equal(m.entries[0].line, 2);
    assert_int_equal(m.entries[0].word_count, 2);
    assert_string_equal(m.entries[0].words[1].text, "a:b");
    assert_int_equal(m.entries[0].words[1].start_ms, 1180);
    assert_int_equal(m.entries[0].words[1].end_ms, 1360);
    assert_string_equal(m.entries[1].path, "/abs/b.mp4");
    assert_int_equal(m.entries[1].line, 4);
    assert_null(m.entries[1].words);
    assert_string_equal(m.entries[2].text, "set");
    assert_int_equal(m.entries[2].word_count, 0);
    manifest_release(&m);
}

/* Each between two good lines: it alone is left out, and reported with its number. */
static void test_broken_lines(void **state)
{
    (void)state;
#define LINE(bytes)                                                                                \
    {                                                                                              \
        bytes, sizeof bytes - 1                                                                    \
    }
    static const struct {
        const char *bytes;
        size_t length;
    } lines[] = {
        LINE("a.mp4"),
        LINE("\ttext\t"),
        LINE("a.mp4\t\t"),
        LINE("a.mp4\tte\0xt\t"),
        LINE("a\0.mp4\ttext\t"),
        LINE("a.mp4\tbell\a\t"),
        LINE("a.mp4\tl\xff\t"),
        LINE("a.mp4\ttext\tword"),
        LINE("a.mp4\ttext\tword:1"),
        LINE("a.mp4\ttext\t:1:2"),
        LINE("a.mp4\ttext\tword:1:x"),
        LINE("a.mp4\ttext\tword:-1:2"),
        LINE("a.mp4\ttext\tword:2:1"),
        LINE("a.mp4\ttext\tword:1:99999999999999999999"),
        LINE("a.mp4\ttext\tword::2"),
        LINE("a.mp4\ttext\tgood:1:2 ::"),
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[300];
        size_t size = (size_t)sprintf(text, "path\ttext\twords_ms\nx\tone\ta:0:1\n");
        memcpy(text + size, lines[i].bytes, lines[i].length);
        size += lines[i].length;
        size += (size_t)sprintf(text + size, "\ny\ttwo\tb:5:6\n");
        struct manifest m;
        struct warnings w;
        struct error err = {0};
        assert_int_equal(load(&m, &w, text, size, &err), 0);
        char place[100];
        snprintf(place, sizeof place, "%s:3: ", path);
        if (w.count != 1 || !strstr(w.last, place) || m.count != 2 || m.broken != 1)
            fail_msg("line %zu: %d warnings, %s", i, w.count, w.last);
        assert_string_equal(m.entries[0].words[0].text, "a");
        assert_string_equal(m.entries[1].words[0].text, "b");
        assert_int_equal(m.entries[1].words[0].end_ms, 6);
        assert_int_equal(m.entries[1].line, 4);
        manifest_release(&m);
    }
}

static void test_long_text(void **state)
{
    (void)state;
    size_t size = 40000;
    char *text = malloc(size);
    int head = sprintf(text, "path\ttext\nx\tone\ny\t");
    memset(text + head, 'a', size - (size_t)head);
    struct manifest m;
    struct warnings w;
    struct error err = {0};
    assert_int_equal(load(&m, &w, text, size, &err), 0);
    assert_int_equal(m.count, 1);
    assert_int_equal(w.count, 1);
    manifest_release(&m);
    free(text);
}

static void test_broken_files(void **state)
{
    (void)state;
    static const char *const files[] = {
        "", "\n", "path\n", "text\tpat\n", "path text\n", "path\ttext\n", "path\ttext\nx\n"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct manifest m;
        struct warnings w;
        struct error err = {0};
        assert_int_equal(load(&m, &w, files[i], strlen(files[i]), &err), ERROR_FORMAT);
        assert_non_null(strstr(err.message, path));
        manifest_release(&m);
    }
    struct manifest m;
    struct error err;
    assert_int_equal(manifest_load(&m, "/nonexistent.tsv", NULL, NULL, &err), ERROR_IO);
    assert_int_equal(manifest_load(&m, "/", NULL, NULL, &err), ERROR_IO);
}

static void test_real(void **state)
{
    (void)state;
    struct manifest m;
    struct error err = {0};
    if (access("../shared/data/grid/test.tsv", R_OK) != 0)
        skip();
    assert_int_equal(manifest_load(&m, "../shared/data/grid/test.tsv", NULL, NULL, &err), 0);
    assert_int_equal(m.count, 60);
    assert_int_equal(m.broken, 0);
    for (int64_t i = 0; i < m.count; i++) {
        assert_int_equal(access(m.entries[i].path, R_OK), 0);
        assert_int_equal(m.entries[i].word_count, 6);
    }
    manifest_release(&m);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/list.tsv", folder);
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
        cmocka_unit_test(test_good),      cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_long_text), cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_real),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
