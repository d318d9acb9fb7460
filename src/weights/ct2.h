/*
 * CTranslate2's model.bin (faster-whisper), versions 2 to 6, little-endian, nothing aligned.
 *
 *     u32 version   string specification ("WhisperSpec")   u32 revision
 *     u32 variables; each: string name, u8 dims, u32 sizes[dims] (outermost first),
 *         version 4 on: u8 type, u32 bytes (0 float32, 1 int8, 2 int16, 3 int32, 4 float16,
 *         5 bfloat16); before: u8 bytes of a number, u32 numbers (4: float32; else integers)
 *         data
 *     version 3 on: u32 aliases; each: string alias, string variable
 *     string: u16 length with the NUL at the end, bytes
 *
 * An alias is listed as a tensor with the same data, and so is the "_scale" that belongs to it.
 * Variables without dimensions are settings ("encoder/num_heads"): they are metadata, numbers by
 * their name, as are "version" and "revision"; "specification" is a text.
 */
#ifndef WEIGHTS_CT2_H
#define WEIGHTS_CT2_H

#include "weights/metadata.h"
#include "weights/tensor_list.h"

bool ct2_sniff(const unsigned char *bytes, size_t size);

/* Both lists are initialised and not yet finished; they refer to the bytes. */
int ct2_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
             size_t size, struct error *err);

#endif
