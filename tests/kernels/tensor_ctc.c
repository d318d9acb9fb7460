/*
 * ctc of every instruction set that this CPU has against device_reference: odd sizes, unaligned,
 * NaN around the logits, margins around the gradient intact; and what makes it hard: labels of
 * probability e^-40 all along, columns of minus infinity, long sequences, rows of no sequence.
 */
#include "kernels/margins.h"
#include "tensor/cpu/simd.h"

enum { LABELS = 512, SEQUENCES = 5 };

struct batch {
    int64_t rows, width;
    int32_t labels[LABELS];
    struct span spans[SEQUENCES], label_spans[SEQUENCES];
    struct ctc_sequences s;
};

/* Sequences of `rows` rows, with rows of none between; of up to `labels` labels, every third one
   repeated; the last has more labels than rows. */
static void draw(struct batch *b, struct random *r, int64_t rows, int64_t labels, int64_t width)
{
    int64_t at = 0, first = 0;
    for (int i = 0; i < SEQUENCES; i++) {
        int64_t count = i == SEQUENCES - 1 ? rows + 1 : labels * i / (SEQUENCES - 2);
        b->spans[i] = (struct span){at, rows};
        b->label_spans[i] = (struct span){first, count};
        for (int64_t j = first; j < first + count; j++) {
            assert_true(j < LABELS);
            int32_t drawn = (int32_t)random_below(r, width - 1);
            b->labels[j] = j % 3 == 1 ? b->labels[j - 1] : drawn + (drawn >= width / 2);
        }
        at += rows + i % 2;
        first += count;
    }
    b->rows = at;
    b->width = width;
    b->s = (struct ctc_sequences){.count = SEQUENCES,
                                  .blank = (int32_t)(width / 2),
                                  .labels = b->labels,
                                  .spans = b->spans,
                                  .label_spans = b->label_spans};
}

static void against(const struct device *d, const struct batch *b, const float *x)
{
    int64_t n = b->rows * b->width;
    struct random r;
    random_seed(&r, 3);
    float *expected = guarded(&r, n, 1), *found = guarded_copy(expected, n);
    float loss = device_reference.ctc(expected, x, &b->s, b->rows, b->width);
    float again = d->ctc(found, x, &b->s, b->rows, b->width);
    compare("loss", &again, &loss, 1, 1e-6);
    check("gradient", found, expected, n, 1e-5);
    again = d->ctc(NULL, x, &b->s, b->rows, b->width);
    compare("loss alone", &again, &loss, 1, 1e-6);
}

static void each_set(void (*body)(const struct device *d, struct random *r))
{
    const struct simd *sets[] = {&simd_avx512, &simd_avx2, &simd_generic};
    for (int i = 0; i < 3; i++) {
        struct random r;
        random_seed(&r, 7);
        if (simd_supported(sets[i]))
            body(&sets[i]->device, &r);
    }
}

static void sizes(const struct device *d, struct random *r)
{
    /* rows, labels, width */
    static const int64_t cases[][3] = {{1, 1, 2},   {1, 0, 3},    {2, 2, 3},     {3, 2, 7},
                                       {7, 4, 17},  {16, 16, 31}, {17, 12, 33},  {40, 9, 65},
                                       {65, 40, 5}, {90, 60, 64}, {33, 7, 1000}, {9, 3, 50001}};
    const float weight[SEQUENCES] = {0.3f, 1, 0, 2, 5};
    for (int i = 0; i < 12; i++) {
        struct batch b;
        draw(&b, r, cases[i][0], cases[i][1], cases[i][2]);
        int64_t n = b.rows * b.width;
        float *x = guarded(r, n, 2);
        against(d, &b, x);
        b.s.weight = weight;
        against(d, &b, x);
        b.s.count = 0;
        against(d, &b, x);
        release(x, n);
    }
}

/* A blank that is all but certain: every path but the one without labels is below a double. */
static void unlikely(const struct device *d, struct random *r)
{
    struct batch b;
    draw(&b, r, 100, 60, 19);
    int64_t n = b.rows * b.width;
    float *x = guarded(r, n, 2);
    for (int64_t row = 0; row < b.rows; row++)
        x[row * b.width + b.s.blank] = 40;
    against(d, &b, x);
    b.s.weight = (const float[SEQUENCES]){0, 0, 0, 1, 0};
    assert_true(d->ctc(NULL, x, &b.s, b.rows, b.width) > 750); /* e^-750 is 0 */
    against(d, &b, x);
    release(x, n);
}

/* Without a column that is one of its labels a sequence has no path; without another, nothing
   special happens. */
static void closed_columns(const struct device *d, struct random *r)
{
    struct batch b;
    draw(&b, r, 20, 8, 40);
    int64_t n = b.rows * b.width;
    float *x = guarded(r, n, 2), *slope = guarded(r, n, 1);
    for (int64_t row = 0; row < b.rows; row++) {
        x[row * b.width + b.labels[b.label_spans[1].start]] = -INFINITY;
        x[row * b.width + b.s.blank] = row % 4 ? x[row * b.width + b.s.blank] : -INFINITY;
    }
    against(d, &b, x);
    d->ctc(slope, x, &b.s, b.rows, b.width);
    for (int64_t i = 0; i < b.spans[1].length * b.width; i++)
        assert_true(slope[b.spans[1].start * b.width + i] == 0);
    x[b.spans[2].start * b.width + 3] = NAN; /* is not hidden */
    assert_true(isnan(d->ctc(slope, x, &b.s, b.rows, b.width)));
    release(x, n), release(slope, n);
}

/* Rounding doesn't add up: the gradient of a row sums to zero. */
static void long_sequence(const struct device *d, struct random *r)
{
    struct batch b;
    draw(&b, r, 41, 0, 29);
    b.rows = 4000;
    for (int i = 0; i < 200; i++)
        b.labels[i] = (int32_t)random_below(r, 14);
    b.spans[0] = (struct span){0, b.rows};
    b.label_spans[0] = (struct span){0, 200};
    b.s.count = 1;
    int64_t n = b.rows * b.width;
    float *x = guarded(r, n, 3), *slope = guarded(r, n, 1);
    against(d, &b, x);
    d->ctc(slope, x, &b.s, b.rows, b.width);
    for (int64_t row = 0; row < b.rows; row++) {
        double sum = 0;
        for (int64_t i = 0; i < b.width; i++)
            sum += slope[row * b.width + i];
        assert_true(fabs(sum) < 2e-6);
    }
    release(x, n), release(slope, n);
}

#define TEST(name, body)                                                                           \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        each_set(body);                                                                            \
    }

TEST(test_sizes, sizes)
TEST(test_unlikely, unlikely)
TEST(test_closed_columns, closed_columns)
TEST(test_long_sequence, long_sequence)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unlikely),
        cmocka_unit_test(test_closed_columns),
        cmocka_unit_test(test_long_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
