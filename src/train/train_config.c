#include "train/train_config.h"
#include "base/file.h"
#include "base/memory.h"
#include "models/recognizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct stage_config stage_defaults = {
    .steps = 1000,
    .batch = 8,
    .accumulate = 1,
    .rate = 1e-3,
    .warmup = 0.05,
    .decay = 0.1,
    .beta1 = 0.9,
    .beta2 = 0.98,
    .clip = 1,
    .final_rate = 0.01,
    .text_weight = 1,
    .load_balance = 0.01,
    .task_share = {1, 1, 1},
    .task_weight = {1, 1, 1},
    .snr_low = {10, -5},
    .snr_high = 20,
    .noise_ramp = 0.33,
    .augment = {.margin = -1, .whole = 1},
};

/* How a value is written; the first three are so many numbers. */
enum kind {
    KIND_DOUBLE = 1,
    KIND_RAMP = 2,
    KIND_TASKS = 3,
    KIND_INT,
    KIND_INT64,
    KIND_BOOL,
    KIND_STRING
};

static const char *const kind_names[] = {
    [KIND_DOUBLE] = "a number",
    [KIND_RAMP] = "a number, or [from, to],",
    [KIND_TASKS] = "a number, or [asr, vsr, avsr],",
    [KIND_INT] = "a whole number",
    [KIND_INT64] = "a whole number",
    [KIND_BOOL] = "true or false",
    [KIND_STRING] = "a text",
};

/* One JSON key, where its value goes (NULL: it is read elsewhere), and the limits of numbers. */
struct field {
    const char *key;
    enum kind kind;
    void *to;
    double low, high;
};

static int read_number(double *to, const struct field *f, const json_t *value)
{
    *to = json_number_value(value);
    return json_is_number(value) && *to >= f->low && *to <= f->high ? 0 : -1;
}

static int read_numbers(const struct field *f, const json_t *value)
{
    double *to = f->to;
    size_t count = f->kind;
    if (json_is_array(value) && json_array_size(value) != count)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (read_number(&to[i], f, json_is_array(value) ? json_array_get(value, i) : value))
            return -1;
    return 0;
}

static int read_integer(const struct field *f, const json_t *value)
{
    double number;
    if (!json_is_integer(value) || read_number(&number, f, value))
        return -1;
    if (f->kind == KIND_INT)
        *(int *)f->to = (int)json_integer_value(value);
    else
        *(int64_t *)f->to = json_integer_value(value);
    return 0;
}

static int read_value(const struct field *f, const json_t *value)
{
    switch (f->kind) {
    case KIND_DOUBLE:
    case KIND_RAMP:
    case KIND_TASKS:
        return read_numbers(f, value);
    case KIND_INT:
    case KIND_INT64:
        return read_integer(f, value);
    case KIND_BOOL:
        *(bool *)f->to = json_is_true(value);
        return json_is_boolean(value) ? 0 : -1;
    case KIND_STRING:
        *(char **)f->to = json_is_string(value) ? memory_strdup(json_string_value(value)) : NULL;
        return *(char **)f->to ? 0 : -1;
    }
    return -1;
}

static int bad_value(const struct field *f, const char *path, const char *where, struct error *err)
{
    if (f->kind >= KIND_BOOL)
        return error_set(err, ERROR_FORMAT, "%s: %s: \"%s\" must be %s", path, where, f->key,
                         kind_names[f->kind]);
    return error_set(err, ERROR_FORMAT, "%s: %s: \"%s\" must be %s %.12g to %.12g", path, where,
                     f->key, kind_names[f->kind], f->low, f->high);
}

static int read_object(const struct field *fields, size_t count, json_t *object, const char *path,
                       const char *where, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(err, ERROR_FORMAT, "%s: %s must be an object, {...}", path, where);
    json_object_foreach(object, key, value)
    {
        const struct field *f = NULL;
        for (size_t i = 0; i < count && !f; i++)
            if (!strcmp(fields[i].key, key))
                f = &fields[i];
        if (!f)
            return error_set(err, ERROR_FORMAT, "%s: %s: unknown key \"%.64s\"", path, where, key);
        if (f->to && read_value(f, value))
            return bad_value(f, path, where, err);
    }
    return 0;
}

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static int read_parts(unsigned *parts, const json_t *array, const char *path, const char *where,
                      struct error *err)
{
    static const struct {
        const char *name;
        unsigned part;
    } names[] = {{"audio", TRAIN_AUDIO}, {"video", TRAIN_VIDEO}, {"projectors", TRAIN_PROJECTORS},
                 {"llm", TRAIN_LLM},     {"mome", TRAIN_MOME},   {"lora", TRAIN_LORA}};
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        unsigned part = 0;
        for (size_t n = 0; n < COUNT(names) && json_is_string(item); n++)
            if (!strcmp(names[n].name, json_string_value(item)))
                part = names[n].part;
        if (!part)
            return error_set(err, ERROR_FORMAT,
                             "%s: %s: \"train\" lists parts: audio, video, projectors, llm, mome, "
                             "lora",
                             path, where);
        *parts |= part;
    }
    if (!*parts)
        return error_set(err, ERROR_FORMAT, "%s: %s needs a list \"train\" of parts", path, where);
    return 0;
}

static int read_augment(struct augment_config *a, json_t *object, const char *path,
                        const char *where, struct error *err)
{
    const struct field fields[] = {{"speed", KIND_DOUBLE, &a->speed, 0, 0.5},
                                   {"gain_db", KIND_DOUBLE, &a->gain_db, 0, 100},
                                   {"equalise", KIND_DOUBLE, &a->equalise, 0, 10},
                                   {"mel_masks", KIND_INT, &a->mel_masks, 0, 1000},
                                   {"mel_mask_width", KIND_INT, &a->mel_mask_width, 0, 1000},
                                   {"time_masks", KIND_INT, &a->time_masks, 0, 1000},
                                   {"time_mask_frames", KIND_INT, &a->time_mask_frames, 0, 1000},
                                   {"zoom", KIND_DOUBLE, &a->zoom, 0, 0.5},
                                   {"rotate", KIND_DOUBLE, &a->rotate, 0, 180},
                                   {"shift", KIND_INT, &a->shift, 0, 4},
                                   {"flip", KIND_DOUBLE, &a->flip, 0, 1},
                                   {"contrast", KIND_DOUBLE, &a->contrast, 0, 1},
                                   {"margin", KIND_INT, &a->margin, -1, 100000},
                                   {"whole", KIND_DOUBLE, &a->whole, 0, 1}};
    return object ? read_object(fields, COUNT(fields), object, path, where, err) : 0;
}

unsigned train_config_through(const struct recognizer_config *model, bool audio)
{
    if (audio)
        return TRAIN_AUDIO;
    return TRAIN_VIDEO | (model->video_lora.inner > 0 ? TRAIN_LORA : 0);
}

bool train_config_frames_only(const struct stage_config *s)
{
    return s->text_weight <= 0 && s->align_weight[0] <= 0 && s->align_weight[1] <= 0;
}

static bool trains_something(const struct stage_config *s)
{
    bool frames = s->frame_weight[0] > 0 || s->frame_weight[1] > 0;
    return !train_config_frames_only(s) || (frames && s->parts & (TRAIN_AUDIO | TRAIN_VIDEO));
}

/* [[audio rate, video rate, weight], ...] */
static int read_pair_weights(struct stage_config *s, const json_t *array, const char *path,
                             const char *where, struct error *err)
{
    size_t i;
    json_t *item;
    if (json_array_size(array) > TRAIN_MAX_PAIR_WEIGHTS)
        return error_set(err, ERROR_LIMIT, "%s: %s: at most %d \"pair_weights\"", path, where,
                         TRAIN_MAX_PAIR_WEIGHTS);
    json_array_foreach(array, i, item)
    {
        double numbers[3];
        const struct field f = {"", KIND_TASKS, numbers, 0, 1000};
        if (!json_is_array(item) || read_numbers(&f, item))
            return error_set(err, ERROR_FORMAT,
                             "%s: %s: \"pair_weights\" lists [audio rate, video rate, weight], a "
                             "rate 0 where the task lacks the modality",
                             path, where);
        s->pair_weights[s->pair_weight_count++] =
            (struct pair_weight){(int)numbers[0], (int)numbers[1], numbers[2]};
    }
    return 0;
}

static int read_stage(struct stage_config *s, json_t *object, const char *path, const char *where,
                      struct error *err)
{
    const double many = (double)((int64_t)1 << 50);
    char *name = NULL;
    *s = stage_defaults;
    const struct field fields[] = {{"name", KIND_STRING, &name, 0, 0},
                                   {"train", KIND_STRING, NULL, 0, 0},
                                   {"augment", KIND_STRING, NULL, 0, 0},
                                   {"pair_weights", KIND_STRING, NULL, 0, 0},
                                   {"pairs", KIND_INT, &s->pairs, 0, 1024},
                                   {"copies", KIND_INT, &s->copies, 0, 1024},
                                   {"align_weight", KIND_RAMP, s->align_weight, 0, 1000},
                                   {"steps", KIND_INT64, &s->steps, 1, many},
                                   {"batch", KIND_INT, &s->batch, 1, TRAIN_MAX_BATCH},
                                   {"frames", KIND_INT64, &s->frames, 0, many},
                                   {"accumulate", KIND_INT, &s->accumulate, 1, TRAIN_MAX_BATCH},
                                   {"average", KIND_INT, &s->average, 0, 1000},
                                   {"rate", KIND_DOUBLE, &s->rate, 0, 10},
                                   {"warmup", KIND_DOUBLE, &s->warmup, 0, 1},
                                   {"decay", KIND_DOUBLE, &s->decay, 0, 10},
                                   {"beta1", KIND_DOUBLE, &s->beta1, 0, 0.999999},
                                   {"beta2", KIND_DOUBLE, &s->beta2, 0, 0.999999},
                                   {"clip", KIND_DOUBLE, &s->clip, 1e-6, 1e9},
                                   {"final_rate", KIND_DOUBLE, &s->final_rate, 0, 1},
                                   {"frame_weight", KIND_RAMP, s->frame_weight, 0, 1000},
                                   {"text_weight", KIND_DOUBLE, &s->text_weight, 0, 1000},
                                   {"text_noise", KIND_DOUBLE, &s->text_noise, 0, 1},
                                   {"load_balance", KIND_DOUBLE, &s->load_balance, 0, 1000},
                                   {"smoothing", KIND_DOUBLE, &s->smoothing, 0, 0.9},
                                   {"task_share", KIND_TASKS, s->task_share, 0, 1},
                                   {"task_weight", KIND_TASKS, s->task_weight, 0, 1000},
                                   {"noise_share", KIND_RAMP, s->noise_share, 0, 1},
                                   {"snr_low", KIND_RAMP, s->snr_low, -100, 100},
                                   {"snr_high", KIND_DOUBLE, &s->snr_high, -100, 100},
                                   {"noise_ramp", KIND_DOUBLE, &s->noise_ramp, 0, 1},
                                   {"validate_every", KIND_INT64, &s->validate_every, 0, many}};
    int rc = read_object(fields, COUNT(fields), object, path, where, err);
    if (!rc)
        rc = read_parts(&s->parts, json_object_get(object, "train"), path, where, err);
    if (!rc)
        rc = read_augment(&s->augment, json_object_get(object, "augment"), path, where, err);
    if (!rc)
        rc = read_pair_weights(s, json_object_get(object, "pair_weights"), path, where, err);
    if (!rc && (!name || !name[0] || strlen(name) >= sizeof s->name))
        rc = error_set(err, ERROR_FORMAT, "%s: %s needs a \"name\" of at most %zu letters", path,
                       where, sizeof s->name - 1);
    if (!rc && !trains_something(s))
        rc = error_set(err, ERROR_FORMAT,
                       "%s: %s trains nothing: it needs a text_weight, or a frame_weight and audio "
                       "or video in \"train\"",
                       path, where);
    if (!rc)
        memcpy(s->name, name, strlen(name) + 1);
    memory_free(name);
    return rc;
}

static int read_source(struct source_config *s, json_t *object, const char *path, const char *where,
                       struct error *err)
{
    s->weight = 1;
    const struct field fields[] = {{"manifest", KIND_STRING, &s->manifest, 0, 0},
                                   {"splice", KIND_DOUBLE, &s->splice, 0, 1},
                                   {"weight", KIND_DOUBLE, &s->weight, 1e-6, 1e6}};
    int rc = read_object(fields, COUNT(fields), object, path, where, err);
    if (!rc && !s->manifest)
        rc = error_set(err, ERROR_FORMAT, "%s: %s needs a \"manifest\"", path, where);
    return rc;
}

static int read_lists(struct train_config *c, json_t *root, const char *path, struct error *err)
{
    json_t *sources = json_object_get(root, "sources"), *stages = json_object_get(root, "stages");
    size_t i;
    json_t *item;
    char where[32];
    int rc = 0;
    if (!json_array_size(sources) || json_array_size(sources) > TRAIN_MAX_SOURCES ||
        !json_array_size(stages) || json_array_size(stages) > TRAIN_MAX_STAGES)
        return error_set(err, ERROR_FORMAT,
                         "%s: needs lists \"sources\" (1 .. %d) and \"stages\" (1 .. %d)", path,
                         TRAIN_MAX_SOURCES, TRAIN_MAX_STAGES);
    json_array_foreach(sources, i, item)
    {
        snprintf(where, sizeof where, "sources[%zu]", i);
        if (!rc)
            rc = read_source(&c->sources[c->source_count++], item, path, where, err);
    }
    json_array_foreach(stages, i, item)
    {
        snprintf(where, sizeof where, "stages[%zu]", i);
        if (!rc)
            rc = read_stage(&c->stages[c->stage_count++], item, path, where, err);
    }
    return rc;
}

/* Without a start the vocabulary is the tokenizer's, which is not trained yet: at most so many. */
static int read_model(struct train_config *c, json_t *model, const char *path, struct error *err)
{
    int rc;
    if (!json_is_object(model))
        return error_set(err, ERROR_FORMAT, "%s: needs \"model\", an object; {} is %s", path,
                         c->start ? "the one of \"start\"" : "the default one");
    if (!c->start && !json_object_get(model, "llm"))
        json_object_set_new(model, "llm", json_object());
    if (!c->start)
        json_object_set_new(json_object_get(model, "llm"), "vocab", json_integer(c->vocabulary));
    char *text = json_dumps(model, 0);
    if (!text)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    else if (c->start)
        rc = recognizer_read_config(&c->model, c->start, text, err);
    else
        rc = config_from_json(&c->model, text, path, err);
    free(text);
    return rc;
}

int train_config_read(struct train_config *c, const char *path, struct error *err)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t at;
    *c = (struct train_config){
        .bf16 = true, .vocabulary = 400, .validation_clips = 60, .save_seconds = 300};
    int rc = file_read(&text, &size, path, 1 << 20, err);
    if (rc)
        return rc;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    memory_free(text);
    if (!root)
        return error_set(err, ERROR_FORMAT, "%s:%d: %s", path, at.line, at.text);
    int64_t seed = 7;
    const struct field fields[] = {{"seed", KIND_INT64, &seed, 0, (double)((int64_t)1 << 53)},
                                   {"start", KIND_STRING, &c->start, 0, 0},
                                   {"output", KIND_STRING, &c->output, 0, 0},
                                   {"cache", KIND_STRING, &c->cache, 0, 0},
                                   {"noise", KIND_STRING, &c->noise, 0, 0},
                                   {"validation", KIND_STRING, &c->validation, 0, 0},
                                   {"vocabulary", KIND_INT, &c->vocabulary, 256, 1 << 20},
                                   {"validation_clips", KIND_INT, &c->validation_clips, 0, 1 << 30},
                                   {"bf16", KIND_BOOL, &c->bf16, 0, 0},
                                   {"save_seconds", KIND_DOUBLE, &c->save_seconds, 0, 1e6},
                                   {"memory_gb", KIND_DOUBLE, &c->memory_gb, 0, 1e6},
                                   {"model", KIND_STRING, NULL, 0, 0},
                                   {"sources", KIND_STRING, NULL, 0, 0},
                                   {"stages", KIND_STRING, NULL, 0, 0}};
    rc = read_object(fields, COUNT(fields), root, path, "configuration", err);
    c->seed = (uint64_t)seed;
    if (!rc)
        rc = read_lists(c, root, path, err);
    if (!rc && (!c->output || !c->cache))
        rc = error_set(err, ERROR_FORMAT, "%s: needs \"output\" and \"cache\", two folders", path);
    if (!rc)
        rc = read_model(c, json_object_get(root, "model"), path, err);
    json_decref(root);
    if (rc)
        train_config_release(c);
    return rc;
}

void train_config_release(struct train_config *c)
{
    for (int i = 0; i < c->source_count; i++)
        memory_free(c->sources[i].manifest);
    memory_free(c->start);
    memory_free(c->output);
    memory_free(c->cache);
    memory_free(c->noise);
    memory_free(c->validation);
    *c = (struct train_config){0};
}
