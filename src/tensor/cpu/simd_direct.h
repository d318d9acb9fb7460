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
 *
 * Filters are taken FILTERS at a time (a panel), whose weights the cache holds while all pictures
 * go by. Where rows are short, the pixels of a block are not neighbours but the same pixel of many
 * pictures, of whose window just the part inside is multiplied.
 */

struct direct {
    const struct convolution_sizes *s;
    bool pairs, flipped;            /* flipped: backward to the input */
    int64_t groups, from, to;       /* channels and filters of a group */
    int64_t run, units, step, line; /* run: numbers; units of it; step, line: units */
    int64_t taps, panels;
    unit *slab;
    const unit *weight; /* [groups, panels][kd, kh, units, filters of the panel] */
    int32_t *column;    /* [kd, kh, units]: where the window's numbers are; or as needed */
};

/* The most pixels in a block, filters in a panel; rows of so few pixels are short. */
enum { PIXELS = 48, FILTERS = 64, SHORT = 6 };

static void direct_sizes(struct direct *d, const struct convolution_sizes *s, bool pairs,
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
    d->taps = s->kernel[0] * s->kernel[1];
    d->panels = (d->to + FILTERS - 1) / FILTERS;
}

static void direct_init(struct direct *d, const struct convolution_sizes *s, bool pairs,
                        bool flipped)
{
    direct_sizes(d, s, pairs, flipped);
    d->slab = scratch_take(s->batch * d->groups * s->in[0] * s->in[1] * d->line * sizeof(unit));
    int64_t most = d->taps * d->units;
    d->column = scratch_take((most > s->out[2] ? most : s->out[2]) * sizeof *d->column);
    for (int64_t i = 0; i < most; i++) {
        int64_t tap = i / d->units, line = tap / s->kernel[1] * s->in[1] + tap % s->kernel[1];
        d->column[i] = (int32_t)(line * d->line + i % d->units);
    }
}

static void direct_release(struct direct *d)
{
    scratch_give(d->column);
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

static bool direct_can(const struct convolution_sizes *s, bool pairs)
{
    int64_t from = s->channels / s->shape.groups, to = s->filters / s->shape.groups;
    return to % LANES == 0 && (!pairs || (HAS_BF16 && s->shape.stride[2] * from % 2 == 0));
}

#if HAS_BF16
#include "tensor/cpu/simd_winograd.h"
#endif

/* What packed weights are packed for. */
INLINE bool use_winograd(const struct convolution_sizes *s)
{
#if HAS_BF16
    return s->precision == PRECISION_BF16 && winograd_suits(s);
#else
    return (void)s, false;
#endif
}

static int64_t direct_weight_bytes(const struct convolution_sizes *s, bool pairs)
{
    struct direct d;
    direct_sizes(&d, s, pairs, false);
    return d.taps * d.units * s->filters * (int64_t)sizeof(unit);
}

static int64_t direct_bytes(const struct convolution_sizes *s)
{
    bool pairs = HAS_BF16 && s->precision == PRECISION_BF16;
    if (!direct_can(s, pairs))
        return 0;
#if HAS_BF16
    if (use_winograd(s))
        return POINTS * panels_bytes(s->channels, s->filters);
#endif
    return direct_weight_bytes(s, pairs);
}

/* Each filter's run of one tap is put together, rounded, and dealt out over rows of units. */
static void direct_fill_weight(const struct direct *d, unit *to, const float *weight)
{
    const int64_t n = d->groups * d->taps, size = d->units * (d->pairs ? 2 : 1);
    const int threads = omp_get_max_threads();
    float *runs = scratch_take(threads * 2 * size * sizeof *runs);
#pragma omp parallel for if (n * d->units * d->to > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float *run = runs + omp_get_thread_num() * 2 * size;
        unit *rounded = d->pairs ? run + size : run;
        for (int64_t j = 0; j < d->to; j++) {
            int64_t first = j / FILTERS * FILTERS, wide = minimum(FILTERS, d->to - first);
            unit *put = to + (i / d->taps * d->to + first) * d->taps * d->units +
                        i % d->taps * d->units * wide + j - first;
            for (int64_t r = 0; r < d->run; r++)
                run[r] = weight[weight_at(d, i / d->taps, i % d->taps, r, j)];
            for (int64_t r = d->run; r < size; r++)
                run[r] = 0;
            if (d->pairs)
                to_bf16_row((uint16_t *)rounded, run, size);
            for (int64_t u = 0; u < d->units; u++)
                put[u * wide] = rounded[u];
        }
    }
    scratch_give(runs);
}

static void direct_fill(void *to, const float *weight, const struct convolution_sizes *s)
{
    struct direct d;
#if HAS_BF16
    if (use_winograd(s)) {
        winograd_fill(to, weight, s);
        return;
    }
#endif
    direct_sizes(&d, s, HAS_BF16 && s->precision == PRECISION_BF16, false);
    direct_fill_weight(&d, to, weight);
}

/* The part of a kernel of `size` from input position `from` on that lies inside of [0, in). */
INLINE struct span inside(int64_t from, int64_t size, int64_t in)
{
    int64_t first = from < 0 ? -from : 0, last = minimum(size, in - from);
    return (struct span){first, last > first ? last - first : 0};
}

/* One block of outputs: `count` pixels of a row from at[2] on, or (`pictures`) that pixel of as
   many pictures, by the filters of one panel. */
struct block {
    int64_t group, panel, picture, at[3], count, wide; /* wide: filters */
    bool pictures;
    const unit *weight;
    float *y; /* at the first pixel and filter */
    int64_t y_stride;
};

/* Planes kd: at_once at a time, rows of the kernel `high`, of these units [first, first + units).
 */
static void block_taps(const struct direct *d, const struct block *b, int64_t line,
                       const int64_t tap[2], int64_t first, int64_t units, bool add_to)
{
    const struct convolution_sizes *s = d->s;
    tile_product(&(struct tile){
        .c = b->y,
        .a = d->slab + line * d->line + b->at[2] * d->step + first,
        .b = b->weight + (tap[0] * d->units + first) * b->wide,
        .column = d->column,
        .c_stride = b->y_stride,
        .row = b->pictures ? d->groups * s->in[0] * s->in[1] * d->line : d->step,
        .b_stride = b->wide,
        .m = b->count,
        .n = b->wide,
        .k = (tap[1] - 1) * d->units + units,
        .add_to = add_to,
        .pairs = d->pairs,
    });
}

/* The products of one block. A kernel that sticks out above or below has gaps in its rows of
   weights: then plane by plane; one row after the other where it is cut left and right too. */
static void block_products(const struct direct *d, const struct block *b, bool add_to)
{
    const struct convolution_sizes *s = d->s;
    const int64_t *k = s->kernel;
    const int64_t z = b->at[0] * s->shape.stride[0] - s->shape.pad[0];
    const int64_t row = b->at[1] * s->shape.stride[1] - s->shape.pad[1];
    const int64_t left = b->at[2] * s->shape.stride[2] - s->shape.pad[2];
    const struct span deep = inside(z, k[0], s->in[0]), high = inside(row, k[1], s->in[1]);
    const struct span wide = b->pictures ? inside(left, k[2], s->in[2]) : (struct span){0, k[2]};
    const int64_t each = d->pairs ? 2 : 1, plane = (b->picture * d->groups + b->group) * s->in[0];
    const bool cut = b->pictures && wide.length < k[2];
    const int64_t at_once = high.length == k[1] && !cut ? deep.length : 1;
    for (int64_t kd = deep.start; high.length && kd < deep.start + deep.length; kd += at_once) {
        for (int64_t kh = high.start; kh < high.start + high.length; kh += cut ? 1 : high.length) {
            int64_t tap[2] = {kd * k[1] + kh, cut ? 1 : at_once * high.length};
            int64_t units = cut ? wide.length * d->from / each : d->units;
            block_taps(d, b, (plane + z + kd) * s->in[1] + row + kh, tap,
                       cut ? wide.start * d->from / each : 0, units, add_to);
            add_to = true;
        }
    }
    for (int64_t i = 0; !add_to && i < b->count; i++)
        memset(b->y + i * b->y_stride, 0, b->wide * sizeof *b->y);
}

/* y [count, width] = prelu(scale y + bias + add, slope), rows of y and add `stride` apart; the
   pointers of `end` at the first filter (add: and pixel). */
static void end_rows(float *y, const struct convolution_end *end, int64_t count, int64_t width,
                     int64_t stride)
{
    const struct convolution_end e = *end;
    for (int64_t i = 0; i < count; i++) {
        float *to = y + i * stride;
        const float *add = e.add ? e.add + i * stride : NULL;
        if (e.scale)
#pragma omp simd
            for (int64_t j = 0; j < width; j++)
                to[j] *= e.scale[j];
        if (e.bias)
#pragma omp simd
            for (int64_t j = 0; j < width; j++)
                to[j] += e.bias[j];
        if (add)
#pragma omp simd
            for (int64_t j = 0; j < width; j++)
                to[j] += add[j];
        if (e.slope)
#pragma omp simd
            for (int64_t j = 0; j < width; j++)
                to[j] = to[j] > 0 ? to[j] : e.slope[j] * to[j];
    }
}

static void convolution_end(float *y, const struct convolution_end *end, int64_t rows,
                            int64_t width)
{
    if (!end->scale && !end->bias && !end->add && !end->slope)
        return;
#pragma omp parallel for if (rows * width > PARALLEL_LIMIT) schedule(static)
    for (int64_t i = 0; i < rows; i += CHUNK) {
        struct convolution_end e = *end;
        e.add = e.add ? e.add + i * width : NULL;
        end_rows(y + i * width, &e, minimum(CHUNK, rows - i), width, width);
    }
}

/* Panels, and of each as many blocks as there are of all pictures. */
struct blocks {
    bool pictures;
    int64_t parts, most; /* of a row, or of the batch; pixels or pictures in a part */
    int64_t per_panel;
};

static struct blocks direct_blocks(const struct direct *d)
{
    const struct convolution_sizes *s = d->s;
    const int64_t rows = s->out[0] * s->out[1];
    struct blocks b = {.pictures = s->out[2] <= SHORT && s->batch >= 2 * SHORT &&
                                   (!d->pairs || d->from % 2 == 0)};
    const int64_t all = b.pictures ? s->batch : s->out[2];
    b.parts = (all + PIXELS - 1) / PIXELS;
    b.most = (all + b.parts - 1) / b.parts;
    b.per_panel = b.parts * rows * (b.pictures ? s->out[2] : s->batch);
    return b;
}

static struct block direct_block(const struct direct *d, const struct blocks *all, int64_t item)
{
    const struct convolution_sizes *s = d->s;
    int64_t panel = item / all->per_panel, part = item % all->parts;
    int64_t place = item % all->per_panel / all->parts;
    struct block b = {.group = panel / d->panels,
                      .panel = panel % d->panels * FILTERS,
                      .pictures = all->pictures};
    int64_t first = part * all->most, pixels = s->out[0] * s->out[1] * s->out[2];
    if (b.pictures) {
        b.picture = first;
        b.at[2] = place % s->out[2];
        place /= s->out[2];
        b.y_stride = pixels * s->filters;
    } else {
        b.picture = place / (s->out[0] * s->out[1]);
        place %= s->out[0] * s->out[1];
        b.at[2] = first;
        b.y_stride = s->filters;
    }
    b.at[0] = place / s->out[1];
    b.at[1] = place % s->out[1];
    b.count = minimum(all->most, (b.pictures ? s->batch : s->out[2]) - first);
    b.wide = minimum(FILTERS, d->to - b.panel);
    b.weight = d->weight + (b.group * d->to + b.panel) * d->taps * d->units;
    return b;
}

/* y [N, D', H', W', O] = (add_to: +=) the convolution of the slab with the weight, then `end`. */
static void direct_run(const struct direct *d, float *y, const struct convolution_end *end,
                       bool add_to)
{
    const struct convolution_sizes *s = d->s;
    const struct blocks all = direct_blocks(d);
    const int64_t items = all.per_panel * d->groups * d->panels;
#pragma omp parallel for if (items * d->units * d->to > PARALLEL_LIMIT / PIXELS) schedule(static)
    for (int64_t item = 0; item < items; item++) {
        struct block b = direct_block(d, &all, item);
        const int64_t filter = b.group * d->to + b.panel;
        const int64_t at =
            ((((b.picture * s->out[0] + b.at[0]) * s->out[1]) + b.at[1]) * s->out[2] + b.at[2]) *
                s->filters +
            filter;
        b.y = y + at;
        block_products(d, &b, add_to);
        if (end)
            end_rows(b.y,
                     &(struct convolution_end){end->scale ? end->scale + filter : NULL,
                                               end->bias ? end->bias + filter : NULL,
                                               end->add ? end->add + at : NULL,
                                               end->slope ? end->slope + filter : NULL},
                     b.count, b.wide, b.y_stride);
    }
}

static bool direct_convolution(float *y, const float *x, const float *weight, const void *packed,
                               const struct convolution_end *end, const struct convolution_sizes *s)
{
    struct direct d;
    bool pairs = HAS_BF16 && s->precision == PRECISION_BF16;
    if (!direct_can(s, pairs))
        return false;
#if HAS_BF16
    if (packed && use_winograd(s)) {
        winograd(y, x, packed, end, s);
        return true;
    }
#endif
    unit *own = packed ? NULL : scratch_take(direct_weight_bytes(s, pairs));
    direct_init(&d, s, pairs, false);
    direct_fill_slab(&d, x);
    if (own)
        direct_fill_weight(&d, own, weight);
    d.weight = own ? own : packed;
    direct_run(&d, y, end, false);
    direct_release(&d);
    scratch_give(own);
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
    unit *turned = scratch_take(direct_weight_bytes(&back, pairs));
    direct_init(&d, &back, pairs, true);
    direct_fill_slab(&d, dy);
    direct_fill_weight(&d, turned, weight);
    d.weight = turned;
    direct_run(&d, dx, NULL, true);
    direct_release(&d);
    scratch_give(turned);
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
