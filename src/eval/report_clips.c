/* The clips a model got wrong most: what was said over what was recognised, word by word. */
#include "eval/report_page.h"
#include "eval/wer.h"
#include "text/normalize.h"

#include <math.h>
#include <string.h>

enum {
    LONGEST_TEXT = 1 << 14, /* bytes; longer ones are passed over */
    MOST_SHOWN = 64
};

struct wrong_clip {
    int64_t clip;
    int row;
    double rate; /* errors a word */
};

/* Both texts as they are scored. */
static void fold(struct strbuf *folded, const char *text)
{
    strbuf_clear(folded);
    normalize_fold(folded, text, strlen(text));
}

struct texts {
    struct strbuf reference, hypothesis;
};

static void texts_init(struct texts *t)
{
    strbuf_init(&t->reference, 64 * LONGEST_TEXT);
    strbuf_init(&t->hypothesis, 64 * LONGEST_TEXT);
}

static void texts_release(struct texts *t)
{
    strbuf_release(&t->reference);
    strbuf_release(&t->hypothesis);
}

/* false: not there, or too long to be shown. */
static bool texts_load(struct texts *t, const struct result_clip *clip, int row)
{
    if (!clip->hypotheses || strlen(clip->text) > LONGEST_TEXT ||
        strlen(clip->hypotheses[row]) > LONGEST_TEXT)
        return false;
    fold(&t->reference, clip->text);
    fold(&t->hypothesis, clip->hypotheses[row]);
    return !t->reference.failed && !t->hypothesis.failed;
}

static int align(struct wer *counts, struct wer_step **steps, int64_t *step_count,
                 const struct texts *t, struct error *err)
{
    return wer_align(counts, steps, step_count, t->reference.data, t->hypothesis.data, WER_WORDS,
                     err);
}

/* Clean sound, of the richest task that the file has: audio-visual, else sound, else pictures. */
static bool is_shown(const struct result *r, int row)
{
    static const int rank[] = {[TASK_AVSR] = 2, [TASK_ASR] = 1, [TASK_VSR] = 0};
    bool richest = !isfinite(r->rows[row].snr_db);
    for (int i = 0; i < r->row_count; i++)
        richest = richest &&
                  (isfinite(r->rows[i].snr_db) || rank[r->rows[i].task] <= rank[r->rows[row].task]);
    return richest;
}

/* Keeps worst[0..count), most errors first. */
static int insert(struct wrong_clip *worst, int count, int most, const struct wrong_clip *one)
{
    int at = count;
    while (at > 0 && worst[at - 1].rate < one->rate)
        at--;
    if (at >= most)
        return count;
    count += count < most;
    memmove(worst + at + 1, worst + at, (size_t)(count - 1 - at) * sizeof *worst);
    worst[at] = *one;
    return count;
}

/* Each clip once, at the rate where it went worst. Returns how many, or a negative code. */
static int find_worst(struct wrong_clip *worst, int most, const struct result *r,
                      struct texts *texts, struct error *err)
{
    int count = 0;
    bool shown[RESULT_MAX_ROWS];
    for (int row = 0; row < r->row_count; row++)
        shown[row] = is_shown(r, row);
    for (int64_t i = 0; i < r->clip_count; i++) {
        struct wrong_clip one = {.clip = i};
        for (int row = 0; row < r->row_count; row++) {
            struct wer counts;
            if (!shown[row] || !texts_load(texts, &r->clips[i], row))
                continue;
            int rc = align(&counts, NULL, NULL, texts, err);
            if (rc)
                return rc;
            if (wer_rate(&counts) > one.rate) {
                one.rate = wer_rate(&counts);
                one.row = row;
            }
        }
        if (one.rate > 0)
            count = insert(worst, count, most, &one);
    }
    return count;
}

static void add_word(struct strbuf *out, const char *text, int64_t bytes)
{
    struct strbuf word;
    strbuf_init(&word, 64 * LONGEST_TEXT);
    strbuf_add(&word, text, (size_t)bytes);
    strbuf_adds(out, "<span>");
    plot_escape(out, bytes ? word.data : "***");
    strbuf_adds(out, "</span>");
    out->failed = out->failed || word.failed;
    strbuf_release(&word);
}

static void add_steps(struct strbuf *out, const struct wer_step *steps, int64_t count)
{
    static const char letters[] = "csdi";
    strbuf_adds(out, "<div class=\"words\"><span class=\"w head\"><span>said</span>"
                     "<span>recognised</span><span></span></span>\n");
    for (int64_t i = 0; i < count; i++) {
        const char letter = letters[steps[i].edit];
        strbuf_addf(out, "<span class=\"w %c\">", letter);
        add_word(out, steps[i].reference, steps[i].reference_bytes);
        add_word(out, steps[i].hypothesis, steps[i].hypothesis_bytes);
        if (letter == 'c')
            strbuf_adds(out, "<span></span></span>\n");
        else
            strbuf_addf(out, "<span>%c</span></span>\n", letter - 'a' + 'A');
    }
    strbuf_adds(out, "</div>\n");
}

static int add_clip(struct strbuf *out, const struct result *r, const struct wrong_clip *wrong,
                    struct texts *texts, struct error *err)
{
    const struct result_clip *clip = &r->clips[wrong->clip];
    const struct result_row *row = &r->rows[wrong->row];
    const struct report_rate rate = {row->task, row->audio_rate, row->video_rate};
    char title[REPORT_NAME];
    struct wer counts;
    struct wer_step *steps;
    int64_t count = 0;
    if (!texts_load(texts, clip, wrong->row))
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = align(&counts, &steps, &count, texts, err);
    if (rc)
        return rc;
    report_rate_title(title, &rate);
    strbuf_adds(out, "<div class=\"clip\"><p>");
    plot_escape(out, clip->path);
    strbuf_addf(out,
                " (%.1f s), %s: %lld %s on %lld words (%lld substituted, %lld deleted, "
                "%lld inserted)</p>\n",
                clip->seconds, title, (long long)wer_errors(&counts),
                wer_errors(&counts) == 1 ? "error" : "errors", (long long)counts.length,
                (long long)counts.substitutions, (long long)counts.deletions,
                (long long)counts.insertions);
    add_steps(out, steps, count);
    strbuf_adds(out, "</div>\n");
    memory_free(steps);
    return 0;
}

int report_clips(struct strbuf *out, const struct report_data *d, int most, bool *any,
                 struct error *err)
{
    struct wrong_clip worst[MOST_SHOWN];
    struct texts texts;
    int rc = 0;
    *any = false;
    texts_init(&texts);
    for (int i = 0; i < d->model_count && !rc; i++) {
        const struct result *r = d->models[i].first;
        if (!r->clip_count)
            continue;
        *any = true;
        int count = find_worst(worst, most < MOST_SHOWN ? most : MOST_SHOWN, r, &texts, err);
        strbuf_adds(out, "<section class=\"worst\"><h3>");
        plot_escape(out, d->models[i].name);
        strbuf_adds(out, "</h3>\n");
        if (!count)
            strbuf_adds(out, "<p>No clip has an error.</p>\n");
        for (int k = 0; k < count && !rc; k++)
            rc = add_clip(out, r, &worst[k], &texts, err);
        rc = count < 0 ? count : rc;
        strbuf_adds(out, "</section>\n");
    }
    texts_release(&texts);
    return rc;
}
