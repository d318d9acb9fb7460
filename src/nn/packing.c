/* Packing is three gathers over two index lists. */
#include "nn/packing.h"

#include <assert.h>

void packing_init(struct packing *p, struct compute *c, int64_t items, int64_t frames,
                  const int64_t *lengths)
{
    *p = (struct packing){.items = items, .frames = frames};
    p->spans = arena_alloc(c->arena, (size_t)items * sizeof *p->spans);
    for (int64_t i = 0; i < items; i++) {
        int64_t length = lengths ? lengths[i] : frames;
        assert(length >= 0 && length <= frames);
        p->spans[i] = (struct span){p->rows, length};
        p->rows += length;
    }
    if (p->rows == items * frames)
        return;
    p->valid = arena_alloc(c->arena, (size_t)p->rows * sizeof *p->valid);
    p->position = arena_alloc(c->arena, (size_t)(items * frames) * sizeof *p->position);
    for (int64_t i = 0; i < items; i++)
        for (int64_t t = 0; t < frames; t++) {
            int64_t padded = i * frames + t, packed = p->spans[i].start + t;
            p->position[padded] = t < p->spans[i].length ? (int32_t)packed : -1;
            if (t < p->spans[i].length)
                p->valid[packed] = (int32_t)padded;
        }
}

struct tensor *packing_pack(const struct packing *p, struct compute *c, struct tensor *x)
{
    return p->valid ? op_gather_rows(c, x, p->valid, p->rows) : x;
}

struct tensor *packing_unpack(const struct packing *p, struct compute *c, struct tensor *x)
{
    return p->position ? op_gather_rows(c, x, p->position, p->items * p->frames) : x;
}

struct tensor *packing_blank(const struct packing *p, struct compute *c, struct tensor *x)
{
    if (!p->position)
        return x;
    int64_t rows = p->items * p->frames;
    int32_t *index = arena_alloc(c->arena, (size_t)rows * sizeof *index);
    for (int64_t i = 0; i < rows; i++)
        index[i] = p->position[i] < 0 ? -1 : (int32_t)i;
    return op_gather_rows(c, x, index, rows);
}
