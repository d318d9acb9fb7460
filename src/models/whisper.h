/*
 * Whisper's audio encoder (Radford et al. 2022), names as in Hugging Face's files:
 *
 *     log-mel [N, T, mels] -> conv 3, gelu -> conv 3 stride 2, gelu -> + sinusoid positions
 *     -> pre-norm layers -> layer norm -> [N * T', d], T' = (T + 1) / 2
 *
 * Items shorter than T are masked: their rows are computed as if they were alone.
 */
#ifndef MODELS_WHISPER_H
#define MODELS_WHISPER_H

#include "models/config.h"
#include "nn/conv.h"
#include "nn/encoder_layer.h"

struct whisper {
    struct whisper_config config;
    struct conv conv1, conv2;
    struct tensor positions; /* [config.positions, d] */
    struct encoder_layer *layers;
    struct norm norm;
};

int whisper_init(struct whisper *w, const struct whisper_config *config, struct error *err);
void whisper_release(struct whisper *w); /* tensors are released by a walk before */
void whisper_params(struct whisper *w, struct param_visitor *v);
/* lengths: mel frames of each item, or NULL: all T */
struct tensor *whisper_forward(struct whisper *w, struct compute *c, struct tensor *logmel,
                               const int64_t *lengths);

static inline int64_t whisper_frames(int64_t mel_frames)
{
    return (mel_frames + 1) / 2;
}

#endif
