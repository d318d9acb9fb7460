#include "decode/join.h"
#include "base/strbuf.h"
#include "text/normalize.h"

#include <math.h>
#include <string.h>

/* Neighbours in a list, at most JOIN_WORDS. */
struct stretch {
    const struct word *word;
    int count;
};

static bool same_word(const struct word *a, const struct word *b)
{
    struct strbuf x, y;
    strbuf_init(&x, 1 << 16);
    strbuf_init(&y, 1 << 16);
    normalize_english(&x, a->text, strlen(a->text));
    normalize_english(&y, b->text, strlen(b->text));
    bool same = !x.failed && !y.failed && x.length > 0 && strcmp(x.data, y.data) == 0;
    strbuf_release(&x);
    strbuf_release(&y);
    return same;
}

/* Words [a, a + length) of the one are [b, b + length) of the other. */
struct run {
    int a, b, length, left_out;
};

static struct run longest_run(const struct stretch *a, const struct stretch *b)
{
    struct run best = {0};
    for (int i = 0; i < a->count; i++) {
        for (int j = 0; j < b->count; j++) {
            struct run r = {.a = i, .b = j};
            while (i + r.length < a->count && j + r.length < b->count &&
                   same_word(&a->word[i + r.length], &b->word[j + r.length]))
                r.length++;
            r.left_out = a->count - i - r.length + j;
            if (r.left_out <= 2 * r.length &&
                (r.length > best.length || (r.length == best.length && r.left_out < best.left_out)))
                best = r;
        }
    }
    return best;
}

void join_seam(struct words *before, struct words *after)
{
    const int tail = before->count < JOIN_WORDS ? before->count : JOIN_WORDS;
    const int head = after->count < JOIN_WORDS ? after->count : JOIN_WORDS;
    const struct stretch a = {before->list + before->count - tail, tail}, b = {after->list, head};
    const struct run seam = tail && head ? longest_run(&a, &b) : (struct run){0};
    if (seam.length) {
        words_drop(before, before->count - (tail - seam.a - seam.length), before->count);
        words_drop(after, 0, seam.b + seam.length);
    }
    const double end = before->count ? before->list[before->count - 1].end : 0;
    for (int i = 0; i < after->count; i++) {
        struct word *w = &after->list[i];
        w->start = fmax(w->start, end);
        w->end = fmax(w->end, end);
    }
}
