#include "decode/beam.h"
#include "base/memory.h"
#include "tensor/ops.h"

#include <math.h>
#include <string.h>

/* A running or ended sequence of tokens; `ids` has room for max_tokens. */
struct sequence {
    int32_t *ids;
    int count;
    double log_probability;
};

struct candidate {
    double log_probability;
    int beam;
    int32_t token;
};

struct search {
    const struct beam_options *options;
    int32_t eos;
    struct sequence *running, *next; /* [beam] */
    int running_count;
    struct hypothesis *ended; /* [beam + 1], best first */
    int ended_count;
    struct candidate *candidates; /* [2 beam], best first */
    int32_t *tokens, *parents;    /* [beam] */
};

static double score_of(const struct search *s, double log_probability, int tokens)
{
    return log_probability / pow(tokens, s->options->length_penalty);
}

static struct sequence *sequences_new(int beam, int max_tokens)
{
    struct sequence *all = memory_new((size_t)beam, sizeof *all);
    for (int i = 0; all && i < beam; i++)
        all[i].ids = memory_new((size_t)max_tokens, sizeof *all[i].ids);
    return all;
}

static bool sequences_whole(const struct sequence *all, int beam)
{
    for (int i = 0; all && i < beam; i++)
        if (!all[i].ids)
            return false;
    return all != NULL;
}

static void sequences_free(struct sequence *all, int beam)
{
    for (int i = 0; all && i < beam; i++)
        memory_free(all[i].ids);
    memory_free(all);
}

static void search_release(struct search *s)
{
    sequences_free(s->running, s->options->beam);
    sequences_free(s->next, s->options->beam);
    for (int i = 0; i < s->ended_count; i++)
        hypothesis_release(&s->ended[i]);
    memory_free(s->ended);
    memory_free(s->candidates);
    memory_free(s->tokens);
    memory_free(s->parents);
}

static int search_init(struct search *s, const struct beam_options *o, int32_t eos,
                       struct error *err)
{
    *s = (struct search){.options = o, .eos = eos, .running_count = 1};
    s->running = sequences_new(o->beam, o->max_tokens);
    s->next = sequences_new(o->beam, o->max_tokens);
    s->ended = memory_new((size_t)o->beam + 1, sizeof *s->ended);
    s->candidates = memory_new((size_t)o->beam * 2 + 1, sizeof *s->candidates);
    s->tokens = memory_new((size_t)o->beam, sizeof *s->tokens);
    s->parents = memory_new((size_t)o->beam, sizeof *s->parents);
    if (sequences_whole(s->running, o->beam) && sequences_whole(s->next, o->beam) && s->ended &&
        s->candidates && s->tokens && s->parents)
        return 0;
    search_release(s);
    return error_set(err, ERROR_MEMORY, "out of memory for the beams");
}

static double log_sum_exp(const float *x, int64_t n)
{
    float top = x[0];
    for (int64_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)(x[i] - top));
    return top + log(sum);
}

/* Insertion into a short sorted list; equal ones keep their order. */
static int insert_candidate(struct candidate *list, int count, int limit, struct candidate new)
{
    if (count == limit && new.log_probability <= list[count - 1].log_probability)
        return count;
    int at = count < limit ? count++ : limit - 1;
    while (at > 0 && list[at - 1].log_probability < new.log_probability) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = new;
    return count;
}

/* The 2 * beam best continuations: enough for `beam` of them not to be EOS. */
static int rank(struct search *s, const struct tensor *logits)
{
    int64_t vocab = tensor_width(logits);
    int limit = 2 * s->options->beam, count = 0;
    for (int b = 0; b < s->running_count; b++) {
        const float *row = logits->data + b * vocab;
        double base = s->running[b].log_probability - log_sum_exp(row, vocab);
        for (int64_t t = 0; t < vocab; t++)
            count = insert_candidate(s->candidates, count, limit,
                                     (struct candidate){base + row[t], b, (int32_t)t});
    }
    return count;
}

static int end_sequence(struct search *s, const struct sequence *from, double log_probability,
                        bool complete, struct error *err)
{
    struct hypothesis h = {.count = from->count,
                           .log_probability = log_probability,
                           .score = score_of(s, log_probability, from->count + 1),
                           .complete = complete};
    if (s->ended_count == s->options->beam && h.score <= s->ended[s->ended_count - 1].score)
        return 0;
    h.ids = memory_new((size_t)from->count + 1, sizeof *h.ids);
    if (!h.ids)
        return error_set(err, ERROR_MEMORY, "out of memory for the beams");
    memcpy(h.ids, from->ids, (size_t)from->count * sizeof *h.ids);
    if (s->ended_count == s->options->beam)
        hypothesis_release(&s->ended[--s->ended_count]);
    int at = s->ended_count++;
    for (; at > 0 && s->ended[at - 1].score < h.score; at--)
        s->ended[at] = s->ended[at - 1];
    s->ended[at] = h;
    return 0;
}

/* From the ranked continuations to the next set of running beams, their parents and tokens. */
static int advance(struct search *s, int candidates, struct error *err)
{
    int kept = 0;
    for (int i = 0; i < candidates && kept < s->options->beam; i++) {
        const struct candidate *c = &s->candidates[i];
        const struct sequence *from = &s->running[c->beam];
        if (c->token == s->eos) {
            /* only among the best `beam`, or a bad early end would fill the list */
            int rc =
                i < s->options->beam ? end_sequence(s, from, c->log_probability, true, err) : 0;
            if (rc)
                return rc;
            continue;
        }
        struct sequence *to = &s->next[kept];
        memcpy(to->ids, from->ids, (size_t)from->count * sizeof *to->ids);
        to->ids[from->count] = c->token;
        to->count = from->count + 1;
        to->log_probability = c->log_probability;
        s->tokens[kept] = c->token;
        s->parents[kept++] = (int32_t)c->beam;
    }
    struct sequence *old = s->running;
    s->running = s->next;
    s->next = old;
    s->running_count = kept;
    return 0;
}

/* No running beam can get above the worst ended one, even if all that follows is certain. */
static bool finished(const struct search *s)
{
    if (s->ended_count < s->options->beam)
        return s->running_count == 0;
    if (s->options->beam == 1)
        return true; /* greedy: the likeliest token was EOS */
    double best = -INFINITY;
    for (int b = 0; b < s->running_count; b++) {
        int longest =
            s->options->length_penalty > 0 ? s->options->max_tokens + 1 : s->running[b].count + 1;
        best = fmax(best, score_of(s, s->running[b].log_probability, longest));
    }
    return best <= s->ended[s->ended_count - 1].score;
}

static int run(struct search *s, struct recognizer *r, struct compute *c, struct tensor *logits,
               struct kv_cache *cache, struct error *err)
{
    for (;;) {
        int rc = advance(s, rank(s, logits), err);
        if (rc || finished(s))
            return rc;
        if (s->running_count && s->running[0].count >= s->options->max_tokens)
            break;
        kv_cache_reorder(cache, s->parents, s->running_count);
        size_t mark = arena_mark(c->arena);
        logits = recognizer_step(r, c, s->tokens, s->running_count, cache);
        arena_rewind(c->arena, mark); /* logits stay readable until the next step */
    }
    for (int b = 0; b < s->running_count; b++) {
        int rc = end_sequence(s, &s->running[b], s->running[b].log_probability, false, err);
        if (rc)
            return rc;
    }
    return 0;
}

int beam_search(struct hypothesis *hypotheses, int *count, int64_t *prompt_tokens,
                struct recognizer *r, struct compute *c, struct tensor *audio_states,
                struct tensor *video_states, const struct request *request,
                const struct beam_options *options, struct error *err)
{
    struct search s;
    struct kv_cache cache = {0};
    struct prefilled filled;
    size_t mark = arena_mark(c->arena);
    int64_t rows = recognizer_request_rows(r, request, NULL);
    *count = 0;
    int rc = search_init(&s, options, r->tokens.eos, err);
    if (rc)
        return rc;
    rc = recognizer_cache_init(r, &cache, options->beam, rows + options->max_tokens + 1,
                               c->precision, err);
    if (rc)
        goto out;
    recognizer_prefill(r, c, audio_states, video_states, request, 1, &cache, &filled);
    if (prompt_tokens)
        *prompt_tokens = filled.tokens;
    struct tensor *last = op_slice_rows(c, filled.logits, tensor_rows(filled.logits) - 1, 1);
    rc = run(&s, r, c, last, &cache, err);
    for (; !rc && *count < options->n_best && *count < s.ended_count; ++*count) {
        hypotheses[*count] = s.ended[*count];
        s.ended[*count].ids = NULL;
    }
out:
    kv_cache_release(&cache);
    search_release(&s);
    arena_rewind(c->arena, mark);
    return rc;
}

void hypothesis_release(struct hypothesis *h)
{
    memory_free(h->ids);
    *h = (struct hypothesis){0};
}
