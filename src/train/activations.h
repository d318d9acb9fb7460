/*
 * How much of the arena a part of a step will take at its peak, counted from what the layers keep
 * for their gradients (models/llama.c, nn/encoder_layer.c, models/avhubert.c):
 *
 *     rows of the LLM    x layers x what a layer computes of a row
 *     frames             x (layers x a layer's row + convolutions), of encoders that are run
 *     logits             x 3: themselves, their slope, their gradient
 *     gradients          of one layer: each size is used again by the next
 *
 * Where layers run again (tensor.h, tape_recompute) each keeps its result, and one at a time the
 * rest. What it depends on is drawn from (seed, stage, step), so a resumed run counts the same.
 */
#ifndef TRAIN_ACTIVATIONS_H
#define TRAIN_ACTIVATIONS_H

#include "train/objective.h"

double activations_bytes(const struct recognizer *r, const struct stage_config *stage,
                         const struct batch *batch, bool recompute);

#endif
