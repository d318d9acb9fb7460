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

bool tape_wants(struct compute *c, struct tensor *result, int count, struct tensor *const *inputs)
{
    bool wanted = false;
    for (int i = 0; c->tape && i < count; i++)
        wanted = wanted || (inputs[i] && inputs[i]->needs_grad);
    result->needs_grad = wanted;
    return wanted;
}

void tape_push(struct compute *c, struct tensor *result, void (*backward)(void *saved),
               const void *saved, size_t bytes)
{
    struct tape *t = c->tape;
    if (t->count == t->capacity) {
        int64_t capacity = t->capacity ? 2 * t->capacity : 256;
        struct tape_entry *entries = arena_alloc(c->arena, sizeof *entries * (size_t)capacity);
        if (t->count)
            memcpy(entries, t->entries, sizeof *entries * (size_t)t->count);
        t->entries = entries;
        t->capacity = capacity;
    }
    struct record *record = arena_copy(c, saved, bytes);
    record->c = *c;
    record->result = result;
    t->entries[t->count++] = (struct tape_entry){backward, record};
}

void tape_backward(struct compute *c, struct tensor *loss, float scale)
{
    assert(tensor_count(loss) == 1);
    float *grad = tensor_grad(c, loss);
    if (grad)
        *grad = scale;
    for (int64_t i = c->tape->count - 1; grad && i >= 0; i--) {
        struct record *record = c->tape->entries[i].saved;
        if (record->result->grad)
            c->tape->entries[i].backward(record);
    }
    tape_clear(c->tape);
}

void tape_clear(struct tape *t)
{
    *t = (struct tape){0};
}

void tape_release(struct tape *t)
{
    tape_clear(t);
}
