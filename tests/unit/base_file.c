/*
 * Files: read bounded, written whole or not at all. A full disk is played by RLIMIT_FSIZE (writes
 * past it fail with EFBIG) and by a target that is a link to /dev/full (ENOSPC).
 */
#include "base/file.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct folder {
    char path[64], file[96]; /* a new folder, and a path in it that is not there yet */
};

static int setup(void **state)
{
    static struct folder f;
    strcpy(f.path, "/tmp/mome-test-XXXXXX");
    if (!mkdtemp(f.path))
        return -1;
    snprintf(f.file, sizeof f.file, "%s/target", f.path);
    *state = &f;
    return 0;
}

static int files_in(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static int teardown(void **state)
{
    struct folder *f = *state;
    unlink(f->file);
    return rmdir(f->path);
}

static void assert_holds(const char *path, const char *expected)
{
    struct error err;
    char *text;
    size_t size;
    assert_int_equal(file_read(&text, &size, path, 1 << 20, &err), 0);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(text, expected);
    memory_free(text);
}

static void test_writes_and_reads(void **state)
{
    struct folder *f = *state;
    struct error err;
    assert_int_equal(file_write(f->file, "one", 3, &err), 0);
    assert_holds(f->file, "one");
    assert_int_equal(file_write(f->file, "another", 7, &err), 0);
    assert_holds(f->file, "another");
    assert_int_equal(files_in(f->path), 1);
}

static void test_temporaries_are_removed(void **state)
{
    struct folder *f = *state;
    struct error err;
    const char *const others[] = {"notes.tmp", "1.tmp", "a.12.tmpl", "a.x1.tmp", "a.12"};
    char *left = file_join(f->path, "target.123.tmp");
    assert_int_equal(file_write(left, "x", 1, &err), 0);
    for (int i = 0; i < 5; i++) {
        char *path = file_join(f->path, others[i]);
        assert_int_equal(file_write(path, "x", 1, &err), 0);
        memory_free(path);
    }
    assert_int_equal(files_in(f->path), 6);
    file_remove_temporaries(f->path);
    file_remove_temporaries("/no/such/folder");
    assert_int_equal(files_in(f->path), 5);
    assert_int_equal(access(left, F_OK), -1);
    memory_free(left);
    for (int i = 0; i < 5; i++) {
        char *path = file_join(f->path, others[i]);
        assert_int_equal(unlink(path), 0);
        memory_free(path);
    }
}

static void test_empty_file(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct file_map map;
    assert_int_equal(file_write(f->file, "", 0, &err), 0);
    assert_holds(f->file, "");
    assert_int_equal(file_map_open(&map, f->file, &err), 0);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);
}

static void test_map(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct file_map map;
    assert_int_equal(file_write(f->file, "a\0b", 3, &err), 0);
    assert_int_equal(file_map_open(&map, f->file, &err), 0);
    assert_int_equal(map.size, 3);
    assert_memory_equal(map.data, "a\0b", 3);
    file_map_close(&map);
    assert_null(map.data);
}

/* What was forgotten is read again; memory that is not the map's stays as it is. */
static void test_forget(void **state)
{
    enum { BYTES = 5 * 4096 + 7 };
    struct folder *f = *state;
    struct error err;
    struct file_map map;
    char *bytes = aligned_alloc(4096, 8 * 4096);
    assert_non_null(bytes);
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (char)(i % 251);
    assert_int_equal(file_write(f->file, bytes, BYTES, &err), 0);
    assert_int_equal(file_map_open(&map, f->file, &err), 0);
    file_map_forget(&map, map.data, BYTES);
    file_map_forget(&map, map.data + 100, 2 * 4096);
    file_map_forget(&map, map.data + 4096, BYTES); /* past its end: nothing */
    file_map_forget(&map, bytes, BYTES);
    assert_int_equal(bytes[4096], 4096 % 251);
    assert_memory_equal(map.data, bytes, BYTES);
    file_map_close(&map);
    free(bytes);
}

static void test_what_cannot_be_read(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct file_map map;
    char *text;
    size_t size;
    assert_int_equal(file_map_open(&map, f->file, &err), ERROR_IO);
    assert_non_null(strstr(err.message, f->file));
    assert_int_equal(file_map_open(&map, f->path, &err), ERROR_IO); /* a folder */
    assert_int_equal(file_read(&text, &size, "/dev/zero", 100, &err), ERROR_IO);
    assert_null(text);
    assert_int_equal(file_write(f->file, "12345", 5, &err), 0);
    assert_int_equal(file_read(&text, &size, f->file, 4, &err), ERROR_LIMIT);
    assert_null(text);
    assert_non_null(strstr(err.message, f->file));
}

static void test_abandoned_writer_leaves_nothing(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct file_writer w;
    assert_int_equal(file_write(f->file, "old", 3, &err), 0);
    assert_int_equal(file_writer_open(&w, f->file, &err), 0);
    fputs("new", w.stream);
    fflush(w.stream);
    assert_int_equal(files_in(f->path), w.unnamed ? 1 : 2);
    assert_holds(f->file, "old"); /* not replaced before commit */
    file_writer_abandon(&w);
    assert_int_equal(files_in(f->path), 1);
    assert_holds(f->file, "old");
}

/* What a kill leaves: a process writes, and dies before commit or after it. */
static void test_killed_writer(void **state)
{
    struct folder *f = *state;
    for (int commits = 0; commits < 2; commits++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            struct error err;
            struct file_writer w;
            bool good = file_writer_open(&w, f->file, &err) == 0 && fputs("new", w.stream) >= 0 &&
                        fflush(w.stream) == 0 && (!commits || file_writer_commit(&w, &err) == 0);
            raise(good ? SIGKILL : SIGABRT);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_int_equal(access(f->file, F_OK), commits ? 0 : -1);
        if (files_in(f->path) != commits) /* a file system without unnamed files */
            file_remove_temporaries(f->path);
    }
    assert_holds(f->file, "new");
}

/* A relative path, and a temporary name that is taken, by a process of this number. */
static void test_taken_name(void **state)
{
    struct folder *f = *state;
    struct error err;
    char here[256], left[160];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->path), 0);
    snprintf(left, sizeof left, "target.%ld.tmp", (long)getpid());
    for (int i = 0; i < 3; i++) {
        assert_int_equal(file_write("target", i ? "two" : "one", 3, &err), 0);
        assert_holds("target", i ? "two" : "one");
        assert_int_equal(files_in("."), 1);
        if (i == 1)
            assert_int_equal(file_write(left, "x", 1, &err), 0);
    }
    assert_int_equal(chdir(here), 0);
}

static void test_disk_full(void **state)
{
    struct folder *f = *state;
    struct error err;
    assert_int_equal(symlink("/dev/full", f->file), 0);
    assert_int_equal(file_write(f->file, "new", 3, &err), ERROR_IO);
    assert_non_null(strstr(err.message, f->file));
    assert_non_null(strstr(err.message, "No space left"));
    assert_int_equal(files_in(f->path), 1);
}

static void test_file_grows_too_large(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct rlimit old, small;
    char block[4096] = {0};
    assert_int_equal(file_write(f->file, "old", 3, &err), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){100000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    struct file_writer w;
    int opened = file_writer_open(&w, f->file, &err);
    for (int i = 0; opened == 0 && i < 100; i++) /* the fault comes long before the end */
        fwrite(block, 1, sizeof block, w.stream);
    int rc = opened == 0 ? file_writer_commit(&w, &err) : opened;
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(opened, 0);
    assert_int_equal(rc, ERROR_IO);
    assert_non_null(strstr(err.message, f->file));
    assert_int_equal(files_in(f->path), 1);
    assert_holds(f->file, "old");
}

static void test_no_such_folder(void **state)
{
    struct folder *f = *state;
    struct error err;
    char path[160];
    snprintf(path, sizeof path, "%s/none/target", f->path);
    assert_int_equal(file_write(path, "x", 1, &err), ERROR_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(file_write(f->path, "x", 1, &err), ERROR_IO); /* a folder is in its place */
    assert_int_equal(files_in(f->path), 0);
}

static void test_make_folder(void **state)
{
    struct folder *f = *state;
    struct error err;
    struct stat st;
    char a[96], b[128], below[192];
    snprintf(a, sizeof a, "%s/a", f->path);
    snprintf(b, sizeof b, "%s/b", a);
    assert_int_equal(file_make_folder(b, &err), 0);
    assert_int_equal(stat(b, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(file_make_folder(b, &err), 0); /* again is fine */
    rmdir(b);
    rmdir(a);
    assert_int_equal(file_write(f->file, "x", 1, &err), 0);
    snprintf(below, sizeof below, "%s/below", f->file);
    assert_int_equal(file_make_folder(below, &err), ERROR_IO);
    assert_int_equal(file_make_folder(f->file, &err), ERROR_IO); /* a file is in its place */
}

static void test_device_stays_a_device(void **state)
{
    (void)state;
    struct error err = {0};
    struct stat before, after;
    assert_int_equal(stat("/dev/null", &before), 0);
    assert_int_equal(file_write("/dev/null", "x", 1, &err), 0);
    assert_int_equal(stat("/dev/null", &after), 0);
    assert_true(S_ISCHR(after.st_mode) && after.st_ino == before.st_ino);
}

static void test_join(void **state)
{
    (void)state;
    const char *cases[][3] = {
        {"folder", "name", "folder/name"}, {"folder", "/name", "/name"}, {"", "name", "name"}};
    for (int i = 0; i < 3; i++) {
        char *path = file_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        memory_free(path);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_writes_and_reads),
        TEST(test_temporaries_are_removed),
        TEST(test_empty_file),
        TEST(test_map),
        TEST(test_forget),
        TEST(test_what_cannot_be_read),
        TEST(test_abandoned_writer_leaves_nothing),
        TEST(test_killed_writer),
        TEST(test_taken_name),
        TEST(test_disk_full),
        TEST(test_file_grows_too_large),
        TEST(test_no_such_folder),
        TEST(test_make_folder),
        cmocka_unit_test(test_device_stays_a_device),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
