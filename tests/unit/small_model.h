/* A recognizer of a few thousand parameters with all its parts, for tests. */
#ifndef UNIT_SMALL_MODEL_H
#define UNIT_SMALL_MODEL_H

#include "base/file.h"
#include "models/params.h"
#include "models/recognizer.h"
#include "tensor/device.h"
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct small_model {
    char folder[64]; /* temporary, empty but for what a test puts there */
    struct recognizer *r;
    struct arena arena;
    struct tape tape;
    struct random random;
    struct compute c;
    struct error err;
};

static inline void small_config(struct recognizer_config *config)
{
    config_default(config);
    config->audio.mels = 10;
    config->audio.d = 16;
    config->audio.layers = 2;
    config->audio.heads = 2;
    config->audio.ffn = 24;
    config->audio.positions = 100;
    config->video.stem = 2;
    for (int i = 0; i < 4; i++)
        config->video.widths[i] = 2 + 2 * i;
    config->video.d = 16;
    config->video.layers = 2;
    config->video.heads = 2;
    config->video.ffn = 24;
    config->video.position_kernel = 4;
    config->video.position_groups = 4;
    config->projector.hidden = 20;
    config->llm.d = 24;
    config->llm.layers = 2;
    config->llm.heads = 4;
    config->llm.kv_heads = 2;
    config->llm.head_dim = 6;
    config->llm.ffn = 32;
    config->mome.routed = 5;
    config->mome.active = 2;
    config->mome.bottleneck = 3;
}

static inline struct tokenizer *small_tokenizer(struct small_model *m)
{
    static const char text[] = "bin blue at a four now\nset red with b nine please\n"
                               "lay green by c two again\nplace white in d six soon\n";
    struct tokenizer *tokenizer;
    char *path = file_join(m->folder, "text.txt");
    assert_int_equal(file_write(path, text, sizeof text - 1, &m->err), 0);
    assert_int_equal(tokenizer_train(&tokenizer, path, NULL, &m->err), 0);
    assert_int_equal(unlink(path), 0);
    memory_free(path);
    return tokenizer;
}

/* All parameters random, the experts' way up as well: nothing is hidden behind a zero. */
static inline void small_shake(struct recognizer *r, struct error *err)
{
    struct param_list list;
    struct random random;
    random_seed(&random, 5);
    param_list_init(&list, err);
    recognizer_params(r, &list.visitor);
    for (int64_t i = 0; i < list.count; i++) {
        struct tensor *t = list.entries[i].tensor;
        for (int64_t j = 0; j < tensor_count(t); j++)
            t->data[j] += (float)(0.1 * random_uniform(&random));
        parameter_changed(t);
    }
    param_list_release(&list);
}

static inline void small_open(struct small_model *m, const struct recognizer_config *config)
{
    memset(m, 0, sizeof *m);
    snprintf(m->folder, sizeof m->folder, "/tmp/mome-test-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    if (recognizer_new(&m->r, config, small_tokenizer(m), 3, &m->err) != 0)
        fail_msg("%s", m->err.message);
    assert_int_equal(arena_init(&m->arena, (size_t)1 << 32, &m->err), 0);
    random_seed(&m->random, 1);
    m->c = (struct compute){.device = &device_cpu, .arena = &m->arena, .random = &m->random};
}

static inline void small_close(struct small_model *m)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "model.safetensors"};
    for (int i = 0; i < 3; i++) {
        char *path = file_join(m->folder, files[i]);
        unlink(path);
        memory_free(path);
    }
    assert_int_equal(rmdir(m->folder), 0);
    recognizer_free(m->r);
    tape_release(&m->tape);
    arena_release(&m->arena);
}

static inline struct tensor *small_random(struct small_model *m, int dims, const int64_t *shape)
{
    struct tensor *t = tensor_new(&m->c, dims, shape);
    for (int64_t i = 0; i < tensor_count(t); i++)
        t->data[i] = (float)random_normal(&m->random);
    return t;
}

/* Encoder outputs of one clip of `seconds`, made up. */
static inline struct tensor *small_audio(struct small_model *m, int seconds)
{
    return small_random(m, TENSOR_SHAPE(50 * seconds, m->r->config.audio.d));
}

static inline struct tensor *small_video(struct small_model *m, int seconds)
{
    return small_random(m, TENSOR_SHAPE(25 * seconds, m->r->config.video.d));
}

/* ||x - y|| / ||y|| */
static inline double difference(const float *x, const float *y, int64_t n)
{
    double sum = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += pow((double)x[i] - y[i], 2);
        size += pow((double)y[i], 2);
    }
    return sqrt(sum / size);
}

static inline void assert_same(const float *x, const float *y, int64_t n, const char *what)
{
    double d = difference(x, y, n);
    if (!(d <= 1e-4))
        fail_msg("%s: relative difference %.2e", what, d);
}

#endif
