/* Keeps a layer's result, drops the rest of what it computed. */
#include "nn/keep.h"

#include <assert.h>
#include <string.h>

struct tensor *layer_keep(struct compute *c, size_t mark, struct tensor *x, struct tensor *y)
{
    if (c->tape)
        return y;
    assert(tensor_count(x) == tensor_count(y));
    memcpy(x->data, y->data, (size_t)tensor_count(y) * sizeof *y->data);
    arena_rewind(c->arena, mark);
    return x;
}
