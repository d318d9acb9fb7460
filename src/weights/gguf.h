/*
 * GGUF, versions 2 and 3, little-endian (llama.cpp).
 *
 *     "GGUF"  u32 version  u64 tensors  u64 key-values
 *     key-values: string key, u32 type, value
 *         string: u64 length, bytes. array: u32 type, u64 count, elements (arrays may nest)
 *     tensors: string name, u32 dims, u64 sizes[dims] (innermost first), u32 type, u64 offset
 *     padding to a multiple of general.alignment (32 where it is not given), then the data;
 *     offsets count from there and are multiples of the alignment
 *
 * Element types that dtype.h does not know are DTYPE_OTHER; nested arrays are passed over.
 */
#ifndef WEIGHTS_GGUF_H
#define WEIGHTS_GGUF_H

#include "weights/metadata.h"
#include "weights/tensor_list.h"

bool gguf_sniff(const unsigned char *bytes, size_t size);

/* Both lists are initialised and not yet finished; they refer to the bytes. */
int gguf_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
              size_t size, struct error *err);

/* ggml's number of an element type as the entry's dtype (and sizes of others); false: unknown. */
bool ggml_type_find(struct tensor_entry *e, uint32_t type);

#endif
