/* Jobs on what is loaded: segment by segment in batches, from requests to words. */
#include "base/memory.h"
#include "decode/align.h"
#include "decode/join.h"
#include "decode/transcriber.h"
#include "media/media.h"
#include "text/token_words.h"

#include <math.h>
#include <string.h>

/* One line: each run of white space and control characters becomes one space, none at the ends. */
static void tidy(char *text)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        bool blank = token_words_blank(*p);
        if (!blank)
            text[n++] = *p;
        else if (n && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    text[n && text[n - 1] == ' ' ? n - 1 : n] = 0;
}

static char *decode_text(const struct tokenizer *tokenizer, const struct hypothesis *h)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    tokenizer_decode(tokenizer, &text, h->ids, h->count);
    char *copy = text.failed ? NULL : memory_strdup(text.data);
    strbuf_release(&text);
    if (copy)
        tidy(copy);
    return copy;
}

static void drop_hypotheses(struct transcript *out)
{
    for (int i = 0; i < out->count; i++) {
        hypothesis_release(&out->hypotheses[i]);
        memory_free(out->texts[i]);
        out->texts[i] = NULL;
    }
    out->count = 0;
}

/* The states that requests read as one tensor, each encoding once; start[i]: where those of
   encoded[i] begin. */
static struct tensor *join_states(struct transcriber *t, struct encoded *const *encoded, int count,
                                  int64_t *start)
{
    struct tensor **parts = arena_alloc(&t->arena, (size_t)count * sizeof *parts);
    int64_t rows = 0;
    int n = 0;
    for (int i = 0; i < count; i++) {
        int same = 0;
        while (same < i && encoded[same] != encoded[i])
            same++;
        start[i] = same < i ? start[same] : rows;
        if (same < i || !encoded[i])
            continue;
        parts[n++] = encoded[i]->states;
        rows += tensor_rows(encoded[i]->states);
    }
    return n > 1 ? op_concat_rows(&t->compute, parts, n) : n ? parts[0] : NULL;
}

struct request *transcriber_requests(struct transcriber *t, const struct job *const *jobs,
                                     int count, int segment, struct tensor **audio,
                                     struct tensor **video)
{
    struct request *requests = arena_alloc(&t->arena, (size_t)count * sizeof *requests);
    struct encoded **encoded = arena_alloc(&t->arena, (size_t)count * sizeof *encoded);
    int64_t *start = arena_alloc(&t->arena, (size_t)count * sizeof *start);
    for (int i = 0; i < count; i++) {
        const struct job *job = jobs[i];
        requests[i] = (struct request){
            .task = job->task, .audio_rate = job->audio_rate, .video_rate = job->video_rate};
        encoded[i] = task_hears(job->task) ? t->loaded[job->loaded].audio[segment] : NULL;
    }
    *audio = join_states(t, encoded, count, start);
    for (int i = 0; i < count; i++) {
        const struct loaded *l = &t->loaded[jobs[i]->loaded];
        if (encoded[i])
            requests[i].audio = (struct span){start[i], l->audio_states[segment]};
        encoded[i] = task_sees(requests[i].task) ? l->video[segment] : NULL;
    }
    *video = join_states(t, encoded, count, start);
    for (int i = 0; i < count; i++)
        if (encoded[i])
            requests[i].video = (struct span){start[i], tensor_rows(encoded[i]->states)};
    return requests;
}

/* Some jobs at one segment each. */
struct batch {
    int count;
    const struct job *const *some; /* [count] of jobs */
    int segment;
    const struct job *jobs; /* all; as out */
    struct transcript *out;
};

/* The words of the best hypothesis behind those of the segments before. */
static int take_words(struct transcriber *t, struct transcript *out, const struct loaded *l,
                      int segment, const struct align_source *source, struct error *err)
{
    struct words words = {0};
    const bool reads = t->recognizer->config.ctc_weight > 0;
    int rc = align_words(&words, t->recognizer, &t->compute, reads ? &t->ctc : NULL, source,
                         &out->hypotheses[0], err);
    if (!rc && l->segment[segment].overlap > 0)
        join_seam(&out->words, &words);
    rc = rc ? rc : words_append(&out->words, &words, err);
    words_release(&words);
    return rc;
}

/* What was found of one job's segment, behind what its transcript holds of those before. */
static int take_found(struct transcriber *t, struct transcript *out, struct found *found,
                      const struct loaded *l, int segment, struct align_source *source,
                      struct error *err)
{
    const struct segment *s = &l->segment[segment];
    const bool hears = task_hears(source->request->task);
    int64_t media;
    recognizer_request_rows(t->recognizer, source->request, &media);
    source->start = (double)s->start / MEDIA_FPS;
    source->end =
        fmin((double)(s->start + s->count) / MEDIA_FPS, clip_seconds(l->samples, l->frames));
    source->frames = s->count;
    source->sounds = hears ? l->sounds[segment] : NULL;
    drop_hypotheses(out);
    out->prompt_tokens += found->prompt_tokens;
    out->media_tokens += media;
    out->ctc_rows += found->ctc_rows;
    out->step_rows += found->step_rows;
    out->keys += found->prompt_tokens * (found->prompt_tokens + 1) / 2 + found->step_keys;
    expert_slots_join(&out->experts, &found->experts);
    out->decode_seconds += found->seconds;
    out->prefill_seconds += found->prefill_seconds;
    for (int i = 0; i < found->count; i++) {
        out->hypotheses[i] = found->hypotheses[i];
        found->hypotheses[i] = (struct hypothesis){0};
        out->texts[i] = decode_text(t->recognizer->tokenizer, &out->hypotheses[i]);
        out->count++;
        if (!out->texts[i])
            return error_set(err, ERROR_MEMORY, "out of memory");
    }
    if (!out->count)
        return 0;
    out->score += out->hypotheses[0].score;
    return take_words(t, out, l, segment, source, err);
}

static int run_batch(struct transcriber *t, const struct batch *b,
                     const struct beam_options *options, struct error *err)
{
    struct tensor *audio, *video;
    struct found *found = memory_new((size_t)b->count, sizeof *found);
    size_t mark = arena_mark(&t->arena);
    if (!found)
        return error_set(err, ERROR_MEMORY, "out of memory");
    struct request *requests =
        transcriber_requests(t, b->some, b->count, b->segment, &audio, &video);
    int rc = beam_search(found, t->recognizer, &t->compute, audio, video, requests, b->count,
                         t->ctc.sharpness > 0 ? &t->ctc : NULL, options, err);
    for (int i = 0; !rc && i < b->count; i++) {
        const int64_t job = b->some[i] - b->jobs;
        struct align_source source = {
            .request = &requests[i], .audio_states = audio, .video_states = video};
        rc = take_found(t, &b->out[job], &found[i], &t->loaded[b->some[i]->loaded], b->segment,
                        &source, err);
    }
    for (int i = 0; i < b->count; i++)
        found_release(&found[i]);
    memory_free(found);
    arena_rewind(&t->arena, mark);
    return rc;
}

static int check_job(const struct transcriber *t, const struct job *job, struct error *err)
{
    int rc = recognizer_check_rates(t->recognizer, job->task, job->audio_rate, job->video_rate,
                                    t->any_rate, NULL, err);
    const struct loaded *l = job->loaded < t->loaded_count ? &t->loaded[job->loaded] : NULL;
    if (rc)
        return rc;
    if (!l || (task_hears(job->task) && !l->audio) || (task_sees(job->task) && !l->video))
        return error_set(err, ERROR_NO_STREAM, "task %s: the clip was not loaded for it",
                         task_name(job->task));
    return 0;
}

/* Segment by segment, so that what is alike stands together. */
static int run_segments(struct transcriber *t, struct batch *b, const struct job **some, int count,
                        const struct beam_options *options, struct error *err)
{
    int most = t->batch ? t->batch : TRANSCRIBER_BATCH / options->beam, rc = 0;
    most = most > 1 ? most : 1;
    for (int segment = 0, n = 1; !rc && n; segment++) {
        n = 0;
        for (int i = 0; i < count; i++)
            if (segment < t->loaded[b->jobs[i].loaded].segments)
                some[n++] = &b->jobs[i];
        for (int from = 0; !rc && from < n; from += most) {
            b->segment = segment;
            b->some = some + from;
            b->count = n - from < most ? n - from : most;
            rc = run_batch(t, b, options, err);
        }
    }
    return rc;
}

int transcriber_run_all(struct transcriber *t, struct transcript *out, const struct job *jobs,
                        int count, const struct beam_options *options, struct error *err)
{
    struct batch b = {.jobs = jobs, .out = out};
    memset(out, 0, (size_t)count * sizeof *out);
    for (int i = 0; i < count; i++) {
        int rc = check_job(t, &jobs[i], err);
        if (rc)
            return rc;
    }
    const struct job **some = memory_new((size_t)count, sizeof *some);
    const float weight = t->recognizer->config.ctc_weight;
    int rc = some ? 0 : ERROR_MEMORY;
    for (int i = 0; !rc && i < count; i++) {
        out[i].hypotheses = memory_new((size_t)options->n_best, sizeof *out[i].hypotheses);
        out[i].texts = memory_new((size_t)options->n_best, sizeof *out[i].texts);
        rc = out[i].hypotheses && out[i].texts ? 0 : ERROR_MEMORY;
    }
    if (rc)
        error_set(err, rc, "out of memory");
    if (!rc && (options->ctc_weight > 0 || weight > 0) && !(t->ctc.sharpness > 0))
        rc = ctc_head_init(&t->ctc, t->recognizer, err);
    if (!rc)
        rc = run_segments(t, &b, some, count, options, err);
    for (int i = 0; !rc && i < count; i++) {
        out[i].text = words_text(&out[i].words);
        if (!out[i].text)
            rc = error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (int i = 0; rc && i < count; i++)
        transcript_release(&out[i]);
    memory_free(some);
    return rc;
}

int transcriber_run(struct transcriber *t, struct transcript *out, enum task task, int audio_rate,
                    int video_rate, const struct beam_options *options, struct error *err)
{
    const struct job job = {.task = task, .audio_rate = audio_rate, .video_rate = video_rate};
    return transcriber_run_all(t, out, &job, 1, options, err);
}

void transcript_release(struct transcript *t)
{
    drop_hypotheses(t);
    memory_free(t->hypotheses);
    memory_free(t->texts);
    memory_free(t->text);
    words_release(&t->words);
    expert_slots_release(&t->experts);
    *t = (struct transcript){0};
}
