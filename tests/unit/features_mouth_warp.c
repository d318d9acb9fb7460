/* The mouth's geometry against formulas written out the slow way. */
#include "base/random.h"
#include "features/mouth_warp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 68 points whose stable ones, taken by s, are the mean face; the mouth's centre goes to (u, v). */
static void points_for(float points[FACE_LANDMARKS][2], const struct similarity *s, double u,
                       double v)
{
    const double power = s->a * s->a + s->b * s->b;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        double x = u, y = v;
        for (int k = 0; k < MOUTH_STABLE; k++)
            if (mouth_stable_landmarks[k] == i) {
                x = mouth_stable_places[k][0];
                y = mouth_stable_places[k][1];
            }
        points[i][0] = (float)((s->a * (x - s->tx) + s->b * (y - s->ty)) / power);
        points[i][1] = (float)((s->a * (y - s->ty) - s->b * (x - s->tx)) / power);
    }
}

static double residual(const float points[FACE_LANDMARKS][2], struct similarity s)
{
    double sum = 0;
    for (int k = 0; k < MOUTH_STABLE; k++) {
        const double x = points[mouth_stable_landmarks[k]][0];
        const double y = points[mouth_stable_landmarks[k]][1];
        sum += pow(s.a * x - s.b * y + s.tx - mouth_stable_places[k][0], 2);
        sum += pow(s.b * x + s.a * y + s.ty - mouth_stable_places[k][1], 2);
    }
    return sum;
}

static void test_fit_recovers(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 1);
    for (int n = 0; n < 50; n++) {
        const double scale = 0.2 + 3 * random_uniform(&r), turn = 2 * random_uniform(&r) - 1;
        const struct similarity s = {scale * cos(turn), scale * sin(turn),
                                     200 * random_uniform(&r) - 100,
                                     200 * random_uniform(&r) - 100};
        float points[FACE_LANDMARKS][2];
        points_for(points, &s, 128, 160);
        const struct similarity got = mouth_fit((const float(*)[2])points);
        assert_true(fabs(got.a - s.a) < 1e-4 && fabs(got.b - s.b) < 1e-4);
        assert_true(fabs(got.tx - s.tx) < 1e-2 && fabs(got.ty - s.ty) < 1e-2);
    }
}

static void test_fit_is_least_squares(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 2);
    float points[FACE_LANDMARKS][2];
    points_for(points, &(struct similarity){1.5, 0.3, -40, 20}, 128, 160);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int axis = 0; axis < 2; axis++)
            points[i][axis] += (float)(3 * random_normal(&r));
    const struct similarity best = mouth_fit((const float(*)[2])points);
    const double least = residual((const float(*)[2])points, best);
    for (int k = 0; k < 8; k++) {
        struct similarity other = best;
        double *parameter[4] = {&other.a, &other.b, &other.tx, &other.ty};
        *parameter[k / 2] += (k % 2 ? 1 : -1) * (k < 4 ? 1e-3 : 0.1);
        assert_true(residual((const float(*)[2])points, other) > least);
    }
}

static void test_fit_of_one_point(void **state)
{
    (void)state;
    const float points[FACE_LANDMARKS][2] = {{0}};
    const struct similarity s = mouth_fit(points);
    assert_true(s.a == 1 && s.b == 0 && isfinite(s.tx) && isfinite(s.ty));
}

static void test_smooth(void **state)
{
    (void)state;
    enum { COUNT = 5, CURRENT = 2 };
    static float frames[COUNT][FACE_LANDMARKS][2];
    const float(*window[COUNT])[2];
    struct random r;
    random_seed(&r, 3);
    for (int k = 0; k < COUNT; k++) {
        for (int i = 0; i < FACE_LANDMARKS; i++)
            for (int axis = 0; axis < 2; axis++)
                frames[k][i][axis] = (float)(100 * random_uniform(&r) + 10 * k);
        window[k] = (const float(*)[2])frames[k];
    }
    float got[FACE_LANDMARKS][2];
    mouth_smooth(got, window, COUNT, CURRENT);
    for (int axis = 0; axis < 2; axis++) {
        double all = 0, current = 0;
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            current += frames[CURRENT][i][axis] / (double)FACE_LANDMARKS;
            for (int k = 0; k < COUNT; k++)
                all += frames[k][i][axis] / (double)(COUNT * FACE_LANDMARKS);
        }
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            double mean = 0;
            for (int k = 0; k < COUNT; k++)
                mean += frames[k][i][axis] / (double)COUNT;
            assert_true(fabs(got[i][axis] - (mean - all + current)) < 1e-3);
        }
    }
}

enum { WIDE = 300, HIGH = 280 };

/* With the identity the crop is a piece of the picture, and its corners say which. */
static void test_cut_identity(void **state)
{
    (void)state;
    static uint8_t data[WIDE * HIGH], crop[MOUTH_PIXELS];
    struct random r;
    random_seed(&r, 4);
    for (int i = 0; i < WIDE * HIGH; i++)
        data[i] = (uint8_t)random_below(&r, 256);
    const struct gray_picture picture = {data, WIDE, HIGH, WIDE};
    float points[FACE_LANDMARKS][2], corners[4][2];
    points_for(points, &(struct similarity){1, 0, 0, 0}, 129, 158);
    mouth_cut(crop, corners, picture, (const float(*)[2])points);
    const int left = (int)lrintf(corners[0][0] + 0.5f), top = (int)lrintf(corners[0][1] + 0.5f);
    assert_in_range(left, 80, 82); /* landmarks 48 and 54 pull the mean of the mouth a little */
    assert_in_range(top, 109, 111);
    for (int i = 0; i < MOUTH_PIXELS; i++) /* one level: the fit is the identity to 1e-7 only */
        assert_in_range(abs(crop[i] - data[(top + i / MOUTH_SIDE) * WIDE + left + i % MOUTH_SIDE]),
                        0, 1);
}

/* Bilinear sampling of a plane is the plane: turned, grown and shrunk. */
static void test_cut_plane(void **state)
{
    (void)state;
    static uint8_t data[WIDE * HIGH], crop[MOUTH_PIXELS];
    for (int i = 0; i < WIDE * HIGH; i++)
        data[i] = (uint8_t)(10 + i % WIDE * 0.5 + i / WIDE * 0.25 + 0.5);
    const struct gray_picture picture = {data, WIDE, HIGH, WIDE};
    const struct similarity maps[] = {
        {1.2, 0.3, -20, -60}, {2.5, -0.4, -260, -170}, {0.9, -0.2, 0, 10}};
    for (int m = 0; m < 3; m++) {
        float points[FACE_LANDMARKS][2], corners[4][2];
        points_for(points, &maps[m], 129, 158);
        mouth_cut(crop, corners, picture, (const float(*)[2])points);
        for (int i = 0; i < MOUTH_PIXELS; i++) {
            const float u = (i % MOUTH_SIDE + 0.5f) / MOUTH_SIDE;
            const float v = (i / MOUTH_SIDE + 0.5f) / MOUTH_SIDE;
            float at[2];
            for (int axis = 0; axis < 2; axis++)
                at[axis] = corners[0][axis] + u * (corners[1][axis] - corners[0][axis]) +
                           v * (corners[3][axis] - corners[0][axis]);
            if (at[0] < 1 || at[1] < 1 || at[0] > WIDE - 2 || at[1] > HIGH - 2)
                continue;
            assert_true(fabs(10 + at[0] * 0.5 + at[1] * 0.25 - crop[i]) < 1.3);
        }
    }
}

/* Outside the picture is 0; a pattern finer than the crop's pixels becomes its mean. */
static void test_cut_border_and_shrinking(void **state)
{
    (void)state;
    enum { LARGE = 1100 };
    static uint8_t crop[MOUTH_PIXELS];
    uint8_t *data = malloc((size_t)LARGE * LARGE);
    assert_non_null(data);
    for (int i = 0; i < LARGE * LARGE; i++)
        data[i] = (i % LARGE + i / LARGE) % 2 ? 250 : 0;
    const struct gray_picture picture = {data, LARGE, LARGE, LARGE};
    float points[FACE_LANDMARKS][2], corners[4][2];
    points_for(points, &(struct similarity){0.25, 0, 0, 0}, 129, 158);
    mouth_cut(crop, corners, picture, (const float(*)[2])points);
    for (int i = 0; i < MOUTH_PIXELS; i++)
        assert_in_range(crop[i], 100, 150);
    points_for(points, &(struct similarity){0.25, 0, 500, 0}, 129, 158);
    mouth_cut(crop, corners, picture, (const float(*)[2])points);
    for (int i = 0; i < MOUTH_PIXELS; i++)
        assert_int_equal(crop[i], 0);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        points[i][0] = points[i][1] = 1e30f; /* nothing sensible, nothing read outside */
    mouth_cut(crop, corners, picture, (const float(*)[2])points);
    free(data);
}

static void test_gray(void **state)
{
    (void)state;
    enum { W = 7, H = 5, STRIDE = 3 * W + 4 };
    uint8_t rgb[H * STRIDE], gray[W * H];
    struct random r;
    random_seed(&r, 5);
    for (int i = 0; i < H * STRIDE; i++)
        rgb[i] = (uint8_t)random_below(&r, 256);
    memset(rgb, 255, 3);
    mouth_gray(gray, rgb, W, H, STRIDE);
    assert_int_equal(gray[0], 255);
    for (int i = 0; i < W * H; i++) {
        const uint8_t *p = rgb + i / W * STRIDE + 3 * (i % W);
        assert_true(fabs(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] - gray[i]) <= 0.51);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit_recovers),
        cmocka_unit_test(test_fit_is_least_squares),
        cmocka_unit_test(test_fit_of_one_point),
        cmocka_unit_test(test_smooth),
        cmocka_unit_test(test_cut_identity),
        cmocka_unit_test(test_cut_plane),
        cmocka_unit_test(test_gray),
        cmocka_unit_test(test_cut_border_and_shrinking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
