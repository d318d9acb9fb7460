/*
 * The tape: entries in order of execution, walked backwards by tape_backward. The entries
 * themselves live in the arena as well, so recording cannot fail and nothing has to be freed.
 *
 * Walking back, a result's gradient is done with once its entry has run. Its memory serves the next
 * gradient of that size, which so is still in the cache, and all of them take no more room than
 * those alive at one time.
 *
 * What tape_recompute runs has a tape of its own, dropped after the first run; its entry's backward
 * runs it once more and that tape back, above a mark of the arena to which it then rewinds. So
 * nothing of it may stay there but the gradient of x, which is put below the mark.
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

static void run_back(struct tape *t)
{
    int64_t uses = t->use_count;
    for (int64_t i = t->count - 1; i >= 0; i--) {
        struct record *record = t->entries[i].saved;
        if (record->result->grad) {
            t->entries[i].backward(record);
            grad_spent(t, record->result);
        }
        for (; uses > 0 && t->uses[uses - 1].entry >= i; uses--)
            t->used(t->used_arg, t->uses[uses - 1].parameter);
    }
}

void tape_backward(struct compute *c, struct tensor *loss, float scale)
{
    assert(tensor_count(loss) == 1);
    float *grad = tensor_grad(c, loss);
    if (grad) {
        *grad = scale;
        run_back(c->tape);
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

/* ---- run again instead of kept ----------------------------------------------------------- */

struct rerun {
    struct record record; /* result: results[0] */
    tape_run *run;
    void *arg;
    struct tensor *x;
    struct tensor *results[TAPE_RESULTS_MOST];
    float *grads[TAPE_RESULTS_MOST]; /* of results but the first: taken away when they are final */
    int count;
    struct random random; /* as it was before the first run */
};

/* The gradient of a result but the first, which comes before the entry of all of them. */
struct rerun_grad {
    struct record record;
    struct rerun *rerun;
    int index;
};

static void rerun_grad_backward(void *saved)
{
    struct rerun_grad *s = saved;
    s->rerun->grads[s->index] = s->record.result->grad;
    s->record.result->grad = NULL;
    tensor_grad(&s->record.c, s->rerun->record.result); /* so that its entry runs in any case */
}

/* The second run, and back. */
static void rerun_inside(struct rerun *s)
{
    struct tape inside = {0};
    struct compute c = s->record.c;
    struct tensor *made[TAPE_RESULTS_MOST];
    struct random now = {0};
    c.tape = &inside;
    c.recompute = false;
    if (c.random) {
        now = *c.random;
        *c.random = s->random;
    }
    s->run(s->arg, &c, s->x, made);
    if (c.random)
        *c.random = now;
    for (int i = 0; i < s->count; i++)
        made[i]->grad = s->grads[i];
    run_back(&inside);
}

/* Rewinds; x's gradient, where it lies above the mark, takes the memory of the result's, or new. */
static void rewind_to(struct rerun *s, size_t mark)
{
    struct compute *c = &s->record.c;
    float *grad = s->x->grad;
    bool above = grad && (char *)grad >= c->arena->base + mark &&
                 (char *)grad < c->arena->base + c->arena->used;
    int64_t count = tensor_count(s->x);
    arena_rewind(c->arena, mark);
    if (!above)
        return;
    bool fits = count == tensor_count(s->record.result);
    s->x->grad = fits ? s->record.result->grad : grad_memory(c, count);
    memmove(s->x->grad, grad, (size_t)count * sizeof *grad);
}

static void rerun_backward(void *saved)
{
    struct rerun *s = saved;
    struct compute *c = &s->record.c;
    if (s->x->base)
        tensor_grad(c, s->x);
    s->grads[0] = s->record.result->grad;
    const size_t mark = arena_mark(c->arena);
    rerun_inside(s);
    rewind_to(s, mark);
    for (int i = 0; i < s->count; i++) { /* done with, where x did not get it */
        struct tensor *result = s->results[i];
        result->grad = s->grads[i] == s->x->grad ? NULL : s->grads[i];
        if (i > 0)
            grad_spent(c->tape, result);
    }
}

/* What the first run read counts as read by the entry that is pushed next. */
static void note_uses(struct compute *c, const struct tape *inside)
{
    size_t bytes = (size_t)inside->use_count * sizeof *inside->uses;
    struct tape_use *uses = arena_alloc(c->arena, bytes);
    if (bytes)
        memmove(uses, inside->uses, bytes); /* from above the mark, before it is overwritten */
    for (int64_t i = 0; i < inside->use_count; i++)
        note_use(c, uses[i].parameter);
}

static void push_rerun(struct compute *c, const struct rerun *s)
{
    tape_push(c, s->results[0], rerun_backward, s, sizeof *s);
    struct rerun *rerun = c->tape->entries[c->tape->count - 1].saved;
    for (int i = 1; i < s->count; i++) {
        struct rerun_grad grad = {.rerun = rerun, .index = i};
        if (s->results[i]->needs_grad)
            tape_push(c, s->results[i], rerun_grad_backward, &grad, sizeof grad);
    }
}

void tape_recompute(struct compute *c, struct tensor *const *results, int count, struct tensor *x,
                    tape_run *run, void *arg)
{
    struct rerun s = {.run = run, .arg = arg, .x = x, .count = count};
    struct tape inside = {.used = c->tape->used};
    struct compute first = *c;
    struct tensor *made[TAPE_RESULTS_MOST];
    bool wanted = false;
    assert(count >= 1 && count <= TAPE_RESULTS_MOST);
    if (c->random)
        s.random = *c->random;
    first.tape = &inside;
    first.recompute = false;
    const size_t mark = arena_mark(c->arena);
    run(arg, &first, x, made);
    for (int i = 0; i < count; i++) {
        int64_t n = tensor_count(made[i]);
        assert(n == tensor_count(results[i]) && !made[i]->base && made[i] != x);
        memcpy(results[i]->data, made[i]->data, (size_t)n * sizeof *made[i]->data);
        results[i]->needs_grad = made[i]->needs_grad;
        s.results[i] = results[i];
        wanted = wanted || made[i]->needs_grad;
    }
    arena_rewind(c->arena, mark);
    if (!wanted)
        return;
    assert(results[0]->needs_grad);
    note_uses(c, &inside);
    push_rerun(c, &s);
}
