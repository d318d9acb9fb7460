/*
 * device_reference: connectionist temporal classification, as Graves, Fernandez, Gomez and
 * Schmidhuber 2006 write it, in logarithms.
 *
 * A sequence has T rows and labels l_1 .. l_L; the states are S = 2 L + 1: blank, l_1, blank, ..
 * l_L, blank. A path is at one state each row, at state 0 or 1 in the first row and S - 2 or S - 1
 * in the last; from row to row it stays, goes one further, or, between different labels, two. With
 * log y_t(s) the log softmax of row t at state s's column:
 *
 *     alpha_t(s) = log y_t(s) + log (e^alpha_t-1(s) + e^alpha_t-1(s-1) [+ e^alpha_t-1(s-2)])
 *     beta_t(s)  = log y_t(s) + log (e^beta_t+1(s)  + e^beta_t+1(s+1)  [+ e^beta_t+1(s+2)])
 *     log P      = log (e^alpha_T(S-1) + e^alpha_T(S-2))
 *     d(-log P) / d logit_tk = y_tk - sum over s at column k of e^(alpha + beta - log y - log P)
 */
#include "tensor/cpu/reference.h"

#include "tensor/cpu/scratch.h"

#include <math.h>

struct lattice {
    int64_t rows, states, width;
    const float *logits; /* [rows, width] */
    const int32_t *labels;
    int32_t blank;
    double *log_sum;      /* [rows] */
    double *alpha, *beta; /* [rows, states] */
};

static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return most == -INFINITY ? most : most + log(exp(a - most) + exp(b - most));
}

static int32_t column(const struct lattice *l, int64_t state)
{
    return state % 2 ? l->labels[state / 2] : l->blank;
}

static double log_y(const struct lattice *l, int64_t row, int64_t state)
{
    return l->logits[row * l->width + column(l, state)] - l->log_sum[row];
}

/* Whether a path may go from state - 2 to state. */
static bool skips(const struct lattice *l, int64_t state)
{
    return state % 2 && state > 1 && column(l, state) != column(l, state - 2);
}

static void forward(const struct lattice *l)
{
    for (int64_t t = 0; t < l->rows; t++) {
        const double *before = l->alpha + (t - 1) * l->states;
        for (int64_t s = 0; s < l->states; s++) {
            double sum = t == 0 ? (s < 2 ? 0 : -INFINITY) : before[s];
            if (t > 0 && s > 0)
                sum = log_add(sum, before[s - 1]);
            if (t > 0 && skips(l, s))
                sum = log_add(sum, before[s - 2]);
            l->alpha[t * l->states + s] = sum + log_y(l, t, s);
        }
    }
}

static void backward(const struct lattice *l)
{
    for (int64_t t = l->rows - 1; t >= 0; t--) {
        const double *after = l->beta + (t + 1) * l->states;
        bool last = t == l->rows - 1;
        for (int64_t s = 0; s < l->states; s++) {
            double sum = last ? (s >= l->states - 2 ? 0 : -INFINITY) : after[s];
            if (!last && s + 1 < l->states)
                sum = log_add(sum, after[s + 1]);
            if (!last && s + 2 < l->states && skips(l, s + 2))
                sum = log_add(sum, after[s + 2]);
            l->beta[t * l->states + s] = sum + log_y(l, t, s);
        }
    }
}

static void gradient(float *d, const struct lattice *l, double log_p, double weight)
{
    for (int64_t t = 0; t < l->rows; t++)
        for (int64_t k = 0; k < l->width; k++) {
            double posterior = 0;
            for (int64_t s = 0; s < l->states; s++)
                if (column(l, s) == k && l->alpha[t * l->states + s] > -INFINITY)
                    posterior += exp(l->alpha[t * l->states + s] + l->beta[t * l->states + s] -
                                     log_y(l, t, s) - log_p);
            double y = exp(l->logits[t * l->width + k] - l->log_sum[t]);
            d[t * l->width + k] = (float)(weight * (y - posterior));
        }
}

/* -log P; the gradient into d (may be NULL), which holds zeros. */
static double sequence(float *d, const struct lattice *l, double weight)
{
    if (l->rows == 0)
        return 0;
    for (int64_t t = 0; t < l->rows; t++) {
        const float *x = l->logits + t * l->width;
        double highest = -INFINITY, sum = 0;
        for (int64_t k = 0; k < l->width; k++)
            highest = fmax(highest, x[k]);
        for (int64_t k = 0; k < l->width; k++)
            sum += exp(x[k] - highest);
        l->log_sum[t] = highest + log(sum);
    }
    forward(l);
    const double *end = l->alpha + l->rows * l->states;
    double log_p = l->states > 1 ? log_add(end[-1], end[-2]) : end[-1];
    if (log_p == -INFINITY)
        return 0;
    if (d) {
        backward(l);
        gradient(d, l, log_p, weight);
    }
    return -log_p;
}

float reference_ctc(float *dlogits, const float *logits, const struct ctc_sequences *s,
                    int64_t rows, int64_t width)
{
    double loss = 0;
    for (int64_t i = 0; dlogits && i < rows * width; i++)
        dlogits[i] = 0;
    for (int i = 0; i < s->count; i++) {
        struct lattice l = {.rows = s->spans[i].length,
                            .states = 2 * s->label_spans[i].length + 1,
                            .width = width,
                            .logits = logits + s->spans[i].start * width,
                            .labels = s->labels + s->label_spans[i].start,
                            .blank = s->blank};
        double weight = s->weight ? s->weight[i] : 1 / (double)s->count;
        double *numbers = scratch_take((size_t)(l.rows * (1 + 2 * l.states) + 1) * sizeof *numbers);
        l.log_sum = numbers;
        l.alpha = numbers + l.rows;
        l.beta = l.alpha + l.rows * l.states;
        loss += weight * sequence(dlogits ? dlogits + s->spans[i].start * width : NULL, &l, weight);
        scratch_give(numbers);
    }
    return (float)loss;
}
