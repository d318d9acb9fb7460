/*
 * AV-HuBERT's encoder on pictures alone (Shi et al. 2022), names as in fairseq's files:
 *
 *     [N, T, 88, 88, 1] -> 3-D convolution 5x7x7, stride 1x2x2, norm, prelu -> max pool 3/2
 *     -> residual trunk, 4 stages (each frame by itself) -> mean over the picture [frames, w3]
 *     published:  -> Linear(w3, d) -> [zeros(d), it] -> LayerNorm(2d) -> Linear(2d, d)
 *     our own:    -> LayerNorm(w3) -> Linear(w3, d)       (audio_branch_zeros off)
 *     -> + gelu(grouped convolution over time) -> pre-norm layers -> layer norm -> [N * T, d]
 *
 * The positional convolution's weight norm is resolved: pos_conv.0.weight is a plain weight. Items
 * shorter than T are masked: frames beyond an item's end are blank for the 3-D convolution, then
 * dropped.
 */
#ifndef MODELS_AVHUBERT_H
#define MODELS_AVHUBERT_H

#include "models/config.h"
#include "nn/conv.h"
#include "nn/encoder_layer.h"

struct avhubert {
    struct avhubert_config config;
    struct conv_norm stem;
    struct tensor stem_slope;
    struct residual_block *blocks[4]; /* [stage][config.blocks[stage]] */
    struct linear front;              /* w3 -> d, with audio_branch_zeros only */
    struct norm input_norm;
    struct linear input;
    struct conv position;
    struct encoder_layer *layers;
    struct norm norm;
};

int avhubert_init(struct avhubert *a, const struct avhubert_config *config, struct error *err);
void avhubert_release(struct avhubert *a); /* tensors are released by a walk before */
void avhubert_params(struct avhubert *a, struct param_visitor *v);
/* LoRA in all layers; names as llama_lora_params's */
void avhubert_add_lora(struct avhubert *a, const struct video_lora_config *config);
void avhubert_lora_params(struct avhubert *a, struct param_visitor *v);
/* lengths: frames of each item, or NULL: all T */
struct tensor *avhubert_forward(struct avhubert *a, struct compute *c, struct tensor *pictures,
                                const int64_t *lengths);

#endif
