/*
 * Resampling: y[i] = sum_k x[k] h(i*speed - k), h a Hann-windowed sinc of 2 x 16 lobes with its
 * cut-off at the lower of both Nyquist frequencies; h is tabulated at 256 phases.
 * Tilt: y = x + t * (x - lowpass) * 4 for brighter, a one-pole mix for darker; corner 1 kHz.
 * Room: twelve echoes with random signs; time constant and gain are the room.
 */
#include "acoustics.h"

#include <math.h>

#define LOBES 16
#define PHASES 256
#define ECHOES 12

static const double pi = 3.14159265358979323846;

static void sinc_table(float table[PHASES][2 * LOBES], double cutoff)
{
    for (int p = 0; p < PHASES; p++) {
        for (int k = 0; k < 2 * LOBES; k++) {
            double x = (double)(k - LOBES + 1) - (double)p / PHASES;
            double sinc = fabs(x) < 1e-9 ? cutoff : sin(pi * cutoff * x) / (pi * x);
            double window = fabs(x) < LOBES ? 0.5 + 0.5 * cos(pi * x / LOBES) : 0;
            table[p][k] = (float)(sinc * window / 32768.0);
        }
    }
}

void acoustics_resample(float *out, int64_t out_count, const int16_t *in, int64_t in_count,
                        double speed)
{
    float table[PHASES][2 * LOBES];
    sinc_table(table, speed > 1 ? 1 / speed : 1.0);
    for (int64_t i = 0; i < out_count; i++) {
        double at = (double)i * speed;
        int64_t base = (int64_t)at - LOBES + 1;
        const float *h = table[(int)((at - floor(at)) * PHASES)];
        float sum = 0;
        for (int k = 0; k < 2 * LOBES; k++) {
            int64_t j = base + k;
            if (j >= 0 && j < in_count)
                sum += h[k] * (float)in[j];
        }
        out[i] = sum;
    }
}

void acoustics_tilt(float *pcm, int64_t count, double tilt)
{
    float low = 0, a = 1 - expf(-2 * (float)pi * 1000 / 16000);
    float high_gain = tilt > 0 ? 1 + 3 * (float)tilt : 1 + 1.5f * (float)tilt;
    for (int64_t i = 0; i < count; i++) {
        low += a * (pcm[i] - low);
        pcm[i] = low + high_gain * (pcm[i] - low);
    }
}

void acoustics_room(float *pcm, int64_t count, double decay_ms, double gain, struct random *r)
{
    int64_t delay[ECHOES];
    float weight[ECHOES];
    for (int e = 0; e < ECHOES; e++) {
        double ms = 1.5 + decay_ms * 2 * random_uniform(r);
        delay[e] = (int64_t)(ms * 16);
        weight[e] = (float)(gain * exp(-ms / decay_ms)) * (random_uniform(r) < 0.4 ? -1 : 1);
    }
    for (int64_t i = count - 1; i >= 0; i--) {
        float sum = pcm[i];
        for (int e = 0; e < ECHOES; e++) {
            if (i >= delay[e])
                sum += weight[e] * pcm[i - delay[e]];
        }
        pcm[i] = sum;
    }
}

void acoustics_level(float *pcm, int64_t count, int64_t from, int64_t to, double db)
{
    double energy = 1e-12, peak = 1e-6;
    for (int64_t i = from; i < to; i++)
        energy += (double)pcm[i] * pcm[i];
    for (int64_t i = 0; i < count; i++)
        peak = fmax(peak, fabs((double)pcm[i]));
    double gain = pow(10, db / 20) / sqrt(energy / (double)(to > from ? to - from : 1));
    if (gain * peak > 0.98)
        gain = 0.98 / peak;
    for (int64_t i = 0; i < count; i++)
        pcm[i] *= (float)gain;
}

void acoustics_hiss(float *pcm, int64_t count, double db, struct random *r)
{
    float low = 0, gain = (float)pow(10, db / 20);
    for (int64_t i = 0; i < count; i++) {
        /* a microphone's floor is darker than white noise */
        float white = (float)(random_uniform(r) * 3.4641 - 1.7320);
        low += 0.25f * (white - low);
        pcm[i] += gain * (0.4f * white + 2 * low);
    }
}
