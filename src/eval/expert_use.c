#include "eval/expert_use.h"
#include "tensor/ops.h"

#include <string.h>

enum { SOUND, PICTURES };

static const int frames_of[2] = {1, 2}; /* 20 ms that an encoder frame of each covers */

void expert_use_release(struct expert_use *use)
{
    for (int i = 0; use->slots && i < use->count; i++)
        expert_slots_release(&use->slots[i]);
    memory_free(use->conditions);
    memory_free(use->slots);
    memory_free(use->same);
    memory_free(use->matched);
    *use = (struct expert_use){0};
}

int expert_use_init(struct expert_use *use, const struct recognizer_config *config,
                    const struct result_expert_condition *conditions, int count, struct error *err)
{
    const struct mome_config *mome = &config->mome;
    const size_t n = (size_t)count, layers = (size_t)config->llm.layers;
    *use = (struct expert_use){.layers = config->llm.layers,
                               .routed = mome->routed,
                               .active = mome->active,
                               .count = count};
    if (mome->placement == MOME_NONE || !mome->routed)
        return error_set(err, ERROR_UNSUPPORTED, "the model has no experts to choose from");
    use->conditions = memory_new(n, sizeof *use->conditions);
    use->slots = memory_new(n, sizeof *use->slots);
    use->same = memory_new(n * n * layers, sizeof *use->same);
    use->matched = memory_new(n * n, sizeof *use->matched);
    int rc = use->conditions && use->slots && use->same && use->matched
                 ? 0
                 : error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < count; i++)
        rc = expert_slots_init(&use->slots[i], use->layers, use->routed, err);
    if (rc)
        expert_use_release(use);
    else
        memcpy(use->conditions, conditions, n * sizeof *conditions);
    return rc;
}

/* ---- from choices ------------------------------------------------------------------------ */

/* Share of the choices of two rows that is the same. */
static double same_choice(const int32_t *a, const int32_t *b, int active)
{
    int same = 0;
    for (int i = 0; i < active; i++)
        for (int j = 0; j < active; j++)
            same += a[i] >= 0 && a[i] == b[j];
    return (double)same / active;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Walks along the time of both; each step is a stretch in which neither row changes. */
static void match(struct expert_use *use, int a, int b, const int32_t *chosen, int64_t tokens,
                  const struct expert_rows *rows, int stream_a, int stream_b)
{
    const struct span ra = rows[a].rows[stream_a], rb = rows[b].rows[stream_b];
    const int64_t step_a = rows[a].rate[stream_a] * frames_of[stream_a];
    const int64_t step_b = rows[b].rate[stream_b] * frames_of[stream_b];
    const int64_t end = smaller(ra.length * step_a, rb.length * step_b);
    for (int64_t time = 0, next; time < end; time = next) {
        int64_t i = time / step_a, j = time / step_b;
        next = smaller(smaller((i + 1) * step_a, (j + 1) * step_b), end);
        for (int layer = 0; layer < use->layers; layer++) {
            const int32_t *all = chosen + layer * tokens * use->active;
            double same = same_choice(all + (ra.start + i) * use->active,
                                      all + (rb.start + j) * use->active, use->active);
            use->same[((int64_t)layer * use->count + a) * use->count + b] +=
                same * (double)(next - time);
        }
        use->matched[a * use->count + b] += (double)(next - time);
    }
}

static void match_all(struct expert_use *use, int a, int b, const int32_t *chosen, int64_t tokens,
                      const struct expert_rows *rows)
{
    bool common = false;
    for (int stream = SOUND; stream <= PICTURES; stream++) {
        if (!rows[a].rate[stream] || !rows[b].rate[stream])
            continue;
        match(use, a, b, chosen, tokens, rows, stream, stream);
        common = true;
    }
    for (int stream = SOUND; !common && stream <= PICTURES; stream++)
        if (rows[a].rate[stream] && rows[b].rate[!stream])
            match(use, a, b, chosen, tokens, rows, stream, !stream);
}

void expert_use_add(struct expert_use *use, const int32_t *chosen, int64_t tokens,
                    const struct expert_rows *rows)
{
    for (int a = 0; a < use->count; a++) {
        for (int stream = SOUND; stream <= PICTURES; stream++)
            if (rows[a].rate[stream])
                expert_slots_choose(&use->slots[a], chosen, tokens, use->active,
                                    rows[a].rows[stream]);
        for (int b = 0; b < use->count; b++)
            match_all(use, a, b, chosen, tokens, rows);
    }
}

/* ---- from clips -------------------------------------------------------------------------- */

/* One segment of all jobs; job[i]'s condition is which[i]. */
static int add_segment(struct expert_use *use, struct transcriber *t, const struct job *jobs,
                       const int *which, int count, int segment, struct error *err)
{
    size_t mark = arena_mark(&t->arena);
    const struct job **some = arena_alloc(&t->arena, (size_t)count * sizeof *some);
    int *conditions = arena_alloc(&t->arena, (size_t)count * sizeof *conditions), n = 0;
    struct expert_rows *rows = memory_new((size_t)use->count, sizeof *rows);
    if (!rows)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < count; i++)
        if (segment < t->loaded[jobs[i].loaded].segments) {
            conditions[n] = which[i];
            some[n++] = &jobs[i];
        }
    if (n) {
        struct tensor *audio, *video;
        struct prefilled filled;
        struct request *requests = transcriber_requests(t, some, n, segment, &audio, &video);
        recognizer_prefill(t->recognizer, &t->compute, audio, video, requests, n, NULL, &filled);
        for (int i = 0; i < n; i++)
            rows[conditions[i]] =
                (struct expert_rows){.rate = {task_hears(some[i]->task) ? some[i]->audio_rate : 0,
                                              task_sees(some[i]->task) ? some[i]->video_rate : 0},
                                     .rows = {filled.audio[i], filled.video[i]}};
        expert_use_add(use, filled.chosen, filled.tokens, rows);
    }
    memory_free(rows);
    arena_rewind(&t->arena, mark);
    return 0;
}

int expert_use_clip(struct expert_use *use, struct transcriber *t, const struct clip *clip,
                    struct error *err)
{
    int loaded[TASK_COUNT], segments = 0, count = 0, rc = 0;
    struct job *jobs = memory_new((size_t)use->count, sizeof *jobs);
    int *which = memory_new((size_t)use->count, sizeof *which);
    if (!jobs || !which)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    for (int task = 0; task < TASK_COUNT; task++)
        loaded[task] = ERROR_USAGE; /* not yet tried */
    transcriber_forget(t);
    for (int i = 0; !rc && i < use->count; i++) {
        const struct result_expert_condition *k = &use->conditions[i];
        struct error missing;
        if (loaded[k->task] == ERROR_USAGE)
            loaded[k->task] = transcriber_add(t, clip, k->task, &missing);
        if (loaded[k->task] == ERROR_MEMORY || loaded[k->task] == ERROR_CANCELLED)
            rc = error_set(err, loaded[k->task], "%s", missing.message);
        if (loaded[k->task] < 0)
            continue;
        if (t->loaded[loaded[k->task]].segments > segments)
            segments = t->loaded[loaded[k->task]].segments;
        which[count] = i;
        jobs[count++] = (struct job){loaded[k->task], k->task, k->audio_rate, k->video_rate};
    }
    for (int segment = 0; !rc && segment < segments; segment++)
        rc = add_segment(use, t, jobs, which, count, segment, err);
    memory_free(which);
    memory_free(jobs);
    return rc;
}

void expert_use_result(const struct expert_use *use, struct result *r)
{
    const int64_t n = use->count, layers = use->layers;
    struct result_expert_condition *conditions = result_array(r, n, sizeof *conditions);
    double *share = result_array(r, n * layers * use->routed, sizeof *share);
    double *mean = result_array(r, n * n, sizeof *mean);
    double *by_layer = result_array(r, layers * n * n, sizeof *by_layer);
    struct result_experts *e = result_array(r, 1, sizeof *e);
    if (!n)
        return;
    memcpy(conditions, use->conditions, (size_t)n * sizeof *conditions);
    for (int64_t i = 0; i < n; i++)
        expert_slots_share(share + i * layers * use->routed, &use->slots[i]);
    for (int64_t layer = 0; layer < layers; layer++)
        for (int64_t i = 0; i < n * n; i++) {
            double matched = use->matched[i];
            by_layer[layer * n * n + i] = matched > 0 ? use->same[layer * n * n + i] / matched : 0;
            mean[i] += by_layer[layer * n * n + i] / (double)layers;
        }
    *e = (struct result_experts){.layers = use->layers,
                                 .routed = use->routed,
                                 .active = use->active,
                                 .condition_count = use->count,
                                 .conditions = conditions,
                                 .share = share,
                                 .agreement = mean,
                                 .agreement_by_layer = by_layer};
    r->experts = e;
}
