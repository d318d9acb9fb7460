/*
 * Part of simd_body.h: connectionist temporal classification; reference_ctc.c has the equations.
 *
 * First, row by row, on all threads: exp(logits) and its sum, while the row is in the cache. The
 * row's softmax goes to dlogits, and of its many columns a lattice of S = 2 labels + 1 states keeps
 * only the states' own: log y, [rows, S]. Then, sequence by sequence, alpha forward (all rows are
 * kept), beta backward (one row), and at each row the posterior of each state comes off dlogits.
 *
 * Logarithms in double, because a long sequence of unlikely labels has a probability below any
 * number, and paths are added as errors are. All states of a row are one loop without branches:
 * where a path may not go, NEVER is added, and before and after the states there are two of NEVER.
 * exp(x), x <= 0: as exp_fast, Taylor to degree 10, error 1e-12. log(w), 1 <= w <= 3: with
 * u = (w - sqrt 3) / (w + sqrt 3), log sqrt 3 + 2 (u + u^3 / 3 + .. u^17 / 17), error 1e-12.
 */
#define NEVER (-1e30)

struct ctc_lattice {
    int64_t rows, states;
    const int32_t *labels;
    int32_t blank;
    double factor; /* 0: no path, or not wanted */
    double *log_y; /* [rows, states] */
};

INLINE double exp_below_0(double x)
{
    union {
        double f;
        uint64_t i;
    } shifted, power;
    const double round = 6755399441055744.0;
    double clamped = x < -700 ? -700 : x;
    shifted.f = clamped * 1.44269504088896340736 + round;
    double r = clamped - (shifted.f - round) * 0.693147180559945309417;
    double p = 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    power.i = (shifted.i + 1023) << 52;
    return x < -700 ? 0 : p * power.f;
}

/* log(e^a + e^b + e^c) */
INLINE double log_add(double a, double b, double c)
{
    const double middle = 1.73205080756887729353;
    double most = a > b ? a : b;
    most = c > most ? c : most;
    double w = exp_below_0(a - most) + exp_below_0(b - most) + exp_below_0(c - most);
    double u = (w - middle) / (w + middle), v = u * u;
    double p = 1.0 / 17;
    p = p * v + 1.0 / 15;
    p = p * v + 1.0 / 13;
    p = p * v + 1.0 / 11;
    p = p * v + 1.0 / 9;
    p = p * v + 1.0 / 7;
    p = p * v + 1.0 / 5;
    p = p * v + 1.0 / 3;
    p = p * v + 1;
    return most + (2 * u * p + 0.549306144334054845698);
}

INLINE int32_t ctc_column(const struct ctc_lattice *l, int64_t state)
{
    return state & 1 ? l->labels[state / 2] : l->blank;
}

/* Rows that the labels need at least: one each, and a blank between equal ones. */
static int64_t ctc_needed(const int32_t *labels, int64_t count)
{
    int64_t needed = count;
    for (int64_t i = 1; i < count; i++)
        needed += labels[i] == labels[i - 1];
    return needed;
}

/* factor * softmax into d (may be NULL), log y. */
static void ctc_row(float *d, double *log_y, const float *x, const struct ctc_lattice *l,
                    int64_t width)
{
    float highest = row_max(x, width), sum = 0;
    if (d) {
        sum = exp_row(d, x, highest, width);
        float share = (float)(l->factor / sum);
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            d[i] *= share;
    } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < width; i++)
            sum += exp_fast(x[i] - highest);
    }
    double total = highest + log(sum);
    for (int64_t s = 0; s < l->states; s++) {
        double y = x[ctc_column(l, s)] - total;
        log_y[s] = y < NEVER ? NEVER : y;
    }
}

/* skip[s]: 0 where a path may come from two states before, else NEVER; [states + 2]. */
static void ctc_skips(double *skip, const struct ctc_lattice *l)
{
    for (int64_t s = 0; s < l->states + 2; s++)
        skip[s] =
            s & 1 && s > 1 && s < l->states && l->labels[s / 2] != l->labels[s / 2 - 1] ? 0 : NEVER;
}

/* alpha: rows of `stride`, the last `kept` of them; each two of NEVER, then the states. Returns
   log P. */
static double ctc_forward(double *alpha, int64_t kept, const double *skip,
                          const struct ctc_lattice *l)
{
    const int64_t states = l->states, stride = states + 2;
    for (int64_t i = 0; i < kept * stride; i++)
        alpha[i] = NEVER;
    for (int64_t s = 0; s < minimum(states, 2); s++)
        alpha[2 + s] = l->log_y[s];
    const double *from = alpha + 2;
    for (int64_t t = 1; t < l->rows; t++) {
        const double *y = l->log_y + t * states;
        double *to = alpha + t % kept * stride + 2;
#pragma omp simd
        for (int64_t s = 0; s < states; s++)
            to[s] = log_add(from[s], from[s - 1], from[s - 2] + skip[s]) + y[s];
        from = to;
    }
    return log_add(from[states - 1], from[states - 2], NEVER);
}

/* beta: of row t, without its log y; next: with it; posterior; [states + 2] each. */
static void ctc_backward(float *d, const double *alpha, double *beta, const double *skip,
                         double log_p, const struct ctc_lattice *l, int64_t width)
{
    const int64_t states = l->states, stride = states + 2;
    double *next = beta + stride, *posterior = next + stride;
    for (int64_t s = 0; s < 2 * stride; s++)
        beta[s] = NEVER;
    for (int64_t s = states - minimum(states, 2); s < states; s++)
        beta[s] = 0;
    for (int64_t t = l->rows - 1; t >= 0; t--) {
        const double *a = alpha + t * stride + 2, *y = l->log_y + t * states;
        double blank = 0;
        float *to = d + t * width;
#pragma omp simd
        for (int64_t s = 0; s < states; s++) {
            double above = a[s] + beta[s] - log_p; /* by rounding */
            posterior[s] = l->factor * exp_below_0(above > 0 ? 0 : above);
            next[s] = beta[s] + y[s];
        }
#pragma omp simd
        for (int64_t s = 0; s < states; s++)
            beta[s] = log_add(next[s], next[s + 1], next[s + 2] + skip[s + 2]);
        for (int64_t s = 0; s < states; s += 2)
            blank += posterior[s];
        for (int64_t s = 1; s < states; s += 2)
            to[l->labels[s / 2]] -= (float)posterior[s];
        to[l->blank] -= (float)blank;
    }
}

/* factor * -log P; d (may be NULL) has factor * softmax and becomes the gradient. */
static double ctc_sequence(float *d, const struct ctc_lattice *l, int64_t width)
{
    const int64_t stride = l->states + 2, kept = d ? l->rows : 2;
    double *alpha = scratch_take((size_t)((kept + 4) * stride) * sizeof *alpha);
    double *beta = alpha + kept * stride, *skip = beta + 3 * stride;
    ctc_skips(skip, l);
    double log_p = ctc_forward(alpha, kept, skip, l);
    bool no_path = log_p < NEVER / 2; /* by columns that are minus infinity */
    if (d && no_path)
        memset(d, 0, (size_t)(l->rows * width) * sizeof *d);
    else if (d)
        ctc_backward(d, alpha, beta, skip, log_p, l, width);
    scratch_give(alpha);
    return no_path ? 0 : l->factor * -log_p;
}

/* The lattices, with their log y from log_y on; owner[row]: whose a row is, -1: of none that
 * counts.
 */
static void ctc_plan(struct ctc_lattice *lattices, int32_t *owner, double *log_y,
                     const struct ctc_sequences *s, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        owner[r] = -1;
    for (int i = 0; i < s->count; i++) {
        const struct span *at = &s->spans[i], *words = &s->label_spans[i];
        const int32_t *labels = s->labels + words->start;
        double factor = s->weight ? s->weight[i] : 1 / (double)s->count;
        bool path = at->length > 0 && at->length >= ctc_needed(labels, words->length);
        lattices[i] = (struct ctc_lattice){.rows = at->length,
                                           .states = 2 * words->length + 1,
                                           .labels = labels,
                                           .blank = s->blank,
                                           .factor = path ? factor : 0,
                                           .log_y = log_y};
        for (int64_t r = 0; lattices[i].factor != 0 && r < at->length; r++)
            owner[at->start + r] = i;
        log_y += lattices[i].rows * lattices[i].states;
    }
}

static float ctc(float *dlogits, const float *logits, const struct ctc_sequences *s, int64_t rows,
                 int64_t width)
{
    int64_t numbers = 0;
    for (int i = 0; i < s->count; i++)
        numbers += s->spans[i].length * (2 * s->label_spans[i].length + 1);
    double total = 0, *log_y = scratch_take((size_t)(numbers + s->count + 1) * sizeof *log_y);
    double *loss = log_y + numbers;
    struct ctc_lattice *lattices = scratch_take((size_t)(s->count + 1) * sizeof *lattices);
    int32_t *owner = scratch_take((size_t)(rows + 1) * sizeof *owner);
    ctc_plan(lattices, owner, log_y, s, rows);
    ROWS for (int64_t r = 0; r < rows; r++)
    {
        const struct ctc_lattice *l = owner[r] < 0 ? NULL : &lattices[owner[r]];
        float *d = dlogits ? dlogits + r * width : NULL;
        if (l)
            ctc_row(d, l->log_y + (r - s->spans[owner[r]].start) * l->states, logits + r * width, l,
                    width);
        else if (d)
            memset(d, 0, (size_t)width * sizeof *d);
    }
#pragma omp parallel for if (numbers > PARALLEL_LIMIT / 8) schedule(dynamic)
    for (int i = 0; i < s->count; i++) {
        float *d = dlogits ? dlogits + s->spans[i].start * width : NULL;
        loss[i] = lattices[i].factor != 0 ? ctc_sequence(d, &lattices[i], width) : 0;
    }
    for (int i = 0; i < s->count; i++)
        total += loss[i];
    scratch_give(owner);
    scratch_give(lattices);
    scratch_give(log_y);
    return (float)total;
}
