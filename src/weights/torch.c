/*
 * From the pickled object to a list of tensors: the object is walked from its root, the path of
 * keys is the name. Whoever made the file may have made it a maze, so the walk has a depth, a
 * number of visits that grows with the pickle's size, and never enters what it is already in.
 *
 *     dict, OrderedDict      its pairs
 *     list, tuple            its items, by index (tensors only)
 *     torch.nn.Module        _parameters, _buffers, _modules of its state, without their names
 *     omegaconf's nodes      _content, _val of their state, without their names
 *     any other object       its state, where that is a dictionary; once
 */
#include "weights/torch.h"
#include "base/file.h"
#include "base/memory.h"
#include "weights/tensor_list.h"
#include "weights/torch_tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_NAME 1024 /* of a path, before it is a tensor's: those are checked */
#define MAX_FACTS 4096
#define MAX_TEXT 4096
#define FREE_VISITS 65536
#define FREE_BYTES ((size_t)16 << 20) /* of copies, besides as many as the file has */

/* A number or a text of the file. */
struct fact {
    const char *key, *text; /* text NULL: a number */
    double number;
};

struct torch {
    char *path;
    struct file_map map; /* of torch_open */
    struct torch_file file;
    struct tensor_list tensors;
    struct fact *facts; /* [count] by key */
    int fact_count;
    struct arena own; /* copies of tensors, keys and texts */
};

enum {
    ON_PATH = 1, /* marks of values */
    SEEN_FOR_TENSORS = 2,
    SEEN_FOR_FACTS = 4,
    ENTERED_ONCE = 8
};

struct walk {
    struct torch *t;
    bool tensors, facts; /* what is looked for */
    char name[MAX_NAME];
    size_t length;
    int depth;
    size_t visits;
};

struct pairs {
    struct pickle_value **items; /* [2 count] */
    size_t count;
};

static int walk_value(struct walk *w, struct pickle_value *v, struct error *err);

static int add_tensor(struct walk *w, const struct pickle_value *args, struct error *err)
{
    struct torch_tensor t;
    if (!tensor_name_is_good(w->name, w->length)) /* before a message shows it */
        return error_set(err, ERROR_FORMAT, "%s: a tensor's name is empty, too long or not text",
                         w->t->path);
    int rc = torch_tensor_read(&t, &w->t->file, &w->t->own, args, w->name, err);
    if (rc)
        return rc;
    struct tensor_entry e = {.name = w->name,
                             .name_length = w->length,
                             .dtype = t.element->dtype,
                             .other_block = 1,
                             .other_bytes = t.element->bytes,
                             .dims = t.dims,
                             .shape = t.shape,
                             .data = t.data,
                             .room = t.room};
    return tensor_list_add(&w->t->tensors, &e, err);
}

static const char *own_text(struct torch *t, const char *text, size_t length)
{
    char *copy = torch_own(&t->own, length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

/* What is no text, or too much, is passed over. */
static int add_fact(struct walk *w, const struct pickle_value *v, struct error *err)
{
    struct torch *t = w->t;
    bool text = v->kind == PICKLE_TEXT;
    if (!w->facts || t->fact_count == MAX_FACTS || !tensor_name_is_good(w->name, w->length) ||
        (text && (v->count > MAX_TEXT || memchr(v->text, 0, v->count))))
        return 0;
    if (!t->facts && !(t->facts = memory_new(MAX_FACTS, sizeof *t->facts)))
        return error_set(err, ERROR_MEMORY, "%s: out of memory", t->path);
    struct fact f = {.key = own_text(t, w->name, w->length)};
    if (text)
        f.text = own_text(t, v->text, v->count);
    else
        f.number = v->kind == PICKLE_NUMBER ? v->number : (double)v->integer;
    if (f.key && (f.text || !text))
        t->facts[t->fact_count++] = f;
    return 0;
}

static bool key_is_good(const struct pickle_value *key)
{
    return key->kind == PICKLE_INTEGER || key->kind == PICKLE_TEXT;
}

/* The value under this key: the name is longer by it for the time being. */
static int walk_named(struct walk *w, const struct pickle_value *key, struct pickle_value *v,
                      struct error *err)
{
    size_t before = w->length, room = MAX_NAME - before;
    const char *dot = before ? "." : "";
    int n, rc = 0;
    if (key->kind == PICKLE_INTEGER)
        n = snprintf(w->name + before, room, "%s%lld", dot, (long long)key->integer);
    else if (key->count < room - 1) {
        n = snprintf(w->name + before, room, "%s", dot) + (int)key->count;
        memcpy(w->name + before + strlen(dot), key->text, key->count);
        w->name[before + (size_t)n] = 0;
    } else
        n = MAX_NAME;
    if ((size_t)n < room) {
        w->length += (size_t)n;
        rc = walk_value(w, v, err);
    } else if (w->tensors)
        rc = error_set(err, ERROR_LIMIT, "%s: names of more than %d bytes", w->t->path, MAX_NAME);
    w->length = before;
    w->name[before] = 0;
    return rc;
}

/* The dictionary of an object's attributes; with __slots__ it is the first of two. */
static const struct pickle_value *attributes(const struct pickle_value *v)
{
    const struct pickle_value *state = v->kind == PICKLE_OBJECT ? v->state : NULL;
    if (state && state->kind == PICKLE_TUPLE && state->count == 2)
        state = state->items[0];
    return state && state->kind == PICKLE_DICT ? state : NULL;
}

static bool is_module(const struct pickle_value *v)
{
    const struct pickle_value *a = attributes(v);
    return a && pickle_get(a, "_parameters") && pickle_get(a, "_modules");
}

static bool is_omegaconf(const struct pickle_value *v)
{
    static const char package[] = "omegaconf.";
    return v->kind == PICKLE_OBJECT && v->class->kind == PICKLE_CLASS &&
           v->class->count > sizeof package &&
           memcmp(v->class->text, package, sizeof package - 1) == 0;
}

/* What a value holds as a dictionary does; none: count 0. */
static struct pairs pairs_of(const struct pickle_value *v)
{
    struct pairs pairs = {0};
    const struct pickle_value *a = attributes(v);
    if ((v->kind == PICKLE_DICT || v->kind == PICKLE_OBJECT) && v->count)
        pairs = (struct pairs){v->items, v->count};
    else if (a && !torch_class_is(v->class, "collections.OrderedDict"))
        pairs = (struct pairs){a->items, a->count};
    return pairs;
}

/* Python 2 made an OrderedDict of a list of pairs. */
static int walk_listed(struct walk *w, const struct pickle_value *list, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && list->kind == PICKLE_TUPLE && i < list->count; i++) {
        const struct pickle_value *pair = list->items[i];
        if (pair->kind == PICKLE_TUPLE && pair->count == 2 && key_is_good(pair->items[0]))
            rc = walk_named(w, pair->items[0], pair->items[1], err);
    }
    return rc;
}

/* Parts of an object's state, their names left out. */
static int walk_parts(struct walk *w, const struct pickle_value *v, const char *const *parts,
                      struct error *err)
{
    int rc = 0;
    for (; !rc && *parts; parts++) {
        struct pickle_value *part = pickle_get(attributes(v), *parts);
        if (part)
            rc = walk_value(w, part, err);
    }
    return rc;
}

static int walk_items(struct walk *w, const struct pickle_value *v, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && w->tensors && i < v->count; i++) {
        const struct pickle_value index = {.kind = PICKLE_INTEGER, .integer = (int64_t)i};
        enum pickle_kind kind = v->items[i]->kind;
        if (kind == PICKLE_TUPLE || kind == PICKLE_DICT || kind == PICKLE_OBJECT)
            rc = walk_named(w, &index, v->items[i], err);
    }
    return rc;
}

static int walk_inside(struct walk *w, const struct pickle_value *v, struct error *err)
{
    static const char *const module_parts[] = {"_parameters", "_buffers", "_modules", NULL};
    static const char *const omegaconf_parts[] = {"_content", "_val", NULL};
    if (v->kind == PICKLE_TUPLE)
        return walk_items(w, v, err);
    if (is_module(v))
        return w->tensors ? walk_parts(w, v, module_parts, err) : 0;
    if (is_omegaconf(v) && attributes(v))
        return walk_parts(w, v, omegaconf_parts, err);
    if (v->kind == PICKLE_OBJECT && torch_class_is(v->class, "collections.OrderedDict") &&
        !v->count && v->args && v->args->kind == PICKLE_TUPLE && v->args->count == 1)
        return walk_listed(w, v->args->items[0], err);
    struct pairs pairs = pairs_of(v);
    int rc = 0;
    for (size_t i = 0; !rc && i < pairs.count; i++)
        if (key_is_good(pairs.items[2 * i]))
            rc = walk_named(w, pairs.items[2 * i], pairs.items[2 * i + 1], err);
    return rc;
}

/* Where tensors are looked for, what is there twice is there under two names; but not an object of
   unknown class, which may refer to everything around it. */
static bool was_walked(const struct walk *w, const struct pickle_value *v)
{
    if (v->marks & ON_PATH)
        return true;
    return w->tensors ? v->marks & SEEN_FOR_TENSORS && v->marks & ENTERED_ONCE
                      : v->marks & SEEN_FOR_FACTS;
}

static int walk_container(struct walk *w, struct pickle_value *v, struct error *err)
{
    if (was_walked(w, v))
        return 0;
    if (w->depth == MAX_DEPTH) {
        if (!w->tensors)
            return 0;
        return error_set(err, ERROR_LIMIT, "%s: nested more than %d deep", w->t->path, MAX_DEPTH);
    }
    w->visits += attributes(v) ? attributes(v)->count : 0; /* they are searched */
    if (v->kind == PICKLE_OBJECT && !v->count && !is_module(v))
        v->marks |= ENTERED_ONCE;
    v->marks |= ON_PATH | (w->tensors ? SEEN_FOR_TENSORS : SEEN_FOR_FACTS);
    w->depth++;
    int rc = walk_inside(w, v, err);
    w->depth--;
    v->marks &= ~(unsigned)ON_PATH;
    return rc;
}

static int walk_value(struct walk *w, struct pickle_value *v, struct error *err)
{
    const struct pickle_value *args = torch_tensor_args(v);
    if (w->visits++ > FREE_VISITS + w->t->file.pickle_bytes) {
        if (!w->tensors)
            return 0;
        return error_set(err, ERROR_LIMIT, "%s: its pickle refers to itself too often", w->t->path);
    }
    if (args)
        return w->tensors ? add_tensor(w, args, err) : 0;
    switch (v->kind) {
    case PICKLE_BOOL:
    case PICKLE_INTEGER:
    case PICKLE_NUMBER:
    case PICKLE_TEXT:
        return add_fact(w, v, err);
    case PICKLE_TUPLE:
    case PICKLE_DICT:
    case PICKLE_OBJECT:
        return walk_container(w, v, err);
    default:
        return 0;
    }
}

/* What training needs and a model does not. */
static bool is_training_state(const struct pickle_value *key, const struct pickle_value *v)
{
    static const char *const starts[] = {"optimizer", "last_optimizer_state", "lr_scheduler"};
    if (key->kind != PICKLE_TEXT || torch_tensor_args(v))
        return false;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (key->count >= strlen(starts[i]) && memcmp(key->text, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* The value in which the root keeps the model; NULL: it is the model itself. Adds its tensors. */
static int walk_model(struct walk *w, struct pairs root, const struct pickle_value **model,
                      struct error *err)
{
    static const char *const names[] = {"model_state_dict", "state_dict", "model"};
    const struct pickle_value dict = {
        .kind = PICKLE_DICT, .items = root.items, .count = root.count};
    *model = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !*model; i++) {
        struct pickle_value *v = pickle_get(&dict, names[i]);
        if (!v || torch_tensor_args(v))
            continue;
        int rc = walk_value(w, v, err);
        if (rc)
            return rc;
        if (w->t->tensors.count > 0)
            *model = v;
    }
    return 0;
}

static int walk_root(struct torch *t, struct pickle_value *root, struct error *err)
{
    struct walk w = {.t = t, .tensors = true};
    const struct pickle_value *model = NULL;
    struct pairs pairs = {0}; /* none: an object is walked as a whole */
    if (torch_tensor_args(root))
        return error_set(err, ERROR_FORMAT, "%s: a single tensor without a name", t->path);
    if (root->kind == PICKLE_DICT || root->count)
        pairs = pairs_of(root);
    w.facts = pairs.count == 0;
    if (!pairs.count)
        return walk_value(&w, root, err);
    root->marks |= ON_PATH;
    int rc = walk_model(&w, pairs, &model, err);
    w.facts = true;
    w.tensors = !model;
    for (size_t i = 0; !rc && i < pairs.count; i++) {
        const struct pickle_value *key = pairs.items[2 * i];
        struct pickle_value *v = pairs.items[2 * i + 1];
        if (v != model && key_is_good(key) && !is_training_state(key, v))
            rc = walk_named(&w, key, v, err);
    }
    return rc;
}

static int fact_by_key(const void *a, const void *b)
{
    return strcmp(((const struct fact *)a)->key, ((const struct fact *)b)->key);
}

static int read_contents(struct torch *t, struct error *err)
{
    int rc = walk_root(t, pickle_root(t->file.pickle), err);
    if (!rc)
        rc = tensor_list_finish(&t->tensors, err);
    if (rc)
        return rc;
    if (t->tensors.count == 0)
        return error_set(err, ERROR_FORMAT, "%s: a PyTorch file without tensors", t->path);
    if (t->fact_count)
        qsort(t->facts, (size_t)t->fact_count, sizeof *t->facts, fact_by_key);
    return 0;
}

static int torch_new(struct torch **out, const char *path, struct error *err)
{
    struct torch *t = *out = memory_new(1, sizeof *t);
    if (!t || !(t->path = memory_strdup(path)))
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    tensor_list_init(&t->tensors, t->path);
    return 0;
}

static int read_bytes(struct torch *t, const unsigned char *bytes, size_t size, struct error *err)
{
    int rc = torch_file_open(&t->file, bytes, size, t->path, err);
    if (!rc)
        rc = arena_init(&t->own, size + FREE_BYTES, err);
    return rc ? rc : read_contents(t, err);
}

/* What could not be opened is closed. */
static int finish(struct torch **t, int rc)
{
    if (rc) {
        torch_close(*t);
        *t = NULL;
    }
    return rc;
}

int torch_open(struct torch **t, const char *path, struct error *err)
{
    int rc = torch_new(t, path, err);
    if (!rc)
        rc = file_map_open(&(*t)->map, path, err);
    if (!rc)
        rc = read_bytes(*t, (*t)->map.data, (*t)->map.size, err);
    return finish(t, rc);
}

int torch_read(struct torch **t, const unsigned char *bytes, size_t size, const char *path,
               struct error *err)
{
    int rc = torch_new(t, path, err);
    if (!rc)
        rc = read_bytes(*t, bytes, size, err);
    return finish(t, rc);
}

void torch_close(struct torch *t)
{
    if (!t)
        return;
    arena_release(&t->own);
    memory_free(t->facts);
    tensor_list_release(&t->tensors);
    torch_file_release(&t->file);
    file_map_close(&t->map);
    memory_free(t->path);
    memory_free(t);
}

int torch_count(const struct torch *t)
{
    return t->tensors.count;
}

const struct stored_tensor *torch_at(const struct torch *t, int index)
{
    return &t->tensors.items[index];
}

const struct stored_tensor *torch_find(const struct torch *t, const char *name)
{
    return tensor_list_find(&t->tensors, name);
}

static const struct fact *find_fact(const struct torch *t, const char *key)
{
    struct fact wanted = {.key = key};
    if (!t->fact_count)
        return NULL;
    return bsearch(&wanted, t->facts, (size_t)t->fact_count, sizeof wanted, fact_by_key);
}

const char *torch_text(const struct torch *t, const char *key)
{
    const struct fact *f = find_fact(t, key);
    return f ? f->text : NULL;
}

bool torch_number(const struct torch *t, const char *key, double *value)
{
    const struct fact *f = find_fact(t, key);
    if (!f || f->text)
        return false;
    *value = f->number;
    return true;
}
