/*
 * LoRA inside the model: untrained it is none, to the bit; sets of their own for each rate pair are
 * what one set is where they hold the same; it is saved, opened, counted as printed, and merged
 * into the weights that it adapts. And rates that a model was not trained at.
 */
#include "unit/small_model.h"

#include "models/assemble.h"

enum { REQUESTS = 6, MOST = 20000 };
static const int32_t text[] = {40, 41, 42, 43, 44};

/* Pairs (4, 2), (16, 5), sound alone and pictures alone: in two places each, so that runs of one
   pair have to be told apart. */
static void make_requests(struct request *q)
{
    const struct span sound[] = {{0, 100}, {100, 50}}, pictures[] = {{0, 50}, {50, 25}};
    for (int i = 0; i < 2; i++) {
        q[i] = (struct request){TASK_AVSR, 4, 2, sound[i], pictures[i], text, 5 - i, NULL, 1};
        q[2 + 3 * i] = (struct request){TASK_AVSR, 16, 5, sound[i], pictures[i], text, 3, NULL, 1};
    }
    q[3] = (struct request){TASK_ASR, 4, 0, sound[0], {0, 0}, text + 1, 2, NULL, 1};
    q[4] = (struct request){TASK_VSR, 0, 5, {0, 0}, pictures[1], text, 4, NULL, 1};
}

static void lora_config(struct recognizer_config *config, int inner, bool global, bool per_rate)
{
    small_config(config);
    config->lora.inner = inner;
    config->lora.global = global;
    config->lora.per_rate = per_rate;
}

/* Logits of all requests; sound and pictures are the same for every model. */
static int64_t run(struct small_model *m, float *logits)
{
    struct request q[REQUESTS];
    struct prefilled out;
    random_seed(&m->random, 9);
    m->c.random = NULL;
    struct tensor *sound = small_audio(m, 3), *pictures = small_video(m, 3);
    make_requests(q);
    recognizer_prefill(m->r, &m->c, sound, pictures, q, REQUESTS, NULL, &out);
    int64_t count = tensor_count(out.logits);
    assert_true(count <= MOST);
    memcpy(logits, out.logits->data, (size_t)count * sizeof *logits);
    return count;
}

static struct tensor *find(struct small_model *m, const char *name)
{
    struct param_list list;
    param_list_init(&list, &m->err);
    recognizer_params(m->r, &list.visitor);
    struct param_entry *e = param_list_find(&list, name);
    struct tensor *t = e ? e->tensor : NULL;
    param_list_release(&list);
    return t;
}

/* Random numbers in every "down" (which starts at zero), the same in every model. */
static void shake_lora(struct small_model *m)
{
    struct param_list list;
    struct random random;
    random_seed(&random, 11);
    param_list_init(&list, &m->err);
    recognizer_params(m->r, &list.visitor);
    for (int64_t i = 0; i < list.count; i++) {
        struct tensor *t = list.entries[i].tensor;
        for (int64_t j = 0; strstr(list.entries[i].name, "down.weight") &&
                            strstr(list.entries[i].name, "lora.") && j < tensor_count(t);
             j++)
            t->data[j] = (float)random_normal(&random);
    }
    param_list_release(&list);
}

static void untrained_lora_is_none(void **unused)
{
    (void)unused;
    static float alone[MOST], with[MOST];
    struct recognizer_config config;
    struct small_model m;
    lora_config(&config, 0, true, false);
    small_open(&m, &config);
    assert_null(find(&m, "lora.layers.0.q.down.weight"));
    int64_t count = run(&m, alone);
    small_close(&m);
    for (int kind = 1; kind < 4; kind++) {
        lora_config(&config, 3, kind & 1, kind & 2);
        small_open(&m, &config);
        int sets = (kind & 1) + (kind & 2 ? 8 : 0);
        struct tensor *down = find(&m, "lora.layers.1.v.down.weight");
        struct tensor *up = find(&m, "lora.layers.1.v.up.weight");
        assert_true(down->shape[0] == 3 * sets && down->shape[1] == 24);
        assert_true(up->shape[0] == 12 * sets && up->shape[1] == 3);
        double largest = 0;
        for (int64_t i = 0; i < tensor_count(up); i++)
            largest = fmax(largest, fabs((double)up->data[i]));
        assert_true(largest <= 1 / sqrt(3) && largest > 0.9 / sqrt(3)); /* Kaiming, a = sqrt 5 */
        run(&m, with);
        assert_memory_equal(alone, with, (size_t)count * sizeof *with);
        shake_lora(&m);
        run(&m, with);
        assert_true(difference(with, alone, count) > 0.01);
        small_close(&m);
    }
}

/* "kind" bit 0: global, 1: per rate. Every set of SS holds what the one of MS holds; the sets of
   MSS together the double of it at half the scale. */
static void equal_sets_are_one(void **unused)
{
    (void)unused;
    static float one[MOST], sets[MOST];
    static const char *const names[] = {
        "lora.layers.%d.q.down.weight", "lora.layers.%d.q.up.weight",
        "lora.layers.%d.v.down.weight", "lora.layers.%d.v.up.weight"};
    for (int kind = 2; kind < 4; kind++) {
        struct recognizer_config config;
        struct small_model ms, other;
        lora_config(&config, 3, true, false);
        small_open(&ms, &config);
        shake_lora(&ms);
        lora_config(&config, 3, kind & 1, true);
        config.lora.scale = kind == 3 ? 0.0625f : 0.125f;
        small_open(&other, &config);
        for (int i = 0; i < 8; i++) {
            char name[64];
            snprintf(name, sizeof name, names[i / 2], i % 2);
            struct tensor *from = find(&ms, name), *to = find(&other, name);
            int64_t n = tensor_count(from);
            assert_int_equal(tensor_count(to), n * (8 + (kind & 1)));
            for (int64_t j = 0; j < tensor_count(to); j++)
                to->data[j] = from->data[j % n];
        }
        int64_t count = run(&ms, one);
        run(&other, sets);
        assert_same(sets, one, count, "sets");
        small_close(&ms);
        small_close(&other);
    }
}

/* What the set of one pair holds matters to requests of that pair alone. */
static void each_pair_has_its_set(void **unused)
{
    (void)unused;
    static float before[MOST], after[MOST];
    struct recognizer_config config;
    struct small_model m;
    struct request q[REQUESTS];
    static const int place[REQUESTS][2] = {{0, 0}, {0, 0}, {1, 1}, {0, -1}, {-1, 1}, {1, 1}};
    for (int global = 0; global < 2; global++) {
        lora_config(&config, 3, global, true);
        small_open(&m, &config);
        shake_lora(&m);
        run(&m, before);
        make_requests(q);
        for (int changed = 0; changed < REQUESTS; changed++) {
            int pair = config_pair(&config, place[changed][0], place[changed][1]);
            struct tensor *up = find(&m, "lora.layers.0.v.up.weight");
            float *set = up->data + (pair - 1 + global) * 12 * 3;
            for (int j = 0; j < 36; j++)
                set[j] += 3;
            parameter_changed(up);
            run(&m, after);
            for (int64_t i = 0, at = 0; i < REQUESTS; i++) {
                int64_t n = (q[i].text_count + 1) * (int64_t)m.r->config.llm.vocab;
                bool same = place[i][0] == place[changed][0] && place[i][1] == place[changed][1];
                double d = difference(after + at, before + at, n);
                assert_true(same ? d > 1e-3 : d < 1e-5);
                at += n;
            }
            for (int j = 0; j < 36; j++)
                set[j] -= 3;
            parameter_changed(up);
        }
        small_close(&m);
    }
}

/* Of the video encoder: untrained none, trained something; its own walk. */
static void lips_have_lora_too(void **unused)
{
    (void)unused;
    struct recognizer_config config;
    struct small_model plain, with;
    small_config(&config);
    small_open(&plain, &config);
    config.video_lora.inner = 2;
    small_open(&with, &config);
    assert_true(find(&with, "video_lora.layers.1.q.down.weight")->shape[0] == 2);
    struct tensor *x = small_random(&plain, TENSOR_SHAPE(1, 4, 88, 88, 1));
    struct tensor *y = recognizer_encode_video(plain.r, &plain.c, x, NULL);
    struct tensor *z = recognizer_encode_video(with.r, &with.c, x, NULL);
    assert_memory_equal(y->data, z->data, (size_t)tensor_count(y) * sizeof(float));
    shake_lora(&with);
    z = recognizer_encode_video(with.r, &with.c, x, NULL);
    assert_true(difference(z->data, y->data, tensor_count(y)) > 0.01);
    small_close(&plain);
    small_close(&with);
}

/* Saved and opened, as float32 and as bfloat16 (whose sets lie in the file), beside routers of each
   pair. */
static void saved_lora_opens_the_same(void **unused)
{
    (void)unused;
    static float before[MOST], after[MOST];
    struct recognizer_config config;
    struct small_model m;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        lora_config(&config, 4, true, true);
        config.mome.separate_routers = true;
        config.mome.active = config.mome.routed; /* no choice that rounding could change */
        config.video_lora.inner = 2;
        small_open(&m, &config);
        small_shake(m.r, &m.err);
        int64_t count = run(&m, before);
        assert_int_equal(recognizer_save(m.r, m.folder, bf16, &m.err), 0);
        struct recognizer *first = m.r;
        assert_int_equal(recognizer_open(&m.r, m.folder, &m.err), 0);
        assert_memory_equal(&first->config, &m.r->config, sizeof config);
        run(&m, after);
        assert_true(difference(after, before, count) < (bf16 ? 0.05 : 1e-7));
        recognizer_free(first);
        small_close(&m);
    }
}

/* Gradients reach LoRA alone, of each pair only where a request has it; a few steps learn. */
static void lora_learns(void **unused)
{
    (void)unused;
    for (int kind = 1; kind < 4; kind++) {
        struct recognizer_config config;
        struct small_model m;
        struct request q[REQUESTS];
        struct prefilled out;
        struct param_list list;
        struct param_freezer lora;
        float losses[20];
        lora_config(&config, 3, kind & 1, kind & 2);
        config.mome.placement = MOME_NONE;
        small_open(&m, &config);
        struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
        make_requests(q);
        param_freezer_init(&lora, "lora.", true, &m.err);
        recognizer_params(m.r, &lora.visitor);
        assert_int_equal(lora.matched, 2 * 4);
        param_list_init(&list, &m.err);
        recognizer_params(m.r, &list.visitor);
        m.c.tape = &m.tape;
        m.c.random = NULL;
        for (int step = 0; step < 20; step++) {
            recognizer_prefill(m.r, &m.c, sound, pictures, q, REQUESTS, NULL, &out);
            struct tensor *loss = op_cross_entropy(&m.c, out.logits, out.targets, NULL, 0);
            losses[step] = loss->data[0];
            tape_backward(&m.c, loss, 1);
            for (int64_t i = 0; i < list.count; i++) {
                struct tensor *t = list.entries[i].tensor;
                assert_true((t->grad != NULL) == !strncmp(list.entries[i].name, "lora.", 5));
                for (int64_t j = 0; t->grad && j < tensor_count(t); j++) {
                    t->data[j] -= 5 * t->grad[j];
                    t->grad[j] = 0;
                }
                if (t->grad)
                    parameter_changed(t);
            }
        }
        for (int step = 1; step < 20; step++)
            assert_true(losses[step] < losses[step - 1]);
        if (kind == 2) { /* pair 1: pictures at rate 2 alone, which no request asked for */
            struct tensor *down = find(&m, "lora.layers.0.q.down.weight");
            for (int set = 0; set < 8; set++) {
                bool used = set + 1 == config_pair(&config, 0, 0) ||
                            set + 1 == config_pair(&config, 1, 1) ||
                            set + 1 == config_pair(&config, 0, -1) ||
                            set + 1 == config_pair(&config, -1, 1);
                assert_true((down->data[set * 3 * 24] != 0) == used);
            }
        }
        param_list_release(&list);
        small_close(&m);
    }
}

/* One set is merged by mome assemble, sets of their own are kept; either way it says the same. */
static void merged_is_unmerged(void **unused)
{
    (void)unused;
    static float before[MOST], after[MOST];
    for (int kind = 1; kind < 4; kind++) {
        struct recognizer_config config;
        struct small_model m, merged;
        struct assemble_report report;
        lora_config(&config, 3, kind & 1, kind & 2);
        config.video_lora.inner = 2;
        small_open(&m, &config);
        small_shake(m.r, &m.err);
        int64_t count = run(&m, before);
        assert_int_equal(recognizer_save(m.r, m.folder, false, &m.err), 0);
        small_open(&merged, &config);
        struct assemble_options options = {.output = merged.folder, .copy = true};
        for (int k = 0; k < PART_KINDS; k++)
            options.paths[k] = m.folder;
        if (recognizer_assemble(&options, &report, &merged.err) != 0)
            fail_msg("%s", merged.err.message);
        assert_int_equal(report.merged,
                         kind == 1 ? 8 : 4); /* 2 layers of the encoder, of the LLM */
        assemble_report_release(&report);
        recognizer_free(merged.r);
        assert_int_equal(recognizer_open(&merged.r, merged.folder, &merged.err), 0);
        assert_int_equal(merged.r->config.lora.inner, kind == 1 ? 0 : 3);
        assert_int_equal(merged.r->config.video_lora.inner, 0);
        run(&merged, after);
        assert_same(after, before, count, "merged");
        struct tensor *x = small_random(&m, TENSOR_SHAPE(1, 4, 88, 88, 1));
        struct tensor *y = recognizer_encode_video(m.r, &m.c, x, NULL);
        struct tensor *z = recognizer_encode_video(merged.r, &merged.c, x, NULL);
        assert_same(z->data, y->data, tensor_count(y), "merged lips");
        small_close(&m);
        small_close(&merged);
    }
}

/* ---- counts ------------------------------------------------------------------------------ */

/* Llama 3.2-3B with these adapters, declared without numbers. */
static void count(struct small_model *m, const struct mome_config *mome,
                  const struct lora_config *lora, int64_t *total, int64_t *active)
{
    struct recognizer_config config;
    struct recognizer *r;
    small_config(&config);
    config.llm = (struct llama_config){.d = 3072,
                                       .layers = 28,
                                       .heads = 24,
                                       .kv_heads = 8,
                                       .head_dim = 128,
                                       .ffn = 8192,
                                       .rope_theta = 500000,
                                       .norm_eps = 1e-5f,
                                       .rope_factor = 32,
                                       .rope_low = 1,
                                       .rope_high = 4,
                                       .rope_original = 8192,
                                       .tied = true};
    config.mome = *mome;
    config.lora = *lora;
    if (recognizer_declare(&r, &config, small_tokenizer(m), "3B", &m->err) != 0)
        fail_msg("%s", m->err.message);
    recognizer_adapter_parameters(r, total, active);
    recognizer_free(r);
}

/* The figures that the papers print: 27.5 M (Llama-AVSR, MTSK MS and SS), 55.0 M (MSS), 12.7 M. */
static void adapters_count_as_printed(void **unused)
{
    (void)unused;
    const struct mome_config none = {.placement = MOME_NONE, .bottleneck = 12};
    struct mome_config mome = {.placement = MOME_MHSA,
                               .routed = 23,
                               .active = 4,
                               .shared = 1,
                               .bottleneck = 12,
                               .biases = true};
    struct lora_config lora = {.inner = 3072 / 32, .scale = 0.125f, .global = true};
    struct recognizer_config config;
    struct small_model m;
    int64_t total, active;
    small_config(&config);
    small_open(&m, &config);
    count(&m, &none, &lora, &total, &active);
    assert_true(total == 27525120 && active == 27525120);
    lora.per_rate = true; /* MSS */
    count(&m, &none, &lora, &total, &active);
    assert_true(total == 9 * 27525120L && active == 55050240);
    lora.global = false; /* SS */
    count(&m, &none, &lora, &total, &active);
    assert_true(total == 8 * 27525120L && active == 27525120);
    lora.inner = 0;
    count(&m, &mome, &lora, &total, &active);
    assert_int_equal(active, 12732048);
    assert_int_equal(total, 12732048 + 28L * 19 * (2 * 3072 * 12 + 12 + 3072));
    mome.separate_routers = true; /* a request uses one of the nine */
    count(&m, &mome, &lora, &total, &active);
    assert_int_equal(active, 12732048);
    small_close(&m);
}

/* ---- rates it was not trained at --------------------------------------------------------- */

/* Sound at rate 8 through the projector of rate 4: what a model says that has those very numbers as
   the projector of rate 8. */
static void any_rate_through_the_nearest(void **unused)
{
    (void)unused;
    static float logits[2][MOST];
    static const int rates[] = {4, 8};
    int64_t count = 0;
    for (int i = 0; i < 2; i++) {
        struct recognizer_config config;
        struct small_model m;
        struct prefilled out;
        lora_config(&config, 3, false, true);
        config.mome.separate_routers = true;
        config.projector.audio_rates[0] = rates[i];
        small_open(&m, &config);
        small_shake(m.r, &m.err);
        struct tensor *sound = small_audio(&m, 3), *pictures = small_video(&m, 3);
        struct request q[] = {
            {TASK_AVSR, 8, 2, {0, 100}, {0, 50}, text, 5, NULL, 1},
            {TASK_AVSR, rates[i], 2, {0, 100}, {0, 50}, text, 5, NULL, 1},
            {TASK_ASR, 8, 0, {100, 50}, {0, 0}, text, 2, NULL, 1},
        };
        int64_t media;
        recognizer_request_rows(m.r, &q[0], &media);
        assert_int_equal(media, 12 + 25);
        recognizer_prefill(m.r, &m.c, sound, pictures, q, 3, NULL, &out);
        int64_t vocab = m.r->config.llm.vocab;
        count = out.spans[0].length * vocab;
        memcpy(logits[i], out.logits->data, (size_t)count * sizeof(float));
        memcpy(logits[i] + count, out.logits->data + out.spans[2].start * vocab,
               (size_t)(out.spans[2].length * vocab) * sizeof(float));
        count += out.spans[2].length * vocab;
        small_close(&m);
    }
    assert_same(logits[0], logits[1], count, "rate 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untrained_lora_is_none),       cmocka_unit_test(equal_sets_are_one),
        cmocka_unit_test(each_pair_has_its_set),        cmocka_unit_test(lips_have_lora_too),
        cmocka_unit_test(saved_lora_opens_the_same),    cmocka_unit_test(lora_learns),
        cmocka_unit_test(merged_is_unmerged),           cmocka_unit_test(adapters_count_as_printed),
        cmocka_unit_test(any_rate_through_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
