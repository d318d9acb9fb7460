/*
 * AV-HuBERT's video side as fairseq saves it (Shi et al. 2022), pre-trained ("...") or fine-tuned
 * ("encoder.w2v_model...."), base or large; and as Llama-AVSR's checkpoints carry it
 * ("model.video_encoder...."). Our names are theirs. Their positional convolution is weight-normed,
 * in the old or the new way of PyTorch; ours is not.
 */
#include "models/part_naming.h"

#include <stdio.h>

#define POSITION "encoder.pos_conv.0."
#define RESNET "feature_extractor_video.resnet."

static const struct part_rule fairseq[] = {
    {POSITION "weight", POSITION "weight_v", LAYOUT_WEIGHT_NORM, POSITION "weight_g"},
    {POSITION "weight", POSITION "parametrizations.weight.original1", LAYOUT_WEIGHT_NORM,
     POSITION "parametrizations.weight.original0"},
    {"*", "*", LAYOUT_SAME, NULL},
    {0},
};

static int side(const struct part *p, int dimension, const char *name)
{
    return part_int((double)part_side(p, dimension, "%s", name));
}

/* A fine-tuned file has the pre-training's settings inside its own. */
static bool said(const struct part *p, const char *key, double *value)
{
    char inner[96], outer[96];
    snprintf(inner, sizeof inner, "cfg.model.w2v_args.model.%s", key);
    snprintf(outer, sizeof outer, "cfg.model.%s", key);
    return weights_number(p->weights, inner, value) || weights_number(p->weights, outer, value);
}

static int configure(const struct part *p, struct recognizer_config *config, struct error *err)
{
    double value;
    struct avhubert_config *v = &config->video;
    *v = (struct avhubert_config){.stem = side(p, 0, RESNET "frontend3D.0.weight"),
                                  .d = side(p, 0, "encoder.layers.0.self_attn.q_proj.weight"),
                                  .layers = part_count(p, "encoder.layers.%d.fc1.weight"),
                                  .ffn = side(p, 0, "encoder.layers.0.fc1.weight"),
                                  .audio_branch_zeros =
                                      part_find(p, "feature_extractor_video.proj.weight") != NULL};
    for (int s = 0; s < 4; s++) {
        char pattern[80];
        snprintf(pattern, sizeof pattern, RESNET "trunk.layer%d.%%d.conv1.weight", s + 1);
        v->blocks[s] = part_count(p, pattern);
        v->widths[s] =
            part_int((double)part_side(p, 0, RESNET "trunk.layer%d.0.conv1.weight", s + 1));
    }
    const char *position = part_find(p, POSITION "weight_v") ? POSITION "weight_v"
                           : part_find(p, POSITION "weight") ? POSITION "weight"
                                                             : POSITION
                               "parametrizations.weight.original1";
    int group = side(p, 1, position);
    v->position_kernel = side(p, 2, position);
    v->position_groups = group > 0 ? v->d / group : 0;
    v->heads = said(p, "encoder_attention_heads", &value) ? part_int(value) : v->d / 64;
    if (said(p, "layer_norm_first", &value) && value == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: layers with their norms behind (layer_norm_first false)",
                         weights_path(p->weights));
    return 0;
}

const struct part_naming part_video_namings[] = {
    {.kind = PART_VIDEO,
     .family = "video encoder",
     .publisher = "mome",
     .probes = {"video.encoder.", "projector."},
     .rules = part_own_rules[PART_VIDEO],
     .ours = true,
     .configure = part_configure_own},
    {.kind = PART_VIDEO,
     .family = "AV-HuBERT",
     .publisher = "fairseq",
     .probes = {"encoder.layers.0.fc1.weight", RESNET "frontend3D.0.weight"},
     .rules = fairseq,
     .configure = configure},
    {0},
};
