/*
 * For the ops_*.c files: how an op records its backward.
 *
 * An op that has to record copies a struct into the arena that begins with `struct record` and
 * holds what its backward needs. The backward then asks tensor_grad for each input's gradient
 * (NULL: not wanted, a kernel skips it) and adds into it. A backward only runs when its result's
 * gradient exists, i.e. when the loss depends on it.
 *
 * Gradients come to be when first touched, zeroed, in the arena. A view has none of its own: its
 * gradient is the part of its base's at the same place, so a view records nothing.
 */
#ifndef TENSOR_TAPE_H
#define TENSOR_TAPE_H

#include "tensor/device.h"

#include <stddef.h>

struct record {
    struct compute c; /* a copy: the op's caller may have passed one from its stack */
    struct tensor *result;
};

/* Of t's gradient, when it needs one, its memory, else NULL. */
float *tensor_grad(struct compute *c, struct tensor *t);
/* The same, but where *first nothing is there yet: to be written, not added to. */
float *tensor_grad_first(struct compute *c, struct tensor *t, bool *first);
/* Lets `to`, an input of the same size, have the memory of the result's gradient as its own, if it
   has none yet: the last thing that a backward does with it. */
bool tape_hand_on(struct tensor *to, struct tensor *result);

/* Whether the result of these inputs (NULLs allowed) is to be recorded; marks the result so. */
bool tape_wants(struct compute *c, struct tensor *result, int count, struct tensor *const *inputs);
#define TAPE_WANTS(c, result, ...)                                                                 \
    tape_wants(c, result, sizeof((struct tensor *[]){__VA_ARGS__}) / sizeof(struct tensor *),      \
               (struct tensor *[]){__VA_ARGS__})

/* Copies `saved` ([bytes], begins with struct record, which is filled here) and appends it. */
void tape_push(struct compute *c, struct tensor *result, void (*backward)(void *saved),
               const void *saved, size_t bytes);

/* [bytes] copied into the arena. */
void *arena_copy(struct compute *c, const void *bytes, size_t count);
/* [count] floats in the arena, undefined. */
float *arena_floats(struct compute *c, int64_t count);

/* A new tensor of x's shape; or of x's shape but another last dimension. */
struct tensor *tensor_like(struct compute *c, const struct tensor *x);
struct tensor *tensor_like_wide(struct compute *c, const struct tensor *x, int64_t width);

#endif
