/*
 * Low-rank adaptation of attention's queries and values (Hu et al. 2021; Llama-AVSR, Llama-MTSK):
 *
 *     q = W_q x + scale B_q (A_q x),  v likewise      A "down" [inner, width], B "up" [out, inner]
 *
 * A starts at zero and B at random, as in the published systems: untrained, it changes nothing.
 *
 * Sets: one for all rows (MS), one for each pair of rates (SS), or one for all plus one for each
 * (MSS), their sum. Sets lie one behind the other in the rows of A [sets * inner, width] and of B
 * [sets * out, inner], the one for all first; so a set is a block of memory in both, and what rows
 * of one set need is two products. Names: q.down.weight, q.up.weight, v.down.weight, v.up.weight.
 */
#ifndef NN_LORA_H
#define NN_LORA_H

#include "nn/param.h"
#include "nn/rate_run.h"
#include "tensor/ops.h"

struct lora_factors {
    struct tensor down, up; /* A and B above */
};

struct lora {
    int inner;   /* 0: there is none */
    bool global; /* a set for all rows */
    int pairs;   /* sets by pair of rates: of pairs 1 ... pairs (0: none) */
    float scale;
    struct lora_factors q, v;
};

struct lora_sizes {
    int64_t width, q_width, v_width;
    int inner, pairs;
    bool global;
    float scale;
};

void lora_init(struct lora *l, const struct lora_sizes *s);
void lora_params(struct lora *l, struct param_visitor *v);
/* Adds to qkv[0] and qkv[2], the queries and values of x [rows, width]. runs cover all rows in
   order; NULL and 0 where there is the set for all alone. */
void lora_add(struct lora *l, struct compute *c, struct tensor *qkv[3], struct tensor *x,
              const struct rate_run *runs, int run_count);

#endif
