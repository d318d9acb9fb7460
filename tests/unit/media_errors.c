/* Bad input: an error with one line that names the file; nothing left behind; no crash. */
#include "made_clip.h"
#include "base/file.h"
#include "base/memory.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void expect(const char *path, int code, const char *words)
{
    struct seen seen = made_read(path, NULL);
    if (seen.code != code || !strstr(seen.err.message, path) || !strstr(seen.err.message, words) ||
        strchr(seen.err.message, '\n'))
        fail_msg("%s: code %d, expected %d and \"%s\": %s", path, seen.code, code, words,
                 seen.err.message);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    struct error err = {0};
    assert_int_equal(file_write(path, bytes, size, &err), 0);
}

static void missing(void **state)
{
    (void)state;
    expect("/nowhere/clip.mp4", ERROR_IO, "No such file");
    expect("/tmp", ERROR_IO, "folder");
}

static void not_media(void **state)
{
    (void)state;
    static const char text[] = "Dear diary,\ntoday nothing happened.\n";
    static const char list[] = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n";
    char path[256];
    write_bytes(made_path(path, "clip.mp4"), text, sizeof text - 1);
    expect(path, ERROR_FORMAT, "not a media file");
    write_bytes(path, "", 0);
    expect(path, ERROR_FORMAT, "empty");
    write_bytes(path, list, sizeof list - 1);
    struct seen seen = made_read(path, NULL);
    assert_true(seen.code < 0);
    made_remove(path);
}

static void truncated_mp4(void **state)
{
    (void)state;
    struct made made = {
        .picture_seconds = 1,
        .sound_seconds = 1,
        .options = {.width = MADE_WIDTH, .height = MADE_HEIGHT, .sample_rate = 16000},
    };
    char path[256], *bytes;
    size_t size;
    struct error err = {0};
    made_write(made_path(path, "clip.mp4"), &made);
    assert_int_equal(file_read(&bytes, &size, path, 1 << 24, &err), 0);
    write_bytes(path, bytes, size - 700);
    expect(path, ERROR_FORMAT, "cut short");
    for (size_t cut = 1; cut < size; cut += 97) {
        write_bytes(path, bytes, cut);
        assert_true(made_read(path, NULL).code < 0);
    }
    memory_free(bytes);
    made_remove(path);
}

static void no_streams(void **state)
{
    (void)state;
    static const char subtitles[] = "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n";
    char path[256];
    write_bytes(made_path(path, "clip.vtt"), subtitles, sizeof subtitles - 1);
    expect(path, ERROR_NO_STREAM, "no sound and no pictures");
    made_remove(path);
}

static void zero_length(void **state)
{
    (void)state;
    struct made made = {.options = {.sample_rate = 16000}};
    char path[256];
    made_write(made_path(path, "clip.wav"), &made);
    struct seen seen = made_read(path, NULL);
    assert_true(seen.code < 0);
    assert_non_null(strstr(seen.err.message, path));
    made_remove(path);
}

static void wanted_stream_is_not_there(void **state)
{
    (void)state;
    struct made made = {.sound_seconds = 0.5, .options = {.sample_rate = 16000}};
    const struct media_options no_sound = {.no_sound = true};
    char path[256];
    made_write(made_path(path, "clip.wav"), &made);
    struct seen seen = made_read(path, &no_sound);
    assert_int_equal(seen.code, ERROR_NO_STREAM);
    assert_non_null(strstr(seen.err.message, "no pictures"));
    made_remove(path);
}

/* ---- the writer ---- */

static void writer_refuses(void **state)
{
    (void)state;
    const struct writer_options bad[] = {
        {0},
        {.width = 1, .height = 64},
        {.width = 64},
        {.width = 1 << 20, .height = 64},
        {.width = 64, .height = 64, .fps_num = 25},
        {.width = 64, .height = 64, .quality = 99},
        {.sample_rate = 12345},
    };
    char path[256];
    made_path(path, "clip.mp4");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        struct writer *w;
        assert_true(writer_open(&w, path, &bad[i], &err) < 0);
        assert_non_null(strstr(err.message, path));
    }
    made_remove(path);
    struct error err = {0};
    struct writer *w;
    assert_int_equal(
        writer_open(&w, "/nowhere/a.mp4", &(struct writer_options){.sample_rate = 16000}, &err),
        ERROR_IO);
    assert_int_equal(
        writer_open(&w, "a.wav", &(struct writer_options){.width = 64, .height = 64}, &err),
        ERROR_USAGE);
}

/* A limit on file sizes fails writes as a full disk does. */
static void full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    char path[256];
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 1000;
    struct error err = {0};
    struct writer *w;
    struct writer_options o = {.sample_rate = 16000};
    static float pcm[160000];
    for (int i = 0; i < 160000; i++)
        pcm[i] = (float)sin(i * 0.1);
    assert_int_equal(writer_open(&w, made_path(path, "clip.wav"), &o, &err), 0);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = writer_sound(w, pcm, 160000, &err);
    int closed = rc ? (writer_abandon(w), rc) : writer_close(w, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(closed, ERROR_IO);
    assert_non_null(strstr(err.message, "cannot write"));
    made_remove(path); /* its rmdir fails if the temporary is still there */
}

static void abandoned(void **state)
{
    (void)state;
    char path[256];
    struct error err = {0};
    struct writer *w;
    struct writer_options o = {.width = 64, .height = 64};
    assert_int_equal(writer_open(&w, made_path(path, "clip.mp4"), &o, &err), 0);
    writer_abandon(w);
    writer_abandon(NULL);
    struct stat st;
    assert_int_not_equal(stat(path, &st), 0);
    made_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing),        cmocka_unit_test(not_media),
        cmocka_unit_test(truncated_mp4),  cmocka_unit_test(no_streams),
        cmocka_unit_test(zero_length),    cmocka_unit_test(wanted_stream_is_not_there),
        cmocka_unit_test(writer_refuses), cmocka_unit_test(full_disk),
        cmocka_unit_test(abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
