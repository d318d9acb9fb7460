/*
 * Comparison with what PyTorch computed (make_models.py): one safetensors file holds parameters,
 * inputs, outputs and gradients. A part under test is filled from it by its own parameter walk, so
 * names and shapes are tested with the numbers.
 */
#ifndef GOLDEN_GOLDEN_H
#define GOLDEN_GOLDEN_H

#include "models/params.h"
#include "tensor/device.h"
#include "weights/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GOLDEN_TOLERANCE 1e-4

struct golden {
    struct checkpoint *file;
    struct param_list list;
    struct arena arena;
    struct tape tape;
    struct random random;
    struct compute c;
    struct error err;
};

static inline void golden_open(struct golden *g, const char *path, const struct device *device)
{
    memset(g, 0, sizeof *g);
    assert_int_equal(checkpoint_open(&g->file, path, &g->err), 0);
    assert_int_equal(arena_init(&g->arena, (size_t)1 << 30, &g->err), 0);
    random_seed(&g->random, 1);
    g->c = (struct compute){.device = device, .arena = &g->arena, .random = &g->random};
    param_list_init(&g->list, &g->err);
}

/* After the part's walk has visited `allocator`'s and g->list's visitors: loads, and wants
 * gradients. */
static inline void golden_fill(struct golden *g)
{
    assert_int_equal(g->list.code, 0);
    if (params_read(&g->list, g->file, &g->err) != 0)
        fail_msg("%s", g->err.message);
    for (int64_t i = 0; i < g->list.count; i++)
        if (param_trains(g->list.entries[i].kind))
            assert_int_equal(parameter_train(g->list.entries[i].tensor, true, &g->err), 0);
}

static inline void golden_close(struct golden *g)
{
    for (int64_t i = 0; i < g->list.count; i++)
        parameter_release(g->list.entries[i].tensor);
    param_list_release(&g->list);
    checkpoint_close(g->file);
    tape_release(&g->tape);
    arena_release(&g->arena);
}

static inline struct tensor *golden_tensor(struct golden *g, const char *prefix, const char *name)
{
    char full[320];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct stored_tensor *s = safetensors_find(checkpoint_tensors(g->file), full);
    if (!s)
        fail_msg("the file has no %s", full);
    struct tensor *t = tensor_new(&g->c, s->dims, s->shape);
    assert_int_equal(stored_read(t->data, s, 0, s->count, &g->err), 0);
    return t;
}

/* ||x - golden|| / ||golden|| */
static inline void golden_compare(struct golden *g, const float *x, const char *prefix,
                                  const char *name)
{
    const struct tensor *t = golden_tensor(g, prefix, name);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        difference += pow((double)x[i] - t->data[i], 2);
        size += pow((double)t->data[i], 2);
    }
    /* a gradient that is zero but for rounding (Whisper's and AV-HuBERT's k bias) has no scale */
    double error = sqrt(difference / (size > 1e-12 ? size : 1));
    if (!(error <= GOLDEN_TOLERANCE))
        fail_msg("%s%s: relative error %.2e (size %.2e)", prefix, name, error, sqrt(size));
}

/* Gradients of sum(y * direction) + 3 * extra (NULL: none) against all grad.* of the parameters. */
static inline void golden_backward(struct golden *g, struct tensor *y, struct tensor *extra)
{
    struct tensor *direction = golden_tensor(g, "", "direction");
    int64_t n = tensor_count(y);
    assert_int_equal(tensor_count(direction), n);
    struct tensor *row = op_reshape(&g->c, y, TENSOR_SHAPE(1, n));
    direction->dims = 2;
    direction->shape[0] = 1;
    direction->shape[1] = n;
    enum precision precision = g->c.precision;
    g->c.precision = PRECISION_F32;
    struct tensor *loss = op_linear(&g->c, row, direction, NULL);
    if (extra)
        loss = op_weighted_sum(&g->c, (struct tensor *[]){loss, extra}, (float[]){1, 3}, 2);
    tape_backward(&g->c, loss, 1);
    g->c.precision = precision;
    for (int64_t i = 0; i < g->list.count; i++)
        if (param_trains(g->list.entries[i].kind))
            golden_compare(g, g->list.entries[i].tensor->grad, "grad.", g->list.entries[i].name);
}

#endif
