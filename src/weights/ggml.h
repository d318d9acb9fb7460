/*
 * whisper.cpp's file (ggml-base.bin), little-endian, nothing aligned.
 *
 *     u32 0x67676d6c
 *     i32 n_vocab n_audio_ctx n_audio_state n_audio_head n_audio_layer
 *         n_text_ctx n_text_state n_text_head n_text_layer n_mels ftype
 *     i32 mels, fft bins; f32 mel filters [mels, bins]
 *     i32 words; each u32 length, bytes           (without the special tokens)
 *     tensors to the end: i32 dims, i32 name length, i32 type, i32 sizes[dims] (innermost first),
 *         name, data
 *
 * Metadata: the header's numbers by these names (ftype is 1000 times the version of the block
 * types, plus the type), "tokens" and "mel_filters".
 */
#ifndef WEIGHTS_GGML_H
#define WEIGHTS_GGML_H

#include "weights/metadata.h"
#include "weights/tensor_list.h"

bool ggml_sniff(const unsigned char *bytes, size_t size);

/* Both lists are initialised and not yet finished; they refer to the bytes. */
int ggml_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
              size_t size, struct error *err);

#endif
