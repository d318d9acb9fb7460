#include "decode/pace_measure.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "media/media.h"

#include <math.h>

#define BUDGET 2.0 /* seconds; a length that would go beyond is left out, from the third on */
#define RUNS 2     /* of each encoder; the faster counts */

enum { MAX_LENGTHS = 6, SEVERAL = 4, MAX_SEARCHES = 4 * MAX_LENGTHS, TOKENS = 24 };
static const int64_t lengths[MAX_LENGTHS] = {25, 50, 100, 200, 400, 750}; /* frames */

/* Measured so far. */
struct measured {
    double frames[MAX_LENGTHS][PACE_CURVE]; /* 1, n, n^2 */
    double audio[MAX_LENGTHS], video[MAX_LENGTHS];
    double audio_bytes[MAX_LENGTHS], video_bytes[MAX_LENGTHS];
    int lengths;
    double rows[MAX_SEARCHES][PACE_CURVE], bytes[MAX_SEARCHES];
    double work[MAX_SEARCHES][PACE_DECODER], seconds[MAX_SEARCHES];
    int searches;
};

static void curve_terms(double terms[PACE_CURVE], double n)
{
    terms[0] = 1;
    terms[1] = n;
    terms[2] = n * n;
}

/* Noise to hear and to see. */
static int make_clip(struct clip *clip, int64_t frames, struct error *err)
{
    struct random random;
    int rc = clip_init(clip, frames, err);
    if (rc)
        return rc;
    random_seed(&random, 1);
    for (int64_t i = 0; i < clip->samples; i++)
        clip->pcm[i] = (float)(0.1 * random_normal(&random));
    for (int64_t i = 0; i < frames * MOUTH_PIXELS; i++)
        clip->mouth[i] = (uint8_t)random_below(&random, 256);
    return 0;
}

/* Loads the clip for the task a few times: the least time, and what of the arena it took. */
static int time_encoder(double *seconds, double *bytes, struct transcriber *t,
                        const struct clip *clip, enum task task, struct error *err)
{
    *seconds = INFINITY;
    for (int i = 0; i < RUNS; i++) {
        transcriber_forget(t);
        t->arena.peak = t->arena.used;
        double begin = clock_seconds();
        int rc = transcriber_load(t, clip, task, err);
        if (rc)
            return rc;
        *seconds = fmin(*seconds, clock_seconds() - begin);
        *bytes = (double)t->arena.peak;
    }
    return 0;
}

static int extreme(const int *rates, int count, bool highest)
{
    int best = rates[0];
    for (int i = 1; i < count; i++)
        if ((rates[i] > best) == highest)
            best = rates[i];
    return best;
}

/* One search of what is loaded. */
static int time_search(struct measured *m, struct transcriber *t, enum task task, bool coarse,
                       int beam, const struct beam_options *options, struct error *err)
{
    const struct projector_config *p = &t->recognizer->config.projector;
    struct beam_options o = *options;
    struct transcript out;
    o.beam = beam;
    o.n_best = 1;
    o.max_tokens = TOKENS;
    t->arena.peak = t->arena.used;
    double begin = clock_seconds();
    int rc = transcriber_run(
        t, &out, task, task_hears(task) ? extreme(p->audio_rates, p->audio_rate_count, coarse) : 0,
        task_sees(task) ? extreme(p->video_rates, p->video_rate_count, coarse) : 0, &o, err);
    if (rc)
        return rc;
    const struct pace_work work = {.rows = (double)out.prompt_tokens,
                                   .keys = (double)out.keys,
                                   .steps = (double)out.step_rows / beam,
                                   .step_rows = (double)out.step_rows,
                                   .ctc_rows = (double)out.ctc_rows};
    pace_decoder_terms(m->work[m->searches], &work);
    curve_terms(m->rows[m->searches], work.rows);
    m->seconds[m->searches] = clock_seconds() - begin;
    m->bytes[m->searches++] = (double)t->arena.peak;
    transcript_release(&out);
    return 0;
}

/* All of one length. */
static int time_length(struct measured *m, struct transcriber *t, int64_t frames,
                       const struct beam_options *options, struct error *err)
{
    const struct recognizer_config *config = &t->recognizer->config;
    const int i = m->lengths;
    const int several = options->beam > 1 ? options->beam : SEVERAL;
    struct clip clip;
    int rc = make_clip(&clip, frames, err);
    if (!rc && config->has_video)
        rc = time_encoder(&m->video[i], &m->video_bytes[i], t, &clip, TASK_VSR, err);
    if (!rc && config->has_audio)
        rc = time_encoder(&m->audio[i], &m->audio_bytes[i], t, &clip, TASK_ASR, err);
    for (int way = 0; !rc && way < 4; way++)
        rc = time_search(m, t, config->has_audio ? TASK_ASR : TASK_VSR, way & 1,
                         way & 2 ? several : 1, options, err);
    transcriber_forget(t);
    clip_release(&clip);
    curve_terms(m->frames[i], (double)frames);
    m->lengths += !rc;
    return rc;
}

static void fit(struct pace_costs *costs, const struct measured *m,
                const struct recognizer_config *config)
{
    *costs = (struct pace_costs){0};
    if (config->has_audio) {
        pace_fit(costs->audio, m->frames[0], m->audio, m->lengths, PACE_CURVE);
        pace_fit(costs->audio_bytes, m->frames[0], m->audio_bytes, m->lengths, PACE_CURVE);
    }
    if (config->has_video) {
        pace_fit(costs->video, m->frames[0], m->video, m->lengths, PACE_CURVE);
        pace_fit(costs->video_bytes, m->frames[0], m->video_bytes, m->lengths, PACE_CURVE);
    }
    pace_fit(costs->decoder, m->work[0], m->seconds, m->searches, PACE_DECODER);
    pace_fit(costs->decoder_bytes, m->rows[0], m->bytes, m->searches, PACE_CURVE);
}

int pace_measure(struct pace_costs *costs, struct transcriber *t,
                 const struct beam_options *options, struct error *err)
{
    struct measured m = {0};
    int rc = time_length(&m, t, lengths[0] < t->longest ? lengths[0] : t->longest, options, err);
    m = (struct measured){0}; /* cold */
    const double begin = clock_seconds();
    double last = 0;
    for (int i = 0; !rc && costs && i < MAX_LENGTHS && lengths[i] <= t->longest; i++) {
        double now = clock_seconds();
        if (m.lengths > 1 && now + 2 * last > begin + BUDGET)
            break;
        rc = time_length(&m, t, lengths[i], options, err);
        last = clock_seconds() - now;
    }
    if (!rc && costs && !m.lengths) /* segments of less than a second */
        rc = time_length(&m, t, t->longest, options, err);
    if (!rc && costs)
        fit(costs, &m, &t->recognizer->config);
    return rc ? rc : transcriber_shrink(t, err);
}
