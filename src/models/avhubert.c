/* AV-HuBERT-type video encoder. */
#include "models/avhubert.h"

#include "nn/keep.h"
#include "nn/packing.h"

#include <assert.h>
#include <string.h>

/* Without a tape: pictures at a time, and what the stem's kernel sees before and after one. */
enum { PICTURES_AT_ONCE = 64, REACH = 2 };

static void stem_init(struct avhubert *a, const struct avhubert_config *config)
{
    conv_norm_init(&a->stem, &(struct conv_sizes){.in = 1,
                                                  .out = config->stem,
                                                  .kernel = {5, 7, 7},
                                                  .stride = {1, 2, 2},
                                                  .pad = {2, 3, 3}});
    param_declare(&a->stem_slope, TENSOR_SHAPE(config->stem));
}

static int trunk_init(struct avhubert *a, const struct avhubert_config *config, struct error *err)
{
    int in = config->stem;
    for (int s = 0; s < 4; s++) {
        a->blocks[s] = memory_new((size_t)config->blocks[s], sizeof *a->blocks[s]);
        if (!a->blocks[s])
            return error_set(err, ERROR_MEMORY, "no memory for the video encoder");
        for (int b = 0; b < config->blocks[s]; b++) {
            residual_block_init(&a->blocks[s][b], in, config->widths[s], s > 0 && b == 0 ? 2 : 1);
            in = config->widths[s];
        }
    }
    return 0;
}

int avhubert_init(struct avhubert *a, const struct avhubert_config *config, struct error *err)
{
    int d = config->d, front = config->widths[3];
    *a = (struct avhubert){.config = *config};
    stem_init(a, config);
    int rc = trunk_init(a, config, err);
    if (rc != 0)
        goto out;
    rc = ERROR_MEMORY;
    a->layers = memory_new((size_t)config->layers, sizeof *a->layers);
    if (!a->layers) {
        error_set(err, rc, "no memory for %d layers", config->layers);
        goto out;
    }
    if (config->audio_branch_zeros)
        linear_init(&a->front, front, d, true);
    norm_init_layer(&a->input_norm, config->audio_branch_zeros ? 2 * d : front);
    linear_init(&a->input, config->audio_branch_zeros ? 2 * d : front, d, true);
    conv_init(&a->position, &(struct conv_sizes){.in = d,
                                                 .out = d,
                                                 .kernel = {1, 1, config->position_kernel},
                                                 .stride = {1, 1, 1},
                                                 .pad = {0, 0, config->position_kernel / 2},
                                                 .groups = config->position_groups,
                                                 .bias = true});
    for (int i = 0; i < config->layers; i++)
        encoder_layer_init(&a->layers[i], d, config->heads, config->ffn, true, config->dropout);
    norm_init_layer(&a->norm, d);
    return 0;
out:
    avhubert_release(a);
    return rc;
}

void avhubert_release(struct avhubert *a)
{
    for (int s = 0; s < 4; s++) {
        memory_free(a->blocks[s]);
        a->blocks[s] = NULL;
    }
    memory_free(a->layers);
    a->layers = NULL;
}

static void front_params(struct avhubert *a, struct param_visitor *v)
{
    size_t mark = param_enter(v, "feature_extractor_video.");
    size_t resnet = param_enter(v, "resnet.");
    conv_norm_params(&a->stem, v, "frontend3D.0", "frontend3D.1");
    param_visit(v, "frontend3D.2.weight", &a->stem_slope, PARAM_SLOPE);
    for (int s = 0; s < 4; s++)
        for (int b = 0; b < a->config.blocks[s]; b++) {
            size_t block = param_enter(v, "trunk.layer%d.%d.", s + 1, b);
            residual_block_params(&a->blocks[s][b], v);
            param_leave(v, block);
        }
    param_leave(v, resnet);
    linear_params(&a->front, v, "proj", PARAM_LINEAR);
    param_leave(v, mark);
}

void avhubert_params(struct avhubert *a, struct param_visitor *v)
{
    front_params(a, v);
    norm_params(&a->input_norm, v, "layer_norm");
    linear_params(&a->input, v, "post_extract_proj", PARAM_LINEAR);
    size_t mark = param_enter(v, "encoder.");
    conv_params(&a->position, v, "pos_conv.0");
    for (int i = 0; i < a->config.layers; i++) {
        size_t layer = param_enter(v, "layers.%d.", i);
        encoder_layer_params(&a->layers[i], v);
        param_leave(v, layer);
    }
    norm_params(&a->norm, v, "layer_norm");
    param_leave(v, mark);
}

void avhubert_add_lora(struct avhubert *a, const struct video_lora_config *config)
{
    for (int i = 0; i < a->config.layers; i++)
        self_attention_add_lora(
            &a->layers[i].attention,
            (struct lora_sizes){.inner = config->inner, .global = true, .scale = config->scale});
}

void avhubert_lora_params(struct avhubert *a, struct param_visitor *v)
{
    for (int i = 0; i < a->config.layers; i++) {
        size_t mark = param_enter(v, "layers.%d.", i);
        lora_params(&a->layers[i].attention.lora, v);
        param_leave(v, mark);
    }
}

/* Whole pictures as rows, for packing. */
static struct tensor *as_rows(struct compute *c, struct tensor *x, int64_t frames)
{
    return op_reshape(c, x, TENSOR_SHAPE(frames, tensor_count(x) / frames));
}

/* [N, T, 88, 88, 1] -> valid frames, packed: [frames, 22, 22, stem]. */
static struct tensor *stem_forward(struct avhubert *a, struct compute *c, struct tensor *pictures,
                                   const struct packing *p)
{
    int64_t padded = p->items * p->frames, side = CONFIG_PICTURE, half = side / 2;
    struct tensor *x = packing_blank(p, c, as_rows(c, pictures, padded));
    x = op_reshape(c, x, TENSOR_SHAPE(p->items, p->frames, side, side, 1));
    x = conv_norm_convolve(&a->stem, c, x, &a->stem_slope);
    x = packing_pack(p, c, as_rows(c, x, padded));
    x = op_reshape(c, x, TENSOR_SHAPE(p->rows, half, half, a->config.stem));
    x = conv_norm_normalise(&a->stem, c, x, &a->stem_slope);
    return op_max_pool(c, x, 3, 2, 1);
}

/* [frames, 22 * 22 * stem] -> [frames, w3] */
static struct tensor *trunk_forward(struct avhubert *a, struct compute *c, struct tensor *x,
                                    int64_t frames)
{
    int64_t side = CONFIG_PICTURE / 4;
    x = op_reshape(c, x, TENSOR_SHAPE(frames, 1, side, side, a->config.stem));
    for (int s = 0; s < 4; s++)
        for (int b = 0; b < a->config.blocks[s]; b++)
            x = residual_block_forward(&a->blocks[s][b], c, x);
    return op_mean_rows(c, x, tensor_rows(x) / frames);
}

/* Stem and trunk of one clip, some pictures at a time: what is computed of them takes most of the
   memory that a clip needs, and none of it is wanted later. */
static struct tensor *pictures_by_parts(struct avhubert *a, struct compute *c,
                                        struct tensor *pictures, int64_t frames)
{
    int64_t width = a->config.widths[3];
    struct tensor *rows = as_rows(c, pictures, frames);
    struct tensor *y = tensor_new(c, TENSOR_SHAPE(frames, width));
    for (int64_t first = 0; first < frames; first += PICTURES_AT_ONCE) {
        size_t mark = arena_mark(c->arena);
        int64_t end = first + PICTURES_AT_ONCE < frames ? first + PICTURES_AT_ONCE : frames;
        int64_t from = first < REACH ? 0 : first - REACH;
        int64_t seen = (end + REACH < frames ? end + REACH : frames) - from;
        struct packing p;
        packing_init(&p, c, 1, seen, NULL);
        struct tensor *x = stem_forward(a, c, op_slice_rows(c, rows, from, seen), &p);
        x = op_slice_rows(c, as_rows(c, x, seen), first - from, end - first);
        x = trunk_forward(a, c, x, end - first);
        memcpy(y->data + first * width, x->data, (size_t)tensor_count(x) * sizeof *x->data);
        arena_rewind(c->arena, mark);
    }
    return y;
}

/* -> [frames, d]: what goes into the transformer. */
static struct tensor *front_forward(struct avhubert *a, struct compute *c, struct tensor *pictures,
                                    const struct packing *p)
{
    bool whole = c->tape || c->training || p->items > 1 || p->valid;
    struct tensor *x =
        whole ? trunk_forward(a, c, as_rows(c, stem_forward(a, c, pictures, p), p->rows), p->rows)
              : pictures_by_parts(a, c, pictures, p->rows);
    if (a->config.audio_branch_zeros) {
        struct tensor *video = linear_forward(&a->front, c, x);
        struct tensor *audio = tensor_zeros(c, TENSOR_SHAPE(p->rows, a->config.d));
        x = op_concat_columns(c, (struct tensor *[]){audio, video}, 2);
    }
    return linear_forward(&a->input, c, norm_forward(&a->input_norm, c, x));
}

/* x + gelu(convolution over time): the frames around say where one is. An even kernel gives one
   frame too many, which is dropped. */
static struct tensor *add_positions(struct avhubert *a, struct compute *c, struct tensor *x,
                                    const struct packing *p)
{
    int d = a->config.d;
    struct tensor *y = packing_unpack(p, c, x);
    y = conv_forward(&a->position, c, op_reshape(c, y, TENSOR_SHAPE(p->items, 1, 1, p->frames, d)));
    int64_t extra = y->shape[3] - p->frames;
    y = op_reshape(c, y, TENSOR_SHAPE(tensor_rows(y), d));
    if (extra > 0 || p->valid) {
        int32_t *index = arena_alloc(c->arena, (size_t)p->rows * sizeof *index);
        for (int64_t i = 0, n = 0; i < p->items; i++)
            for (int64_t t = 0; t < p->spans[i].length; t++)
                index[n++] = (int32_t)(i * (p->frames + extra) + t);
        y = op_gather_rows(c, y, index, p->rows);
    }
    return op_add(c, x, op_gelu(c, y));
}

struct tensor *avhubert_forward(struct avhubert *a, struct compute *c, struct tensor *pictures,
                                const int64_t *lengths)
{
    assert(pictures->dims == 5 && pictures->shape[2] == CONFIG_PICTURE &&
           pictures->shape[3] == CONFIG_PICTURE && pictures->shape[4] == 1);
    struct packing p;
    packing_init(&p, c, pictures->shape[0], pictures->shape[1], lengths);
    struct tensor *x = add_positions(a, c, front_forward(a, c, pictures, &p), &p);
    x = op_dropout(c, x, a->config.dropout);
    for (int i = 0; i < a->config.layers; i++) {
        size_t layer = arena_mark(c->arena);
        struct tensor *y = encoder_layer_forward(&a->layers[i], c, x, p.spans, (int)p.items);
        x = layer_keep(c, layer, x, y);
    }
    return packing_unpack(&p, c, norm_forward(&a->norm, c, x));
}
