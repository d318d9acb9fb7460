/* Faces followed and mouths cut: one and several drawn faces that come, go and change with the
   shot; pictures without a face; recordings where they are. */
#include "base/random.h"
#include "drawn_face.h"
#include "features/faces.h"
#include "features/face_track.h"
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
static struct faces_picture pictures[PICTURES_MAX];
static struct mouth_frame frames[PICTURES_MAX]; /* of the first face; zeros: there is none */
static int count;
static int64_t found; /* of frames, measured or ready */

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

static void pop_all(struct faces *t)
{
    while (count < PICTURES_MAX && faces_pop(t, &pictures[count])) {
        const struct faces_picture *p = &pictures[count];
        assert_int_equal(p->index, count);
        memset(&frames[count], 0, sizeof frames[count]);
        if (p->count > 0)
            frames[count] = p->faces[0].mouth;
        const enum mouth_source source = frames[count++].source;
        found += source == MOUTH_MEASURED || source == MOUTH_READY;
    }
}

static struct faces *tracker(void)
{
    struct error err = {0};
    struct faces *t;
    assert_int_equal(faces_new(&t, finder, &err), 0);
    count = 0;
    found = 0;
    return t;
}

static void push(struct faces *t, const uint8_t *rgb, int width, int height)
{
    struct error err = {0};
    assert_int_equal(faces_push(t, rgb, width, height, 3 * width, &err), 0);
    pop_all(t);
}

static int64_t finish(struct faces *t)
{
    faces_finish(t);
    pop_all(t);
    faces_free(t);
    return found;
}

/* A face that drifts right by one pixel a picture, behind a board where shown[k] is not 'f'. */
static int64_t play(const char *shown)
{
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    struct faces *t = tracker();
    for (int k = 0; shown[k]; k++) {
        draw_face(rgb, WIDTH, HEIGHT, 90 + k, 105, 100, 0.5 + 0.5 * sin(k));
        for (int y = 60; shown[k] != 'f' && y < 160; y++)
            memset(rgb + 3 * (y * WIDTH + 40 + k), 120, 3 * 100);
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
    play(shown);
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
    play(shown);
    assert_int_equal(count, (int)strlen(shown));
    assert_in_range(found, 4, 12);
    for (int k = 0; k < 35; k++) {
        assert_int_equal(frames[k].source, MOUTH_NONE);
        for (int i = 0; i < MOUTH_PIXELS; i++)
            assert_int_equal(frames[k].crop[i], 0);
    }
    assert_int_equal(frames[40].source, MOUTH_MEASURED);
    for (int k = 41; k < 86; k++) { /* given up: copies, no slow slide to the face's next place */
        const bool bridged = k <= 41 + MOUTH_GAP;
        assert_int_equal(frames[k].source, bridged ? MOUTH_GUESSED : MOUTH_NONE);
        if (bridged)
            assert_memory_equal(frames[k].landmarks, frames[40].landmarks,
                                sizeof frames[k].landmarks);
        else
            assert_int_equal(pictures[k].count, 0);
    }
    assert_int_equal(frames[91].source, MOUTH_MEASURED); /* the same, back */
    assert_int_equal(pictures[91].faces[0].id, pictures[40].faces[0].id);
    assert_int_equal(play("........fffff"), 3);
    for (int k = 0; k < 10; k++) { /* a short wait is filled with the first face */
        assert_int_equal(frames[k].source, MOUTH_GUESSED);
        assert_memory_equal(frames[k].landmarks, frames[10].landmarks, sizeof frames[k].landmarks);
    }
}

/* ---- several faces ---- */

enum { W = 400, H = 230 };

/* A face of `side` pixels in each half; 0: none there. */
static void draw_two(uint8_t *rgb, double left_side, double right_side, double open)
{
    static uint8_t half[3 * (W / 2) * H];
    for (int k = 0; k < 2; k++) {
        const double side = k ? right_side : left_side;
        memset(half, 90, sizeof half);
        if (side > 0)
            draw_face(half, W / 2, H, 100, 100, side, open);
        for (int y = 0; y < H; y++)
            memcpy(rgb + 3 * (y * W + k * W / 2), half + 3 * y * W / 2, 3 * W / 2);
    }
}

static const struct faces_face *numbered(const struct faces_picture *p, int number)
{
    for (int i = 0; i < p->count; i++)
        if (p->faces[i].number == number)
            return &p->faces[i];
    return NULL;
}

static void expect_at(const struct faces_face *face, float x)
{
    float centre[2];
    assert_non_null(face);
    mouth_centre(centre, &face->mouth);
    assert_true(fabsf(centre[0] - x) < 15);
}

static void test_two_faces(void **state)
{
    (void)state;
    static uint8_t rgb[3 * W * H];
    struct faces *t = tracker();
    for (int k = 0; k < 20; k++) { /* the left face is smaller, later larger */
        draw_two(rgb, 90 + 2 * k, 125 - 2 * k, 0.5);
        push(t, rgb, W, H);
    }
    finish(t);
    assert_int_equal(count, 20);
    for (int k = 0; k < 20; k++) {
        assert_int_equal(pictures[k].count, 2);
        expect_at(numbered(&pictures[k], 1), 300); /* the larger when they were found */
        expect_at(numbered(&pictures[k], 2), 100);
        assert_int_equal(pictures[k].faces[0].id, pictures[0].faces[0].id);
        assert_int_equal(pictures[k].faces[1].id, pictures[0].faces[1].id);
    }
    t = tracker();
    for (int k = 0; k < 10; k++) { /* alike: from left to right */
        draw_two(rgb, 110, 114, 0.5);
        push(t, rgb, W, H);
    }
    finish(t);
    expect_at(numbered(&pictures[9], 1), 100);
}

static void test_a_face_comes_and_leaves(void **state)
{
    (void)state;
    enum { COMES = 30, LEAVES = 70, ALL = 120 };
    static uint8_t rgb[3 * W * H];
    struct faces *t = tracker();
    for (int k = 0; k < ALL; k++) {
        draw_two(rgb, 110, k < COMES || k >= LEAVES ? 0 : 110, k % 7 / 7.0);
        push(t, rgb, W, H);
    }
    finish(t);
    assert_int_equal(count, ALL);
    int came = 0;
    while (came < ALL && !numbered(&pictures[came], 2))
        came++;
    assert_in_range(came, COMES, COMES + FACES_SEARCH);
    for (int k = 0; k < ALL; k++) {
        const struct faces_face *other = numbered(&pictures[k], 2);
        expect_at(numbered(&pictures[k], 1), 100);
        if (k < came || k > LEAVES + FACE_TRACK_CHECK + MOUTH_GAP)
            assert_null(other);
        else if (k >= came + MOUTH_MARGIN && k < LEAVES)
            assert_int_equal(other->mouth.source, MOUTH_MEASURED);
        if (k >= LEAVES + FACE_TRACK_CHECK && other)
            assert_int_equal(other->mouth.source, MOUTH_GUESSED);
    }
}

/* Other people in another place: nothing is bridged, ids are new, numbers begin again. */
static void test_shot_change(void **state)
{
    (void)state;
    enum { CUT = 17, ALL = 40 };
    static uint8_t rgb[3 * W * H];
    struct faces *t = tracker();
    for (int k = 0; k < ALL; k++) {
        draw_two(rgb, 110, k < CUT ? 110 : 0, 0.3);
        for (size_t i = 0; k >= CUT && i < sizeof rgb; i++)
            rgb[i] = (uint8_t)fmin(rgb[i] * 0.6 + 90, 255);
        push(t, rgb, W, H);
    }
    finish(t);
    assert_int_equal(count, ALL);
    for (int k = 0; k < ALL; k++) {
        const struct faces_face *first = numbered(&pictures[k], 1);
        assert_int_equal(pictures[k].count, k < CUT ? 2 : 1);
        expect_at(first, 100);
        assert_int_equal(first->shot, k < CUT ? 0 : 1);
        assert_int_equal(first->id, k < CUT ? 1 : 3);
        assert_int_equal(first->mouth.source, MOUTH_MEASURED);
    }
}

static void test_no_face(void **state)
{
    (void)state;
    static uint8_t rgb[3 * WIDTH * HEIGHT];
    struct random r;
    random_seed(&r, 6);
    for (int kind = 0; kind < 2; kind++) {
        struct faces *t = tracker();
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
    struct faces *t = tracker();
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
        struct faces *t = tracker();
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
    struct faces *t = tracker();
    assert_int_equal(faces_push(t, rgb, 0, 5, 3, &err), ERROR_LIMIT);
    assert_int_equal(faces_push(t, rgb, 64, 64, 64, &err), ERROR_LIMIT);
    push(t, rgb, 64, 64);
    assert_int_equal(faces_push(t, rgb, 32, 64, 96, &err), ERROR_FORMAT);
    finish(t);
    t = tracker();
    int rc = 0;
    for (int k = 0; k < 200 && rc == 0; k++) /* never popped: bounded */
        rc = faces_push(t, rgb, 64, 64, 192, &err);
    assert_int_equal(rc, ERROR_USAGE);
    faces_free(t);
    faces_free(NULL);
}

static void test_ready_mouths(void **state)
{
    (void)state;
    static uint8_t rgb[3 * MOUTH_PIXELS];
    for (int side = 88; side <= 96; side += 8) {
        struct faces *t = tracker();
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
    int64_t all_found = 0, all = 0;
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
        struct faces *t = tracker();
        while (media_read(m, &chunk, &err) == 1) {
            assert_int_equal(
                faces_push(t, chunk.rgb, chunk.width, chunk.height, chunk.stride, &err), 0);
            pop_all(t);
        }
        media_close(m);
        all_found += finish(t);
        all += count;
        for (int k = 1; k < count; k++) {
            float now[2], last[2];
            mouth_centre(now, &frames[k]);
            mouth_centre(last, &frames[k - 1]);
            const float side = frames[k].box.right - frames[k].box.left;
            assert_true(hypotf(now[0] - last[0], now[1] - last[1]) < 0.04f * side);
        }
    }
    fclose(list);
    print_message("%s: mouth measured in %lld of %lld pictures\n", folder, (long long)all_found,
                  (long long)all);
    assert_true(all > 0 && 100 * all_found >= 99 * all);
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
        cmocka_unit_test(test_two_faces),      cmocka_unit_test(test_a_face_comes_and_leaves),
        cmocka_unit_test(test_shot_change),    cmocka_unit_test(test_no_face),
        cmocka_unit_test(test_odd_pictures),   cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_ready_mouths),   cmocka_unit_test(test_landmark_file),
        cmocka_unit_test(test_grid),           cmocka_unit_test(test_lombard),
    };
    return cmocka_run_group_tests(tests, open_finder, close_finder);
}
