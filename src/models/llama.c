/* Llama-type language model with its MoME modules. */
#include "models/llama.h"

#include "nn/keep.h"
#include "nn/rope.h"

#include <assert.h>

static void layer_init(struct llama_layer *l, const struct llama_config *config)
{
    bool b = config->qkv_bias;
    struct attention_biases biases = {.q = b, .k = b, .v = b};
    norm_init_rms(&l->norm1, config->d, config->norm_eps);
    norm_init_rms(&l->norm2, config->d, config->norm_eps);
    self_attention_init(&l->attention, config->d, config->heads, config->kv_heads, config->head_dim,
                        biases);
    swiglu_init(&l->ffn, config->d, config->ffn);
}

int llama_init(struct llama *m, const struct llama_config *config, struct error *err)
{
    *m = (struct llama){.config = *config};
    assert(config->head_dim <= LLAMA_MAX_HEAD);
    m->layers = memory_new((size_t)config->layers, sizeof *m->layers);
    if (!m->layers)
        return error_set(err, ERROR_MEMORY, "no memory for %d layers", config->layers);
    param_declare(&m->embed, TENSOR_SHAPE(config->vocab, config->d));
    if (!config->tied)
        param_declare(&m->head, TENSOR_SHAPE(config->vocab, config->d));
    if (config->extra_tokens > 0)
        param_declare(&m->extra, TENSOR_SHAPE(config->extra_tokens, config->d));
    for (int i = 0; i < config->layers; i++)
        layer_init(&m->layers[i], config);
    norm_init_rms(&m->norm, config->d, config->norm_eps);
    struct rope rope = {.theta = config->rope_theta,
                        .factor = config->rope_factor,
                        .low = config->rope_low,
                        .high = config->rope_high,
                        .original = config->rope_original};
    rope_frequencies(m->inverse_frequency, config->head_dim, &rope);
    return 0;
}

void llama_release(struct llama *m)
{
    memory_free(m->layers);
    m->layers = NULL;
}

void llama_params(struct llama *m, struct param_visitor *v)
{
    size_t mark = param_enter(v, "model.");
    param_visit(v, "embed_tokens.weight", &m->embed,
                m->config.tied ? PARAM_NORMAL : PARAM_EMBEDDING);
    for (int i = 0; i < m->config.layers; i++) {
        struct llama_layer *l = &m->layers[i];
        size_t layer = param_enter(v, "layers.%d.", i);
        norm_params(&l->norm1, v, "input_layernorm");
        self_attention_params(&l->attention, v, "self_attn", "o_proj", PARAM_LINEAR);
        norm_params(&l->norm2, v, "post_attention_layernorm");
        swiglu_params(&l->ffn, v, "mlp", PARAM_LINEAR);
        param_leave(v, layer);
    }
    norm_params(&m->norm, v, "norm");
    param_leave(v, mark);
    param_visit(v, "lm_head.weight", &m->head, PARAM_NORMAL);
}

void llama_add_lora(struct llama *m, const struct lora_config *config, int pairs)
{
    for (int i = 0; i < m->config.layers; i++)
        self_attention_add_lora(&m->layers[i].attention,
                                (struct lora_sizes){.inner = config->inner,
                                                    .pairs = config->per_rate ? pairs : 0,
                                                    .global = config->global,
                                                    .scale = config->scale});
}

void llama_lora_params(struct llama *m, struct param_visitor *v)
{
    for (int i = 0; i < m->config.layers; i++) {
        size_t mark = param_enter(v, "layers.%d.", i);
        lora_params(&m->layers[i].attention.lora, v);
        param_leave(v, mark);
    }
}

struct tensor *llama_embed(struct llama *m, struct compute *c, const int32_t *ids, int64_t count)
{
    int64_t extra = 0;
    int from = m->config.extra_from;
    for (int64_t i = 0; i < count && m->extra.dims > 0; i++)
        extra += ids[i] >= from;
    if (extra == 0)
        return op_gather_rows(c, &m->embed, ids, count);
    int32_t *plain = arena_alloc(c->arena, (size_t)count * sizeof *plain);
    int32_t *added = arena_alloc(c->arena, (size_t)count * sizeof *added);
    for (int64_t i = 0; i < count; i++) { /* -1: a row of zeros */
        plain[i] = ids[i] < from ? ids[i] : -1;
        added[i] = ids[i] < from ? -1 : ids[i] - from;
    }
    return op_add(c, op_gather_rows(c, &m->embed, plain, count),
                  op_gather_rows(c, &m->extra, added, count));
}

struct tensor *llama_head(struct llama *m, struct compute *c, struct tensor *x)
{
    return op_linear(c, x, m->config.tied ? &m->embed : &m->head, NULL);
}

static void cache_rows(const struct llama_rows *rows, int layer, const struct tensor *k,
                       const struct tensor *v)
{
    int64_t width = tensor_width(k);
    for (int i = 0; i < rows->sequences; i++) {
        struct span s = rows->spans[i];
        kv_cache_append(rows->cache, layer, i, k->data + s.start * width, v->data + s.start * width,
                        s.length);
    }
}

/* Where in the cache's rows each sequence's keys lie, the new ones included. */
static struct span *cache_spans(struct compute *c, const struct llama_rows *rows)
{
    struct span *spans = arena_alloc(c->arena, (size_t)rows->sequences * sizeof *spans);
    for (int i = 0; i < rows->sequences; i++)
        spans[i] = (struct span){i * rows->cache->capacity,
                                 rows->cache->slot[i].length + rows->spans[i].length};
    return spans;
}

static struct tensor *attention_forward(struct llama *m, int layer, struct compute *c,
                                        struct tensor *x, const struct llama_rows *rows)
{
    struct self_attention *a = &m->layers[layer].attention;
    const float *inverse = m->inverse_frequency;
    struct tensor *qkv[3];
    self_attention_inputs(a, c, qkv, x, rows->runs, rows->run_count);
    struct tensor *q = op_rope(c, qkv[0], rows->position, inverse, a->heads);
    struct tensor *k = op_rope(c, qkv[1], rows->position, inverse, a->kv_heads), *v = qkv[2];
    struct attention shape = {.heads = a->heads,
                              .kv_heads = a->kv_heads,
                              .causal = true,
                              .sequences = rows->sequences,
                              .q_spans = rows->spans,
                              .k_spans = rows->spans};
    if (rows->cache)
        cache_rows(rows, layer, k, v);
    if (rows->past) {
        assert(!c->tape);
        k = kv_cache_keys(rows->cache, c, layer);
        v = kv_cache_values(rows->cache, c, layer);
        shape.k_spans = cache_spans(c, rows);
    }
    return linear_forward(&a->out, c, op_attention(c, q, k, v, &shape));
}

/* A layer, on some rows: what it takes to run it, or to run it again. */
struct layer_run {
    struct llama *m;
    struct mome *mome;
    int layer;
    struct llama_rows rows;
    struct expert_report *report; /* NULL: nobody asks */
    struct expert_report scores;  /* of a second run, which reports nothing else */
};

static struct tensor *add_experts(const struct layer_run *l, struct compute *c, struct tensor *y,
                                  struct tensor *seen)
{
    return op_add(c, y,
                  experts_forward(&l->mome->layers[l->layer], c, seen, l->rows.runs,
                                  l->rows.run_count, l->report));
}

static enum mome_placement placement_of(const struct layer_run *l)
{
    return l->mome ? l->mome->config.placement : MOME_NONE;
}

/* x is the caller's: without a tape, half of the layer leaves its result there (nn/keep.h). */
static struct tensor *layer_forward(const struct layer_run *run, struct compute *c,
                                    struct tensor *x)
{
    const size_t mark = arena_mark(c->arena);
    struct llama *m = run->m;
    struct llama_layer *l = &m->layers[run->layer];
    enum mome_placement placement = placement_of(run);
    float dropout = m->config.dropout;

    struct tensor *n1 = norm_forward(&l->norm1, c, x);
    struct tensor *h = attention_forward(m, run->layer, c, n1, &run->rows);
    h = op_add(c, x, op_dropout(c, h, dropout));
    if (placement == MOME_MHSA)
        h = add_experts(run, c, h, n1);
    if (placement != MOME_LAYER) /* which still needs x and n1 */
        h = layer_keep(c, mark, x, h);

    struct tensor *n2 = norm_forward(&l->norm2, c, h);
    struct tensor *y = op_add(c, h, op_dropout(c, swiglu_forward(&l->ffn, c, n2), dropout));
    if (placement == MOME_FFN)
        y = add_experts(run, c, y, n2);
    if (placement == MOME_LAYER)
        y = add_experts(run, c, y, run->mome->config.normalise_input ? n1 : x);
    return y;
}

static void run_layer(void *arg, struct compute *c, struct tensor *x, struct tensor **made)
{
    const struct layer_run *run = arg;
    made[0] = layer_forward(run, c, x);
    if (run->report)
        made[1] = run->report->scores;
}

/* Keeps x, y and the experts' scores, which the loss may look at. */
static struct tensor *layer_recompute(const struct layer_run *layer, struct compute *c,
                                      struct tensor *x)
{
    struct layer_run *run = arena_alloc(c->arena, sizeof *run);
    struct tensor *results[2] = {tensor_new(c, x->dims, x->shape)};
    *run = *layer;
    if (run->report)
        results[1] =
            tensor_new(c, TENSOR_SHAPE(tensor_rows(x), run->mome->layers[run->layer].routed));
    tape_recompute(c, results, run->report ? 2 : 1, x, run_layer, run);
    if (run->report) {
        run->report->scores = results[1];
        run->report = &run->scores;
    }
    return results[0];
}

struct tensor *llama_forward(struct llama *m, struct mome *mome, struct compute *c,
                             struct tensor *x, const struct llama_rows *rows)
{
    x = op_dropout(c, x, m->config.dropout);
    for (int i = 0; i < m->config.layers; i++) {
        struct layer_run run = {.m = m, .mome = mome, .layer = i, .rows = *rows};
        if (rows->reports && placement_of(&run) != MOME_NONE)
            run.report = &rows->reports[i];
        size_t mark = arena_mark(c->arena);
        x = c->tape && c->recompute && !rows->cache
                ? layer_recompute(&run, c, x)
                : layer_keep(c, mark, x, layer_forward(&run, c, x));
    }
    if (rows->cache)
        for (int i = 0; i < rows->sequences; i++)
            kv_cache_advance(rows->cache, i, rows->spans[i].length);
    return norm_forward(&m->norm, c, x);
}
