/*
 * oneDNN 2.6 (C API), the only file that sees it.
 *
 * Making a primitive costs about as much as a small product, so made ones are kept: a *plan* is a
 * primitive with its memory objects, found by a key of all sizes. A plan is taken by one call at a
 * time (its memory objects carry that call's pointers); a second thread that wants the same sizes
 * gets a plan of its own. At most PLANS are kept; the one unused for longest gives way. They are
 * file-static state behind a mutex, as device.h allows. Scratch memory is the caller's (scratch.h),
 * so that a plan may run on any thread.
 *
 * A plan is tens of KB of code, and speech has a new length each time. So a float32 product's plan
 * is of all sizes, which it is told as it runs: as fast, and the same numbers. For other kinds
 * oneDNN has no such; products.c and convolutions.c give them few sizes.
 *
 * Layouts, row-major: matrices with a leading dimension; pictures [N, D, H, W, C]; weights
 * [O, kd, kh, kw, C / groups]. Dimensions of one are left out (D, then H), which lets oneDNN use
 * its 2-D and 1-D kernels. Weights go through a reorder into the layout that the kernel likes,
 * which also makes them bfloat16.
 */
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/scratch.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PLANS = 512, KEY = 28, ARGS = 6 };

enum plan_kind { PRODUCT = 1, CONVOLUTION, BACKWARD_INPUT, BACKWARD_WEIGHT };

struct plan {
    int64_t key[KEY];
    uint64_t last_use;
    bool busy;
    dnnl_primitive_t primitive, reorder; /* reorder NULL: none needed */
    dnnl_memory_t memory[ARGS];          /* parallel to args.arg */
    dnnl_exec_arg_t args[ARGS];
    int count;
    dnnl_memory_t plain; /* the user's side of the reorder */
    int blocked;         /* index into args of the primitive's side of it */
    size_t blocked_bytes, scratchpad_bytes;
};

static struct plan *plans[PLANS];
static uint64_t hashes[PLANS]; /* of the plans' keys: what a search walks over */
static uint64_t uses;
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->count; i++)
        dnnl_memory_destroy(p->memory[i]);
    dnnl_memory_destroy(p->plain);
    dnnl_primitive_destroy(p->reorder);
    dnnl_primitive_destroy(p->primitive);
    memory_free(p);
}

/* ---- cache -------------------------------------------------------------------------------- */

static uint64_t hash(const int64_t *key) /* FNV-1a, by words */
{
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < KEY; i++)
        h = (h ^ (uint64_t)key[i]) * 1099511628211u;
    return h;
}

/* A plan of this key that nobody uses, now the caller's; NULL: there is none. */
static struct plan *plan_find(const int64_t *key)
{
    struct plan *found = NULL;
    const uint64_t wanted = hash(key);
    pthread_mutex_lock(&lock);
    if (!engine && dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success) {
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
        dnnl_set_primitive_cache_capacity(0); /* it would keep what gives way here */
    }
    for (int i = 0; i < PLANS && !found; i++) {
        struct plan *p = hashes[i] == wanted ? plans[i] : NULL;
        if (p && !p->busy && !memcmp(p->key, key, sizeof p->key))
            found = p;
    }
    if (found) {
        found->busy = true;
        found->last_use = ++uses;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Puts a new plan, in use by the caller, into an empty slot or that of the oldest idle plan. */
static void plan_keep(struct plan *p)
{
    struct plan *old = NULL;
    pthread_mutex_lock(&lock);
    int slot = -1;
    for (int i = 0; i < PLANS; i++) {
        if (!plans[i]) {
            slot = i;
            break;
        }
        if (!plans[i]->busy && (slot < 0 || plans[i]->last_use < plans[slot]->last_use))
            slot = i;
    }
    p->busy = true;
    p->last_use = slot < 0 ? 0 : ++uses; /* 0: not in the cache */
    if (slot >= 0) {
        old = plans[slot];
        plans[slot] = p;
        hashes[slot] = hash(p->key);
    }
    pthread_mutex_unlock(&lock);
    plan_free(old);
}

/* What became of a new plan: kept, and in use by the caller; NULL where it could not be made. */
static struct plan *plan_made(struct plan *p, bool made, const int64_t *key)
{
    if (!made) {
        plan_free(p);
        return NULL;
    }
    memcpy(p->key, key, sizeof p->key);
    plan_keep(p);
    return p;
}

static void plan_give(struct plan *p)
{
    pthread_mutex_lock(&lock);
    bool kept = p->last_use != 0;
    p->busy = false;
    pthread_mutex_unlock(&lock);
    if (!kept)
        plan_free(p);
}

/* ---- making and running ------------------------------------------------------------------- */

/* The memory of sizes that are not known yet is made by product_resize. */
static bool plan_argument(struct plan *p, int arg, const dnnl_memory_desc_t *md)
{
    const bool later = md->ndims && md->dims[1] == DNNL_RUNTIME_DIM_VAL;
    if (!later &&
        dnnl_memory_create(&p->memory[p->count], md, engine, DNNL_MEMORY_NONE) != dnnl_success)
        return false;
    p->args[p->count] = (dnnl_exec_arg_t){arg, p->memory[p->count]};
    p->count++;
    return true;
}

/* Finishes a plan from its primitive descriptor; args are those that the caller passes, in order;
   the scratchpad comes last. */
static bool plan_finish(struct plan *p, dnnl_primitive_desc_t pd, const int *args, int count)
{
    if (dnnl_primitive_create(&p->primitive, pd) != dnnl_success)
        return false;
    for (int i = 0; i < count; i++) {
        const dnnl_memory_desc_t *md =
            dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, args[i]);
        if (!md || !plan_argument(p, args[i], md))
            return false;
    }
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratchpad_bytes = dnnl_memory_desc_get_size(pad);
    return plan_argument(p, DNNL_ARG_SCRATCHPAD, pad);
}

static dnnl_primitive_desc_t describe(const_dnnl_op_desc_t op, float beta,
                                      const_dnnl_primitive_desc_t hint)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success)
        return NULL;
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (beta != 0 && dnnl_post_ops_create(&ops) == dnnl_success) {
        dnnl_post_ops_append_sum(ops, beta);
        dnnl_primitive_attr_set_post_ops(attr, ops);
    }
    if (dnnl_primitive_desc_create(&pd, op, attr, engine, hint) != dnnl_success)
        pd = NULL;
    dnnl_post_ops_destroy(ops);
    dnnl_primitive_attr_destroy(attr);
    return pd;
}

/* data: one pointer per argument of the plan, scratchpad left out. */
static bool plan_run(struct plan *p, void *const *data)
{
    void *pad = p->scratchpad_bytes ? scratch_take(p->scratchpad_bytes) : NULL;
    for (int i = 0; i < p->count - 1; i++)
        dnnl_memory_set_data_handle(p->memory[i], data[i]);
    dnnl_memory_set_data_handle(p->memory[p->count - 1], pad);
    bool done = dnnl_primitive_execute(p->primitive, stream, p->count, p->args) == dnnl_success;
    scratch_give(pad);
    return done;
}

static bool reorder_run(struct plan *p, void *plain, void *blocked, bool to_plain)
{
    dnnl_memory_set_data_handle(p->plain, plain);
    dnnl_memory_set_data_handle(p->memory[p->blocked], blocked);
    dnnl_exec_arg_t args[2] = {
        {to_plain ? DNNL_ARG_TO : DNNL_ARG_FROM, p->plain},
        {to_plain ? DNNL_ARG_FROM : DNNL_ARG_TO, p->memory[p->blocked]},
    };
    return dnnl_primitive_execute(p->reorder, stream, 2, args) == dnnl_success;
}

static dnnl_data_type_t data_type(enum precision p)
{
    return p == PRECISION_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* ---- products ----------------------------------------------------------------------------- */

static void matrix(dnnl_memory_desc_t *md, int64_t rows, int64_t columns, bool transposed,
                   int64_t stride, dnnl_data_type_t type)
{
    dnnl_dims_t dims = {rows, columns};
    dnnl_dims_t strides = {transposed ? 1 : stride, transposed ? stride : 1};
    dnnl_memory_desc_init_by_strides(md, 2, dims, type, strides);
}

static void product_matrices(dnnl_memory_desc_t md[4], const struct product *g)
{
    dnnl_data_type_t type = data_type(g->precision);
    matrix(&md[0], g->m, g->k, g->trans_a, g->lda, type);
    matrix(&md[1], g->k, g->n, g->trans_b, g->ldb, type);
    matrix(&md[2], g->m, g->n, false, g->ldc, dnnl_f32);
    matrix(&md[3], 1, g->n, false, g->n, dnnl_f32);
}

static struct plan *product_plan(const struct product *g, const int64_t *key)
{
    dnnl_memory_desc_t md[4];
    dnnl_matmul_desc_t op;
    product_matrices(md, g);
    if (dnnl_matmul_desc_init(&op, &md[0], &md[1], g->bias ? &md[3] : NULL, &md[2]) != dnnl_success)
        return NULL;
    struct plan *p = memory_new(1, sizeof *p);
    dnnl_primitive_desc_t pd = p ? describe(&op, g->beta, NULL) : NULL;
    static const int args[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
    bool made = pd && plan_finish(p, pd, args, g->bias ? 4 : 3);
    dnnl_primitive_desc_destroy(pd);
    return plan_made(p, made, key);
}

/* Gives a plan of all sizes the memory of these. */
static bool product_resize(struct plan *p, const struct product *g)
{
    dnnl_memory_desc_t md[4];
    product_matrices(md, g);
    for (int i = 0; i < p->count - 1; i++) {
        dnnl_memory_destroy(p->memory[i]);
        p->memory[i] = NULL;
        if (dnnl_memory_create(&p->memory[i], &md[i], engine, DNNL_MEMORY_NONE) != dnnl_success)
            return false;
        p->args[i].memory = p->memory[i];
    }
    return true;
}

bool onednn_product(const struct product *g)
{
    int32_t beta;
    struct product kind = *g;
    const bool all_sizes = g->precision == PRECISION_F32;
    memcpy(&beta, &g->beta, sizeof beta);
    if (all_sizes)
        kind.m = kind.n = kind.k = kind.lda = kind.ldb = kind.ldc = DNNL_RUNTIME_DIM_VAL;
    int64_t key[KEY] = {PRODUCT,  kind.m,   kind.n,   kind.k, g->trans_a,      g->trans_b,
                        kind.lda, kind.ldb, kind.ldc, beta,   g->bias != NULL, g->precision};
    struct plan *p = plan_find(key);
    if (!p && engine)
        p = product_plan(&kind, key);
    if (!p)
        return false;
    void *data[] = {(void *)g->a, (void *)g->b, g->c, (void *)g->bias};
    bool done = (!all_sizes || product_resize(p, g)) && plan_run(p, data);
    plan_give(p);
    return done;
}

/* ---- convolutions ------------------------------------------------------------------------- */

/* The descriptions of one convolution without its leading dimensions of one. */
struct geometry {
    dnnl_memory_desc_t x, y, bias, weight_any, weight_plain;
    dnnl_dims_t stride, pad;
};

/* [N, C, spatial...] in oneDNN's order, channels last in memory */
static void picture(dnnl_memory_desc_t *md, int64_t batch, int64_t channels, const int64_t *size,
                    int spatial, dnnl_data_type_t type)
{
    dnnl_dims_t dims = {batch, channels}, strides = {0, 1};
    int64_t step = channels;
    for (int i = spatial - 1; i >= 0; i--) {
        dims[2 + i] = size[i];
        strides[2 + i] = step;
        step *= size[i];
    }
    strides[0] = step;
    dnnl_memory_desc_init_by_strides(md, 2 + spatial, dims, type, strides);
}

static void weight(struct geometry *g, const struct convolution_sizes *s, const int64_t *kernel,
                   int spatial, dnnl_data_type_t type)
{
    int64_t groups = s->shape.groups, c = s->channels / groups;
    int grouped = groups > 1;
    dnnl_dims_t dims = {groups}, strides = {0};
    dims[grouped] = s->filters / groups;
    dims[grouped + 1] = c;
    strides[grouped + 1] = 1;
    int64_t step = c;
    for (int i = spatial - 1; i >= 0; i--) {
        dims[grouped + 2 + i] = kernel[i];
        strides[grouped + 2 + i] = step;
        step *= kernel[i];
    }
    strides[grouped] = step;
    if (grouped)
        strides[0] = step * dims[1];
    int count = grouped + 2 + spatial;
    dnnl_memory_desc_init_by_strides(&g->weight_plain, count, dims, dnnl_f32, strides);
    dnnl_memory_desc_init_by_tag(&g->weight_any, count, dims, type, dnnl_format_tag_any);
}

static void geometry(struct geometry *g, const struct convolution_sizes *s, enum plan_kind kind)
{
    int first = 0;
    while (first < 2 && s->in[first] == 1 && s->out[first] == 1 && s->kernel[first] == 1)
        first++;
    int spatial = 3 - first;
    dnnl_data_type_t type = data_type(s->precision);
    picture(&g->x, s->batch, s->channels, s->in + first, spatial,
            kind == BACKWARD_INPUT ? dnnl_f32 : type);
    picture(&g->y, s->batch, s->filters, s->out + first, spatial,
            kind == CONVOLUTION ? dnnl_f32 : type);
    weight(g, s, s->kernel + first, spatial, kind == BACKWARD_WEIGHT ? dnnl_f32 : type);
    dnnl_dims_t bias = {s->filters};
    dnnl_memory_desc_init_by_tag(&g->bias, 1, bias, dnnl_f32, dnnl_a);
    for (int i = 0; i < spatial; i++) {
        g->stride[i] = s->shape.stride[first + i];
        g->pad[i] = s->shape.pad[first + i];
    }
}

static dnnl_primitive_desc_t convolution_describe(struct geometry *g, enum plan_kind kind,
                                                  bool bias)
{
    dnnl_convolution_desc_t op;
    dnnl_memory_desc_t x = g->x, y = g->y, w = g->weight_any;
    if (kind != CONVOLUTION) /* the forward that a backward is the backward of: same types */
        x.data_type = y.data_type = w.data_type =
            kind == BACKWARD_INPUT ? g->y.data_type : g->x.data_type;
    if (dnnl_convolution_forward_desc_init(&op, dnnl_forward_training, dnnl_convolution_direct, &x,
                                           &w, bias ? &g->bias : NULL, &y, g->stride, g->pad,
                                           g->pad) != dnnl_success)
        return NULL;
    dnnl_primitive_desc_t forward = describe(&op, 0, NULL), backward = NULL;
    if (kind == CONVOLUTION || !forward)
        return forward;
    dnnl_status_t status =
        kind == BACKWARD_INPUT
            ? dnnl_convolution_backward_data_desc_init(&op, dnnl_convolution_direct, &g->x,
                                                       &g->weight_any, &g->y, g->stride, g->pad,
                                                       g->pad)
            : dnnl_convolution_backward_weights_desc_init(&op, dnnl_convolution_direct, &g->x,
                                                          &g->weight_any, NULL, &g->y, g->stride,
                                                          g->pad, g->pad);
    if (status == dnnl_success)
        backward = describe(&op, 0, forward);
    dnnl_primitive_desc_destroy(forward);
    return backward;
}

/* The reorder between the plain float32 weights and the kernel's own layout (last argument but the
   scratchpad). */
static bool plan_reorder(struct plan *p, const struct geometry *g, bool to_plain, int index)
{
    const dnnl_memory_desc_t *blocked = NULL, *plain = &g->weight_plain;
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_memory_get_memory_desc(p->memory[index], &blocked) != dnnl_success ||
        dnnl_memory_create(&p->plain, plain, engine, DNNL_MEMORY_NONE) != dnnl_success)
        return false;
    p->blocked = index;
    p->blocked_bytes = dnnl_memory_desc_get_size(blocked);
    if (dnnl_reorder_primitive_desc_create(&pd, to_plain ? blocked : plain, engine,
                                           to_plain ? plain : blocked, engine,
                                           NULL) != dnnl_success)
        return false;
    bool made = dnnl_primitive_create(&p->reorder, pd) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return made;
}

static struct plan *convolution_plan(const struct convolution_sizes *s, enum plan_kind kind,
                                     bool bias)
{
    int64_t key[KEY] = {kind,         s->batch, s->channels,    s->filters,
                        s->precision, bias,     s->shape.groups};
    for (int i = 0; i < 3; i++) {
        key[7 + i] = s->in[i];
        key[10 + i] = s->out[i];
        key[13 + i] = s->kernel[i];
        key[16 + i] = s->shape.stride[i];
        key[19 + i] = s->shape.pad[i];
    }
    struct plan *p = plan_find(key);
    if (p || !engine)
        return p;
    static const int arguments[][4] = {
        [CONVOLUTION] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS},
        [BACKWARD_INPUT] = {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC},
        [BACKWARD_WEIGHT] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    struct geometry g = {0};
    geometry(&g, s, kind);
    p = memory_new(1, sizeof *p);
    dnnl_primitive_desc_t pd = p ? convolution_describe(&g, kind, bias) : NULL;
    bool made = pd && plan_finish(p, pd, arguments[kind], bias ? 4 : 3) &&
                plan_reorder(p, &g, kind == BACKWARD_WEIGHT, 1);
    dnnl_primitive_desc_destroy(pd);
    return plan_made(p, made, key);
}

static bool convolution_run(struct plan *p, const void *first, const float *weights, float *last,
                            const float *bias)
{
    if (!p)
        return false;
    void *blocked = scratch_take(p->blocked_bytes);
    void *data[] = {(void *)first, blocked, last, (void *)bias};
    bool done = reorder_run(p, (void *)weights, blocked, false) && plan_run(p, data);
    scratch_give(blocked);
    plan_give(p);
    return done;
}

bool onednn_convolution(float *y, const void *x, const float *weight, const float *bias,
                        const struct convolution_sizes *s)
{
    return convolution_run(convolution_plan(s, CONVOLUTION, bias != NULL), x, weight, y, bias);
}

bool onednn_convolution_backward_input(float *dx, const void *dy, const float *weight,
                                       const struct convolution_sizes *s)
{
    return convolution_run(convolution_plan(s, BACKWARD_INPUT, false), dy, weight, dx, NULL);
}

bool onednn_convolution_backward_weight(float *dweight, const void *dy, const void *x,
                                        const struct convolution_sizes *s)
{
    struct plan *p = convolution_plan(s, BACKWARD_WEIGHT, false);
    if (!p)
        return false;
    void *blocked = scratch_take(p->blocked_bytes);
    void *data[] = {(void *)x, blocked, (void *)dy};
    bool done = plan_run(p, data) && reorder_run(p, dweight, blocked, true);
    scratch_give(blocked);
    plan_give(p);
    return done;
}

static const struct isa_name {
    dnnl_cpu_isa_t isa;
    const char *name;
} isa_names[] = {
    {dnnl_cpu_isa_sse41, "SSE4.1"},
    {dnnl_cpu_isa_avx, "AVX"},
    {dnnl_cpu_isa_avx2, "AVX2"},
    {dnnl_cpu_isa_avx2_vnni, "AVX2 with VNNI"},
    {dnnl_cpu_isa_avx512_core, "AVX-512"},
    {dnnl_cpu_isa_avx512_core_vnni, "AVX-512 with VNNI"},
    {dnnl_cpu_isa_avx512_core_bf16, "AVX-512 with BF16"},
    {dnnl_cpu_isa_avx512_core_amx, "AMX"},
};

void onednn_describe(char text[ONEDNN_TEXT])
{
    const dnnl_version_t *v = dnnl_version();
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    const char *name = "plain C";
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        name = isa_names[i].isa == isa ? isa_names[i].name : name;
    snprintf(text, ONEDNN_TEXT, "%d.%d.%d, %s", v->major, v->minor, v->patch, name);
}
