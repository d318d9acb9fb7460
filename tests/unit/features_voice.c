/* The voice detector: the same frames however the sound is cut; noise is no voice, speech is. */
#include "base/memory.h"
#include "base/random.h"
#include "features/clip.h"
#include "features/voice.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 1000 };

/* Probabilities of all frames; pushes `step` samples at a time. */
static int listen(float *said, const float *pcm, int64_t samples, int64_t step)
{
    struct voice *v;
    struct error err = {0};
    int n = 0;
    assert_int_equal(voice_new(&v, &err), 0);
    for (int64_t at = 0; at < samples; at += step) {
        int64_t count = samples - at < step ? samples - at : step;
        assert_int_equal(voice_push(v, pcm + at, count, &err), 0);
        while (voice_pop(v, &said[n]))
            n++;
    }
    assert_int_equal(voice_finish(v, &err), 0);
    while (voice_pop(v, &said[n]))
        n++;
    voice_free(v);
    return n;
}

static double share(const float *said, int count)
{
    int voiced = 0;
    for (int i = 0; i < count; i++)
        voiced += said[i] > 0.5f;
    return (double)voiced / count;
}

static void test_cuts(void **state)
{
    (void)state;
    struct clip clip;
    struct error err = {0};
    static float whole[MOST], pieces[MOST];
    assert_int_equal(
        clip_load(&clip, "samples/000000.mp4", &(struct clip_options){.no_pictures = true}, &err),
        0);
    for (int64_t samples = clip.samples; samples > clip.samples - 1300; samples -= 311) {
        int n = listen(whole, clip.pcm, samples, VOICE_PUSH);
        assert_int_equal(n, (samples + 639) / 640);
        for (int64_t step = 97; step < 8000; step = step * 3 + 1) {
            assert_int_equal(listen(pieces, clip.pcm, samples, step), n);
            for (int i = 0; i < n; i++)
                assert_true(fabsf(pieces[i] - whole[i]) < 1e-4f);
        }
    }
    clip_release(&clip);
}

static void test_short(void **state)
{
    (void)state;
    float pcm[1300] = {0}, said[8];
    for (int64_t samples = 0; samples <= 1300; samples += 13)
        assert_int_equal(listen(said, pcm, samples, 1000), (samples + 639) / 640);
}

static void test_speech(void **state)
{
    (void)state;
    struct error err = {0};
    static float said[MOST];
    static const char *const paths[] = {"samples/000000.mp4", "samples/000003.mp4",
                                        "samples/000005.mp4"};
    for (int i = 0; i < 3; i++) {
        struct clip clip;
        assert_int_equal(
            clip_load(&clip, paths[i], &(struct clip_options){.no_pictures = true}, &err), 0);
        assert_true(share(said, listen(said, clip.pcm, clip.samples, 4000)) > 0.3);
        clip_release(&clip);
    }
}

static void test_no_speech(void **state)
{
    (void)state;
    enum { SAMPLES = 10 * 16000 };
    static float pcm[SAMPLES], said[MOST];
    struct random random = {0};
    random_seed(&random, 5);
    assert_true(share(said, listen(said, pcm, SAMPLES, 16000)) < 0.01); /* silence */
    for (int level = 0; level < 3; level++) {
        for (int i = 0; i < SAMPLES; i++)
            pcm[i] = (float)random_normal(&random) * powf(10, -1.0f - (float)level);
        assert_true(share(said, listen(said, pcm, SAMPLES, 16000)) < 0.02); /* white noise */
    }
    for (int i = 0; i < SAMPLES; i++) { /* four chords a second, three harmonic tones each */
        static const double chord[4][3] = {
            {220, 277, 330}, {247, 311, 370}, {196, 247, 294}, {262, 330, 392}};
        double t = i / 16000.0, in = fmod(t, 0.25), sum = 0;
        for (int k = 0; k < 3; k++)
            for (int h = 1; h <= 6; h++)
                sum += sin(6.28318530718 * chord[(int)(t * 4) % 4][k] * h * t) / h;
        pcm[i] = (float)(0.08 * sum * exp(-4 * in));
    }
    assert_true(share(said, listen(said, pcm, SAMPLES, 16000)) < 0.1); /* music */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_speech),
        cmocka_unit_test(test_no_speech),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
