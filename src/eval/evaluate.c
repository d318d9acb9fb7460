/*
 * Conditions of a clip that need the same encoder input share what is loaded (struct loaded); all
 * that fit into SECONDS_AT_ONCE are loaded and decoded together.
 */
#include "eval/evaluate.h"
#include "base/memory.h"
#include "eval/cost.h"
#include "features/clip_cache.h"
#include "features/face.h"
#include "text/normalize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_AT_ONCE 1200 /* of sound: some 300 MB of states of the largest encoder */

static bool chosen(int wanted, int rate)
{
    return wanted <= 0 || wanted == rate; /* 0 or less: every rate of the model */
}

int conditions_add(struct condition *list, int count, int room, const struct recognizer *r,
                   enum task task, int audio_rate, int video_rate, const double *snrs,
                   int snr_count, struct error *err)
{
    const struct projector_config *p = &r->config.projector;
    if (!transcriber_can(r, task))
        return recognizer_check_rates(r, task, audio_rate, video_rate, false, NULL, err);
    int audio_count = task_hears(task) ? p->audio_rate_count : 1;
    int video_count = task_sees(task) ? p->video_rate_count : 1;
    int before = count;
    for (int i = 0; i < audio_count; i++) {
        for (int j = 0; j < video_count; j++) {
            int a = task_hears(task) ? p->audio_rates[i] : 0;
            int v = task_sees(task) ? p->video_rates[j] : 0;
            bool wanted = (!a || chosen(audio_rate, a)) && (!v || chosen(video_rate, v));
            for (int s = 0; wanted && s < snr_count; s++) {
                if (count == room)
                    return error_set(err, ERROR_LIMIT, "more than %d combinations", room);
                list[count++] = (struct condition){task, a, v, snrs[s], 1};
            }
        }
    }
    if (count == before && snr_count > 0) /* names the rates that the model has */
        return recognizer_check_rates(r, task, audio_rate, video_rate, false, NULL, err);
    return count;
}

struct run {
    struct score *scores;
    int count;
    struct transcriber *t;
    const struct evaluate_options *options;
    struct face_finder *finder;
    const struct manifest_entry *entry;
    int64_t index;  /* of the clip among those evaluated */
    double seconds; /* its length */
    /* of the clip, [count]: */
    float **sounds; /* the sound with noise that a condition made; NULL: it uses another's */
    int *loaded;    /* what the transcriber holds for a condition, or why it does not */
    struct job *jobs;
    struct transcript *transcripts;
};

/* ---- scoring ----------------------------------------------------------------------------- */

typedef void normalizer(struct strbuf *out, const char *text, size_t length);

static int align(struct wer *words, struct wer *characters, const char *text,
                 const char *hypothesis, normalizer *normalize, struct error *err)
{
    struct strbuf reference, folded;
    strbuf_init(&reference, 1 << 22);
    strbuf_init(&folded, 1 << 22);
    normalize(&reference, text, strlen(text));
    normalize(&folded, hypothesis, strlen(hypothesis));
    int rc = reference.failed || folded.failed ? error_set(err, ERROR_MEMORY, "out of memory") : 0;
    if (!rc)
        rc = wer_align(words, NULL, NULL, reference.data, folded.data, WER_WORDS, err);
    if (!rc && characters)
        rc = wer_align(characters, NULL, NULL, reference.data, folded.data, WER_CHARACTERS, err);
    strbuf_release(&reference);
    strbuf_release(&folded);
    return rc;
}

static int add_utterance(struct run *run, int condition, const char *hypothesis, struct error *err)
{
    struct score *s = &run->scores[condition];
    const char *text = run->entry->text;
    struct wer words, characters, normalised;
    int rc = align(&words, &characters, text, hypothesis, normalize_fold, err);
    if (!rc)
        rc = align(&normalised, NULL, text, hypothesis, normalize_english, err);
    if (rc)
        return rc;
    wer_add(&s->words, &words);
    wer_add(&s->characters, &characters);
    wer_add(&s->normalised, &normalised);
    s->utterances[s->clips++] = words;
    const struct evaluated told = {run->entry, run->index, run->seconds, condition, hypothesis};
    if (run->options->utterance)
        run->options->utterance(run->options->arg, &told);
    return 0;
}

/* Operations of the encoders and projectors on a segment. */
static double input_flops(const struct recognizer_config *config, const struct pace_segment *s)
{
    const struct pace_plan *plan = &s->plan;
    double sum = 0;
    if (task_hears(plan->task))
        sum += cost_audio_encoder(config, s->audio_rows) +
               cost_projector(config, false, plan->audio_rate, s->audio_states / plan->audio_rate);
    if (task_sees(plan->task))
        sum += cost_video_encoder(config, s->video_rows) +
               cost_projector(config, true, plan->video_rate, s->video_rows / plan->video_rate);
    return sum;
}

/* Those of the LLM. */
static double llm_flops(const struct recognizer_config *config, const struct transcript *out,
                        int segments)
{
    const struct llm_work work = {.rows = out->prompt_tokens + out->step_rows,
                                  .keys = out->keys,
                                  .heads = segments + out->step_rows + out->ctc_rows};
    return cost_llm(config, &work);
}

/* Operations of a job, encoders included. */
static double job_flops(const struct transcriber *t, const struct job *job,
                        const struct transcript *out)
{
    const struct recognizer_config *config = &t->recognizer->config;
    const struct loaded *l = &t->loaded[job->loaded];
    double sum = llm_flops(config, out, l->segments);
    for (int i = 0; i < l->segments; i++) {
        const struct pace_segment s = {.plan = {.task = job->task,
                                                .audio_rate = job->audio_rate,
                                                .video_rate = job->video_rate},
                                       .audio_rows = task_hears(job->task) ? l->audio[i]->rows : 0,
                                       .audio_states =
                                           task_hears(job->task) ? l->audio_states[i] : 0,
                                       .video_rows = task_sees(job->task) ? l->video[i]->rows : 0};
        sum += input_flops(config, &s);
    }
    return sum;
}

static int score_job(struct run *run, int condition, const struct job *job,
                     const struct transcript *out, struct error *err)
{
    struct score *s = &run->scores[condition];
    const struct loaded *l = &run->t->loaded[job->loaded];
    s->prompt_tokens += out->prompt_tokens;
    s->media_tokens += out->media_tokens;
    s->seconds += out->decode_seconds + (task_hears(job->task) ? l->audio_seconds : 0) +
                  (task_sees(job->task) ? l->video_seconds : 0);
    s->audio_seconds += clip_seconds(l->samples, l->frames);
    s->flops += job_flops(run->t, job, out);
    return add_utterance(run, condition, out->text, err);
}

/* ---- one clip ---------------------------------------------------------------------------- */

static bool same_sound(const struct condition *a, const struct condition *b)
{
    return a->snr_db == b->snr_db && (!isfinite(a->snr_db) || a->seed == b->seed);
}

static bool same_input(const struct condition *a, const struct condition *b)
{
    return a->task == b->task && (!task_hears(a->task) || same_sound(a, b));
}

static const struct condition *condition_of(const struct run *run, int i)
{
    return &run->scores[i].condition;
}

/* The clip with the condition's noise in its sound, made once for all conditions from `from` on;
   the pictures are the clip's. */
static int noisy_view(struct clip *view, const struct clip *clip, struct run *run, int from, int i,
                      struct error *err)
{
    const struct condition *k = condition_of(run, i);
    *view = *clip;
    if (!isfinite(k->snr_db) || !clip->has_sound || !task_hears(k->task))
        return 0;
    int made = from;
    while (made < i && (!run->sounds[made] || !same_sound(condition_of(run, made), k)))
        made++;
    if (made == i) {
        float *pcm = memory_new((size_t)clip->samples, sizeof(float));
        if (!pcm)
            return error_set(err, ERROR_MEMORY, "out of memory");
        memcpy(pcm, clip->pcm, (size_t)clip->samples * sizeof(float));
        noise_mix(pcm, clip->samples, run->options->noise, k->snr_db,
                  k->seed * 1000003 + (uint64_t)run->entry->line);
        run->sounds[i] = pcm;
    }
    view->pcm = run->sounds[made];
    return 0;
}

/* What is not a clip's own fault. */
static bool ends_run(int code)
{
    return code == ERROR_MEMORY || code == ERROR_CANCELLED;
}

/* Loads what conditions [from, to) need, each input once. A clip that cannot serve a task is told
   in the note: the first reason, unless there is one. */
static int load_inputs(struct run *run, const struct clip *clip, int from, int to, char *note,
                       size_t note_size, struct error *err)
{
    transcriber_forget(run->t);
    for (int i = from; i < to; i++) {
        int same = from;
        struct clip view;
        while (!same_input(condition_of(run, same), condition_of(run, i)))
            same++;
        if (same < i) {
            run->loaded[i] = run->loaded[same];
            continue;
        }
        int rc = noisy_view(&view, clip, run, from, i, err);
        if (!rc)
            rc = transcriber_add(run->t, &view, condition_of(run, i)->task, err);
        run->loaded[i] = rc;
        if (ends_run(rc))
            return rc;
        if (rc < 0 && !note[0])
            snprintf(note, note_size, "%s: %s", run->entry->path, err->message);
    }
    return 0;
}

/* Conditions [from, to) of the clip at once. One that the clip cannot serve counts as one where
   nothing was recognised. */
static int score_group(struct run *run, const struct clip *clip, int from, int to, char *note,
                       size_t note_size, struct error *err)
{
    int jobs = 0;
    int rc = load_inputs(run, clip, from, to, note, note_size, err);
    for (int i = from; !rc && i < to; i++) {
        const struct condition *k = condition_of(run, i);
        if (run->loaded[i] >= 0)
            run->jobs[jobs++] = (struct job){run->loaded[i], k->task, k->audio_rate, k->video_rate};
    }
    if (!rc && jobs)
        rc = transcriber_run_all(run->t, run->transcripts, run->jobs, jobs, &run->options->beam,
                                 err);
    jobs = rc ? 0 : jobs;
    for (int i = from, job = 0; !rc && i < to; i++) {
        bool failed = run->loaded[i] < 0;
        run->scores[i].failed += failed;
        rc = failed ? add_utterance(run, i, "", err)
                    : score_job(run, i, &run->jobs[job], &run->transcripts[job], err);
        job += !failed;
    }
    for (int i = 0; i < jobs; i++)
        transcript_release(&run->transcripts[i]);
    for (int i = from; i < to; i++) {
        memory_free(run->sounds[i]);
        run->sounds[i] = NULL;
    }
    return rc;
}

/* The clip at one condition, by itself and within the limits. */
static int score_paced(struct run *run, const struct clip *clip, int i, char *note,
                       size_t note_size, struct error *err)
{
    const struct condition *k = condition_of(run, i);
    const struct evaluate_options *o = run->options;
    const struct recognizer_config *config = &run->t->recognizer->config;
    const struct pace_request request = {.task = k->task,
                                         .may_drop_pictures = o->may_drop_pictures &&
                                                              !k->audio_rate && !k->video_rate,
                                         .audio_rate = k->audio_rate,
                                         .video_rate = k->video_rate,
                                         .beam = o->beam,
                                         .limits = o->limits};
    struct score *s = &run->scores[i];
    struct paced paced;
    struct clip view;
    int rc = noisy_view(&view, clip, run, i, i, err);
    if (!rc)
        rc = pace_run(o->pace, &paced, run->t, &view, &request, err);
    memory_free(run->sounds[i]);
    run->sounds[i] = NULL;
    if (ends_run(rc))
        return rc;
    if (rc) {
        if (!note[0])
            snprintf(note, note_size, "%s: %s", run->entry->path, err->message);
        s->failed++;
        return add_utterance(run, i, "", err);
    }
    s->prompt_tokens += paced.transcript.prompt_tokens;
    s->media_tokens += paced.transcript.media_tokens;
    s->seconds += paced.seconds;
    s->audio_seconds += run->seconds;
    s->held += !paced.late;
    s->flops += llm_flops(config, &paced.transcript, paced.count);
    for (int n = 0; n < paced.count; n++)
        s->flops += input_flops(config, &paced.segments[n]);
    rc = add_utterance(run, i, paced.transcript.text, err);
    paced_release(&paced);
    return rc;
}

/* How many different inputs may be loaded at once, and the end of the conditions that need them. */
static int group_end(const struct run *run, int from)
{
    double all = 0;
    int i = from;
    for (; i < run->count; i++) {
        int same = from;
        while (!same_input(condition_of(run, same), condition_of(run, i)))
            same++;
        all += same == i ? run->seconds : 0;
        if (i > from && all > SECONDS_AT_ONCE)
            break;
    }
    return i;
}

static int score_clip(struct run *run, const struct clip *clip, char *note, size_t note_size,
                      struct error *err)
{
    int rc = 0;
    run->seconds = clip_seconds(clip->samples, clip->frames);
    for (int i = 0; !rc && run->options->pace && i < run->count; i++)
        rc = score_paced(run, clip, i, note, note_size, err);
    for (int from = 0, to; !rc && !run->options->pace && from < run->count; from = to) {
        to = group_end(run, from);
        rc = score_group(run, clip, from, to, note, note_size, err);
    }
    return rc;
}

static int load_clip(struct clip *clip, const struct run *run, struct error *err)
{
    const struct clip_options options = {.finder = run->finder};
    if (run->options->cache)
        return clip_cache_load(clip, run->options->cache, run->entry->path, &options, err);
    return clip_load(clip, run->entry->path, &options, err);
}

static int evaluate_entry(struct run *run, int64_t total, struct error *err)
{
    char note[sizeof err->message + 1024] = "";
    struct clip clip = {0};
    int rc = load_clip(&clip, run, err);
    if (rc == ERROR_MEMORY)
        return rc;
    if (rc)
        snprintf(note, sizeof note, "%s", err->message);
    const struct evaluate_options *o = run->options;
    bool readable = rc == 0;
    rc = score_clip(run, &clip, note, sizeof note, err);
    if (!rc && readable && o->clip)
        rc = o->clip(o->arg, run->t, &clip, run->entry, err);
    clip_release(&clip);
    if (!rc && o->report && o->report(o->arg, run->index + 1, total, note[0] ? note : NULL))
        rc = error_set(err, ERROR_CANCELLED, "stopped");
    return rc;
}

static int run_init(struct run *run, const struct condition *conditions, int64_t clips,
                    struct error *err)
{
    const size_t count = (size_t)run->count;
    bool whole = true;
    for (int i = 0; i < run->count; i++)
        run->scores[i] = (struct score){.condition = conditions[i]};
    for (int i = 0; i < run->count; i++) {
        run->scores[i].utterances = memory_new((size_t)clips, sizeof(struct wer));
        whole = whole && run->scores[i].utterances;
    }
    run->sounds = memory_new(count, sizeof *run->sounds);
    run->loaded = memory_new(count, sizeof *run->loaded);
    run->jobs = memory_new(count, sizeof *run->jobs);
    run->transcripts = memory_new(count, sizeof *run->transcripts);
    if (whole && run->sounds && run->loaded && run->jobs && run->transcripts)
        return face_finder_open(&run->finder, err); /* its models are loaded when first needed */
    return error_set(err, ERROR_MEMORY, "out of memory");
}

static void run_release(struct run *run)
{
    memory_free(run->sounds);
    memory_free(run->loaded);
    memory_free(run->jobs);
    memory_free(run->transcripts);
    face_finder_close(run->finder);
    transcriber_forget(run->t);
}

int evaluate(struct score *scores, const struct condition *conditions, int count,
             struct transcriber *t, const struct manifest *manifest,
             const struct evaluate_options *options, struct error *err)
{
    int64_t all = manifest->count;
    int64_t clips = options->most_clips && options->most_clips < all ? options->most_clips : all;
    struct run run = {.scores = scores, .count = count, .t = t, .options = options};
    for (int i = 0; i < count; i++)
        if (isfinite(conditions[i].snr_db) && !options->noise)
            return error_set(err, ERROR_USAGE, "an SNR needs a noise file: --noise FILE");
    int rc = run_init(&run, conditions, clips, err);
    for (run.index = 0; !rc && run.index < clips; run.index++) {
        run.entry = &manifest->entries[run.index * all / clips];
        rc = evaluate_entry(&run, clips, err);
    }
    for (int i = 0; !rc && i < count; i++)
        rc = wer_bootstrap(&scores[i].interval, scores[i].utterances, clips, options->seed, err);
    for (int i = 0; rc && i < count; i++)
        score_release(&scores[i]);
    run_release(&run);
    return rc;
}

void score_release(struct score *s)
{
    memory_free(s->utterances);
    *s = (struct score){0};
}
