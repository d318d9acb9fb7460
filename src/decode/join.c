#include "decode/join.h"
#include "base/memory.h"
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

static void drop_last(struct words *w, int count)
{
    for (int i = 0; i < count; i++)
        memory_free(w->list[--w->count].text);
}

int join_words(struct words *words, const struct words *next, bool overlaps, struct error *err)
{
    const int tail = words->count < JOIN_WORDS ? words->count : JOIN_WORDS;
    const int head = next->count < JOIN_WORDS ? next->count : JOIN_WORDS;
    int from = 0, rc = 0;
    if (overlaps && tail && head) {
        const struct stretch a = {words->list + words->count - tail, tail}, b = {next->list, head};
        const struct run seam = longest_run(&a, &b);
        if (seam.length) {
            drop_last(words, tail - seam.a - seam.length);
            from = seam.b + seam.length;
        }
    }
    const double end = words->count ? words->list[words->count - 1].end : 0;
    for (int i = from; !rc && i < next->count; i++) {
        const struct word *w = &next->list[i];
        rc = words_add(words, w->text, strlen(w->text), fmax(w->start, end), fmax(w->end, end),
                       w->confidence, err);
    }
    return rc;
}
