/*
 * What a model is made of: plain numbers, written to and read from the folder's config.json.
 * Nothing about a size or a placement is wired into code; the published systems and the tiny one
 * differ only here. config_from_json checks every range and every relation (heads divide d, ...),
 * so code behind it need not; its message names the file, the key, the limits and what was found.
 */
#ifndef MODELS_CONFIG_H
#define MODELS_CONFIG_H

#include "base/error.h"
#include "text/prompt.h"

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_MAX_RATES = 16, CONFIG_MAX_TEXT = 128, CONFIG_MAX_PATH = 1024, CONFIG_PICTURE = 88 };
enum { CONFIG_PARTS = 3 }; /* audio, video, llm: as enum part_kind */

/* Pictures go in as (x / 255 - mean) / deviation (AV-HuBERT's image_mean, image_std). */
#define PICTURE_MEAN 0.421f
#define PICTURE_DEVIATION 0.165f

/* Whisper-type audio encoder: 2 convolutions (stride 1, 2), pre-norm layers. */
struct whisper_config {
    int mels, d, layers, heads, ffn;
    int positions;     /* length of the position table, in output frames (50 a second): 1500 */
    bool exact_window; /* as published: always 2 * positions mel frames (30 s, silence padded);
                          else any length up to that */
    float dropout;
};

/* AV-HuBERT-type video encoder: 3-D stem, residual trunk, positional convolution, pre-norm layers.
 */
struct avhubert_config {
    int stem;                 /* channels of the 3-D convolution: 64 */
    int widths[4], blocks[4]; /* of the trunk's stages: 64 128 256 512, 2 2 2 2; strides 1 2 2 2 */
    int d, layers, heads, ffn;
    int position_kernel, position_groups; /* 128, 16 */
    bool audio_branch_zeros; /* as published: the input is [zeros(d), video(d)], normalised together
                              */
    float dropout;
};

/* One per (modality, rate): Linear(d_encoder [* rate], hidden), ReLU, Linear(hidden, d_llm). */
struct projector_config {
    int hidden; /* 2048 */
    bool norm;  /* a layer norm at the end */
    bool stack; /* concatenate `rate` frames instead of averaging them */
    int audio_rates[CONFIG_MAX_RATES], audio_rate_count;
    int video_rates[CONFIG_MAX_RATES], video_rate_count;
};

struct llama_config {
    int vocab, d, layers, heads, kv_heads, head_dim, ffn;
    float rope_theta, norm_eps;
    float rope_factor; /* Llama 3 frequency scaling; 1: none */
    float rope_low, rope_high;
    int rope_original; /* positions of the pre-training that the scaling stretches */
    bool tied;         /* the head is the embedding table */
    bool qkv_bias;
    /* Tokens added to a published vocabulary: ids from extra_from on have their embeddings in a
       table of their own. They are never predicted, so the head does not know them. */
    int extra_tokens, extra_from;
    float dropout;
};

enum mome_placement { MOME_NONE, MOME_MHSA, MOME_FFN, MOME_LAYER, MOME_PLACEMENTS };

struct mome_config {
    enum mome_placement placement;
    int routed, active, shared, bottleneck; /* Nr, K, Ns, b */
    bool biases;
    bool renormalise;      /* the K gates sum to 1 */
    bool normalise_input;  /* placement "layer": the module sees N1(x) instead of x */
    bool separate_routers; /* ablation: one router for each (audio rate or none, video rate or none)
                            */
};

/* LoRA on q and v of every LLM layer (nn/lora.h): global alone is Llama-AVSR and Llama-MTSK MS,
   per_rate alone SS (one for each (audio rate or none, video rate or none)), both MSS. */
struct lora_config {
    int inner; /* 0: none; d / 32 in the published systems */
    float scale;
    bool global, per_rate;
};

/* The same on the video encoder, one for all rates (Llama-AVSR for VSR): d / 16, 2. */
struct video_lora_config {
    int inner;
    float scale;
};

struct recognizer_config {
    bool has_audio, has_video;
    struct whisper_config audio;
    struct avhubert_config video;
    struct projector_config projector;
    struct llama_config llm;
    struct mome_config mome;
    struct lora_config lora;
    struct video_lora_config video_lora;
    char prompts[TASK_COUNT][CONFIG_MAX_TEXT];
    char bos[CONFIG_MAX_TEXT], eos[CONFIG_MAX_TEXT]; /* names of tokens */
    float longest_seconds; /* longer clips are cut: what it was trained on; 0: what the encoders
                              take */
    float ctc_weight; /* of the projected tokens' own reading (models/ctc_head) in search, beside
                         the LLM's; 0: the LLM alone */
    float least_confidence; /* of an utterance's words, their mean: sound that gives less is taken
                               for no speech (decode/stream); 0: none is */
    /* Published files that hold the audio encoder, the video encoder, the LLM; relative to the
       folder or absolute; "": the model's own file holds it. has_parts: any of them. */
    bool has_parts;
    char parts[CONFIG_PARTS][CONFIG_MAX_PATH];
};

/* A small model with everything in it (about 7 M parameters); vocab must still be set. */
void config_default(struct recognizer_config *config);

/* Pairs of (audio rate or none, video rate or none), numbered from 1; and the number of the one at
   these places in audio_rates and video_rates, -1: none, not both. */
int config_pair_count(const struct recognizer_config *config);
int config_pair(const struct recognizer_config *config, int audio, int video);

/* The finest of a list of rates, which need not be in order. */
int config_finest_rate(const int *rates, int count);

/* text is a JSON object; keys that are absent keep config_default's values, unknown keys are
   errors. "audio" or "video" null: the model has no such encoder. `file` is named in errors. */
int config_from_json(struct recognizer_config *config, const char *text, const char *file,
                     struct error *err);
char *config_to_json(const struct recognizer_config *config); /* memory_free; NULL: no memory */
/* The ranges and relations alone, for configs made in code. */
int config_check(const struct recognizer_config *config, const char *file, struct error *err);

#endif
