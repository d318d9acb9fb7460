/* The mouth tracker on drawn faces, on pictures without a face, and on recordings where they are.
 */
#include "base/random.h"
#include "drawn_face.h"
#include "features/mouth.h"
#include "features/mouth_warp.h"
#include "media/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 240, HEIGHT = 216, PICTURES_MAX = 160 };

static struct face_finder *finder; /* one for all tests: loading takes a while */
static struct mouth_frame frames[PICTURES_MAX];
static int count;

static int open_finder(void **state)
{
    (void)state;
    struct error err = {0};
    return face_finder_open(&finder, &err);
}

static int close_finder(void **state)
{
    (void)state;
    face_finder_close(finder);
    return 0;
}

static void pop_all(struct mouth_tracker *t)
{
    while (count < PICTURES_MAX && mouth_tracker_pop(t, &frames[count])) {
        assert_int_equal(frames[count].index, count);
        count++;
    }
}

static struct mouth_tracker *tracker(void)
{
    struct error err = {0};
    struct mouth_tracker *t;
    assert_int_equal(mouth_tracker_new(&t, finder, &err), 0);
    count = 0;
    return t;
}

static void push(struct mouth_tracker *t, const uint8_t *rgb, int width, int height)
{
    struct error err = {0};
    assert_int_equal(mouth_tracker_push(t, rgb, width, height, 3 * width, &err), 0);
    pop_all(t);
}

static int64_t finish(struct mouth_tracker *t)
{
    mouth_tracker_finish(t);
    pop_all(t);
    const int64_t found = mouth_tracker_found(t);
    mouth_tracker_free(t);
    return found;
}

/* A face that drifts right by one pixel a picture where shown[k] is 'f', an empty picture else. */
static int64_t play(const char *shown)
{
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    struct mouth_tracker *t = tracker();
    for (int k = 0; shown[k]; k++) {
        if (shown[k] == 'f')
            draw_face(rgb, WIDTH, HEIGHT, 90 + k, 105, 100, 0.5 + 0.5 * sin(k));
        else
            memset(rgb, 90, sizeof rgb);
        push(t, rgb, WIDTH, HEIGHT);
    }
    return finish(t);
}

static void mouth_centre(float centre[2], const struct mouth_frame *f)
{
    centre[0] = centre[1] = 0;
    for (int i = 0; i < 4; i++)
        for (int axis = 0; axis < 2; axis++)
            centre[axis] += f->corners[i][axis] / 4;
}

static void test_drawn_face(void **state)
{
    (void)state;
    assert_int_equal(play("ffffffffffffffffffffffffffffff"), 30);
    assert_int_equal(count, 30);
    for (int k = 0; k < count; k++) {
        float centre[2];
        assert_int_equal(frames[k].source, MOUTH_MEASURED);
        mouth_centre(centre, &frames[k]);
        assert_true(fabsf(centre[0] - (float)(90 + k)) < 4);
        assert_true(fabsf(centre[1] - (105 + 36)) < 4);
    }
}

/* The same frames by the plain formula: all landmarks kept, then window, fit, cut. */
static void test_smoothing_over_time(void **state)
{
    (void)state;
    play("ffffffffffffffffffff");
    static uint8_t rgb[3 * WIDTH * HEIGHT], gray[WIDTH * HEIGHT], crop[MOUTH_PIXELS];
    for (int k = 0; k < count; k++) {
        int m = k < MOUTH_MARGIN ? k : MOUTH_MARGIN;
        m = m < count - 1 - k ? m : count - 1 - k;
        float smooth[FACE_LANDMARKS][2] = {{0}}, corners[4][2];
        for (int axis = 0; axis < 2; axis++) {
            float shift = 0;
            for (int i = 0; i < FACE_LANDMARKS; i++) {
                for (int j = k - m; j <= k + m; j++)
                    smooth[i][axis] += frames[j].landmarks[i][axis] / (float)(2 * m + 1);
                shift += (frames[k].landmarks[i][axis] - smooth[i][axis]) / FACE_LANDMARKS;
            }
            for (int i = 0; i < FACE_LANDMARKS; i++)
                smooth[i][axis] += shift;
        }
        draw_face(rgb, WIDTH, HEIGHT, 90 + k, 105, 100, 0.5 + 0.5 * sin(k));
        mouth_gray(gray, rgb, WIDTH, HEIGHT, 3 * WIDTH);
        const struct gray_picture picture = {gray, WIDTH, HEIGHT, WIDTH};
        mouth_cut(crop, corners, picture, (const float(*)[2])smooth);
        for (int i = 0; i < MOUTH_PIXELS; i++)
            assert_in_range(abs(crop[i] - frames[k].crop[i]), 0, 1);
    }
}

static void test_gap_is_bridged(void **state)
{
    (void)state;
    const char *shown = "ffffffff.....fffffff...";
    const int64_t found = play(shown);
    assert_int_equal(count, (int)strlen(shown));
    int measured = 0;
    for (int k = 0; k < count; k++) {
        measured += frames[k].source == MOUTH_MEASURED;
        assert_true(frames[k].source == MOUTH_MEASURED || frames[k].source == MOUTH_GUESSED);
        if (shown[k] == '.')
            assert_int_equal(frames[k].source, MOUTH_GUESSED);
    }
    assert_int_equal(measured, found);
    int before = 7, after = 13; /* the first measured again: a search comes every fifth picture */
    while (frames[after].source != MOUTH_MEASURED)
        after++;
    assert_in_range(after, 13, 17);
    for (int k = before; k <= after; k++)
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            const float w = (float)(k - before) / (float)(after - before);
            const float line =
                (1 - w) * frames[before].landmarks[i][0] + w * frames[after].landmarks[i][0];
            assert_true(fabsf(frames[k].landmarks[i][0] - line) < 1e-3f);
        }
    for (int k = 20; k < count; k++) /* the end is a copy */
        assert_memory_equal(frames[k].landmarks, frames[19].landmarks, sizeof frames[k].landmarks);
}

static void test_long_gap_and_late_face(void **state)
{
    (void)state;
    char shown[100];
    memset(shown, '.', sizeof shown);
    shown[sizeof shown - 1] = 0;
    memset(shown + 35, 'f', 6); /* nothing for longer than MOUTH_GAP, a face, nothing again */
    memset(shown + 86, 'f', 6);
    const int64_t found = play(shown);
    assert_int_equal(count, (int)strlen(shown));
    assert_in_range(found, 4, 12);
    for (int k = 0; k < 35; k++) {
        assert_int_equal(frames[k].source, MOUTH_NONE);
        for (int i = 0; i < MOUTH_PIXELS; i++)
            assert_int_equal(frames[k].crop[i], 0);
    }
    assert_int_equal(frames[40].source, MOUTH_MEASURED);
    for (int k = 41; k < 86; k++) { /* given up: copies, no slow slide to the face's next place */
        assert_int_equal(frames[k].source, MOUTH_GUESSED);
        assert_memory_equal(frames[k].landmarks, frames[40].landmarks, sizeof frames[k].landmarks);
    }
    assert_int_equal(play("........fffff"), 3);
    for (int k = 0; k < 10; k++) { /* a short wait is filled with the first face */
        assert_int_equal(frames[k].source, MOUTH_GUESSED);
        assert_memory_equal(frames[k].landmarks, frames[10].landmarks, sizeof frames[k].landmarks);
    }
}

static void test_two_faces(void **state)
{
    (void)state;
    enum { W = 400, H = 230 };
    static uint8_t rgb[3 * W * H], left[3 * W * H], right[3 * W * H];
    struct mouth_tracker *t = tracker();
    for (int k = 0; k < 20; k++) { /* the left face is larger, later smaller */
        draw_face(left, W, H, 100, 100, k < 8 ? 120 : 95, 0.5);
        draw_face(right, W, H, 300, 100, k < 8 ? 90 : 125, 0.5);
        for (int i = 0; i < W * H; i++)
            memcpy(rgb + 3 * i, (i % W < W / 2 ? left : right) + 3 * i, 3);
        push(t, rgb, W, H);
    }
    assert_int_equal(finish(t), 20);
    for (int k = 0; k < 20; k++) {
        float centre[2];
        mouth_centre(centre, &frames[k]);
        assert_true(fabsf(centre[0] - 100) < 15);
    }
}

static void test_no_face(void **state)
{
    (void)state;
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    struct random r;
    random_seed(&r, 6);
    for (int kind = 0; kind < 2; kind++) {
        struct mouth_tracker *t = tracker();
        for (int k = 0; k < 12; k++) {
            for (size_t i = 0; i < sizeof rgb; i++)
                rgb[i] = kind ? (uint8_t)random_below(&r, 256) : 128;
            push(t, rgb, WIDTH, HEIGHT);
        }
        assert_int_equal(finish(t), 0);
        assert_int_equal(count, 12);
        for (int k = 0; k < count; k++)
            assert_int_equal(frames[k].source, MOUTH_NONE);
    }
    struct mouth_tracker *t = tracker();
    assert_int_equal(finish(t), 0);
    assert_int_equal(count, 0);
}

static void test_odd_pictures(void **state)
{
    (void)state;
    const int sizes[][2] = {{1, 1}, {3, 700}, {1500, 2}, {97, 96}};
    for (int s = 0; s < 4; s++) {
        const int w = sizes[s][0], h = sizes[s][1];
        uint8_t *rgb = calloc((size_t)w * h, 3);
        assert_non_null(rgb);
        struct mouth_tracker *t = tracker();
        push(t, rgb, w, h);
        assert_int_equal(finish(t), 0);
        assert_int_equal(frames[0].source, MOUTH_NONE);
        free(rgb);
    }
}

static void test_misuse(void **state)
{
    (void)state;
    static uint8_t rgb[3 * 64 * 64];
    struct error err = {0};
    struct mouth_tracker *t = tracker();
    assert_int_equal(mouth_tracker_push(t, rgb, 0, 5, 3, &err), ERROR_LIMIT);
    assert_int_equal(mouth_tracker_push(t, rgb, 64, 64, 64, &err), ERROR_LIMIT);
    push(t, rgb, 64, 64);
    assert_int_equal(mouth_tracker_push(t, rgb, 32, 64, 96, &err), ERROR_FORMAT);
    finish(t);
    t = tracker();
    int rc = 0;
    for (int k = 0; k < 200 && rc == 0; k++) /* never popped: bounded */
        rc = mouth_tracker_push(t, rgb, 64, 64, 192, &err);
    assert_int_equal(rc, ERROR_USAGE);
    mouth_tracker_free(t);
    mouth_tracker_free(NULL);
}

static void test_ready_mouths(void **state)
{
    (void)state;
    static uint8_t rgb[3 * MOUTH_PIXELS];
    for (int side = 88; side <= 96; side += 8) {
        struct mouth_tracker *t = tracker();
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < side * side; i++)
                memset(rgb + 3 * i, (i * 7 + k) % 256, 3);
            push(t, rgb, side, side);
            assert_int_equal(count, k + 1); /* no picture has to wait */
        }
        assert_int_equal(finish(t), 3);
        const int border = (MOUTH_SIDE - side) / 2;
        for (int i = 0; i < MOUTH_PIXELS; i++) {
            const int x = i % MOUTH_SIDE - border, y = i / MOUTH_SIDE - border;
            const bool inside = x >= 0 && y >= 0 && x < side && y < side;
            assert_int_equal(frames[2].source, MOUTH_READY);
            assert_int_equal(frames[2].crop[i], inside ? ((y * side + x) * 7 + 2) % 256 : 0);
        }
    }
}

static void test_landmark_file(void **state)
{
    (void)state;
    static uint8_t gray[100 * 100];
    const struct gray_picture picture = {gray, 100, 100, 100};
    const struct face_box box = {10, 10, 90, 90, 0};
    const char *files[] = {"no-such-file.dat", "CMakeLists.txt"};
    const int codes[] = {ERROR_IO, ERROR_FORMAT};
    float points[FACE_LANDMARKS][2];
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        struct face_finder *f;
        setenv("MOME_LANDMARKS", files[i], 1);
        assert_int_equal(face_finder_open(&f, &err), 0);
        unsetenv("MOME_LANDMARKS");
        assert_int_equal(face_landmarks(f, points, picture, &box, &err), codes[i]);
        assert_non_null(strstr(err.message, files[i]));
        face_finder_close(f);
    }
}

/* At least 99 % of the pictures measured, and the crop's centre steady on the face. */
static void check_recordings(const char *folder, const char *table, int every, int clips)
{
    char line[4096], path[4352];
    snprintf(path, sizeof path, "%s/%s", folder, table);
    FILE *list = fopen(path, "r");
    if (!list) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    int64_t found = 0, pictures = 0;
    for (int row = 0, done = 0; fgets(line, sizeof line, list) && done < clips; row++) {
        if (row % every != 1)
            continue;
        done++;
        line[strcspn(line, "\t")] = 0;
        snprintf(path, sizeof path, "%s/%s", folder, line);
        struct error err = {0};
        struct media *m;
        struct media_chunk chunk;
        const struct media_options options = {.no_sound = true};
        assert_int_equal(media_open(&m, path, &options, &err), 0);
        struct mouth_tracker *t = tracker();
        while (media_read(m, &chunk, &err) == 1) {
            assert_int_equal(
                mouth_tracker_push(t, chunk.rgb, chunk.width, chunk.height, chunk.stride, &err), 0);
            pop_all(t);
        }
        media_close(m);
        found += finish(t);
        pictures += count;
        for (int k = 1; k < count; k++) {
            float now[2], last[2];
            mouth_centre(now, &frames[k]);
            mouth_centre(last, &frames[k - 1]);
            const float side = frames[k].box.right - frames[k].box.left;
            assert_true(hypotf(now[0] - last[0], now[1] - last[1]) < 0.04f * side);
        }
    }
    fclose(list);
    print_message("%s: mouth measured in %lld of %lld pictures\n", folder, (long long)found,
                  (long long)pictures);
    assert_true(pictures > 0 && 100 * found >= 99 * pictures);
}

static void test_grid(void **state)
{
    (void)state;
    check_recordings("../shared/data/grid", "dev.tsv", 12, 4);
    check_recordings("../shared/data/grid", "other_dev.tsv", 6, 4);
}

static void test_lombard(void **state)
{
    (void)state;
    check_recordings("../shared/data/lombard", "dev.tsv", 16, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawn_face),     cmocka_unit_test(test_smoothing_over_time),
        cmocka_unit_test(test_gap_is_bridged), cmocka_unit_test(test_long_gap_and_late_face),
        cmocka_unit_test(test_two_faces),      cmocka_unit_test(test_no_face),
        cmocka_unit_test(test_odd_pictures),   cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_ready_mouths),   cmocka_unit_test(test_landmark_file),
        cmocka_unit_test(test_grid),           cmocka_unit_test(test_lombard),
    };
    return cmocka_run_group_tests(tests, open_finder, close_finder);
}
