/*
 * A growing byte string. `data` is never NULL after strbuf_init and always NUL-terminated at
 * data[length]. It is born with its largest size: growing past `limit`, or out of memory, sets
 * `failed` (sticky; contents then stay as they were), which the owner checks once at the end.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *data;
    size_t length, capacity, limit;
    bool failed;
};

void strbuf_init(struct strbuf *s, size_t limit);
void strbuf_release(struct strbuf *s);
void strbuf_clear(struct strbuf *s); /* length 0, memory kept */
void strbuf_add(struct strbuf *s, const void *bytes, size_t length);
void strbuf_adds(struct strbuf *s, const char *text);
void strbuf_addf(struct strbuf *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
