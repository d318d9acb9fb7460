/* Losses: scalars [1]. */
#include "tensor/tape.h"

#include <assert.h>

/* Of cross entropy and CTC, whose kernels make the gradient with the loss. */
struct sloped {
    struct record record;
    struct tensor *logits;
    float *slope; /* [rows, width] gradient for upstream 1 */
};

static void sloped_backward(void *saved)
{
    struct sloped *s = saved;
    struct compute *c = &s->record.c;
    c->device->add_scaled(tensor_grad(c, s->logits), s->slope, s->record.result->grad[0],
                          tensor_count(s->logits));
}

struct tensor *op_cross_entropy(struct compute *c, struct tensor *logits, const int32_t *target,
                                const float *weight, float smoothing)
{
    int64_t rows = tensor_rows(logits), width = tensor_width(logits);
    for (int64_t r = 0; r < rows; r++)
        assert(target[r] >= -1 && target[r] < width);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    bool wanted = TAPE_WANTS(c, y, logits);
    float *slope = wanted ? arena_floats(c, rows * width) : NULL;
    y->data[0] =
        c->device->cross_entropy(slope, logits->data, target, weight, smoothing, rows, width);
    if (wanted) {
        struct sloped s = {.logits = logits, .slope = slope};
        tape_push(c, y, sloped_backward, &s, sizeof s);
    }
    return y;
}

/* Whether all that a kernel takes for granted is so. */
static bool ctc_fits(const struct ctc_sequences *s, int64_t rows, int64_t width)
{
    bool fits = s->count >= 0 && s->blank >= 0 && s->blank < width;
    for (int i = 0; fits && i < s->count; i++) {
        const struct span *at = &s->spans[i], *words = &s->label_spans[i];
        fits = at->start >= 0 && at->length >= 0 && at->start + at->length <= rows &&
               words->start >= 0 && words->length >= 0;
        for (int j = 0; fits && j < i; j++)
            fits = at->start >= s->spans[j].start + s->spans[j].length ||
                   s->spans[j].start >= at->start + at->length;
        for (int64_t j = words->start; fits && j < words->start + words->length; j++)
            fits = s->labels[j] >= 0 && s->labels[j] < width && s->labels[j] != s->blank;
    }
    return fits;
}

struct tensor *op_ctc(struct compute *c, struct tensor *logits, const struct span *spans,
                      const int32_t *labels, const struct span *label_spans, int count,
                      int32_t blank, const float *weight)
{
    int64_t rows = tensor_rows(logits), width = tensor_width(logits);
    const struct ctc_sequences sequences = {.count = count,
                                            .blank = blank,
                                            .labels = labels,
                                            .spans = spans,
                                            .label_spans = label_spans,
                                            .weight = weight};
    assert(ctc_fits(&sequences, rows, width));
    (void)ctc_fits; /* without asserts */
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    bool wanted = TAPE_WANTS(c, y, logits);
    float *slope = wanted ? arena_floats(c, rows * width) : NULL;
    y->data[0] = c->device->ctc(slope, logits->data, &sequences, rows, width);
    if (wanted) {
        struct sloped s = {.logits = logits, .slope = slope};
        tape_push(c, y, sloped_backward, &s, sizeof s);
    }
    return y;
}

struct weighted_sum {
    struct record record;
    struct tensor **terms;
    const float *factors;
    int count;
};

static void weighted_sum_backward(void *saved)
{
    struct weighted_sum *s = saved;
    for (int i = 0; i < s->count; i++) {
        float *grad = tensor_grad(&s->record.c, s->terms[i]);
        if (grad)
            *grad += s->factors[i] * s->record.result->grad[0];
    }
}

struct tensor *op_weighted_sum(struct compute *c, struct tensor *const *terms, const float *factors,
                               int count)
{
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(1));
    double sum = 0;
    for (int i = 0; i < count; i++) {
        assert(tensor_count(terms[i]) == 1);
        sum += (double)factors[i] * terms[i]->data[0];
    }
    y->data[0] = (float)sum;
    if (tape_wants(c, y, count, terms)) {
        struct weighted_sum s = {.count = count};
        s.terms = arena_copy(c, terms, sizeof *terms * (size_t)count);
        s.factors = arena_copy(c, factors, sizeof *factors * (size_t)count);
        tape_push(c, y, weighted_sum_backward, &s, sizeof s);
    }
    return y;
}
