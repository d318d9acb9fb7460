/* Whisper-type audio encoder. */
#include "models/whisper.h"

#include "nn/keep.h"
#include "nn/packing.h"

#include <assert.h>

int whisper_init(struct whisper *w, const struct whisper_config *config, struct error *err)
{
    *w = (struct whisper){.config = *config};
    w->layers = memory_new((size_t)config->layers, sizeof *w->layers);
    if (!w->layers)
        return error_set(err, ERROR_MEMORY, "no memory for %d layers", config->layers);
    conv_init(&w->conv1, &(struct conv_sizes){.in = config->mels,
                                              .out = config->d,
                                              .kernel = {1, 1, 3},
                                              .stride = {1, 1, 1},
                                              .pad = {0, 0, 1},
                                              .bias = true});
    conv_init(&w->conv2, &(struct conv_sizes){.in = config->d,
                                              .out = config->d,
                                              .kernel = {1, 1, 3},
                                              .stride = {1, 1, 2},
                                              .pad = {0, 0, 1},
                                              .bias = true});
    param_declare(&w->positions, TENSOR_SHAPE(config->positions, config->d));
    for (int i = 0; i < config->layers; i++)
        encoder_layer_init(&w->layers[i], config->d, config->heads, config->ffn, false,
                           config->dropout);
    norm_init_layer(&w->norm, config->d);
    return 0;
}

void whisper_release(struct whisper *w)
{
    memory_free(w->layers);
    w->layers = NULL;
}

void whisper_params(struct whisper *w, struct param_visitor *v)
{
    size_t mark = param_enter(v, "model.encoder.");
    conv_params(&w->conv1, v, "conv1");
    conv_params(&w->conv2, v, "conv2");
    param_visit(v, "embed_positions.weight", &w->positions, PARAM_SINUSOID);
    for (int i = 0; i < w->config.layers; i++) {
        size_t layer = param_enter(v, "layers.%d.", i);
        encoder_layer_params(&w->layers[i], v);
        param_leave(v, layer);
    }
    norm_params(&w->norm, v, "layer_norm");
    param_leave(v, mark);
}

/* x [N, T, w] or its rows, seen as what op_convolution wants: [N, 1, 1, T, w]. */
static struct tensor *as_sequence(struct compute *c, struct tensor *x, int64_t items)
{
    int64_t width = tensor_width(x);
    return op_reshape(c, x, TENSOR_SHAPE(items, 1, 1, tensor_rows(x) / items, width));
}

/* The two convolutions; what the second sees beyond an item's end must be zeros, as it would be if
   the item were alone. -> [N * T', d] */
static struct tensor *stem_forward(struct whisper *w, struct compute *c, struct tensor *logmel,
                                   const int64_t *lengths)
{
    int64_t items = logmel->shape[0], frames = logmel->shape[1];
    struct packing mel;
    packing_init(&mel, c, items, frames, lengths);
    struct tensor *x = packing_blank(&mel, c, logmel);
    x = op_gelu(c, conv_forward(&w->conv1, c, as_sequence(c, x, items)));
    x = packing_blank(&mel, c, x);
    x = op_gelu(c, conv_forward(&w->conv2, c, as_sequence(c, x, items)));
    int64_t out = whisper_frames(frames);
    assert(out <= w->config.positions);
    return op_add_periodic(c, op_reshape(c, x, TENSOR_SHAPE(items * out, w->config.d)),
                           op_slice_rows(c, &w->positions, 0, out), out);
}

struct tensor *whisper_forward(struct whisper *w, struct compute *c, struct tensor *logmel,
                               const int64_t *lengths)
{
    assert(logmel->dims == 3 && logmel->shape[2] == w->config.mels);
    int64_t items = logmel->shape[0], frames = whisper_frames(logmel->shape[1]);
    struct tensor *x = stem_forward(w, c, logmel, lengths);
    int64_t *out_lengths = NULL;
    if (lengths) {
        out_lengths = arena_alloc(c->arena, (size_t)items * sizeof *out_lengths);
        for (int64_t i = 0; i < items; i++)
            out_lengths[i] = whisper_frames(lengths[i]);
    }
    struct packing states;
    packing_init(&states, c, items, frames, out_lengths);
    x = op_dropout(c, packing_pack(&states, c, x), w->config.dropout);
    for (int i = 0; i < w->config.layers; i++) {
        size_t layer = arena_mark(c->arena);
        struct tensor *y = encoder_layer_forward(&w->layers[i], c, x, states.spans, (int)items);
        x = layer_keep(c, layer, x, y);
    }
    return packing_unpack(&states, c, norm_forward(&w->norm, c, x));
}
