/* Convolution layers and the residual block (names: torchvision's ResNet as AV-HuBERT uses it). */
#include "nn/conv.h"

#include "nn/linear.h"

#include <math.h>
#include <string.h>

#define NORM_EPS 1e-5f
#define NORM_MOMENTUM 0.1f

void conv_init(struct conv *l, const struct conv_sizes *s)
{
    *l = (struct conv){.shape.groups = s->groups ? s->groups : 1};
    memcpy(l->shape.stride, s->stride, sizeof l->shape.stride);
    memcpy(l->shape.pad, s->pad, sizeof l->shape.pad);
    param_declare(&l->weight, TENSOR_SHAPE(s->out, s->kernel[0], s->kernel[1], s->kernel[2],
                                           s->in / l->shape.groups));
    if (s->bias)
        param_declare(&l->bias, TENSOR_SHAPE(s->out));
}

void conv_params(struct conv *l, struct param_visitor *v, const char *name)
{
    size_t mark = param_enter(v, "%s.", name);
    param_visit(v, "weight", &l->weight, PARAM_CONV);
    param_visit(v, "bias", &l->bias, PARAM_BIAS);
    param_leave(v, mark);
}

struct tensor *conv_forward(struct conv *l, struct compute *c, struct tensor *x)
{
    return op_convolution(c, x, &l->weight, param_or_null(&l->bias), &l->shape);
}

void conv_norm_init(struct conv_norm *l, const struct conv_sizes *s)
{
    *l = (struct conv_norm){0};
    conv_init(&l->conv, s);
    param_declare(&l->weight, TENSOR_SHAPE(s->out));
    param_declare(&l->bias, TENSOR_SHAPE(s->out));
    param_declare(&l->mean, TENSOR_SHAPE(s->out));
    param_declare(&l->variance, TENSOR_SHAPE(s->out));
}

void conv_norm_params(struct conv_norm *l, struct param_visitor *v, const char *conv_name,
                      const char *norm_name)
{
    conv_params(&l->conv, v, conv_name);
    size_t mark = param_enter(v, "%s.", norm_name);
    param_visit(v, "weight", &l->weight, PARAM_SCALE);
    param_visit(v, "bias", &l->bias, PARAM_BIAS);
    param_visit(v, "running_mean", &l->mean, PARAM_MEAN);
    param_visit(v, "running_var", &l->variance, PARAM_VARIANCE);
    param_leave(v, mark);
}

static bool conv_norm_folds(const struct compute *c)
{
    return !c->tape && !c->training;
}

static struct tensor *convolve_folded(struct conv_norm *l, struct compute *c, struct tensor *x,
                                      struct tensor *add, struct tensor *slope)
{
    int64_t filters = tensor_count(&l->weight);
    struct tensor *scale = tensor_new(c, TENSOR_SHAPE(filters));
    struct tensor *bias = tensor_new(c, TENSOR_SHAPE(filters));
    for (int64_t o = 0; o < filters; o++) {
        scale->data[o] = l->weight.data[o] / sqrtf(l->variance.data[o] + NORM_EPS);
        bias->data[o] = l->bias.data[o] - l->mean.data[o] * scale->data[o];
    }
    return op_convolution_followed(c, x, &l->conv.weight, &l->conv.shape,
                                   &(struct convolution_follow){scale, bias, slope, add});
}

struct tensor *conv_norm_convolve(struct conv_norm *l, struct compute *c, struct tensor *x,
                                  struct tensor *slope)
{
    return conv_norm_folds(c) ? convolve_folded(l, c, x, NULL, slope)
                              : conv_forward(&l->conv, c, x);
}

static struct tensor *normalise(struct conv_norm *l, struct compute *c, struct tensor *x)
{
    struct compute run = *c;
    run.training = c->training && l->weight.needs_grad;
    return op_batch_norm(&run, x, &l->weight, &l->bias, &l->mean, &l->variance, NORM_MOMENTUM,
                         NORM_EPS);
}

struct tensor *conv_norm_normalise(struct conv_norm *l, struct compute *c, struct tensor *x,
                                   struct tensor *slope)
{
    return conv_norm_folds(c) ? x : op_prelu(c, normalise(l, c, x), slope);
}

struct tensor *conv_norm_forward(struct conv_norm *l, struct compute *c, struct tensor *x,
                                 struct tensor *add, struct tensor *slope)
{
    if (conv_norm_folds(c))
        return convolve_folded(l, c, x, add, slope);
    struct tensor *y = normalise(l, c, conv_forward(&l->conv, c, x));
    y = add ? op_add(c, y, add) : y;
    return slope ? op_prelu(c, y, slope) : y;
}

void residual_block_init(struct residual_block *b, int64_t in, int64_t out, int stride)
{
    *b = (struct residual_block){.has_shortcut = stride != 1 || in != out};
    conv_norm_init(&b->first, &(struct conv_sizes){.in = in,
                                                   .out = out,
                                                   .kernel = {1, 3, 3},
                                                   .stride = {1, stride, stride},
                                                   .pad = {0, 1, 1}});
    conv_norm_init(
        &b->second,
        &(struct conv_sizes){
            .in = out, .out = out, .kernel = {1, 3, 3}, .stride = {1, 1, 1}, .pad = {0, 1, 1}});
    if (b->has_shortcut)
        conv_norm_init(&b->shortcut, &(struct conv_sizes){.in = in,
                                                          .out = out,
                                                          .kernel = {1, 1, 1},
                                                          .stride = {1, stride, stride}});
    param_declare(&b->slope1, TENSOR_SHAPE(out));
    param_declare(&b->slope2, TENSOR_SHAPE(out));
}

void residual_block_params(struct residual_block *b, struct param_visitor *v)
{
    conv_norm_params(&b->first, v, "conv1", "bn1");
    param_visit(v, "relu1.weight", &b->slope1, PARAM_SLOPE);
    conv_norm_params(&b->second, v, "conv2", "bn2");
    param_visit(v, "relu2.weight", &b->slope2, PARAM_SLOPE);
    if (b->has_shortcut)
        conv_norm_params(&b->shortcut, v, "downsample.0", "downsample.1");
}

struct tensor *residual_block_forward(struct residual_block *b, struct compute *c, struct tensor *x)
{
    struct tensor *y = conv_norm_forward(&b->first, c, x, NULL, &b->slope1);
    if (b->has_shortcut)
        x = conv_norm_forward(&b->shortcut, c, x, NULL, NULL);
    return conv_norm_forward(&b->second, c, y, x, &b->slope2);
}
