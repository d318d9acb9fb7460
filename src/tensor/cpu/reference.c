/*
 * device_reference: every kernel of device.h as the textbook writes it, in plain C on one thread.
 * It is the truth that all other devices are tested against, so clarity goes before speed: an
 * equation is a loop. Sums are kept in double and rounded once. Products, convolutions and
 * attention are in reference_products.c, what takes stored weights in reference_stored.c, CTC in
 * reference_ctc.c.
 */
#include "tensor/cpu/reference.h"

#include <math.h>
#include <string.h>

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
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
        double average = dot(dy, y, width);
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
    return dot(x, x, n);
}

static void fill(float *x, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

const struct device device_reference = {
    .name = "reference",
    .has_bf16 = true,
    .gemm = reference_gemm,
    .linear = reference_linear,
    .linears = reference_linears,
    .linear_backward_input = reference_linear_backward_input,
    .pack_free = reference_pack_free,
    .convolution = reference_convolution,
    .convolution_frozen = reference_convolution_frozen,
    .convolution_backward_input = reference_convolution_backward_input,
    .convolution_backward_weight = reference_convolution_backward_weight,
    .attention = reference_attention,
    .attention_cached = reference_attention_cached,
    .attention_backward = reference_attention_backward,
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
    .ctc = reference_ctc,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
    .fill = fill,
};
