#include "decode/join.h"
#include "text/normalize.h"

#include <string.h>

/* Words of a line, at most JOIN_WORDS: where each begins and ends. */
struct words {
    const char *line;
    size_t from[JOIN_WORDS], to[JOIN_WORDS];
    int count;
};

static void first_words(struct words *w, const char *line)
{
    *w = (struct words){.line = line};
    for (size_t at = 0; line[at] && w->count < JOIN_WORDS;) {
        w->from[w->count] = at;
        at += strcspn(line + at, " ");
        w->to[w->count++] = at;
        at += line[at] == ' ';
    }
}

static void last_words(struct words *w, const char *line, size_t length)
{
    size_t start = length;
    for (int n = 0; start > 0; start--)
        if (line[start - 1] == ' ' && ++n == JOIN_WORDS)
            break;
    first_words(w, line + start);
    w->line = line;
    for (int i = 0; i < w->count; i++) {
        w->from[i] += start;
        w->to[i] += start;
    }
}

static bool same_word(const struct words *a, int i, const struct words *b, int j)
{
    struct strbuf x, y;
    strbuf_init(&x, 1 << 16);
    strbuf_init(&y, 1 << 16);
    normalize_english(&x, a->line + a->from[i], a->to[i] - a->from[i]);
    normalize_english(&y, b->line + b->from[j], b->to[j] - b->from[j]);
    bool same = !x.failed && !y.failed && x.length > 0 && strcmp(x.data, y.data) == 0;
    strbuf_release(&x);
    strbuf_release(&y);
    return same;
}

/* Words [a, a + length) of the one are [b, b + length) of the other. */
struct run {
    int a, b, length, left_out;
};

static struct run longest_run(const struct words *a, const struct words *b)
{
    struct run best = {0};
    for (int i = 0; i < a->count; i++) {
        for (int j = 0; j < b->count; j++) {
            struct run r = {.a = i, .b = j};
            while (i + r.length < a->count && j + r.length < b->count &&
                   same_word(a, i + r.length, b, j + r.length))
                r.length++;
            r.left_out = a->count - i - r.length + j;
            if (r.left_out <= 2 * r.length &&
                (r.length > best.length || (r.length == best.length && r.left_out < best.left_out)))
                best = r;
        }
    }
    return best;
}

void join_texts(struct strbuf *text, const char *next, bool overlaps)
{
    struct words tail = {0}, head = {0};
    struct run seam = {0};
    if (overlaps) {
        last_words(&tail, text->data, text->length);
        first_words(&head, next);
        seam = longest_run(&tail, &head);
    }
    if (seam.length) {
        text->length = tail.to[seam.a + seam.length - 1];
        text->data[text->length] = 0;
        strbuf_adds(text, next + head.to[seam.b + seam.length - 1]);
    } else {
        strbuf_addf(text, "%s%s", text->length && next[0] ? " " : "", next);
    }
}
