/* Visitors: each remembers what it needs behind the struct param_visitor that it begins with. */
#include "models/params.h"

#include "weights/checkpoint.h"

#include <math.h>
#include <string.h>

static void allocate(struct param_visitor *v, const char *name, struct tensor *t,
                     enum param_kind kind)
{
    struct param_allocator *a = (struct param_allocator *)v;
    (void)kind;
    if (a->code != 0)
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
    if (t->data)
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

static void fill_xavier(struct tensor *t, struct random *random)
{
    int64_t n = tensor_count(t);
    double limit = sqrt(6.0 / (double)(t->shape[0] + t->shape[1]));
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
    switch (kind) {
    case PARAM_LINEAR:
        fill_xavier(t, random);
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

static int grow(struct param_list *l)
{
    int64_t capacity = l->capacity ? 2 * l->capacity : 64;
    struct param_entry *entries = memory_new((size_t)capacity, sizeof *entries);
    if (!entries)
        return error_set(l->err, ERROR_MEMORY, "no memory for a list of parameters");
    if (l->count > 0)
        memcpy(entries, l->entries, (size_t)l->count * sizeof *entries);
    memory_free(l->entries);
    l->entries = entries;
    l->capacity = capacity;
    return 0;
}

static void list(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    struct param_list *l = (struct param_list *)v;
    if (l->code == 0 && l->count == l->capacity)
        l->code = grow(l);
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

int params_save(const struct param_list *l, const char *path, bool bf16, const char *metadata_json,
                struct error *err)
{
    struct checkpoint_tensor *tensors = memory_new((size_t)l->count, sizeof *tensors);
    if (!tensors)
        return error_set(err, ERROR_MEMORY, "%s: no memory to save", path);
    for (int64_t i = 0; i < l->count; i++) {
        const struct tensor *t = l->entries[i].tensor;
        bool exact = !bf16 || !param_trains(l->entries[i].kind);
        tensors[i] = (struct checkpoint_tensor){.name = l->entries[i].name,
                                                .dims = t->dims,
                                                .shape = t->shape,
                                                .data = t->data,
                                                .dtype = exact ? DTYPE_F32 : DTYPE_BF16};
    }
    int rc = checkpoint_save(path, metadata_json, tensors, (int)l->count, err);
    memory_free(tensors);
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

int params_load(const struct param_list *l, const char *path, struct error *err)
{
    struct checkpoint *c;
    int rc = checkpoint_open(&c, path, err);
    if (rc != 0)
        return rc;
    rc = params_read(l, c, err);
    const char *name;
    int unread = rc == 0 ? checkpoint_unread(c, &name) : 0;
    if (unread > 0)
        rc = error_set(err, ERROR_FORMAT,
                       "%s: %d tensors that the configuration does not have, the first is %s", path,
                       unread, name);
    checkpoint_close(c);
    return rc;
}
