/*
 * How fast the MoME stage trains (system.md section 3): a frozen LLM, as it is stored, and trained
 * projectors and experts; each clip is recognised (ASR) at every audio rate of the model in each
 * step, and all of it is one packed pass:
 *
 *     states -> pool, project at each rate -> LLM with experts -> cross-entropy
 *            + load balance -> backward -> AdamW
 *
 * The batch is made up and fixed: `clips` of `seconds`, of random sound, with 10 to 30 random
 * tokens of text. The experts' way up starts at small random numbers, not zero, so that every
 * gradient is at work from the first step.
 *
 *     bench-train_speed MODEL [clips] [seconds] [steps] [f32 | bf16] [encode] [write FILE]
 *
 * encode: the frozen encoder runs in each step, else once, as with cached features. Prints medians
 * of the phases after the first step, rates, arithmetic (products and attention; gradients of
 * frozen weights are nobody's work), and the loss of each step. write: everything that
 * train_pytorch.py needs to do the same steps goes to FILE first; it compares the losses. They
 * agree where MODEL's projectors were aligned; random ones make ten times as much of rounding in
 * each step.
 */
#include "timing.h"

#include "models/params.h"
#include "models/recognizer.h"
#include "tensor/device.h"
#include "tensor/ops.h"
#include "train/adamw.h"
#include "weights/checkpoint.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LEAST_TEXT = 10, MOST_TEXT = 30, MOST_CLIPS = 64, MOST_STEPS = 1000 };
enum { ENCODER, FORWARD, BACKWARD, OPTIMISER, WHOLE, PHASES };

static const char *const phase_names[] = {"encoder", "forward", "backward", "optimiser", "step"};
static const float balance_weight = 0.01f;
static const double learning_rate = 1e-3;
static const struct stage_config adamw_settings = {
    .beta1 = 0.9, .beta2 = 0.98, .clip = 1, .decay = 0.01};

struct bench {
    struct recognizer *model;
    struct param_list params;
    struct adamw adamw;
    struct arena arena, states_arena;
    struct compute c;
    struct tape tape;
    int clips, requests, steps;
    double seconds;
    bool encode;
    const char *file;
    float *mel; /* [clips, frames, mels] */
    int64_t frames;
    struct tensor *states; /* [clips * positions, d] */
    int32_t text[MOST_CLIPS][MOST_TEXT];
    int text_count[MOST_CLIPS];
    struct request request[MOST_CLIPS * CONFIG_MAX_RATES];
    double time[PHASES][MOST_STEPS], loss[MOST_STEPS];
    int64_t tokens, wanted;
};

/* ---- the batch ----------------------------------------------------------------------------- */

/* Silence with sound at its beginning: normal numbers that change slowly. */
static void make_sound(float *mel, const struct bench *b, int mels, struct random *r)
{
    int64_t used = (int64_t)(100 * b->seconds);
    for (int64_t t = 0; t < b->frames; t++)
        for (int m = 0; m < mels; m++) {
            float before = t ? mel[(t - 1) * mels + m] : 0;
            mel[t * mels + m] = t < used ? 0.8f * before + 0.3f * random_normal(r) : -0.5f;
        }
}

static int make_batch(struct bench *b, struct error *err)
{
    const struct recognizer_config *config = &b->model->config;
    const struct projector_config *p = &config->projector;
    struct random r;
    random_seed(&r, 1);
    b->frames = config->audio.exact_window ? 2 * config->audio.positions
                                           : ((int64_t)(100 * b->seconds) + 3) / 4 * 4;
    int64_t each = b->frames * config->audio.mels, states = whisper_frames(b->frames);
    b->mel = memory_new((size_t)(b->clips * each), sizeof *b->mel);
    if (!b->mel)
        return error_set(err, ERROR_MEMORY, "no memory for %d clips", b->clips);
    for (int i = 0; i < b->clips; i++) {
        make_sound(b->mel + i * each, b, config->audio.mels, &r);
        b->text_count[i] = LEAST_TEXT + (int)(random_uniform(&r) * (MOST_TEXT - LEAST_TEXT + 1));
        for (int j = 0; j < b->text_count[i]; j++)
            b->text[i][j] = (int32_t)(random_uniform(&r) * config->llm.vocab);
        for (int j = 0; j < p->audio_rate_count; j++)
            b->request[b->requests++] =
                (struct request){.task = TASK_ASR,
                                 .audio_rate = p->audio_rates[j],
                                 .audio = {i * states, (int64_t)(50 * b->seconds)},
                                 .text = b->text[i],
                                 .text_count = b->text_count[i]};
    }
    return 0;
}

/* In c's arena, as a frozen encoder runs in training: without a tape. */
static struct tensor *encode(struct bench *b, struct compute *c)
{
    struct compute frozen = *c;
    frozen.tape = NULL;
    struct tensor *mel = tensor_from(
        &frozen, b->mel, TENSOR_SHAPE(b->clips, b->frames, b->model->config.audio.mels));
    return recognizer_encode_audio(b->model, &frozen, mel, NULL);
}

/* ---- the steps ----------------------------------------------------------------------------- */

static bool is_trained(const char *name)
{
    return strncmp(name, "projector.", 10) == 0 || strncmp(name, "mome.", 5) == 0;
}

static int choose_parameters(struct bench *b, struct error *err)
{
    struct random r;
    random_seed(&r, 2);
    param_list_init(&b->params, err);
    recognizer_params(b->model, &b->params.visitor);
    int rc = b->params.code;
    for (int64_t i = 0; rc == 0 && i < b->params.count; i++) {
        struct param_entry *p = &b->params.entries[i];
        rc = parameter_train(p->tensor, is_trained(p->name) && param_trains(p->kind), err);
        for (int64_t j = 0; rc == 0 && p->kind == PARAM_ZERO && j < tensor_count(p->tensor); j++)
            p->tensor->data[j] = 0.02f * random_normal(&r);
        parameter_changed(p->tensor);
    }
    return rc ? rc : adamw_init(&b->adamw, &b->params, err);
}

/* Each request weighs the same, whatever its text's length (train/objective.c). */
static struct tensor *make_loss(struct bench *b, struct tensor *states)
{
    struct compute *c = &b->c;
    struct prefilled out;
    recognizer_prefill(b->model, c, states, NULL, b->request, b->requests, NULL, &out);
    float *weight = arena_alloc(c->arena, (size_t)tensor_rows(out.logits) * sizeof *weight);
    for (int q = 0; q < b->requests; q++)
        for (int64_t i = 0; i < out.spans[q].length; i++)
            weight[out.spans[q].start + i] = 1 / ((float)b->requests * (float)out.spans[q].length);
    struct tensor *text = op_cross_entropy(c, out.logits, out.targets, weight, 0);
    b->tokens = out.tokens;
    b->wanted = tensor_rows(out.logits);
    if (!out.scores)
        return text;
    int layers = b->model->mome.count, routed = b->model->config.mome.routed;
    float *mean = arena_alloc(c->arena, (size_t)layers * sizeof *mean);
    struct tensor **balance = arena_alloc(c->arena, (size_t)layers * sizeof *balance);
    for (int i = 0; i < layers; i++) {
        mean[i] = 1 / (float)layers;
        balance[i] = op_load_balance(c, out.scores[i], out.expert_share + i * routed);
    }
    struct tensor *terms[] = {text, op_weighted_sum(c, balance, mean, layers)};
    return op_weighted_sum(c, terms, (const float[]){1, balance_weight}, 2);
}

static void step(struct bench *b, int i)
{
    double start[PHASES];
    start[ENCODER] = now();
    struct tensor *states = b->encode ? encode(b, &b->c) : b->states;
    start[FORWARD] = now();
    adamw_clear(&b->adamw, b->c.device);
    struct tensor *loss = make_loss(b, states);
    start[BACKWARD] = now();
    b->loss[i] = loss->data[0];
    tape_backward(&b->c, loss, 1);
    start[OPTIMISER] = now();
    adamw_update(&b->adamw, b->c.device, &adamw_settings, learning_rate);
    start[WHOLE] = now();
    arena_rewind(&b->arena, 0);
    for (int p = 0; p < WHOLE; p++)
        b->time[p][i] = start[p + 1] - start[p];
    b->time[WHOLE][i] = start[WHOLE] - start[0];
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

/* Of a step: each product forward, and dx, and dw where it trains; attention, of which backward
   does five products where forward does two. */
static void count_work(const struct bench *b, double *forward, double *backward)
{
    const struct llama_config *llm = &b->model->config.llm;
    double inner = 0;
    *forward = 2.0 * (double)b->wanted * llm->vocab * llm->d;
    *backward = *forward;
    for (int64_t i = 0; i < b->params.count; i++) {
        const struct param_entry *p = &b->params.entries[i];
        double product = 2.0 * (double)tensor_count(p->tensor) * (double)b->tokens;
        bool layer = strncmp(p->name, "llm.model.layers.", 17) == 0;
        if (p->tensor->dims != 2 || !(layer || strncmp(p->name, "mome.", 5) == 0))
            continue;
        *forward += product;
        *backward += layer ? product : 2 * product;
    }
    for (int q = 0; q < b->requests; q++) {
        double rows = (double)recognizer_request_rows(b->model, &b->request[q], NULL);
        inner += rows * (rows + 1) / 2 * llm->heads * llm->head_dim * 2;
    }
    *forward += 2 * inner * llm->layers;
    *backward += 5 * inner * llm->layers;
}

static void report(struct bench *b)
{
    double forward, backward, seconds[PHASES];
    struct rusage use;
    int first = b->steps > 1; /* which packs weights and touches memory */
    for (int p = 0; p < PHASES; p++)
        seconds[p] = median(b->time[p] + first, b->steps - first);
    count_work(b, &forward, &backward);
    getrusage(RUSAGE_SELF, &use);
    printf("%d clips of %.1f s, %d requests, %lld rows, %lld predicted, %s, %d threads\n", b->clips,
           b->seconds, b->requests, (long long)b->tokens, (long long)b->wanted,
           b->c.precision == PRECISION_BF16 ? "bf16" : "f32", omp_get_max_threads());
    for (int p = 0; p < PHASES; p++)
        printf("  %-10s %8.3f s\n", phase_names[p], seconds[p]);
    printf("  forward %.1f, backward %.1f GFLOP/s\n", 1e-9 * forward / seconds[FORWARD],
           1e-9 * backward / seconds[BACKWARD]);
    printf("  %.3f clips/s, %.0f rows/s, %.1f GFLOP/s in all; peak memory %.0f MB\n",
           b->clips / seconds[WHOLE], (double)b->tokens / seconds[WHOLE],
           1e-9 * (forward + backward) / seconds[WHOLE], 1e-3 * (double)use.ru_maxrss);
    printf("losses");
    for (int i = 0; i < b->steps; i++)
        printf(" %.6f", b->loss[i]);
    printf("\n");
}

/* ---- what another program needs to do the same ----------------------------------------------- */

enum { BATCH_TENSORS = 4 };

/* The numbers of all that the steps read, as float32 in c's arena. */
static int list_tensors(struct bench *b, struct checkpoint_tensor *to)
{
    int count = 0;
    for (int64_t i = 0; i < b->params.count; i++) {
        const struct param_entry *p = &b->params.entries[i];
        if (strncmp(p->name, "audio.", 6) == 0 || strncmp(p->name, "video.", 6) == 0)
            continue;
        float *numbers = arena_alloc(&b->arena, (size_t)tensor_count(p->tensor) * sizeof *numbers);
        parameter_read(numbers, p->tensor, 0, tensor_count(p->tensor));
        to[count++] = (struct checkpoint_tensor){p->name, p->tensor->dims, p->tensor->shape,
                                                 numbers, DTYPE_F32};
    }
    return count;
}

/* batch.requests [requests, 4 + MOST_TEXT]: rate, first state, states, tokens of text, text */
static float *list_requests(struct bench *b)
{
    const int64_t width = 4 + MOST_TEXT;
    float *rows = arena_alloc(&b->arena, (size_t)(b->requests * width) * sizeof *rows);
    memset(rows, 0, (size_t)(b->requests * width) * sizeof *rows);
    for (int q = 0; q < b->requests; q++) {
        const struct request *r = &b->request[q];
        float *row = rows + q * width;
        row[0] = (float)r->audio_rate;
        row[1] = (float)r->audio.start;
        row[2] = (float)r->audio.length;
        row[3] = (float)r->text_count;
        for (int i = 0; i < r->text_count; i++)
            row[4 + i] = (float)r->text[i];
    }
    return rows;
}

static int write_file(struct bench *b, struct error *err)
{
    const struct recognizer_config *config = &b->model->config;
    const struct token_ids *t = &b->model->tokens;
    const int prompt_count = t->prompt_count[TASK_ASR];
    float special[4] = {(float)t->bos, (float)t->audio_open, (float)t->audio_close, (float)t->eos};
    float prompt[CONFIG_MAX_TEXT * 4];
    char metadata[1024];
    size_t most = (size_t)b->params.count + BATCH_TENSORS;
    struct checkpoint_tensor *tensors = arena_alloc(&b->arena, most * sizeof *tensors);
    int count = list_tensors(b, tensors);
    for (int i = 0; i < prompt_count; i++)
        prompt[i] = (float)t->prompt[TASK_ASR][i];
    tensors[count++] =
        (struct checkpoint_tensor){"batch.states", 2, b->states->shape, b->states->data, DTYPE_F32};
    tensors[count++] = (struct checkpoint_tensor){
        "batch.requests", 2, (int64_t[]){b->requests, 4 + MOST_TEXT}, list_requests(b), DTYPE_F32};
    tensors[count++] =
        (struct checkpoint_tensor){"batch.special", 1, (int64_t[]){4}, special, DTYPE_F32};
    tensors[count++] =
        (struct checkpoint_tensor){"batch.prompt", 1, (int64_t[]){prompt_count}, prompt, DTYPE_F32};
    snprintf(metadata, sizeof metadata,
             "{\"clips\": %d, \"placement\": %d, \"routed\": %d, \"active\": %d, \"shared\": %d, "
             "\"bottleneck\": %d, \"heads\": %d, \"kv_heads\": %d, \"head_dim\": %d, "
             "\"rope_theta\": %.9g, \"norm_eps\": %.9g, \"extra_from\": %d, \"balance\": %.9g, "
             "\"rate\": %.9g, \"beta1\": %.9g, \"beta2\": %.9g, \"decay\": %.9g, \"clip\": %.9g}",
             b->clips, (int)config->mome.placement, config->mome.routed, config->mome.active,
             config->mome.shared, config->mome.bottleneck, config->llm.heads, config->llm.kv_heads,
             config->llm.head_dim, (double)config->llm.rope_theta, (double)config->llm.norm_eps,
             config->llm.extra_from, (double)balance_weight, learning_rate, adamw_settings.beta1,
             adamw_settings.beta2, adamw_settings.decay, adamw_settings.clip);
    int rc = checkpoint_save(b->file, metadata, tensors, count, err);
    arena_rewind(&b->arena, 0);
    return rc;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int run(struct bench *b, const char *model, struct error *err)
{
    struct compute c = {.device = &device_cpu, .arena = &b->states_arena};
    int rc;
    if ((rc = recognizer_open(&b->model, model, err)) != 0 ||
        (rc = arena_init(&b->arena, ARENA_DEFAULT_LIMIT, err)) != 0 ||
        (rc = arena_init(&b->states_arena, ARENA_DEFAULT_LIMIT, err)) != 0 ||
        (rc = choose_parameters(b, err)) != 0 || (rc = make_batch(b, err)) != 0)
        return rc;
    c.precision = b->c.precision;
    b->c.device = c.device;
    b->c.arena = &b->arena;
    b->c.tape = &b->tape;
    b->states = encode(b, &c);
    if (b->file && (rc = write_file(b, err)) != 0)
        return rc;
    for (int i = 0; i < b->steps; i++)
        step(b, i);
    report(b);
    return 0;
}

static void release(struct bench *b)
{
    adamw_release(&b->adamw);
    param_list_release(&b->params);
    recognizer_free(b->model);
    memory_free(b->mel);
    tape_release(&b->tape);
    arena_release(&b->arena);
    arena_release(&b->states_arena);
}

int main(int argc, char **argv)
{
    static struct bench b = {.clips = 8, .seconds = 3, .steps = 10, .c.precision = PRECISION_BF16};
    struct error err = {0};
    double numbers[3] = {8, 3, 10};
    int given = 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "f32") == 0 || strcmp(argv[i], "bf16") == 0)
            b.c.precision = strcmp(argv[i], "f32") == 0 ? PRECISION_F32 : PRECISION_BF16;
        else if (strcmp(argv[i], "encode") == 0)
            b.encode = true;
        else if (strcmp(argv[i], "write") == 0 && i + 1 < argc)
            b.file = argv[++i];
        else if (given < 3)
            numbers[given++] = atof(argv[i]);
    }
    b.clips = (int)numbers[0], b.seconds = numbers[1], b.steps = (int)numbers[2];
    if (argc < 2 || b.clips < 1 || b.clips > MOST_CLIPS || b.seconds < 0.5 || b.seconds > 30 ||
        b.steps < 1 || b.steps > MOST_STEPS) {
        fprintf(stderr,
                "usage: %s MODEL [clips] [seconds] [steps] [f32 | bf16] [encode] "
                "[write FILE]\n",
                argv[0]);
        return 2;
    }
    int rc = run(&b, argv[1], &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.message);
    release(&b);
    return rc != 0;
}
