/*
 * models_encode MODEL REFERENCE.safetensors CLIP...
 *
 * Whisper's encoder on whole 30 s windows against reference.py's transformers: our log-mel of our
 * decoding of the clip against theirs of theirs; our encoder on their log-mel, in F32 and BF16; and
 * everything ours against everything theirs. Figures: max |a - b| / max |b|, the worst clip. In
 * BF16 that is ruled by Whisper's few huge channels: it is told as a multiple of what PyTorch's own
 * bfloat16 does to the same clip, and beside it stands ||a - b|| / ||b||.
 */
#include "check.h"

#include "features/clip.h"
#include "features/logmel.h"
#include "models/whisper.h"

enum figure { LOGMEL, ENCODER_F32, ALL_OURS, ENCODER_BF16, BF16_WORST, FIGURES };

static const struct {
    const char *name;
    double limit;
} figures[FIGURES] = {
    [LOGMEL] = {"log-mel of the clip", 1e-4},
    [ENCODER_F32] = {"encoder, f32", 1e-4},
    [ALL_OURS] = {"clip to states, f32", 1e-3},
    [ENCODER_BF16] = {"encoder, bf16: ||a - b|| / ||b||", 2e-2},
    [BF16_WORST] = {"encoder, bf16: max, over PyTorch's own", 1},
};

static void our_logmel(float *out, const struct logmel *mel, const char *path)
{
    struct error err;
    struct clip clip;
    check(clip_load(&clip, path, &(struct clip_options){.no_pictures = true}, &err), &err);
    check(logmel_compute(mel, out, LOGMEL_WHISPER_FRAMES, clip.pcm, clip.samples, &err), &err);
    clip_release(&clip);
}

/* ||a - b|| / ||b|| */
static double norm_error(const float *a, const float *b, int64_t count)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

/* In the compute's precision; *norm (NULL: not wanted) is norm_error. */
static double encoder_error(struct whisper *w, struct compute *c, const float *logmel,
                            const float *states, int64_t count, double *norm)
{
    size_t mark = arena_mark(c->arena);
    struct tensor *x =
        tensor_from(c, logmel, TENSOR_SHAPE(1, LOGMEL_WHISPER_FRAMES, w->config.mels));
    x = whisper_forward(w, c, x, NULL);
    if (tensor_count(x) != count) {
        fprintf(stderr, "the reference's states are not of this model\n");
        exit(2);
    }
    if (norm)
        *norm = norm_error(x->data, states, count);
    double error = relative_error(x->data, states, count);
    arena_rewind(c->arena, mark);
    return error;
}

static void one_clip(double *worst, struct whisper *w, struct compute *c, const struct logmel *mel,
                     const struct weights *answers, int index, const char *path)
{
    struct stored_tensor mel_shape, shape, one;
    float *logmel = reference(answers, index, "logmel", &mel_shape);
    float *states = reference(answers, index, "states", &shape);
    float *theirs = reference(answers, index, "bf16", &one);
    int64_t count = (int64_t)LOGMEL_WHISPER_FRAMES * w->config.mels;
    float *ours = malloc((size_t)count * sizeof *ours);
    if (!ours || mel_shape.count != count) {
        fprintf(stderr, "%s: not the log-mel of this model\n", weights_path(answers));
        exit(2);
    }
    our_logmel(ours, mel, path);
    double error[FIGURES];
    error[LOGMEL] = relative_error(ours, logmel, count);
    c->precision = PRECISION_F32;
    error[ENCODER_F32] = encoder_error(w, c, logmel, states, shape.count, NULL);
    error[ALL_OURS] = encoder_error(w, c, ours, states, shape.count, NULL);
    c->precision = PRECISION_BF16;
    double bf16 = encoder_error(w, c, logmel, states, shape.count, &error[ENCODER_BF16]);
    error[BF16_WORST] = bf16 / *theirs;
    printf("# %s: log-mel %.2g; f32 %.2g, all ours %.2g; bf16 %.2g, its max %.2g, PyTorch's %.2g\n",
           path, error[LOGMEL], error[ENCODER_F32], error[ALL_OURS], error[ENCODER_BF16], bf16,
           *theirs);
    for (int i = 0; i < FIGURES; i++)
        worst[i] = error[i] <= worst[i] ? worst[i] : error[i]; /* NaN too */
    free(logmel);
    free(states);
    free(theirs);
    free(ours);
}

int main(int argc, char **argv)
{
    struct error err;
    struct part *part;
    struct weights *answers;
    struct whisper w;
    struct param_list list;
    struct arena arena;
    struct logmel *mel;
    struct recognizer_config config;
    if (argc < 4)
        return fprintf(stderr, "usage: models_encode MODEL REFERENCE.safetensors CLIP...\n"), 2;
    config_default(&config);
    check(part_open(&part, PART_AUDIO, argv[1], &err), &err);
    check(part_config(part, &config, &err), &err);
    check(whisper_init(&w, &config.audio, &err), &err);
    param_list_init(&list, &err);
    whisper_params(&w, &list.visitor);
    load_part(part, &list);
    check(logmel_new(&mel, config.audio.mels, &err), &err);
    check(weights_open(&answers, argv[2], &err), &err);
    check(arena_init(&arena, (size_t)8 << 30, &err), &err);
    struct compute c = {.device = &device_cpu, .arena = &arena};

    double worst[FIGURES] = {0};
    for (int i = 3; i < argc; i++)
        one_clip(worst, &w, &c, mel, answers, i - 3, argv[i]);
    bool good = true;
    for (int i = 0; i < FIGURES; i++)
        good &= report(figures[i].name, worst[i], figures[i].limit, worst[i] <= figures[i].limit);

    struct param_visitor releaser;
    param_releaser_init(&releaser);
    whisper_params(&w, &releaser);
    whisper_release(&w);
    param_list_release(&list);
    logmel_free(mel);
    weights_close(answers);
    part_close(part);
    arena_release(&arena);
    return good ? 0 : 1;
}
