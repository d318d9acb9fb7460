/*
 * The whole network (docs/tour.md draws it):
 *
 *     log-mel  -> whisper  -> pool rate a -> projector a --+
 *     pictures -> avhubert -> pool rate v -> projector v --+-> llama + MoME -> logits
 *
 *     BOS <audio> A </audio> <video> V </video> prompt text (EOS)
 *
 * One set of weights does ASR, VSR and AVSR at every rate pair it has projectors for; which, is
 * said by each request. Requests of any mixture run in one pass, packed, without padding.
 *
 * A model folder holds config.json, model.safetensors and, unless the LLM is a published file
 * elsewhere, which brings its own, tokenizer.json. Tensor names are the
 * published ones behind a prefix: audio. (Hugging Face Whisper), video. (fairseq AV-HuBERT), llm.
 * (Hugging Face Llama), and projector.{audio,video}.RATE., projector.tokens. (embeddings of added
 * tokens), mome.layers.N., lora.layers.N. and video_lora.layers.N. of our own.
 *
 * Where config.json's "parts" says so, the encoders and the LLM are published files elsewhere
 * (models/part.h), whose weights stay where they are; model.safetensors then holds the rest, and
 * what differs from the published numbers.
 *
 * Forward functions can't fail: sizes are asserted, requests are checked beforehand by
 * recognizer_check_rates. Results live in c->arena.
 */
#ifndef MODELS_RECOGNIZER_H
#define MODELS_RECOGNIZER_H

#include "models/avhubert.h"
#include "models/config.h"
#include "models/llama.h"
#include "models/mome.h"
#include "models/projector.h"
#include "models/whisper.h"
#include "nn/kv_cache.h"

struct tokenizer;
struct part;
struct part_report;
struct weights;

struct token_ids {
    int32_t bos, eos, audio_open, audio_close, video_open, video_close;
    int32_t *prompt[TASK_COUNT]; /* owned */
    int prompt_count[TASK_COUNT];
};

struct recognizer {
    struct recognizer_config config;
    struct tokenizer *tokenizer; /* owned */
    struct token_ids tokens;
    struct whisper audio;
    struct avhubert video;
    struct projector audio_projectors[CONFIG_MAX_RATES], video_projectors[CONFIG_MAX_RATES];
    struct llama llm;
    struct mome mome;
    struct linear audio_head, video_head; /* auxiliary, of pre-training; see recognizer_add_heads */
    struct part *parts[CONFIG_PARTS];     /* owned: published files, or NULL */
    struct weights *own;                  /* owned: model.safetensors, or NULL */
};

/* ---- life ---- */

int recognizer_open(struct recognizer **r, const char *folder, struct error *err);
/* A folder as the start of something else: its settings with `changes` (a JSON object as "model" in
   training configurations, laid over config.json); and the model that they describe, which keeps
   the folder's numbers where name and shape agree; projectors of rates that it has not start as
   the nearest rate's; the rest starts at random. */
int recognizer_read_config(struct recognizer_config *config, const char *folder,
                           const char *changes, struct error *err);
int recognizer_open_changed(struct recognizer **r, const char *folder,
                            const struct recognizer_config *config, uint64_t seed,
                            struct error *err);
/* Random weights; takes the tokenizer over (also when it fails). config->llm.vocab 0: as many as
   the tokenizer has. */
int recognizer_new(struct recognizer **r, const struct recognizer_config *config,
                   struct tokenizer *tokenizer, uint64_t seed, struct error *err);
/* Writes the folder's files, each atomically; heads are not saved, nor the numbers of parts
   referred to, as long as they are the published ones. */
int recognizer_save(struct recognizer *r, const char *folder, bool bf16, struct error *err);
void recognizer_free(struct recognizer *r); /* NULL is fine */

/* For models/assemble: a recognizer without numbers (takes the tokenizer over; `file` is named in
   errors); then those of its parts; then starting values for all that has none yet. parts[], by
   enum part_kind, NULL or taken over, also when this fails; reports [CONFIG_PARTS] or NULL. */
int recognizer_declare(struct recognizer **r, const struct recognizer_config *config,
                       struct tokenizer *tokenizer, const char *file, struct error *err);
int recognizer_take_parts(struct recognizer *r, struct part *const *parts,
                          struct part_report *reports, struct error *err);
int recognizer_start(struct recognizer *r, uint64_t seed, struct error *err);

/* All parameters of the shipped model; heads come by their own walk (audio_head., video_head.). */
void recognizer_params(struct recognizer *r, struct param_visitor *v);
void recognizer_head_params(struct recognizer *r, struct param_visitor *v);

/* How many parameters adapt the LLM and the encoders: experts, routers and LoRA, projectors not
   counted; and how many of them one request uses: the shared experts and K routed ones, one router,
   LoRA's set for all and the one of its rates. */
void recognizer_adapter_parameters(struct recognizer *r, int64_t *total, int64_t *active);

/* ---- encoders ---- */

/* logmel [N, T, mels] -> [N * T', d], T' = (T + 1) / 2: 50 rows a second. lengths[N] in mel frames,
   or NULL: all T. What lies beyond an item's length is not looked at; its rows come out as zeros.
   T is at most 2 * audio.positions; with audio.exact_window the caller pads with silence to that.
 */
struct tensor *recognizer_encode_audio(struct recognizer *r, struct compute *c,
                                       struct tensor *logmel, const int64_t *lengths);
/* pictures [N, T, 88, 88, 1], (x / 255 - 0.421) / 0.165 -> [N * T, d]: 25 rows a second. */
struct tensor *recognizer_encode_video(struct recognizer *r, struct compute *c,
                                       struct tensor *pictures, const int64_t *lengths);

/* Auxiliary heads d -> classes, for frame labels or CTC in pre-training; 0 classes: none. */
int recognizer_add_heads(struct recognizer *r, int audio_classes, int video_classes, uint64_t seed,
                         struct error *err);
struct tensor *recognizer_audio_head(struct recognizer *r, struct compute *c,
                                     struct tensor *states); /* -> [rows, classes] */
struct tensor *recognizer_video_head(struct recognizer *r, struct compute *c,
                                     struct tensor *states);

/* ---- language model ---- */

struct request {
    enum task task;
    int audio_rate, video_rate; /* looked at where the task has the modality; one the model has no
                                   projector for: see recognizer_check_rates */
    struct span audio, video;   /* rows of the encoder outputs */
    const int32_t *text;        /* tokens after the prompt: the transcript in training, or what was
                                   decoded before; no EOS; NULL where there are none */
    int text_count;
    const int32_t *given; /* what the LLM is fed in text's place, which stays what it should
                             predict; as many; NULL: text itself */
    float weight;         /* of its loss; not looked at here */
};

/* A rate the model has no projector for: ERROR_USAGE naming those it has; or, if `nearest`, frames
   are pooled at that rate all the same, what comes of them goes through the nearest rate's
   projector (router, LoRA), and *untrained is set; not where frames are stacked. Modalities the
   task lacks are not looked at. Also fails when the model lacks an encoder that the task needs.
   untrained may be NULL. */
int recognizer_check_rates(const struct recognizer *r, enum task task, int audio_rate,
                           int video_rate, bool nearest, bool *untrained, struct error *err);

/* The projector of a rate, or of the nearest that there is. */
struct projector *recognizer_projector(struct recognizer *r, bool video, int rate);

/* How many rows a request takes in the LLM (BOS to last text token), of them from sound and
   pictures *media (may be NULL). */
int64_t recognizer_request_rows(const struct recognizer *r, const struct request *q,
                                int64_t *media);

struct prefilled {
    struct tensor *logits;      /* [rows, vocab]: of each request the last prompt row and all text
                                   rows, text_count + 1 of them */
    int32_t *targets;           /* [rows]: what each should predict: the text, then EOS */
    struct span *spans;         /* [count]: rows of each request in logits */
    int64_t tokens;             /* rows that went through the LLM */
    struct span *audio, *video; /* [count]: a request's sound and pictures among those rows */
    float *expert_share; /* [layers, Nr]: share of the slots each routed expert got, or NULL */
    int32_t *chosen;     /* [layers, tokens, K]: the experts of each row (nn/experts.h), or NULL */
    struct tensor **scores; /* [layers] of [tokens, Nr], the routers': with the share of the slots
                               for op_load_balance; NULL without a tape */
};

/* audio_states, video_states: what the encoders gave, or cached rows of it; NULL where no request
   has the modality. A (clip, rate) that several requests share is pooled and projected once. cache,
   if not NULL: request i fills slot i, which is emptied first. */
void recognizer_prefill(struct recognizer *r, struct compute *c, struct tensor *audio_states,
                        struct tensor *video_states, const struct request *requests, int count,
                        struct kv_cache *cache, struct prefilled *out);

/* tokens[i] goes behind slot i -> logits [count, vocab] of what follows. */
struct tensor *recognizer_step(struct recognizer *r, struct compute *c, const int32_t *tokens,
                               int count, struct kv_cache *cache);

/* A cache of the right shape for this model; in float32 for computing in float32. */
int recognizer_cache_init(const struct recognizer *r, struct kv_cache *cache, int slots,
                          int64_t capacity, enum precision precision, struct error *err);

#endif
