/*
 * Each part of the network against PyTorch, forth and back, on the reference and the CPU device;
 * and without a tape, where norms are folded and memory is used again, to the same numbers.
 */
#include "golden/golden.h"

#include "models/avhubert.h"
#include "models/llama.h"
#include "models/projector.h"
#include "models/whisper.h"

static const struct device *const devices[] = {&device_reference, &device_cpu};

#define FOR_EACH_DEVICE(device)                                                                    \
    for (const struct device *const *at = devices, *device;                                        \
         at < devices + sizeof devices / sizeof *devices && (device = *at, true); at++)

#define GOLDEN_PART(g, walk, part)                                                                 \
    do {                                                                                           \
        GOLDEN_ALLOCATE(g, walk, part);                                                            \
        golden_fill(g);                                                                            \
    } while (0)

static void whisper(void **unused)
{
    (void)unused;
    const struct whisper_config config = {.mels = 12,
                                          .d = 32,
                                          .layers = 2,
                                          .heads = 4,
                                          .ffn = 48,
                                          .positions = 20,
                                          .exact_window = true};
    FOR_EACH_DEVICE(device)
    {
        struct golden g;
        struct whisper w;
        golden_open(&g, "tests/golden/models_whisper.safetensors", device);
        assert_int_equal(whisper_init(&w, &config, &g.err), 0);
        GOLDEN_PART(&g, whisper_params, &w);
        struct tensor *x = golden_tensor(&g, "input.", "logmel");
        golden_compare(&g, whisper_forward(&w, &g.c, x, NULL)->data, "output.", "states");
        g.c.tape = &g.tape;
        x->needs_grad = true;
        struct tensor *y = whisper_forward(&w, &g.c, x, NULL);
        golden_compare(&g, y->data, "output.", "states");
        golden_backward(&g, y, NULL);
        golden_compare(&g, x->grad, "grad.input.", "logmel");
        golden_close(&g); /* releases the tensors */
        whisper_release(&w);
    }
}

static void llama(const char *path, const struct llama_config *config)
{
    FOR_EACH_DEVICE(device)
    {
        struct golden g;
        struct llama m;
        golden_open(&g, path, device);
        assert_int_equal(llama_init(&m, config, &g.err), 0);
        GOLDEN_PART(&g, llama_params, &m);
        int32_t ids[17], position[17];
        struct tensor *input = golden_tensor(&g, "input.", "ids");
        for (int i = 0; i < 17; i++) {
            ids[i] = (int32_t)input->data[i];
            position[i] = i;
        }
        struct llama_rows rows = {
            .spans = &(struct span){0, 17}, .sequences = 1, .position = position};
        for (int recording = 0; recording < 2; recording++) {
            g.c.tape = recording ? &g.tape : NULL;
            struct tensor *x = llama_embed(&m, &g.c, ids, 17);
            x = llama_head(&m, &g.c, llama_forward(&m, NULL, &g.c, x, &rows));
            golden_compare(&g, x->data, "output.", "logits");
            if (recording)
                golden_backward(&g, x, NULL);
        }
        golden_close(&g); /* releases the tensors */
        llama_release(&m);
    }
}

static const struct llama_config small_llama = {.vocab = 40,
                                                .d = 32,
                                                .layers = 2,
                                                .heads = 4,
                                                .kv_heads = 2,
                                                .head_dim = 8,
                                                .ffn = 48,
                                                .rope_theta = 10000,
                                                .norm_eps = 1e-5f,
                                                .rope_factor = 1,
                                                .tied = true};

static void llama_tied(void **unused)
{
    (void)unused;
    llama("tests/golden/models_llama.safetensors", &small_llama);
}

static void llama_scaled_rope(void **unused)
{
    (void)unused;
    struct llama_config config = small_llama;
    config.tied = false;
    config.rope_theta = 500000;
    config.rope_factor = 8;
    config.rope_low = 1;
    config.rope_high = 4;
    config.rope_original = 32;
    llama("tests/golden/models_llama_scaled.safetensors", &config);
}

static void avhubert(const char *path, bool zeros, int kernel)
{
    const struct avhubert_config config = {.stem = 4,
                                           .widths = {4, 6, 8, 10},
                                           .blocks = {1, 2, 1, 1},
                                           .d = 16,
                                           .layers = 2,
                                           .heads = 4,
                                           .ffn = 24,
                                           .position_kernel = kernel,
                                           .position_groups = 4,
                                           .audio_branch_zeros = zeros};
    FOR_EACH_DEVICE(device)
    {
        struct golden g;
        struct avhubert a;
        golden_open(&g, path, device);
        assert_int_equal(avhubert_init(&a, &config, &g.err), 0);
        GOLDEN_PART(&g, avhubert_params, &a);
        struct tensor *x = golden_tensor(&g, "input.", "pictures");
        golden_compare(&g, avhubert_forward(&a, &g.c, x, NULL)->data, "output.", "inference");
        g.c.tape = &g.tape; /* not folded, but running statistics still */
        golden_compare(&g, avhubert_forward(&a, &g.c, x, NULL)->data, "output.", "inference");
        tape_clear(&g.tape);
        g.c.training = true;
        struct tensor *y = avhubert_forward(&a, &g.c, x, NULL);
        golden_compare(&g, y->data, "output.", "training");
        for (int64_t i = 0; i < g.list.count; i++)
            if (!param_trains(g.list.entries[i].kind))
                golden_compare(&g, g.list.entries[i].tensor->data, "after.",
                               g.list.entries[i].name);
        golden_backward(&g, y, NULL);
        golden_close(&g); /* releases the tensors */
        avhubert_release(&a);
    }
}

static void avhubert_published(void **unused)
{
    (void)unused;
    avhubert("tests/golden/models_avhubert.safetensors", true, 6);
}

static void avhubert_own(void **unused)
{
    (void)unused;
    avhubert("tests/golden/models_avhubert_own.safetensors", false, 5);
}

static void mome(const char *path, const struct experts_sizes *sizes)
{
    FOR_EACH_DEVICE(device)
    {
        struct golden g;
        struct experts e;
        float share[7];
        golden_open(&g, path, device);
        experts_init(&e, sizes);
        GOLDEN_PART(&g, experts_params, &e);
        struct tensor *x = golden_tensor(&g, "input.", "x");
        golden_compare(&g, experts_forward(&e, &g.c, x, NULL, 0, NULL)->data, "output.", "y");
        g.c.tape = &g.tape;
        x->needs_grad = true;
        struct expert_report report = {.share = share};
        struct tensor *y = experts_forward(&e, &g.c, x, NULL, 0, &report);
        golden_compare(&g, y->data, "output.", "y");
        struct tensor *balance = op_load_balance(&g.c, report.scores, share);
        golden_compare(&g, balance->data, "output.", "balance");
        golden_compare(&g, share, "output.", "share");
        golden_backward(&g, y, balance);
        golden_compare(&g, x->grad, "grad.input.", "x");
        golden_close(&g);
    }
}

static void mome_biases(void **unused)
{
    (void)unused;
    mome("tests/golden/models_mome.safetensors", &(struct experts_sizes){.width = 24,
                                                                         .routed = 7,
                                                                         .active = 3,
                                                                         .shared = 2,
                                                                         .bottleneck = 5,
                                                                         .routers = 1,
                                                                         .biases = true});
}

static void mome_renormalised(void **unused)
{
    (void)unused;
    mome("tests/golden/models_mome_plain.safetensors",
         &(struct experts_sizes){.width = 24,
                                 .routed = 7,
                                 .active = 3,
                                 .shared = 1,
                                 .bottleneck = 5,
                                 .routers = 1,
                                 .renormalise = true});
}

static void projector(const char *path, bool stack, bool norm)
{
    const struct projector_config config = {.hidden = 12, .norm = norm, .stack = stack};
    const struct span spans[] = {{2, 7}, {9, 11}};
    FOR_EACH_DEVICE(device)
    {
        struct golden g;
        struct projector p;
        golden_open(&g, path, device);
        projector_init(&p, &config, 3, 10, 14);
        GOLDEN_PART(&g, projector_params, &p);
        struct tensor *x = golden_tensor(&g, "input.", "x");
        g.c.tape = &g.tape;
        x->needs_grad = true;
        struct tensor *y = projector_forward(&p, &g.c, x, spans, 2, p.rate);
        assert_int_equal(tensor_rows(y), 5);
        golden_compare(&g, y->data, "output.", "y");
        golden_backward(&g, y, NULL);
        golden_compare(&g, x->grad, "grad.input.", "x");
        golden_close(&g);
    }
}

static void projector_average(void **unused)
{
    (void)unused;
    projector("tests/golden/models_projector.safetensors", false, true);
}

static void projector_stack(void **unused)
{
    (void)unused;
    projector("tests/golden/models_projector_stack.safetensors", true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whisper),           cmocka_unit_test(llama_tied),
        cmocka_unit_test(llama_scaled_rope), cmocka_unit_test(avhubert_published),
        cmocka_unit_test(avhubert_own),      cmocka_unit_test(mome_biases),
        cmocka_unit_test(mome_renormalised), cmocka_unit_test(projector_average),
        cmocka_unit_test(projector_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
