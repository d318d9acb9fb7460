/* What is drawn into a picture: where, where not, at any size; text of any content stays text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "decode/show_layout.h"

#include <string.h>

enum { WIDTH = 640, HEIGHT = 480, MIDDLE = WIDTH / 2 - 40, GRAY = 128 };

struct scene {
    int width, height;
    uint8_t *rgb;
    struct show_layout *layout;
    struct words words;
};

static void scene_open(struct scene *s, int width, int height, const char *const *words, int count)
{
    struct error err = {0};
    *s = (struct scene){.width = width, .height = height};
    s->rgb = memory_new((size_t)width * height, 3);
    assert_non_null(s->rgb);
    assert_int_equal(show_layout_open(&s->layout, width, height, &err), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(words_add(&s->words, words[i], strlen(words[i]), 0.1 * i, 0.1 * (i + 1),
                                   i % 3 ? 0.9 : 0.1, &err),
                         0);
}

static void scene_close(struct scene *s)
{
    show_layout_close(s->layout);
    words_release(&s->words);
    memory_free(s->rgb);
}

static void draw(struct scene *s, double now, const struct show_span *span, bool at_top,
                 const struct show_faces *faces)
{
    struct error err = {0};
    memset(s->rgb, GRAY, 3 * (size_t)s->width * s->height);
    assert_int_equal(show_layout_draw(s->layout, s->rgb, 3 * s->width, now,
                                      s->words.count ? &s->words : NULL, span, at_top, faces, &err),
                     0);
}

/* How many pixels of a part are not as they were. */
static int changed(const struct scene *s, int left, int top, int right, int bottom)
{
    static const uint8_t gray[3] = {GRAY, GRAY, GRAY};
    int n = 0;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            n += memcmp(s->rgb + 3 * ((size_t)y * s->width + x), gray, 3) != 0;
    return n;
}

static struct show_faces face_at(float left, float top, float side)
{
    struct faces_picture p = {.count = 1};
    struct mouth_frame *m = &p.faces[0].mouth;
    p.faces[0].number = 1;
    m->source = MOUTH_MEASURED;
    m->box = (struct face_box){left - side, top - side, left + 2 * side, top + 2 * side, 1};
    const float corners[4][2] = {
        {left, top}, {left + side, top}, {left + side, top + side}, {left, top + side}};
    memcpy(m->corners, corners, sizeof corners);
    struct show_faces faces;
    show_faces_pack(&faces, &p);
    return faces;
}

static const struct show_span both = {
    .end = 1, .task = TASK_AVSR, .audio_rate = 4, .video_rate = 2, .face = 1};
static const struct show_faces nobody;
static const char *const few[] = {"place", "green", "at"};

static void test_places(void **state)
{
    struct scene s;
    (void)state;
    scene_open(&s, WIDTH, HEIGHT, few, 3);
    for (int top = 0; top < 2; top++) {
        draw(&s, 0.15, &both, top, &nobody);
        assert_int_equal(changed(&s, 0, HEIGHT / 5, WIDTH, HEIGHT * 4 / 5), 0);
        const int low = changed(&s, MIDDLE, HEIGHT * 4 / 5, MIDDLE + 80, HEIGHT);
        const int high = changed(&s, MIDDLE, 0, MIDDLE + 80, HEIGHT / 5);
        assert_true((top ? high : low) > 2000);
        assert_true((top ? low : high) == 0);
    }
    scene_close(&s);
}

static void test_boxes(void **state)
{
    const struct show_faces faces = face_at(300, 200, 60);
    struct scene s;
    (void)state;
    scene_open(&s, WIDTH, HEIGHT, few, 0);
    draw(&s, 0, &both, false, &faces);
    assert_int_equal(changed(&s, 310, 210, 350, 250), 0); /* the mouth itself */
    assert_int_equal(changed(&s, 370, 270, 410, 310), 0);
    assert_true(changed(&s, 296, 220, 304, 240) >= 4 * 20); /* its left line */
    const uint8_t *line = s.rgb + 3 * (230 * WIDTH + 300);
    assert_true(line[1] > 180 && line[0] < 100);        /* green */
    assert_true(changed(&s, 236, 220, 244, 240) >= 20); /* the face's */
    draw(&s, 0, NULL, false, &faces);
    assert_int_equal(changed(&s, 296, 220, 304, 240), 0); /* nobody is read */
    assert_true(changed(&s, 236, 220, 244, 240) >= 20);
    scene_close(&s);
}

static void hides(const struct scene *s, float top, double hidden[2])
{
    const struct show_faces faces = face_at(300, top, 60);
    struct error err = {0};
    assert_int_equal(show_layout_hides(s->layout, hidden, &s->words, &both, &faces, &err), 0);
}

static void test_hides(void **state)
{
    struct scene s;
    double hidden[2];
    (void)state;
    scene_open(&s, WIDTH, HEIGHT, few, 3);
    hides(&s, 200, hidden);
    assert_true(hidden[0] == 0 && hidden[1] == 0);
    hides(&s, 415, hidden);
    assert_true(hidden[0] > 1000 && hidden[1] == 0);
    hides(&s, 5, hidden);
    assert_true(hidden[0] == 0 && hidden[1] > 1000);
    scene_close(&s);
}

/* From thumbnails to beyond 4K, upright and wide, with words that are too long or too many. */
static void test_sizes(void **state)
{
    static const int sizes[][2] = {{2, 2},       {16, 16},     {96, 96},     {180, 144},
                                   {1080, 1920}, {1920, 1080}, {3840, 2160}, {4000, 60}};
    static const char long_word[] = "pneumonoultramicroscopicsilicovolcanoconiosis"
                                    "pneumonoultramicroscopicsilicovolcanoconiosis";
    const char *const many[] = {"seventeen", "words", "are",    "more",   "than", "fit",
                                "into",      "a",     "line",   "of",     "any",  "picture",
                                "that",      "is",    "narrow", long_word};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct scene s;
        const int w = sizes[i][0], h = sizes[i][1];
        const struct show_faces faces = face_at((float)w / 2, (float)h / 2, (float)h / 8);
        scene_open(&s, w, h, many, 16);
        draw(&s, 0.95, &both, false, &faces);
        if (h >= 144) /* half of it is free */
            assert_int_equal(changed(&s, 0, h * 2 / 10, w / 10, h / 2), 0);
        draw(&s, 3600, &both, true, &faces);
        scene_close(&s);
    }
}

/* A word that looks like markup is drawn like the same word without it: nothing moves, nothing is
   hidden, no second line comes. */
static void test_markup(void **state)
{
    static const char *const evil[] = {"{\\pos(0,0)\\fs200}A\\N\\N{\\p1}m", "0}\xff{\\1a&HFF&}"};
    struct scene s;
    (void)state;
    scene_open(&s, WIDTH, HEIGHT, evil, 2);
    draw(&s, 5, NULL, false, &nobody);
    assert_int_equal(changed(&s, 0, 0, WIDTH * 2 / 3, HEIGHT - 90), 0);
    assert_true(changed(&s, 100, HEIGHT - 90, WIDTH - 100, HEIGHT) > 10000);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places), cmocka_unit_test(test_boxes),  cmocka_unit_test(test_hides),
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_markup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
