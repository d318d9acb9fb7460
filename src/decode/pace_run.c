#include "decode/pace_run.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/resident.h"
#include "decode/join.h"
#include "media/media.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATES_PER_FRAME 2 /* of sound */

enum { MAX_PLANS = 2 * 2 * CONFIG_MAX_RATES * CONFIG_MAX_RATES };

struct run {
    struct pace *pace;
    struct transcriber *t;
    const struct pace_request *request;
    struct paced *out;
    struct pace_plan plans[MAX_PLANS]; /* [count], richest first */
    int count;
    double begin, allowed; /* seconds; of the whole clip, 0: no limit */
};

/* ---- plans ------------------------------------------------------------------------------- */

static struct request request_of(const struct pace_plan *plan, int64_t frames)
{
    struct request q = {
        .task = plan->task, .audio_rate = plan->audio_rate, .video_rate = plan->video_rate};
    if (task_hears(plan->task))
        q.audio.length = STATES_PER_FRAME * frames;
    if (task_sees(plan->task))
        q.video.length = frames;
    return q;
}

/* What is expected of projectors, LLM and search. */
static struct pace_work work_of(const struct run *run, const struct pace_plan *plan, int64_t frames)
{
    const struct recognizer *r = run->t->recognizer;
    const struct request q = request_of(plan, frames);
    const bool video = !task_hears(plan->task);
    const int ctc_rate = beam_ctc_rate(r, video, video ? q.video_rate : q.audio_rate);
    const double rows = (double)recognizer_request_rows(r, &q, NULL);
    const double seconds = (double)frames / MEDIA_FPS;
    struct pace_work w = {.rows = rows};
    w.steps = fmin(1 + run->pace->steps_per_second * seconds, run->request->beam.max_tokens);
    w.step_rows = w.steps * plan->beam;
    w.keys = rows * (rows + 1) / 2 + w.step_rows * (rows + w.steps / 2);
    if (run->request->beam.ctc_weight > 0 && ctc_rate)
        w.ctc_rows = (double)((video ? q.video.length : q.audio.length) / ctc_rate);
    return w;
}

/* Keys and values of all layers and beams. */
static double cache_bytes(const struct run *run, const struct pace_plan *plan,
                          const struct pace_work *w)
{
    const struct llama_config *llm = &run->t->recognizer->config.llm;
    const double number = run->t->compute.precision == PRECISION_F32 ? 4 : 2;
    return 2.0 * llm->layers * llm->kv_heads * llm->head_dim * number * plan->beam *
           (w->rows + w->steps);
}

/* What is in memory now but for the arena's pages. */
static double other_bytes(const struct transcriber *t)
{
    return fmax(0, (double)resident_bytes() - (double)t->arena.peak);
}

/* What each plan is counted on to take of a segment: `encoded`, from now on. */
static void weigh_plans(struct run *run, int64_t frames, bool encoded)
{
    const struct pace *p = run->pace;
    const double n = (double)frames, other = other_bytes(run->t);
    const double audio = pace_curve(p->costs.audio, n) * pace_drift_factor(&p->audio);
    const double video = pace_curve(p->costs.video, n) * pace_drift_factor(&p->video);
    for (int i = 0; i < run->count; i++) {
        struct pace_plan *plan = &run->plans[i];
        const struct pace_work w = work_of(run, plan, frames);
        const struct request q = request_of(plan, frames);
        double arena = pace_curve(p->costs.decoder_bytes, w.rows);
        int64_t media;
        recognizer_request_rows(run->t->recognizer, &q, &media);
        plan->tokens = (double)media;
        plan->seconds = pace_decoder(p->costs.decoder, &w) * pace_drift_factor(&p->decoder);
        if (task_hears(plan->task)) {
            plan->seconds += encoded ? 0 : audio;
            arena = fmax(arena, pace_curve(p->costs.audio_bytes, n));
        }
        if (task_sees(plan->task)) {
            plan->seconds += encoded ? 0 : video;
            arena = fmax(arena, pace_curve(p->costs.video_bytes, n));
        }
        plan->bytes = other + arena + cache_bytes(run, plan, &w);
    }
}

/* The model's, or the one that was asked for. */
static int rates_of(int *rates, bool wanted, int asked, const int *all, int count)
{
    if (wanted && !asked) {
        memcpy(rates, all, (size_t)count * sizeof *rates);
        return count;
    }
    rates[0] = wanted ? asked : 0;
    return 1;
}

static void add_pairs(struct run *run, enum task task, int beam)
{
    const struct projector_config *p = &run->t->recognizer->config.projector;
    const struct pace_request *q = run->request;
    int audio[CONFIG_MAX_RATES], video[CONFIG_MAX_RATES];
    int audios =
        rates_of(audio, task_hears(task), q->audio_rate, p->audio_rates, p->audio_rate_count);
    int videos =
        rates_of(video, task_sees(task), q->video_rate, p->video_rates, p->video_rate_count);
    for (int i = 0; i < audios; i++)
        for (int j = 0; j < videos; j++)
            run->plans[run->count++] = (struct pace_plan){
                .task = task, .audio_rate = audio[i], .video_rate = video[j], .beam = beam};
}

/* Tokens of a second of sound and pictures. */
static double density(const struct pace_plan *plan)
{
    return (plan->audio_rate ? (double)STATES_PER_FRAME * MEDIA_FPS / plan->audio_rate : 0) +
           (plan->video_rate ? (double)MEDIA_FPS / plan->video_rate : 0);
}

/* [from, count) by falling number of tokens; equal ones keep their order. */
static void sort_plans(struct run *run, int from)
{
    for (int i = from + 1; i < run->count; i++) {
        const struct pace_plan plan = run->plans[i];
        int at = i;
        for (; at > from && density(&run->plans[at - 1]) < density(&plan); at--)
            run->plans[at] = run->plans[at - 1];
        run->plans[at] = plan;
    }
}

/* All plans of the request, richest first. */
static void make_plans(struct run *run)
{
    const struct pace_request *q = run->request;
    const bool any = !q->audio_rate && !q->video_rate;
    const bool drops = q->may_drop_pictures && q->task == TASK_AVSR;
    for (int drop = 0; drop <= drops; drop++) {
        const enum task task = drop ? TASK_ASR : q->task;
        const int from = run->count;
        add_pairs(run, task, q->beam.beam);
        if (any && q->beam.beam > 1)
            add_pairs(run, task, 1);
        sort_plans(run, from);
    }
}

/* Those of a task alone. */
static void keep_task(struct run *run, enum task task)
{
    int kept = 0;
    for (int i = 0; i < run->count; i++)
        if (run->plans[i].task == task)
            run->plans[kept++] = run->plans[i];
    run->count = kept;
}

/* ---- segments ---------------------------------------------------------------------------- */

/* The segment as a clip of its own, which borrows; past the end of the pictures the last one stands
   still. */
static struct clip view_of(const struct clip *clip, const struct segment *s)
{
    struct clip view = *clip;
    int64_t start = s->start * FRAME_SAMPLES, samples = s->count * FRAME_SAMPLES;
    start = start < clip->samples ? start : clip->samples;
    view.samples = clip->samples - start < samples ? clip->samples - start : samples;
    view.pcm = clip->has_sound ? clip->pcm + start : NULL;
    start = s->start < clip->frames ? s->start : clip->frames - 1;
    if (clip->has_face) {
        view.frames = clip->frames - start < s->count ? clip->frames - start : s->count;
        view.mouth = clip->mouth + start * MOUTH_PIXELS;
    }
    return view;
}

/* The transcript of the segment that begins at `start` seconds, behind those before. */
static int add_transcript(struct run *run, struct transcript *one, double start, bool overlaps,
                          struct error *err)
{
    struct transcript sum = run->out->transcript;
    words_shift(&one->words, start);
    if (overlaps)
        join_seam(&sum.words, &one->words);
    int rc = words_append(&sum.words, &one->words, err);
    words_release(&one->words);
    one->words = sum.words;
    sum.words = (struct words){0};
    one->score += sum.score;
    one->prompt_tokens += sum.prompt_tokens;
    one->media_tokens += sum.media_tokens;
    one->ctc_rows += sum.ctc_rows;
    one->step_rows += sum.step_rows;
    one->keys += sum.keys;
    expert_slots_join(&one->experts, &sum.experts);
    one->decode_seconds += sum.decode_seconds;
    one->prefill_seconds += sum.prefill_seconds;
    transcript_release(&sum);
    run->out->transcript = *one;
    return rc;
}

/* Encodes it; notes what that took. */
static int encode(struct run *run, struct pace_segment *s, const struct clip *view,
                  struct error *err)
{
    struct pace *p = run->pace;
    const double frames = (double)s->segment.count, begin = clock_seconds();
    int rc = transcriber_load(run->t, view, s->plan.task, err);
    if (rc)
        return rc;
    const struct loaded *l = &run->t->loaded[0];
    run->out->encode_seconds += clock_seconds() - begin;
    for (int i = 0; i < l->segments; i++) {
        s->audio_rows += l->audio ? l->audio[i]->rows : 0;
        s->audio_states += l->audio ? l->audio_states[i] : 0;
        s->video_rows += l->video ? l->video[i]->rows : 0;
    }
    pace_drift_add(&p->audio, l->audio_seconds, pace_curve(p->costs.audio, frames));
    pace_drift_add(&p->video, l->video_seconds, pace_curve(p->costs.video, frames));
    return 0;
}

static int decode(struct run *run, struct pace_segment *s, struct error *err)
{
    struct pace *p = run->pace;
    struct beam_options options = run->request->beam;
    struct transcript one;
    const struct pace_work expected = work_of(run, &s->plan, s->segment.count);
    options.beam = s->plan.beam;
    options.n_best = options.n_best < options.beam ? options.n_best : options.beam;
    const double begin = clock_seconds();
    int rc = transcriber_run(run->t, &one, s->plan.task, s->plan.audio_rate, s->plan.video_rate,
                             &options, err);
    if (rc)
        return rc;
    pace_drift_add(&p->decoder, clock_seconds() - begin, pace_decoder(p->costs.decoder, &expected));
    pace_add_steps(p, (double)one.step_rows / options.beam - 1,
                   (double)s->segment.count / MEDIA_FPS);
    return add_transcript(run, &one, (double)s->segment.start / MEDIA_FPS, s->segment.overlap > 0,
                          err);
}

/* `left`: seconds that it may take, 0: any. */
static int run_segment(struct run *run, struct pace_segment *s, const struct clip *clip,
                       double left, struct error *err)
{
    const double begin = clock_seconds(), bytes = (double)run->request->limits.bytes;
    const struct clip view = view_of(clip, &s->segment);
    bool late, short_of_memory;
    run->count = 0;
    make_plans(run);
    weigh_plans(run, s->segment.count, false);
    s->plan = run->plans[pace_pick(run->plans, run->count, left, bytes, &late)];
    int rc = encode(run, s, &view, err);
    if (rc)
        return rc;
    keep_task(run, s->plan.task);
    weigh_plans(run, s->segment.count, true);
    if (left > 0)
        left = fmax(1e-9, left - (clock_seconds() - begin));
    s->plan = run->plans[pace_pick(run->plans, run->count, left, bytes, &late)];
    pace_pick(&s->plan, 1, 0, bytes, &short_of_memory);
    run->out->late |= short_of_memory;
    return decode(run, s, err);
}

static int run_segments(struct run *run, const struct clip *clip, struct error *err)
{
    struct paced *out = run->out;
    int64_t frames = 0;
    int rc = 0;
    for (int i = 0; i < out->count; i++)
        frames += out->segments[i].segment.count;
    for (int i = 0; !rc && i < out->count; i++) {
        const int64_t count = out->segments[i].segment.count;
        double left = 0;
        if (run->allowed > 0)
            left = fmax(1e-9, (run->allowed - (clock_seconds() - run->begin)) * (double)count /
                                  (double)frames);
        rc = run_segment(run, &out->segments[i], clip, left, err);
        frames -= count;
    }
    return rc;
}

/* ---- the clip ---------------------------------------------------------------------------- */

/* Its segments, as the transcriber would cut it. */
static int cut(struct run *run, const struct clip *clip, struct error *err)
{
    struct segment segments[TRANSCRIBER_MAX_SEGMENTS];
    const enum task task = run->request->task;
    const int64_t samples = task_hears(task) ? clip->samples : 0;
    int64_t frames = (samples + FRAME_SAMPLES - 1) / FRAME_SAMPLES;
    if (task_sees(task) && clip->frames > frames)
        frames = clip->frames;
    int n = segment_clip(segments, TRANSCRIBER_MAX_SEGMENTS, clip, frames, run->t->longest, err);
    if (n < 0)
        return n;
    run->out->segments = memory_new((size_t)n, sizeof *run->out->segments);
    if (!run->out->segments)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        run->out->segments[i].segment = segments[i];
    run->out->count = n;
    const double seconds = (double)frames / MEDIA_FPS * run->request->limits.rtf;
    run->allowed = run->request->limits.seconds;
    if (seconds > 0 && !(run->allowed > 0 && run->allowed < seconds))
        run->allowed = seconds;
    return 0;
}

int pace_run(struct pace *p, struct paced *out, struct transcriber *t, const struct clip *clip,
             const struct pace_request *request, struct error *err)
{
    struct run *run = memory_new(1, sizeof *run);
    *out = (struct paced){0};
    if (!run)
        return error_set(err, ERROR_MEMORY, "out of memory");
    run->pace = p;
    run->t = t;
    run->request = request;
    run->out = out;
    run->begin = clock_seconds();
    int rc = transcriber_check(clip, request->task, err);
    if (!rc)
        rc = cut(run, clip, err);
    if (!rc)
        rc = run_segments(run, clip, err);
    if (!rc) {
        memory_free(out->transcript.text);
        out->transcript.text = words_text(&out->transcript.words);
        if (!out->transcript.text)
            rc = error_set(err, ERROR_MEMORY, "out of memory");
    }
    out->seconds = clock_seconds() - run->begin;
    out->late |= run->allowed > 0 && out->seconds > run->allowed;
    if (rc)
        paced_release(out);
    memory_free(run);
    return rc;
}

void paced_release(struct paced *out)
{
    transcript_release(&out->transcript);
    memory_free(out->segments);
    *out = (struct paced){0};
}
