/*
 * The DFT of 400 real samples as four small matrix products. With y the windowed frame, 0 <= k <=
 * 200:
 *
 *     Re X[k] =  sum_{n=0..200} c[n] cos(2 pi k n / 400),   c[n] = y[n] + y[400-n]  (ends: y[n])
 *    -Im X[k] =  sum_{n=1..199} s[n] sin(2 pi k n / 400),   s[n] = y[n] - y[400-n]
 *
 * and once more about n = 100, where cos and sin are even or odd depending on k:
 *
 *     even k:  cos terms  c[n] + c[200-n],   sin terms  s[n] - s[200-n]      0 <= n <= 100
 *     odd k:   cos terms  c[n] - c[200-n],   sin terms  s[n] + s[200-n]      (n = 100 once)
 *
 * A quarter of the multiplications of the plain product, and no FFT. LANES frames go side by side,
 * so that every loop's innermost index runs over frames and vectorises. All in double: the quiet
 * bins of a loud frame would otherwise drown in rounding, and the logarithm shows them.
 */
#include "features/logmel.h"
#include "base/memory.h"

#include <math.h>
#include <stdalign.h>
#include <stdbool.h>

enum {
    BINS = LOGMEL_WINDOW / 2 + 1, /* 201 */
    QUARTER = LOGMEL_WINDOW / 4,  /* 100 */
    FOLDED = QUARTER + 1,         /* 101 */
    HALF = LOGMEL_WINDOW / 2,     /* 200 */
    LANES = 4,                    /* frames side by side */
    MAX_MELS = BINS,
};

#define SAMPLE_RATE 16000
#define POWER_FLOOR 1e-10
#define RANGE 8.0f /* decades below the loudest that are kept */
#define PI 3.14159265358979323846

struct logmel {
    int mels;
    double window[LOGMEL_WINDOW];
    double cosine[BINS + 3][FOLDED], sine[BINS + 3][FOLDED]; /* [k][n]; three rows of zeros */
    int first[MAX_MELS], count[MAX_MELS]; /* the bins where a filter is not zero */
    double filter[MAX_MELS][BINS];        /* [mel][bin - first] */
};

/* Slaney's mel scale: linear below 1 kHz (15 mel), logarithmic above (27 mel per factor of 6.4). */
static double mel_to_hz(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static double hz_to_mel(double hz)
{
    return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static void make_filters(struct logmel *l)
{
    double top = hz_to_mel(SAMPLE_RATE / 2.0);
    for (int m = 0; m < l->mels; m++) {
        double low = mel_to_hz(top * m / (l->mels + 1));
        double centre = mel_to_hz(top * (m + 1) / (l->mels + 1));
        double high = mel_to_hz(top * (m + 2) / (l->mels + 1));
        for (int k = 0; k < BINS; k++) {
            double hz = (double)k * SAMPLE_RATE / LOGMEL_WINDOW;
            double height = fmin((hz - low) / (centre - low), (high - hz) / (high - centre));
            if (height <= 0)
                continue;
            if (l->count[m] == 0)
                l->first[m] = k;
            l->filter[m][k - l->first[m]] = height * 2 / (high - low);
            l->count[m] = k - l->first[m] + 1;
        }
    }
}

int logmel_new(struct logmel **out, int mels, struct error *err)
{
    *out = NULL;
    if (mels < 1 || mels > MAX_MELS)
        return error_set(err, ERROR_USAGE, "log-mel: %d filters, expected 1..%d", mels, MAX_MELS);
    struct logmel *l = memory_new(1, sizeof *l);
    if (!l)
        return error_set(err, ERROR_MEMORY, "log-mel: out of memory");
    l->mels = mels;
    for (int n = 0; n < LOGMEL_WINDOW; n++)
        l->window[n] = 0.5 - 0.5 * cos(2 * PI * n / LOGMEL_WINDOW);
    for (int k = 0; k < BINS; k++) {
        for (int n = 0; n < FOLDED; n++) {
            int turn = k * n % LOGMEL_WINDOW;
            l->cosine[k][n] = cos(2 * PI * turn / LOGMEL_WINDOW);
            l->sine[k][n] = sin(2 * PI * turn / LOGMEL_WINDOW);
        }
    }
    make_filters(l);
    *out = l;
    return 0;
}

void logmel_free(struct logmel *l)
{
    memory_free(l);
}

int logmel_mels(const struct logmel *l)
{
    return l->mels;
}

int64_t logmel_frames(int64_t samples)
{
    return samples > 0 ? samples / LOGMEL_HOP : 0;
}

/* A sound of `length` samples, of which the first `samples` are stored and the rest is silence. */
struct signal {
    const float *pcm;
    int64_t samples, length;
};

/* Sample i, reflected at both ends (without repeating the end itself, so period 2 length - 2). */
static double sample_at(const struct signal *s, int64_t i)
{
    if (i < 0 || i >= s->length) {
        int64_t period = s->length > 1 ? 2 * s->length - 2 : 1;
        i = (i % period + period) % period;
        if (i >= s->length)
            i = period - i;
    }
    return i < s->samples ? s->pcm[i] : 0;
}

/* Windowed frames, folded twice; lane by lane. Arrays [n][lane]. */
struct folded {
    alignas(64) double cos_even[FOLDED][LANES], cos_odd[FOLDED][LANES];
    double sin_even[FOLDED][LANES], sin_odd[FOLDED][LANES];
};

static void fold(const struct logmel *l, struct folded *f, int lane, const struct signal *s,
                 int64_t frame)
{
    double y[LOGMEL_WINDOW + 1], c[HALF + 1], d[HALF + 1];
    int64_t start = frame * LOGMEL_HOP - LOGMEL_WINDOW / 2;
    bool inside = start >= 0 && start + LOGMEL_WINDOW <= s->samples;
    for (int n = 0; n < LOGMEL_WINDOW; n++)
        y[n] = l->window[n] * (inside ? s->pcm[start + n] : sample_at(s, start + n));
    c[0] = y[0];
    c[HALF] = y[HALF];
    d[0] = d[HALF] = 0;
    for (int n = 1; n < HALF; n++) {
        c[n] = y[n] + y[LOGMEL_WINDOW - n];
        d[n] = y[n] - y[LOGMEL_WINDOW - n];
    }
    for (int n = 0; n < QUARTER; n++) {
        f->cos_even[n][lane] = c[n] + c[HALF - n];
        f->cos_odd[n][lane] = c[n] - c[HALF - n];
        f->sin_even[n][lane] = d[n] - d[HALF - n];
        f->sin_odd[n][lane] = d[n] + d[HALF - n];
    }
    f->cos_even[QUARTER][lane] = f->cos_odd[QUARTER][lane] = c[QUARTER];
    f->sin_even[QUARTER][lane] = f->sin_odd[QUARTER][lane] = d[QUARTER];
}

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));

/* power [bin][lane]. Bins k and k + 2 read the same operand, so they go together. */
static inline __attribute__((always_inline)) void
spectra(const struct logmel *l, double power[BINS + 3][LANES], const struct folded *f)
{
    for (int pair = 0; pair < BINS; pair += 4) {
        for (int odd = 0; odd < 2; odd++) {
            const lanes *c = (const lanes *)(odd ? f->cos_odd : f->cos_even);
            const lanes *s = (const lanes *)(odd ? f->sin_odd : f->sin_even);
            int k = pair + odd;
            lanes re0 = {0}, im0 = {0}, re2 = {0}, im2 = {0};
            for (int n = 0; n < FOLDED; n++) {
                re0 += l->cosine[k][n] * c[n];
                im0 += l->sine[k][n] * s[n];
                re2 += l->cosine[k + 2][n] * c[n];
                im2 += l->sine[k + 2][n] * s[n];
            }
            *(lanes *)power[k] = re0 * re0 + im0 * im0;
            *(lanes *)power[k + 2] = re2 * re2 + im2 * im2;
        }
    }
}

static void spectra_plain(const struct logmel *l, double power[BINS + 3][LANES],
                          const struct folded *f)
{
    spectra(l, power, f);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void
spectra_avx2(const struct logmel *l, double power[BINS + 3][LANES], const struct folded *f)
{
    spectra(l, power, f);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define spectra_avx2 spectra_plain
static bool has_avx2(void)
{
    return false;
}
#endif

/* log10 of the filters' outputs for LANES frames from `frame` on; rows past `frames` left out. */
static void log_mels(const struct logmel *l, float *out, double power[BINS + 3][LANES],
                     int64_t frame, int64_t frames)
{
    for (int m = 0; m < l->mels; m++) {
        double sum[LANES] = {0};
        for (int k = 0; k < l->count[m]; k++)
            for (int i = 0; i < LANES; i++)
                sum[i] += l->filter[m][k] * power[l->first[m] + k][i];
        for (int i = 0; i < LANES && frame + i < frames; i++)
            out[(frame + i) * l->mels + m] = (float)log10(fmax(sum[i], POWER_FLOOR));
    }
}

int logmel_compute(const struct logmel *l, float *out, int64_t frames, const float *pcm,
                   int64_t samples, struct error *err)
{
    if (frames < 0 || samples < 0 || frames > INT64_MAX / LOGMEL_HOP / MAX_MELS)
        return error_set(err, ERROR_USAGE, "log-mel: %lld frames of %lld samples",
                         (long long)frames, (long long)samples);
    int64_t padded = frames * LOGMEL_HOP;
    bool avx2 = has_avx2();
    struct signal signal = {pcm, samples, samples > padded ? samples : padded};
#pragma omp parallel for schedule(static)
    for (int64_t frame = 0; frame < frames; frame += LANES) {
        struct folded folded;
        alignas(64) double power[BINS + 3][LANES];
        for (int i = 0; i < LANES; i++)
            fold(l, &folded, i, &signal, frame + i);
        if (avx2)
            spectra_avx2(l, power, &folded);
        else
            spectra_plain(l, power, &folded);
        log_mels(l, out, power, frame, frames);
    }
    float loudest = -INFINITY;
    for (int64_t i = 0; i < frames * l->mels; i++)
        loudest = fmaxf(loudest, out[i]);
    for (int64_t i = 0; i < frames * l->mels; i++)
        out[i] = (fmaxf(out[i], loudest - RANGE) + 4) / 4;
    return 0;
}
