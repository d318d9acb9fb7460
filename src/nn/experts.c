/* The MoME module: two products, with the gates between them. */
#include "nn/experts.h"

#include "nn/linear.h"

#include <assert.h>

void experts_init(struct experts *e, const struct experts_sizes *s)
{
    int64_t hidden = (int64_t)(s->shared + s->routed) * s->bottleneck;
    int64_t bias_columns = s->biases ? s->routed : 0;
    *e = (struct experts){.routed = s->routed,
                          .active = s->active,
                          .shared = s->shared,
                          .bottleneck = s->bottleneck,
                          .renormalise = s->renormalise};
    param_declare(&e->down, TENSOR_SHAPE(hidden, s->width));
    param_declare(&e->up, TENSOR_SHAPE(s->width, hidden + bias_columns));
    if (s->biases)
        param_declare(&e->down_bias, TENSOR_SHAPE(hidden));
    if (s->biases && s->shared > 0)
        param_declare(&e->up_bias, TENSOR_SHAPE(s->width));
    if (s->routed > 0)
        param_declare(&e->router, TENSOR_SHAPE((int64_t)s->routers * s->routed, s->width));
}

void experts_params(struct experts *e, struct param_visitor *v)
{
    param_visit(v, "down.weight", &e->down, PARAM_LINEAR);
    param_visit(v, "down.bias", &e->down_bias, PARAM_BIAS);
    param_visit(v, "up.weight", &e->up, PARAM_ZERO);
    param_visit(v, "up.bias", &e->up_bias, PARAM_BIAS);
    param_visit(v, "router.weight", &e->router, PARAM_LINEAR);
}

/* logits [rows, Nr]; each run by its own Nr rows of the router's weight. */
static struct tensor *route(struct experts *e, struct compute *c, struct tensor *x,
                            const struct rate_run *runs, int run_count)
{
    if (e->router.shape[0] == e->routed)
        return op_linear(c, x, &e->router, NULL);
    struct tensor **parts = arena_alloc(c->arena, (size_t)run_count * sizeof *parts);
    int64_t start = 0;
    for (int i = 0; i < run_count; i++) {
        struct tensor *rows = op_slice_rows(c, x, start, runs[i].rows);
        struct tensor *router =
            op_slice_rows(c, &e->router, (int64_t)runs[i].pair * e->routed, e->routed);
        parts[i] = op_linear(c, rows, router, NULL);
        start += runs[i].rows;
    }
    assert(start == tensor_rows(x));
    return op_concat_rows(c, parts, run_count);
}

static void note_chosen(int32_t *chosen, const struct tensor *gates, int active)
{
    const int64_t rows = tensor_rows(gates), routed = tensor_width(gates);
    for (int64_t row = 0; row < rows; row++, chosen += active) {
        const float *gate = gates->data + row * routed;
        int n = 0;
        for (int64_t i = 0; i < routed && n < active; i++)
            if (gate[i] > 0)
                chosen[n++] = (int32_t)i;
        while (n < active)
            chosen[n++] = -1;
    }
}

struct tensor *experts_forward(struct experts *e, struct compute *c, struct tensor *x,
                               const struct rate_run *runs, int run_count,
                               struct expert_report *report)
{
    struct tensor *h = op_gelu(c, op_linear(c, x, &e->down, param_or_null(&e->down_bias)));
    if (e->routed > 0) {
        struct tensor *scores = op_softmax(c, route(e, c, x, runs, run_count));
        struct tensor *gates =
            op_top_k(c, scores, e->active, e->renormalise, report ? report->share : NULL);
        h = op_gate_experts(c, h, gates, e->shared, e->bottleneck);
        if (e->down_bias.dims > 0)
            h = op_concat_columns(c, (struct tensor *[]){h, gates}, 2);
        if (report)
            report->scores = scores;
        if (report && report->chosen)
            note_chosen(report->chosen, gates, e->active);
    }
    return op_linear(c, h, &e->up, param_or_null(&e->up_bias));
}
