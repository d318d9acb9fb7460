#include "decode/align.h"
#include "base/memory.h"
#include "tensor/ops.h"
#include "text/token_words.h"

#include <math.h>

#define FRAME_SECONDS 0.04

/* ---- the path ------------------------------------------------------------------------------ */

/* The lattice: states 0 .. 2 count; odd ones are tokens, even ones the blanks around them. A path
   goes on from a state, the one before or, between unlike tokens, the one before that. */
struct lattice {
    const float *logits;
    const int32_t *ids;
    int count, states;
    double *score; /* [states] of the row before */
    uint8_t *back; /* [rows, states]: by how many states a path came */
};

static float logit(const struct lattice *l, int64_t row, int state)
{
    return l->logits[row * (l->count + 1) + (state % 2 ? state / 2 : l->count)];
}

static int step_from(const struct lattice *l, int state)
{
    int best = 0, most = 1;
    if (state % 2 && state > 1 && l->ids[state / 2] != l->ids[state / 2 - 1])
        most = 2;
    for (int step = 1; step <= most && step <= state; step++)
        if (l->score[state - step] > l->score[state - best])
            best = step;
    return best;
}

static void go_forward(struct lattice *l, int64_t rows)
{
    for (int s = 0; s < l->states; s++)
        l->score[s] = s < 2 ? logit(l, 0, s) : -INFINITY;
    for (int64_t row = 1; row < rows; row++)
        for (int s = l->states - 1; s >= 0; s--) { /* downwards: it looks at those below */
            int step = step_from(l, s);
            l->back[row * l->states + s] = (uint8_t)step;
            l->score[s] = l->score[s - step] + logit(l, row, s);
        }
}

static void go_back(struct align_rows *path, const struct lattice *l, int64_t rows, int state)
{
    for (int i = 0; i < l->count; i++)
        path[i].last = -1;
    for (int64_t row = rows - 1; row >= 0; row--) {
        struct align_rows *p = &path[state / 2];
        if (state % 2) {
            p->first = row;
            p->last = p->last < 0 ? row : p->last;
        }
        state -= l->back[row * l->states + state];
    }
}

bool align_path(struct align_rows *path, const float *logits, int64_t rows, const int32_t *ids,
                int count)
{
    struct lattice l = {.logits = logits, .ids = ids, .count = count, .states = 2 * count + 1};
    if (rows < count || count == 0)
        return count == 0;
    l.score = memory_new((size_t)l.states, sizeof *l.score);
    l.back = memory_new((size_t)rows, (size_t)l.states);
    bool found = l.score && l.back;
    if (found) {
        go_forward(&l, rows);
        int state = l.states - 1 - (l.score[l.states - 2] > l.score[l.states - 1]);
        found = l.score[state] > -INFINITY;
        if (found)
            go_back(path, &l, rows, state);
    }
    memory_free(l.score);
    memory_free(l.back);
    return found;
}

/* ---- times --------------------------------------------------------------------------------- */

/* Of a word, in seconds from the segment's beginning. */
struct times {
    double start, end;
};

/* What is to be placed: words of a hypothesis. */
struct spoken {
    const struct hypothesis *h;
    struct strbuf bytes;
    struct token_word *words; /* [count] */
    int count;
};

/* Projected from every state on: rows 0, rate, 2 rate, .. are those of the first span, rows 1, rate
   + 1, .. those of the second. */
static struct tensor *overlapping_rows(struct compute *c, struct projector *p,
                                       struct tensor *states, struct span span)
{
    const int rate = p->rate;
    const int64_t rows = span.length - rate + 1;
    struct span *spans = arena_alloc(c->arena, (size_t)rate * sizeof *spans);
    int32_t *order = arena_alloc(c->arena, (size_t)rows * sizeof *order);
    int32_t at = 0;
    for (int k = 0; k < rate; k++) {
        spans[k] = (struct span){span.start + k, span.length - k};
        for (int64_t row = k; row < rows; row += rate)
            order[row] = at++;
    }
    return op_gather_rows(c, projector_forward(p, c, states, spans, rate, rate), order, rows);
}

/* By the tokens' rows; false: there are too few. */
static bool place_by_ctc(struct times *times, const struct spoken *x, struct recognizer *r,
                         struct compute *c, const struct ctc_head *ctc,
                         const struct align_source *source)
{
    const struct request *q = source->request;
    const struct projector_config *p = &r->config.projector;
    const bool video = !task_hears(q->task);
    const struct span span = video ? q->video : q->audio;
    const int rate = video ? config_finest_rate(p->video_rates, p->video_rate_count)
                           : config_finest_rate(p->audio_rates, p->audio_rate_count);
    const double state = video ? FRAME_SECONDS : FRAME_SECONDS / 2;
    if (span.length < rate)
        return false;
    struct tensor *z = overlapping_rows(c, recognizer_projector(r, video, rate),
                                        video ? source->video_states : source->audio_states, span);
    const struct tensor *logits = ctc_head_logits(ctc, r, c, z, x->h->ids, x->h->count);
    struct align_rows *path = arena_alloc(c->arena, (size_t)x->h->count * sizeof *path);
    if (!align_path(path, logits->data, tensor_rows(logits), x->h->ids, x->h->count))
        return false;
    for (int i = 0; i < x->count; i++) {
        const struct token_word *w = &x->words[i];
        times[i].start = state * ((double)path[w->first].first + (rate - 1) / 2.0);
        times[i].end = state * ((double)path[w->last].last + (rate + 1) / 2.0);
    }
    return true;
}

/* At least one: bytes that are no text are placed too. */
static int letters(const struct spoken *x, int word)
{
    int count = 0;
    for (size_t i = x->words[word].from; i < x->words[word].to; i++)
        count += (x->bytes.data[i] & 0xc0) != 0x80;
    return count ? count : 1;
}

/* Where `share` of what is not silent is over, in frames. */
static double moment(const bool *sounds, int64_t frames, int64_t sounding, double share)
{
    double left = share * (double)sounding;
    int64_t frame = 0;
    for (; frame < frames && (left > 1 || !sounds[frame]); frame++)
        left -= sounds[frame];
    return (double)frame + fmax(left, 0);
}

/* Over what is not silent, each as long as it has letters. */
static void spread(struct times *times, const struct spoken *x, const struct align_source *source)
{
    int64_t sounding = 0;
    double all = 0, before = 0;
    for (int64_t i = 0; source->sounds && i < source->frames; i++)
        sounding += source->sounds[i];
    for (int i = 0; i < x->count; i++)
        all += letters(x, i);
    for (int i = 0; i < x->count; i++) {
        const double share[2] = {before / all, (before + letters(x, i)) / all};
        double at[2];
        for (int k = 0; k < 2; k++)
            at[k] = FRAME_SECONDS *
                    (sounding ? moment(source->sounds, source->frames, sounding, share[k])
                              : share[k] * (double)source->frames);
        times[i] = (struct times){at[0], at[1]};
        before += letters(x, i);
    }
}

static double confidence(const struct hypothesis *h, const struct token_word *w)
{
    double sum = 0;
    for (int i = w->first; i <= w->last; i++)
        sum += h->log_probabilities[i];
    return fmin(exp(sum), 1);
}

static int add_words(struct words *words, const struct spoken *x, const struct times *times,
                     const struct align_source *source, struct error *err)
{
    struct strbuf text;
    int rc = 0;
    strbuf_init(&text, x->bytes.limit);
    for (int i = 0; !rc && i < x->count; i++) {
        strbuf_clear(&text);
        token_words_text(&text, &x->bytes, &x->words[i]);
        if (text.failed)
            rc = error_set(err, ERROR_MEMORY, "out of memory for the words");
        else if (text.length)
            rc = words_add(words, text.data, text.length,
                           fmin(source->start + times[i].start, source->end),
                           fmin(source->start + times[i].end, source->end),
                           confidence(x->h, &x->words[i]), err);
    }
    strbuf_release(&text);
    return rc;
}

int align_words(struct words *words, struct recognizer *r, struct compute *c,
                const struct ctc_head *ctc, const struct align_source *source,
                const struct hypothesis *h, struct error *err)
{
    struct spoken x = {.h = h};
    size_t mark = arena_mark(c->arena);
    int rc = 0;
    strbuf_init(&x.bytes, 1 << 20);
    x.count = token_words(&x.words, &x.bytes, r->tokenizer, h->ids, h->count, err);
    if (x.count < 0)
        rc = x.count;
    if (x.count > 0) {
        struct times *times = arena_alloc(c->arena, (size_t)x.count * sizeof *times);
        if (!ctc || !place_by_ctc(times, &x, r, c, ctc, source))
            spread(times, &x, source);
        rc = add_words(words, &x, times, source, err);
    }
    memory_free(x.words);
    strbuf_release(&x.bytes);
    arena_rewind(c->arena, mark);
    return rc;
}
