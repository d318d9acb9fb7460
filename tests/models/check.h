/*
 * For the programs of this folder, which compare with what the published implementations made of
 * the same published weights (reference.py). Each prints its results as lines
 *
 *     what <tab> figure <tab> limit <tab> pass, FAIL, or counted (no limit)
 *
 * for tools/check-models.sh, remarks behind "# ", and ends with 1 where one failed.
 */
#ifndef MODELS_CHECK_H
#define MODELS_CHECK_H

#include "models/part.h"
#include "tensor/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Anything that goes wrong outside of a comparison ends the program. */
static inline void check(int rc, const struct error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(2);
}

static inline bool report(const char *what, double figure, double limit, bool pass)
{
    printf("%s\t%.3g\t%.3g\t%s\n", what, figure, limit, pass ? "pass" : "FAIL");
    fflush(stdout);
    return pass;
}

/* "INDEX.NAME" of the reference as float32; free() it. */
static inline float *reference(const struct weights *w, int index, const char *name,
                               struct stored_tensor *shape)
{
    char full[64];
    struct error err;
    snprintf(full, sizeof full, "%d.%s", index, name);
    const struct stored_tensor *t = weights_find(w, full);
    if (!t) {
        fprintf(stderr, "%s: no tensor %s\n", weights_path(w), full);
        exit(2);
    }
    float *out = malloc((size_t)t->count * sizeof *out);
    if (!out)
        abort();
    check(stored_read(out, t, 0, t->count, &err), &err);
    *shape = *t;
    return out;
}

/* max |a - b| / max |b| */
static inline double relative_error(const float *a, const float *b, int64_t count)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - b[i]);
        difference = d <= difference ? difference : d; /* NaN too */
        size = fmax(size, fabs(b[i]));
    }
    return difference / size;
}

/* The part's numbers for everything that the list has. */
static inline void load_part(struct part *part, struct param_list *list)
{
    struct error err;
    struct part_report r;
    check(list->code, &err);
    check(part_load(part, list, &r, &err), &err);
    printf("# %s: %lld tensors loaded, %lld left over\n", part_description(part),
           (long long)r.loaded, (long long)r.left_over);
    part_report_release(&r);
}

#endif
