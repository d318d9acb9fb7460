#include "train/alignment.h"
#include "base/memory.h"
#include "models/ctc_head.h"
#include "tensor/device.h"
#include "tensor/ops.h"
#include "text/tokenizer.h"

#include <string.h>

/* ---- the table --------------------------------------------------------------------------- */

static int mark_tokens(struct alignment *a, const struct tokenizer *tokenizer, const char *text,
                       struct error *err)
{
    size_t length = strlen(text);
    int32_t *ids = memory_new(tokenizer_room(tokenizer, length), sizeof *ids);
    if (!ids)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int64_t n = tokenizer_encode(tokenizer, ids, text, length, err);
    for (int64_t i = 0; i < n; i++)
        a->column[ids[i]] = 1;
    memory_free(ids);
    return n < 0 ? (int)n : 0;
}

/* The embeddings and biases of the blank and of the tokens that have a column. */
static int fill_table(struct alignment *a, struct recognizer *r, int64_t columns,
                      const struct ctc_head *head, struct error *err)
{
    int64_t d = r->config.llm.d;
    struct arena arena;
    int32_t *ids = memory_new((size_t)columns, sizeof *ids);
    int rc = ids ? arena_init(&arena, ARENA_DEFAULT_LIMIT, err)
                 : error_set(err, ERROR_MEMORY, "out of memory");
    if (rc)
        goto out;
    ids[0] = head->blank;
    for (int64_t i = 0; i < a->ids; i++)
        if (a->column[i])
            ids[a->column[i]] = (int32_t)i;
    struct compute c = {.device = &device_cpu, .arena = &arena, .precision = PRECISION_F32};
    const struct tensor *e = llama_embed(&r->llm, &c, ids, columns);
    a->sharpness = head->sharpness;
    if ((rc = parameter_init(&a->table, TENSOR_SHAPE(columns, d), err)) == 0 &&
        (rc = parameter_init(&a->bias, TENSOR_SHAPE(columns), err)) == 0) {
        memcpy(a->table.data, e->data, (size_t)(columns * d) * sizeof(float));
        a->bias.data[0] = head->blank_bias;
        for (int64_t k = 1; k < columns; k++)
            a->bias.data[k] = head->bias.data[ids[k]];
    }
    arena_release(&arena);
out:
    memory_free(ids);
    return rc;
}

int alignment_init(struct alignment *a, struct recognizer *r, const struct dataset *dataset,
                   struct error *err)
{
    struct ctc_head head;
    *a = (struct alignment){.ids = tokenizer_size(r->tokenizer)};
    int rc = ctc_head_init(&head, r, err);
    if (rc)
        return rc;
    a->column = memory_new((size_t)a->ids, sizeof *a->column);
    rc = a->column ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < dataset->count; i++)
        rc = mark_tokens(a, r->tokenizer, dataset->samples[i].text, err);
    int32_t columns = 1;
    for (int64_t i = 0; !rc && i < a->ids; i++)
        if (a->column[i])
            a->column[i] = columns++;
    if (!rc)
        rc = fill_table(a, r, columns, &head, err);
    ctc_head_release(&head);
    if (rc)
        alignment_release(a);
    return rc;
}

void alignment_release(struct alignment *a)
{
    memory_free(a->column);
    parameter_release(&a->table);
    parameter_release(&a->bias);
    *a = (struct alignment){0};
}

/* ---- the loss ---------------------------------------------------------------------------- */

/* The examples that have a modality, as the losses want them. */
struct targets {
    struct span *states, *labels;
    int32_t *ids;                    /* columns */
    const struct token_time **times; /* NULL: not known */
    float *weight;
    int count;
    double state_ms;
};

static void targets_init(struct targets *t, const struct alignment *a, struct compute *c,
                         const struct alignment_batch *b, bool video)
{
    const struct span *spans = video ? b->video_spans : b->audio_spans;
    int64_t total = 0;
    for (int i = 0; i < b->count; i++)
        total += b->examples[i].id_count;
    *t = (struct targets){.state_ms = video ? FRAME_MS : FRAME_MS / 2.0};
    t->states = arena_alloc(c->arena, (size_t)b->count * sizeof *t->states);
    t->labels = arena_alloc(c->arena, (size_t)b->count * sizeof *t->labels);
    t->times = arena_alloc(c->arena, (size_t)b->count * sizeof *t->times);
    t->weight = arena_alloc(c->arena, (size_t)b->count * sizeof *t->weight);
    t->ids = arena_alloc(c->arena, (size_t)(total + 1) * sizeof *t->ids);
    int64_t at = 0;
    for (int i = 0; i < b->count; i++) {
        const struct example *e = &b->examples[i];
        if (!spans[i].length || !e->id_count)
            continue;
        for (int k = 0; k < e->id_count; k++)
            t->ids[at + k] = a->column[e->ids[k]];
        t->states[t->count] = spans[i];
        t->labels[t->count] = (struct span){at, e->id_count};
        t->times[t->count] = e->times;
        t->weight[t->count++] = (float)(1 / b->clips[video] / e->id_count);
        at += e->id_count;
    }
}

/* The rows of one rate: which of them are for CTC, and what the others say. */
struct reading {
    struct span *rows, *labels; /* [count] of the examples for CTC */
    float *weight;
    int count;
    int64_t all;       /* rows */
    int32_t *column;   /* [all]: by known paths; -1: not known */
    float *row_weight; /* [all] */
    bool known;        /* any */
};

/* The column of what is said at `ms`. */
static int32_t said(const struct token_time *times, const int32_t *ids, int64_t count, double ms)
{
    for (int64_t i = 0; i < count; i++)
        if (ms >= times[i].start && ms < times[i].end)
            return ids[i];
    return 0;
}

/* An example's rows by its known path. */
static void read_known(struct reading *r, const struct targets *t, int example, struct span rows,
                       int rate)
{
    const struct span labels = t->labels[example];
    int32_t *column = r->column + rows.start;
    int64_t saying = 0;
    for (int64_t i = 0; i < rows.length; i++) {
        column[i] = said(t->times[example], t->ids + labels.start, labels.length,
                         ((double)i + 0.5) * rate * t->state_ms);
        saying += column[i] > 0;
        r->row_weight[rows.start + i] = t->weight[example];
    }
    for (int64_t i = 0; saying < labels.length && i < rows.length; i++)
        column[i] = -1;
    r->known = r->known || saying >= labels.length;
}

static void reading_init(struct reading *r, struct compute *c, const struct targets *t, int rate)
{
    *r = (struct reading){0};
    for (int i = 0; i < t->count; i++)
        r->all += t->states[i].length / rate;
    r->rows = arena_alloc(c->arena, (size_t)t->count * sizeof *r->rows);
    r->labels = arena_alloc(c->arena, (size_t)t->count * sizeof *r->labels);
    r->weight = arena_alloc(c->arena, (size_t)t->count * sizeof *r->weight);
    r->column = arena_alloc(c->arena, (size_t)r->all * sizeof *r->column);
    r->row_weight = arena_alloc(c->arena, (size_t)r->all * sizeof *r->row_weight);
    int64_t at = 0;
    for (int i = 0; i < t->count; i++) {
        const struct span rows = {at, t->states[i].length / rate};
        at += rows.length;
        if (t->times[i]) {
            read_known(r, t, i, rows, rate);
            continue;
        }
        for (int64_t k = 0; k < rows.length; k++) {
            r->column[rows.start + k] = -1;
            r->row_weight[rows.start + k] = 0;
        }
        r->rows[r->count] = rows;
        r->labels[r->count] = t->labels[i];
        r->weight[r->count++] = t->weight[i];
    }
}

/* Adds the losses at one rate, at most two, to terms; returns their number. */
static int rate_losses(struct tensor **terms, const struct alignment *a, struct compute *c,
                       struct projector *p, struct tensor *states, const struct targets *t)
{
    struct reading r;
    int count = 0;
    reading_init(&r, c, t, p->rate);
    if (!r.all || (!r.known && !r.count))
        return 0;
    struct tensor *z = projector_forward(p, c, states, t->states, t->count, p->rate);
    struct tensor *logits = op_linear(c, op_scale(c, z, a->sharpness), (struct tensor *)&a->table,
                                      (struct tensor *)&a->bias);
    if (r.known)
        terms[count++] = op_cross_entropy(c, logits, r.column, r.row_weight, 0);
    if (r.count)
        terms[count++] = op_ctc(c, logits, r.rows, t->ids, r.labels, r.count, 0, r.weight);
    return count;
}

struct tensor *alignment_loss(const struct alignment *a, struct recognizer *r, struct compute *c,
                              const struct alignment_batch *b)
{
    struct tensor *terms[4 * CONFIG_MAX_RATES];
    float factors[4 * CONFIG_MAX_RATES];
    const struct projector_config *p = &r->config.projector;
    int count = 0, all = 0;
    for (int m = 0; m < 2; m++) {
        struct tensor *states = m ? b->video : b->audio;
        struct targets t;
        int rates = m ? p->video_rate_count : p->audio_rate_count;
        all += b->clips[m] > 0 ? rates : 0;
        if (!states)
            continue;
        targets_init(&t, a, c, b, m);
        for (int i = 0; t.count && i < rates; i++)
            count += rate_losses(terms + count, a, c,
                                 m ? &r->video_projectors[i] : &r->audio_projectors[i], states, &t);
    }
    for (int i = 0; i < count; i++)
        factors[i] = 1.0f / (float)all;
    return count ? op_weighted_sum(c, terms, factors, count) : NULL;
}
