#include "eval/latency.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct latency_word {
    char *text;            /* owned */
    double shown, settled; /* when; settled NAN: not yet */
};

static void drop(struct latency *l, int from)
{
    for (int i = from; i < l->count; i++) {
        l->taken_back += !isnan(l->words[i].settled);
        memory_free(l->words[i].text);
    }
    l->count = from < l->count ? from : l->count;
}

static void forget(struct latency *l)
{
    const int64_t taken_back = l->taken_back;
    drop(l, 0);
    l->taken_back = taken_back;
}

void latency_release(struct latency *l)
{
    forget(l);
    memory_free(l->words);
    memory_free(l->shown);
    memory_free(l->settled);
    *l = (struct latency){0};
}

/* Words as they stand now; those that are not as before are new. */
static int read(struct latency *l, const struct words *words, double at, struct error *err)
{
    if (!memory_reserve(&l->words, &l->room, l->count, words->count, sizeof *l->words))
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < words->count; i++) {
        const char *text = words->list[i].text;
        if (i < l->count && !strcmp(l->words[i].text, text))
            continue;
        char *copy = memory_strdup(text);
        if (!copy)
            return error_set(err, ERROR_MEMORY, "out of memory");
        if (i < l->count) {
            l->taken_back += !isnan(l->words[i].settled);
            memory_free(l->words[i].text);
        } else {
            l->count++;
        }
        l->words[i] = (struct latency_word){copy, at, NAN};
    }
    drop(l, words->count);
    return 0;
}

int latency_partial(struct latency *l, const struct utterance *u, double at, struct error *err)
{
    if (u->start != l->start)
        forget(l);
    l->start = u->start;
    int rc = read(l, &u->words, at, err);
    for (int i = 0; !rc && i < u->settled; i++)
        if (isnan(l->words[i].settled))
            l->words[i].settled = at;
    return rc;
}

int latency_final(struct latency *l, const struct utterance *u, double at, struct error *err)
{
    const int64_t total = l->total + u->words.count;
    if (u->start != l->start)
        forget(l);
    int rc = read(l, &u->words, at, err);
    if (!rc &&
        (!memory_reserve(&l->shown, &l->shown_room, l->total, total, sizeof *l->shown) ||
         !memory_reserve(&l->settled, &l->settled_room, l->total, total, sizeof *l->settled)))
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < l->count; i++) {
        const struct latency_word *w = &l->words[i];
        const double end = u->words.list[i].end;
        l->shown[l->total] = w->shown - end;
        l->settled[l->total++] = (isnan(w->settled) ? at : w->settled) - end;
    }
    forget(l);
    return rc;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool latency_figures(const struct latency *l, const double *values, int64_t most,
                     struct latency_figures *out)
{
    const int64_t count = most && most < l->total ? most : l->total;
    double *sorted = memory_new((size_t)count + 1, sizeof *sorted);
    *out = (struct latency_figures){0};
    if (!sorted)
        return false;
    if (count) {
        memcpy(sorted, values + l->total - count, (size_t)count * sizeof *sorted);
        qsort(sorted, (size_t)count, sizeof *sorted, ascending);
        out->median = sorted[count / 2];
        out->p95 = sorted[(count * 95 + 99) / 100 - 1];
    }
    memory_free(sorted);
    return true;
}
