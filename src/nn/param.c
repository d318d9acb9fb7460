/* Names of the parameter walk are built in the visitor's own buffer: prefix, then the last part. */
#include "nn/param.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t param_enter(struct param_visitor *v, const char *format, ...)
{
    size_t mark = v->length;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(v->name + v->length, sizeof v->name - v->length, format, args);
    va_end(args);
    assert(n >= 0 && v->length + (size_t)n < sizeof v->name);
    v->length += (size_t)n;
    return mark;
}

void param_leave(struct param_visitor *v, size_t mark)
{
    v->length = mark;
    v->name[mark] = '\0';
}

void param_visit(struct param_visitor *v, const char *name, struct tensor *t, enum param_kind kind)
{
    if (t->dims == 0)
        return;
    size_t mark = param_enter(v, "%s", name);
    v->visit(v, v->name, t, kind);
    param_leave(v, mark);
}

void param_declare(struct tensor *t, int dims, const int64_t *shape)
{
    assert(dims >= 1 && dims <= TENSOR_MAX_DIMS);
    *t = (struct tensor){.dims = dims};
    memcpy(t->shape, shape, (size_t)dims * sizeof *shape);
}
