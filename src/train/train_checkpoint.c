#include "train/train_checkpoint.h"
#include "base/memory.h"
#include "weights/checkpoint.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file's name of a tensor: memory_free. */
static char *file_name(const char *prefix, const char *name)
{
    size_t n = strlen(prefix) + strlen(name) + 1;
    char *s = memory_new(n, 1);
    if (s)
        snprintf(s, n, "%s%s", prefix, name);
    return s;
}

static char *metadata(const struct train_position *p)
{
    json_t *json = json_pack("{s:i, s:I, s:f, s:I}", "stage", p->stage, "step", (json_int_t)p->step,
                             "best_wer", p->best_wer, "seed", (json_int_t)p->seed);
    char *text = json ? json_dumps(json, 0) : NULL;
    char *copy = text ? memory_strdup(text) : NULL;
    free(text);
    json_decref(json);
    return copy;
}

static void add(struct checkpoint_tensor *list, int *count, const char *prefix,
                const struct param_entry *p, const float *data)
{
    const struct tensor *t = p->tensor;
    list[(*count)++] = (struct checkpoint_tensor){.name = file_name(prefix, p->name),
                                                  .dims = t->dims,
                                                  .shape = t->shape,
                                                  .data = data,
                                                  .dtype = DTYPE_F32};
}

int train_checkpoint_save(const char *path, const struct param_list *params, const struct adamw *a,
                          const struct train_position *position, struct error *err)
{
    int count = 0, rc = 0;
    char *text = metadata(position);
    struct checkpoint_tensor *list = memory_new((size_t)params->count * 3 + 1, sizeof *list);
    for (int64_t i = 0; list && i < params->count; i++) {
        const struct param_entry *p = &params->entries[i];
        if (p->tensor->borrowed) /* frozen, and in a file already */
            continue;
        add(list, &count, "model.", p, p->tensor->data);
        if (a && a->moments[i].m) {
            add(list, &count, "adamw.m.", p, a->moments[i].m);
            add(list, &count, "adamw.v.", p, a->moments[i].v);
        }
    }
    for (int i = 0; i < count; i++)
        if (!list[i].name)
            rc = ERROR_MEMORY;
    if (!list || !text || rc)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    else
        rc = checkpoint_save(path, text, list, count, err);
    for (int i = 0; i < count; i++)
        memory_free((char *)list[i].name);
    memory_free(list);
    memory_free(text);
    return rc;
}

static int read_position(struct train_position *p, const struct checkpoint *c, const char *path,
                         struct error *err)
{
    json_t *json = json_loads(checkpoint_metadata(c), 0, NULL);
    json_int_t step = 0, seed = 0;
    int bad = !json || json_unpack(json, "{s:i, s:I, s:F, s:I}", "stage", &p->stage, "step", &step,
                                   "best_wer", &p->best_wer, "seed", &seed);
    json_decref(json);
    p->step = step;
    p->seed = (uint64_t)seed;
    if (bad || p->stage < 0 || p->step < 0)
        return error_set(err, ERROR_FORMAT, "%s: not a training checkpoint", path);
    return 0;
}

int train_checkpoint_position(struct train_position *position, const char *path, struct error *err)
{
    struct checkpoint *c;
    int rc = checkpoint_open(&c, path, err);
    if (rc)
        return rc;
    rc = read_position(position, c, path, err);
    checkpoint_close(c);
    return rc;
}

static int read_one(struct checkpoint *c, const char *prefix, const struct param_entry *p,
                    float *out, struct error *err)
{
    char *name = file_name(prefix, p->name);
    int rc = name ? checkpoint_read(c, out, name, p->tensor->dims, p->tensor->shape, err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
    memory_free(name);
    return rc;
}

int train_checkpoint_load(const char *path, const struct param_list *params, struct adamw *a,
                          struct error *err)
{
    struct checkpoint *c;
    struct train_position position;
    int rc = checkpoint_open(&c, path, err);
    if (rc)
        return rc;
    rc = read_position(&position, c, path, err);
    for (int64_t i = 0; !rc && i < params->count; i++) {
        const struct param_entry *p = &params->entries[i];
        if (p->tensor->borrowed)
            continue;
        rc = read_one(c, "model.", p, p->tensor->data, err);
        parameter_changed(p->tensor);
        if (!rc && a && a->moments[i].m && position.step)
            rc = read_one(c, "adamw.m.", p, a->moments[i].m, err);
        if (!rc && a && a->moments[i].m && position.step)
            rc = read_one(c, "adamw.v.", p, a->moments[i].v, err);
    }
    if (a)
        a->step = position.step;
    checkpoint_close(c);
    return rc;
}
