/* Endpointing: hand-made speech gives the utterances that it should, random speech keeps the rules.
 */
#include "base/memory.h"
#include "base/random.h"
#include "features/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

static const struct endpoint_options usual = {
    .longest = 125, .pause = 15, .margin = 8, .breath = true};
static const struct endpoint_options patient = {.longest = 125, .pause = 15, .margin = 8};

/* The spans of a string of frames, '#': speech, '+': perhaps; a new shot begins with each of
   shots[]. */
static int run_shots(struct endpoint_span *spans, const char *frames, size_t length,
                     const struct endpoint_options *options, const size_t *shots, size_t shot_count)
{
    struct endpoint *e;
    struct error err = {0};
    int n = 0;
    assert_int_equal(endpoint_new(&e, options, &err), 0);
    for (size_t i = 0; i < length; i++) {
        const float p = frames[i] == '#' ? 0.9f : frames[i] == '+' ? 0.6f : 0.1f;
        bool shot = false;
        for (size_t k = 0; k < shot_count; k++)
            shot |= shots[k] == i;
        assert_true(n < MOST);
        n += endpoint_push(e, p, shot, &spans[n]);
        assert_true(endpoint_needed(e) <= (int64_t)i + 1);
    }
    n += endpoint_finish(e, &spans[n]);
    endpoint_free(e);
    return n;
}

static int run(struct endpoint_span *spans, const char *frames, size_t length,
               const struct endpoint_options *options)
{
    return run_shots(spans, frames, length, options, NULL, 0);
}

static void draw(char *frames, char c, int from, int to)
{
    memset(frames + from, c, (size_t)(to - from));
}

static void test_two(void **state)
{
    (void)state;
    char frames[300];
    struct endpoint_span s[MOST];
    draw(frames, '.', 0, 300);
    draw(frames, '#', 50, 90);
    draw(frames, '#', 100, 120); /* a pause of 10 frames is none */
    draw(frames, '#', 200, 202); /* a click */
    draw(frames, '#', 250, 295);
    assert_int_equal(run(s, frames, 300, &patient), 2);
    assert_int_equal(s[0].start, 42);
    assert_int_equal(s[0].count, 128 - 42);
    assert_int_equal(s[1].start, 242);
    assert_int_equal(s[1].start + s[1].count, 300);
    assert_int_equal(s[0].overlap + s[1].overlap, 0);
}

static void test_nobody(void **state)
{
    (void)state;
    char frames[400];
    struct endpoint_span s[MOST];
    draw(frames, '.', 0, 400);
    assert_int_equal(run(s, frames, 400, &usual), 0);
    for (int i = 7; i < 390; i += 20)
        draw(frames, '#', i, i + 2);
    assert_int_equal(run(s, frames, 400, &usual), 0);
}

/* The longer an utterance is, the shorter the pause that ends it. */
static void test_breath(void **state)
{
    (void)state;
    char frames[400];
    struct endpoint_span s[MOST];
    draw(frames, '.', 0, 400);
    draw(frames, '#', 10, 40);
    draw(frames, '#', 46, 80); /* of a short one it ends nothing */
    draw(frames, '+', 80, 83);
    draw(frames, '#', 84, 120); /* of a long one */
    assert_int_equal(run(s, frames, 200, &usual), 2);
    assert_int_equal(s[0].start, 2);
    assert_int_equal(s[0].start + s[0].count, 82);
    assert_int_equal(s[1].start, 82);
    assert_int_equal(s[1].overlap, 0);
    draw(frames, '#', 80, 81); /* too short for that too */
    assert_int_equal(run(s, frames, 200, &usual), 1);
}

static void test_shots(void **state)
{
    (void)state;
    char frames[200];
    struct endpoint_span s[MOST];
    draw(frames, '.', 0, 200);
    draw(frames, '#', 10, 25);
    draw(frames, '#', 30, 50);
    assert_int_equal(run(s, frames, 100, &patient), 1);
    /* within reach on both sides, where it is in the pause, where it is not, and what for */
    static const size_t shots[] = {20, 25, 27, 29, 34, 19, 35, 15};
    static const int64_t ends[] = {27, 27, 27, 29, 27, 0, 0, 0};
    for (int i = 0; i < 8; i++) {
        const int n = run_shots(s, frames, 100, &patient, &shots[i], 1);
        assert_int_equal(n, ends[i] ? 2 : 1);
        if (ends[i])
            assert_int_equal(s[0].start + s[0].count, ends[i]);
        assert_int_equal(s[n - 1].start + s[n - 1].count, 58);
        assert_true(!ends[i] || s[1].start == ends[i]);
    }
    draw(frames, '#', 10, 26); /* a pause of four, and less */
    assert_int_equal(run_shots(s, frames, 100, &patient, shots, 8), 2);
    draw(frames, '#', 10, 27);
    assert_int_equal(run_shots(s, frames, 100, &patient, shots, 8), 1);
    draw(frames, '.', 10, 21); /* what is before it is too little to be an utterance */
    draw(frames, '.', 24, 30);
    assert_int_equal(run_shots(s, frames, 100, &patient, (const size_t[]){27}, 1), 1);
}

static void test_long(void **state)
{
    (void)state;
    char frames[400];
    struct endpoint_span s[MOST];
    draw(frames, '#', 0, 400);
    draw(frames, '.', 64, 70); /* of 125 frames: cut in its middle */
    assert_int_equal(run(s, frames, 290, &usual), 3);
    assert_int_equal(s[0].count, 67);
    assert_int_equal(s[1].start, 67);
    assert_int_equal(s[1].count, 125); /* no pause: overlap */
    assert_int_equal(s[2].overlap, 25);
    assert_int_equal(s[2].start, 67 + 125 - 25);
    assert_int_equal(s[2].start + s[2].count, 290);
}

static void test_rules(void **state)
{
    (void)state;
    enum { FRAMES = 3000 };
    static char frames[FRAMES], covered[FRAMES];
    struct random random = {0};
    random_seed(&random, 3);
    for (int trial = 0; trial < 200; trial++) {
        struct endpoint_options o = {.longest = 20 + random_below(&random, 80),
                                     .breath = trial % 2};
        o.pause = 4 + random_below(&random, 12);
        o.margin = random_below(&random, o.pause < 12 ? o.pause : 12);
        int64_t quiet = 1 + random_below(&random, 30), loud = 1 + random_below(&random, 60);
        for (int at = 0; at < FRAMES;) {
            char c = frames[at ? at - 1 : 0] == '#' ? '.' : '#';
            int64_t count = 1 + random_below(&random, c == '#' ? loud : quiet);
            for (; count > 0 && at < FRAMES; count--)
                frames[at++] = c;
        }
        struct endpoint_span *s = memory_new(FRAMES, sizeof *s);
        struct endpoint *e;
        struct error err = {0};
        int n = 0;
        assert_int_equal(endpoint_new(&e, &o, &err), 0);
        for (int i = 0; i < FRAMES; i++) {
            int64_t needed = endpoint_needed(e);
            const bool shot = random_below(&random, 20) == 0;
            if (endpoint_push(e, frames[i] == '#' ? 0.9f : 0.1f, shot, &s[n])) {
                assert_true(s[n].start >= needed);
                n++;
            }
        }
        n += endpoint_finish(e, &s[n]);
        memset(covered, 0, sizeof covered);
        for (int i = 0; i < n; i++) {
            assert_true(s[i].count > 0 && s[i].count <= o.longest);
            assert_true(s[i].overlap == 0 ||
                        (i && s[i].start + s[i].overlap <= s[i - 1].start + s[i - 1].count));
            assert_true(!i || s[i].start >= s[i - 1].start + s[i - 1].count - s[i].overlap);
            for (int64_t f = s[i].start; f < s[i].start + s[i].count; f++)
                covered[f] = 1;
        }
        for (int f = 0, length = 0; f < FRAMES; f++) { /* no speech is lost, but for clicks */
            length = frames[f] == '#' ? length + 1 : 0;
            assert_true(length < 2 * ENDPOINT_LEAST || covered[f]);
        }
        endpoint_free(e);
        memory_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two),   cmocka_unit_test(test_nobody), cmocka_unit_test(test_breath),
        cmocka_unit_test(test_shots), cmocka_unit_test(test_long),   cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
