/* Visitors: each remembers what it needs behind the struct param_visitor that it begins with. */
#include "models/params.h"

#include "weights/checkpoint.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

#include <math.h>
#include <string.h>

static void allocate(struct param_visitor *v, const char *name, struct tensor *t,
                     enum param_kind kind)
{
    struct param_allocator *a = (struct param_allocator *)v;
    (void)kind;
    if (a->code != 0 || t->data || t->stored)
        return;
    int64_t shape[TENSOR_MAX_DIMS];
    memcpy(shape, t->shape, sizeof shape);
    a->code = parameter_init(t, t->dims, shape, a->err);
    if (a->code != 0)
        error_prefix(a->err, "%s", name);
}

void param_allocator_init(struct param_allocator *a, struct error *err)
{
    *a = (struct param_allocator){.visitor.visit = allocate, .err = err};
}

static void release(struct param_visitor *v, const char *name, struct tensor *t,
                    enum param_kind kind)
{
    (void)v, (void)name, (void)kind;
    if (t->data || t->stored)
        parameter_release(t);
}

void param_releaser_init(struct param_visitor *v)
{
    *v = (struct param_visitor){.visit = release};
}

/* ---- starting values --------------------------------------------------------------------- */

static void fill(struct tensor *t, float value)
{
    int64_t n = tensor_count(t);
    for (int64_t i = 0; i < n; i++)
        t->data[i] = value;
}

static void fill_normal(struct tensor *t, double deviation, struct random *random)
{
    int64_t n = tensor_count(t);
    for (int64_t i = 0; i < n; i++)
        t->data[i] = (float)(random_normal(random) * deviation);
}

static void fill_uniform(struct tensor *t, double limit, struct random *random)
{
    int64_t n = tensor_count(t);
    for (int64_t i = 0; i < n; i++)
        t->data[i] = (float)((2 * random_uniform(random) - 1) * limit);
}

/* [positions, d]: d / 2 sines, then d / 2 cosines, of wavelengths 2 pi to 20000 pi. */
static void fill_sinusoid(struct tensor *t)
{
    int64_t half = t->shape[1] / 2;
    for (int64_t p = 0; p < t->shape[0]; p++)
        for (int64_t i = 0; i < half; i++) {
            double step = half > 1 ? log(10000.0) / (double)(half - 1) : 0;
            double angle = (double)p * exp(-step * (double)i);
            t->data[p * 2 * half + i] = (float)sin(angle);
            t->data[p * 2 * half + half + i] = (float)cos(angle);
        }
}

static void initialise(struct param_visitor *v, const char *name, struct tensor *t,
                       enum param_kind kind)
{
    struct random *random = &((struct param_initialiser *)v)->random;
    (void)name;
    if (t->borrowed)
        return;
    switch (kind) {
    case PARAM_LINEAR:
        fill_uniform(t, sqrt(6.0 / (double)(t->shape[0] + t->shape[1])), random);
        break;
    case PARAM_KAIMING: /* sqrt(6 / (1 + a^2) / in) */
        fill_uniform(t, sqrt(1.0 / (double)t->shape[1]), random);
        break;
    case PARAM_CONV:
        fill_normal(t, sqrt(2.0 * (double)tensor_width(t) / (double)tensor_count(t)), random);
        break;
    case PARAM_NORMAL:
        fill_normal(t, 0.02, random);
        break;
    case PARAM_EMBEDDING:
        fill_normal(t, 0.5, random);
        break;
    case PARAM_SCALE:
    case PARAM_VARIANCE:
        fill(t, 1);
        break;
    case PARAM_SLOPE:
        fill(t, 0.25f);
        break;
    case PARAM_SINUSOID:
        fill_sinusoid(t);
        break;
    case PARAM_ZERO:
    case PARAM_BIAS:
    case PARAM_MEAN:
        fill(t, 0);
        break;
    }
    parameter_changed(t);
}

void param_initialiser_init(struct param_initialiser *i, uint64_t seed)
{
    *i = (struct param_initialiser){.visitor.visit = initialise};
    random_seed(&i->random, seed);
}

/* ---- freezing, counting, listing --------------------------------------------------------- */

static void freeze(struct param_visitor *v, const char *name, struct tensor *t,
                   enum param_kind kind)
{
    struct param_freezer *f = (struct param_freezer *)v;
    if (f->code != 0 || strncmp(name, f->prefix, strlen(f->prefix)) != 0)
        return;
    f->matched++;
    if (param_trains(kind))
        f->code = parameter_train(t, f->trainable, f->err);
}

void param_freezer_init(struct param_freezer *f, const char *prefix, bool trainable,
                        struct error *err)
{
    *f = (struct param_freezer){
        .visitor.visit = freeze, .prefix = prefix, .trainable = trainable, .err = err};
}

static void count(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    struct param_counter *c = (struct param_counter *)v;
    (void)name;
    c->tensors++;
    if (!param_trains(kind))
        return;
    c->parameters += tensor_count(t);
    if (t->grad)
        c->trainable += tensor_count(t);
}

void param_counter_init(struct param_counter *c)
{
    *c = (struct param_counter){.visitor.visit = count};
}

static void list(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    struct param_list *l = (struct param_list *)v;
    if (l->code == 0 &&
        !memory_reserve(&l->entries, &l->capacity, l->count, l->count + 1, sizeof *l->entries))
        l->code = error_set(l->err, ERROR_MEMORY, "no memory for a list of parameters");
    if (l->code != 0)
        return;
    struct param_entry *e = &l->entries[l->count];
    *e = (struct param_entry){.name = memory_strdup(name), .tensor = t, .kind = kind};
    if (!e->name)
        l->code = error_set(l->err, ERROR_MEMORY, "no memory for a list of parameters");
    else
        l->count++;
}

void param_list_init(struct param_list *l, struct error *err)
{
    *l = (struct param_list){.visitor.visit = list, .err = err};
}

void param_list_release(struct param_list *l)
{
    for (int64_t i = 0; i < l->count; i++)
        memory_free(l->entries[i].name);
    memory_free(l->entries);
    *l = (struct param_list){0};
}

struct param_entry *param_list_find(const struct param_list *l, const char *name)
{
    for (int64_t i = 0; i < l->count; i++)
        if (strcmp(l->entries[i].name, name) == 0)
            return &l->entries[i];
    return NULL;
}

/* ---- files ------------------------------------------------------------------------------- */

bool param_may_be_stored(const struct param_entry *e)
{
    return e->kind <= PARAM_ZERO && e->kind != PARAM_CONV && e->tensor->dims == 2;
}

static struct stored_tensor declared(const struct param_entry *e, bool bf16)
{
    const struct tensor *t = e->tensor;
    enum dtype dtype = bf16 && param_trains(e->kind) ? DTYPE_BF16 : DTYPE_F32;
    struct stored_tensor s = {.name = e->name,
                              .dtype = t->stored ? t->dtype : dtype,
                              .dims = t->dims,
                              .count = tensor_count(t)};
    memcpy(s.shape, t->shape, (size_t)t->dims * sizeof *s.shape);
    return s;
}

static int write_tensors(const struct param_list *l, const char *path,
                         const struct stored_tensor *tensors, const int64_t *order,
                         const char *metadata, struct error *err)
{
    struct safetensors_writer *w;
    int rc = safetensors_writer_open(&w, path, tensors, (int)l->count, "mome", metadata, err);
    if (rc != 0)
        return rc;
    for (int64_t i = 0; rc == 0 && i < l->count; i++) {
        const struct tensor *t = l->entries[order[i]].tensor;
        int64_t count = tensor_count(t);
        rc = t->stored
                 ? safetensors_writer_add_stored(w, t->stored, dtype_bytes(t->dtype, count), err)
                 : safetensors_writer_add(w, t->data, count, err);
    }
    if (rc == 0)
        return safetensors_writer_commit(w, err);
    safetensors_writer_abandon(w);
    return rc;
}

/* F32 first, so that it stays aligned whatever the others' sizes are. */
int params_save(const struct param_list *l, const char *path, bool bf16, const char *metadata_json,
                struct error *err)
{
    struct stored_tensor *tensors = memory_new((size_t)l->count, sizeof *tensors);
    int64_t *order = memory_new((size_t)l->count, sizeof *order), n = 0;
    int rc = tensors && order ? 0 : error_set(err, ERROR_MEMORY, "%s: no memory to save", path);
    for (int late = 0; rc == 0 && late < 2; late++)
        for (int64_t i = 0; i < l->count; i++) {
            struct stored_tensor s = declared(&l->entries[i], bf16);
            if ((s.dtype != DTYPE_F32) != late)
                continue;
            tensors[n] = s;
            order[n++] = i;
        }
    if (rc == 0)
        rc = write_tensors(l, path, tensors, order, metadata_json, err);
    memory_free(tensors);
    memory_free(order);
    return rc;
}

int params_read(const struct param_list *l, struct checkpoint *c, struct error *err)
{
    for (int64_t i = 0; i < l->count; i++) {
        struct tensor *t = l->entries[i].tensor;
        int rc = checkpoint_read(c, t->data, l->entries[i].name, t->dims, t->shape, err);
        if (rc != 0)
            return rc;
        parameter_changed(t);
    }
    return 0;
}

static int borrow_one(const struct param_entry *e, const struct weights *file, struct error *err)
{
    struct tensor *t = e->tensor;
    const struct stored_tensor *s = weights_find(file, e->name);
    const char *path = weights_path(file);
    int64_t shape[TENSOR_MAX_DIMS];
    int dims = t->dims;
    memcpy(shape, t->shape, sizeof shape);
    if (!s)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s is missing", path, e->name);
    if (s->dims != dims || memcmp(s->shape, shape, (size_t)dims * sizeof *shape) != 0)
        return stored_misshapen(s, path, dims, shape, err);
    bool aligned = s->dtype == DTYPE_F32 && (uintptr_t)s->data % sizeof(float) == 0;
    bool stays = s->dtype != DTYPE_F32 && s->dtype != DTYPE_OTHER && param_may_be_stored(e);
    if ((aligned && param_trains(e->kind)) || stays) { /* buffers change without being trained */
        parameter_borrow(t, dims, shape, s->dtype, s->data);
        return 0;
    }
    parameter_release(t);
    int rc = parameter_init(t, dims, shape, err);
    if (rc == 0 && (rc = stored_read(t->data, s, 0, s->count, err)) != 0)
        error_prefix(err, "%s", path);
    return rc;
}

int params_borrow_some(const struct param_list *l, const struct weights *file, struct error *err)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < l->count; i++) {
        const struct tensor *t = l->entries[i].tensor;
        const struct stored_tensor *s = weights_find(file, l->entries[i].name);
        if (s && s->dims == t->dims &&
            memcmp(s->shape, t->shape, (size_t)t->dims * sizeof *t->shape) == 0)
            rc = borrow_one(&l->entries[i], file, err);
    }
    return rc;
}

int params_borrow(const struct param_list *l, const struct weights *file, struct error *err)
{
    for (int64_t i = 0; i < l->count; i++) {
        int rc = borrow_one(&l->entries[i], file, err);
        if (rc != 0)
            return rc;
    }
    int more = weights_count(file) - (int)l->count; /* names are unique on both sides */
    for (int i = 0; more > 0 && i < weights_count(file); i++)
        if (!param_list_find(l, weights_at(file, i)->name))
            return error_set(err, ERROR_FORMAT,
                             "%s: %d tensors that the configuration does not have, the first is %s",
                             weights_path(file), more, weights_at(file, i)->name);
    return 0;
}
