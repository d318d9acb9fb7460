/*
 * The tape: entries in order of execution, walked backwards by tape_backward. The entries
 * themselves live in the arena as well, so recording cannot fail and nothing has to be freed.
 */
#include "tensor/tape.h"

#include <assert.h>
#include <string.h>

float *tensor_grad(struct compute *c, struct tensor *t)
{
    if (!t || !t->needs_grad)
        return NULL;
    if (t->grad)
        return t->grad;
    if (t->base) {
        t->grad = tensor_grad(c, t->base) + (t->data - t->base->data);
    } else {
        t->grad = arena_floats(c, tensor_count(t));
        c->device->fill(t->grad, 0, tensor_count(t));
    }
    return t->grad;
}

/* In the arena, twice as large as before when full. */
static void *tape_room(struct compute *c, void *items, int64_t count, int64_t *capacity,
                       size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 256;
    void *larger = arena_alloc(c->arena, size * (size_t)*capacity);
    return count ? memcpy(larger, items, size * (size_t)count) : larger;
}

static void note_use(struct compute *c, struct tensor *t)
{
    struct tape *tape = c->tape;
    while (t->base)
        t = t->base;
    if (!t->parameter)
        return;
    tape->uses = tape_room(c, tape->uses, tape->use_count, &tape->use_capacity, sizeof *tape->uses);
    tape->uses[tape->use_count++] = (struct tape_use){t, tape->count};
}

bool tape_wants(struct compute *c, struct tensor *result, int count, struct tensor *const *inputs)
{
    bool wanted = false;
    for (int i = 0; c->tape && i < count; i++) {
        bool wants = inputs[i] && inputs[i]->needs_grad;
        wanted = wanted || wants;
        if (wants && c->tape->used)
            note_use(c, inputs[i]);
    }
    result->needs_grad = wanted;
    return wanted;
}

void tape_push(struct compute *c, struct tensor *result, void (*backward)(void *saved),
               const void *saved, size_t bytes)
{
    struct tape *t = c->tape;
    t->entries = tape_room(c, t->entries, t->count, &t->capacity, sizeof *t->entries);
    struct record *record = arena_copy(c, saved, bytes);
    record->c = *c;
    record->result = result;
    t->entries[t->count++] = (struct tape_entry){backward, record};
}

void tape_backward(struct compute *c, struct tensor *loss, float scale)
{
    struct tape *t = c->tape;
    int64_t uses = t->use_count;
    assert(tensor_count(loss) == 1);
    float *grad = tensor_grad(c, loss);
    if (grad)
        *grad = scale;
    for (int64_t i = t->count - 1; grad && i >= 0; i--) {
        struct record *record = t->entries[i].saved;
        if (record->result->grad)
            t->entries[i].backward(record);
        for (; uses > 0 && t->uses[uses - 1].entry >= i; uses--)
            t->used(t->used_arg, t->uses[uses - 1].parameter);
    }
    tape_clear(c->tape);
}

void tape_clear(struct tape *t)
{
    *t = (struct tape){.used = t->used, .used_arg = t->used_arg};
}

void tape_release(struct tape *t)
{
    tape_clear(t);
}
