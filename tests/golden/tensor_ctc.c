/* CTC equal to PyTorch's: repeats, no labels, no path, a row of no sequence (make_ctc.py). */
#include "golden/ctc_numbers.h"
#include "tensor/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

enum { ROWS = 31, WIDTH = 7, BLANK = 3, COUNT = 5 };
_Static_assert(sizeof losses / sizeof *losses == COUNT, "a loss each");
_Static_assert(sizeof gradient / sizeof *gradient == ROWS * WIDTH, "a slope each");

static const struct span spans[COUNT] = {{0, 9}, {9, 4}, {14, 2}, {17, 6}, {23, 8}};
static const int32_t labels[] = {1, 1, 6, 6, 2, 2, 5, 0, 5, 4, 4, 4, 0};
static const struct span label_spans[COUNT] = {{0, 4}, {4, 0}, {4, 2}, {6, 3}, {9, 4}};
static const float weight[COUNT] = {0.5f, 1.25f, 3, -0.75f, 2};

static float ctc(struct compute *c, struct tensor *logits, const float *weights)
{
    size_t mark = arena_mark(c->arena);
    struct tensor *loss = op_ctc(c, logits, spans, labels, label_spans, COUNT, BLANK, weights);
    float value = loss->data[0];
    if (logits->needs_grad)
        tape_backward(c, loss, 1);
    arena_rewind(c->arena, mark);
    return value;
}

static void on_device(const struct device *device)
{
    struct error err;
    struct arena arena;
    struct tape tape = {0};
    struct tensor logits;
    assert_int_equal(arena_init(&arena, (size_t)1 << 24, &err), 0);
    struct compute c = {.device = device, .arena = &arena, .tape = &tape};
    assert_int_equal(parameter_init(&logits, TENSOR_SHAPE(ROWS, WIDTH), &err), 0);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < WIDTH; k++)
            logits.data[r * WIDTH + k] =
                (float)((r * 73 + k * 19 + r * k * 7 + 5) % 201 - 100) / 32;
    double weighted = 0, mean = 0;
    for (int i = 0; i < COUNT; i++) {
        float one[COUNT] = {0};
        one[i] = 1;
        assert_float_equal(ctc(&c, &logits, one), losses[i], 1e-6 * (1 + losses[i]));
        weighted += weight[i] * losses[i];
        mean += losses[i] / COUNT;
    }
    assert_float_equal(ctc(&c, &logits, NULL), mean, 1e-6 * mean);
    assert_int_equal(tape.count, 0);
    assert_int_equal(parameter_train(&logits, true, &err), 0);
    assert_float_equal(ctc(&c, &logits, weight), weighted, 1e-6 * fabs(weighted));
    for (int i = 0; i < ROWS * WIDTH; i++)
        assert_float_equal(logits.grad[i], gradient[i], 1e-6);
    parameter_release(&logits);
    tape_release(&tape);
    arena_release(&arena);
}

static void test_reference(void **state)
{
    (void)state;
    on_device(&device_reference);
}

static void test_cpu(void **state)
{
    (void)state;
    on_device(&device_cpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference),
                                       cmocka_unit_test(test_cpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
