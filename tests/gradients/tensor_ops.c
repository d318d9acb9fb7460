/*
 * Every op against finite differences, on every device: a new op is one small function and one
 * line in the table. Inputs are drawn so that no op stands at a kink: see enum draw.
 */
#include "gradients/check.h"

#define SPANS(...) ((const struct span[]){__VA_ARGS__})

/* ---- the ops under test: f(in) ---- */

static struct tensor *linear(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_linear(c, in[0], in[1], in[2]);
}

static struct tensor *linear_without_bias(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_linear(c, in[0], in[1], NULL);
}

static struct tensor *convolution(struct compute *c, struct tensor **in, const void *arg)
{
    return op_convolution(c, in[0], in[1], in[2], arg);
}

static struct tensor *attention(struct compute *c, struct tensor **in, const void *arg)
{
    return op_attention(c, in[0], in[1], in[2], arg);
}

static struct tensor *layer_norm(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_layer_norm(c, in[0], in[1], in[2], 1e-5f);
}

static struct tensor *rms_norm(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_rms_norm(c, in[0], in[1], 1e-5f);
}

static struct tensor *batch_norm(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    struct tensor *mean = tensor_zeros(c, TENSOR_SHAPE(tensor_width(in[0])));
    struct tensor *var = tensor_zeros(c, TENSOR_SHAPE(tensor_width(in[0])));
    for (int64_t i = 0; i < tensor_count(var); i++) {
        mean->data[i] = 0.25f * (float)i;
        var->data[i] = 0.5f + (float)i;
    }
    return op_batch_norm(c, in[0], in[1], in[2], mean, var, 0.1f, 1e-5f);
}

static struct tensor *relu(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_relu(c, in[0]);
}

static struct tensor *gelu(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_gelu(c, in[0]);
}

static struct tensor *prelu(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_prelu(c, in[0], in[1]);
}

static struct tensor *swiglu(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_swiglu(c, in[0], in[1]);
}

static struct tensor *add(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_add(c, in[0], in[1]);
}

static struct tensor *add_periodic(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_add_periodic(c, in[0], in[1], tensor_rows(in[1]));
}

static struct tensor *scale(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_scale(c, in[0], -1.5f);
}

static struct tensor *dropout(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_dropout(c, in[0], 0.4f);
}

static struct tensor *rope(struct compute *c, struct tensor **in, const void *arg)
{
    const int *heads = arg;
    const int32_t position[] = {0, 1, 5, 2, 100};
    const float inverse_frequency[] = {1, 0.1f, 0.01f};
    return op_rope(c, in[0], position, inverse_frequency, *heads);
}

static struct tensor *views(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    struct tensor *base = op_scale(c, in[0], 2); /* [6, 4] */
    struct tensor *wide = op_reshape(c, base, TENSOR_SHAPE(3, 8));
    struct tensor *middle = op_slice_rows(c, wide, 1, 2);
    struct tensor *part = op_slice_rows(c, base, 1, 4);
    struct tensor *sum = op_add(c, op_reshape(c, middle, TENSOR_SHAPE(4, 4)), op_gelu(c, part));
    return op_concat_rows(c, (struct tensor *[]){sum, base}, 2);
}

static struct tensor *concat_rows(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_concat_rows(c, (struct tensor *[]){in[0], in[1], in[0]}, 3);
}

static struct tensor *concat_columns(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_concat_columns(c, (struct tensor *[]){in[0], in[1], in[0]}, 3);
}

static struct tensor *gather_rows(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_gather_rows(c, in[0], (int32_t[]){3, 0, -1, 3, 1}, 5);
}

static struct tensor *pool_rows(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_pool_rows(c, in[0], SPANS({4, 7}, {0, 4}, {11, 1}), 3, 3);
}

static struct tensor *stack_rows(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_stack_rows(c, in[0], SPANS({4, 7}, {0, 4}, {11, 1}), 3, 3);
}

static struct tensor *mean_rows(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_mean_rows(c, in[0], 4);
}

static struct tensor *max_pool(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_max_pool(c, in[0], 3, 2, 1);
}

static struct tensor *softmax(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_softmax(c, in[0]);
}

static struct tensor *top_k(struct compute *c, struct tensor **in, const void *arg)
{
    const bool *renormalise = arg;
    return op_top_k(c, in[0], 3, *renormalise, NULL);
}

static struct tensor *gate_experts(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_gate_experts(c, in[0], in[1], 2, 3); /* 2 shared, 3 routed, 3 wide */
}

static struct tensor *load_balance(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    return op_load_balance(c, in[0], (float[]){0.5f, 0.1f, 0.2f, 0.2f});
}

static struct tensor *cross_entropy(struct compute *c, struct tensor **in, const void *arg)
{
    const float *weight = arg;
    return op_cross_entropy(c, in[0], (int32_t[]){2, -1, 6, 0}, weight, weight ? 0.1f : 0);
}

/* A repeat, no labels, no path, two labels; a row of no sequence. */
static struct tensor *ctc(struct compute *c, struct tensor **in, const void *arg)
{
    return op_ctc(c, in[0], SPANS({0, 5}, {5, 2}, {8, 2}, {10, 4}), (int32_t[]){3, 3, 1, 4, 4, 0},
                  SPANS({0, 3}, {0, 0}, {3, 2}, {4, 2}), 4, 2, arg);
}

static struct tensor *weighted_sum(struct compute *c, struct tensor **in, const void *arg)
{
    (void)arg;
    struct tensor *terms[] = {in[0], in[1], op_scale(c, in[0], 3)};
    return op_weighted_sum(c, terms, (float[]){0.5f, -2, 1}, 3);
}

/* ---- the table ---- */

enum draw {
    NORMAL,      /* independent normal numbers */
    AWAY_FROM_0, /* at least 0.1 from zero: relu, prelu */
    SPREAD       /* positive, any two at least 0.1 apart: max pool, top k */
};

struct input {
    int dims;
    int64_t shape[TENSOR_MAX_DIMS];
    enum draw draw;
};

#define CASE_INPUTS 3
struct op_case {
    const char *name;
    struct tensor *(*function)(struct compute *c, struct tensor **in, const void *arg);
    struct input in[CASE_INPUTS]; /* dims 0: no more */
    const void *arg;
    bool training;
};

#define SHAPE_OF(...) .dims = sizeof((int[]){__VA_ARGS__}) / sizeof(int), .shape = {__VA_ARGS__}
#define SHAPE(...)                                                                                 \
    {                                                                                              \
        SHAPE_OF(__VA_ARGS__)                                                                      \
    }
#define AWAY_SHAPE(...)                                                                            \
    {                                                                                              \
        SHAPE_OF(__VA_ARGS__), .draw = AWAY_FROM_0                                                 \
    }
#define SPREAD_SHAPE(...)                                                                          \
    {                                                                                              \
        SHAPE_OF(__VA_ARGS__), .draw = SPREAD                                                      \
    }
#define OP(title, f, ...) .name = title, .function = f, .in = {__VA_ARGS__}
#define CONV(...) (&(const struct convolution){__VA_ARGS__})
#define ATTENTION(...) (&(const struct attention){__VA_ARGS__})

static const struct op_case cases[] = {
    {OP("linear", linear, SHAPE(5, 7), SHAPE(3, 7), SHAPE(3))},
    {OP("linear, one row", linear, SHAPE(1, 17), SHAPE(33, 17), SHAPE(33))},
    {OP("linear, 3 dimensions, no bias", linear_without_bias, SHAPE(2, 3, 4), SHAPE(5, 4))},
    {OP("convolution 1d", convolution, SHAPE(2, 1, 1, 7, 3), SHAPE(4, 1, 1, 3, 3), SHAPE(4)),
     .arg = CONV({1, 1, 2}, {0, 0, 1}, 1)},
    {OP("convolution 2d", convolution, SHAPE(2, 1, 5, 4, 3), SHAPE(5, 1, 3, 3, 3), SHAPE(5)),
     .arg = CONV({1, 2, 2}, {0, 1, 1}, 1)},
    {OP("convolution 3d", convolution, SHAPE(1, 4, 5, 6, 1), SHAPE(3, 3, 3, 5, 1), SHAPE(3)),
     .arg = CONV({1, 2, 2}, {1, 1, 2}, 1)},
    {OP("convolution in groups", convolution, SHAPE(1, 1, 1, 9, 6), SHAPE(4, 1, 1, 4, 3), SHAPE(4)),
     .arg = CONV({1, 1, 1}, {0, 0, 2}, 2)},
    {OP("attention", attention, SHAPE(5, 6), SHAPE(6, 6), SHAPE(6, 6)),
     .arg = ATTENTION(2, 2, false, 0, 2, SPANS({0, 2}, {2, 3}), SPANS({0, 4}, {4, 2}))},
    {OP("attention, causal, rows outside", attention, SHAPE(7, 4), SHAPE(8, 4), SHAPE(8, 4)),
     .arg = ATTENTION(1, 1, true, 0.3f, 2, SPANS({4, 3}, {1, 2}), SPANS({5, 3}, {0, 5}))},
    {OP("attention, grouped queries", attention, SHAPE(4, 12), SHAPE(4, 6), SHAPE(4, 6)),
     .arg = ATTENTION(4, 2, true, 0, 1, SPANS({0, 4}), SPANS({0, 4}))},
    {OP("layer norm", layer_norm, SHAPE(4, 9), SHAPE(9), SHAPE(9))},
    {OP("rms norm", rms_norm, SHAPE(4, 9), SHAPE(9))},
    {OP("batch norm", batch_norm, SHAPE(7, 3), SHAPE(3), SHAPE(3))},
    {OP("batch norm, training", batch_norm, SHAPE(7, 3), SHAPE(3), SHAPE(3)), .training = true},
    {OP("relu", relu, AWAY_SHAPE(3, 11))},
    {OP("gelu", gelu, SHAPE(3, 11))},
    {OP("prelu", prelu, AWAY_SHAPE(3, 11), SHAPE(11))},
    {OP("swiglu", swiglu, SHAPE(3, 11), SHAPE(3, 11))},
    {OP("add", add, SHAPE(3, 11), SHAPE(3, 11))},
    {OP("add periodic", add_periodic, SHAPE(7, 5), SHAPE(3, 5))},
    {OP("scale", scale, SHAPE(3, 11))},
    {OP("dropout", dropout, SHAPE(5, 11)), .training = true},
    {OP("dropout, not training", dropout, SHAPE(5, 11))},
    {OP("rope, one head", rope, SHAPE(5, 6)), .arg = &(int){1}},
    {OP("rope, two heads", rope, SHAPE(5, 12)), .arg = &(int){2}},
    {OP("views", views, SHAPE(6, 4))},
    {OP("concat rows", concat_rows, SHAPE(2, 5), SHAPE(3, 5))},
    {OP("concat columns", concat_columns, SHAPE(3, 2), SHAPE(3, 5))},
    {OP("gather rows", gather_rows, SHAPE(4, 5))},
    {OP("pool rows", pool_rows, SHAPE(12, 5))},
    {OP("stack rows", stack_rows, SHAPE(12, 5))},
    {OP("mean rows", mean_rows, SHAPE(12, 5))},
    {OP("max pool", max_pool, SPREAD_SHAPE(2, 5, 6, 2))},
    {OP("softmax", softmax, SHAPE(3, 7))},
    {OP("top k", top_k, SPREAD_SHAPE(4, 7)), .arg = &(bool){false}},
    {OP("top k, renormalised", top_k, SPREAD_SHAPE(4, 7)), .arg = &(bool){true}},
    {OP("gate experts", gate_experts, SHAPE(4, 15), SHAPE(4, 3))},
    {OP("load balance", load_balance, SHAPE(5, 4))},
    {OP("cross entropy", cross_entropy, SHAPE(4, 7))},
    {OP("cross entropy, weighted, smooth", cross_entropy, SHAPE(4, 7)),
     .arg = (float[]){1, 9, 0.5f, -2}},
    {OP("ctc", ctc, SHAPE(14, 6))},
    {OP("ctc, weighted", ctc, SHAPE(14, 6)), .arg = (float[]){1, 0.5f, 9, -2}},
    {OP("weighted sum", weighted_sum, SHAPE(1), SHAPE(1))},
};

#define CASES ((int)(sizeof cases / sizeof *cases))
static const struct device *const devices[] = {&device_reference, &device_cpu};
#define DEVICES ((int)(sizeof devices / sizeof *devices))
#define RUNS (CASES * DEVICES * 2) /* in both precisions */
#define SEEDS 2

/* ---- running it ---- */

static void shuffle(float *x, int64_t count, struct random *random)
{
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = random_below(random, i + 1);
        float old = x[i];
        x[i] = x[j];
        x[j] = old;
    }
}

static void draw(struct tensor *t, enum draw how, struct random *random)
{
    int64_t count = tensor_count(t);
    for (int64_t i = 0; i < count; i++) {
        float x = (float)random_normal(random);
        t->data[i] = how == SPREAD        ? 0.1f * (float)(i + 1)
                     : how == AWAY_FROM_0 ? x + copysignf(0.1f, x)
                                          : x;
    }
    if (how == SPREAD)
        shuffle(t->data, count, random);
}

struct run {
    const struct op_case *op;
    const struct device *device;
    enum precision precision;
    char name[96];
};

static void test_op(void **state)
{
    const struct run *run = *state;
    struct error err;
    struct tensor inputs[CASE_INPUTS], *in[CASE_INPUTS];
    struct check check = {.name = run->op->name,
                          .device = run->device,
                          .function = run->op->function,
                          .arg = run->op->arg,
                          .in = in,
                          .training = run->op->training,
                          .precision = run->precision,
                          .tolerance = run->precision == PRECISION_BF16 ? 3e-2 : 2e-3};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        random_seed(&random, seed);
        check.dropout_seed = seed;
        check.count = 0;
        for (int i = 0; i < CASE_INPUTS && run->op->in[i].dims; i++) {
            const struct input *shape = &run->op->in[i];
            in[i] = &inputs[i];
            assert_int_equal(parameter_init(in[i], shape->dims, shape->shape, &err), 0);
            assert_int_equal(parameter_train(in[i], true, &err), 0);
            draw(in[i], shape->draw, &random);
            check.count++;
        }
        check_gradients(&check);
        for (int i = 0; i < check.count; i++)
            parameter_release(in[i]);
    }
}

int main(void)
{
    static struct run runs[RUNS];
    struct CMUnitTest tests[RUNS];
    for (int i = 0; i < RUNS; i++) {
        struct run *run = &runs[i];
        run->op = &cases[i % CASES];
        run->device = devices[i / CASES % DEVICES];
        run->precision = i / CASES / DEVICES ? PRECISION_BF16 : PRECISION_F32;
        snprintf(run->name, sizeof run->name, "%s, %s: %s", run->device->name,
                 run->precision == PRECISION_BF16 ? "bf16" : "f32", run->op->name);
        tests[i] = (struct CMUnitTest){run->name, test_op, NULL, NULL, run};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
