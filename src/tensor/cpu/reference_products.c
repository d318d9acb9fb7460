/*
 * Products, convolutions and attention of device_reference (reference.c).
 *
 * PRECISION_BF16: the inputs of products are rounded to bfloat16 (nearest, ties to even), as the
 * hardware does; products and sums of the rounded numbers are exact here, and float there.
 */
#include "tensor/cpu/reference.h"

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

void reference_gemm(const struct gemm *g)
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

void reference_pack_free(struct pack *pack)
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

void reference_convolution(float *y, const float *x, const float *weight, const float *bias,
                           const struct convolution_sizes *s)
{
    int64_t outputs = convolution_outputs(s);
    for (int64_t i = 0; i < outputs * s->filters; i++)
        y[i] = bias ? bias[i % s->filters] : 0;
    walk_taps(&(struct tap_walk){.s = s, .visit = tap_forward, .to = y, .x = x, .weight = weight});
}

void reference_convolution_frozen(float *y, const float *x, struct tensor *weight,
                                  const struct convolution_end *end,
                                  const struct convolution_sizes *s)
{
    reference_convolution(y, x, weight->data, NULL, s);
    for (int64_t i = 0; i < convolution_outputs(s) * s->filters; i++) {
        int64_t o = i % s->filters;
        y[i] = y[i] * (end->scale ? end->scale[o] : 1) + (end->bias ? end->bias[o] : 0) +
               (end->add ? end->add[i] : 0);
        if (end->slope && y[i] < 0)
            y[i] *= end->slope[o];
    }
}

void reference_convolution_backward_input(float *dx, const float *dy, const float *weight,
                                          const struct convolution_sizes *s)
{
    if (dx)
        walk_taps(&(struct tap_walk){
            .s = s, .visit = tap_backward_input, .to = dx, .dy = dy, .weight = weight});
}

void reference_convolution_backward_weight(float *dweight, float *dbias, const float *dy,
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

void reference_attention(float *y, float *log_sum, const float *q, const float *k, const float *v,
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

void reference_attention_backward(float *dq, float *dk, float *dv, const float *dy, const float *y,
                                  const float *log_sum, const float *q, const float *k,
                                  const float *v, const struct attention *a, int64_t q_rows,
                                  int64_t d, enum precision precision)
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
