#include "text/words.h"
#include "base/memory.h"

#include <string.h>

/* Makes room for `more` words. */
static int reserve(struct words *w, int more, struct error *err)
{
    return memory_reserve(&w->list, &w->room, w->count, w->count + more, sizeof *w->list)
               ? 0
               : error_set(err, ERROR_MEMORY, "out of memory");
}

int words_add(struct words *w, const char *text, size_t length, double start, double end,
              double confidence, struct error *err)
{
    int rc = reserve(w, 1, err);
    char *copy = rc ? NULL : memory_new(length + 1, 1);
    if (!copy)
        return rc ? rc : error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(copy, text, length);
    w->list[w->count++] =
        (struct word){.text = copy, .start = start, .end = end, .confidence = confidence};
    return 0;
}

int words_copy(struct words *w, const struct word *list, int count, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < count; i++)
        rc = words_add(w, list[i].text, strlen(list[i].text), list[i].start, list[i].end,
                       list[i].confidence, err);
    return rc;
}

int words_append(struct words *w, struct words *from, struct error *err)
{
    int rc = reserve(w, from->count, err);
    if (rc || !from->count)
        return rc;
    memcpy(w->list + w->count, from->list, (size_t)from->count * sizeof *w->list);
    w->count += from->count;
    from->count = 0;
    return 0;
}

void words_drop(struct words *w, int from, int to)
{
    for (int i = from; i < to; i++)
        memory_free(w->list[i].text);
    if (to < w->count)
        memmove(w->list + from, w->list + to, (size_t)(w->count - to) * sizeof *w->list);
    w->count -= to - from;
}

void words_shift(struct words *w, double seconds)
{
    for (int i = 0; i < w->count; i++) {
        w->list[i].start += seconds;
        w->list[i].end += seconds;
    }
}

double words_confidence(const struct words *w)
{
    double sum = 0;
    for (int i = 0; i < w->count; i++)
        sum += w->list[i].confidence;
    return w->count ? sum / w->count : 0;
}

char *words_text(const struct words *w)
{
    size_t length = 1;
    for (int i = 0; i < w->count; i++)
        length += strlen(w->list[i].text) + 1;
    char *text = memory_new(length, 1), *to = text;
    for (int i = 0; text && i < w->count; i++) {
        if (i)
            *to++ = ' ';
        to = stpcpy(to, w->list[i].text);
    }
    return text;
}

void words_clear(struct words *w)
{
    words_drop(w, 0, w->count);
}

void words_release(struct words *w)
{
    words_clear(w);
    memory_free(w->list);
    *w = (struct words){0};
}
