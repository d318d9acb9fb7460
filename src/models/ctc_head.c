#include "models/ctc_head.h"
#include "base/memory.h"
#include "tensor/device.h"
#include "tensor/ops.h"
#include "text/tokenizer.h"

#include <math.h>

#define SHARPNESS                                                                                  \
    20 /* logits between a hit and a token far off, at the mean size of embeddings                 \
        */
#define NEVER -1e30f
#define CHUNK 4096 /* embeddings read at a time */

static double square(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

/* |e_k|^2 of all tokens into the biases, of the blank; returns their mean. */
static int read_squares(struct ctc_head *h, struct recognizer *r, double *mean, struct error *err)
{
    const int64_t vocab = r->config.llm.vocab, d = r->config.llm.d;
    struct arena arena;
    int32_t ids[CHUNK];
    int rc = arena_init(&arena, ARENA_DEFAULT_LIMIT, err);
    if (rc)
        return rc;
    struct compute c = {.device = &device_cpu, .arena = &arena, .precision = PRECISION_F32};
    *mean = 0;
    for (int64_t from = 0; from < vocab; from += CHUNK) {
        int64_t n = vocab - from < CHUNK ? vocab - from : CHUNK;
        for (int64_t i = 0; i < n; i++)
            ids[i] = (int32_t)(from + i);
        const struct tensor *e = llama_embed(&r->llm, &c, ids, n);
        for (int64_t i = 0; i < n; i++) {
            h->bias.data[from + i] = (float)square(e->data + i * d, d);
            *mean += h->bias.data[from + i] / (double)vocab;
        }
        arena_rewind(&arena, 0);
    }
    h->blank_bias = (float)square(llama_embed(&r->llm, &c, &h->blank, 1)->data, d);
    arena_release(&arena);
    return 0;
}

int ctc_head_init(struct ctc_head *h, struct recognizer *r, struct error *err)
{
    double mean;
    *h = (struct ctc_head){.blank = tokenizer_special(r->tokenizer, "<pad>")};
    if (h->blank < 0)
        return error_set(err, ERROR_USAGE,
                         "reading projected tokens takes a tokenizer with the special token <pad>");
    int rc = parameter_init(&h->bias, TENSOR_SHAPE(r->config.llm.vocab), err);
    if (!rc)
        rc = read_squares(h, r, &mean, err);
    if (rc) {
        ctc_head_release(h);
        return rc;
    }
    h->sharpness = (float)(mean > 0 ? SHARPNESS / mean : 1);
    for (int64_t k = 0; k < r->config.llm.vocab; k++)
        h->bias.data[k] *= -h->sharpness / 2;
    h->blank_bias *= -h->sharpness / 2;
    return 0;
}

void ctc_head_release(struct ctc_head *h)
{
    parameter_release(&h->bias);
    *h = (struct ctc_head){0};
}

/* The logits and the blank's behind them, normalised. */
static void log_softmax(float *to, const float *logits, float blank, int64_t vocab)
{
    float top = blank;
    double sum = 0;
    for (int64_t k = 0; k < vocab; k++)
        top = logits[k] > top ? logits[k] : top;
    for (int64_t k = 0; k < vocab; k++)
        sum += (double)expf(logits[k] - top);
    float norm = top + (float)log(sum + (double)expf(blank - top));
    for (int64_t k = 0; k < vocab; k++)
        to[k] = logits[k] - norm;
    to[vocab] = blank - norm;
}

struct tensor *ctc_head_scores(const struct ctc_head *h, struct recognizer *r, struct compute *c,
                               struct tensor *projected)
{
    const int64_t rows = tensor_rows(projected), vocab = r->config.llm.vocab;
    const int64_t d = r->config.llm.d;
    struct tensor *scores = tensor_new(c, TENSOR_SHAPE(rows, vocab + 1));
    const struct tensor *blank = llama_embed(&r->llm, c, &h->blank, 1);
    struct tensor *x = op_scale(c, projected, h->sharpness);
    struct tensor *logits = op_linear(c, x, &r->llm.embed, (struct tensor *)&h->bias);
    for (int64_t i = 0; i < rows; i++) {
        double dot = 0;
        for (int64_t k = 0; k < d; k++)
            dot += (double)x->data[i * d + k] * blank->data[k];
        if (h->blank < vocab) /* it has a column of its own */
            logits->data[i * vocab + h->blank] = NEVER;
        log_softmax(scores->data + i * (vocab + 1), logits->data + i * vocab,
                    (float)dot + h->blank_bias, vocab);
    }
    return scores;
}

struct tensor *ctc_head_logits(const struct ctc_head *h, struct recognizer *r, struct compute *c,
                               struct tensor *projected, const int32_t *ids, int count)
{
    int32_t *columns = arena_alloc(c->arena, ((size_t)count + 1) * sizeof *columns);
    struct tensor *bias = tensor_new(c, TENSOR_SHAPE(count + 1));
    for (int i = 0; i < count; i++) {
        columns[i] = ids[i];
        bias->data[i] = h->bias.data[ids[i]];
    }
    columns[count] = h->blank;
    bias->data[count] = h->blank_bias;
    struct tensor *e = llama_embed(&r->llm, c, columns, count + 1);
    return op_linear(c, op_scale(c, projected, h->sharpness), e, bias);
}
