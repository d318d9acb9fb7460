/*
 * The tape and the tensors it works on: who gets a gradient, whose memory it is, and when nothing
 * is recorded. (That the gradients are right is checked in tests/gradients.)
 */
#include "tensor/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

struct world {
    struct arena arena;
    struct tape tape;
    struct random random;
    struct compute c;
};

static int setup(void **state)
{
    static struct world w;
    struct error err;
    w = (struct world){0};
    if (arena_init(&w.arena, (size_t)64 << 20, &err))
        return -1;
    random_seed(&w.random, 1);
    w.c = (struct compute){
        .device = &device_reference, .arena = &w.arena, .tape = &w.tape, .random = &w.random};
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tape_release(&w->tape);
    arena_release(&w->arena);
    return 0;
}

/* [rows, 2] counting 1, 2, 3 ... */
static struct tensor *counting(struct compute *c, int64_t rows, bool needs_grad)
{
    struct tensor *t = tensor_new(c, TENSOR_SHAPE(rows, 2));
    for (int64_t i = 0; i < 2 * rows; i++)
        t->data[i] = (float)(i + 1);
    t->needs_grad = needs_grad;
    return t;
}

/* The sum of all numbers of t, as a scalar. */
static struct tensor *sum(struct compute *c, struct tensor *t)
{
    int64_t count = tensor_count(t);
    struct tensor *ones = tensor_new(c, TENSOR_SHAPE(1, count));
    c->device->fill(ones->data, 1, count);
    return op_linear(c, op_reshape(c, t, TENSOR_SHAPE(1, count)), ones, NULL);
}

static void assert_numbers(const float *x, int64_t count, const float *expected)
{
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        assert_float_equal(x[i], expected[i], 1e-6f);
}

static void test_shapes(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *t = tensor_zeros(c, TENSOR_SHAPE(2, 3, 4));
    assert_int_equal(tensor_count(t), 24);
    assert_int_equal(tensor_rows(t), 6);
    assert_int_equal(tensor_width(t), 4);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    for (int i = 0; i < 24; i++)
        assert_true(t->data[i] == 0);
    struct tensor *none = tensor_new(c, TENSOR_SHAPE(0, 4));
    assert_int_equal(tensor_rows(none), 0);
    struct tensor *copy = tensor_from(c, (float[]){5, 6}, TENSOR_SHAPE(2));
    assert_numbers(copy->data, 2, (float[]){5, 6});
}

static void test_used_twice(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 1, true);
    struct tensor *y = op_add(c, op_scale(c, x, 3), x); /* 3x + x */
    tape_backward(c, sum(c, op_add(c, y, y)), 1);
    assert_numbers(x->grad, 2, (float[]){8, 8});
}

static void test_scale_of_loss(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 1, true);
    struct tensor *loss = sum(c, op_scale(c, x, 3));
    tape_backward(c, loss, 0.5f);
    assert_numbers(loss->grad, 1, (float[]){0.5f});
    assert_numbers(x->grad, 2, (float[]){1.5f, 1.5f});
    assert_int_equal(c->tape->count, 0);
}

struct told {
    struct tensor *parameter[8];
    float gradient[8]; /* its first number at that time */
    int count;
};

static void on_used(void *arg, struct tensor *parameter)
{
    struct told *told = arg;
    told->gradient[told->count] = parameter->grad[0];
    told->parameter[told->count++] = parameter;
}

/* One that is used first is done last; one whose uses are spread out, with the last call; a view
   counts as the parameter that it is of; a frozen one is not told of. */
static void test_uses_are_told(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct error err = {0};
    struct tensor first, spread, frozen;
    struct told told = {0};
    assert_int_equal(parameter_init(&first, TENSOR_SHAPE(2, 1), &err), 0);
    assert_int_equal(parameter_init(&spread, TENSOR_SHAPE(2, 1), &err), 0);
    assert_int_equal(parameter_init(&frozen, TENSOR_SHAPE(2, 1), &err), 0);
    assert_int_equal(parameter_train(&first, true, &err), 0);
    assert_int_equal(parameter_train(&spread, true, &err), 0);
    c->tape->used = on_used;
    c->tape->used_arg = &told;
    struct tensor *y = op_add(c, op_scale(c, &first, 3), &frozen);
    y = op_add(c, y, op_slice_rows(c, &spread, 0, 2));
    y = op_scale(c, y, 2);
    y = op_add(c, y, &spread);
    tape_backward(c, sum(c, y), 1);
    assert_int_equal(told.count, 3);
    assert_ptr_equal(told.parameter[0], &spread);
    assert_ptr_equal(told.parameter[1], &spread);
    assert_ptr_equal(told.parameter[2], &first);
    assert_numbers(told.gradient, 3, (float[]){1, 3, 6});
    assert_ptr_equal(c->tape->used, on_used);
    c->tape->used = NULL;
    parameter_release(&first);
    parameter_release(&spread);
    parameter_release(&frozen);
}

struct branch {
    struct tensor *weight; /* [2, 2] */
    int runs;
};

/* made: a chain of x w^T with dropout, and a narrow side result of its first link. */
static void run_branch(void *arg, struct compute *c, struct tensor *x, struct tensor **made)
{
    struct branch *b = arg;
    struct tensor *y = op_linear(c, x, b->weight, NULL);
    b->runs++;
    made[1] = op_linear(c, y, op_slice_rows(c, b->weight, 0, 1), NULL);
    for (int i = 0; i < 20; i++)
        y = op_dropout(c, op_gelu(c, y), 0.25f);
    made[0] = y;
}

/* The loss sees the side result alone, or both. */
static void recompute_branch(struct world *w, struct tensor *weight, bool again, bool side_only)
{
    struct compute *c = &w->c;
    struct branch b = {.weight = weight};
    struct tensor *x = counting(c, 500, true);
    struct tensor *y[2] = {tensor_new(c, TENSOR_SHAPE(500, 2)),
                           tensor_new(c, TENSOR_SHAPE(500, 1))};
    random_seed(&w->random, 3);
    size_t before = arena_mark(&w->arena);
    if (again)
        tape_recompute(c, y, 2, x, run_branch, &b);
    else
        run_branch(&b, c, x, y);
    size_t kept = arena_mark(&w->arena) - before;
    struct tensor *loss = sum(c, y[1]);
    if (!side_only)
        loss = op_add(c, loss, sum(c, y[0]));
    random_next(&w->random); /* others draw in between */
    tape_backward(c, loss, 1);
    assert_int_equal(b.runs, 1 + again);
    assert_true(again ? kept < (16 << 10) : kept > 100000); /* the tape is in there */
    assert_non_null(x->grad);
    assert_true((char *)(x->grad + 1000) <= w->arena.base + w->arena.used);
    /* the branch's gradient of x, and the weight's, stand in front of the arena for the caller */
    memcpy(w->arena.base, x->grad, 1000 * sizeof(float));
    memcpy(w->arena.base + 4000, weight->grad, 4 * sizeof(float));
    memcpy(w->arena.base + 4016, &w->random, sizeof w->random);
    memset(weight->grad, 0, 4 * sizeof(float));
}

/* What is run again gives the gradients, to the bit, of what is kept, leaves the random numbers
   where they were, and tells of each use of a parameter once, when its gradient is whole. */
static void test_recompute(void **state)
{
    enum { BYTES = 4016 + sizeof(struct random) };
    static char kept[BYTES], again[BYTES];
    struct world *w = *state;
    struct error err = {0};
    struct told told;
    struct tensor weight;
    assert_int_equal(parameter_init(&weight, TENSOR_SHAPE(2, 2), &err), 0);
    assert_int_equal(parameter_train(&weight, true, &err), 0);
    for (int i = 0; i < 4; i++)
        weight.data[i] = 0.5f - 0.2f * (float)i;
    for (int side_only = 0; side_only < 2; side_only++) {
        for (int i = 0; i < 2; i++) {
            arena_rewind(&w->arena, 0);
            arena_alloc(&w->arena, BYTES);
            told = (struct told){0};
            w->tape.used = on_used;
            w->tape.used_arg = &told;
            recompute_branch(w, &weight, i, side_only);
            memcpy(i ? again : kept, w->arena.base, BYTES);
            assert_int_equal(told.count, 2);
        }
        assert_memory_equal(kept, again, BYTES);
        assert_float_equal(told.gradient[0], told.gradient[1], 0); /* both behind the one entry */
        assert_true(told.gradient[0] != 0);
    }
    w->tape.used = NULL;
    parameter_release(&weight);
}

static void test_frozen_branch(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *frozen = counting(c, 2, false), *x = counting(c, 2, true);
    struct tensor *deep = op_gelu(c, op_scale(c, frozen, 2));
    assert_false(deep->needs_grad);
    assert_int_equal(c->tape->count, 0); /* nothing to record so far */
    struct tensor *y = op_add(c, deep, x);
    assert_true(y->needs_grad);
    assert_int_equal(c->tape->count, 1);
    tape_backward(c, sum(c, y), 1);
    assert_null(frozen->grad);
    assert_null(deep->grad);
    assert_numbers(x->grad, 4, (float[]){1, 1, 1, 1});
}

static void test_branch_without_loss(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 1, true), *other = counting(c, 1, true);
    struct tensor *unused = op_scale(c, other, 5);
    tape_backward(c, sum(c, op_scale(c, x, 2)), 1);
    assert_null(unused->grad);
    assert_null(other->grad);
    assert_numbers(x->grad, 2, (float[]){2, 2});
}

static void test_loss_of_frozen_inputs(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *loss = sum(c, counting(c, 2, false));
    tape_backward(c, loss, 1);
    assert_null(loss->grad);
}

static void test_no_tape(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 2, true);
    c->tape = NULL;
    size_t mark = arena_mark(c->arena);
    struct tensor *y = op_gelu(c, x);
    assert_false(y->needs_grad);
    /* the tensor and its numbers, each rounded up to 64 bytes, and nothing else */
    size_t tensor = (sizeof *y + 63) / 64 * 64;
    assert_int_equal(arena_mark(c->arena) - mark, tensor + 64);
}

static void test_views_share_memory(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 4, true); /* [4, 2] */
    struct tensor *wide = op_reshape(c, x, TENSOR_SHAPE(2, 4));
    struct tensor *last = op_slice_rows(c, wide, 1, 1);
    assert_ptr_equal(last->data, x->data + 4);
    tape_backward(c, sum(c, op_scale(c, last, 7)), 1);
    assert_ptr_equal(last->grad, x->grad + 4);
    assert_numbers(x->grad, 8, (float[]){0, 0, 0, 0, 7, 7, 7, 7});
}

static void test_views_overlap(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 3, true);
    struct tensor *y = op_scale(c, x, 2);
    struct tensor *head = op_slice_rows(c, y, 0, 2), *tail = op_slice_rows(c, y, 1, 2);
    tape_backward(c, sum(c, op_add(c, op_scale(c, head, 10), tail)), 1);
    assert_numbers(x->grad, 6, (float[]){20, 20, 22, 22, 2, 2});
}

static void test_view_of_parameter(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor p;
    struct error err;
    assert_int_equal(parameter_init(&p, TENSOR_SHAPE(3, 2), &err), 0);
    assert_int_equal(parameter_train(&p, true, &err), 0);
    for (int step = 1; step <= 2; step++) { /* a parameter's gradient outlives the arena's step */
        size_t mark = arena_mark(c->arena);
        struct tensor *middle = op_slice_rows(c, &p, 1, 1);
        assert_false(middle->parameter); /* so nobody packs a piece of it */
        tape_backward(c, sum(c, op_scale(c, middle, 3)), 1);
        arena_rewind(c->arena, mark);
        assert_numbers(p.grad, 6, (float[]){0, 0, 3.f * step, 3.f * step, 0, 0});
    }
    parameter_release(&p);
}

static void test_parameter_life(void **state)
{
    (void)state;
    struct tensor p;
    struct error err;
    assert_int_equal(parameter_init(&p, TENSOR_SHAPE(3, 2), &err), 0);
    assert_true(p.parameter);
    assert_null(p.grad);
    assert_false(p.needs_grad);
    assert_int_equal(parameter_train(&p, true, &err), 0);
    assert_non_null(p.grad);
    assert_true(p.needs_grad);
    assert_int_equal(parameter_train(&p, false, &err), 0);
    assert_null(p.grad);
    assert_false(p.needs_grad);
    parameter_release(&p);
    assert_null(p.data);
    int64_t huge = (int64_t)1 << 62; /* its bytes do not fit a size_t */
    assert_int_equal(parameter_init(&p, 1, &huge, &err), ERROR_MEMORY);
}

static int packs_freed;

static void count_free(struct pack *pack)
{
    (void)pack;
    packs_freed++;
}

static void test_changed_parameter_drops_its_pack(void **state)
{
    (void)state;
    struct tensor p;
    struct error err;
    struct device device = {.pack_free = count_free};
    struct pack pack = {.device = &device};
    packs_freed = 0;
    assert_int_equal(parameter_init(&p, TENSOR_SHAPE(3, 2), &err), 0);
    p.pack = &pack;
    parameter_changed(&p);
    assert_int_equal(packs_freed, 1);
    assert_null(p.pack);
    p.pack = &pack;
    parameter_release(&p);
    assert_int_equal(packs_freed, 2);
}

/* More entries than the tape's first piece holds. */
static void test_long_tape(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 1, true), *y = x;
    for (int i = 0; i < 1500; i++)
        y = op_add(c, y, x);
    assert_int_equal(c->tape->count, 1500);
    tape_backward(c, sum(c, y), 1);
    assert_numbers(x->grad, 2, (float[]){1501, 1501});
}

/* The caller's spans, ids and compute may be gone when the backward runs. */
static void test_arguments_are_copied(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = counting(c, 4, true);
    struct compute local = *c;
    struct span spans[] = {{0, 2}, {2, 2}};
    int32_t index[] = {1, 1};
    struct tensor *y = op_gather_rows(&local, op_pool_rows(&local, x, spans, 2, 2), index, 2);
    memset(&local, 0xff, sizeof local);
    memset(spans, 0xff, sizeof spans);
    memset(index, 0xff, sizeof index);
    tape_backward(c, sum(c, y), 1);
    assert_numbers(x->grad, 8, (float[]){0, 0, 0, 0, 1, 1, 1, 1});
}

static void test_dropout(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = tensor_new(c, TENSOR_SHAPE(100, 100));
    c->device->fill(x->data, 1, 10000);
    struct compute inference = *c;
    inference.random = NULL;
    assert_ptr_equal(op_dropout(&inference, x, 0.25f), x);
    assert_ptr_equal(op_dropout(c, x, 0), x);
    const struct tensor *y = op_dropout(c, x, 0.25f);
    int dropped = 0;
    for (int i = 0; i < 10000; i++) {
        assert_true(y->data[i] == 0 || y->data[i] == 1 / 0.75f);
        dropped += y->data[i] == 0;
    }
    assert_in_range(dropped, 2300, 2700); /* 2500 +- 4.6 standard deviations */
}

static void test_batch_norm_follows_the_batch(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *x = tensor_from(c, (float[]){1, 2, 6}, TENSOR_SHAPE(3, 1));
    struct tensor *w = tensor_from(c, (float[]){1}, TENSOR_SHAPE(1));
    struct tensor *b = tensor_zeros(c, TENSOR_SHAPE(1)), *mean = tensor_zeros(c, TENSOR_SHAPE(1));
    struct tensor *var = tensor_from(c, (float[]){1}, TENSOR_SHAPE(1));
    c->training = true;
    op_batch_norm(c, x, w, b, mean, var, 0.1f, 0);
    assert_float_equal(mean->data[0], 0.3f, 1e-6f);       /* 0.9 * 0 + 0.1 * 3 */
    assert_float_equal(var->data[0], 0.9f + 0.7f, 1e-6f); /* unbiased variance 7 */
    c->training = false;
    const struct tensor *y = op_batch_norm(c, x, w, b, mean, var, 0.1f, 0);
    assert_float_equal(y->data[2], 5.7f / sqrtf(1.6f), 1e-5f);
    assert_float_equal(mean->data[0], 0.3f, 1e-6f);
}

static void test_top_k_share(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    float share[3];
    struct tensor *scores =
        tensor_from(c, (float[]){.5f, .3f, .2f, .2f, .2f, .6f}, TENSOR_SHAPE(2, 3));
    const struct tensor *gates = op_top_k(c, scores, 2, true, share);
    assert_numbers(share, 3, (float[]){0.5f, 0.25f, 0.25f}); /* a tie goes to the lower index */
    assert_numbers(gates->data, 6, (float[]){.625f, .375f, 0, .25f, 0, .75f});
}

static void test_cross_entropy_ignores_rows(void **state)
{
    struct compute *c = &((struct world *)*state)->c;
    struct tensor *logits = tensor_zeros(c, TENSOR_SHAPE(3, 4));
    logits->data[0] = 100; /* the ignored row */
    const struct tensor *loss = op_cross_entropy(c, logits, (int32_t[]){-1, 0, 3}, NULL, 0);
    assert_float_equal(loss->data[0], logf(4), 1e-6f);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_shapes),
        TEST(test_used_twice),
        TEST(test_scale_of_loss),
        TEST(test_uses_are_told),
        TEST(test_recompute),
        TEST(test_frozen_branch),
        TEST(test_branch_without_loss),
        TEST(test_loss_of_frozen_inputs),
        TEST(test_no_tape),
        TEST(test_views_share_memory),
        TEST(test_views_overlap),
        TEST(test_view_of_parameter),
        TEST(test_parameter_life),
        TEST(test_changed_parameter_drops_its_pack),
        TEST(test_long_tape),
        TEST(test_arguments_are_copied),
        TEST(test_dropout),
        TEST(test_batch_norm_follows_the_batch),
        TEST(test_top_k_share),
        TEST(test_cross_entropy_ignores_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
