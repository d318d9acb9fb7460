/* Noise at a ratio: the energies add up, the same seed gives the same mix, odd cases do nothing. */
#include "made_clip.h"
#include "base/random.h"
#include "media/noise.h"

enum { SPEECH = 8000, NOISE = 3001 };

static void fill(float *pcm, int samples, double amplitude, uint64_t seed)
{
    struct random r;
    random_seed(&r, seed);
    for (int i = 0; i < samples; i++)
        pcm[i] = (float)(amplitude * (2 * random_uniform(&r) - 1));
}

static double energy(const float *pcm, int samples)
{
    double sum = 0;
    for (int i = 0; i < samples; i++)
        sum += (double)pcm[i] * pcm[i];
    return sum / samples;
}

static float speech[SPEECH], mixed[SPEECH], again[SPEECH], babble[NOISE];
static const struct noise noise = {babble, NOISE};

static int make(void **state)
{
    (void)state;
    fill(speech, SPEECH, 0.1, 1);
    fill(babble, NOISE, 0.3, 2);
    return 0;
}

static void ratio_is_kept(void **state)
{
    (void)state;
    for (double snr = -10; snr <= 20; snr += 5) {
        memcpy(mixed, speech, sizeof speech);
        double gain = noise_mix(mixed, SPEECH, &noise, snr, 5);
        assert_true(gain > 0);
        double peak = 0, dot = 0;
        for (int i = 0; i < SPEECH; i++) {
            peak = fmax(peak, fabsf(mixed[i]));
            dot += (double)mixed[i] * speech[i];
        }
        assert_true(peak <= 1.000001);
        /* where it was scaled to fit, take the scale out by the speech's own share */
        double scale = peak > 0.999999 ? dot / (energy(speech, SPEECH) * SPEECH) : 1;
        for (int i = 0; i < SPEECH; i++)
            again[i] = (float)(mixed[i] / scale) - speech[i];
        double found = 10 * log10(energy(speech, SPEECH) / energy(again, SPEECH));
        assert_float_equal(found, snr, peak > 0.999999 ? 0.5 : 0.01);
    }
}

static void seed_decides(void **state)
{
    (void)state;
    memcpy(mixed, speech, sizeof speech);
    memcpy(again, speech, sizeof speech);
    noise_mix(mixed, SPEECH, &noise, 0, 42);
    noise_mix(again, SPEECH, &noise, 0, 42);
    assert_memory_equal(mixed, again, sizeof mixed);
    memcpy(again, speech, sizeof speech);
    noise_mix(again, SPEECH, &noise, 0, 43);
    assert_memory_not_equal(mixed, again, sizeof mixed);
}

static void nothing_to_mix(void **state)
{
    (void)state;
    static float zeros[NOISE], quiet[SPEECH];
    const struct noise silent = {zeros, NOISE}, empty = {0};
    memcpy(mixed, speech, sizeof speech);
    assert_true(noise_mix(mixed, SPEECH, NULL, 0, 1) == 0);
    assert_true(noise_mix(mixed, SPEECH, &empty, 0, 1) == 0);
    assert_true(noise_mix(mixed, SPEECH, &silent, 0, 1) == 0);
    assert_true(noise_mix(mixed, SPEECH, &noise, INFINITY, 1) == 0);
    assert_true(noise_mix(mixed, 0, &noise, 0, 1) == 0);
    assert_memory_equal(mixed, speech, sizeof mixed);
    assert_true(noise_mix(quiet, SPEECH, &noise, 0, 1) == 0);
    assert_true(energy(quiet, SPEECH) == 0);
}

static void loads_a_file(void **state)
{
    (void)state;
    struct made made = {.sound_seconds = 1, .beep_at = 0.5, .options = {.sample_rate = 16000}};
    struct noise loaded;
    struct error err = {0};
    char path[256];
    made_write(made_path(path, "noise.wav"), &made);
    assert_int_equal(noise_load(&loaded, path, &err), 0);
    assert_int_equal(loaded.samples, 16000);
    assert_true(energy(loaded.pcm, 7990) == 0);
    assert_float_equal(energy(loaded.pcm + 8000, 3200), 0.32, 0.01);
    noise_release(&loaded);
    made_remove(path);
    assert_int_equal(noise_load(&loaded, "/nowhere/noise.wav", &err), ERROR_IO);
    assert_null(loaded.pcm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratio_is_kept),
        cmocka_unit_test(seed_decides),
        cmocka_unit_test(nothing_to_mix),
        cmocka_unit_test(loads_a_file),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
