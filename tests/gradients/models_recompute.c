/*
 * Layers that run again instead of keeping what they computed: loss, gradients of every parameter
 * and what experts report are the same to the bit, in less memory; for every placement, with
 * dropout, load balance, LoRA, one router for each rate, and with the encoders trained or not.
 */
#include "unit/small_model.h"

#include "tensor/ops.h"

#include <omp.h>

enum { LAYERS = 6, REQUESTS = 3, MOST_SHARES = 64, MOST_CHOSEN = 1 << 14 };
static const int32_t text[] = {40, 41, 42, 43};

/* What one step leaves. */
struct outcome {
    float loss;
    uint64_t drawn; /* the next random number */
    size_t forward, peak;
    float share[MOST_SHARES];
    int32_t chosen[MOST_CHOSEN];
    float *gradients;
    int64_t gradient_count;
};

struct setting {
    const char *name;
    enum mome_placement placement;
    bool separate_routers, renormalise, normalise_input;
    int lora;
    bool encoders; /* trained as well */
    float dropout, balance;
};

static void configure(struct recognizer_config *config, const struct setting *s)
{
    small_config(config);
    config->llm.layers = config->audio.layers = config->video.layers = LAYERS;
    config->llm.dropout = config->audio.dropout = config->video.dropout = s->dropout;
    config->mome.placement = s->placement;
    config->mome.separate_routers = s->separate_routers;
    config->mome.renormalise = s->renormalise;
    config->mome.normalise_input = s->normalise_input;
    config->lora.inner = s->lora;
    config->lora.global = config->lora.per_rate = s->lora > 0;
}

static struct tensor *loss_of(struct small_model *m, const struct setting *s, struct outcome *out)
{
    struct prefilled filled;
    struct compute frozen = m->c, *c = s->encoders ? &m->c : &frozen;
    frozen.tape = NULL;
    struct tensor *mel = small_random(m, TENSOR_SHAPE(1, 80, m->r->config.audio.mels));
    struct tensor *pictures = small_random(m, TENSOR_SHAPE(1, 20, 88, 88, 1));
    struct tensor *audio = recognizer_encode_audio(m->r, c, mel, NULL);
    struct tensor *video = recognizer_encode_video(m->r, c, pictures, NULL);
    const struct request q[REQUESTS] = {
        {TASK_AVSR, 4, 2, {0, 40}, {0, 20}, text, 4, NULL, 1},
        {TASK_AVSR, 16, 5, {0, 40}, {0, 20}, text, 4, NULL, 1},
        {TASK_ASR, 4, 0, {0, 40}, {0, 0}, text + 1, 2, NULL, 1},
    };
    recognizer_prefill(m->r, &m->c, audio, video, q, REQUESTS, NULL, &filled);
    struct tensor *terms[LAYERS + 1] = {
        op_cross_entropy(&m->c, filled.logits, filled.targets, NULL, 0.1f)};
    float factors[LAYERS + 1] = {1};
    int count = 1, routed = m->r->config.mome.routed;
    for (int i = 0; filled.expert_share && i < LAYERS; i++) {
        factors[count] = s->balance;
        terms[count++] =
            op_load_balance(&m->c, filled.scores[i], filled.expert_share + (int64_t)i * routed);
    }
    if (filled.expert_share) {
        int64_t chosen = LAYERS * filled.tokens * m->r->config.mome.active;
        assert_true(LAYERS * routed <= MOST_SHARES && chosen <= MOST_CHOSEN);
        memcpy(out->share, filled.expert_share, sizeof(float) * (size_t)(LAYERS * routed));
        memcpy(out->chosen, filled.chosen, sizeof(int32_t) * (size_t)chosen);
    }
    return op_weighted_sum(&m->c, terms, factors, count);
}

static void take_gradients(struct outcome *out, const struct param_list *list)
{
    for (int i = 0; i < 2; i++) {
        out->gradient_count = 0;
        for (int64_t p = 0; p < list->count; p++) {
            const struct tensor *t = list->entries[p].tensor;
            int64_t n = t->grad ? tensor_count(t) : 0;
            if (i && n)
                memcpy(out->gradients + out->gradient_count, t->grad, sizeof(float) * (size_t)n);
            out->gradient_count += n;
        }
        if (!i)
            out->gradients = memory_new((size_t)out->gradient_count, sizeof(float));
    }
}

/* A model of its own each time: batch norm's statistics move on. */
static void learn(struct outcome *out, const struct setting *s, bool recompute)
{
    struct recognizer_config config;
    struct small_model m;
    struct param_list list;
    configure(&config, s);
    small_open(&m, &config);
    small_shake(m.r, &m.err);
    param_list_init(&list, &m.err);
    recognizer_params(m.r, &list.visitor);
    for (int64_t i = 0; i < list.count; i++) {
        const struct param_entry *e = &list.entries[i];
        bool encoder = !strncmp(e->name, "audio.", 6) || !strncmp(e->name, "video.", 6);
        bool trains = param_trains(e->kind) && (s->encoders || !encoder);
        assert_int_equal(parameter_train(e->tensor, trains, &m.err), 0);
    }
    memset(out, 0, sizeof *out);
    m.c.tape = &m.tape;
    m.c.training = s->encoders;
    m.c.recompute = recompute;
    struct tensor *loss = loss_of(&m, s, out);
    out->loss = loss->data[0];
    out->forward = m.arena.used;
    tape_backward(&m.c, loss, 1);
    out->peak = m.arena.peak;
    out->drawn = random_next(&m.random);
    take_gradients(out, &list);
    param_list_release(&list);
    small_close(&m);
}

static void compare(const struct setting *s)
{
    static struct outcome kept, again;
    learn(&kept, s, false);
    learn(&again, s, true);
    if (kept.loss != again.loss || kept.drawn != again.drawn)
        fail_msg("%s: loss %.9g, again %.9g", s->name, (double)kept.loss, (double)again.loss);
    assert_memory_equal(kept.share, again.share, sizeof kept.share);
    assert_memory_equal(kept.chosen, again.chosen, sizeof kept.chosen);
    assert_int_equal(kept.gradient_count, again.gradient_count);
    double size = 0;
    for (int64_t i = 0; i < kept.gradient_count; i++) {
        size += fabs((double)kept.gradients[i]);
        if (memcmp(&kept.gradients[i], &again.gradients[i], sizeof(float)) != 0)
            fail_msg("%s: gradient %lld is %.9g, again %.9g", s->name, (long long)i,
                     (double)kept.gradients[i], (double)again.gradients[i]);
    }
    assert_true(size > 1);
    if (again.forward >= kept.forward || again.peak >= kept.peak)
        fail_msg("%s: %zu bytes kept, %zu again; at most %zu and %zu", s->name, kept.forward,
                 again.forward, kept.peak, again.peak);
    memory_free(kept.gradients);
    memory_free(again.gradients);
}

static void same_gradients(void **unused)
{
    (void)unused;
    static const struct setting settings[] = {
        {.name = "LLM alone", .placement = MOME_NONE, .dropout = 0.1f},
        {.name = "mhsa", .placement = MOME_MHSA, .dropout = 0.1f, .balance = 0.01f},
        {.name = "ffn", .placement = MOME_FFN, .dropout = 0.2f, .balance = 1, .renormalise = true},
        {.name = "layer", .placement = MOME_LAYER, .dropout = 0.1f, .balance = 0.5f},
        {.name = "layer, normalised", .placement = MOME_LAYER, .normalise_input = true},
        {.name = "routers apart",
         .placement = MOME_LAYER,
         .separate_routers = true,
         .balance = 0.5f},
        {.name = "LoRA", .placement = MOME_NONE, .lora = 3, .dropout = 0.1f},
        {.name = "all trained",
         .placement = MOME_MHSA,
         .encoders = true,
         .dropout = 0.1f,
         .balance = 0.5f},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        compare(&settings[i]);
}

int main(void)
{
    omp_set_num_threads(1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
