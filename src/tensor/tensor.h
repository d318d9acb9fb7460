/*
 * Tensors: dense, row-major, contiguous float32, in an arena. The last dimension is the width of a
 * "row"; ops that work on rows see any shape as [rows, width].
 *
 * Sequences of different length live packed: one [total_rows, width] tensor, and an array of
 * `struct span` that says which rows belong to which sequence. So a batch of clips at all rates is
 * one tensor without padding.
 *
 * A *parameter* is a tensor that a model owns for its life: its `grad` is allocated with it when it
 * is to be trained. Any other tensor gets its gradient from the arena during tape_backward.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "base/memory.h"
#include "base/random.h"
#include "tensor/dtype.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TENSOR_MAX_DIMS 5

struct device;
struct pack;

struct tensor {
    int dims;
    int64_t shape[TENSOR_MAX_DIMS];
    float *data;         /* [shape...]; NULL where stored */
    const void *stored;  /* [shape...] as dtype, whole blocks in each row; NULL where data */
    enum dtype dtype;    /* of stored */
    float *grad;         /* same shape, or NULL: none yet */
    bool needs_grad;     /* a gradient is wanted for it, or for something it was made from */
    bool parameter;      /* weights of a model: products may keep a packed copy */
    bool borrowed;       /* data or stored is another's memory (a mapped file's) */
    struct pack *pack;   /* the device's packed copy (parameters only; NULL: none yet) */
    struct pack *across; /* the same of the transposed: what gradients go back through */
    struct tensor *base; /* of a view: the tensor whose memory, data and grad, it shares */
};

/* Rows [start, start + length) of a packed tensor. */
struct span {
    int64_t start, length;
};

int64_t tensor_count(const struct tensor *t); /* elements */
int64_t tensor_width(const struct tensor *t); /* last dimension */
int64_t tensor_rows(const struct tensor *t);  /* count / width */

/* The element type that products and convolutions compute in; sums, norms and everything else are
   always float32. BF16 where the CPU has it (device->has_bf16), else F32 is used. */
enum precision { PRECISION_F32, PRECISION_BF16 };

/* What a backward pass needs, pushed by the ops in order of execution. */
struct tape_entry {
    void (*backward)(void *saved);
    void *saved;
};

/* An op read a parameter whose gradient is wanted: for it, entries before `entry` write none. (One
   that runs other ops in its backward must name the parameters that they read to tape_wants.) */
struct tape_use {
    struct tensor *parameter;
    int64_t entry;
};

/* Written over a gradient that nobody needs any longer. */
struct spent_grad {
    struct spent_grad *next;
    int64_t count; /* floats */
};

struct tape {
    struct tape_entry *entries;
    int64_t count, capacity;
    struct spent_grad *spent;
    struct tape_use *uses; /* in order; kept only where `used` is set */
    int64_t use_count, use_capacity;
    /* tape_backward calls it once for each use, when that use's share of the gradient is in: a
       parameter's gradient is final with its last call. NULL: nobody wants to know. */
    void (*used)(void *arg, struct tensor *parameter);
    void *used_arg;
};

/*
 * Where and how ops run; passed as the first argument everywhere. `tape` NULL: inference, nothing
 * is recorded or saved. Results live in `arena` until the owner rewinds it (which also invalidates
 * the tape: tape_clear).
 */
struct compute {
    const struct device *device;
    struct arena *arena;
    struct tape *tape;
    enum precision precision;
    bool training;         /* batch norm uses (and updates) statistics of the batch */
    struct random *random; /* for dropout; NULL: there is none (inference) */
    bool recompute; /* recording, layers keep what goes in alone, and run again on the way back */
    const atomic_bool *cancelled; /* set from elsewhere; NULL: by nobody */
};

/* For whoever runs ops for long, between them: 0, or ERROR_CANCELLED. */
int compute_check(const struct compute *c, struct error *err);

/* In the arena; contents undefined. dims is the number of shape arguments. */
struct tensor *tensor_new(struct compute *c, int dims, const int64_t *shape);
#define TENSOR_SHAPE(...)                                                                          \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
/* e.g. tensor_new(c, TENSOR_SHAPE(rows, width)) */
struct tensor *tensor_zeros(struct compute *c, int dims, const int64_t *shape);
struct tensor *tensor_from(struct compute *c, const float *data, int dims, const int64_t *shape);

/* A model's parameter: memory from memory_new (zeroed), freed by parameter_release, which also
   drops its pack and gradient. parameter_init may be called once per tensor. */
int parameter_init(struct tensor *t, int dims, const int64_t *shape, struct error *err);
void parameter_release(struct tensor *t);
/* A frozen parameter in place: F32 (aligned to 4 bytes) becomes its `data`, other types `stored`.
   The memory is the caller's and outlives it; parameter_release leaves it alone. */
void parameter_borrow(struct tensor *t, int dims, const int64_t *shape, enum dtype dtype,
                      const void *stored);
/* The numbers of a parameter, wherever they are, elements [start, start + count), whole blocks. */
void parameter_read(float *out, const struct tensor *t, int64_t start, int64_t count);
/* Own float32 memory instead of borrowed: what wants to be trained or changed. */
int parameter_own(struct tensor *t, struct error *err);
/* Trainable or frozen: allocates (zeroed) or frees the gradient. */
int parameter_train(struct tensor *t, bool trainable, struct error *err);
/* To be called after data was written (a load, an optimiser step): drops the packed copies. */
void parameter_changed(struct tensor *t);

/* Runs the tape backwards from the scalar `loss` (its gradient is set to `scale`), adding into the
   `grad` of every parameter and of every other tensor that needs one and was not made by an op
   (those of results are used again on the way). The tape is empty afterwards. */
void tape_backward(struct compute *c, struct tensor *loss, float scale);
void tape_clear(struct tape *t); /* `used` stays */
void tape_release(struct tape *t);

/*
 * Memory for time: `run` computes made[count] from x, those are copied into results[count] (made by
 * the caller, of their shapes), and what lies between is given back, to be computed once more when
 * the tape runs back. Numbers and gradients are the same to the bit, dropout's as well.
 * `arg` lives as long as the tape. Beside x and parameters, `run` may read what needs no gradient;
 * it writes nothing that a second run would change (no batch norm in training). The first result
 * needs a gradient where any does.
 */
enum { TAPE_RESULTS_MOST = 4 };
typedef void tape_run(void *arg, struct compute *c, struct tensor *x, struct tensor **made);
void tape_recompute(struct compute *c, struct tensor *const *results, int count, struct tensor *x,
                    tape_run *run, void *arg);

#endif
