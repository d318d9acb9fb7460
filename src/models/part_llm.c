/*
 * Llama 2, 3, 3.1, 3.2, TinyLlama, SmolLM2, Qwen2, Qwen2.5: one architecture (Qwen's q, k and v
 * have biases), named by Hugging Face, whose names are ours, or in GGUF by llama.cpp. What GGUF
 * calls "llama" has the rows of q and k interleaved for another way to rotate; "qwen2" has not.
 *
 * Llama 3.1 and 3.2 stretch rotary frequencies (nn/rope.h): Hugging Face's config.json says how; a
 * GGUF has the divisors in a table, from which `factor` is read and with which the formula must
 * agree. Other ways of stretching, and other architectures, are refused by name.
 */
#include "models/part_naming.h"

#include "base/file.h"
#include "nn/rope.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUR_POSITIONS = 4096 }; /* more rows than a clip, its prompt and its text ever take */

static const struct part_rule hugging_face[] = {
    {"*", "*", LAYOUT_SAME, NULL},
    {0},
};

/* The same saved without the head's module around it. */
static const struct part_rule hugging_face_bare[] = {
    {"model.*", "*", LAYOUT_SAME, NULL},
    {"lm_head.weight", "lm_head.weight", LAYOUT_SAME, NULL},
    {0},
};

#define LAYER "model.layers.%."
#define GGUF_RULES(rotary)                                                                         \
    {                                                                                              \
        {"model.embed_tokens.weight", "token_embd.weight", LAYOUT_SAME, NULL},                     \
            {"lm_head.weight", "output.weight", LAYOUT_SAME, NULL},                                \
            {"model.norm.weight", "output_norm.weight", LAYOUT_SAME, NULL},                        \
            {LAYER "input_layernorm.*", "blk.%.attn_norm.*", LAYOUT_SAME, NULL},                   \
            {LAYER "post_attention_layernorm.*", "blk.%.ffn_norm.*", LAYOUT_SAME, NULL},           \
            {LAYER "self_attn.q_proj.*", "blk.%.attn_q.*", rotary, NULL},                          \
            {LAYER "self_attn.k_proj.*", "blk.%.attn_k.*", rotary, NULL},                          \
            {LAYER "self_attn.v_proj.*", "blk.%.attn_v.*", LAYOUT_SAME, NULL},                     \
            {LAYER "self_attn.o_proj.*", "blk.%.attn_output.*", LAYOUT_SAME, NULL},                \
            {LAYER "mlp.gate_proj.*", "blk.%.ffn_gate.*", LAYOUT_SAME, NULL},                      \
            {LAYER "mlp.up_proj.*", "blk.%.ffn_up.*", LAYOUT_SAME, NULL},                          \
            {LAYER "mlp.down_proj.*", "blk.%.ffn_down.*", LAYOUT_SAME, NULL}, {0},                 \
    }
static const struct part_rule gguf_llama[] = GGUF_RULES(LAYOUT_ROTARY);
static const struct part_rule gguf_qwen2[] = GGUF_RULES(LAYOUT_SAME);

static int refuse(const struct part *p, struct error *err, const char *what, const char *found)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s: %s \"%.60s\" is not supported",
                     weights_path(p->weights), what, found);
}

/* ---- Hugging Face's config.json ---------------------------------------------------------- */

static int json_text_is(const struct part *p, const char *key, const char *one, const char *other,
                        struct error *err)
{
    const char *text = json_string_value(json_object_get(p->json, key));
    if (!text || strcmp(text, one) == 0 || (other && strcmp(text, other) == 0))
        return 0;
    return refuse(p, err, key, text);
}

static int json_is_off(const struct part *p, const char *key, struct error *err)
{
    double value;
    if (!part_json_number(p, key, &value) || value == 0)
        return 0;
    return refuse(p, err, key, "true");
}

static double json_or(const struct part *p, const char *key, double otherwise)
{
    double value;
    return part_json_number(p, key, &value) ? value : otherwise;
}

/* "rope_scaling" {"rope_type" or, before, "type": ...}; newer files have "rope_parameters" with
   "rope_theta" in it. */
static int read_rope(const struct part *p, struct llama_config *c, struct error *err)
{
    const json_t *rope = json_object_get(p->json, "rope_parameters");
    if (!json_is_object(rope))
        rope = json_object_get(p->json, "rope_scaling");
    const json_t *theta = json_object_get(rope, "rope_theta");
    c->rope_theta =
        (float)(json_is_number(theta) ? json_number_value(theta) : json_or(p, "rope_theta", 10000));
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    if (!type)
        type = json_string_value(json_object_get(rope, "type"));
    if (!json_is_object(rope) || !type || strcmp(type, "default") == 0)
        return 0;
    if (strcmp(type, "llama3") != 0)
        return refuse(p, err, "rotary scaling", type);
    double factor, low, high;
    json_int_t original;
    if (json_unpack((json_t *)rope, "{s:F, s:F, s:F, s:I}", "factor", &factor, "low_freq_factor",
                    &low, "high_freq_factor", &high, "original_max_position_embeddings",
                    &original) != 0)
        return error_set(err, ERROR_FORMAT,
                         "%s/config.json: rotary scaling \"llama3\" lacks one "
                         "of its four numbers",
                         p->folder);
    c->rope_factor = (float)factor;
    c->rope_low = (float)low;
    c->rope_high = (float)high;
    c->rope_original = part_int((double)original);
    return 0;
}

static int check_window(const struct part *p, struct error *err)
{
    double window = json_or(p, "sliding_window", 0);
    if (json_or(p, "use_sliding_window", 0) == 0 || window == 0 || window >= OUR_POSITIONS)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "%s: a sliding window of %g positions, %d are needed",
                     weights_path(p->weights), window, OUR_POSITIONS);
}

static int configure_hugging_face(const struct part *p, struct recognizer_config *config,
                                  struct error *err)
{
    struct llama_config *c = &config->llm;
    if (!p->json)
        return error_set(err, ERROR_FORMAT,
                         "%s: an LLM, but no config.json beside it, which says the number of heads",
                         weights_path(p->weights));
    int rc;
    if ((rc = json_text_is(p, "model_type", "llama", "qwen2", err)) != 0 ||
        (rc = json_text_is(p, "hidden_act", "silu", NULL, err)) != 0 ||
        (rc = json_is_off(p, "attention_bias", err)) != 0 ||
        (rc = json_is_off(p, "mlp_bias", err)) != 0 || (rc = check_window(p, err)) != 0)
        return rc;
    double d = json_or(p, "hidden_size", 0), heads = json_or(p, "num_attention_heads", 1);
    *c = (struct llama_config){
        .vocab = part_int(json_or(p, "vocab_size", 0)),
        .d = part_int(d),
        .layers = part_int(json_or(p, "num_hidden_layers", 0)),
        .heads = part_int(heads),
        .kv_heads = part_int(json_or(p, "num_key_value_heads", heads)),
        .head_dim = part_int(json_or(p, "head_dim", d / heads)),
        .ffn = part_int(json_or(p, "intermediate_size", 0)),
        .norm_eps = (float)json_or(p, "rms_norm_eps", 1e-6),
        .rope_factor = 1,
        .rope_low = 1,
        .rope_high = 4,
        .rope_original = 8192,
        .tied = json_or(p, "tie_word_embeddings", 0) != 0,
        .qkv_bias = part_side(p, 0, "%slayers.0.self_attn.q_proj.bias",
                              p->naming->rules == hugging_face ? "model." : "") > 0,
    };
    if (json_or(p, "partial_rotary_factor", 1) != 1)
        return refuse(p, err, "partial_rotary_factor", "not 1");
    return read_rope(p, c, err);
}

/* ---- GGUF -------------------------------------------------------------------------------- */

static double gguf_or(const struct part *p, const char *key, double otherwise)
{
    char full[128];
    double value;
    snprintf(full, sizeof full, "%s.%s", weights_text(p->weights, "general.architecture"), key);
    return weights_number(p->weights, full, &value) ? value : otherwise;
}

/* The table holds what each frequency is divided by. */
static int read_divisors(const struct part *p, struct llama_config *c, struct error *err)
{
    const struct stored_tensor *t = part_find(p, "rope_freqs.weight");
    float divisor[256], scaled[256], plain[256]; /* head_dim <= 512 */
    if (!t)
        return 0;
    int half = c->head_dim / 2, rc;
    if (half > 256 || t->count != half)
        return error_set(err, ERROR_FORMAT, "%s: rope_freqs.weight has %lld numbers, %d expected",
                         weights_path(p->weights), (long long)t->count, half);
    if ((rc = stored_read(divisor, t, 0, half, err)) != 0)
        return error_prefix(err, "%s", weights_path(p->weights));
    for (int i = 0; i < half; i++)
        c->rope_factor = fmaxf(c->rope_factor, divisor[i]);
    struct rope rope = {c->rope_theta, 1, c->rope_low, c->rope_high, c->rope_original};
    rope_frequencies(plain, c->head_dim, &rope);
    rope.factor = c->rope_factor;
    rope_frequencies(scaled, c->head_dim, &rope);
    for (int i = 0; i < half; i++)
        if (!(fabsf(scaled[i] * divisor[i] - plain[i]) <= 1e-3f * plain[i]))
            return refuse(p, err, "rotary scaling", "by a table unlike Llama 3's");
    return 0;
}

static int configure_gguf(const struct part *p, struct recognizer_config *config, struct error *err)
{
    struct llama_config *c = &config->llm;
    double d = gguf_or(p, "embedding_length", 0), heads = gguf_or(p, "attention.head_count", 1);
    char key[64];
    *c = (struct llama_config){
        .vocab = part_int((double)part_side(p, 0, "token_embd.weight")),
        .d = part_int(d),
        .layers = part_int(gguf_or(p, "block_count", 0)),
        .heads = part_int(heads),
        .kv_heads = part_int(gguf_or(p, "attention.head_count_kv", heads)),
        .head_dim = part_int(gguf_or(p, "attention.key_length", d / heads)),
        .ffn = part_int(gguf_or(p, "feed_forward_length", 0)),
        .rope_theta = (float)gguf_or(p, "rope.freq_base", 10000),
        .norm_eps = (float)gguf_or(p, "attention.layer_norm_rms_epsilon", 1e-5),
        .rope_factor = 1,
        .rope_low = 1,
        .rope_high = 4,
        .rope_original = 8192,
        .tied = part_side(p, 0, "output.weight") == 0,
        .qkv_bias = part_side(p, 0, "blk.0.attn_q.bias") > 0,
    };
    snprintf(key, sizeof key, "%s.rope.scaling.type",
             weights_text(p->weights, "general.architecture"));
    const char *scaling = weights_text(p->weights, key);
    if (scaling && strcmp(scaling, "none") != 0)
        return refuse(p, err, "rotary scaling", scaling);
    if (gguf_or(p, "rope.dimension_count", c->head_dim) != c->head_dim)
        return refuse(p, err, "rope.dimension_count", "other than a head's size");
    return read_divisors(p, c, err);
}

/* ---- the table --------------------------------------------------------------------------- */

const struct part_naming part_llm_namings[] = {
    {.kind = PART_LLM,
     .family = "LLM",
     .publisher = "mome",
     .probes = {"llm.model.", "projector."},
     .rules = part_own_rules[PART_LLM],
     .ours = true,
     .configure = part_configure_own},
    {.kind = PART_LLM,
     .family = "Llama",
     .publisher = "Hugging Face",
     .probes = {"model.layers.0.mlp.gate_proj.weight", NULL},
     .rules = hugging_face,
     .configure = configure_hugging_face},
    {.kind = PART_LLM,
     .family = "Llama",
     .publisher = "Hugging Face",
     .probes = {"layers.0.mlp.gate_proj.weight", "embed_tokens.weight"},
     .rules = hugging_face_bare,
     .configure = configure_hugging_face},
    {.kind = PART_LLM,
     .family = "Llama",
     .publisher = "GGUF",
     .architecture = "llama",
     .probes = {"blk.0.ffn_gate.weight", "token_embd.weight"},
     .rules = gguf_llama,
     .configure = configure_gguf},
    {.kind = PART_LLM,
     .family = "Qwen2",
     .publisher = "GGUF",
     .architecture = "qwen2",
     .probes = {"blk.0.ffn_gate.weight", "token_embd.weight"},
     .rules = gguf_qwen2,
     .configure = configure_gguf},
    {0},
};
