/* Who speaks, on signals made up: syllables that one face follows, another face's own, stills. */
#include "base/random.h"
#include "features/speaker.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { PICTURES = 75, FACES = 3 };

static float openings[FACES][PICTURES], levels[PICTURES];
static const float *rows[FACES] = {openings[0], openings[1], openings[2]};
static struct speaker_score scores[FACES];

/* Syllables of random length: openings of `size` about 1.3, sound of -50 .. -20 dB `late` pictures
   later. */
static void speak(struct random *r, float *opening, float size, float *sound, int late)
{
    float target = 0, now = 0;
    for (int k = 0, until = 0; k < PICTURES; k++) {
        if (k == until) {
            target = target > 0.5f ? 0 : 1;
            until = k + 2 + (int)random_below(r, 4);
        }
        now += 0.7f * (target - now);
        opening[k] = 1.3f + size * now + 0.01f * (float)random_normal(r);
        if (sound && k + late >= 0 && k + late < PICTURES)
            sound[k + late] = -50 + 30 * now + (float)random_normal(r);
    }
}

static void test_the_one_who_speaks(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 3);
    for (int round = 0; round < 20; round++)
        for (int late = -1; late <= 1; late++) {
            const int who = round % FACES;
            for (int k = 0; k < PICTURES; k++)
                levels[k] = -50;
            for (int i = 0; i < FACES; i++)
                speak(&r, openings[i], i == who ? 0.2f : 0.5f, i == who ? levels : NULL, late);
            assert_int_equal(speaker_choose(scores, rows, FACES, levels, PICTURES), who);
            assert_true(scores[who].moves && scores[who].score > 0.6f);
        }
}

static void test_still_faces_never(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 4);
    speak(&r, openings[0], 0, levels, 0); /* the sound is that of a still face's unseen mouth */
    speak(&r, openings[1], 0, NULL, 0);
    assert_int_equal(speaker_choose(scores, rows, 2, levels, PICTURES), -1);
    assert_false(scores[0].moves || scores[1].moves);
    speak(&r, openings[1], 0.3f, NULL, 0);
    assert_int_equal(speaker_choose(scores, rows, 2, levels, PICTURES), 1);
    assert_int_equal(speaker_choose(scores, rows, 0, levels, PICTURES), -1);
    for (int k = 0; k < PICTURES; k++) { /* slow turns of the head are no speech */
        openings[0][k] = 1.3f + 0.3f * sinf((float)k * 0.06f);
        openings[1][k] = NAN;
    }
    assert_int_equal(speaker_choose(scores, rows, 2, levels, PICTURES), -1);
}

static void test_without_sound_who_moves_most(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 5);
    for (int i = 0; i < FACES; i++)
        speak(&r, openings[i], i == 1 ? 0.4f : 0.15f, NULL, 0);
    assert_int_equal(speaker_choose(scores, rows, FACES, NULL, PICTURES), 1);
    for (int k = 0; k < PICTURES; k++)
        levels[k] = -40; /* a hum */
    assert_int_equal(speaker_choose(scores, rows, FACES, levels, PICTURES), 1);
}

static void test_gaps(void **state)
{
    (void)state;
    struct random r;
    random_seed(&r, 6);
    speak(&r, openings[0], 0.3f, levels, 0);
    speak(&r, openings[1], 0.3f, NULL, 0);
    for (int k = 0; k < PICTURES; k++)
        if (k % 3 == 0 || (k > 40 && k < 60))
            openings[0][k] = NAN;
    assert_int_equal(speaker_choose(scores, rows, 2, levels, PICTURES), 0);
    for (int k = 0; k < PICTURES - 5; k++) /* too little of it to say anything */
        openings[0][k] = NAN;
    assert_int_equal(speaker_choose(scores, rows, 2, levels, PICTURES), 1);
    assert_false(scores[0].moves);
}

/* Free of size, place and tilt; wider lips and a lower chin are more. */
static void test_opening(void **state)
{
    (void)state;
    float face[FACE_LANDMARKS][2], moved[FACE_LANDMARKS][2];
    struct random r;
    random_seed(&r, 7);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int axis = 0; axis < 2; axis++)
            face[i][axis] = 100 * random_uniform(&r);
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        moved[i][0] = 3 * (0.8f * face[i][0] - 0.6f * face[i][1]) + 11;
        moved[i][1] = 3 * (0.6f * face[i][0] + 0.8f * face[i][1]) - 7;
    }
    const float before = speaker_opening((const float(*)[2])face);
    assert_true(fabsf(speaker_opening((const float(*)[2])moved) - before) < 1e-3f * before);
    face[33][0] = face[8][0];
    face[33][1] = face[8][1] - 500;
    assert_true(speaker_opening((const float(*)[2])face) > before);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        face[i][0] = face[i][1] = 5;
    assert_true(isnan(speaker_opening((const float(*)[2])face)));
}

static void test_levels(void **state)
{
    (void)state;
    static float pcm[640 * 3 + 320];
    for (int i = 0; i < 640; i++) {
        pcm[i] = 0;
        pcm[640 + i] = i % 2 ? 0.1f : -0.1f;
        pcm[1280 + i] = i % 2 ? 1 : -1;
        pcm[1920 + i / 2] = i % 4 < 2 ? 1 : -1;
    }
    speaker_levels(levels, 5, pcm, 640 * 3 + 320);
    const float expected[] = {-100, -20, 0, -3.01f, -100};
    for (int k = 0; k < 5; k++)
        assert_true(fabsf(levels[k] - expected[k]) < 0.01f);
    speaker_levels(levels, 2, NULL, 0);
    assert_true(levels[0] == -100 && levels[1] == -100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_one_who_speaks),
        cmocka_unit_test(test_still_faces_never),
        cmocka_unit_test(test_without_sound_who_moves_most),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
