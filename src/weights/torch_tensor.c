#include "weights/torch_tensor.h"

#include <string.h>

struct layout {
    int dims;
    int64_t shape[STORED_MAX_DIMS], stride[STORED_MAX_DIMS];
    int64_t count, end; /* elements; one past the last that is used, from the tensor's first */
    bool contiguous;
};

void *torch_own(struct arena *own, uint64_t bytes)
{
    size_t left = own->limit - own->used;
    return left < 64 || bytes > left - 64 ? NULL : arena_alloc(own, (size_t)bytes);
}

bool torch_class_is(const struct pickle_value *class, const char *name)
{
    return pickle_text_is(class, PICKLE_CLASS, name);
}

static bool class_in(const struct pickle_value *class, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (torch_class_is(class, names[i]))
            return true;
    return false;
}

const struct pickle_value *torch_tensor_args(const struct pickle_value *v)
{
    static const char *const builders[] = {"torch._utils._rebuild_tensor",
                                           "torch._utils._rebuild_tensor_v2",
                                           "torch._utils._rebuild_tensor_v3"};
    static const char *const wrappers[] = {"torch._utils._rebuild_parameter",
                                           "torch._utils._rebuild_parameter_with_state",
                                           "torch.nn.parameter.Parameter"};
    for (int depth = 0; depth < 4 && v->kind == PICKLE_OBJECT; depth++) {
        const struct pickle_value *class = v->class, *args = v->args;
        if (args && args->kind == PICKLE_TUPLE && args->count >= 3 &&
            torch_class_is(class, "torch._tensor._rebuild_from_type_v2")) {
            class = args->items[0];
            args = args->items[2];
        }
        if (!args || args->kind != PICKLE_TUPLE || args->count == 0)
            return NULL;
        if (class_in(class, builders, sizeof builders / sizeof *builders))
            return args;
        if (!class_in(class, wrappers, sizeof wrappers / sizeof *wrappers))
            return NULL;
        v = args->items[0];
    }
    return NULL;
}

/* A tuple of sizes, also as torch.Size; -1: it is not that. */
static int read_sizes(int64_t sizes[STORED_MAX_DIMS], const struct pickle_value *v)
{
    if (v->kind == PICKLE_OBJECT && torch_class_is(v->class, "torch.Size") && v->args &&
        v->args->kind == PICKLE_TUPLE && v->args->count == 1)
        v = v->args->items[0];
    if (v->kind != PICKLE_TUPLE || v->count > STORED_MAX_DIMS)
        return -1;
    for (size_t i = 0; i < v->count; i++) {
        sizes[i] = v->items[i]->integer;
        if (v->items[i]->kind != PICKLE_INTEGER || sizes[i] < 0)
            return -1;
    }
    return (int)v->count;
}

static bool measure(struct layout *l)
{
    int64_t next = 1, reach;
    l->count = 1;
    l->end = 1;
    l->contiguous = true;
    for (int i = l->dims - 1; i >= 0; i--) {
        if (__builtin_mul_overflow(l->count, l->shape[i], &l->count))
            return false;
        if (l->shape[i] <= 1) {
            l->stride[i] = 0;
            continue;
        }
        l->contiguous = l->contiguous && l->stride[i] == next;
        if (__builtin_mul_overflow(l->shape[i] - 1, l->stride[i], &reach) ||
            __builtin_add_overflow(l->end, reach, &l->end) ||
            __builtin_mul_overflow(next, l->shape[i], &next))
            return false;
    }
    for (int i = 0; i < l->dims; i++)
        if (l->shape[i] == 0) {
            l->end = 0;
            l->contiguous = true;
        }
    return true;
}

/* Elements in the order of the shape, wherever the strides have them. */
static void gather(unsigned char *out, const struct layout *l, const unsigned char *from,
                   size_t bytes)
{
    int64_t at[STORED_MAX_DIMS] = {0}, place = 0;
    for (int64_t n = 0; n < l->count; n++) {
        memcpy(out + (size_t)n * bytes, from + (size_t)place * bytes, bytes);
        for (int i = l->dims - 1; i >= 0; i--) {
            place += l->stride[i];
            if (++at[i] < l->shape[i])
                break;
            place -= l->shape[i] * l->stride[i];
            at[i] = 0;
        }
    }
}

/* A contiguous copy of elements that are spread over the storage, from data on. */
static int copy_spread(struct torch_tensor *t, const struct layout *l, struct arena *own,
                       const char *path, const char *name, struct error *err)
{
    size_t bytes = (size_t)t->element->bytes;
    uint64_t total;
    unsigned char *copy = NULL;
    if (!__builtin_mul_overflow((uint64_t)l->count, bytes, &total))
        copy = torch_own(own, total);
    if (!copy)
        return error_set(err, ERROR_LIMIT,
                         "%s: tensor %s is spread over fewer bytes than it has, too many to copy",
                         path, name);
    gather(copy, l, t->data, bytes);
    t->data = copy;
    t->room = total;
    return 0;
}

static int bad(const struct torch_file *f, const char *name, const char *what, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: tensor %s %s", f->path, name, what);
}

int torch_tensor_read(struct torch_tensor *t, const struct torch_file *f, struct arena *own,
                      const struct pickle_value *args, const char *name, struct error *err)
{
    struct layout l = {0};
    struct torch_storage s;
    if (args->count < 4 || args->items[1]->kind != PICKLE_INTEGER)
        return bad(f, name, "is not described in full", err);
    l.dims = read_sizes(l.shape, args->items[2]);
    if (l.dims < 0 || read_sizes(l.stride, args->items[3]) != l.dims || !measure(&l))
        return bad(f, name, "has no shape and strides that can be", err);
    int rc = torch_file_storage(f, &s, args->items[0], err);
    if (rc)
        return error_prefix(err, "tensor %s", name);
    bool typed = args->count > 6 && args->items[6]->kind == PICKLE_CLASS;
    t->element = typed ? torch_element_find(args->items[6]) : s.element;
    if (!t->element)
        return bad(f, name, "is of no known type", err);
    uint64_t offset = (uint64_t)args->items[1]->integer, bytes = (uint64_t)t->element->bytes;
    if (args->items[1]->integer < 0 || offset > s.bytes / bytes)
        return bad(f, name, "starts outside its storage", err);
    t->data = s.data + offset * bytes;
    t->room = s.bytes - offset * bytes;
    if ((uint64_t)l.end > t->room / bytes)
        return bad(f, name, "reaches past its storage", err);
    t->dims = l.dims;
    memcpy(t->shape, l.shape, sizeof t->shape);
    return l.contiguous ? 0 : copy_spread(t, &l, own, f->path, name, err);
}
