/*
 * Whisper's encoder as published (Radford et al. 2022): by Hugging Face, by OpenAI (whose names
 * whisper.cpp keeps), by CTranslate2 (faster-whisper), which has q, k and v in one matrix with a
 * bias of zeros for k. tiny to large-v3 differ in sizes only; heads are 64 wide in all of them.
 */
#include "models/part_naming.h"

#define LAYER "model.encoder.layers.%."

static const struct part_rule hugging_face[] = {
    {"model.encoder.*", "encoder.*", LAYOUT_SAME, NULL},
    {0},
};

#define BLOCK "encoder.blocks.%."
static const struct part_rule openai[] = {
    {"model.encoder.conv%.*", "encoder.conv%.*", LAYOUT_SAME, NULL},
    {"model.encoder.embed_positions.weight", "encoder.positional_embedding", LAYOUT_SAME, NULL},
    {LAYER "self_attn_layer_norm.*", BLOCK "attn_ln.*", LAYOUT_SAME, NULL},
    {LAYER "self_attn.q_proj.*", BLOCK "attn.query.*", LAYOUT_SAME, NULL},
    {LAYER "self_attn.k_proj.*", BLOCK "attn.key.*", LAYOUT_SAME, NULL},
    {LAYER "self_attn.v_proj.*", BLOCK "attn.value.*", LAYOUT_SAME, NULL},
    {LAYER "self_attn.out_proj.*", BLOCK "attn.out.*", LAYOUT_SAME, NULL},
    {LAYER "final_layer_norm.*", BLOCK "mlp_ln.*", LAYOUT_SAME, NULL},
    {LAYER "fc1.*", BLOCK "mlp.0.*", LAYOUT_SAME, NULL},
    {LAYER "fc2.*", BLOCK "mlp.2.*", LAYOUT_SAME, NULL},
    {"model.encoder.layer_norm.*", "encoder.ln_post.*", LAYOUT_SAME, NULL},
    {0},
};

#define CT2 "encoder/layer_%/"
static const struct part_rule ctranslate2[] = {
    {"model.encoder.conv%.*", "encoder/conv%/*", LAYOUT_SAME, NULL},
    {"model.encoder.embed_positions.weight", "encoder/position_encodings/encodings", LAYOUT_SAME,
     NULL},
    {LAYER "self_attn_layer_norm.weight", CT2 "self_attention/layer_norm/gamma", LAYOUT_SAME, NULL},
    {LAYER "self_attn_layer_norm.bias", CT2 "self_attention/layer_norm/beta", LAYOUT_SAME, NULL},
    {LAYER "self_attn.q_proj.*", CT2 "self_attention/linear_0/*", LAYOUT_FIRST_THIRD, NULL},
    {LAYER "self_attn.k_proj.*", CT2 "self_attention/linear_0/*", LAYOUT_SECOND_THIRD, NULL},
    {LAYER "self_attn.v_proj.*", CT2 "self_attention/linear_0/*", LAYOUT_THIRD_THIRD, NULL},
    {LAYER "self_attn.out_proj.*", CT2 "self_attention/linear_1/*", LAYOUT_SAME, NULL},
    {LAYER "final_layer_norm.weight", CT2 "ffn/layer_norm/gamma", LAYOUT_SAME, NULL},
    {LAYER "final_layer_norm.bias", CT2 "ffn/layer_norm/beta", LAYOUT_SAME, NULL},
    {LAYER "fc1.*", CT2 "ffn/linear_0/*", LAYOUT_SAME, NULL},
    {LAYER "fc2.*", CT2 "ffn/linear_1/*", LAYOUT_SAME, NULL},
    {"model.encoder.layer_norm.weight", "encoder/layer_norm/gamma", LAYOUT_SAME, NULL},
    {"model.encoder.layer_norm.bias", "encoder/layer_norm/beta", LAYOUT_SAME, NULL},
    {0},
};

/* Where the file says it, else the 64 numbers a head has in every published one. */
static int heads(const struct part *p, int d)
{
    static const char *const keys[] = {"dims.n_audio_head", "n_audio_head", "encoder/num_heads"};
    double value;
    if (part_json_number(p, "encoder_attention_heads", &value))
        return part_int(value);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (weights_number(p->weights, keys[i], &value))
            return part_int(value);
    return d >= 64 ? d / 64 : 1;
}

struct names {
    const char *conv, *positions, *layer, *ffn;
};

static int configure(const struct part *p, struct recognizer_config *config, const struct names *n)
{
    double positions = (double)part_side(p, 0, "%s", n->positions);
    if (positions == 0 && !part_json_number(p, "max_source_positions", &positions))
        positions = 1500;
    int d = part_int((double)part_side(p, 0, "%s", n->conv));
    config->audio = (struct whisper_config){
        .mels = part_int((double)part_side(p, 1, "%s", n->conv)),
        .d = d,
        .layers = part_count(p, n->layer),
        .heads = heads(p, d),
        .ffn = part_int((double)part_side(p, 0, "%s", n->ffn)),
        .positions = part_int(positions),
        .exact_window = true,
    };
    return 0;
}

static int configure_hugging_face(const struct part *p, struct recognizer_config *config,
                                  struct error *err)
{
    (void)err;
    return configure(p, config,
                     &(struct names){"encoder.conv1.weight", "encoder.embed_positions.weight",
                                     "encoder.layers.%d.fc1.weight",
                                     "encoder.layers.0.fc1.weight"});
}

static int configure_openai(const struct part *p, struct recognizer_config *config,
                            struct error *err)
{
    (void)err;
    return configure(p, config,
                     &(struct names){"encoder.conv1.weight", "encoder.positional_embedding",
                                     "encoder.blocks.%d.mlp.0.weight",
                                     "encoder.blocks.0.mlp.0.weight"});
}

static int configure_ctranslate2(const struct part *p, struct recognizer_config *config,
                                 struct error *err)
{
    (void)err;
    return configure(p, config,
                     &(struct names){"encoder/conv1/weight", "encoder/position_encodings/encodings",
                                     "encoder/layer_%d/ffn/linear_0/weight",
                                     "encoder/layer_0/ffn/linear_0/weight"});
}

const struct part_naming part_audio_namings[] = {
    {.kind = PART_AUDIO,
     .family = "audio encoder",
     .publisher = "mome",
     .probes = {"audio.model.encoder.", "projector."},
     .rules = part_own_rules[PART_AUDIO],
     .ours = true,
     .configure = part_configure_own},
    {.kind = PART_AUDIO,
     .family = "Whisper",
     .publisher = "Hugging Face",
     .probes = {"encoder.layers.0.fc1.weight", "encoder.conv1.weight"},
     .rules = hugging_face,
     .configure = configure_hugging_face},
    {.kind = PART_AUDIO,
     .family = "Whisper",
     .publisher = "OpenAI",
     .probes = {"encoder.blocks.0.mlp.0.weight", "encoder.conv1.weight"},
     .rules = openai,
     .configure = configure_openai},
    {.kind = PART_AUDIO,
     .family = "Whisper",
     .publisher = "CTranslate2",
     .probes = {"encoder/layer_0/ffn/linear_0/weight", "encoder/conv1/weight"},
     .rules = ctranslate2,
     .configure = configure_ctranslate2},
    {0},
};
