/*
 * The parameter walk. Every layer and model part has one function
 *
 *     void thing_params(struct thing *t, struct param_visitor *v);
 *
 * that visits its tensors by published name, in a fixed order. Allocating, releasing, loading,
 * saving, initialising, freezing, counting, AdamW are visitors (models/params.h); none of them
 * knows a layer, and no layer knows them.
 *
 * A layer's _init only *declares* shapes (param_declare), so it can't fail; the allocating visitor
 * gives them memory. A tensor that was not declared (an absent bias) is not visited.
 */
#ifndef NN_PARAM_H
#define NN_PARAM_H

#include "tensor/tensor.h"

#include <stddef.h>

/* What a tensor is: decides how it starts, whether it trains, whether weight decay acts on it. */
enum param_kind {
    PARAM_LINEAR,    /* [out, in]: uniform, Xavier */
    PARAM_CONV,      /* [out, kd, kh, kw, in / groups]: normal, Kaiming, fan out */
    PARAM_NORMAL,    /* normal, 0.02: the output head, tied embeddings */
    PARAM_EMBEDDING, /* normal, 0.5: embeddings of their own, near the size of projected tokens */
    PARAM_KAIMING,   /* [out, in]: uniform, Kaiming with a = sqrt 5: LoRA's way up */
    PARAM_ZERO,      /* a product's weight that starts at zero: the experts' way up, LoRA's down */
    PARAM_BIAS,      /* zeros */
    PARAM_SCALE,     /* ones: weights of norms */
    PARAM_SLOPE,     /* 0.25: PReLU */
    PARAM_MEAN,      /* a running mean: zeros; not trained, but saved */
    PARAM_VARIANCE,  /* a running variance: ones; not trained, but saved */
    PARAM_SINUSOID,  /* Whisper's position table [positions, d]; not trained, but saved */
};

struct param_visitor {
    void (*visit)(struct param_visitor *v, const char *name, struct tensor *t,
                  enum param_kind kind); /* name: with all prefixes */
    char name[256];                      /* prefix, then the name of the moment */
    size_t length;                       /* of the prefix */
};

static inline bool param_trains(enum param_kind kind)
{
    return kind < PARAM_MEAN;
}

static inline bool param_decays(enum param_kind kind)
{
    return kind <= PARAM_ZERO;
}

/* Adds to the prefix ("layers.%d."); returns what param_leave wants to take it off again. */
size_t param_enter(struct param_visitor *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void param_leave(struct param_visitor *v, size_t mark);
void param_visit(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind);

/* Says a parameter's shape: param_declare(&l->weight, TENSOR_SHAPE(out, in)). */
void param_declare(struct tensor *t, int dims, const int64_t *shape);

#endif
