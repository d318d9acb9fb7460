/*
 * The sample clips, made by mome-synth: a face in at least 99 % of the pictures, and lips (as the
 * landmarks see them) that are closer in "b p m" and silence than in open vowels: so the drawn
 * mouth is where a mouth is looked for, and moves with the sound's clock.
 */
#include "base/file.h"
#include "base/memory.h"
#include "features/face.h"
#include "media/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 360, HEIGHT = 288, STEP = 2 };

enum lips { LIPS_OTHER, LIPS_SHUT, LIPS_OPEN };

struct tally {
    int pictures, faces, centred;
    double gap[3]; /* sums by enum lips of the inner lips' distance over the mouth's width */
    int gaps[3];
};

/* What the middle of a phone at `ms` asks of the lips; phones: "name:start:end name:start:end". */
static enum lips lips_at(const char *phones, int ms)
{
    static const char open[] = " aa ae ay aw ao ah eh ", shut[] = " b p m ";
    char name[16], key[20];
    int start, end, used, first = -1, last = 0;
    for (const char *p = phones; sscanf(p, " %15[^:]:%d:%d%n", name, &start, &end, &used) == 3;
         p += used) {
        int edge = (end - start) / 4;
        first = first < 0 ? start : first;
        last = end;
        snprintf(key, sizeof key, " %s ", name);
        if (ms < start + edge || ms > end - edge)
            continue;
        return strstr(shut, key) ? LIPS_SHUT : strstr(open, key) ? LIPS_OPEN : LIPS_OTHER;
    }
    return ms < first - 250 || ms > last + 350 ? LIPS_SHUT : LIPS_OTHER;
}

static void look(struct tally *t, struct face_finder *f, const struct media_chunk *c,
                 const char *phones)
{
    static uint8_t gray[WIDTH * HEIGHT];
    struct error err = {0};
    struct face_box box;
    float p[FACE_LANDMARKS][2];
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        const uint8_t *in = c->rgb + i / WIDTH * c->stride + 3 * (i % WIDTH);
        gray[i] = (uint8_t)((77 * in[0] + 150 * in[1] + 29 * in[2]) >> 8);
    }
    struct gray_picture picture = {gray, WIDTH, HEIGHT, WIDTH};
    t->pictures++;
    if (face_detect(f, picture, &box, 1, &err) != 1)
        return;
    t->faces++;
    assert_int_equal(face_landmarks(f, p, picture, &box, &err), 0);
    float width = p[54][0] - p[48][0];
    if (p[62][1] > p[33][1] && p[57][1] < p[8][1] && width > 0.4F * (p[45][0] - p[36][0]))
        t->centred++; /* between nose and chin, as wide as a mouth */
    enum lips lips = lips_at(phones, (int)c->start * 1000 / MEDIA_FPS);
    t->gap[lips] += (p[66][1] - p[62][1]) / width;
    t->gaps[lips]++;
}

static void watch(struct tally *t, struct face_finder *f, const char *name, const char *phones)
{
    struct error err = {0};
    struct media *m;
    struct media_chunk chunk;
    struct media_options options = {.no_sound = true};
    char *path = file_join("samples", name);
    assert_int_equal(media_open(&m, path, &options, &err), 0);
    int rc;
    while ((rc = media_read(m, &chunk, &err)) == 1) {
        assert_int_equal(chunk.width, WIDTH);
        assert_int_equal(chunk.height, HEIGHT);
        if (chunk.start % STEP == 0)
            look(t, f, &chunk, phones);
    }
    assert_int_equal(rc, 0);
    media_close(m);
    memory_free(path);
}

static void samples_show_speaking_faces(void **state)
{
    (void)state;
    struct error err = {0};
    struct face_finder *f;
    struct tally t = {0};
    char *text, *rest, *line;
    size_t size;
    assert_int_equal(face_finder_open(&f, &err), 0);
    assert_int_equal(file_read(&text, &size, "samples/manifest.tsv", 1 << 20, &err), 0);
    rest = text;
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) && *line) {
        char *name = strsep(&line, "\t");
        strsep(&line, "\t");
        strsep(&line, "\t");
        assert_non_null(line);
        watch(&t, f, name, line);
    }
    memory_free(text);
    face_finder_close(f);
    double shut = t.gap[LIPS_SHUT] / t.gaps[LIPS_SHUT], open = t.gap[LIPS_OPEN] / t.gaps[LIPS_OPEN];
    print_message("%d pictures, %d faces, %d with the mouth in place; lips %.3f apart when shut "
                  "(%d), %.3f when open (%d)\n",
                  t.pictures, t.faces, t.centred, shut, t.gaps[LIPS_SHUT], open, t.gaps[LIPS_OPEN]);
    assert_true(t.pictures >= 6 * 37);
    assert_true(t.faces * 100 >= t.pictures * 99);
    assert_true(t.centred * 100 >= t.faces * 99);
    assert_true(t.gaps[LIPS_OPEN] >= 5 && open > shut + 0.08);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_show_speaking_faces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
