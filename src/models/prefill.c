/*
 * From requests to LLM rows and logits. Every row of the packed sequences is a row of one source,
 *
 *     source = [embeddings of all tokens, in order; projected sound at each rate; pictures
 * likewise]
 *
 * so building the sequences is one gather. Clips that several requests read at the same rate appear
 * once in the source: that is how all rate pairs of a clip share their projector runs.
 */
#include "models/recognizer.h"

#include "text/tokenizer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- rates ------------------------------------------------------------------------------- */

/* The place of the nearest rate; of two as near, the first. */
static int nearest_place(const int *rates, int count, int rate)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (abs(rates[i] - rate) < abs(rates[best] - rate))
            best = i;
    return best;
}

struct projector *recognizer_projector(struct recognizer *r, bool video, int rate)
{
    const struct projector_config *p = &r->config.projector;
    if (video)
        return &r->video_projectors[nearest_place(p->video_rates, p->video_rate_count, rate)];
    return &r->audio_projectors[nearest_place(p->audio_rates, p->audio_rate_count, rate)];
}

static int check_rate(int rate, const int *rates, int count, const char *modality, bool nearest,
                      bool *untrained, struct error *err)
{
    if (rates[nearest_place(rates, count, rate)] == rate)
        return 0;
    if (nearest && rate > 0) {
        *untrained = true;
        return 0;
    }
    char list[CONFIG_MAX_RATES * 6] = "";
    for (int i = 0, at = 0; i < count; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, " %d", rates[i]);
    return error_set(err, ERROR_USAGE, "the model has no %s rate %d; it has%s", modality, rate,
                     list);
}

int recognizer_check_rates(const struct recognizer *r, enum task task, int audio_rate,
                           int video_rate, bool nearest, bool *untrained, struct error *err)
{
    const struct projector_config *p = &r->config.projector;
    bool other = false;
    int rc = 0;
    if (task_hears(task) && !r->config.has_audio)
        return error_set(err, ERROR_USAGE, "the model has no audio encoder, which %s needs",
                         task_name(task));
    if (task_sees(task) && !r->config.has_video)
        return error_set(err, ERROR_USAGE, "the model has no video encoder, which %s needs",
                         task_name(task));
    if (task_hears(task))
        rc = check_rate(audio_rate, p->audio_rates, p->audio_rate_count, "audio",
                        nearest && !p->stack, &other, err);
    if (rc == 0 && task_sees(task))
        rc = check_rate(video_rate, p->video_rates, p->video_rate_count, "video",
                        nearest && !p->stack, &other, err);
    if (rc != 0 && nearest && p->stack)
        return error_prefix(err, "frames are stacked, which fixes the rates");
    if (untrained)
        *untrained = other;
    return rc;
}

/* Whose router and LoRA a request's rows use. */
static int request_pair(const struct recognizer *r, const struct request *q)
{
    const struct projector_config *p = &r->config.projector;
    bool lora = r->config.lora.inner > 0 && r->config.lora.per_rate;
    int audio = -1, video = -1;
    if (!lora && !r->config.mome.separate_routers)
        return 0;
    if (task_hears(q->task))
        audio = nearest_place(p->audio_rates, p->audio_rate_count, q->audio_rate);
    if (task_sees(q->task))
        video = nearest_place(p->video_rates, p->video_rate_count, q->video_rate);
    return config_pair(&r->config, audio, video);
}

/* ---- sizes ------------------------------------------------------------------------------- */

static int64_t audio_rows(const struct request *q)
{
    return task_hears(q->task) ? q->audio.length / q->audio_rate : 0;
}

static int64_t video_rows(const struct request *q)
{
    return task_sees(q->task) ? q->video.length / q->video_rate : 0;
}

static int64_t token_rows(const struct recognizer *r, const struct request *q)
{
    return 1 + (task_hears(q->task) ? 2 : 0) + (task_sees(q->task) ? 2 : 0) +
           r->tokens.prompt_count[q->task] + q->text_count;
}

int64_t recognizer_request_rows(const struct recognizer *r, const struct request *q, int64_t *media)
{
    int64_t rows = audio_rows(q) + video_rows(q);
    if (media)
        *media = rows;
    return rows + token_rows(r, q);
}

/* ---- sound and pictures ------------------------------------------------------------------ */

struct source {
    struct tensor **parts;
    int count;
    int64_t rows;
    int64_t *audio, *video; /* [requests]: where in the source their rows begin */
};

/* One modality as the loop over rates sees it. */
struct modality {
    struct recognizer *r;
    bool (*uses)(enum task);
    struct tensor *states;
    int64_t *start; /* [requests] */
    bool video;
};

static struct span request_span(const struct request *q, bool video)
{
    return video ? q->video : q->audio;
}

/* 0: has nothing of this modality. */
static int request_rate(const struct modality *m, const struct request *q)
{
    return !m->uses(q->task) ? 0 : m->video ? q->video_rate : q->audio_rate;
}

/* Projects, once each, the spans that requests read at one rate. */
static void add_rate(struct source *s, struct compute *c, const struct modality *m, int rate,
                     const struct request *requests, int count)
{
    struct projector *p = recognizer_projector(m->r, m->video, rate);
    struct span *spans = arena_alloc(c->arena, (size_t)count * sizeof *spans);
    int64_t *start = arena_alloc(c->arena, (size_t)count * sizeof *start), rows = 0;
    int n = 0;
    for (int i = 0; i < count; i++) {
        const struct request *q = &requests[i];
        if (request_rate(m, q) != rate)
            continue;
        struct span span = request_span(q, m->video);
        int same = 0;
        while (same < n && (spans[same].start != span.start || spans[same].length != span.length))
            same++;
        if (same == n) {
            spans[n] = span;
            start[n++] = rows;
            rows += span.length / rate;
        }
        m->start[i] = s->rows + start[same];
    }
    if (rows == 0)
        return;
    s->parts[s->count++] = projector_forward(p, c, m->states, spans, n, rate);
    s->rows += rows;
}

/* Every rate of the requests, in the order in which they come up. */
static void add_modality(struct source *s, struct compute *c, const struct modality *m,
                         const struct request *requests, int count)
{
    for (int i = 0; i < count; i++) {
        int rate = request_rate(m, &requests[i]), before = 0;
        while (before < i && request_rate(m, &requests[before]) != rate)
            before++;
        if (rate != 0 && before == i)
            add_rate(s, c, m, rate, requests, count);
    }
}

static void source_init(struct source *s, struct recognizer *r, struct compute *c,
                        const int32_t *ids, int64_t id_count, struct tensor *audio_states,
                        struct tensor *video_states, const struct request *requests, int count)
{
    *s = (struct source){.count = 1, .rows = id_count};
    s->parts = arena_alloc(c->arena, (2 * (size_t)count + 1) * sizeof *s->parts);
    s->parts[0] = llama_embed(&r->llm, c, ids, id_count);
    s->audio = arena_alloc(c->arena, (size_t)count * sizeof *s->audio);
    s->video = arena_alloc(c->arena, (size_t)count * sizeof *s->video);
    struct modality audio = {.r = r, .uses = task_hears, .states = audio_states, .start = s->audio};
    struct modality video = {
        .r = r, .uses = task_sees, .states = video_states, .start = s->video, .video = true};
    add_modality(s, c, &audio, requests, count);
    add_modality(s, c, &video, requests, count);
}

/* ---- the packed sequences ---------------------------------------------------------------- */

struct sequences {
    int64_t rows, wanted;  /* wanted: rows whose logits are asked for */
    struct span *spans;    /* [count] */
    struct rate_run *runs; /* [run_count]: sequences of one pair that follow each other */
    int run_count;
    int32_t *ids;      /* all tokens, in order */
    int32_t *index;    /* [rows] into the source */
    int32_t *position; /* [rows] */
    int32_t *logit;    /* [wanted] into the rows */
    int64_t id_count;
};

static void add_ids(struct sequences *s, const int32_t *ids, int count)
{
    for (int i = 0; i < count; i++)
        s->ids[s->id_count++] = ids[i];
}

static void collect_ids(struct sequences *s, const struct recognizer *r, const struct request *q)
{
    const struct token_ids *t = &r->tokens;
    add_ids(s, &t->bos, 1);
    if (task_hears(q->task)) {
        add_ids(s, &t->audio_open, 1);
        add_ids(s, &t->audio_close, 1);
    }
    if (task_sees(q->task)) {
        add_ids(s, &t->video_open, 1);
        add_ids(s, &t->video_close, 1);
    }
    add_ids(s, t->prompt[q->task], t->prompt_count[q->task]);
    add_ids(s, q->given ? q->given : q->text, q->text_count);
}

/* Rows behind those of the runs so far. */
static void add_run(struct rate_run *runs, int *count, int64_t rows, int pair)
{
    if (*count > 0 && runs[*count - 1].pair == pair)
        runs[*count - 1].rows += rows;
    else
        runs[(*count)++] = (struct rate_run){rows, pair};
}

static void sequences_init(struct sequences *s, const struct recognizer *r, struct compute *c,
                           const struct request *requests, int count)
{
    int64_t ids = 0;
    *s = (struct sequences){0};
    s->spans = arena_alloc(c->arena, (size_t)count * sizeof *s->spans);
    s->runs = arena_alloc(c->arena, (size_t)count * sizeof *s->runs);
    for (int i = 0; i < count; i++) {
        const struct request *q = &requests[i];
        int64_t rows = recognizer_request_rows(r, q, NULL);
        s->spans[i] = (struct span){s->rows, rows};
        add_run(s->runs, &s->run_count, rows, request_pair(r, q));
        s->rows += rows;
        s->wanted += q->text_count + 1;
        ids += token_rows(r, q);
    }
    s->ids = arena_alloc(c->arena, (size_t)ids * sizeof *s->ids);
    s->index = arena_alloc(c->arena, (size_t)s->rows * sizeof *s->index);
    s->position = arena_alloc(c->arena, (size_t)s->rows * sizeof *s->position);
    s->logit = arena_alloc(c->arena, (size_t)s->wanted * sizeof *s->logit);
    for (int i = 0; i < count; i++)
        collect_ids(s, r, &requests[i]);
}

static int64_t add_rows(struct sequences *s, int64_t at, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        s->index[at++] = (int32_t)(first + i);
    return at;
}

/* Fills index, position and logit: the order of the parts within a sequence is decided here. */
static void sequences_fill(struct sequences *s, struct prefilled *out, const struct recognizer *r,
                           const struct source *source, const struct request *requests, int count)
{
    int64_t at = 0, id = 0, wanted = 0;
    for (int i = 0; i < count; i++) {
        const struct request *q = &requests[i];
        at = add_rows(s, at, id++, 1);
        out->audio[i] = out->video[i] = (struct span){0};
        if (task_hears(q->task)) {
            at = add_rows(s, at, id++, 1);
            out->audio[i] = (struct span){at, audio_rows(q)};
            at = add_rows(s, at, source->audio[i], audio_rows(q));
            at = add_rows(s, at, id++, 1);
        }
        if (task_sees(q->task)) {
            at = add_rows(s, at, id++, 1);
            out->video[i] = (struct span){at, video_rows(q)};
            at = add_rows(s, at, source->video[i], video_rows(q));
            at = add_rows(s, at, id++, 1);
        }
        int words = r->tokens.prompt_count[q->task] + q->text_count;
        at = add_rows(s, at, id, words);
        id += words;
        for (int j = 0; j <= q->text_count; j++)
            s->logit[wanted++] = (int32_t)(at - q->text_count - 1 + j);
        for (int64_t j = 0; j < s->spans[i].length; j++)
            s->position[s->spans[i].start + j] = (int32_t)j;
    }
    assert(at == s->rows && id == s->id_count && wanted == s->wanted);
}

/* ---- results ----------------------------------------------------------------------------- */

static void prefilled_init(struct prefilled *out, const struct recognizer *r, struct compute *c,
                           const struct request *requests, int count)
{
    *out = (struct prefilled){0};
    out->spans = arena_alloc(c->arena, (size_t)count * sizeof *out->spans);
    out->audio = arena_alloc(c->arena, (size_t)count * sizeof *out->audio);
    out->video = arena_alloc(c->arena, (size_t)count * sizeof *out->video);
    int64_t rows = 0;
    for (int i = 0; i < count; i++) {
        out->spans[i] = (struct span){rows, requests[i].text_count + 1};
        rows += out->spans[i].length;
    }
    out->targets = arena_alloc(c->arena, (size_t)rows * sizeof *out->targets);
    for (int i = 0; i < count; i++) {
        int32_t *target = out->targets + out->spans[i].start;
        for (int j = 0; j < requests[i].text_count; j++)
            target[j] = requests[i].text[j];
        target[requests[i].text_count] = r->tokens.eos;
    }
}

static struct expert_report *reports_new(struct prefilled *out, const struct recognizer *r,
                                         struct compute *c)
{
    int layers = r->mome.count, routed = r->config.mome.routed;
    const int64_t slots = out->tokens * r->config.mome.active;
    if (layers == 0 || routed == 0)
        return NULL;
    struct expert_report *reports = arena_alloc(c->arena, (size_t)layers * sizeof *reports);
    out->expert_share =
        arena_alloc(c->arena, (size_t)layers * (size_t)routed * sizeof *out->expert_share);
    out->chosen = arena_alloc(c->arena, (size_t)(layers * slots) * sizeof *out->chosen);
    for (int i = 0; i < layers; i++)
        reports[i] = (struct expert_report){.share = out->expert_share + (int64_t)i * routed,
                                            .chosen = out->chosen + i * slots};
    return reports;
}

static void collect_scores(struct prefilled *out, struct compute *c,
                           const struct expert_report *reports, int layers)
{
    if (!reports || !c->tape)
        return;
    out->scores = arena_alloc(c->arena, (size_t)layers * sizeof *out->scores);
    for (int i = 0; i < layers; i++)
        out->scores[i] = reports[i].scores;
}

static void open_slots(struct kv_cache *cache, const struct recognizer *r,
                       const struct sequences *s, const struct request *requests, int count)
{
    assert(count <= cache->slots);
    for (int i = 0; i < count; i++)
        cache->slot[i] = (struct kv_slot){.prompt = ++cache->prompts,
                                          .prompt_rows = s->spans[i].length,
                                          .pair = request_pair(r, &requests[i])};
}

void recognizer_prefill(struct recognizer *r, struct compute *c, struct tensor *audio_states,
                        struct tensor *video_states, const struct request *requests, int count,
                        struct kv_cache *cache, struct prefilled *out)
{
    struct sequences s;
    struct source source;
    sequences_init(&s, r, c, requests, count);
    source_init(&source, r, c, s.ids, s.id_count, audio_states, video_states, requests, count);
    prefilled_init(out, r, c, requests, count);
    sequences_fill(&s, out, r, &source, requests, count);
    out->tokens = s.rows;
    struct tensor *x = op_concat_rows(c, source.parts, source.count);
    x = op_gather_rows(c, x, s.index, s.rows);
    if (cache)
        open_slots(cache, r, &s, requests, count);
    struct expert_report *reports = reports_new(out, r, c);
    struct llama_rows rows = {.spans = s.spans,
                              .sequences = count,
                              .position = s.position,
                              .runs = s.runs,
                              .run_count = s.run_count,
                              .cache = cache,
                              .reports = reports};
    x = llama_forward(&r->llm, &r->mome, c, x, &rows);
    out->logits = llama_head(&r->llm, c, op_gather_rows(c, x, s.logit, s.wanted));
    collect_scores(out, c, reports, r->mome.count);
}

struct tensor *recognizer_step(struct recognizer *r, struct compute *c, const int32_t *tokens,
                               int count, struct kv_cache *cache)
{
    assert(count <= cache->slots);
    struct span *spans = arena_alloc(c->arena, (size_t)count * sizeof *spans);
    struct rate_run *runs = arena_alloc(c->arena, (size_t)count * sizeof *runs);
    int32_t *position = arena_alloc(c->arena, (size_t)count * sizeof *position);
    int run_count = 0;
    for (int i = 0; i < count; i++) {
        spans[i] = (struct span){i, 1};
        add_run(runs, &run_count, 1, cache->slot[i].pair);
        position[i] = (int32_t)cache->slot[i].length;
    }
    struct llama_rows rows = {.spans = spans,
                              .sequences = count,
                              .position = position,
                              .runs = runs,
                              .run_count = run_count,
                              .cache = cache,
                              .past = true};
    struct tensor *x = llama_embed(&r->llm, c, tokens, count);
    x = llama_forward(&r->llm, &r->mome, c, x, &rows);
    return llama_head(&r->llm, c, x);
}

int recognizer_cache_init(const struct recognizer *r, struct kv_cache *cache, int slots,
                          int64_t capacity, enum precision precision, struct error *err)
{
    const struct llama_config *llm = &r->config.llm;
    return kv_cache_init(cache, llm->layers, slots, capacity, llm->kv_heads * llm->head_dim,
                         precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16, err);
}
