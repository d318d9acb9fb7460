#include "media/noise.h"
#include "base/memory.h"
#include "base/random.h"
#include "media/media.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_S 3600
#define SILENT 1e-12 /* mean square below which there is nothing to set a ratio by */

/* Appends a chunk; *capacity in samples. */
static int append(struct noise *noise, int64_t *capacity, const struct media_chunk *chunk)
{
    if (noise->samples + chunk->count > *capacity) {
        int64_t larger = 2 * (noise->samples + chunk->count);
        float *pcm = memory_new((size_t)larger, sizeof *pcm);
        if (!pcm)
            return ERROR_MEMORY;
        if (noise->samples)
            memcpy(pcm, noise->pcm, (size_t)noise->samples * sizeof *pcm);
        memory_free(noise->pcm);
        noise->pcm = pcm;
        *capacity = larger;
    }
    memcpy(noise->pcm + noise->samples, chunk->pcm, (size_t)chunk->count * sizeof(float));
    noise->samples += chunk->count;
    return 0;
}

int noise_load(struct noise *noise, const char *path, struct error *err)
{
    const struct media_options options = {.no_pictures = true, .max_seconds = LONGEST_S};
    struct media *media;
    struct media_chunk chunk;
    int64_t capacity = 0;
    *noise = (struct noise){0};
    int rc = media_open(&media, path, &options, err);
    if (rc)
        return rc;
    while ((rc = media_read(media, &chunk, err)) == 1) {
        if (append(noise, &capacity, &chunk)) {
            rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
            break;
        }
    }
    media_close(media);
    if (rc)
        noise_release(noise);
    return rc;
}

void noise_release(struct noise *noise)
{
    memory_free(noise->pcm);
    *noise = (struct noise){0};
}

static double mean_square(const float *pcm, int64_t samples)
{
    double sum = 0;
    for (int64_t i = 0; i < samples; i++)
        sum += (double)pcm[i] * pcm[i];
    return samples ? sum / (double)samples : 0;
}

/* The mean square of `samples` of noise from `offset` on, wrapping around. */
static double piece_mean_square(const struct noise *noise, int64_t offset, int64_t samples)
{
    double sum = 0;
    for (int64_t i = 0, j = offset; i < samples; i++) {
        sum += (double)noise->pcm[j] * noise->pcm[j];
        j = j + 1 < noise->samples ? j + 1 : 0;
    }
    return samples ? sum / (double)samples : 0;
}

double noise_mix(float *pcm, int64_t samples, const struct noise *noise, double snr_db,
                 uint64_t seed)
{
    struct random random;
    if (!noise || noise->samples < 1 || !isfinite(snr_db))
        return 0;
    random_seed(&random, seed);
    int64_t offset = random_below(&random, noise->samples);
    double speech = mean_square(pcm, samples);
    double babble = piece_mean_square(noise, offset, samples);
    if (speech < SILENT || babble < SILENT)
        return 0;
    double gain = sqrt(speech / (babble * pow(10, snr_db / 10)));
    float peak = 0;
    for (int64_t i = 0, j = offset; i < samples; i++) {
        pcm[i] += (float)gain * noise->pcm[j];
        peak = fabsf(pcm[i]) > peak ? fabsf(pcm[i]) : peak;
        j = j + 1 < noise->samples ? j + 1 : 0;
    }
    if (peak > 1)
        for (int64_t i = 0; i < samples; i++)
            pcm[i] /= peak;
    return gain;
}
