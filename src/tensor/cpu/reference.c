/*
 * device_reference: every kernel of device.h as the textbook writes it, in plain C on one thread.
 * It is the truth that all other devices are tested against, so clarity goes before speed: an
 * equation is a loop. Sums are kept in double and rounded once.
 *
 * PRECISION_BF16: the inputs of products are rounded to bfloat16 (nearest, ties to even), as the
 * hardware does; products and sums of the rounded numbers are exact here, and float there.
 */
#include "tensor/cpu/reference_stored.h"

#include <math.h>
#include <string.h>

/* ---- products ---- */

static float round_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return x;
    bits += 0x7fff + ((bits >> 16) & 1);
    bits &= 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float operand(float x, enum precision precision)
{
    return precision == PRECISION_BF16 ? round_bf16(x) : x;
}

static void gemm(const struct gemm *g)
{
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double sum = g->bias ? g->bias[j] : 0;
            for (int64_t p = 0; p < g->k; p++) {
                float a = g->trans_a ? g->a[p * g->lda + i] : g->a[i * g->lda + p];
                float b = g->trans_b ? g->b[j * g->ldb + p] : g->b[p * g->ldb + j];
                sum += (double)operand(a, g->precision) * operand(b, g->precision);
            }
            float *c = &g->c[i * g->ldc + j];
            *c = (float)(g->beta == 0 ? sum : sum + (double)g->beta * *c);
        }
    }
}

static void pack_free(struct pack *pack)
{
    (void)pack; /* this device makes none */
}

/*
 * A convolution visits every (output, tap) pair whose input lies inside the picture. The three
 * kernels share this walk: for each such pair, `visit` gets the places of the output's row of
 * filters, the input's row of channels, and the tap.
 */
struct tap_walk {
    const struct convolution_sizes *s;
    void (*visit)(struct tap_walk *w, int64_t output, int64_t input, int64_t tap);
    float *to;
    const float *dy, *x, *weight;
};

static void walk_window(struct tap_walk *w, int64_t batch, const int64_t at[3], int64_t output)
{
    const struct convolution_sizes *s = w->s;
    int64_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t k[3] = {tap / (s->kernel[1] * s->kernel[2]), tap / s->kernel[2] % s->kernel[1],
                        tap % s->kernel[2]};
        int64_t input = batch;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            int64_t p = at[i] * s->shape.stride[i] - s->shape.pad[i] + k[i];
            inside = inside && p >= 0 && p < s->in[i];
            input = input * s->in[i] + p;
        }
        if (inside)
            w->visit(w, output, input, tap);
    }
}

static void walk_taps(struct tap_walk *w)
{
    const struct convolution_sizes *s = w->s;
    int64_t output = 0, at[3];
    for (int64_t n = 0; n < s->batch; n++)
        for (at[0] = 0; at[0] < s->out[0]; at[0]++)
            for (at[1] = 0; at[1] < s->out[1]; at[1]++)
                for (at[2] = 0; at[2] < s->out[2]; at[2]++)
                    walk_window(w, n, at, output++);
}

/* Of filter o: its weights at a tap [channels / groups], and the first channel that it sees. */
static int64_t filter_at(const struct convolution_sizes *s, int64_t o, int64_t tap)
{
    int64_t taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    return (o * taps + tap) * (s->channels / s->shape.groups);
}

static int64_t first_channel(const struct convolution_sizes *s, int64_t o)
{
    return o / (s->filters / s->shape.groups) * (s->channels / s->shape.groups);
}

static void tap_forward(struct tap_walk *w, int64_t output, int64_t input, int64_t tap)
{
    const struct convolution_sizes *s = w->s;
    for (int64_t o = 0; o < s->filters; o++) {
        const float *x = w->x + input * s->channels + first_channel(s, o);
        const float *f = w->weight + filter_at(s, o, tap);
        double sum = 0;
        for (int64_t c = 0; c < s->channels / s->shape.groups; c++)
            sum += (double)operand(x[c], s->precision) * operand(f[c], s->precision);
        w->to[output * s->filters + o] += (float)sum;
    }
}

static void tap_backward_input(struct tap_walk *w, int64_t output, int64_t input, int64_t tap)
{
    const struct convolution_sizes *s = w->s;
    for (int64_t o = 0; o < s->filters; o++) {
        float *dx = w->to + input * s->channels + first_channel(s, o);
        const float *f = w->weight + filter_at(s, o, tap);
        float dy = operand(w->dy[output * s->filters + o], s->precision);
        for (int64_t c = 0; c < s->channels / s->shape.groups; c++)
            dx[c] += dy * operand(f[c], s->precision);
    }
}

static void tap_backward_weight(struct tap_walk *w, int64_t output, int64_t input, int64_t tap)
{
    const struct convolution_sizes *s = w->s;
    for (int64_t o = 0; o < s->filters; o++) {
        const float *x = w->x + input * s->channels + first_channel(s, o);
        float *df = w->to + filter_at(s, o, tap);
        float dy = operand(w->dy[output * s->filters + o], s->precision);
        for (int64_t c = 0; c < s->channels / s->shape.groups; c++)
            df[c] += dy * operand(x[c], s->precision);
    }
}

static int64_t convolution_outputs(const struct convolution_sizes *s)
{
    return s->batch * s->out[0] * s->out[1] * s->out[2];
}

static void convolution(float *y, const float *x, const float *weight, const float *bias,
                        const struct convolution_sizes *s)
{
    int64_t outputs = convolution_outputs(s);
    for (int64_t i = 0; i < outputs * s->filters; i++)
        y[i] = bias ? bias[i % s->filters] : 0;
    walk_taps(&(struct tap_walk){.s = s, .visit = tap_forward, .to = y, .x = x, .weight = weight});
}

static void convolution_frozen(float *y, const float *x, struct tensor *weight,
                               const struct convolution_end *end, const struct convolution_sizes *s)
{
    convolution(y, x, weight->data, NULL, s);
    for (int64_t i = 0; i < convolution_outputs(s) * s->filters; i++) {
        int64_t o = i % s->filters;
        y[i] = y[i] * (end->scale ? end->scale[o] : 1) + (end->bias ? end->bias[o] : 0) +
               (end->add ? end->add[i] : 0);
        if (end->slope && y[i] < 0)
            y[i] *= end->slope[o];
    }
}

static void convolution_backward_input(float *dx, const float *dy, const float *weight,
                                       const struct convolution_sizes *s)
{
    if (dx)
        walk_taps(&(struct tap_walk){
            .s = s, .visit = tap_backward_input, .to = dx, .dy = dy, .weight = weight});
}

static void convolution_backward_weight(float *dweight, float *dbias, const float *dy,
                                        const float *x, const struct convolution_sizes *s)
{
    int64_t outputs = convolution_outputs(s);
    for (int64_t i = 0; dbias && i < outputs * s->filters; i++)
        dbias[i % s->filters] += dy[i];
    if (dweight)
        walk_taps(&(struct tap_walk){
            .s = s, .visit = tap_backward_weight, .to = dweight, .dy = dy, .x = x});
}

/* ---- attention: p = softmax(scale q k^T) over the keys that a query sees, y = p v ---- */

static float attention_scale(const struct attention *a, int64_t d)
{
    return a->scale != 0 ? a->scale : 1 / sqrtf((float)d);
}

/* How many keys of its span query j sees. */
static int64_t keys_seen(const struct attention *a, int sequence, int64_t j)
{
    int64_t nq = a->q_spans[sequence].length, nk = a->k_spans[sequence].length;
    int64_t seen = a->causal ? nk - nq + j + 1 : nk;
    return seen < 0 ? 0 : seen;
}

static double dot(const float *a, const float *b, int64_t n, enum precision precision)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)operand(a[i], precision) * operand(b[i], precision);
    return sum;
}

/* One query of one head: k, v at the head's first key; rows are `stride` apart. */
static double attend(float *y, const float *q, const float *k, const float *v, int64_t keys,
                     int64_t stride, int64_t d, float scale, enum precision precision)
{
    double highest = -INFINITY, total = 0, sum[d];
    for (int64_t j = 0; j < keys; j++)
        highest = fmax(highest, scale * dot(q, k + j * stride, d, precision));
    memset(sum, 0, sizeof sum);
    for (int64_t j = 0; j < keys; j++) {
        double p = exp(scale * dot(q, k + j * stride, d, precision) - highest);
        total += p;
        for (int64_t i = 0; i < d; i++)
            sum[i] += (double)operand((float)p, precision) * operand(v[j * stride + i], precision);
    }
    for (int64_t i = 0; i < d; i++)
        y[i] = keys ? (float)(sum[i] / total) : 0;
    return keys ? highest + log(total) : 0;
}

static void attention(float *y, float *log_sum, const float *q, const float *k, const float *v,
                      const struct attention *a, int64_t q_rows, int64_t d,
                      enum precision precision)
{
    int64_t q_stride = a->heads * d, k_stride = a->kv_heads * d;
    memset(y, 0, sizeof(float) * q_rows * q_stride);
    for (int s = 0; s < a->sequences; s++) {
        for (int64_t j = 0; j < a->q_spans[s].length; j++) {
            for (int h = 0; h < a->heads; h++) {
                int64_t row = a->q_spans[s].start + j;
                int64_t at = row * q_stride + h * d;
                int64_t key = a->k_spans[s].start * k_stride + h / (a->heads / a->kv_heads) * d;
                double log_total = attend(y + at, q + at, k + key, v + key, keys_seen(a, s, j),
                                          k_stride, d, attention_scale(a, d), precision);
                if (log_sum)
                    log_sum[row * a->heads + h] = (float)log_total;
            }
        }
    }
}

/* With p_j the share of key j: dv_j += p_j dy, ds_j = p_j (dy.v_j - dy.y),
   dq += scale ds_j k_j, dk_j += scale ds_j q. */
struct query {
    const float *q, *k, *v, *dy, *y;
    float *dq, *dk, *dv;
    int64_t keys, stride, d;
    float scale, log_sum;
    enum precision precision;
};

static void attend_backward(const struct query *a)
{
    double dy_y = dot(a->dy, a->y, a->d, PRECISION_F32);
    for (int64_t j = 0; j < a->keys; j++) {
        int64_t key = j * a->stride;
        double p = exp(a->scale * dot(a->q, a->k + key, a->d, a->precision) - a->log_sum);
        double ds = p * (dot(a->dy, a->v + key, a->d, a->precision) - dy_y);
        float p16 = operand((float)p, a->precision);
        float ds16 = operand((float)(a->scale * ds), a->precision);
        for (int64_t i = 0; i < a->d; i++) {
            if (a->dv)
                a->dv[key + i] += p16 * operand(a->dy[i], a->precision);
            if (a->dq)
                a->dq[i] += ds16 * operand(a->k[key + i], a->precision);
            if (a->dk)
                a->dk[key + i] += ds16 * operand(a->q[i], a->precision);
        }
    }
}

static void attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y,
                               const float *log_sum, const float *q, const float *k, const float *v,
                               const struct attention *a, int64_t q_rows, int64_t d,
                               enum precision precision)
{
    (void)q_rows;
    int64_t q_stride = a->heads * d, k_stride = a->kv_heads * d;
    for (int s = 0; s < a->sequences; s++) {
        for (int64_t j = 0; j < a->q_spans[s].length; j++) {
            for (int h = 0; h < a->heads; h++) {
                int64_t row = a->q_spans[s].start + j;
                int64_t at = row * q_stride + h * d;
                int64_t key = a->k_spans[s].start * k_stride + h / (a->heads / a->kv_heads) * d;
                attend_backward(&(struct query){.q = q + at,
                                                .k = k + key,
                                                .v = v + key,
                                                .dy = dy + at,
                                                .y = y + at,
                                                .dq = dq ? dq + at : NULL,
                                                .dk = dk ? dk + key : NULL,
                                                .dv = dv ? dv + key : NULL,
                                                .keys = keys_seen(a, s, j),
                                                .stride = k_stride,
                                                .d = d,
                                                .scale = attention_scale(a, d),
                                                .log_sum = log_sum[row * a->heads + h],
                                                .precision = precision});
            }
        }
    }
}

/* ---- normalisation ---- */

static void layer_norm(float *y, float *mean, float *rstd, const float *x, const float *w,
                       const float *b, const struct norm_sizes *s)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->width, y += s->width) {
        double m = 0, var = 0;
        for (int64_t i = 0; i < s->width; i++)
            m += x[i];
        m /= (double)s->width;
        for (int64_t i = 0; i < s->width; i++)
            var += (x[i] - m) * (x[i] - m);
        double scale = 1 / sqrt(var / (double)s->width + s->eps);
        for (int64_t i = 0; i < s->width; i++)
            y[i] = (float)((x[i] - m) * scale * w[i] + (b ? b[i] : 0));
        if (mean)
            mean[r] = (float)m;
        if (rstd)
            rstd[r] = (float)scale;
    }
}

/* With h = (x - mean) rstd and g = dy w: dx = rstd (g - average(g) - h average(g h)). */
static void layer_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x,
                                const float *w, const float *mean, const float *rstd,
                                const struct norm_sizes *s)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->width, dy += s->width) {
        double g_sum = 0, gh_sum = 0;
        for (int64_t i = 0; i < s->width; i++) {
            double h = ((double)x[i] - mean[r]) * rstd[r];
            g_sum += (double)dy[i] * w[i];
            gh_sum += (double)dy[i] * w[i] * h;
            if (dw)
                dw[i] += (float)(dy[i] * h);
            if (db)
                db[i] += dy[i];
        }
        g_sum /= (double)s->width;
        gh_sum /= (double)s->width;
        for (int64_t i = 0; dx && i < s->width; i++) {
            double h = ((double)x[i] - mean[r]) * rstd[r];
            dx[r * s->width + i] += (float)(rstd[r] * ((double)dy[i] * w[i] - g_sum - h * gh_sum));
        }
    }
}

static void rms_norm(float *y, float *rstd, const float *x, const float *w,
                     const struct norm_sizes *s)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->width, y += s->width) {
        double square = 0;
        for (int64_t i = 0; i < s->width; i++)
            square += (double)x[i] * x[i];
        double scale = 1 / sqrt(square / (double)s->width + s->eps);
        for (int64_t i = 0; i < s->width; i++)
            y[i] = (float)(x[i] * scale * w[i]);
        if (rstd)
            rstd[r] = (float)scale;
    }
}

static void rms_norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                              const float *rstd, const struct norm_sizes *s)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->width, dy += s->width) {
        double gh = 0;
        for (int64_t i = 0; i < s->width; i++) {
            double h = (double)x[i] * rstd[r];
            gh += (double)dy[i] * w[i] * h;
            if (dw)
                dw[i] += (float)(dy[i] * h);
        }
        gh /= (double)s->width;
        for (int64_t i = 0; dx && i < s->width; i++)
            dx[r * s->width + i] +=
                (float)(rstd[r] * ((double)dy[i] * w[i] - (double)x[i] * rstd[r] * gh));
    }
}

static void column_moments(float *mean, float *var, const float *x, const struct norm_sizes *s)
{
    for (int64_t i = 0; i < s->width; i++) {
        double m = 0, square = 0;
        for (int64_t r = 0; r < s->rows; r++)
            m += x[r * s->width + i];
        m /= (double)s->rows;
        for (int64_t r = 0; r < s->rows; r++)
            square += (x[r * s->width + i] - m) * (x[r * s->width + i] - m);
        mean[i] = (float)m;
        var[i] = (float)(square / (double)s->rows);
    }
}

static void column_norm(float *y, const float *x, const float *mean, const float *rstd,
                        const float *w, const float *b, const struct norm_sizes *s)
{
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t i = 0; i < s->width; i++)
            y[r * s->width + i] = (x[r * s->width + i] - mean[i]) * rstd[i] * w[i] + b[i];
}

static void column_norm_backward(float *dx, float *dw, float *db, const float *dy, const float *x,
                                 const float *mean, const float *rstd, const float *w,
                                 bool through_statistics, const struct norm_sizes *s)
{
    for (int64_t i = 0; i < s->width; i++) {
        double dy_sum = 0, dyh_sum = 0;
        for (int64_t r = 0; r < s->rows; r++) {
            double h = ((double)x[r * s->width + i] - mean[i]) * rstd[i];
            dy_sum += dy[r * s->width + i];
            dyh_sum += dy[r * s->width + i] * h;
        }
        if (dw)
            dw[i] += (float)dyh_sum;
        if (db)
            db[i] += (float)dy_sum;
        for (int64_t r = 0; dx && r < s->rows; r++) {
            double h = ((double)x[r * s->width + i] - mean[i]) * rstd[i];
            double g = dy[r * s->width + i];
            if (through_statistics)
                g -= (dy_sum + h * dyh_sum) / (double)s->rows;
            dx[r * s->width + i] += (float)(g * rstd[i] * w[i]);
        }
    }
}

/* ---- element-wise ---- */

static void relu(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

static void relu_backward(float *dx, const float *dy, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dx[i] += x[i] > 0 ? dy[i] : 0;
}

static double normal_below(double x) /* Phi(x) */
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static void gelu(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * normal_below(x[i]));
}

static void gelu_backward(float *dx, const float *dy, const float *x, int64_t n)
{
    const double density_at_0 = 0.5 * M_2_SQRTPI * M_SQRT1_2; /* 1 / sqrt(2 pi) */
    for (int64_t i = 0; i < n; i++) {
        double density = density_at_0 * exp(-0.5 * (double)x[i] * x[i]);
        dx[i] += (float)(dy[i] * (normal_below(x[i]) + x[i] * density));
    }
}

static void prelu(float *y, const float *x, const float *slope, int64_t rows, int64_t width)
{
    for (int64_t i = 0; i < rows * width; i++)
        y[i] = x[i] > 0 ? x[i] : slope[i % width] * x[i];
}

static void prelu_backward(float *dx, float *dslope, const float *dy, const float *x,
                           const float *slope, int64_t rows, int64_t width)
{
    for (int64_t i = 0; i < rows * width; i++) {
        if (dx)
            dx[i] += x[i] > 0 ? dy[i] : slope[i % width] * dy[i];
        if (dslope && x[i] <= 0)
            dslope[i % width] += dy[i] * x[i];
    }
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

static void swiglu_backward(float *dgate, float *dup, const float *dy, const float *gate,
                            const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double sigmoid = 1 / (1 + exp(-(double)gate[i]));
        if (dgate)
            dgate[i] += (float)(dy[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid)));
        if (dup)
            dup[i] += (float)(dy[i] * gate[i] * sigmoid);
    }
}

static void add(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void add_scaled(float *y, const float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static void scale(float *y, const float *x, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = factor * x[i];
}

static void multiply_add(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a[i] * b[i];
}

static void add_periodic(float *y, const float *x, const float *table, int64_t rows, int64_t width,
                         int64_t period)
{
    for (int64_t i = 0; i < rows * width; i++)
        y[i] = x[i] + table[i % (period * width)];
}

static void add_periodic_backward(float *dtable, const float *dy, int64_t rows, int64_t width,
                                  int64_t period)
{
    for (int64_t i = 0; i < rows * width; i++)
        dtable[i % (period * width)] += dy[i];
}

static void rope(float *y, const float *x, const int32_t *position, const float *inverse_frequency,
                 float sign, bool add_to, int64_t rows, int heads, int64_t d)
{
    for (int64_t r = 0; r < rows * heads; r++) {
        for (int64_t i = 0; i < d / 2; i++) {
            double angle = (double)position[r / heads] * inverse_frequency[i];
            double cosine = cos(angle), sine = sign * sin(angle);
            const float *pair = x + r * d + i;
            float *to = y + r * d + i;
            float first = (float)(pair[0] * cosine - pair[d / 2] * sine);
            float second = (float)(pair[d / 2] * cosine + pair[0] * sine);
            to[0] = add_to ? to[0] + first : first;
            to[d / 2] = add_to ? to[d / 2] + second : second;
        }
    }
}

/* ---- rows ---- */

static void gather_rows(float *y, const float *x, const int32_t *index, int64_t count,
                        int64_t width)
{
    for (int64_t r = 0; r < count; r++)
        for (int64_t i = 0; i < width; i++)
            y[r * width + i] = index[r] < 0 ? 0 : x[index[r] * width + i];
}

static void scatter_add_rows(float *dx, const float *dy, const int32_t *index, int64_t count,
                             int64_t width)
{
    for (int64_t r = 0; r < count; r++)
        for (int64_t i = 0; index[r] >= 0 && i < width; i++)
            dx[index[r] * width + i] += dy[r * width + i];
}

static void copy_columns(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                         bool add_to, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) {
            float x = from[r * from_stride + i];
            to[r * to_stride + i] = add_to ? to[r * to_stride + i] + x : x;
        }
}

static void pool_rows(float *y, const float *x, const struct span *spans, int count, int rate,
                      int64_t width)
{
    for (int s = 0; s < count; s++) {
        for (int64_t r = 0; r < spans[s].length / rate; r++, y += width) {
            const float *group = x + (spans[s].start + r * rate) * width;
            for (int64_t i = 0; i < width; i++) {
                double sum = 0;
                for (int j = 0; j < rate; j++)
                    sum += group[j * width + i];
                y[i] = (float)(sum / rate);
            }
        }
    }
}

static void pool_rows_backward(float *dx, const float *dy, const struct span *spans, int count,
                               int rate, int64_t width)
{
    for (int s = 0; s < count; s++) {
        for (int64_t r = 0; r < spans[s].length / rate; r++, dy += width) {
            float *group = dx + (spans[s].start + r * rate) * width;
            for (int64_t i = 0; i < rate * width; i++)
                group[i] += dy[i % width] / (float)rate;
        }
    }
}

/* ---- pictures ---- */

static void max_of_window(float *y, int32_t *argmax, const float *x, const int64_t size[3],
                          int64_t from_y, int64_t from_x, int kernel, int64_t first)
{
    int64_t h = size[0], w = size[1], channels = size[2];
    for (int64_t c = 0; c < channels; c++) {
        int64_t best = -1;
        for (int64_t i = 0; i < kernel * kernel; i++) {
            int64_t py = from_y + i / kernel, px = from_x + i % kernel;
            if (py < 0 || py >= h || px < 0 || px >= w)
                continue;
            int64_t at = first + (py * w + px) * channels + c;
            if (best < 0 || x[at] > x[best])
                best = at;
        }
        y[c] = x[best];
        if (argmax)
            argmax[c] = (int32_t)best;
    }
}

static void max_pool(float *y, int32_t *argmax, const float *x, int64_t n, int64_t h, int64_t w,
                     int64_t channels, int kernel, int stride, int pad)
{
    int64_t out_h = (h + 2 * pad - kernel) / stride + 1,
            out_w = (w + 2 * pad - kernel) / stride + 1;
    for (int64_t o = 0; o < n * out_h * out_w; o++)
        max_of_window(y + o * channels, argmax ? argmax + o * channels : NULL, x,
                      (int64_t[]){h, w, channels}, o / out_w % out_h * stride - pad,
                      o % out_w * stride - pad, kernel, o / (out_w * out_h) * h * w * channels);
}

static void max_pool_backward(float *dx, const float *dy, const int32_t *argmax, int64_t outputs,
                              int64_t n, int64_t x_per_n)
{
    (void)n, (void)x_per_n;
    for (int64_t i = 0; i < outputs; i++)
        dx[argmax[i]] += dy[i];
}

/* ---- experts and losses ---- */

static double log_sum_exp(const float *x, int64_t n)
{
    double highest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        highest = fmax(highest, x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - highest);
    return highest + log(sum);
}

static void softmax(float *y, const float *x, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        double total = log_sum_exp(x + r * width, width);
        for (int64_t i = 0; i < width; i++)
            y[r * width + i] = (float)exp(x[r * width + i] - total);
    }
}

static void softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                             int64_t width)
{
    for (int64_t r = 0; r < rows; r++, dx += width, dy += width, y += width) {
        double average = dot(dy, y, width, PRECISION_F32);
        for (int64_t i = 0; i < width; i++)
            dx[i] += (float)(y[i] * (dy[i] - average));
    }
}

static void top_k(float *gates, int32_t *chosen, const float *scores, int k, bool renormalise,
                  int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, gates += width, chosen += k, scores += width) {
        double sum = 0;
        memset(gates, 0, sizeof(float) * width);
        for (int j = 0; j < k; j++) {
            int64_t best = -1;
            for (int64_t i = 0; i < width; i++) {
                bool taken = false;
                for (int t = 0; t < j; t++)
                    taken = taken || chosen[t] == i;
                if (!taken && (best < 0 || scores[i] > scores[best]))
                    best = i;
            }
            chosen[j] = (int32_t)best;
            gates[best] = scores[best];
            sum += scores[best];
        }
        for (int j = 0; renormalise && j < k; j++)
            gates[chosen[j]] = (float)(gates[chosen[j]] / sum);
    }
}

/* Renormalised, g_i = s_i / S: ds_i = (dg_i - sum_j dg_j g_j) / S. */
static void top_k_backward(float *dscores, const float *dgates, const float *gates,
                           const float *scores, const int32_t *chosen, int k, bool renormalise,
                           int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, chosen += k) {
        double sum = renormalise ? 0 : 1, average = 0;
        for (int j = 0; renormalise && j < k; j++) {
            int64_t at = r * width + chosen[j];
            sum += scores[at];
            average += (double)dgates[at] * gates[at];
        }
        for (int j = 0; j < k; j++) {
            int64_t at = r * width + chosen[j];
            dscores[at] += (float)((dgates[at] - average) / sum);
        }
    }
}

static void gate_experts(float *y, const float *h, const float *gates, int64_t rows, int shared,
                         int routed, int b)
{
    int64_t width = (int64_t)(shared + routed) * b;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) {
            int64_t expert = i / b - shared;
            y[r * width + i] = h[r * width + i] * (expert < 0 ? 1 : gates[r * routed + expert]);
        }
}

static void gate_experts_backward(float *dh, float *dgates, const float *dy, const float *h,
                                  const float *gates, int64_t rows, int shared, int routed, int b)
{
    int64_t width = (int64_t)(shared + routed) * b;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < width; i++) {
            int64_t at = r * width + i, expert = i / b - shared;
            if (dh)
                dh[at] += dy[at] * (expert < 0 ? 1 : gates[r * routed + expert]);
            if (dgates && expert >= 0)
                dgates[r * routed + expert] += dy[at] * h[at];
        }
}

/* With q the smoothed target, q_i = (1 - e) [i = target] + e / width:
   loss = weight sum_i q_i (log_sum - x_i), gradient = weight (softmax_i - q_i). */
static float cross_entropy(float *dlogits, const float *logits, const int32_t *target,
                           const float *weight, float smoothing, int64_t rows, int64_t width)
{
    int64_t counted = 0;
    double loss = 0;
    for (int64_t r = 0; r < rows; r++)
        counted += target[r] >= 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = logits + r * width;
        double factor = target[r] < 0 ? 0 : weight ? weight[r] : 1 / (double)counted;
        double total = log_sum_exp(x, width);
        for (int64_t i = 0; i < width; i++) {
            double q = (i == target[r] ? 1 - smoothing : 0) + smoothing / (double)width;
            if (factor != 0)
                loss += factor * q * (total - x[i]);
            if (dlogits)
                dlogits[r * width + i] = (float)(factor * (exp(x[i] - total) - q));
        }
    }
    return (float)loss;
}

/* ---- optimiser: Loshchilov, Hutter 2019, algorithm 2 ---- */

static void adamw(float *w, float *m, float *v, const float *grad, const struct adamw_step *s,
                  int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * s->grad_scale;
        m[i] = s->beta1 * m[i] + (1 - s->beta1) * g;
        v[i] = s->beta2 * v[i] + (1 - s->beta2) * g * g;
        float step = m[i] / s->correction1 / (sqrtf(v[i] / s->correction2) + s->eps);
        w[i] -= s->rate * (step + s->decay * w[i]);
    }
}

static double sum_of_squares(const float *x, int64_t n)
{
    return dot(x, x, n, PRECISION_F32);
}

static void fill(float *x, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

const struct device device_reference = {
    .name = "reference",
    .has_bf16 = true,
    .gemm = gemm,
    .linear = reference_linear,
    .linears = reference_linears,
    .linear_backward_input = reference_linear_backward_input,
    .pack_free = pack_free,
    .convolution = convolution,
    .convolution_frozen = convolution_frozen,
    .convolution_backward_input = convolution_backward_input,
    .convolution_backward_weight = convolution_backward_weight,
    .attention = attention,
    .attention_cached = reference_attention_cached,
    .attention_backward = attention_backward,
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .column_moments = column_moments,
    .column_norm = column_norm,
    .column_norm_backward = column_norm_backward,
    .relu = relu,
    .relu_backward = relu_backward,
    .gelu = gelu,
    .gelu_backward = gelu_backward,
    .prelu = prelu,
    .prelu_backward = prelu_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .add = add,
    .add_scaled = add_scaled,
    .scale = scale,
    .multiply_add = multiply_add,
    .add_periodic = add_periodic,
    .add_periodic_backward = add_periodic_backward,
    .rope = rope,
    .gather_rows = gather_rows,
    .gather_stored = reference_gather_stored,
    .scatter_add_rows = scatter_add_rows,
    .copy_columns = copy_columns,
    .pool_rows = pool_rows,
    .pool_rows_backward = pool_rows_backward,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .top_k = top_k,
    .top_k_backward = top_k_backward,
    .gate_experts = gate_experts,
    .gate_experts_backward = gate_experts_backward,
    .cross_entropy = cross_entropy,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
    .fill = fill,
};
