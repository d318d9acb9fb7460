#include "decode/ctc_prefix.h"
#include "base/memory.h"

#include <math.h>
#include <stdbool.h>

#define NEVER -1e30f

static float log_add(float a, float b)
{
    float high = a > b ? a : b, low = a > b ? b : a;
    return low < high - 20 ? high : high + log1pf(expf(low - high));
}

/* ---- the table --------------------------------------------------------------------------- */

static int64_t mark_kept(struct ctc_table *t, const float *scores, int64_t classes)
{
    int64_t kept = 0;
    for (int64_t k = 0; k < classes; k++)
        t->place[k] = -1;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t k = 0; k < classes; k++)
            if (scores[r * (classes + 1) + k] > CTC_FLOOR && t->place[k] < 0)
                t->place[k] = (int32_t)kept++;
    return kept;
}

static int list_likely(struct ctc_table *t, int64_t classes, int64_t kept)
{
    t->likely = memory_new((size_t)kept + 1, sizeof *t->likely);
    for (int64_t k = 0; t->likely && k < classes; k++) {
        bool likely = false;
        for (int64_t r = 0; t->place[k] >= 0 && !likely && r < t->rows; r++)
            likely = t->kept[t->place[k] * t->rows + r] > CTC_LIKELY;
        if (likely)
            t->likely[t->likely_count++] = (int32_t)k;
    }
    return t->likely ? 0 : ERROR_MEMORY;
}

int ctc_table_init(struct ctc_table *t, const float *scores, int64_t rows, int64_t classes,
                   struct error *err)
{
    *t = (struct ctc_table){.rows = rows};
    t->place = memory_new((size_t)classes + 1, sizeof *t->place);
    t->blank = memory_new((size_t)rows + 1, sizeof *t->blank);
    t->floor = memory_new((size_t)rows + 1, sizeof *t->floor);
    int64_t kept = t->place ? mark_kept(t, scores, classes) : 0;
    t->kept = memory_new((size_t)(kept * rows) + 1, sizeof *t->kept);
    if (!t->place || !t->blank || !t->floor || !t->kept)
        goto fail;
    for (int64_t r = 0; r < rows; r++) {
        const float *row = scores + r * (classes + 1);
        t->blank[r] = row[classes];
        t->floor[r] = CTC_FLOOR;
        for (int64_t k = 0; k < classes; k++)
            if (t->place[k] >= 0)
                t->kept[t->place[k] * rows + r] = row[k];
    }
    if (list_likely(t, classes, kept) == 0)
        return 0;
fail:
    ctc_table_release(t);
    return error_set(err, ERROR_MEMORY, "out of memory for the scores of tokens");
}

void ctc_table_release(struct ctc_table *t)
{
    memory_free(t->blank);
    memory_free(t->floor);
    memory_free(t->kept);
    memory_free(t->place);
    memory_free(t->likely);
    *t = (struct ctc_table){0};
}

/* ---- prefixes ---------------------------------------------------------------------------- */

void ctc_prefix_start(struct ctc_prefix *p, const struct ctc_table *t)
{
    float sum = 0;
    p->last = -1;
    for (int64_t r = 0; r < t->rows; r++) {
        sum += t->blank[r];
        p->token[r] = NEVER;
        p->blank[r] = sum;
    }
}

float ctc_prefix_extend(struct ctc_prefix *to, const struct ctc_prefix *p,
                        const struct ctc_table *t, int32_t token)
{
    const float *said = t->place[token] < 0 ? t->floor : t->kept + t->place[token] * t->rows;
    /* before the first row: nothing was said */
    float before = p->last < 0 ? 0 : NEVER, score = NEVER, ends = NEVER, rests = NEVER;
    for (int64_t r = 0; r < t->rows; r++) {
        float begins = before + said[r]; /* the token, here for the first time */
        score = log_add(score, begins);
        float blank = log_add(rests, ends) + t->blank[r];
        ends = log_add(ends + said[r], begins);
        rests = blank;
        if (to) {
            to->token[r] = ends;
            to->blank[r] = rests;
        }
        /* the same token twice needs a blank in between */
        before = p->last == token ? p->blank[r] : log_add(p->blank[r], p->token[r]);
    }
    if (to)
        to->last = token;
    return score;
}

float ctc_prefix_end(const struct ctc_prefix *p, const struct ctc_table *t)
{
    if (t->rows == 0)
        return p->last < 0 ? 0 : NEVER;
    return log_add(p->token[t->rows - 1], p->blank[t->rows - 1]);
}
