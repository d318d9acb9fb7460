#include "eval/speed.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "models/recognizer.h"

#include <math.h>
#include <omp.h>
#include <time.h>

enum {
    SIDE = 512, /* of the matrices: 1 MB each in float32, as a layer's weights */
    CLIP_FRAMES = 75,
    CLIP_TOKENS = 16,
    WIDTH = 640,
    HEIGHT = 480
};
#define PRODUCT_SECONDS 0.15 /* of trying, for each number */

static void fill(float *x, int64_t count, float scale, struct random *random)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = scale * (float)(random_uniform(random) - 0.5);
}

/* ---- products ------------------------------------------------------------------------------ */

/* Of one thread its own time, whatever else runs; of several, what passes. */
static double time_of(int threads)
{
    struct timespec t;
    if (threads > 1)
        return clock_seconds();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double gflops(const struct device *device, struct gemm g, enum precision precision,
                     int threads)
{
    const int before = omp_get_max_threads();
    double best = INFINITY, start = clock_seconds();
    g.precision = precision;
    omp_set_num_threads(threads);
    device->gemm(&g); /* makes oneDNN's kernel */
    do {
        double begin = time_of(threads);
        device->gemm(&g);
        best = fmin(best, time_of(threads) - begin);
    } while (clock_seconds() - start < PRODUCT_SECONDS);
    omp_set_num_threads(before);
    return 2e-9 * SIDE * SIDE * SIDE / best;
}

int speed_products(struct speed_products *s, const struct device *device, struct error *err)
{
    const int64_t count = (int64_t)SIDE * SIDE;
    float *numbers = memory_new((size_t)(3 * count), sizeof *numbers);
    struct random random;
    if (!numbers)
        return error_set(err, ERROR_MEMORY, "out of memory");
    random_seed(&random, 1);
    fill(numbers, 2 * count, 1, &random);
    const struct gemm g = {.m = SIDE,
                           .n = SIDE,
                           .k = SIDE,
                           .lda = SIDE,
                           .ldb = SIDE,
                           .ldc = SIDE,
                           .a = numbers,
                           .b = numbers + count,
                           .c = numbers + 2 * count};
    s->threads = omp_get_max_threads();
    s->f32 = gflops(device, g, PRECISION_F32, 1);
    s->bf16 = gflops(device, g, PRECISION_BF16, 1);
    s->f32_all = s->threads > 1 ? gflops(device, g, PRECISION_F32, s->threads) : s->f32;
    s->bf16_all = s->threads > 1 ? gflops(device, g, PRECISION_BF16, s->threads) : s->bf16;
    memory_free(numbers);
    return 0;
}

/* ---- faces --------------------------------------------------------------------------------- */

int speed_faces(double *load_seconds, double *search_seconds, struct error *err)
{
    struct face_finder *finder = NULL;
    struct face_box box = {.left = 200, .top = 120, .right = 440, .bottom = 360};
    float points[FACE_LANDMARKS][2];
    uint8_t *pixels = memory_new(WIDTH, HEIGHT);
    const struct gray_picture picture = {pixels, WIDTH, HEIGHT, WIDTH};
    if (!pixels)
        return error_set(err, ERROR_MEMORY, "out of memory");
    double start = clock_seconds();
    int found = face_finder_open(&finder, err);
    if (!found)
        found = face_landmarks(finder, points, picture, &box, err);
    if (found >= 0)
        found = face_detect_at(finder, picture, WIDTH, &box, 1, err);
    *load_seconds = clock_seconds() - start;
    *search_seconds = INFINITY;
    for (int i = 0; i < 3 && found >= 0; i++) {
        start = clock_seconds();
        found = face_detect_at(finder, picture, WIDTH, &box, 1, err);
        *search_seconds = fmin(*search_seconds, clock_seconds() - start);
    }
    face_finder_close(finder);
    memory_free(pixels);
    return found < 0 ? found : 0;
}

/* ---- a clip -------------------------------------------------------------------------------- */

/* A hum that swells four times a second, and gray noise: neither is speech, both cost as much. */
static int make_clip(struct clip *clip, struct error *err)
{
    struct random random;
    int rc = clip_init(clip, CLIP_FRAMES, err);
    if (rc)
        return rc;
    random_seed(&random, 1);
    fill(clip->pcm, clip->samples, 0.01f, &random);
    for (int64_t i = 0; i < clip->samples; i++) {
        double t = 2 * M_PI * (double)i / 16000, swell = 0.5 - 0.5 * cos(4 * t);
        clip->pcm[i] += (float)(0.1 * swell * (sin(120 * t) + sin(240 * t) + sin(600 * t)));
    }
    for (int64_t i = 0; i < CLIP_FRAMES * MOUTH_PIXELS; i++)
        clip->mouth[i] = (uint8_t)(64 + random_below(&random, 128));
    return 0;
}

static int run(struct speed_clip *s, struct transcriber *t, const struct clip *clip,
               struct error *err)
{
    const struct recognizer_config *c = &t->recognizer->config;
    const enum task task = transcriber_task(clip, t->recognizer);
    const struct beam_options options = {
        .beam = 1, .n_best = 1, .max_tokens = CLIP_TOKENS, .ctc_weight = c->ctc_weight};
    struct transcript out;
    int audio = config_finest_rate(c->projector.audio_rates, c->projector.audio_rate_count);
    int video = config_finest_rate(c->projector.video_rates, c->projector.video_rate_count);
    int rc = transcriber_load(t, clip, task, err);
    if (!rc)
        rc = transcriber_run(t, &out, task, task_hears(task) ? audio : 0,
                             task_sees(task) ? video : 0, &options, err);
    if (rc)
        return rc;
    s->clip_seconds = (double)clip->samples / 16000;
    s->audio_seconds = task_hears(task) ? t->loaded->audio_seconds : 0;
    s->video_seconds = task_sees(task) ? t->loaded->video_seconds : 0;
    s->decode_seconds = out.decode_seconds;
    s->tokens = out.prompt_tokens + out.step_rows;
    transcript_release(&out);
    return 0;
}

int speed_clip(struct speed_clip *s, struct transcriber *t, struct error *err)
{
    struct clip clip;
    int rc = make_clip(&clip, err);
    if (rc)
        return rc;
    rc = run(s, t, &clip, err); /* packs weights, makes kernels */
    if (!rc)
        rc = run(s, t, &clip, err);
    transcriber_forget(t);
    clip_release(&clip);
    return rc;
}
