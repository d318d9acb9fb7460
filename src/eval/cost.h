/*
 * What it costs to read a clip, in multiplications and additions (2 of them for each product of a
 * weight and a number), counted from the model's shapes: the encoders, the projectors, the LLM's
 * rows with their experts, attention, the head. Left out: norms, activations, softmax, pooling,
 * log-mel, beam bookkeeping: under 1 % together.
 *
 * LoRA that is not merged counts too. Counted is what this program computes. All experts of a
 * module go in one product, the gates of those not chosen are zero, so all of them count; and with
 * an exact window the audio encoder's cost is that of its whole window.
 */
#ifndef EVAL_COST_H
#define EVAL_COST_H

#include "models/config.h"

#include <stdint.h>

/* mel_rows: what the encoder is given, silence included. */
double cost_audio_encoder(const struct recognizer_config *config, int64_t mel_rows);
double cost_video_encoder(const struct recognizer_config *config, int64_t pictures);
/* tokens out of a projector; `rate` matters where frames are stacked. */
double cost_projector(const struct recognizer_config *config, bool video, int rate, int64_t tokens);

/* Rows that went through the LLM, the keys that they saw (added up: a prompt of n rows sees
   n (n + 1) / 2), and the rows whose next token was asked for. */
struct llm_work {
    int64_t rows, keys, heads;
};
double cost_llm(const struct recognizer_config *config, const struct llm_work *work);

#endif
