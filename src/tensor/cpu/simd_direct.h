/*
 * Part of simd_body.h: convolution without oneDNN, for the shapes that it is slow at: one channel
 * in, and grouped ones with long kernels.
 *
 * The input is copied once to a *slab* [batch, groups, depth, height, line]: a line is a row of
 * pixels of one group, zero padded left and right, in float32 or bfloat16. There the window of an
 * output pixel is, for each (kd, kh), one run of kernel width x channels numbers that lie side by
 * side, and the windows of neighbours lie stride x channels apart. So a row of output is a tile
 * product
 *
 *     y[pixel][o] = sum over kd, kh, r < run of slab[kd][kh][pixel * step + r] W[kd, kh][r][o]
 *
 * of the kd and kh that lie inside the picture.
 * Backward to the input with stride 1 is the same with dy as input and the weight turned around:
 * W'[o -> c] flipped in all three dimensions, padding kernel - 1 - pad. Backward to the weight:
 *
 *     dW[r][o] += sum over pixels of slab[pixel * step + r] dy[pixel][o]
 *
 * again a tile product, the slab's rows and columns changing places (float32 only: the pairs of
 * bfloat16 would have to be neighbouring pixels).
 * In bfloat16 a unit is a pair, so stride x channels must be even; an odd run gets a zero weight.
 */

struct direct {
    const struct convolution_sizes *s;
    bool pairs, flipped;            /* flipped: backward to the input */
    int64_t groups, from, to;       /* channels and filters of a group */
    int64_t run, units, step, line; /* run: numbers; units of it; step, line: units */
    unit *slab, *weight;            /* weight [groups, kd, kh, units, to] */
    int32_t *column; /* [kd, kh, units]: where the window's numbers are; or as needed */
};

/* What a block of output pixels of one row is. */
enum { PIXELS = 48 };

static void direct_init(struct direct *d, const struct convolution_sizes *s, bool pairs,
                        bool flipped)
{
    int64_t each = pairs ? 2 : 1;
    d->s = s;
    d->pairs = pairs;
    d->flipped = flipped;
    d->groups = s->shape.groups;
    d->from = s->channels / d->groups;
    d->to = s->filters / d->groups;
    d->run = s->kernel[2] * d->from;
    d->units = (d->run + each - 1) / each;
    d->step = s->shape.stride[2] * d->from / each;
    d->line = ((s->in[2] + 2 * s->shape.pad[2]) * d->from + each - 1) / each + 1;
    d->slab = scratch_take(s->batch * d->groups * s->in[0] * s->in[1] * d->line * sizeof(unit));
    d->weight = scratch_take(s->kernel[0] * s->kernel[1] * d->units * s->filters * sizeof(unit));
    int64_t taps = s->kernel[0] * s->kernel[1], most = taps * d->units;
    d->column = scratch_take((most > s->out[2] ? most : s->out[2]) * sizeof *d->column);
    for (int64_t i = 0; i < most; i++) {
        int64_t tap = i / d->units, line = tap / s->kernel[1] * s->in[1] + tap % s->kernel[1];
        d->column[i] = (int32_t)(line * d->line + i % d->units);
    }
}

static void direct_release(struct direct *d)
{
    scratch_give(d->column);
    scratch_give(d->weight);
    scratch_give(d->slab);
}

static void direct_fill_line(const struct direct *d, unit *line, const float *x)
{
    const struct convolution_sizes *s = d->s;
    const int64_t first = s->shape.pad[2] * d->from, n = d->from;
    memset(line, 0, d->line * sizeof *line);
    if (d->groups == 1 && d->pairs)
        to_bf16_row((uint16_t *)line + first, x, s->in[2] * n);
    else if (d->groups == 1)
        memcpy(line + first, x, s->in[2] * n * sizeof *x);
    else if (d->pairs)
        for (int64_t i = 0; i < s->in[2]; i++)
            to_bf16_row((uint16_t *)line + first + i * n, x + i * s->channels, n);
    else
        for (int64_t i = 0; i < s->in[2]; i++)
            memcpy(line + first + i * n, x + i * s->channels, n * sizeof *x);
}

static void direct_fill_slab(const struct direct *d, const float *x)
{
    const struct convolution_sizes *s = d->s;
    const int64_t lines = s->in[0] * s->in[1], all = s->batch * d->groups * lines;
#pragma omp parallel for if (all * d->line > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < all; i++) {
        int64_t n = i / lines / d->groups, g = i / lines % d->groups;
        direct_fill_line(d, d->slab + i * d->line,
                         x + (n * lines + i % lines) * s->in[2] * s->channels + g * d->from);
    }
}

/* Where the weight of (group, kd, kh, r, j) lies in the layout of device.h. */
INLINE int64_t weight_at(const struct direct *d, int64_t g, int64_t tap, int64_t r, int64_t j)
{
    const int64_t *k = d->s->kernel;
    if (!d->flipped)
        return ((g * d->to + j) * k[0] * k[1] + tap) * d->run + r;
    int64_t o = g * d->from + r % d->from, kw = k[2] - 1 - r / d->from;
    int64_t turned = k[0] * k[1] - 1 - tap; /* both kd and kh flipped */
    return ((o * k[0] * k[1] + turned) * k[2] + kw) * d->to + j;
}

/* Each filter's run of one tap is put together, rounded, and dealt out over rows of units. */
static void direct_fill_weight(const struct direct *d, const float *weight)
{
    const int64_t taps = d->s->kernel[0] * d->s->kernel[1], n = d->groups * taps;
    const int64_t size = d->units * (d->pairs ? 2 : 1);
    const int threads = omp_get_max_threads();
    float *runs = scratch_take(threads * 2 * size * sizeof *runs);
#pragma omp parallel for if (n * d->units * d->to > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float *run = runs + omp_get_thread_num() * 2 * size;
        unit *rounded = d->pairs ? run + size : run, *to = d->weight + i * d->units * d->to;
        for (int64_t j = 0; j < d->to; j++) {
            for (int64_t r = 0; r < d->run; r++)
                run[r] = weight[weight_at(d, i / taps, i % taps, r, j)];
            for (int64_t r = d->run; r < size; r++)
                run[r] = 0;
            if (d->pairs)
                to_bf16_row((uint16_t *)rounded, run, size);
            for (int64_t u = 0; u < d->units; u++)
                to[u * d->to + j] = rounded[u];
        }
    }
    scratch_give(runs);
}

/* The part of a kernel of `size` from input position `from` on that lies inside of [0, in). */
INLINE struct span inside(int64_t from, int64_t size, int64_t in)
{
    int64_t first = from < 0 ? -from : 0, last = minimum(size, in - from);
    return (struct span){first, last > first ? last - first : 0};
}

/* Adds one block of pixels of the output row `at`, y at its first number. A kernel that sticks out
   above or below has gaps in its rows of weights: then plane by plane. */
static void direct_pixels(const struct direct *d, float *y, int64_t picture, const int64_t at[2],
                          int64_t first, int64_t count)
{
    const struct convolution_sizes *s = d->s;
    const int64_t *k = s->kernel, g = picture % d->groups;
    int64_t z = at[0] * s->shape.stride[0] - s->shape.pad[0];
    int64_t row = at[1] * s->shape.stride[1] - s->shape.pad[1];
    struct span deep = inside(z, k[0], s->in[0]), high = inside(row, k[1], s->in[1]);
    int64_t at_once = high.length == k[1] ? deep.length : 1;
    for (int64_t kd = deep.start; high.length && kd < deep.start + deep.length; kd += at_once) {
        int64_t line = (picture * s->in[0] + z + kd) * s->in[1] + row + high.start;
        tile_product(&(struct tile){.c = y,
                                    .a = d->slab + line * d->line + first * d->step,
                                    .b = d->weight +
                                         ((g * k[0] + kd) * k[1] + high.start) * d->units * d->to,
                                    .column = d->column,
                                    .c_stride = s->filters,
                                    .row = d->step,
                                    .b_stride = d->to,
                                    .m = count,
                                    .n = d->to,
                                    .k = at_once * high.length * d->units,
                                    .add_to = true,
                                    .pairs = d->pairs});
    }
}

/* y [N, D', H', W', O] = (add_to: +=) the convolution of the slab with the weight, plus bias. */
static void direct_run(const struct direct *d, float *y, const float *bias, bool add_to)
{
    const struct convolution_sizes *s = d->s;
    const int64_t rows = s->out[0] * s->out[1], blocks = (s->out[2] + PIXELS - 1) / PIXELS;
    const int64_t items = s->batch * d->groups * rows * blocks;
    const int64_t most = (s->out[2] + blocks - 1) / blocks;
#pragma omp parallel for if (items * d->units * d->to > PARALLEL_LIMIT / PIXELS) schedule(static)
    for (int64_t item = 0; item < items; item++) {
        int64_t picture = item / blocks / rows, row = item / blocks % rows;
        int64_t first = item % blocks * most, count = minimum(most, s->out[2] - first);
        int64_t at[2] = {row / s->out[1], row % s->out[1]}, g = picture % d->groups;
        float *to =
            y + ((picture / d->groups * rows + row) * s->out[2] + first) * s->filters + g * d->to;
        for (int64_t i = 0; !add_to && i < count; i++) {
            if (bias)
                memcpy(to + i * s->filters, bias + g * d->to, d->to * sizeof *y);
            else
                memset(to + i * s->filters, 0, d->to * sizeof *y);
        }
        direct_pixels(d, to, picture, at, first, count);
    }
}

static bool direct_can(const struct convolution_sizes *s, bool pairs)
{
    int64_t from = s->channels / s->shape.groups, to = s->filters / s->shape.groups;
    return to % LANES == 0 && (!pairs || (HAS_BF16 && s->shape.stride[2] * from % 2 == 0));
}

static bool direct_convolution(float *y, const float *x, const float *weight, const float *bias,
                               const struct convolution_sizes *s)
{
    struct direct d;
    bool pairs = HAS_BF16 && s->precision == PRECISION_BF16;
    if (!direct_can(s, pairs))
        return false;
    direct_init(&d, s, pairs, false);
    direct_fill_slab(&d, x);
    direct_fill_weight(&d, weight);
    direct_run(&d, y, bias, false);
    direct_release(&d);
    return true;
}

static bool direct_backward_input(float *dx, const float *dy, const float *weight,
                                  const struct convolution_sizes *s)
{
    struct direct d;
    struct convolution_sizes back = *s;
    bool pairs = HAS_BF16 && s->precision == PRECISION_BF16, possible = true;
    back.channels = s->filters;
    back.filters = s->channels;
    for (int i = 0; i < 3; i++) {
        back.in[i] = s->out[i];
        back.out[i] = s->in[i];
        back.shape.pad[i] = (int)s->kernel[i] - 1 - s->shape.pad[i];
        possible = possible && s->shape.stride[i] == 1 && back.shape.pad[i] >= 0;
    }
    if (!possible || !direct_can(&back, pairs))
        return false;
    direct_init(&d, &back, pairs, true);
    direct_fill_slab(&d, dy);
    direct_fill_weight(&d, weight);
    direct_run(&d, dx, NULL, true);
    direct_release(&d);
    return true;
}

/* One block of `count` rows of dW of one group and tap: sum [count, to]. */
static void direct_weight_block(const struct direct *d, float *sum, const float *dy, int64_t g,
                                int64_t tap, int64_t first, int64_t count)
{
    const struct convolution_sizes *s = d->s;
    for (int64_t i = 0; i < s->batch * s->out[0] * s->out[1]; i++) {
        int64_t n = i / s->out[1] / s->out[0], oz = i / s->out[1] % s->out[0], oy = i % s->out[1];
        int64_t z = oz * s->shape.stride[0] - s->shape.pad[0] + tap / s->kernel[1];
        int64_t row = oy * s->shape.stride[1] - s->shape.pad[1] + tap % s->kernel[1];
        if (z < 0 || z >= s->in[0] || row < 0 || row >= s->in[1])
            continue;
        tile_product(&(struct tile){
            sum,
            d->slab + (((n * d->groups + g) * s->in[0] + z) * s->in[1] + row) * d->line + first,
            dy + i * s->out[2] * s->filters + g * d->to, d->column, d->to, 1, s->filters, count,
            d->to, s->out[2], true, false});
    }
}

static bool direct_backward_weight(float *dweight, const float *dy, const float *x,
                                   const struct convolution_sizes *s)
{
    enum { RUN = 192 };
    struct direct d;
    if (!direct_can(s, false))
        return false;
    direct_init(&d, s, false, false);
    direct_fill_slab(&d, x);
    for (int64_t i = 0; i < s->out[2]; i++)
        d.column[i] = (int32_t)(i * d.step);
    const int64_t taps = s->kernel[0] * s->kernel[1], blocks = (d.run + RUN - 1) / RUN;
    float *sums = scratch_take(omp_get_max_threads() * RUN * d.to * sizeof *sums);
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < d.groups * taps * blocks; item++) {
        int64_t first = item % blocks * RUN, count = minimum(RUN, d.run - first);
        int64_t tap = item / blocks % taps, g = item / blocks / taps;
        float *sum = sums + omp_get_thread_num() * RUN * d.to;
        memset(sum, 0, count * d.to * sizeof *sum);
        direct_weight_block(&d, sum, dy, g, tap, first, count);
        for (int64_t j = 0; j < d.to; j++)
            for (int64_t r = 0; r < count; r++)
                dweight[weight_at(&d, g, tap, first + r, j)] += sum[r * d.to + j];
    }
    scratch_give(sums);
    direct_release(&d);
    return true;
}
