#include "weights/convert.h"
#include "base/memory.h"
#include "weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

#define PIECE ((int64_t)1 << 16) /* numbers: whole blocks of every type */
#define LEAST_ROWS 32
#define WIDTH_MULTIPLE 32
#define METADATA_KEY "mome" /* where checkpoint_metadata looks */

static bool is_matrix(const struct stored_tensor *t)
{
    return t->dims == 2 && t->shape[0] >= LEAST_ROWS && t->shape[1] > 0 &&
           t->shape[1] % WIDTH_MULTIPLE == 0 && !strstr(t->name, "position");
}

static bool is_half(enum dtype type)
{
    return type == DTYPE_F16 || type == DTYPE_BF16;
}

static enum dtype choose_type(const struct stored_tensor *t, enum dtype wanted)
{
    if (wanted == DTYPE_OTHER)
        return t->dtype;
    if (is_matrix(t))
        return wanted;
    return wanted != DTYPE_F32 && is_half(t->dtype) ? t->dtype : DTYPE_F32;
}

/* One tensor of the plan: what it becomes and what it comes from. */
struct step {
    struct stored_tensor to;
    const struct stored_tensor *from;
};

static int width_class(enum dtype type)
{
    return type == DTYPE_F32 ? 0 : is_half(type) ? 1 : 2;
}

static int by_alignment(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    int order = width_class(x->to.dtype) - width_class(y->to.dtype);
    return order ? order : strcmp(x->to.name, y->to.name);
}

/* Fills steps [weights_count] and counts in c. */
static void plan(struct step *steps, const struct weights *from, struct conversion *c)
{
    c->written = c->skipped = 0;
    c->bytes = 0;
    for (int i = 0; i < weights_count(from); i++) {
        const struct stored_tensor *t = weights_at(from, i);
        if (t->dtype == DTYPE_OTHER) {
            c->skipped++;
            continue;
        }
        struct step *s = &steps[c->written++];
        *s = (struct step){.to = *t, .from = t};
        s->to.dtype = choose_type(t, c->type);
        s->to.bytes = dtype_bytes(s->to.dtype, t->count);
        c->bytes += s->to.bytes;
    }
    if (c->written)
        qsort(steps, (size_t)c->written, sizeof *steps, by_alignment);
}

/* Whether the others have what `from` has. */
static int check_others(const struct step *steps, const struct conversion *c, struct error *err)
{
    for (int k = 0; k < c->other_count; k++)
        for (int i = 0; i < c->written; i++) {
            const struct stored_tensor *t = steps[i].from;
            const struct stored_tensor *same = weights_find(c->others[k], t->name);
            if (!same || same->dims != t->dims || same->dtype == DTYPE_OTHER ||
                memcmp(same->shape, t->shape, (size_t)t->dims * sizeof *t->shape))
                return error_set(err, ERROR_FORMAT, "%s: %s is %s: there is no mean",
                                 weights_path(c->others[k]), t->name,
                                 same ? "of another shape" : "not in it");
        }
    return 0;
}

/* n numbers of the mean of `from` and the others; scratch: PIECE. */
static int read_mean(float *values, float *scratch, const struct step *s, int64_t at, int64_t n,
                     const struct conversion *c, struct error *err)
{
    int rc = stored_read(values, s->from, at, n, err);
    for (int k = 0; !rc && k < c->other_count; k++) {
        rc = stored_read(scratch, weights_find(c->others[k], s->from->name), at, n, err);
        for (int64_t i = 0; !rc && i < n; i++)
            values[i] += (scratch[i] - values[i]) / (float)(k + 2);
    }
    return rc;
}

static int convert_tensor(struct safetensors_writer *w, const struct step *s, float *values,
                          struct conversion *c, int64_t *done, struct error *err)
{
    int rc = 0;
    for (int64_t at = 0; at < s->to.count && !rc; at += PIECE) {
        int64_t n = s->to.count - at < PIECE ? s->to.count - at : PIECE;
        if (s->to.dtype == s->from->dtype && !c->other_count) {
            rc = safetensors_writer_add_stored(w, s->from->data + dtype_bytes(s->to.dtype, at),
                                               dtype_bytes(s->to.dtype, n), err);
        } else {
            rc = read_mean(values, values + PIECE, s, at, n, c, err);
            if (!rc)
                rc = safetensors_writer_add(w, values, n, err);
        }
        *done += dtype_bytes(s->to.dtype, n);
        if (!rc && c->progress && c->progress(c->arg, *done, c->bytes) != 0)
            rc = error_set(err, ERROR_CANCELLED, "cancelled");
    }
    return rc;
}

static int write_all(const char *to, const struct step *steps, struct stored_tensor *declared,
                     float *values, struct conversion *c, struct error *err)
{
    struct safetensors_writer *w;
    int64_t done = 0;
    for (int i = 0; i < c->written; i++)
        declared[i] = steps[i].to;
    int rc = safetensors_writer_open(&w, to, declared, c->written, METADATA_KEY,
                                     c->metadata ? c->metadata : "{}", err);
    if (rc)
        return rc;
    for (int i = 0; i < c->written && !rc; i++)
        rc = convert_tensor(w, &steps[i], values, c, &done, err);
    if (!rc)
        return safetensors_writer_commit(w, err);
    safetensors_writer_abandon(w);
    return rc;
}

int weights_convert(const char *to, const struct weights *from, struct conversion *c,
                    struct error *err)
{
    bool writable = is_half(c->type) || c->type == DTYPE_F32 || c->type == DTYPE_Q8_0 ||
                    c->type == DTYPE_Q4_0 || c->type == DTYPE_OTHER;
    if (!writable)
        return error_set(err, ERROR_USAGE, "%s cannot be written: F32, F16, BF16, Q8_0, Q4_0 can",
                         dtype_name(c->type));
    size_t count = (size_t)weights_count(from) + 1;
    struct step *steps = memory_new(count, sizeof *steps);
    struct stored_tensor *declared = memory_new(count, sizeof *declared);
    float *values = memory_new((size_t)(2 * PIECE), sizeof *values);
    int rc;
    if (steps && declared && values) {
        plan(steps, from, c);
        rc = check_others(steps, c, err);
        rc = rc ? rc : write_all(to, steps, declared, values, c, err);
    } else
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", to);
    memory_free(values);
    memory_free(declared);
    memory_free(steps);
    return rc;
}
