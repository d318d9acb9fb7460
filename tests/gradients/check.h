/*
 * Gradients against finite differences, for any function of tensors.
 *
 * With y = f(inputs) and fixed random u, the loss is sum_i u_i y_i, summed in double. For each
 * number x of each input that needs a gradient, the tape's answer is held against
 * (loss(x + e) - loss(x - e)) / 2e; the error's norm over an input has to be below `tolerance`
 * times the gradient's norm (float32 leaves about 1e-4 there).
 *
 * Also checked for every f: gradients are added to what is there already; a frozen input gets none
 * and changes no other's; without a tape the result is the same and nothing is recorded.
 */
#ifndef GRADIENTS_CHECK_H
#define GRADIENTS_CHECK_H

#include "tensor/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHECK_MAX_INPUTS 64
#define CHECK_STEP 1e-2f

struct check {
    const char *name;
    const struct device *device;
    struct tensor *(*function)(struct compute *c, struct tensor **in, const void *arg);
    const void *arg;
    struct tensor *
        *in; /* [count]; those with needs_grad are checked and have a grad (parameters) */
    int count;
    bool training;
    uint64_t dropout_seed;
    double tolerance;
    enum precision precision; /* of the tape's answer; differences are always taken in float32 */
};

/* u: multiples of 1/64, so that bfloat16 holds them as they are. */
static inline struct tensor *check_direction(struct compute *c, int64_t count)
{
    struct random random;
    random_seed(&random, 99);
    struct tensor *u = tensor_new(c, TENSOR_SHAPE(1, count));
    for (int64_t i = 0; i < count; i++)
        u->data[i] = (float)(random_below(&random, 129) - 64) / 64;
    return u;
}

static inline struct tensor *check_run(const struct check *k, struct compute *c)
{
    if (c->random)
        random_seed(c->random, k->dropout_seed);
    return k->function(c, k->in, k->arg);
}

/* The loss at the inputs as they are; no tape. */
static inline double check_loss(const struct check *k, struct compute *c)
{
    size_t mark = arena_mark(c->arena);
    struct tape *tape = c->tape;
    c->tape = NULL;
    struct tensor *y = check_run(k, c);
    const struct tensor *u = check_direction(c, tensor_count(y));
    double loss = 0;
    for (int64_t i = 0; i < tensor_count(y); i++)
        loss += (double)u->data[i] * y->data[i];
    c->tape = tape;
    arena_rewind(c->arena, mark);
    return loss;
}

/* Gradients of the loss into each input's grad, on top of what is there. */
static inline void check_backward(const struct check *k, struct compute *c)
{
    size_t mark = arena_mark(c->arena);
    for (int i = 0; i < k->count; i++)
        parameter_changed(k->in[i]);
    c->precision = k->precision;
    struct tensor *y = check_run(k, c);
    c->precision = PRECISION_F32;
    int64_t count = tensor_count(y);
    struct tensor *u = check_direction(c, count);
    struct tensor *loss = op_linear(c, op_reshape(c, y, TENSOR_SHAPE(1, count)), u, NULL);
    tape_backward(c, loss, 1);
    assert_int_equal(c->tape->count, 0);
    arena_rewind(c->arena, mark);
}

/* The tape's gradient of input i, with the grad it found there first; freed by memory_free. */
static inline float *check_gradient(const struct check *k, struct compute *c, int i)
{
    struct tensor *x = k->in[i];
    int64_t count = tensor_count(x);
    float *gradient = memory_new((size_t)count, sizeof *gradient);
    assert_non_null(gradient);
    for (int64_t j = 0; j < count; j++)
        x->grad[j] = (float)(j % 3) - 1;
    check_backward(k, c);
    for (int64_t j = 0; j < count; j++)
        gradient[j] = x->grad[j] - ((float)(j % 3) - 1);
    return gradient;
}

static inline void check_close(const struct check *k, int i, const float *gradient,
                               const float *expected)
{
    double error = 0, norm = 0;
    for (int64_t j = 0; j < tensor_count(k->in[i]); j++) {
        error += pow((double)gradient[j] - expected[j], 2);
        norm += pow(expected[j], 2);
    }
    if (!(sqrt(error) <= k->tolerance * sqrt(norm) + 1e-4))
        fail_msg("%s on %s: input %d: gradient norm %g, error %g", k->name, k->device->name, i,
                 sqrt(norm), sqrt(error));
}

static inline void check_input(const struct check *k, struct compute *c, int i)
{
    struct tensor *x = k->in[i];
    int64_t count = tensor_count(x);
    float *gradient = check_gradient(k, c, i);
    float *expected = memory_new((size_t)count, sizeof *expected);
    assert_non_null(expected);
    for (int64_t j = 0; j < count; j++) {
        float old = x->data[j];
        x->data[j] = old + CHECK_STEP;
        parameter_changed(x);
        double above = check_loss(k, c), step = x->data[j];
        x->data[j] = old - CHECK_STEP;
        parameter_changed(x);
        step -= x->data[j];
        expected[j] = (float)((above - check_loss(k, c)) / step);
        x->data[j] = old;
        parameter_changed(x);
    }
    check_close(k, i, gradient, expected);
    memory_free(gradient);
    memory_free(expected);
}

/* Without input i: it must get nothing, and each other the same as before. */
static inline void check_frozen(const struct check *k, struct compute *c, int frozen)
{
    for (int i = 0; i < k->count; i++) {
        if (i == frozen || !k->in[i]->needs_grad)
            continue;
        float *all = check_gradient(k, c, i);
        float *grad = k->in[frozen]->grad;
        k->in[frozen]->needs_grad = false;
        k->in[frozen]->grad = NULL;
        float *without = check_gradient(k, c, i);
        assert_null(k->in[frozen]->grad);
        k->in[frozen]->needs_grad = true;
        k->in[frozen]->grad = grad;
        check_close(k, i, without, all);
        memory_free(all);
        memory_free(without);
    }
}

static inline void check_gradients(const struct check *k)
{
    struct error err;
    struct arena arena;
    struct random random;
    struct tape tape = {0};
    assert_true(k->count <= CHECK_MAX_INPUTS);
    assert_int_equal(arena_init(&arena, (size_t)1 << 30, &err), 0);
    struct compute c = {.device = k->device,
                        .arena = &arena,
                        .tape = &tape,
                        .training = k->training,
                        .random = k->training ? &random : NULL};
    double loss = check_loss(k, &c);
    assert_int_equal(tape.count, 0);
    for (int i = 0; i < k->count; i++) {
        if (!k->in[i]->needs_grad)
            continue;
        check_input(k, &c, i);
        check_frozen(k, &c, i);
    }
    assert_true(loss == check_loss(k, &c));
    tape_release(&tape);
    arena_release(&arena);
}

#endif
