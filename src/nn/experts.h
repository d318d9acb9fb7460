/*
 * One MoME module (system of the paper, section 2): Ns shared and Nr routed experts with bottleneck
 * b, of which each row uses the shared ones and its K best routed ones.
 *
 *     h = gelu(x D^T + d)                  D [(Ns + Nr) b, width]: all experts in one product
 *     s = softmax(x R^T)                   R [routers * Nr, width]
 *     g = s where s is among the K largest, else 0 (renormalised to sum 1: a setting)
 *     h's b columns of routed expert n *= g_n
 *     y = [h, g] U^T + u                   U [width, (Ns + Nr) b + Nr]: one product back
 *
 * Biases on the way up: a routed expert's bias is weighted by its gate, which is what one more
 * input column, g_n, does; so they are the last Nr columns of U. The shared experts' biases would
 * only ever act as their sum, so that sum u is the parameter. Without biases U has no such columns.
 * U starts at zero: an untrained module gives zeros.
 *
 * Load balancing: Nr * sum_n f_n P_n, f_n the share of the rows' K slots that went to n, P_n the
 * mean of s_n.
 */
#ifndef NN_EXPERTS_H
#define NN_EXPERTS_H

#include "nn/param.h"
#include "nn/rate_run.h"
#include "tensor/ops.h"

struct experts {
    int routed, active, shared, bottleneck; /* Nr, K, Ns, b */
    bool renormalise;
    struct tensor down, down_bias, up, up_bias; /* D, d, U, u above; the biases may be undeclared */
    struct tensor router;                       /* R; undeclared where Nr is 0 */
};

struct experts_sizes {
    int64_t width;
    int routed, active, shared, bottleneck;
    int routers; /* >= 1; more than one: rows use that of their run's pair */
    bool biases, renormalise;
};

struct expert_report {
    struct tensor *scores; /* [rows, Nr]: s, for op_load_balance; NULL: none routed */
    float *share;          /* [Nr]: f_n, filled if not NULL */
    int32_t *chosen; /* [rows, K]: which experts, in order; -1 for one with gate 0; likewise */
};

void experts_init(struct experts *e, const struct experts_sizes *s);
void experts_params(struct experts *e, struct param_visitor *v);
/* x [rows, width] -> [rows, width]. runs cover all rows in order (looked at where there is more
   than one router). report may be NULL. */
struct tensor *experts_forward(struct experts *e, struct compute *c, struct tensor *x,
                               const struct rate_run *runs, int run_count,
                               struct expert_report *report);

#endif
