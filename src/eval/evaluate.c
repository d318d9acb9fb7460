#include "eval/evaluate.h"
#include "base/memory.h"
#include "features/clip_cache.h"
#include "features/face.h"
#include "text/normalize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
                list[count++] = (struct condition){task, a, v, snrs[s]};
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
    int64_t index; /* of the clip among those evaluated */
};

/* A copy of the clip with noise in its sound; the pictures are shared. */
static int noisy_copy(struct clip *copy, const struct clip *clip, const struct run *run,
                      double snr_db, struct error *err)
{
    *copy = *clip;
    if (!isfinite(snr_db) || !clip->has_sound)
        return 0;
    copy->pcm = memory_new((size_t)clip->samples, sizeof(float));
    if (!copy->pcm)
        return error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(copy->pcm, clip->pcm, (size_t)clip->samples * sizeof(float));
    noise_mix(copy->pcm, copy->samples, run->options->noise, snr_db,
              run->options->seed * 1000003 + (uint64_t)run->entry->line);
    return 0;
}

static int add_utterance(struct run *run, struct score *s, const char *hypothesis,
                         struct error *err)
{
    struct wer words, characters;
    struct strbuf reference, folded;
    strbuf_init(&reference, 1 << 22);
    strbuf_init(&folded, 1 << 22);
    normalize_fold(&reference, run->entry->text, strlen(run->entry->text));
    normalize_fold(&folded, hypothesis, strlen(hypothesis));
    int rc = reference.failed || folded.failed ? error_set(err, ERROR_MEMORY, "out of memory") : 0;
    if (!rc)
        rc = wer_align(&words, NULL, NULL, reference.data, folded.data, WER_WORDS, err);
    if (!rc)
        rc = wer_align(&characters, NULL, NULL, reference.data, folded.data, WER_CHARACTERS, err);
    if (!rc) {
        wer_add(&s->words, &words);
        wer_add(&s->characters, &characters);
        s->utterances[s->clips++] = words;
        if (run->options->utterance)
            run->options->utterance(run->options->arg, run->entry, &s->condition, hypothesis);
    }
    strbuf_release(&reference);
    strbuf_release(&folded);
    return rc;
}

static int score_one(struct run *run, struct score *s, struct error *err)
{
    const struct condition *k = &s->condition;
    struct transcript out;
    int rc = transcriber_run(run->t, &out, k->task, k->audio_rate, k->video_rate,
                             &run->options->beam, err);
    if (rc)
        return rc;
    s->prompt_tokens += out.prompt_tokens;
    s->media_tokens += out.media_tokens;
    s->seconds += out.decode_seconds + (task_hears(k->task) ? run->t->audio_seconds : 0) +
                  (task_sees(k->task) ? run->t->video_seconds : 0);
    s->audio_seconds += fmax((double)run->t->samples / 16000, (double)run->t->frames / 25);
    rc = add_utterance(run, s, out.text, err);
    transcript_release(&out);
    return rc;
}

static bool same_input(const struct condition *a, const struct condition *b)
{
    return a->task == b->task && (a->snr_db == b->snr_db || !task_hears(a->task));
}

/* Conditions that need the same encoder input stand behind each other: encode once for each run of
   them. A clip that cannot serve a task counts as one where nothing was recognised. */
static int score_clip(struct run *run, const struct clip *clip, char *note, size_t note_size,
                      struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < run->count;) {
        const struct condition *first = &run->scores[i].condition;
        struct clip copy;
        rc = noisy_copy(&copy, clip, run, first->snr_db, err);
        int loaded = rc ? rc : transcriber_load(run->t, &copy, first->task, err);
        if (loaded == ERROR_MEMORY)
            rc = loaded;
        else if (loaded && !note[0]) /* the first reason: why the clip could not be read, if so */
            snprintf(note, note_size, "%s: %s", run->entry->path, err->message);
        for (; !rc && i < run->count && same_input(first, &run->scores[i].condition); i++) {
            struct score *s = &run->scores[i];
            s->failed += loaded != 0;
            rc = loaded ? add_utterance(run, s, "", err) : score_one(run, s, err);
        }
        if (copy.pcm != clip->pcm)
            memory_free(copy.pcm);
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
    rc = score_clip(run, &clip, note, sizeof note, err);
    clip_release(&clip);
    const struct evaluate_options *o = run->options;
    if (!rc && o->report && o->report(o->arg, run->index + 1, total, note[0] ? note : NULL))
        rc = error_set(err, ERROR_CANCELLED, "stopped");
    return rc;
}

static int scores_init(struct score *scores, const struct condition *conditions, int count,
                       int64_t clips, struct error *err)
{
    for (int i = 0; i < count; i++)
        scores[i] = (struct score){.condition = conditions[i]};
    for (int i = 0; i < count; i++) {
        scores[i].utterances = memory_new((size_t)clips, sizeof(struct wer));
        if (!scores[i].utterances)
            return error_set(err, ERROR_MEMORY, "out of memory");
    }
    return 0;
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
    int rc = scores_init(scores, conditions, count, clips, err);
    if (!rc)
        rc = face_finder_open(&run.finder, err); /* its models are loaded when first needed */
    for (run.index = 0; !rc && run.index < clips; run.index++) {
        run.entry = &manifest->entries[run.index * all / clips];
        rc = evaluate_entry(&run, clips, err);
    }
    for (int i = 0; !rc && i < count; i++)
        rc = wer_bootstrap(&scores[i].interval, scores[i].utterances, clips, options->seed, err);
    for (int i = 0; rc && i < count; i++)
        score_release(&scores[i]);
    face_finder_close(run.finder);
    return rc;
}

void score_release(struct score *s)
{
    memory_free(s->utterances);
    *s = (struct score){0};
}
