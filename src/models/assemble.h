/*
 * A model folder (models/recognizer.h) put together from published parts:
 *
 *     --audio W  --video V  --llm L  [--adapters A]   ->   DIR/config.json, tokenizer.json,
 *                                                          model.safetensors
 *
 * By reference, config.json's "parts" says where the published files lie (relative to DIR, or
 * absolute), and model.safetensors holds only what is the model's own: projectors, experts, the
 * embeddings of added tokens, and what differs from the published numbers (LoRA merged into q and
 * v, the running statistics of norms). Copied, it holds everything, and no part is referred to.
 *
 * Adapters are a trained Llama-AVSR or Omni-AVSR checkpoint, or a model of ours; without them the
 * model's own tensors start at random, to be trained. A checkpoint of theirs carries the video
 * encoder it was trained with, running statistics that drifted included: that one is used instead
 * of options.video. LoRA that serves all rates is merged into q and v, so that it costs nothing;
 * of ours with one for each rate pair it is kept as it is.
 *
 * The tokenizer gets <pad> <audio> </audio> <video> </video>, in this order, where it has them not.
 */
#ifndef MODELS_ASSEMBLE_H
#define MODELS_ASSEMBLE_H

#include "models/part.h"

struct assemble_options {
    const char *paths[PART_KINDS]; /* by enum part_kind; NULL: none (llm must be there, and audio
                                      or video) */
    const char *output;            /* the folder */
    /* Where the adapters do not say: one projector each. Count 0: 4 and 16; 2 and 5. */
    int audio_rates[CONFIG_MAX_RATES], audio_rate_count;
    int video_rates[CONFIG_MAX_RATES], video_rate_count;
    int projector_hidden;           /* 0: 2048 */
    const struct mome_config *mome; /* without adapters; NULL: the default placement and sizes */
    bool window_trim;               /* audio as long as it is, instead of the published 30 s; a
                                       model of ours as adapters decides that itself */
    bool copy;                      /* into model.safetensors, instead of by reference */
    uint64_t seed;                  /* of what starts at random */
};

struct assemble_report {
    struct {
        char description[160]; /* "" where there is no such part */
        const char *licence;   /* or NULL; static */
        struct part_report tensors;
    } parts[PART_KINDS];
    int64_t merged; /* weights that LoRA was merged into */
    bool video_from_adapters;
};

int recognizer_assemble(const struct assemble_options *options, struct assemble_report *report,
                        struct error *err);
void assemble_report_release(struct assemble_report *report); /* also fine on a zeroed struct */

#endif
