/*
 * A published model as one part of ours. Whoever published it, and in whichever format, its tensors
 * are handed out by the names of our walk (whisper.h, avhubert.h, llama.h: Hugging Face's and
 * fairseq's own), laid out as our layers want them:
 *
 *     audio   Whisper's encoder: Hugging Face, OpenAI (.pt), whisper.cpp (.bin), CTranslate2
 *     video   AV-HuBERT: fairseq, pre-trained or fine-tuned; the video side of a Llama-AVSR file
 *     llm     Llama 2, 3, 3.1, 3.2, TinyLlama, SmolLM2, Qwen2, Qwen2.5: Hugging Face folder, GGUF
 *     adapters  projectors and LoRA of a Llama-AVSR / Omni-AVSR checkpoint; or a mome model's
 *               projectors, experts and LoRA (also that of its video encoder, which `video` of such
 *               a model is without)
 *
 * What differs between publishers is a rule: another name; rows permuted (GGUF interleaves the
 * halves of rotary heads); one of several matrices fused into one (CTranslate2's q, k, v);
 * convolutions channels first; weight norm not resolved (w = g v / |v|); a size-1 dimension.
 * A rule that only renames hands out the file's own memory; the others make a copy.
 */
#ifndef MODELS_PART_H
#define MODELS_PART_H

#include "models/config.h"
#include "models/params.h"
#include "weights/weights.h"

struct tokenizer;

enum part_kind { PART_AUDIO, PART_VIDEO, PART_LLM, PART_ADAPTERS, PART_KINDS };

const char *part_kind_name(enum part_kind kind); /* "audio" "video" "llm" "adapters" */

struct part;

/* path: a file or a Hugging Face folder. Fails, saying what the file is instead, where it holds no
   such part ("FILE: this is a Whisper model (Hugging Face), a Llama-type LLM was expected"). */
int part_open(struct part **p, enum part_kind kind, const char *path, struct error *err);
void part_close(struct part *p); /* NULL is fine; invalidates what was borrowed from it */

/* "Whisper, 6 layers of 512 (CTranslate2, F16)": for people. */
const char *part_description(const struct part *p);
/* A licence that whoever loads this must be told of (AV-HuBERT's), or NULL. */
const char *part_licence(const struct part *p);

/* Fills config's audio, video or llm (adapters: projector, mome, LoRA) from the file, its
   config.json or, where neither says, the shapes. */
int part_config(const struct part *p, struct recognizer_config *config, struct error *err);

/* The tokenizer that lies beside or in the file (llm only). */
int part_tokenizer(const struct part *p, struct tokenizer **t, struct error *err);
/* Adds <pad> <audio> </audio> <video> </video>, in this order, where it has them not. */
int part_add_tokens(struct tokenizer *t, struct error *err);

struct part_report {
    int64_t loaded, missing, left_over; /* tensors; missing ones make part_load fail */
    char **left; /* [left_over] names, e.g. Whisper's decoder; released by part_report_release */
};

/* Gives every entry of the list (names of this part alone, without our "audio." prefix) its
   numbers: borrowed from the file where layout and type allow (products and tables in any dtype,
   F32 everything), else converted into own memory. Missing or misshapen: an error that names
   tensor, both shapes and the file. The part must stay open as long as the tensors live. */
int part_load(struct part *p, const struct param_list *list, struct part_report *report,
              struct error *err);
void part_report_release(struct part_report *r);

#endif
