/* The mouth video: what is drawn, read back from the file; and no file after a failure. */
#include "features/mouth_debug.h"
#include "media/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 480, HEIGHT = 320, PICTURES = 10, LATE = 4 };

static const char path[] = "/tmp/mome-mouth-debug-test.mp4";

static struct faces_picture faces_at(int k)
{
    struct mouth_frame f = {.source = k < 5 ? MOUTH_MEASURED : MOUTH_GUESSED,
                            .box = {240, 40, 440, 240, 1},
                            .corners = {{280, 140}, {400, 140}, {400, 260}, {280, 260}}};
    for (int i = 0; i < FACE_LANDMARKS; i++)
        f.landmarks[i][0] = f.landmarks[i][1] = -1e9f; /* far outside: must draw nothing */
    memset(f.crop, 200, sizeof f.crop);
    const struct faces_picture p = {
        .index = k, .count = 1, .faces = {{.id = 1, .number = 1, .mouth = f}}};
    return p;
}

static void write_video(void)
{
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    static float pcm[PICTURES * MEDIA_SAMPLES_PER_PICTURE];
    struct error err = {0};
    struct mouth_debug *d;
    memset(rgb, 64, sizeof rgb);
    assert_int_equal(mouth_debug_open(&d, path, WIDTH, HEIGHT, true, &err), 0);
    assert_int_equal(mouth_debug_sound(d, pcm, sizeof pcm / sizeof *pcm, &err), 0);
    for (int k = 0; k < PICTURES + LATE; k++) {
        if (k < PICTURES)
            assert_int_equal(mouth_debug_picture(d, rgb, 3 * WIDTH, &err), 0);
        const struct faces_picture f = faces_at(k - LATE);
        if (k >= LATE)
            assert_int_equal(mouth_debug_faces(d, &f, &err), 0);
    }
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is whole */
    assert_int_equal(mouth_debug_close(d, &err), 0);
}

/* The mean colour of a small patch is near the expected one (video coding blurs). */
static void expect(const struct media_chunk *c, int x, int y, int r, int g, int b)
{
    const uint8_t *p = c->rgb + (size_t)y * c->stride + 3 * x;
    const int want[3] = {r, g, b};
    for (int i = 0; i < 3; i++)
        assert_in_range(abs(p[i] - want[i]), 0, 90);
}

static void test_what_is_drawn(void **state)
{
    (void)state;
    struct error err = {0};
    struct media *m;
    struct media_chunk chunk;
    int64_t pictures = 0, samples = 0;
    unlink(path);
    write_video();
    assert_int_equal(media_open(&m, path, NULL, &err), 0);
    assert_int_equal(media_info(m).width, WIDTH);
    assert_int_equal(media_info(m).height, HEIGHT);
    while (media_read(m, &chunk, &err) == 1) {
        if (chunk.kind == MEDIA_SOUND) {
            samples += chunk.count;
            continue;
        }
        const bool measured = pictures++ < 5;
        expect(&chunk, 100, 60, 64, 64, 64);                            /* background */
        expect(&chunk, 340, 40, measured ? 40 : 250, 220, 30);          /* box, upper side */
        expect(&chunk, 340, 260, 240, 60, 50);                          /* mouth, lower side */
        expect(&chunk, MOUTH_SIDE, HEIGHT - MOUTH_SIDE, 200, 200, 200); /* inset */
        expect(&chunk, 340, 100, 64, 64, 64);                           /* inside the box */
    }
    media_close(m);
    assert_int_equal(pictures, PICTURES);
    assert_true(samples > 0);
    unlink(path);
}

static void test_failures(void **state)
{
    (void)state;
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    struct error err = {0};
    struct mouth_debug *d;
    assert_true(mouth_debug_open(&d, "/no/such/folder/x.mp4", WIDTH, HEIGHT, false, &err) < 0);
    assert_non_null(strstr(err.message, "/no/such/folder/x.mp4"));
    assert_null(d);
    assert_int_equal(mouth_debug_open(&d, path, WIDTH, HEIGHT, false, &err), 0);
    const struct faces_picture f = faces_at(0);
    assert_int_equal(mouth_debug_faces(d, &f, &err), ERROR_USAGE); /* its picture never came */
    int rc = 0;
    for (int k = 0; k < 200 && rc == 0; k++)
        rc = mouth_debug_picture(d, rgb, 3 * WIDTH, &err);
    assert_int_equal(rc, ERROR_USAGE); /* frames never came: bounded */
    mouth_debug_abandon(d);
    assert_int_not_equal(access(path, F_OK), 0);
    mouth_debug_abandon(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_drawn),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
