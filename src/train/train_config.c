#include "train/train_config.h"
#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct stage_config stage_defaults = {
    .steps = 1000,
    .batch = 8,
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

/* One JSON key and where its value goes. */
enum kind { KIND_DOUBLE, KIND_RAMP, KIND_TASKS, KIND_INT, KIND_INT64, KIND_BOOL, KIND_STRING };

struct field {
    const char *key;
    enum kind kind;
    void *to;
};

static int read_numbers(double *to, size_t count, const json_t *value)
{
    if (json_is_number(value)) {
        for (size_t i = 0; i < count; i++)
            to[i] = json_number_value(value);
        return 0;
    }
    if (!json_is_array(value) || json_array_size(value) != count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!json_is_number(json_array_get(value, i)))
            return -1;
        to[i] = json_number_value(json_array_get(value, i));
    }
    return 0;
}

static int read_integer(int64_t *to, int64_t low, int64_t high, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high)
        return -1;
    *to = json_integer_value(value);
    return 0;
}

static int read_value(const struct field *f, const json_t *value)
{
    int64_t number = 0;
    int rc = 0;
    switch (f->kind) {
    case KIND_DOUBLE:
        return read_numbers(f->to, 1, value);
    case KIND_RAMP:
        return read_numbers(f->to, 2, value);
    case KIND_TASKS:
        return read_numbers(f->to, 3, value);
    case KIND_INT:
        rc = read_integer(&number, -1, 1 << 30, value);
        *(int *)f->to = (int)number;
        return rc;
    case KIND_INT64:
        return read_integer(f->to, 0, (int64_t)1 << 53, value);
    case KIND_BOOL:
        *(bool *)f->to = json_is_true(value);
        return json_is_boolean(value) ? 0 : -1;
    case KIND_STRING:
        if (!json_is_string(value))
            return -1;
        *(char **)f->to = memory_strdup(json_string_value(value));
        return *(char **)f->to ? 0 : -1;
    }
    return -1;
}

static int read_object(const struct field *fields, size_t count, json_t *object, const char *path,
                       const char *where, struct error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(err, ERROR_FORMAT, "%s: \"%s\" should be an object", path, where);
    json_object_foreach(object, key, value)
    {
        const struct field *f = NULL;
        for (size_t i = 0; i < count && !f; i++)
            if (!strcmp(fields[i].key, key))
                f = &fields[i];
        if (!f)
            return error_set(err, ERROR_FORMAT, "%s: unknown key \"%s\" in \"%s\"", path, key,
                             where);
        if (f->to && read_value(f, value))
            return error_set(err, ERROR_FORMAT, "%s: bad value of \"%s\" in \"%s\"", path, key,
                             where);
    }
    return 0;
}

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static int read_parts(unsigned *parts, const json_t *array, const char *path, struct error *err)
{
    static const struct {
        const char *name;
        unsigned part;
    } names[] = {{"audio", PART_AUDIO},
                 {"video", PART_VIDEO},
                 {"projectors", PART_PROJECTORS},
                 {"llm", PART_LLM},
                 {"mome", PART_MOME}};
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
                             "%s: \"train\" lists parts: audio, video, projectors, llm, mome",
                             path);
        *parts |= part;
    }
    if (!*parts)
        return error_set(err, ERROR_FORMAT, "%s: a stage needs a list \"train\" of parts", path);
    return 0;
}

static int read_augment(struct augment_config *a, json_t *object, const char *path,
                        struct error *err)
{
    const struct field fields[] = {{"speed", KIND_DOUBLE, &a->speed},
                                   {"gain_db", KIND_DOUBLE, &a->gain_db},
                                   {"equalise", KIND_DOUBLE, &a->equalise},
                                   {"mel_masks", KIND_INT, &a->mel_masks},
                                   {"mel_mask_width", KIND_INT, &a->mel_mask_width},
                                   {"time_masks", KIND_INT, &a->time_masks},
                                   {"time_mask_frames", KIND_INT, &a->time_mask_frames},
                                   {"zoom", KIND_DOUBLE, &a->zoom},
                                   {"rotate", KIND_DOUBLE, &a->rotate},
                                   {"shift", KIND_INT, &a->shift},
                                   {"flip", KIND_DOUBLE, &a->flip},
                                   {"contrast", KIND_DOUBLE, &a->contrast},
                                   {"margin", KIND_INT, &a->margin},
                                   {"whole", KIND_DOUBLE, &a->whole}};
    int rc = read_object(fields, COUNT(fields), object, path, "augment", err);
    if (!rc && (a->speed < 0 || a->speed > 0.5 || a->shift < 0 || a->shift > 4 || a->zoom < 0 ||
                a->zoom > 0.5))
        rc = error_set(err, ERROR_FORMAT,
                       "%s: augment: speed and zoom are 0 .. 0.5, shift is 0 .. 4", path);
    return rc;
}

static int read_stage(struct stage_config *s, json_t *object, const char *path, struct error *err)
{
    char *name = NULL;
    int64_t batch = 8;
    *s = stage_defaults;
    const struct field fields[] = {{"name", KIND_STRING, &name},
                                   {"train", KIND_STRING, NULL},
                                   {"augment", KIND_STRING, NULL},
                                   {"steps", KIND_INT64, &s->steps},
                                   {"batch", KIND_INT64, &batch},
                                   {"rate", KIND_DOUBLE, &s->rate},
                                   {"warmup", KIND_DOUBLE, &s->warmup},
                                   {"decay", KIND_DOUBLE, &s->decay},
                                   {"beta1", KIND_DOUBLE, &s->beta1},
                                   {"beta2", KIND_DOUBLE, &s->beta2},
                                   {"clip", KIND_DOUBLE, &s->clip},
                                   {"final_rate", KIND_DOUBLE, &s->final_rate},
                                   {"frame_weight", KIND_RAMP, s->frame_weight},
                                   {"text_weight", KIND_DOUBLE, &s->text_weight},
                                   {"load_balance", KIND_DOUBLE, &s->load_balance},
                                   {"smoothing", KIND_DOUBLE, &s->smoothing},
                                   {"task_share", KIND_TASKS, s->task_share},
                                   {"task_weight", KIND_TASKS, s->task_weight},
                                   {"noise_share", KIND_RAMP, s->noise_share},
                                   {"snr_low", KIND_RAMP, s->snr_low},
                                   {"snr_high", KIND_DOUBLE, &s->snr_high},
                                   {"noise_ramp", KIND_DOUBLE, &s->noise_ramp},
                                   {"validate_every", KIND_INT64, &s->validate_every}};
    int rc = read_object(fields, COUNT(fields), object, path, "stages", err);
    if (!rc)
        rc = read_parts(&s->parts, json_object_get(object, "train"), path, err);
    if (!rc && json_object_get(object, "augment"))
        rc = read_augment(&s->augment, json_object_get(object, "augment"), path, err);
    if (!rc && (!name || !name[0] || strlen(name) >= sizeof s->name))
        rc = error_set(err, ERROR_FORMAT, "%s: a stage needs a name of at most %zu letters", path,
                       sizeof s->name - 1);
    if (!rc && (batch < 1 || batch > 1024 || s->steps < 1))
        rc = error_set(err, ERROR_FORMAT, "%s: stage \"%s\": steps >= 1, batch 1 .. 1024", path,
                       name);
    if (!rc)
        memcpy(s->name, name, strlen(name) + 1);
    s->batch = (int)batch;
    memory_free(name);
    return rc;
}

static int read_source(struct source_config *s, json_t *object, const char *path, struct error *err)
{
    s->weight = 1;
    const struct field fields[] = {{"manifest", KIND_STRING, &s->manifest},
                                   {"splice", KIND_DOUBLE, &s->splice},
                                   {"weight", KIND_DOUBLE, &s->weight}};
    int rc = read_object(fields, COUNT(fields), object, path, "sources", err);
    if (!rc && (!s->manifest || s->weight < 0))
        rc = error_set(err, ERROR_FORMAT, "%s: a source needs a manifest and a weight >= 0", path);
    return rc;
}

static int read_lists(struct train_config *c, json_t *root, const char *path, struct error *err)
{
    json_t *sources = json_object_get(root, "sources"), *stages = json_object_get(root, "stages");
    size_t i;
    json_t *item;
    int rc = 0;
    if (!json_array_size(sources) || json_array_size(sources) > TRAIN_MAX_SOURCES ||
        !json_array_size(stages) || json_array_size(stages) > TRAIN_MAX_STAGES)
        return error_set(err, ERROR_FORMAT,
                         "%s: needs lists \"sources\" (1 .. %d) and \"stages\" (1 .. %d)", path,
                         TRAIN_MAX_SOURCES, TRAIN_MAX_STAGES);
    json_array_foreach(sources, i, item)
    {
        if (!rc)
            rc = read_source(&c->sources[c->source_count++], item, path, err);
    }
    json_array_foreach(stages, i, item)
    {
        if (!rc)
            rc = read_stage(&c->stages[c->stage_count++], item, path, err);
    }
    return rc;
}

int train_config_read(struct train_config *c, const char *path, struct error *err)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t at;
    *c = (struct train_config){.bf16 = true, .vocabulary = 400, .validation_clips = 60};
    int rc = file_read(&text, &size, path, 1 << 20, err);
    if (rc)
        return rc;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    memory_free(text);
    if (!root)
        return error_set(err, ERROR_FORMAT, "%s:%d: %s", path, at.line, at.text);
    int64_t seed = 7;
    const struct field fields[] = {{"seed", KIND_INT64, &seed},
                                   {"output", KIND_STRING, &c->output},
                                   {"cache", KIND_STRING, &c->cache},
                                   {"noise", KIND_STRING, &c->noise},
                                   {"validation", KIND_STRING, &c->validation},
                                   {"vocabulary", KIND_INT, &c->vocabulary},
                                   {"validation_clips", KIND_INT, &c->validation_clips},
                                   {"bf16", KIND_BOOL, &c->bf16},
                                   {"model", KIND_STRING, NULL},
                                   {"sources", KIND_STRING, NULL},
                                   {"stages", KIND_STRING, NULL}};
    rc = read_object(fields, COUNT(fields), root, path, "the configuration", err);
    c->seed = (uint64_t)seed;
    if (!rc)
        rc = read_lists(c, root, path, err);
    if (!rc && (!c->output || !c->cache))
        rc = error_set(err, ERROR_FORMAT, "%s: needs \"output\" and \"cache\", two folders", path);
    char *model = json_dumps(json_object_get(root, "model"), 0);
    if (!rc)
        rc = config_from_json(&c->model, model ? model : "{}", path, err);
    free(model);
    json_decref(root);
    if (rc)
        train_config_release(c);
    return rc;
}

void train_config_release(struct train_config *c)
{
    for (int i = 0; i < c->source_count; i++)
        memory_free(c->sources[i].manifest);
    memory_free(c->output);
    memory_free(c->cache);
    memory_free(c->noise);
    memory_free(c->validation);
    *c = (struct train_config){0};
}
