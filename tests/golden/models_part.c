/*
 * Published models as parts: the same tiny model as each publisher would save it (make_parts.py)
 * gives the same bits; the report says what was left; wrong files are told by what they are; models
 * are assembled from parts by reference and copied, and are the same.
 */
#include "models/assemble.h"

#include "base/file.h"
#include "models/avhubert.h"
#include "models/llama.h"
#include "models/recognizer.h"
#include "models/whisper.h"
#include "tensor/device.h"
#include "tensor/ops.h"
#include "text/tokenizer.h"
#include "weights/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA "tests/golden/data/parts/"

/* A network of one part, and the part that fills it. */
struct loaded {
    enum part_kind kind;
    struct part *part;
    struct recognizer_config config;
    struct whisper whisper;
    struct avhubert avhubert;
    struct llama llama;
    struct param_list list;
    struct part_report report;
    struct error err;
};

static void walk(struct loaded *l, struct param_visitor *v)
{
    if (l->kind == PART_AUDIO)
        whisper_params(&l->whisper, v);
    else if (l->kind == PART_VIDEO)
        avhubert_params(&l->avhubert, v);
    else
        llama_params(&l->llama, v);
}

static void open_part(struct loaded *l, enum part_kind kind, const char *path)
{
    *l = (struct loaded){.kind = kind};
    if (part_open(&l->part, kind, path, &l->err) != 0)
        fail_msg("%s", l->err.message);
    config_default(&l->config);
    if (part_config(l->part, &l->config, &l->err) != 0)
        fail_msg("%s", l->err.message);
}

/* -> part_load's code */
static int load(struct loaded *l)
{
    int rc = l->kind == PART_AUDIO   ? whisper_init(&l->whisper, &l->config.audio, &l->err)
             : l->kind == PART_VIDEO ? avhubert_init(&l->avhubert, &l->config.video, &l->err)
                                     : llama_init(&l->llama, &l->config.llm, &l->err);
    assert_int_equal(rc, 0);
    param_list_init(&l->list, &l->err);
    walk(l, &l->list.visitor);
    return part_load(l->part, &l->list, &l->report, &l->err);
}

static void close_part(struct loaded *l)
{
    struct param_visitor releaser;
    param_releaser_init(&releaser);
    walk(l, &releaser);
    param_list_release(&l->list);
    part_report_release(&l->report);
    whisper_release(&l->whisper);
    avhubert_release(&l->avhubert);
    llama_release(&l->llama);
    part_close(l->part);
}

static float *numbers(const struct tensor *t)
{
    float *x = memory_new((size_t)tensor_count(t), sizeof *x);
    assert_non_null(x);
    parameter_read(x, t, 0, tensor_count(t));
    return x;
}

/* What make_parts.py says t should be; least 0: the same bits. */
static void expect(const struct weights *expected, const char *name, const struct tensor *t,
                   double least)
{
    const struct stored_tensor *want = weights_find(expected, name);
    struct error err;
    if (!want)
        fail_msg("%s is not in %s", name, weights_path(expected));
    assert_int_equal(want->count, tensor_count(t));
    float *x = numbers(t), *y = memory_new((size_t)want->count, sizeof *y);
    assert_int_equal(stored_read(y, want, 0, want->count, &err), 0);
    for (int64_t i = 0; i < want->count; i++)
        if (!(x[i] >= y[i] - least && x[i] <= y[i] + least))
            fail_msg("%s[%d] is %.9g, not %.9g", name, (int)i, x[i], y[i]);
    memory_free(x);
    memory_free(y);
}

static struct weights *open_weights(const char *path)
{
    struct weights *w;
    struct error err;
    if (weights_open(&w, path, &err) != 0)
        fail_msg("%s", err.message);
    return w;
}

static void check(enum part_kind kind, const char *path, const char *expected_path,
                  const char *description, int64_t left_over)
{
    struct loaded l;
    open_part(&l, kind, path);
    assert_string_equal(part_description(l.part), description);
    if (load(&l) != 0)
        fail_msg("%s", l.err.message);
    struct weights *expected = open_weights(expected_path);
    for (int64_t i = 0; i < l.list.count; i++) {
        bool computed = strstr(l.list.entries[i].name, "pos_conv.0.weight") != NULL;
        expect(expected, l.list.entries[i].name, l.list.entries[i].tensor, computed ? 1e-6 : 0);
    }
    assert_int_equal(l.report.loaded, l.list.count);
    assert_int_equal(l.report.missing, 0);
    if (l.report.left_over != left_over)
        fail_msg("%s: %d left over, the first is %s", path, (int)l.report.left_over,
                 l.report.left_over ? l.report.left[0] : "");
    weights_close(expected);
    close_part(&l);
}

/* ---- each publisher's files -------------------------------------------------------------- */

static void whisper_has_four_publishers(void **unused)
{
    (void)unused;
    static const struct {
        const char *path, *description;
        int64_t left;
    } files[] = {
        {DATA "whisper_hf", "Whisper, 2 layers of 16 (Hugging Face, F32)", 28},
        {DATA "whisper_openai.pt", "Whisper, 2 layers of 16 (OpenAI, F16)", 1},
        {DATA "whisper_ggml.bin", "Whisper, 2 layers of 16 (OpenAI, F16)", 1},
        {DATA "whisper_ct2", "Whisper, 2 layers of 16 (CTranslate2, F16)", 1},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct loaded l;
        check(PART_AUDIO, files[i].path, DATA "expected_whisper.safetensors", files[i].description,
              files[i].left);
        open_part(&l, PART_AUDIO, files[i].path);
        assert_int_equal(l.config.audio.mels, 6);
        assert_int_equal(l.config.audio.heads, 2);
        assert_int_equal(l.config.audio.ffn, 24);
        assert_int_equal(l.config.audio.positions, 10);
        assert_true(l.config.has_audio && l.config.audio.exact_window);
        assert_null(part_licence(l.part));
        close_part(&l);
    }
}

static void missing_sinusoids_are_computed(void **unused)
{
    (void)unused;
    struct loaded l;
    open_part(&l, PART_AUDIO, DATA "whisper_hf_f16");
    assert_int_equal(load(&l), 0);
    const float *p = l.whisper.positions.data; /* sines, then cosines */
    assert_true(p[0] == 0 && p[8] == 1);
    assert_true(p[16] > 0.8414709 && p[16] < 0.8414711);
    assert_int_equal(l.report.left_over, 1); /* the decoder's norm */
    assert_string_equal(l.report.left[0], "model.decoder.layer_norm.weight");
    /* what can stay where it is, stays */
    assert_true(l.whisper.layers[0].fc1.weight.stored && l.whisper.layers[0].fc1.weight.borrowed);
    assert_int_equal(l.whisper.layers[0].fc1.weight.dtype, DTYPE_F16);
    assert_null(l.whisper.layers[0].fc1.bias.stored);
    close_part(&l);
}

static void avhubert_pretrained_and_fine_tuned(void **unused)
{
    (void)unused;
    static const struct {
        const char *path, *description;
        int64_t left;
    } files[] = {
        {DATA "avhubert_pretrained.pt", "AV-HuBERT, 2 layers of 16 (fairseq, F16)", 3 + 14},
        {DATA "avhubert_finetuned.pt", "AV-HuBERT, 2 layers of 16 (fairseq, F32)", 1 + 14},
        {DATA "avhubert_parametrized.pt", "AV-HuBERT, 2 layers of 16 (fairseq, F16)", 14},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct loaded l;
        check(PART_VIDEO, files[i].path, DATA "expected_avhubert.safetensors", files[i].description,
              files[i].left);
        open_part(&l, PART_VIDEO, files[i].path);
        assert_non_null(strstr(part_licence(l.part), "non-commercial"));
        assert_int_equal(l.config.video.heads, 2);
        assert_int_equal(l.config.video.position_kernel, 8);
        assert_int_equal(l.config.video.position_groups, 4);
        assert_int_equal(l.config.video.blocks[0], 2);
        assert_int_equal(l.config.video.widths[3], 7);
        assert_true(l.config.video.audio_branch_zeros);
        close_part(&l);
    }
}

static void llamas_of_three_publishers(void **unused)
{
    (void)unused;
    static const struct {
        const char *path, *description;
    } files[] = {
        {DATA "llama_hf", "Llama, 1 layers of 32 (Hugging Face, F32)"},
        {DATA "llama_torch", "Llama, 1 layers of 32 (Hugging Face, F32)"},
        {DATA "llama_f32.gguf", "Llama, 1 layers of 32 (GGUF, F32)"},
        {DATA "llama_q8_0.gguf", "Llama, 1 layers of 32 (GGUF, Q8_0)"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct loaded l;
        check(PART_LLM, files[i].path, DATA "llama_hf", files[i].description, 0);
        open_part(&l, PART_LLM, files[i].path);
        const struct llama_config *c = &l.config.llm;
        assert_true(c->vocab == 264 && c->heads == 4 && c->kv_heads == 2 && c->head_dim == 8);
        assert_true(c->rope_theta == 500000 && c->rope_factor > 31.999 && c->rope_factor < 32.001);
        assert_true(c->rope_low == 1 && c->rope_high == 4 && c->rope_original == 8192);
        assert_true(!c->tied && !c->qkv_bias && c->norm_eps > 0.99e-5 && c->norm_eps < 1.01e-5);
        if (i != 1) { /* no tokenizer beside it */
            assert_string_equal(l.config.bos, "<|begin_of_text|>");
            assert_string_equal(l.config.eos, "<|end_of_text|>");
        }
        close_part(&l);
    }
}

static void quantised_rows_stay_quantised(void **unused)
{
    (void)unused;
    struct loaded l;
    open_part(&l, PART_LLM, DATA "llama_q8_0.gguf");
    assert_int_equal(load(&l), 0);
    assert_int_equal(l.llama.layers[0].attention.q.weight.dtype, DTYPE_Q8_0); /* rows moved */
    assert_int_equal(l.llama.layers[0].ffn.gate.weight.dtype, DTYPE_Q8_0);
    assert_non_null(l.llama.embed.stored);
    assert_non_null(l.llama.norm.weight.data);
    close_part(&l);
}

static void qwen2_has_biases_and_plain_rows(void **unused)
{
    (void)unused;
    check(PART_LLM, DATA "qwen2_hf", DATA "qwen2_hf", "Qwen2, 1 layers of 32 (Hugging Face, F32)",
          0);
    check(PART_LLM, DATA "qwen2_f32.gguf", DATA "qwen2_hf", "Qwen2, 1 layers of 32 (GGUF, F32)", 0);
    struct loaded l;
    open_part(&l, PART_LLM, DATA "qwen2_f32.gguf");
    assert_true(l.config.llm.tied && l.config.llm.qkv_bias);
    close_part(&l);
}

/* ---- what goes wrong --------------------------------------------------------------------- */

static void refused(enum part_kind kind, const char *path, const char *message)
{
    struct part *p;
    struct error err = {0};
    assert_true(part_open(&p, kind, path, &err) < 0);
    assert_null(p);
    if (!strstr(err.message, message) || !strstr(err.message, path))
        fail_msg("%s", err.message);
}

static void wrong_files_are_told(void **unused)
{
    (void)unused;
    refused(PART_LLM, DATA "whisper_hf",
            "this is a Whisper model (Hugging Face), a Llama-type LLM "
            "was expected");
    refused(PART_LLM, DATA "whisper_ggml.bin", "this is a Whisper model (OpenAI)");
    refused(PART_AUDIO, DATA "llama_f32.gguf",
            "this is a Llama-type LLM (GGUF), a Whisper model "
            "was expected");
    refused(PART_VIDEO, DATA "whisper_openai.pt", "this is a Whisper model (OpenAI), an AV-HuBERT");
    refused(PART_ADAPTERS, DATA "avhubert_finetuned.pt", "this is an AV-HuBERT model (fairseq)");
    refused(PART_LLM, DATA "llama_hf/tokenizer.json", "tokenizer");
    refused(PART_AUDIO, DATA "nothing", "");
    refused(PART_LLM, DATA "omni.ckpt", "projectors and LoRA (Llama-AVSR)");
}

static void misshapen_and_missing_are_told(void **unused)
{
    (void)unused;
    struct loaded l;
    open_part(&l, PART_AUDIO, DATA "whisper_openai.pt");
    l.config.audio.ffn = 28;
    assert_int_equal(load(&l), ERROR_FORMAT);
    assert_non_null(strstr(l.err.message, "whisper_openai.pt: tensor encoder.blocks.0.mlp.0.weight "
                                          "is 24x16, the configuration says 28x16"));
    close_part(&l);
    open_part(&l, PART_AUDIO, DATA "whisper_ct2");
    l.config.audio.mels = 5; /* convolutions are told in the file's order */
    assert_int_equal(load(&l), ERROR_FORMAT);
    assert_non_null(strstr(l.err.message, "encoder/conv1/weight is 16x6x3, the configuration says "
                                          "16x5x3"));
    close_part(&l);
    open_part(&l, PART_LLM, DATA "llama_q8_0.gguf");
    l.config.llm.layers = 2;
    assert_int_equal(load(&l), ERROR_FORMAT);
    assert_int_equal(l.report.missing, 9);
    assert_non_null(strstr(l.err.message, "tensor blk.1.attn_norm.weight is missing, and 8 more"));
    close_part(&l);
}

/* config.json with one thing changed, beside the same weights. */
static void unknown_kinds_are_refused_by_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *from, *to, *message;
    } changes[] = {
        {"\"llama3\"", "\"yarn\"", "rotary scaling \"yarn\""},
        {"\"model_type\": \"llama\"", "\"model_type\": \"gemma\"", "model_type \"gemma\""},
        {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"},
        {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act \"gelu\""},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "3 does not divide 4"},
    };
    char folder[] = "/tmp/mome-test-XXXXXX", here[4096], link[4200], config[4200];
    struct error err;
    assert_non_null(mkdtemp(folder));
    assert_non_null(getcwd(here, sizeof here));
    snprintf(link, sizeof link, "%s/pytorch_model.bin", folder);
    snprintf(config, sizeof config, "%s/config.json", folder);
    char *target = file_join(here, DATA "llama_torch/pytorch_model.bin");
    assert_int_equal(symlink(target, link), 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *text, changed[4096];
        size_t size;
        assert_int_equal(file_read(&text, &size, DATA "llama_torch/config.json", 4000, &err), 0);
        char *at = strstr(text, changes[i].from);
        assert_non_null(at);
        int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, changes[i].to,
                         at + strlen(changes[i].from));
        assert_int_equal(file_write(config, changed, (size_t)n, &err), 0);
        struct part *p;
        assert_true(part_open(&p, PART_LLM, folder, &err) < 0);
        if (!strstr(err.message, changes[i].message))
            fail_msg("%s", err.message);
        memory_free(text);
    }
    memory_free(target);
    unlink(link);
    unlink(config);
    rmdir(folder);
}

/* ---- assembling -------------------------------------------------------------------------- */

static void folder_remove(const char *folder)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        char *path = file_join(folder, files[i]);
        unlink(path);
        memory_free(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static struct recognizer *assemble(struct assemble_options *options, char *folder,
                                   struct assemble_report *report)
{
    struct recognizer *r = NULL;
    struct error err;
    strcpy(folder, "/tmp/mome-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    options->output = folder;
    if (recognizer_assemble(options, report, &err) != 0 || recognizer_open(&r, folder, &err) != 0)
        fail_msg("%s", err.message);
    return r;
}

/* Of a made-up clip, all logits. */
static struct prefilled run(struct recognizer *r, struct compute *c)
{
    struct prefilled out;
    struct tensor *audio = tensor_new(c, TENSOR_SHAPE(40, r->config.audio.d));
    struct tensor *video = tensor_new(c, TENSOR_SHAPE(20, r->config.video.d));
    for (int64_t i = 0; i < tensor_count(audio); i++)
        audio->data[i] = (float)((i * 37 % 101) / 50.0 - 1);
    for (int64_t i = 0; i < tensor_count(video); i++)
        video->data[i] = (float)((i * 53 % 97) / 48.0 - 1);
    const int32_t text[] = {70, 71, 72};
    struct request q = {.task = TASK_AVSR,
                        .audio_rate = 4,
                        .video_rate = 5,
                        .audio = {0, 40},
                        .video = {0, 20},
                        .text = text,
                        .text_count = 3};
    recognizer_prefill(r, c, audio, video, &q, 1, NULL, &out);
    return out;
}

static float *logits(struct recognizer *r, int64_t *count)
{
    struct arena arena;
    struct error err;
    assert_int_equal(arena_init(&arena, (size_t)1 << 30, &err), 0);
    struct compute c = {.device = &device_cpu, .arena = &arena};
    struct prefilled out = run(r, &c);
    *count = tensor_count(out.logits);
    float *copy = memory_new((size_t)*count, sizeof *copy);
    memcpy(copy, out.logits->data, (size_t)*count * sizeof *copy);
    arena_release(&arena);
    return copy;
}

static void assert_same_model(struct recognizer *a, struct recognizer *b)
{
    struct param_list x, y;
    struct error err;
    int64_t count, other;
    param_list_init(&x, &err);
    param_list_init(&y, &err);
    recognizer_params(a, &x.visitor);
    recognizer_params(b, &y.visitor);
    assert_int_equal(x.count, y.count);
    for (int64_t i = 0; i < x.count; i++) {
        float *p = numbers(x.entries[i].tensor), *q = numbers(y.entries[i].tensor);
        assert_string_equal(x.entries[i].name, y.entries[i].name);
        if (memcmp(p, q, (size_t)tensor_count(x.entries[i].tensor) * sizeof *p) != 0)
            fail_msg("%s differs", x.entries[i].name);
        memory_free(p);
        memory_free(q);
    }
    param_list_release(&x);
    param_list_release(&y);
    float *p = logits(a, &count), *q = logits(b, &other);
    assert_int_equal(count, other);
    assert_memory_equal(p, q, (size_t)count * sizeof *p);
    memory_free(p);
    memory_free(q);
}

static void referenced_copied_and_saved_again(void **unused)
{
    (void)unused;
    struct mome_config mome = {
        .placement = MOME_MHSA, .routed = 4, .active = 2, .shared = 1, .bottleneck = 3};
    struct assemble_options options = {.paths = {[PART_AUDIO] = DATA "whisper_openai.pt",
                                                 [PART_VIDEO] = DATA "avhubert_pretrained.pt",
                                                 [PART_LLM] = DATA "llama_hf"},
                                       .mome = &mome,
                                       .projector_hidden = 24,
                                       .window_trim = true,
                                       .seed = 5};
    struct assemble_report report, again;
    char reference[32], copied[32], saved[32];
    struct error err;
    struct recognizer *a = assemble(&options, reference, &report);
    assert_string_equal(report.parts[PART_LLM].description,
                        "Llama, 1 layers of 32 (Hugging Face, F32)");
    assert_int_equal(report.parts[PART_AUDIO].tensors.left_over, 1);
    assert_non_null(report.parts[PART_VIDEO].licence);
    assert_false(a->config.audio.exact_window);
    /* five tokens behind the 258 published ones; the table has 264 rows */
    assert_int_equal(a->config.llm.vocab, 264);
    assert_int_equal(a->config.llm.extra_from, 258);
    assert_int_equal(a->config.llm.extra_tokens, 5);
    assert_int_equal(a->tokens.audio_open, 259);
    assert_true(a->llm.embed.borrowed);
    assert_non_null(a->own);
    assert_null(weights_find(a->own, "llm.model.embed_tokens.weight"));
    assert_non_null(weights_find(a->own, "projector.tokens.weight"));
    assert_non_null(weights_find(a->own, "mome.layers.0.up.weight"));

    options.copy = true;
    struct recognizer *b = assemble(&options, copied, &again);
    assert_false(b->config.has_parts);
    assert_non_null(weights_find(b->own, "llm.model.embed_tokens.weight"));
    assert_same_model(a, b);
    recognizer_free(b);

    /* a model of ours as adapters of another: its projectors, tokens and experts */
    char third[32];
    struct assemble_options other = options;
    other.paths[PART_ADAPTERS] = copied;
    other.copy = false;
    other.mome = NULL;
    other.projector_hidden = 0;
    other.seed = 6;
    assemble_report_release(&again);
    b = assemble(&other, third, &again);
    assert_string_equal(again.parts[PART_ADAPTERS].description, "projectors and experts (mome)");
    assert_same_model(a, b);
    recognizer_free(b);
    folder_remove(third);

    /* a changed part is the model's own from then on, others stay references */
    strcpy(saved, "/tmp/mome-test-XXXXXX");
    assert_non_null(mkdtemp(saved));
    assert_int_equal(parameter_train(&a->llm.norm.weight, true, &err), 0);
    a->llm.norm.weight.data[3] = 42;
    assert_int_equal(recognizer_save(a, saved, false, &err), 0);
    assert_int_equal(recognizer_open(&b, saved, &err), 0);
    assert_true(b->config.has_parts && b->llm.norm.weight.data[3] == 42);
    assert_non_null(weights_find(b->own, "llm.model.norm.weight"));
    assert_null(weights_find(b->own, "llm.model.embed_tokens.weight"));
    assert_same_model(a, b);
    recognizer_free(a);
    assert_int_equal(recognizer_save(b, saved, false, &err), 0);
    assert_int_equal(recognizer_open(&a, saved, &err), 0);
    assert_same_model(a, b);
    recognizer_free(a);
    recognizer_free(b);
    assemble_report_release(&report);
    assemble_report_release(&again);
    folder_remove(reference);
    folder_remove(copied);
    folder_remove(saved);
}

/* Gradients of what a text costs, for all of the model's own tensors, one after the other. */
static float *gradients(struct recognizer *r, int64_t *count)
{
    struct param_list all;
    struct arena arena;
    struct error err;
    struct tape tape = {0};
    assert_int_equal(arena_init(&arena, (size_t)1 << 30, &err), 0);
    struct compute c = {.device = &device_cpu, .arena = &arena, .tape = &tape, .training = true};
    param_list_init(&all, &err);
    recognizer_params(r, &all.visitor);
    *count = 0;
    for (int64_t i = 0; i < all.count; i++) {
        struct param_entry *e = &all.entries[i];
        bool train = !strncmp(e->name, "projector.", 10) || !strncmp(e->name, "mome.", 5);
        assert_int_equal(parameter_train(e->tensor, train && param_trains(e->kind), &err), 0);
        *count += e->tensor->grad ? tensor_count(e->tensor) : 0;
    }
    struct prefilled out = run(r, &c);
    tape_backward(&c, op_cross_entropy(&c, out.logits, out.targets, NULL, 0), 1);
    float *copy = memory_new((size_t)*count, sizeof *copy), *to = copy;
    for (int64_t i = 0; i < all.count; i++) {
        struct tensor *t = all.entries[i].tensor;
        for (int64_t k = 0; t->grad && k < tensor_count(t); k++)
            *to++ = t->grad[k];
    }
    param_list_release(&all);
    tape_release(&tape);
    arena_release(&arena);
    return copy;
}

/* What is trained beside an LLM that stays in Q8_0, learns as beside the same numbers in F32. */
static void training_beside_stored_weights(void **unused)
{
    (void)unused;
    struct mome_config mome = {
        .placement = MOME_MHSA, .routed = 4, .active = 2, .shared = 1, .bottleneck = 3};
    struct assemble_options options = {.paths = {[PART_AUDIO] = DATA "whisper_ggml.bin",
                                                 [PART_VIDEO] = DATA "avhubert_finetuned.pt",
                                                 [PART_LLM] = DATA "llama_q8_0.gguf"},
                                       .mome = &mome,
                                       .projector_hidden = 24,
                                       .seed = 5};
    struct assemble_report report;
    char folders[2][32];
    int64_t count, other;
    struct recognizer *stored = assemble(&options, folders[0], &report);
    assemble_report_release(&report);
    options.paths[PART_LLM] = DATA "llama_f32.gguf";
    struct recognizer *plain = assemble(&options, folders[1], &report);
    assemble_report_release(&report);
    assert_non_null(stored->llm.layers[0].ffn.gate.weight.stored);
    assert_non_null(plain->llm.layers[0].ffn.gate.weight.data);
    float *x = gradients(stored, &count), *y = gradients(plain, &other);
    double difference = 0, size = 0;
    assert_int_equal(count, other);
    for (int64_t i = 0; i < count; i++) {
        difference += (double)(x[i] - y[i]) * (x[i] - y[i]);
        size += (double)y[i] * y[i];
    }
    if (!(size > 0 && difference <= 1e-8 * size))
        fail_msg("relative difference squared %g of %g", difference / size, size);
    memory_free(x);
    memory_free(y);
    recognizer_free(stored);
    recognizer_free(plain);
    folder_remove(folders[0]);
    folder_remove(folders[1]);
}

static void expect_named(struct recognizer *r, const struct weights *expected, const char *theirs,
                         const char *ours, double least)
{
    struct param_list all;
    struct error err;
    param_list_init(&all, &err);
    recognizer_params(r, &all.visitor);
    struct param_entry *e = param_list_find(&all, ours);
    if (!e)
        fail_msg("the model has no %s", ours);
    expect(expected, theirs, e->tensor, least);
    param_list_release(&all);
}

/* Projectors by their rates, LoRA merged, added tokens, and the checkpoint's own video encoder. */
static void adapters_of_omni_avsr(void **unused)
{
    (void)unused;
    struct assemble_options options = {.paths = {[PART_AUDIO] = DATA "whisper_hf",
                                                 [PART_VIDEO] = DATA "avhubert_pretrained.pt",
                                                 [PART_LLM] = DATA "llama_q8_0.gguf",
                                                 [PART_ADAPTERS] = DATA "omni.ckpt"}};
    struct weights *expected = open_weights(DATA "expected_omni.safetensors");
    struct assemble_report report;
    char folder[32];
    struct recognizer *r = assemble(&options, folder, &report);
    assert_true(report.video_from_adapters);
    assert_int_equal(report.merged, 2);
    assert_int_equal(report.parts[PART_ADAPTERS].tensors.loaded, 17);
    assert_int_equal(r->config.projector.hidden, 12);
    assert_true(!r->config.projector.norm && !r->config.projector.stack);
    assert_int_equal(r->config.mome.placement, MOME_NONE);
    assert_true(r->llm.layers[0].attention.k.weight.dtype == DTYPE_Q8_0);
    for (int i = 0; i < weights_count(expected); i++) {
        const char *name = weights_at(expected, i)->name;
        if (strncmp(name, "video.", 6) != 0)
            expect_named(r, expected, name, name, 1e-6);
    }
    expect_named(r, expected, "video.q_proj", "video.encoder.layers.1.self_attn.q_proj.weight",
                 1e-6);
    expect_named(r, expected, "video.running_mean",
                 "video.feature_extractor_video.resnet.frontend3D.1.running_mean", 0);
    recognizer_free(r);
    assemble_report_release(&report);
    folder_remove(folder);

    /* averaged: without its settings, so rates must be named */
    struct error err;
    options.paths[PART_ADAPTERS] = DATA "omni_averaged.pth";
    options.output = folder;
    options.audio_rate_count = 1;
    options.audio_rates[0] = 3;
    assert_int_equal(recognizer_assemble(&options, &report, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "2 audio projectors, but 1 rates"));
    options.audio_rate_count = 2;
    options.audio_rates[0] = 16;
    options.audio_rates[1] = 4;
    r = assemble(&options, folder, &report);
    expect_named(r, expected, "projector.audio.4.0.weight", "projector.audio.16.0.weight", 0);
    assert_false(report.video_from_adapters);
    assert_int_equal(report.merged, 0);
    recognizer_free(r);
    weights_close(expected);
    assemble_report_release(&report);
    folder_remove(folder);
}

/* Llama-AVSR: one projector, stacked frames, a layer norm that is there because its keys are. */
static void adapters_of_llama_avsr(void **unused)
{
    (void)unused;
    static float numbers_of[12 * 48];
    const struct checkpoint_tensor tensors[] = {
        {"audio_proj.0.weight", 2, (int64_t[]){12, 48}, numbers_of, DTYPE_F32},
        {"audio_proj.0.bias", 1, (int64_t[]){12}, numbers_of, DTYPE_F32},
        {"audio_proj.2.weight", 2, (int64_t[]){32, 12}, numbers_of, DTYPE_F32},
        {"audio_proj.2.bias", 1, (int64_t[]){32}, numbers_of, DTYPE_F32},
        {"audio_proj.3.weight", 1, (int64_t[]){32}, numbers_of, DTYPE_F32},
        {"audio_proj.3.bias", 1, (int64_t[]){32}, numbers_of, DTYPE_F32},
        {"llm.model.embed_tokens.weight", 2, (int64_t[]){9, 32}, numbers_of, DTYPE_F32},
        {"llm.model.layers.0.self_attn.lora_down_Q.audio.weight", 2, (int64_t[]){1, 32}, numbers_of,
         DTYPE_F32},
    };
    struct assemble_options options = {
        .paths = {[PART_AUDIO] = DATA "whisper_hf", [PART_LLM] = DATA "qwen2_hf"},
        .audio_rates = {3},
        .audio_rate_count = 1};
    struct assemble_report report;
    struct error err;
    char folder[32], path[] = "/tmp/mome-test-XXXXXX";
    for (int i = 0; i < 12 * 48; i++)
        numbers_of[i] = (float)i;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(checkpoint_save(path, NULL, tensors, 7, &err), 0);
    options.paths[PART_ADAPTERS] = path;
    struct recognizer *r = assemble(&options, folder, &report);
    assert_true(r->config.projector.stack && r->config.projector.norm && !r->config.has_video);
    assert_int_equal(r->config.projector.audio_rates[0], 3);
    assert_true(r->audio_projectors[0].norm.weight.data[31] == 31);
    assert_int_equal(r->config.llm.extra_tokens, 5); /* the last five of nine rows */
    assert_true(r->llm.extra.data[0] == 4 * 32);
    recognizer_free(r);
    assemble_report_release(&report);
    folder_remove(folder);
    options.audio_rates[0] = 2; /* 48 numbers are not two frames of 16 */
    assert_int_equal(recognizer_assemble(&options, &report, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.message, "projectors of 48 numbers, the encoder has 16 (rate 2)"));
    assert_int_equal(checkpoint_save(path, NULL, tensors, 8, &err), 0);
    assert_int_equal(recognizer_assemble(&options, &report, &err), ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "LoRA of its own for each task"));
    unlink(path);
}

static void assembling_needs_parts(void **unused)
{
    (void)unused;
    struct assemble_options options = {.output = "/tmp/mome-test-none",
                                       .paths = {[PART_AUDIO] = DATA "whisper_hf"}};
    struct assemble_report report;
    struct error err;
    assert_int_equal(recognizer_assemble(&options, &report, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "--llm"));
    options.paths[PART_AUDIO] = NULL;
    options.paths[PART_LLM] = DATA "llama_hf";
    assert_int_equal(recognizer_assemble(&options, &report, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "--audio or --video"));
    assert_int_not_equal(access("/tmp/mome-test-none", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whisper_has_four_publishers),
        cmocka_unit_test(missing_sinusoids_are_computed),
        cmocka_unit_test(avhubert_pretrained_and_fine_tuned),
        cmocka_unit_test(llamas_of_three_publishers),
        cmocka_unit_test(quantised_rows_stay_quantised),
        cmocka_unit_test(qwen2_has_biases_and_plain_rows),
        cmocka_unit_test(wrong_files_are_told),
        cmocka_unit_test(misshapen_and_missing_are_told),
        cmocka_unit_test(unknown_kinds_are_refused_by_name),
        cmocka_unit_test(referenced_copied_and_saved_again),
        cmocka_unit_test(training_beside_stored_weights),
        cmocka_unit_test(adapters_of_omni_avsr),
        cmocka_unit_test(adapters_of_llama_avsr),
        cmocka_unit_test(assembling_needs_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
