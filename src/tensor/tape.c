/*
 * The tape: entries in order of execution, walked backwards by tape_backward. The entries
 * themselves live in the arena as well, so recording cannot fail and nothing has to be freed.
 *
 * Walking back, a result's gradient is done with once its entry has run. Its memory serves the next
 * gradient of that size, which so is still in the cache, and all of them take no more room than
 * those alive at one time.
 */
#include "tensor/tape.h"

#include <assert.h>
#include <string.h>

/* Memory for a gradient: what another one of this size, done with, has left, or new. */
static float *grad_memory(struct compute *c, int64_t count)
{
    struct spent_grad **place = c->tape ? &c->tape->spent : NULL;
    while (place && *place && (*place)->count != count)
        place = &(*place)->next;
    if (!place || !*place)
        return arena_floats(c, count);
    float *memory = (float *)*place;
    *place = (*place)->next;
    return memory;
}

/* The result's gradient has been passed on: nobody will look at it again. */
static void grad_spent(struct tape *t, struct tensor *result)
{
    int64_t count = tensor_count(result);
    struct spent_grad *spent = (struct spent_grad *)result->grad;
    if (result->base || result->parameter || !spent ||
        (size_t)count * sizeof(float) < sizeof *spent)
        return;
    *spent = (struct spent_grad){t->spent, count};
    t->spent = spent;
    result->grad = NULL;
}

float *tensor_grad_first(struct compute *c, struct tensor *t, bool *first)
{
    *first = t && t->needs_grad && !t->grad && !t->base;
    if (*first)
        t->grad = grad_memory(c, tensor_count(t));
    return *first ? t->grad : tensor_grad(c, t);
}

float *tensor_grad(struct compute *c, struct tensor *t)
{
    if (!t || !t->needs_grad)
        return NULL;
    if (t->grad)
        return t->grad;
    if (t->base) {
        t->grad = tensor_grad(c, t->base) + (t->data - t->base->data);
    } else {
        t->grad = grad_memory(c, tensor_count(t));
        c->device->fill(t->grad, 0, tensor_count(t));
    }
    return t->grad;
}

bool tape_hand_on(struct tensor *to, struct tensor *result)
{
    if (!to->needs_grad || to->grad || to->base || to->parameter || result->base)
        return false;
    to->grad = result->grad;
    result->grad = NULL;
    return true;
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
        if (record->result->grad) {
            t->entries[i].backward(record);
            grad_spent(t, record->result);
        }
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
