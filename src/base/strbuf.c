#include "base/strbuf.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty[1]; /* what `data` points at before the first byte; never written */

void strbuf_init(struct strbuf *s, size_t limit)
{
    *s = (struct strbuf){.data = empty, .limit = limit};
}

void strbuf_release(struct strbuf *s)
{
    if (s->capacity)
        memory_free(s->data);
    strbuf_init(s, s->limit);
}

void strbuf_clear(struct strbuf *s)
{
    s->length = 0;
    s->failed = false;
    if (s->capacity)
        s->data[0] = 0;
}

static bool reserve(struct strbuf *s, size_t more)
{
    if (s->failed || more > s->limit - s->length) {
        s->failed = true;
        return false;
    }
    size_t need = s->length + more + 1;
    if (need <= s->capacity)
        return true;
    size_t capacity = s->capacity ? s->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    char *data = memory_new(capacity, 1);
    if (!data) {
        s->failed = true;
        return false;
    }
    memcpy(data, s->data, s->length + 1);
    if (s->capacity)
        memory_free(s->data);
    s->data = data;
    s->capacity = capacity;
    return true;
}

void strbuf_add(struct strbuf *s, const void *bytes, size_t length)
{
    if (!length || !reserve(s, length))
        return;
    memcpy(s->data + s->length, bytes, length);
    s->length += length;
    s->data[s->length] = 0;
}

void strbuf_adds(struct strbuf *s, const char *text)
{
    strbuf_add(s, text, strlen(text));
}

void strbuf_addf(struct strbuf *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && reserve(s, (size_t)n)) {
        vsnprintf(s->data + s->length, (size_t)n + 1, format, again);
        s->length += (size_t)n;
    }
    va_end(again);
}
