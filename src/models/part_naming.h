/*
 * How a publisher's files name and lay out what a part of ours needs: a table of rules, and what
 * part.c does with them. One row a rule; the first whose pattern fits a name of ours, and whose
 * tensors are in the file, gives it its numbers.
 *
 *     {"model.encoder.layers.%.fc1.*", "encoder.blocks.%.mlp.0.*", LAYOUT_SAME}
 *
 * '%' stands for digits and '*' for all the rest; they are carried over in order. Whatever stands
 * before a publisher's names ("model.", "encoder.w2v_model.") is found out by the probes.
 * Convolutions (by their kind, nn/param.h) come channels first, from all but ourselves.
 */
#ifndef MODELS_PART_NAMING_H
#define MODELS_PART_NAMING_H

#include "models/part.h"

#include <jansson.h>

enum part_layout {
    LAYOUT_SAME,        /* dimensions of size 1 aside */
    LAYOUT_FIRST_THIRD, /* of the rows: q, k, v in one matrix */
    LAYOUT_SECOND_THIRD,
    LAYOUT_THIRD_THIRD,
    LAYOUT_ROTARY,      /* rows of a head interleave its halves: 0, n/2, 1, n/2 + 1, ... */
    LAYOUT_WEIGHT_NORM, /* v [O, I, k] and g [1, 1, k]: g v / |v|, over O and I */
    LAYOUT_LAST_ROWS,   /* the last of a longer table */
};

struct part_rule {
    const char *ours, *theirs;
    enum part_layout layout;
    const char *scale; /* LAYOUT_WEIGHT_NORM: g; `theirs` is v */
};

struct part_naming {
    enum part_kind kind;
    const char *family, *publisher; /* "Whisper", "Hugging Face" */
    const char *architecture;       /* GGUF's, where it matters */
    const char *probes[2]; /* tensors that, together, only such files have: a matrix, whose type
is told to people, and another, which may
                              be NULL. `ours`: how names begin */
    const struct part_rule *rules; /* ended by ours == NULL */
    bool ours; /* a model of this project: no prefix, convolutions channels last */
    /* Our name as the rules' patterns see it, where more than letters differs; or NULL. */
    bool (*rename)(const struct part *p, char *out, size_t room, const char *name);
    /* The part's section of config from the file; may also refuse it. */
    int (*configure)(const struct part *p, struct recognizer_config *config, struct error *err);
};

/* Our own models' files, by enum part_kind: names behind the part's prefix. */
extern const struct part_rule part_own_rules[PART_KINDS][2];
/* All of config from config.json beside them. */
int part_configure_own(const struct part *p, struct recognizer_config *config, struct error *err);

/* Each ended by family == NULL. */
extern const struct part_naming part_audio_namings[], part_video_namings[], part_llm_namings[],
    part_adapter_namings[];

struct part {
    enum part_kind kind;
    const struct part_naming *naming;
    struct weights *weights;
    char *folder;                    /* that the file lies in */
    char *prefix;                    /* of their names in this file */
    json_t *json;                    /* config.json beside, or NULL */
    struct recognizer_config config; /* this part's section of it is filled */
    char description[160];
    bool *used;    /* [weights_count] */
    void **memory; /* what was converted, [memory_count] */
    int64_t memory_count, memory_room;
};

/* Sizes are checked later: what no int holds becomes the largest. */
static inline int part_int(double x)
{
    return x >= 0 && x < 2147483647 ? (int)x : x < 0 ? -1 : 2147483647;
}

/* The tensor of their name, whatever stands before it, or NULL. Marks it as used. */
const struct stored_tensor *part_find(const struct part *p, const char *name);
/* The same with a number in the name, and the length of one of its sides (0: there is none). */
int64_t part_side(const struct part *p, int dimension, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* How many of "... %d ..." there are, from 0 on. */
int part_count(const struct part *p, const char *format);
/* From config.json; false where there is none. */
bool part_json_number(const struct part *p, const char *key, double *value);

/* Memory of the part. */
void *part_memory(struct part *p, size_t bytes, struct error *err);
/* A tensor as it is stored becomes t's numbers, in the layout that the rule says. */
int part_give(struct part *p, struct param_entry *entry, const struct part_rule *rule,
              const struct stored_tensor *from, const struct stored_tensor *scale,
              struct error *err);

/* For every q and v of the list ("X.q_proj.weight") whose factors are in the file behind `prefix`:
   W += factor up down. *merged counts them on. */
int part_merge_lora(const struct part *p, const char *prefix, const struct param_list *list,
                    float factor, int64_t *merged, struct error *err);

/* The rates of a checkpoint's projectors, where it does not say them itself. */
int part_adapter_rates(struct part *p, const struct projector_config *rates, struct error *err);
/* part_config for adapters. */
int part_adapter_config(const struct part *p, struct recognizer_config *config, struct error *err);
/* Into the q and v of an LLM whose numbers are loaded, or of a video encoder, by the factors in a
   checkpoint; none is fine. Of a model of ours those that serve all rates: see part_merges. */
int part_merge(const struct part *adapters, enum part_kind kind, const struct param_list *list,
               int64_t *merged, struct error *err);
/* Whether LoRA of the LLM becomes part of its weights: where there is one for each rate it cannot.
 */
bool part_merges(const struct part *adapters);
/* Names of the tokens that begin and end a text; "" where nothing says them. */
void part_token_names(const struct part *p, struct recognizer_config *config);

#endif
