/*
 * Comparison with what PyTorch computed (make_models.py, make_published.py): one safetensors file
 * holds inputs, outputs, gradients, and the parameters unless both sides make those from their
 * names. A part under test is filled by its own parameter walk, so names and shapes are tested with
 * the numbers.
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
#include <stdlib.h>
#include <string.h>

#define GOLDEN_TOLERANCE 1e-4

struct golden {
    struct checkpoint *file;
    struct param_list list;
    struct arena arena;
    struct tape tape;
    struct random random;
    struct compute c;
    double tolerance;
    struct error err;
};

/* Declared shapes -> memory; the list of all parameters. */
#define GOLDEN_ALLOCATE(g, walk, part)                                                             \
    do {                                                                                           \
        struct param_allocator allocator;                                                          \
        param_allocator_init(&allocator, &(g)->err);                                               \
        walk(part, &allocator.visitor);                                                            \
        assert_int_equal(allocator.code, 0);                                                       \
        walk(part, &(g)->list.visitor);                                                            \
        assert_int_equal((g)->list.code, 0);                                                       \
    } while (0)

static inline void golden_open(struct golden *g, const char *path, const struct device *device)
{
    memset(g, 0, sizeof *g);
    g->tolerance = GOLDEN_TOLERANCE;
    assert_int_equal(checkpoint_open(&g->file, path, &g->err), 0);
    assert_int_equal(arena_init(&g->arena, (size_t)1 << 30, &g->err), 0);
    random_seed(&g->random, 1);
    g->c = (struct compute){.device = device, .arena = &g->arena, .random = &g->random};
    param_list_init(&g->list, &g->err);
}

static inline void golden_train(struct golden *g)
{
    for (int64_t i = 0; i < g->list.count; i++)
        if (param_trains(g->list.entries[i].kind))
            assert_int_equal(parameter_train(g->list.entries[i].tensor, true, &g->err), 0);
}

/* The file's numbers, gradients wanted. */
static inline void golden_fill(struct golden *g)
{
    if (params_read(&g->list, g->file, &g->err) != 0)
        fail_msg("%s", g->err.message);
    golden_train(g);
}

/* count numbers in [-1, 1): splitmix64 from the FNV-1a hash of name. */
static inline void golden_uniform(float *out, int64_t count, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
    for (int64_t i = 0; i < count; i++) {
        uint64_t z = hash + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        out[i] = (float)(z >> 40) / (1 << 23) - 1;
    }
}

/* Every parameter from its name, at a size that keeps a network's rows near 1; the same rule as
   `named` of make_published.py. */
static inline void golden_named(struct golden *g)
{
    for (int64_t e = 0; e < g->list.count; e++) {
        struct tensor *t = g->list.entries[e].tensor;
        const char *name = g->list.entries[e].name;
        enum param_kind kind = g->list.entries[e].kind;
        int64_t n = tensor_count(t);
        size_t length = strlen(name);
        float middle = 0, spread = 0.2f;
        if (kind == PARAM_VARIANCE)
            middle = 1, spread = 0.5f;
        else if (t->dims > 1)
            spread = sqrtf(3.0f / (float)(n / t->shape[0]));
        else if (kind == PARAM_SLOPE)
            middle = spread = 0.25f;
        else if (length > 7 && strcmp(name + length - 7, ".weight") == 0)
            middle = 1, spread = 0.3f;
        golden_uniform(t->data, n, name);
        for (int64_t i = 0; i < n; i++)
            t->data[i] = middle + spread * t->data[i];
        parameter_changed(t);
    }
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
    const struct stored_tensor *s = weights_find(checkpoint_tensors(g->file), full);
    if (!s)
        fail_msg("the file has no %s", full);
    struct tensor *t = tensor_new(&g->c, s->dims, s->shape);
    assert_int_equal(stored_read(t->data, s, 0, s->count, &g->err), 0);
    return t;
}

/* max |x - golden| / max |golden| */
static inline void golden_compare(struct golden *g, const float *x, const char *prefix,
                                  const char *name)
{
    const struct tensor *t = golden_tensor(g, prefix, name);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        double d = fabs((double)x[i] - t->data[i]);
        difference = d <= difference ? difference : d; /* NaN too */
        size = fmax(size, fabs(t->data[i]));
    }
    /* a gradient that is zero but for rounding (Whisper's and AV-HuBERT's k bias) has no scale */
    double error = difference / (size > 1e-6 ? size : 1);
    if (getenv("MOME_GOLDEN_VERBOSE"))
        printf("%s%s %s %s: %.2e\n", prefix, name, g->c.device->name,
               g->c.precision == PRECISION_BF16 ? "bf16" : "f32", error);
    if (!(error <= g->tolerance))
        fail_msg("%s%s: relative error %.2e (size %.2e)", prefix, name, error, size);
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
