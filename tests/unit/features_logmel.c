/* Log-mel: equal to the published numbers (tests/golden/logmel.bin), and what follows from its
   definition. */
#include "features/logmel.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define TOLERANCE 1e-4

struct golden {
    struct file_map map;
    int samples, frames, step;
    float *pcm;
    const float *mel80, *mel128, *padded80;
};

static int golden_open(void **state)
{
    static struct golden g;
    struct error err = {0};
    if (file_map_open(&g.map, "tests/golden/logmel.bin", &err))
        return -1;
    int32_t head[3];
    memcpy(head, g.map.data + 8, sizeof head);
    g.samples = head[0];
    g.frames = head[1];
    g.step = head[2];
    const int16_t *pcm = (const int16_t *)(g.map.data + 20);
    g.pcm = memory_new((size_t)g.samples, sizeof(float));
    for (int i = 0; i < g.samples; i++)
        g.pcm[i] = pcm[i] / 32768.0f;
    g.mel80 = (const float *)(pcm + g.samples);
    g.mel128 = g.mel80 + g.frames * 80;
    g.padded80 = g.mel128 + g.frames * 128;
    *state = &g;
    return 0;
}

static int golden_close(void **state)
{
    struct golden *g = *state;
    memory_free(g->pcm);
    file_map_close(&g->map);
    return 0;
}

static float *compute(int mels, int64_t frames, const float *pcm, int64_t samples)
{
    struct error err = {0};
    struct logmel *l;
    float *out = memory_new((size_t)(frames * mels), sizeof *out);
    assert_int_equal(logmel_new(&l, mels, &err), 0);
    assert_int_equal(logmel_mels(l), mels);
    assert_int_equal(logmel_compute(l, out, frames, pcm, samples, &err), 0);
    logmel_free(l);
    return out;
}

static double largest_difference(const float *a, const float *b, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - b[i]));
    return largest;
}

static void equals_published_80(void **state)
{
    struct golden *g = *state;
    assert_int_equal(logmel_frames(g->samples), g->frames);
    float *out = compute(80, g->frames, g->pcm, g->samples);
    assert_true(largest_difference(out, g->mel80, g->frames * 80) < TOLERANCE);
    memory_free(out);
}

static void equals_published_128(void **state)
{
    struct golden *g = *state;
    float *out = compute(128, g->frames, g->pcm, g->samples);
    assert_true(largest_difference(out, g->mel128, g->frames * 128) < TOLERANCE);
    memory_free(out);
}

static void equals_published_padded(void **state)
{
    struct golden *g = *state;
    float *out = compute(80, LOGMEL_WHISPER_FRAMES, g->pcm, g->samples);
    for (int i = 0; i * g->step < LOGMEL_WHISPER_FRAMES; i++)
        assert_true(largest_difference(out + i * g->step * 80, g->padded80 + i * 80, 80) <
                    TOLERANCE);
    memory_free(out);
}

static void silence_is_flat(void **state)
{
    (void)state;
    static const float zeros[16000];
    float *out = compute(80, 100, zeros, 16000);
    for (int i = 0; i < 100 * 80; i++)
        assert_float_equal(out[i], (-10 + 4) / 4.0f, 1e-6);
    memory_free(out);
}

/* Ten times the amplitude is two decades of power: everything above the floor moves by 2/4. */
static void loudness_moves_it(void **state)
{
    struct golden *g = *state;
    float *quiet = memory_new((size_t)g->samples, sizeof *quiet);
    for (int i = 0; i < g->samples; i++)
        quiet[i] = g->pcm[i] / 10;
    float *a = compute(80, g->frames, g->pcm, g->samples);
    float *b = compute(80, g->frames, quiet, g->samples);
    for (int i = 0; i < 37 * 80; i++) /* the voiced part is far above the clamp */
        assert_float_equal(a[i] - b[i], 0.5, 1e-4);
    memory_free(a);
    memory_free(b);
    memory_free(quiet);
}

static void tiny_inputs(void **state)
{
    (void)state;
    static const float one[1] = {0.5f};
    memory_free(compute(80, 0, NULL, 0));
    memory_free(compute(80, 3, one, 1)); /* shorter than the reflection is wide */
    memory_free(compute(80, 1, one, 1));
    struct logmel *l;
    struct error err = {0};
    assert_int_equal(logmel_new(&l, 0, &err), ERROR_USAGE);
    assert_int_equal(logmel_new(&l, 500, &err), ERROR_USAGE);
    assert_int_equal(logmel_frames(159), 0);
    assert_int_equal(logmel_frames(160), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_published_80),     cmocka_unit_test(equals_published_128),
        cmocka_unit_test(equals_published_padded), cmocka_unit_test(silence_is_flat),
        cmocka_unit_test(loudness_moves_it),       cmocka_unit_test(tiny_inputs),
    };
    return cmocka_run_group_tests(tests, golden_open, golden_close);
}
