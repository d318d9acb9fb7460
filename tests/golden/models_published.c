/*
 * The published implementations' numbers (make_published.py: transformers' Whisper, Llama and
 * Qwen2, AV-HuBERT's own code): max |a - b| / max |b| at most 1e-4 in F32 and 2e-2 in BF16. Weights
 * and inputs come from their names, so only the answers are in the file.
 */
#include "golden/golden.h"

#include "models/avhubert.h"
#include "models/llama.h"
#include "models/whisper.h"

#define FILE_NAME "tests/golden/models_published.safetensors"

enum {
    ROWS = 25,
    IDS = 40,
    PREFILLED = 25
}; /* as in make_published.py; the prompt's part that is
      computed at once, before single steps */

static const struct mode {
    const struct device *device;
    enum precision precision;
    double tolerance;
} modes[] = {{&device_cpu, PRECISION_F32, 1e-4},
             {&device_cpu, PRECISION_BF16, 2e-2},
             {&device_reference, PRECISION_F32, 1e-4}};

static void open_mode(struct golden *g, const struct mode *mode)
{
    golden_open(g, FILE_NAME, mode->device);
    g->c.precision = mode->precision;
    g->tolerance = mode->tolerance;
}

static struct tensor *named_input(struct golden *g, int dims, const int64_t *shape)
{
    struct tensor *x = tensor_new(&g->c, dims, shape);
    golden_uniform(x->data, tensor_count(x), "input");
    return x;
}

/* ---- Whisper ---- */

static void whisper(const char *name, int frames, const struct whisper_config *config,
                    const struct mode *mode)
{
    struct golden g;
    struct whisper w;
    open_mode(&g, mode);
    assert_int_equal(whisper_init(&w, config, &g.err), 0);
    GOLDEN_ALLOCATE(&g, whisper_params, &w);
    golden_named(&g);
    struct tensor *x = named_input(&g, TENSOR_SHAPE(1, frames, config->mels));
    x = whisper_forward(&w, &g.c, x, NULL);
    int64_t kept = (tensor_rows(x) + ROWS - 1) / ROWS, d = config->d;
    for (int64_t i = 0; i < kept; i++)
        memmove(x->data + i * d, x->data + i * ROWS * d, (size_t)d * sizeof *x->data);
    golden_compare(&g, x->data, name, ".output");
    golden_close(&g);
    whisper_release(&w);
}

static const struct whisper_config tiny = {
    .mels = 80, .d = 384, .layers = 4, .heads = 6, .ffn = 1536, .positions = 1500};
static const struct whisper_config large_v3 = {
    .mels = 128, .d = 320, .layers = 3, .heads = 5, .ffn = 1280, .positions = 1500};

static void whisper_tiny(void **unused)
{
    (void)unused;
    for (int m = 0; m < 2; m++) {
        whisper("whisper_tiny", 3000, &tiny, &modes[m]);
        whisper("whisper_tiny_trimmed", 340, &tiny, &modes[m]);
    }
}

static void whisper_large_v3(void **unused)
{
    (void)unused;
    for (int m = 0; m < 2; m++) {
        whisper("whisper_large_v3", 3000, &large_v3, &modes[m]);
        whisper("whisper_large_v3_trimmed", 340, &large_v3, &modes[m]);
    }
}

/* ---- language models ---- */

struct prompt {
    int32_t ids[IDS], position[IDS];
};

/* The prompt's first rows at once, the others one by one behind them. */
static void cached(struct golden *g, struct llama *m, const struct prompt *p, const char *name)
{
    struct kv_cache cache;
    int64_t vocab = m->config.vocab;
    float *logits = arena_alloc(&g->arena, (size_t)(IDS * vocab) * sizeof *logits);
    assert_int_equal(
        kv_cache_init(&cache, m->config.layers, 1, IDS, m->config.kv_heads * m->config.head_dim,
                      g->c.precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16, &g->err),
        0);
    for (int64_t at = 0, n = PREFILLED; at < IDS; at += n, n = 1) {
        struct llama_rows rows = {.spans = &(struct span){0, n},
                                  .sequences = 1,
                                  .position = p->position + at,
                                  .cache = &cache,
                                  .past = at > 0};
        struct tensor *x = llama_embed(m, &g->c, p->ids + at, n);
        x = llama_head(m, &g->c, llama_forward(m, NULL, &g->c, x, &rows));
        memcpy(logits + at * vocab, x->data, (size_t)(n * vocab) * sizeof *logits);
    }
    kv_cache_release(&cache);
    golden_compare(g, logits, name, ".output");
}

static void gradients(struct golden *g, struct tensor *y, const char *name)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.grad.", name);
    struct tensor *direction = tensor_new(&g->c, TENSOR_SHAPE(1, tensor_count(y)));
    golden_uniform(direction->data, tensor_count(y), "direction");
    struct tensor *row = op_reshape(&g->c, y, TENSOR_SHAPE(1, tensor_count(y)));
    tape_backward(&g->c, op_linear(&g->c, row, direction, NULL), 1);
    for (int64_t i = 0; i < g->list.count; i++)
        if (g->list.entries[i].tensor->dims == 1)
            golden_compare(g, g->list.entries[i].tensor->grad, prefix, g->list.entries[i].name);
}

static void language_in(const char *name, const struct llama_config *config,
                        const struct mode *mode)
{
    struct golden g;
    struct llama m;
    struct prompt p;
    open_mode(&g, mode);
    assert_int_equal(llama_init(&m, config, &g.err), 0);
    GOLDEN_ALLOCATE(&g, llama_params, &m);
    golden_named(&g);
    const struct tensor *ids = golden_tensor(&g, name, ".ids");
    assert_int_equal(tensor_count(ids), IDS);
    for (int i = 0; i < IDS; i++) {
        p.ids[i] = (int32_t)ids->data[i];
        p.position[i] = i;
    }
    cached(&g, &m, &p, name);

    struct llama_rows rows = {
        .spans = &(struct span){0, IDS}, .sequences = 1, .position = p.position};
    bool with_gradients = config->qkv_bias && mode->precision == PRECISION_F32;
    g.c.tape = with_gradients ? &g.tape : NULL;
    if (with_gradients)
        golden_train(&g);
    struct tensor *x = llama_embed(&m, &g.c, p.ids, IDS);
    x = llama_head(&m, &g.c, llama_forward(&m, NULL, &g.c, x, &rows));
    golden_compare(&g, x->data, name, ".output");
    if (with_gradients)
        gradients(&g, x, name);
    golden_close(&g);
    llama_release(&m);
}

static void language(const char *name, const struct llama_config *config)
{
    struct llama_config full = *config;
    full.vocab = 97;
    full.layers = 2;
    full.norm_eps = config->norm_eps > 0 ? config->norm_eps : 1e-5f;
    full.rope_factor = config->rope_factor > 0 ? config->rope_factor : 1;
    full.rope_low = 1;
    full.rope_high = 4;
    full.rope_original = 64;
    for (int m = 0; m < 3; m++)
        language_in(name, &full, &modes[m]);
}

static void llama2(void **unused)
{
    (void)unused;
    language(
        "llama2",
        &(struct llama_config){
            .d = 64, .heads = 4, .kv_heads = 4, .head_dim = 16, .ffn = 176, .rope_theta = 1e4f});
}

static void llama3(void **unused)
{
    (void)unused;
    struct llama_config c = {
        .d = 64, .heads = 8, .kv_heads = 2, .head_dim = 8, .ffn = 224, .rope_theta = 5e5f};
    language("llama3", &c);
    c.rope_factor = 8;
    language("llama31", &c);
    c.rope_factor = 32;
    c.head_dim = 16; /* heads wider than d / heads, as in no Llama, but in the format */
    c.ffn = 256;
    c.tied = true;
    language("llama32", &c);
}

static void tinyllama(void **unused)
{
    (void)unused;
    language(
        "tinyllama",
        &(struct llama_config){
            .d = 64, .heads = 8, .kv_heads = 1, .head_dim = 8, .ffn = 176, .rope_theta = 1e4f});
}

static void smollm2(void **unused)
{
    (void)unused;
    language("smollm2", &(struct llama_config){.d = 72,
                                               .heads = 9,
                                               .kv_heads = 3,
                                               .head_dim = 8,
                                               .ffn = 192,
                                               .rope_theta = 1e5f,
                                               .tied = true});
}

static void qwen2(void **unused)
{
    (void)unused;
    struct llama_config c = {.d = 56,
                             .heads = 7,
                             .kv_heads = 1,
                             .head_dim = 8,
                             .ffn = 304,
                             .rope_theta = 1e6f,
                             .norm_eps = 1e-6f,
                             .qkv_bias = true};
    language("qwen2", &c);
    c.tied = true;
    language("qwen2_tied", &c);
}

/* ---- AV-HuBERT ---- */

static void avhubert(const char *name, int d, int heads, int ffn, int layers, int frames)
{
    const struct avhubert_config config = {.stem = 64,
                                           .widths = {64, 128, 256, 512},
                                           .blocks = {2, 2, 2, 2},
                                           .d = d,
                                           .layers = layers,
                                           .heads = heads,
                                           .ffn = ffn,
                                           .position_kernel = 128,
                                           .position_groups = 16,
                                           .audio_branch_zeros = true};
    for (int m = 0; m < 2; m++) {
        struct golden g;
        struct avhubert a;
        open_mode(&g, &modes[m]);
        assert_int_equal(avhubert_init(&a, &config, &g.err), 0);
        GOLDEN_ALLOCATE(&g, avhubert_params, &a);
        golden_named(&g);
        struct tensor *x =
            named_input(&g, TENSOR_SHAPE(1, frames, CONFIG_PICTURE, CONFIG_PICTURE, 1));
        x = avhubert_forward(&a, &g.c, op_scale(&g.c, x, 2), NULL);
        golden_compare(&g, x->data, name, ".output");
        golden_close(&g);
        avhubert_release(&a);
    }
}

static void avhubert_base(void **unused)
{
    (void)unused;
    avhubert("avhubert_base", 96, 12, 384, 3, 9);
}

static void avhubert_large(void **unused)
{
    (void)unused;
    avhubert("avhubert_large", 128, 16, 512, 4, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whisper_tiny),   cmocka_unit_test(whisper_large_v3),
        cmocka_unit_test(llama2),         cmocka_unit_test(llama3),
        cmocka_unit_test(tinyllama),      cmocka_unit_test(smollm2),
        cmocka_unit_test(qwen2),          cmocka_unit_test(avhubert_base),
        cmocka_unit_test(avhubert_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
