/* LoRA: of each run of rows two products down, two up, put on the queries and values. */
#include "nn/lora.h"

#include <assert.h>

static void factors_init(struct lora_factors *f, int64_t sets, int64_t inner, int64_t in,
                         int64_t out)
{
    param_declare(&f->down, TENSOR_SHAPE(sets * inner, in));
    param_declare(&f->up, TENSOR_SHAPE(sets * out, inner));
}

void lora_init(struct lora *l, const struct lora_sizes *s)
{
    *l =
        (struct lora){.inner = s->inner, .global = s->global, .pairs = s->pairs, .scale = s->scale};
    int64_t sets = s->global + s->pairs;
    if (s->inner == 0)
        return;
    assert(sets > 0);
    factors_init(&l->q, sets, s->inner, s->width, s->q_width);
    factors_init(&l->v, sets, s->inner, s->width, s->v_width);
}

static void factors_params(struct lora_factors *f, struct param_visitor *v, const char *name)
{
    size_t mark = param_enter(v, "%s.", name);
    param_visit(v, "down.weight", &f->down, PARAM_ZERO);
    param_visit(v, "up.weight", &f->up, PARAM_KAIMING);
    param_leave(v, mark);
}

void lora_params(struct lora *l, struct param_visitor *v)
{
    factors_params(&l->q, v, "q");
    factors_params(&l->v, v, "v");
}

/* One set's rows; a weight of one set as it is, which a device may keep packed. */
static struct tensor *set_of(struct compute *c, struct tensor *weight, int set, int64_t rows)
{
    return weight->shape[0] == rows ? weight : op_slice_rows(c, weight, set * rows, rows);
}

/* y + W x */
static struct tensor *add_product(struct compute *c, struct tensor *y, struct tensor *x,
                                  struct tensor *weight)
{
    return c->tape ? op_add(c, y, op_linear(c, x, weight, NULL))
                   : op_linear_followed(c, x, weight, NULL, false, y);
}

/* y[0] and y[1], queries and values of x, with one set's share added. */
static void add_set(struct lora *l, struct compute *c, struct tensor *y[2], struct tensor *x,
                    int set)
{
    struct lora_factors *factors[2] = {&l->q, &l->v};
    struct tensor *down[2], *none[2] = {NULL, NULL}, *h[2];
    for (int i = 0; i < 2; i++)
        down[i] = set_of(c, &factors[i]->down, set, l->inner);
    op_linears(c, h, x, down, none, 2);
    for (int i = 0; i < 2; i++) {
        struct tensor *up = set_of(c, &factors[i]->up, set, tensor_width(y[i]));
        y[i] = add_product(c, y[i], op_scale(c, h[i], l->scale), up);
    }
}

static void add_pairs(struct lora *l, struct compute *c, struct tensor *y[2], struct tensor *x,
                      const struct rate_run *runs, int run_count)
{
    struct tensor **parts[2];
    int64_t start = 0;
    for (int k = 0; k < 2; k++)
        parts[k] = arena_alloc(c->arena, (size_t)run_count * sizeof **parts);
    for (int i = 0; i < run_count; i++) {
        assert(runs[i].pair >= 1 && runs[i].pair <= l->pairs);
        int set = runs[i].pair - 1 + l->global;
        struct tensor *part[2] = {op_slice_rows(c, y[0], start, runs[i].rows),
                                  op_slice_rows(c, y[1], start, runs[i].rows)};
        add_set(l, c, part, op_slice_rows(c, x, start, runs[i].rows), set);
        parts[0][i] = part[0];
        parts[1][i] = part[1];
        start += runs[i].rows;
    }
    assert(start == tensor_rows(x));
    for (int k = 0; k < 2; k++)
        y[k] = run_count == 1 ? parts[k][0] : op_concat_rows(c, parts[k], run_count);
}

void lora_add(struct lora *l, struct compute *c, struct tensor *qkv[3], struct tensor *x,
              const struct rate_run *runs, int run_count)
{
    struct tensor *y[2] = {qkv[0], qkv[2]};
    if (l->inner == 0)
        return;
    if (l->global)
        add_set(l, c, y, x, 0);
    if (l->pairs > 0)
        add_pairs(l, c, y, x, runs, run_count);
    qkv[0] = y[0];
    qkv[2] = y[1];
}
