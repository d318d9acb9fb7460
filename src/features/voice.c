/*
 * Frames are numbered from the beginning of the sound. rows holds the net's inputs from frame
 * `first` on; a block of new ones is made when its samples, and one frame's more for the windows
 * that reach over, are there. What the net says of frames `decided` .. is computed from their
 * inputs and VOICE_CONTEXT more on both sides; only the ends of the sound are padded with zeros,
 * so blocks do not show in the result.
 */
#include "features/voice.h"
#include "base/memory.h"
#include "features/logmel.h"
#include "features/voice_model.h"
#include "weights/safetensors.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MELS = 40,
    WIDTH = 48,
    TAPS = 5,
    LAYERS = 3,
    FRAME = 640, /* samples */
    HOPS = FRAME / LOGMEL_HOP,
    ROWS = 2 * VOICE_CONTEXT + 2 * VOICE_BLOCK, /* that are ever needed at once */
    PCM = (VOICE_BLOCK + 2) * FRAME,            /* a block with a frame on both sides */
    RING = VOICE_PUSH / FRAME + ROWS,
};

static const int dilation[LAYERS] = {1, 2, 4};

#define LEAST (-0.5f) /* of an input: log10 of a power of 1e-6 */

struct layer {
    const float *weight, *bias; /* [WIDTH, TAPS, in], [WIDTH] */
    int in;
};

struct voice {
    struct logmel *logmel;
    struct tensor_list tensors;
    struct metadata metadata;
    struct layer layers[LAYERS];
    const float *out_weight, *out_bias; /* [WIDTH], [1] */
    float pcm[PCM];                     /* from frame pcm_frame on */
    int64_t pcm_frame;
    int pcm_count;
    float rows[ROWS][MELS];
    int64_t first, made;     /* frames of rows: first .. made - 1 */
    int64_t decided, popped; /* frames */
    bool finished;
    float said[RING]; /* probabilities, by frame */
};

/* ---- life ---------------------------------------------------------------------------------- */

static const float *find(const struct voice *v, const char *name, int64_t count)
{
    const struct stored_tensor *t = tensor_list_find(&v->tensors, name);
    return t && t->dtype == DTYPE_F32 && t->bytes == count * (int64_t)sizeof(float)
               ? (const float *)(const void *)t->data
               : NULL;
}

static bool find_all(struct voice *v)
{
    bool good = true;
    for (int i = 0; i < LAYERS; i++) {
        char name[32];
        struct layer *l = &v->layers[i];
        l->in = i ? WIDTH : MELS;
        snprintf(name, sizeof name, "layers.%d.weight", i);
        l->weight = find(v, name, (int64_t)WIDTH * TAPS * l->in);
        snprintf(name, sizeof name, "layers.%d.bias", i);
        l->bias = find(v, name, WIDTH);
        good = good && l->weight && l->bias;
    }
    v->out_weight = find(v, "out.weight", WIDTH);
    v->out_bias = find(v, "out.bias", 1);
    return good && v->out_weight && v->out_bias;
}

int voice_new(struct voice **out, struct error *err)
{
    struct voice *v = *out = memory_new(1, sizeof *v);
    if (!v)
        return error_set(err, ERROR_MEMORY, "out of memory");
    tensor_list_init(&v->tensors, "models/voice");
    metadata_init(&v->metadata, "models/voice");
    int rc = safetensors_read(&v->tensors, &v->metadata, voice_model,
                              (size_t)(voice_model_end - voice_model), err);
    if (!rc)
        rc = tensor_list_finish(&v->tensors, err);
    if (!rc && !find_all(v))
        rc = error_set(err, ERROR_FORMAT, "models/voice: not a voice detector of this shape");
    if (!rc)
        rc = logmel_new(&v->logmel, MELS, err);
    if (rc) {
        voice_free(v);
        *out = NULL;
    }
    return rc;
}

void voice_free(struct voice *v)
{
    if (!v)
        return;
    logmel_free(v->logmel);
    tensor_list_release(&v->tensors);
    metadata_release(&v->metadata);
    memory_free(v);
}

/* ---- the net ------------------------------------------------------------------------------- */

/* y[WIDTH] of frame `at`; x holds frames from `first` on, of which those in 0 .. end - 1 exist. */
static void convolve(float *y, const struct layer *l, int step, const float *x, int64_t first,
                     int64_t at, int64_t end)
{
    for (int o = 0; o < WIDTH; o++)
        y[o] = l->bias[o];
    for (int tap = 0; tap < TAPS; tap++) {
        int64_t from = at + (int64_t)(tap - TAPS / 2) * step;
        if (from < 0 || from >= end)
            continue;
        const float *in = x + (from - first) * l->in;
        for (int o = 0; o < WIDTH; o++) {
            const float *w = l->weight + (o * TAPS + tap) * l->in;
            float sum = 0;
            for (int i = 0; i < l->in; i++)
                sum += w[i] * in[i];
            y[o] += sum;
        }
    }
    for (int o = 0; o < WIDTH; o++)
        y[o] = fmaxf(y[o], 0);
}

/* Decides frames decided .. to - 1; end: where the sound does, as far as is known. */
static void decide(struct voice *v, int64_t to, int64_t end)
{
    float buffer[2][ROWS][WIDTH];
    const float *x = v->rows[0];
    int64_t x_first = v->first;
    int reach = VOICE_CONTEXT;
    for (int i = 0; i < LAYERS; i++) {
        reach -= TAPS / 2 * dilation[i];
        int64_t from = v->decided - reach < 0 ? 0 : v->decided - reach;
        int64_t until = to + reach > end ? end : to + reach;
        for (int64_t f = from; f < until; f++)
            convolve(buffer[i % 2][f - from], &v->layers[i], dilation[i], x, x_first, f, end);
        x = buffer[i % 2][0];
        x_first = from;
    }
    for (int64_t f = v->decided; f < to; f++) {
        float logit = v->out_bias[0];
        for (int i = 0; i < WIDTH; i++)
            logit += v->out_weight[i] * x[(f - x_first) * WIDTH + i];
        v->said[f % RING] = 1 / (1 + expf(-logit));
    }
    v->decided = to;
}

/* ---- the stream ---------------------------------------------------------------------------- */

/* Forgets inputs that no frame needs any more. */
static void forget_rows(struct voice *v)
{
    int64_t first = v->decided > VOICE_CONTEXT ? v->decided - VOICE_CONTEXT : 0;
    memmove(v->rows[0], v->rows[first - v->first], (size_t)(v->made - first) * sizeof v->rows[0]);
    v->first = first;
}

/* The inputs of the next `count` frames; pcm holds them, with a frame before where there is one. */
static int make_rows(struct voice *v, int count, struct error *err)
{
    float mel[(VOICE_BLOCK + 2) * HOPS][MELS];
    int before = v->made > v->pcm_frame ? 1 : 0;
    int64_t frames = logmel_frames(v->pcm_count);
    int rc = logmel_compute(v->logmel, mel[0], frames, v->pcm, v->pcm_count, err);
    for (int k = 0; !rc && k < count; k++) {
        float *row = v->rows[v->made++ - v->first];
        for (int m = 0; m < MELS; m++) {
            row[m] = 0;
            for (int hop = 0; hop < HOPS; hop++)
                row[m] += fmaxf(mel[(before + k) * HOPS + hop][m], LEAST) / HOPS;
        }
    }
    return rc;
}

/* Frames that all is known of. */
static int take_block(struct voice *v, int count, struct error *err)
{
    int rc = make_rows(v, count, err);
    if (rc)
        return rc;
    int64_t end = v->finished ? v->made : INT64_MAX;
    int64_t to = v->finished ? v->made : v->made - VOICE_CONTEXT;
    if (to > v->decided)
        decide(v, to, end);
    forget_rows(v);
    int64_t keep = v->made - 1 - v->pcm_frame; /* the last frame stays for its samples */
    memmove(v->pcm, v->pcm + keep * FRAME, (size_t)(v->pcm_count - keep * FRAME) * sizeof *v->pcm);
    v->pcm_count -= (int)keep * FRAME;
    v->pcm_frame += keep;
    return 0;
}

int voice_push(struct voice *v, const float *pcm, int64_t samples, struct error *err)
{
    int rc = 0;
    assert(samples <= VOICE_PUSH && !v->finished);
    while (!rc && samples > 0) {
        int before = v->made > v->pcm_frame ? 1 : 0;
        int wanted = (before + VOICE_BLOCK + 1) * FRAME;
        int64_t take = samples < wanted - v->pcm_count ? samples : wanted - v->pcm_count;
        memcpy(v->pcm + v->pcm_count, pcm, (size_t)take * sizeof *pcm);
        v->pcm_count += (int)take;
        pcm += take;
        samples -= take;
        if (v->pcm_count == wanted)
            rc = take_block(v, VOICE_BLOCK, err);
    }
    return rc;
}

int voice_finish(struct voice *v, struct error *err)
{
    int before = v->made > v->pcm_frame ? 1 : 0;
    int count = (v->pcm_count + FRAME - 1) / FRAME - before;
    v->finished = true;
    memset(v->pcm + v->pcm_count, 0, (size_t)(PCM - v->pcm_count) * sizeof *v->pcm);
    v->pcm_count = (before + count) * FRAME;
    if (count > 0)
        return take_block(v, count, err);
    decide(v, v->made, v->made);
    return 0;
}

bool voice_pop(struct voice *v, float *probability)
{
    if (v->popped >= v->decided)
        return false;
    *probability = v->said[v->popped++ % RING];
    return true;
}
