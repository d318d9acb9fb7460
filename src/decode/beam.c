#include "decode/beam.h"
#include "base/clock.h"
#include "base/memory.h"
#include "decode/ctc_prefix.h"
#include "tensor/ops.h"

#include <math.h>
#include <string.h>

enum { LOOP_ROUNDS = 3, LOOP_TOKENS = 12 };

/* A running or ended sequence of tokens; there is room for max_tokens. */
struct sequence {
    int32_t *ids;
    float *log_probabilities; /* what each id added to log_probability */
    int count;
    double log_probability, llm; /* of which the LLM's */
    struct ctc_prefix ctc;       /* where the search reads CTC */
};

struct candidate {
    double log_probability, llm;
    int beam;
    int32_t token;
};

/* One request's. */
struct search {
    const struct beam_options *options;
    int32_t eos;
    struct ctc_table ctc;            /* no rows: the LLM alone */
    struct sequence *running, *next; /* [beam] */
    int running_count;
    struct hypothesis *ended; /* [beam + 1], best first */
    int ended_count;
    struct candidate *candidates; /* [2 beam], best first */
    int32_t *tokens, *parents;    /* [beam] */
    int32_t *slots;               /* [beam]: where in the cache each running one lies */
};

/* All requests of a batch. */
struct batch {
    struct search *searches;
    struct found *found;
    int count;
    struct kv_cache cache;
    int32_t *tokens, *parents; /* [slots] */
    bool *taken;               /* [slots], while places are given */
};

static double score_of(const struct search *s, double log_probability, int tokens)
{
    return log_probability / pow(tokens, s->options->length_penalty);
}

static struct sequence *sequences_new(int beam, int max_tokens)
{
    struct sequence *all = memory_new((size_t)beam, sizeof *all);
    for (int i = 0; all && i < beam; i++) {
        all[i].ids = memory_new((size_t)max_tokens, sizeof *all[i].ids);
        all[i].log_probabilities = memory_new((size_t)max_tokens, sizeof *all[i].log_probabilities);
    }
    return all;
}

static bool sequences_whole(const struct sequence *all, int beam)
{
    for (int i = 0; all && i < beam; i++)
        if (!all[i].ids || !all[i].log_probabilities)
            return false;
    return all != NULL;
}

static void sequences_free(struct sequence *all, int beam)
{
    for (int i = 0; all && i < beam; i++) {
        memory_free(all[i].ids);
        memory_free(all[i].log_probabilities);
        memory_free(all[i].ctc.token);
        memory_free(all[i].ctc.blank);
    }
    memory_free(all);
}

static void search_release(struct search *s)
{
    if (!s->options)
        return;
    sequences_free(s->running, s->options->beam);
    sequences_free(s->next, s->options->beam);
    for (int i = 0; i < s->ended_count; i++)
        hypothesis_release(&s->ended[i]);
    memory_free(s->ended);
    ctc_table_release(&s->ctc);
    memory_free(s->candidates);
    memory_free(s->tokens);
    memory_free(s->parents);
    memory_free(s->slots);
    *s = (struct search){0};
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
    s->slots = memory_new((size_t)o->beam, sizeof *s->slots);
    if (sequences_whole(s->running, o->beam) && sequences_whole(s->next, o->beam) && s->ended &&
        s->candidates && s->tokens && s->parents && s->slots)
        return 0;
    search_release(s);
    return error_set(err, ERROR_MEMORY, "out of memory for the beams");
}

static int prefixes_new(struct sequence *all, int beam, int64_t rows)
{
    for (int i = 0; i < beam; i++) {
        all[i].ctc.token = memory_new((size_t)rows, sizeof(float));
        all[i].ctc.blank = memory_new((size_t)rows, sizeof(float));
        if (!all[i].ctc.token || !all[i].ctc.blank)
            return ERROR_MEMORY;
    }
    return 0;
}

/* From now on the search reads CTC's scores, [rows, vocab + 1]. */
static int search_read(struct search *s, const struct tensor *scores, struct error *err)
{
    int64_t rows = tensor_rows(scores);
    int rc = ctc_table_init(&s->ctc, scores->data, rows, tensor_width(scores) - 1, err);
    if (rc)
        return rc;
    if (prefixes_new(s->running, s->options->beam, rows) ||
        prefixes_new(s->next, s->options->beam, rows))
        return error_set(err, ERROR_MEMORY, "out of memory for the beams");
    ctc_prefix_start(&s->running[0].ctc, &s->ctc);
    return 0;
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

static int weigh(struct search *s, int count, struct candidate c)
{
    const struct ctc_prefix *from = &s->running[c.beam].ctc;
    const double weight = s->options->ctc_weight;
    double ctc = c.token == s->eos ? ctc_prefix_end(from, &s->ctc)
                                   : ctc_prefix_extend(NULL, from, &s->ctc, c.token);
    c.log_probability = (1 - weight) * c.llm + weight * ctc;
    return insert_candidate(s->candidates, count, 2 * s->options->beam, c);
}

static bool listed(const struct candidate *list, int count, int32_t token)
{
    for (int i = 0; i < count; i++)
        if (list[i].token == token)
            return true;
    return false;
}

/* EOS, the LLM's best continuations of a beam and CTC's likely ones, weighed by both. */
static int rank_both(struct search *s, int count, int beam, const float *row, double base,
                     int64_t vocab)
{
    struct candidate best[BEAM_CTC_TOKENS + 1];
    int n = 0;
    for (int64_t t = 0; t < vocab; t++)
        if (t != s->eos)
            n = insert_candidate(
                best, n, BEAM_CTC_TOKENS,
                (struct candidate){base + row[t], base + row[t], beam, (int32_t)t});
    best[n++] = (struct candidate){0, base + row[s->eos], beam, s->eos};
    for (int i = 0; i < n; i++)
        count = weigh(s, count, best[i]);
    for (int i = 0; i < s->ctc.likely_count; i++) {
        int32_t t = s->ctc.likely[i];
        if (!listed(best, n, t))
            count = weigh(s, count, (struct candidate){0, base + row[t], beam, t});
    }
    return count;
}

/* The 2 * beam best continuations: enough for `beam` of them not to be EOS. */
static int rank(struct search *s, const struct tensor *logits)
{
    int64_t vocab = tensor_width(logits);
    int limit = 2 * s->options->beam, count = 0;
    for (int b = 0; b < s->running_count; b++) {
        const float *row = logits->data + s->slots[b] * vocab;
        double base = s->running[b].llm - log_sum_exp(row, vocab);
        if (s->ctc.rows) {
            count = rank_both(s, count, b, row, base, vocab);
            continue;
        }
        for (int64_t t = 0; t < vocab; t++)
            count =
                insert_candidate(s->candidates, count, limit,
                                 (struct candidate){base + row[t], base + row[t], b, (int32_t)t});
    }
    return count;
}

static int end_sequence(struct search *s, const struct sequence *from, bool complete,
                        struct error *err)
{
    struct hypothesis h = {.count = from->count,
                           .log_probability = from->log_probability,
                           .score = score_of(s, from->log_probability, from->count + 1),
                           .complete = complete};
    if (s->ended_count == s->options->beam && h.score <= s->ended[s->ended_count - 1].score)
        return 0;
    h.ids = memory_new((size_t)from->count + 1, sizeof *h.ids);
    h.log_probabilities = memory_new((size_t)from->count + 1, sizeof *h.log_probabilities);
    if (!h.ids || !h.log_probabilities) {
        hypothesis_release(&h);
        return error_set(err, ERROR_MEMORY, "out of memory for the beams");
    }
    memcpy(h.ids, from->ids, (size_t)from->count * sizeof *h.ids);
    memcpy(h.log_probabilities, from->log_probabilities,
           (size_t)from->count * sizeof *h.log_probabilities);
    if (s->ended_count == s->options->beam)
        hypothesis_release(&s->ended[--s->ended_count]);
    int at = s->ended_count++;
    for (; at > 0 && s->ended[at - 1].score < h.score; at--)
        s->ended[at] = s->ended[at - 1];
    s->ended[at] = h;
    return 0;
}

/* How many tokens to drop at the end of a sequence that has begun to go round in circles, so that
   the round stays once: its last LOOP_TOKENS or more are LOOP_ROUNDS or more times the same. 0: it
   has not. */
static int looped(const struct sequence *q)
{
    for (int period = 1; period * LOOP_ROUNDS <= q->count; period++) {
        int rounds = (LOOP_TOKENS + period - 1) / period;
        int length = period * (rounds > LOOP_ROUNDS ? rounds : LOOP_ROUNDS);
        const int32_t *end = q->ids + q->count;
        if (length <= q->count &&
            !memcmp(end - length, end - length + period, (size_t)(length - period) * sizeof *end))
            return length - period;
    }
    return 0;
}

/* From the ranked continuations to the next set of running beams, their parents and tokens. */
static int advance(struct search *s, int candidates, struct error *err)
{
    int kept = 0;
    for (int i = 0; i < candidates && kept < s->options->beam; i++) {
        const struct candidate *c = &s->candidates[i];
        const struct sequence *from = &s->running[c->beam];
        struct sequence *to = &s->next[kept];
        memcpy(to->ids, from->ids, (size_t)from->count * sizeof *to->ids);
        memcpy(to->log_probabilities, from->log_probabilities,
               (size_t)from->count * sizeof *to->log_probabilities);
        to->count = from->count;
        to->log_probability = c->log_probability;
        to->llm = c->llm;
        bool complete = c->token == s->eos;
        if (!complete) {
            to->log_probabilities[to->count] = (float)(c->log_probability - from->log_probability);
            to->ids[to->count++] = c->token;
        }
        int drop = looped(to);
        if (complete || drop) {
            to->count -= drop;
            /* only among the best `beam`, or a bad early end would fill the list */
            int rc = i < s->options->beam ? end_sequence(s, to, complete, err) : 0;
            if (rc)
                return rc;
            continue;
        }
        if (s->ctc.rows)
            ctc_prefix_extend(&to->ctc, &from->ctc, &s->ctc, c->token);
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

/* From the logits of its slots one step on; running_count is 0 once it is over. */
static int step(struct search *s, const struct tensor *logits, struct error *err)
{
    int rc = advance(s, rank(s, logits), err);
    if (rc)
        return rc;
    if (finished(s)) {
        s->running_count = 0;
    } else if (s->running[0].count >= s->options->max_tokens) {
        for (int b = 0; !rc && b < s->running_count; b++)
            rc = end_sequence(s, &s->running[b], false, err);
        s->running_count = 0;
    }
    return rc;
}

/* The first slot below `live` that is free, and (`same`) holds the prompt that slot `like` holds.
 */
static int free_slot(const struct batch *b, int live, int like, bool same)
{
    for (int i = 0; i < live; i++)
        if (!b->taken[i] && (!same || b->cache.slot[i].prompt == b->cache.slot[like].prompt))
            return i;
    return -1;
}

/* Gives every running beam a slot below their number, which it returns: its parent's if it can be
   had, else one of the same prompt, else any; so little of the cache is copied. Fills tokens and
   parents by slot. */
static int place(struct batch *b)
{
    int live = 0;
    for (int i = 0; i < b->count; i++)
        live += b->searches[i].running_count;
    memset(b->taken, 0, (size_t)b->cache.slots * sizeof *b->taken);
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < b->count; i++) {
            struct search *s = &b->searches[i];
            for (int k = 0; k < s->running_count; k++) {
                int parent = s->parents[k], at = parent;
                if (pass > 0)
                    at = parent < 0 ? -1 : free_slot(b, live, parent, pass == 1);
                if (at < 0 || at >= live || b->taken[at])
                    continue;
                b->taken[at] = true;
                b->tokens[at] = s->tokens[k];
                b->parents[at] = (int32_t)parent;
                s->slots[k] = (int32_t)at;
                s->parents[k] = -1; /* placed */
            }
        }
    return live;
}

/* Every running search one step on; its parents become slots. */
static int step_all(struct batch *b, const struct tensor *logits, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < b->count; i++) {
        struct search *s = &b->searches[i];
        if (s->running_count)
            rc = step(s, logits, err);
        for (int k = 0; k < s->running_count; k++)
            s->parents[k] = s->slots[s->parents[k]];
    }
    return rc;
}

/* What the step over `live` slots costs each request. */
static void account(struct batch *b, int live, double seconds)
{
    for (int i = 0; i < b->count; i++) {
        const struct search *s = &b->searches[i];
        struct found *f = &b->found[i];
        f->seconds += seconds * s->running_count / live;
        f->step_rows += s->running_count;
        for (int k = 0; k < s->running_count; k++)
            f->step_keys += b->cache.slot[s->slots[k]].length;
    }
}

/* All searches from the first logits to their ends. */
static int run(struct batch *b, struct recognizer *r, struct compute *c, struct tensor *logits,
               struct error *err)
{
    for (;;) {
        double begin = clock_seconds();
        int rc = compute_check(c, err);
        rc = rc ? rc : step_all(b, logits, err);
        int live = place(b);
        if (rc || !live)
            return rc;
        kv_cache_reorder(&b->cache, b->parents, live);
        size_t mark = arena_mark(c->arena);
        logits = recognizer_step(r, c, b->tokens, live, &b->cache);
        arena_rewind(c->arena, mark); /* logits stay readable until the next step */
        account(b, live, clock_seconds() - begin);
    }
}

/* Fills the cache and gives the first logits, [count, vocab]. */
static struct tensor *prefill(struct batch *b, struct recognizer *r, struct compute *c,
                              struct tensor *audio_states, struct tensor *video_states,
                              const struct request *requests)
{
    double begin = clock_seconds();
    struct prefilled filled;
    int32_t *last = arena_alloc(c->arena, (size_t)b->count * sizeof *last);
    recognizer_prefill(r, c, audio_states, video_states, requests, b->count, &b->cache, &filled);
    double seconds = clock_seconds() - begin;
    const int active = r->config.mome.active;
    for (int i = 0; i < b->count; i++) {
        struct span rows = filled.spans[i];
        struct expert_slots *experts = &b->found[i].experts;
        expert_slots_choose(experts, filled.chosen, filled.tokens, active, filled.audio[i]);
        expert_slots_choose(experts, filled.chosen, filled.tokens, active, filled.video[i]);
        last[i] = (int32_t)(rows.start + rows.length - 1);
        b->found[i].prompt_tokens = b->cache.slot[i].length;
        b->found[i].prefill_seconds =
            seconds * (double)b->found[i].prompt_tokens / (double)filled.tokens;
        b->found[i].seconds = b->found[i].prefill_seconds;
    }
    return op_gather_rows(c, filled.logits, last, b->count);
}

int beam_ctc_rate(const struct recognizer *r, bool video, int rate)
{
    const struct projector_config *p = &r->config.projector;
    const int *rates = video ? p->video_rates : p->audio_rates;
    const int count = video ? p->video_rate_count : p->audio_rate_count;
    const int coarsest = (video ? 25 : 50) / BEAM_CTC_ROWS;
    int best = 0;
    for (int i = 0; i < count; i++)
        if (rates[i] <= coarsest && rates[i] > best)
            best = rates[i];
    return rate <= coarsest ? rate : best;
}

/* What CTC makes of each request. */
static int read_ctc(struct batch *b, struct recognizer *r, struct compute *c,
                    struct tensor *audio_states, struct tensor *video_states,
                    const struct request *requests, const struct ctc_head *head, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < b->count; i++) {
        const struct request *q = &requests[i];
        const bool video = !task_hears(q->task);
        const int rate = beam_ctc_rate(r, video, video ? q->video_rate : q->audio_rate);
        const struct span span = video ? q->video : q->audio;
        if (!rate || span.length < rate)
            continue;
        size_t mark = arena_mark(c->arena);
        struct tensor *z = projector_forward(recognizer_projector(r, video, rate), c,
                                             video ? video_states : audio_states, &span, 1, rate);
        const struct tensor *scores = ctc_head_scores(head, r, c, z);
        rc = search_read(&b->searches[i], scores, err);
        b->found[i].ctc_rows = tensor_rows(scores);
        arena_rewind(c->arena, mark);
    }
    return rc;
}

static void batch_release(struct batch *b)
{
    for (int i = 0; b->searches && i < b->count; i++)
        search_release(&b->searches[i]);
    kv_cache_release(&b->cache);
    memory_free(b->searches);
    memory_free(b->tokens);
    memory_free(b->parents);
    memory_free(b->taken);
}

static int batch_init(struct batch *b, const struct recognizer *r, const struct request *requests,
                      enum precision precision, const struct beam_options *options,
                      struct error *err)
{
    const size_t slots = (size_t)b->count * (size_t)options->beam;
    int64_t rows = 0;
    int rc = 0;
    b->searches = memory_new((size_t)b->count, sizeof *b->searches);
    b->tokens = memory_new(slots, sizeof *b->tokens);
    b->parents = memory_new(slots, sizeof *b->parents);
    b->taken = memory_new(slots, sizeof *b->taken);
    if (!b->searches || !b->tokens || !b->parents || !b->taken)
        return error_set(err, ERROR_MEMORY, "out of memory for the beams");
    for (int i = 0; !rc && i < b->count; i++) {
        int64_t needed = recognizer_request_rows(r, &requests[i], NULL);
        rows = needed > rows ? needed : rows;
        rc = search_init(&b->searches[i], options, r->tokens.eos, err);
        if (!rc)
            b->searches[i].slots[0] = i;
        if (!rc)
            rc = expert_slots_init(&b->found[i].experts, r->mome.count, r->config.mome.routed, err);
    }
    return rc ? rc
              : recognizer_cache_init(r, &b->cache, (int)slots, rows + options->max_tokens + 1,
                                      precision, err);
}

/* The best of those that ended, out of the search. */
static int take_found(struct found *found, struct search *s, struct error *err)
{
    found->hypotheses = memory_new((size_t)s->options->n_best, sizeof *found->hypotheses);
    if (!found->hypotheses)
        return error_set(err, ERROR_MEMORY, "out of memory for the beams");
    while (found->count < s->options->n_best && found->count < s->ended_count) {
        found->hypotheses[found->count] = s->ended[found->count];
        s->ended[found->count++] = (struct hypothesis){0};
    }
    return 0;
}

int beam_search(struct found *found, struct recognizer *r, struct compute *c,
                struct tensor *audio_states, struct tensor *video_states,
                const struct request *requests, int count, const struct ctc_head *ctc,
                const struct beam_options *options, struct error *err)
{
    struct batch b = {.found = found, .count = count};
    size_t mark = arena_mark(c->arena);
    memset(found, 0, (size_t)count * sizeof *found);
    int rc = batch_init(&b, r, requests, c->precision, options, err);
    if (!rc && ctc && options->ctc_weight > 0)
        rc = read_ctc(&b, r, c, audio_states, video_states, requests, ctc, err);
    if (!rc) {
        struct tensor *logits = prefill(&b, r, c, audio_states, video_states, requests);
        rc = run(&b, r, c, logits, err);
    }
    for (int i = 0; !rc && i < count; i++)
        rc = take_found(&found[i], &b.searches[i], err);
    for (int i = 0; rc && i < count; i++)
        found_release(&found[i]);
    batch_release(&b);
    arena_rewind(c->arena, mark);
    return rc;
}

void found_release(struct found *f)
{
    for (int i = 0; i < f->count; i++)
        hypothesis_release(&f->hypotheses[i]);
    memory_free(f->hypotheses);
    expert_slots_release(&f->experts);
    *f = (struct found){0};
}

void hypothesis_release(struct hypothesis *h)
{
    memory_free(h->ids);
    memory_free(h->log_probabilities);
    *h = (struct hypothesis){0};
}
