/*
 * One layer of each kind against finite differences, in all its parameters and its input at once.
 * The layer's own walk gives its tensors memory and random values and hands them to the check.
 */
#include "gradients/check.h"

#include "nn/conv.h"
#include "nn/encoder_layer.h"
#include "nn/experts.h"
#include "nn/feedforward.h"

enum { WIDTH = 6, ROWS = 7, MAX_TENSORS = CHECK_MAX_INPUTS };

struct collector {
    struct param_visitor visitor;
    struct random random;
    bool skip_scales; /* these train, but are not checked */
    struct tensor *in[MAX_TENSORS], *others[MAX_TENSORS];
    int count, other_count;
};

static void collect(struct param_visitor *v, const char *name, struct tensor *t,
                    enum param_kind kind)
{
    struct collector *k = (struct collector *)v;
    (void)name;
    struct error err;
    int64_t shape[TENSOR_MAX_DIMS];
    memcpy(shape, t->shape, sizeof shape);
    assert_int_equal(parameter_init(t, t->dims, shape, &err), 0);
    if (param_trains(kind))
        assert_int_equal(parameter_train(t, true, &err), 0);
    /* PReLU slopes near 1 and positive variances: finite differences do not see the kink */
    bool about_one = kind == PARAM_SCALE || kind == PARAM_SLOPE || kind == PARAM_VARIANCE;
    double spread = about_one ? 0.05 : 0.5;
    for (int64_t i = 0; i < tensor_count(t); i++)
        t->data[i] = (float)(about_one + spread * random_normal(&k->random));
    if (!param_trains(kind) || (k->skip_scales && kind == PARAM_SCALE))
        k->others[k->other_count++] = t;
    else
        k->in[k->count++] = t;
}

static void collector_init(struct collector *k, uint64_t seed)
{
    *k = (struct collector){.visitor.visit = collect};
    random_seed(&k->random, seed);
}

/* in[0]: the input x [shape]. */
static void collect_input(struct collector *k, struct tensor *x, int dims, const int64_t *shape)
{
    param_declare(x, dims, shape);
    param_visit(&k->visitor, "x", x, PARAM_LINEAR);
    for (int64_t i = 0; i < tensor_count(x); i++)
        x->data[i] *= 2;
}

static void check_layer(struct collector *k, const char *name, bool training,
                        struct tensor *(*function)(struct compute *, struct tensor **,
                                                   const void *),
                        const void *layer)
{
    const struct device *const devices[] = {&device_reference, &device_cpu};
    for (int d = 0; d < 2; d++)
        check_gradients(&(struct check){.name = name,
                                        .device = devices[d],
                                        .function = function,
                                        .arg = layer,
                                        .in = k->in,
                                        .count = k->count,
                                        .training = training,
                                        .tolerance = 3e-3});
    for (int i = 0; i < k->count; i++)
        parameter_release(k->in[i]);
    for (int i = 0; i < k->other_count; i++)
        parameter_release(k->others[i]);
}

/* ---- the layers -------------------------------------------------------------------------- */

static const struct span spans[] = {{0, 4}, {4, 3}};

static struct tensor *encoder(struct compute *c, struct tensor **in, const void *layer)
{
    return encoder_layer_forward((struct encoder_layer *)layer, c, in[0], spans, 2);
}

static void encoder_layer(void **unused)
{
    (void)unused;
    struct collector k;
    struct tensor x;
    struct encoder_layer l;
    for (int k_bias = 0; k_bias < 2; k_bias++) {
        collector_init(&k, 1);
        collect_input(&k, &x, TENSOR_SHAPE(ROWS, WIDTH));
        encoder_layer_init(&l, WIDTH, 2, 8, k_bias, 0.25f);
        encoder_layer_params(&l, &k.visitor);
        assert_int_equal(k.count, 1 + 4 + 4 + 3 + k_bias + 4);
        check_layer(&k, "encoder layer", k_bias, encoder, &l); /* once with dropout */
    }
}

static struct tensor *feedforward(struct compute *c, struct tensor **in, const void *layer)
{
    return swiglu_forward((struct swiglu *)layer, c, in[0]);
}

static void swiglu_layer(void **unused)
{
    (void)unused;
    struct collector k;
    struct tensor x;
    struct swiglu l;
    collector_init(&k, 2);
    collect_input(&k, &x, TENSOR_SHAPE(ROWS, WIDTH));
    swiglu_init(&l, WIDTH, 9);
    swiglu_params(&l, &k.visitor, "mlp", PARAM_NORMAL);
    check_layer(&k, "swiglu", false, feedforward, &l);
}

static struct tensor *block(struct compute *c, struct tensor **in, const void *layer)
{
    return residual_block_forward((struct residual_block *)layer, c, in[0]);
}

static void residual_block(void **unused)
{
    (void)unused;
    struct collector k;
    struct tensor x;
    struct residual_block l;
    for (int stride = 1; stride <= 2; stride++)
        for (int training = 0; training < 2; training++) {
            collector_init(&k, 3);
            /* freezing a norm's weight changes what it computes, so these are not frozen in turn */
            k.skip_scales = training;
            collect_input(&k, &x, TENSOR_SHAPE(2, 1, 5, 5, 3));
            residual_block_init(&l, 3, stride == 1 ? 3 : 4, stride);
            residual_block_params(&l, &k.visitor);
            char name[64];
            snprintf(name, sizeof name, "residual block, stride %d%s", stride,
                     training ? ", training" : "");
            check_layer(&k, name, training, block, &l);
        }
}

static struct tensor *experts(struct compute *c, struct tensor **in, const void *layer)
{
    struct experts *e = (struct experts *)layer;
    const struct rate_run runs[] = {{4, 1}, {3, 0}};
    return experts_forward(e, c, in[0], runs, 2, NULL);
}

static void mome_module(void **unused)
{
    (void)unused;
    for (int variant = 0; variant < 8; variant++) {
        struct collector k;
        struct tensor x;
        struct experts l;
        struct experts_sizes sizes = {.width = WIDTH,
                                      .routed = variant == 7 ? 0 : 5,
                                      .active = 2,
                                      .shared = variant % 3,
                                      .bottleneck = 3,
                                      .routers = 1 + (variant & 1),
                                      .biases = variant & 2,
                                      .renormalise = variant & 4};
        collector_init(&k, 7);
        collect_input(&k, &x, TENSOR_SHAPE(ROWS, WIDTH));
        experts_init(&l, &sizes);
        experts_params(&l, &k.visitor);
        for (int64_t i = 0; sizes.routed && i < tensor_count(&l.router); i++)
            l.router.data[i] *= 2; /* scores apart: no step changes who is among the best */
        char name[64];
        snprintf(name, sizeof name, "experts, variant %d", variant);
        check_layer(&k, name, false, experts, &l);
    }
}

/* in[1] and in[2] are the queries and values that it is added to. */
static struct tensor *lora(struct compute *c, struct tensor **in, const void *layer)
{
    const struct rate_run runs[] = {{2, 3}, {4, 1}, {1, 3}};
    struct tensor *qkv[3] = {in[1], NULL, in[2]};
    lora_add((struct lora *)layer, c, qkv, in[0], runs, 3);
    return op_concat_columns(c, (struct tensor *[]){qkv[0], qkv[2]}, 2);
}

static void lora_layer(void **unused)
{
    (void)unused;
    for (int kind = 1; kind < 4; kind++) {
        struct collector k;
        struct tensor x, q, v;
        struct lora l;
        collector_init(&k, 9);
        collect_input(&k, &x, TENSOR_SHAPE(ROWS, WIDTH));
        collect_input(&k, &q, TENSOR_SHAPE(ROWS, 8));
        collect_input(&k, &v, TENSOR_SHAPE(ROWS, 4));
        lora_init(&l, &(struct lora_sizes){.width = WIDTH,
                                           .q_width = 8,
                                           .v_width = 4,
                                           .inner = 2,
                                           .pairs = kind & 2 ? 3 : 0,
                                           .global = kind & 1,
                                           .scale = 0.5f});
        lora_params(&l, &k.visitor);
        assert_int_equal(k.count, 3 + 4);
        check_layer(&k,
                    kind == 1   ? "LoRA"
                    : kind == 2 ? "LoRA per rate"
                                : "LoRA of both",
                    false, lora, &l);
    }
}

/* The encoder layer with it: the gradient goes on to what is before. */
static void encoder_layer_with_lora(void **unused)
{
    (void)unused;
    struct collector k;
    struct tensor x;
    struct encoder_layer l;
    collector_init(&k, 12);
    collect_input(&k, &x, TENSOR_SHAPE(ROWS, WIDTH));
    encoder_layer_init(&l, WIDTH, 2, 8, true, 0);
    self_attention_add_lora(&l.attention,
                            (struct lora_sizes){.inner = 2, .global = true, .scale = 2});
    lora_params(&l.attention.lora, &k.visitor);
    assert_int_equal(k.count, 1 + 4);
    struct collector frozen;
    collector_init(&frozen, 13);
    encoder_layer_params(&l, &frozen.visitor);
    for (int i = 0; i < frozen.count; i++) {
        struct error err;
        assert_int_equal(parameter_train(frozen.in[i], false, &err), 0);
        k.others[k.other_count++] = frozen.in[i];
    }
    check_layer(&k, "encoder layer with LoRA", false, encoder, &l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoder_layer),  cmocka_unit_test(swiglu_layer),
        cmocka_unit_test(residual_block), cmocka_unit_test(mome_module),
        cmocka_unit_test(lora_layer),     cmocka_unit_test(encoder_layer_with_lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
