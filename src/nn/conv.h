/*
 * Convolutions, channels last: x [N, D, H, W, C], weight [O, kd, kh, kw, C / groups] (published
 * files have [O, C / groups, kd, kh, kw]).
 *
 * With a batch norm behind it, a convolution is one layer with two ways of running. Training it:
 * convolve, then normalise by the statistics of the batch, and update the running ones. Otherwise
 * the running statistics are constants; without a tape they are what is done with the sums:
 *
 *     y = s conv(x) + beta - mean s,   s = g / sqrt(var + eps)
 *
 * A norm whose weight is frozen is never run by batch statistics, whatever the rest does.
 */
#ifndef NN_CONV_H
#define NN_CONV_H

#include "nn/param.h"
#include "tensor/ops.h"

struct conv {
    struct tensor weight, bias; /* bias may be undeclared */
    struct convolution shape;
};

struct conv_sizes {
    int64_t in, out; /* channels */
    int kernel[3], stride[3], pad[3];
    int groups; /* 0: 1 */
    bool bias;
};

void conv_init(struct conv *l, const struct conv_sizes *s);
void conv_params(struct conv *l, struct param_visitor *v, const char *name);
struct tensor *conv_forward(struct conv *l, struct compute *c, struct tensor *x);

struct conv_norm {
    struct conv conv;                           /* no bias */
    struct tensor weight, bias, mean, variance; /* [O] */
};

void conv_norm_init(struct conv_norm *l, const struct conv_sizes *s);
void conv_norm_params(struct conv_norm *l, struct param_visitor *v, const char *conv_name,
                      const char *norm_name);
/* prelu(norm(conv(x)) + add, slope), add and slope may be NULL: without */
struct tensor *conv_norm_forward(struct conv_norm *l, struct compute *c, struct tensor *x,
                                 struct tensor *add, struct tensor *slope);
/* The two halves of it (without add), for who wants to choose rows in between: when the norm is
   folded the first does all and the second is the identity. */
struct tensor *conv_norm_convolve(struct conv_norm *l, struct compute *c, struct tensor *x,
                                  struct tensor *slope);
struct tensor *conv_norm_normalise(struct conv_norm *l, struct compute *c, struct tensor *x,
                                   struct tensor *slope);

/*
 * The basic residual block on pictures x [N, H, W, C] -> [N, H', W', O]:
 *
 *     y = prelu(norm(conv3x3(prelu(norm(conv3x3(x))))) + shortcut(x))
 *
 * shortcut: 1x1 convolution and norm where size or channels change, else x itself.
 */
struct residual_block {
    struct conv_norm first, second, shortcut;
    struct tensor slope1, slope2; /* [O] */
    bool has_shortcut;
};

void residual_block_init(struct residual_block *b, int64_t in, int64_t out, int stride);
void residual_block_params(struct residual_block *b, struct param_visitor *v);
struct tensor *residual_block_forward(struct residual_block *b, struct compute *c,
                                      struct tensor *x);

#endif
