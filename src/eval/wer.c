/*
 * Alignment: cost[i][j] = fewest edits that make the first i reference units the first j
 * hypothesis units. Only one row of costs is kept, and for each cell one byte that says which edit
 * came last, which the way back follows.
 */
#include "eval/wer.h"
#include "base/memory.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CELLS ((int64_t)1 << 28)
#define RESAMPLES 2000

struct unit {
    const char *text;
    int64_t bytes;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes of the character at text: the first one and the UTF-8 continuation bytes after it. */
static int64_t character_bytes(const char *text)
{
    int64_t n = 1;
    while (((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static int64_t word_bytes(const char *text)
{
    int64_t n = 0;
    while (text[n] && !is_space(text[n]))
        n++;
    return n;
}

/* Fills units (NULL: only counts them). White space between words is one unit " " for characters,
   none at the ends. */
static int64_t cut_units(struct unit *units, const char *text, enum wer_unit unit)
{
    int64_t count = 0;
    while (*text) {
        if (is_space(*text)) {
            while (is_space(*text))
                text++;
            if (unit == WER_WORDS || !*text || !count)
                continue;
            if (units)
                units[count] = (struct unit){" ", 1};
            count++;
            continue;
        }
        int64_t bytes = unit == WER_WORDS ? word_bytes(text) : character_bytes(text);
        if (units)
            units[count] = (struct unit){text, bytes};
        count++;
        text += bytes;
    }
    return count;
}

static bool same(const struct unit *a, const struct unit *b)
{
    return a->bytes == b->bytes && memcmp(a->text, b->text, (size_t)a->bytes) == 0;
}

/* last[i * (m + 1) + j]: the enum wer_edit that ends the best way to (i, j). cost: [m + 1]. */
static void fill(unsigned char *last, int64_t *cost, const struct unit *reference, int64_t n,
                 const struct unit *hypothesis, int64_t m)
{
    for (int64_t j = 0; j <= m; j++) {
        cost[j] = j;
        last[j] = WER_INSERTION;
    }
    for (int64_t i = 1; i <= n; i++) {
        unsigned char *row = last + i * (m + 1);
        int64_t diagonal = cost[0];
        cost[0] = i;
        row[0] = WER_DELETION;
        for (int64_t j = 1; j <= m; j++) {
            bool hit = same(&reference[i - 1], &hypothesis[j - 1]);
            int64_t best = diagonal + !hit;
            row[j] = hit ? WER_HIT : WER_SUBSTITUTION;
            if (cost[j] + 1 < best) {
                best = cost[j] + 1;
                row[j] = WER_DELETION;
            }
            if (cost[j - 1] + 1 < best) {
                best = cost[j - 1] + 1;
                row[j] = WER_INSERTION;
            }
            diagonal = cost[j];
            cost[j] = best;
        }
    }
}

/* From the end back to (0, 0): counts, and steps from the last to the first (NULL: none). */
static int64_t walk_back(struct wer *counts, struct wer_step *steps, const unsigned char *last,
                         const struct unit *reference, int64_t n, const struct unit *hypothesis,
                         int64_t m)
{
    int64_t count = 0, width = m + 1;
    while (n > 0 || m > 0) {
        enum wer_edit edit = last[n * width + m];
        struct wer_step step = {.edit = edit, .reference = "", .hypothesis = ""};
        counts->substitutions += edit == WER_SUBSTITUTION;
        counts->deletions += edit == WER_DELETION;
        counts->insertions += edit == WER_INSERTION;
        if (edit != WER_INSERTION) {
            n--;
            step.reference = reference[n].text;
            step.reference_bytes = reference[n].bytes;
        }
        if (edit != WER_DELETION) {
            m--;
            step.hypothesis = hypothesis[m].text;
            step.hypothesis_bytes = hypothesis[m].bytes;
        }
        if (steps)
            steps[count] = step;
        count++;
    }
    for (int64_t i = 0; steps && i < count / 2; i++) {
        struct wer_step step = steps[i];
        steps[i] = steps[count - 1 - i];
        steps[count - 1 - i] = step;
    }
    return count;
}

int wer_align(struct wer *counts, struct wer_step **steps, int64_t *step_count,
              const char *reference, const char *hypothesis, enum wer_unit unit, struct error *err)
{
    int64_t n = cut_units(NULL, reference, unit), m = cut_units(NULL, hypothesis, unit);
    *counts = (struct wer){.length = n};
    if (steps)
        *steps = NULL;
    if (n + 1 > MAX_CELLS / (m + 1))
        return error_set(err, ERROR_LIMIT, "texts of %lld and %lld units are too long to align",
                         (long long)n, (long long)m);
    struct unit *units = memory_new((size_t)(n + m), sizeof *units);
    int64_t *cost = memory_new((size_t)(m + 1), sizeof *cost);
    unsigned char *last = memory_new((size_t)((n + 1) * (m + 1)), 1);
    struct wer_step *found = steps ? memory_new((size_t)(n + m), sizeof *found) : NULL;
    int rc = 0;
    if (!units || !cost || !last || (steps && !found)) {
        memory_free(found);
        rc = error_set(err, ERROR_MEMORY, "out of memory");
        goto out;
    }
    cut_units(units, reference, unit);
    cut_units(units + n, hypothesis, unit);
    fill(last, cost, units, n, units + n, m);
    int64_t count = walk_back(counts, found, last, units, n, units + n, m);
    if (steps) {
        *steps = found;
        *step_count = count;
    }
out:
    memory_free(last);
    memory_free(cost);
    memory_free(units);
    return rc;
}

void wer_add(struct wer *total, const struct wer *one)
{
    total->length += one->length;
    total->substitutions += one->substitutions;
    total->deletions += one->deletions;
    total->insertions += one->insertions;
}

int64_t wer_errors(const struct wer *counts)
{
    return counts->substitutions + counts->deletions + counts->insertions;
}

double wer_rate(const struct wer *counts)
{
    int64_t errors = wer_errors(counts);
    return errors ? (double)errors / (double)(counts->length ? counts->length : 1) : 0.0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void wer_interval_of(struct wer_interval *interval, double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    interval->low = values[count / 40]; /* 2.5 % below it, 2.5 % above the other */
    interval->high = values[count - 1 - count / 40];
}

int wer_bootstrap(struct wer_interval *interval, const struct wer *utterances, int64_t count,
                  uint64_t seed, struct error *err)
{
    struct random random;
    double *rates = memory_new(RESAMPLES, sizeof *rates);
    *interval = (struct wer_interval){0};
    if (!rates)
        return error_set(err, ERROR_MEMORY, "out of memory");
    random_seed(&random, seed);
    for (int i = 0; i < RESAMPLES; i++) {
        struct wer total = {0};
        for (int64_t k = 0; k < count; k++)
            wer_add(&total, &utterances[random_below(&random, count)]);
        rates[i] = wer_rate(&total);
    }
    wer_interval_of(interval, rates, RESAMPLES);
    memory_free(rates);
    return 0;
}
