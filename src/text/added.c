#include "text/added.h"
#include "text/normalize.h"

#include <string.h>

void added_init(struct added *a)
{
    *a = (struct added){0};
    strings_init(&a->names);
}

void added_release(struct added *a)
{
    strings_release(&a->names);
}

bool added_put(struct added *a, const char *name, size_t length, int32_t id, int flags)
{
    a->begins[(unsigned char)name[0]] = true;
    a->lengths[length] = true;
    if (a->longest < (int)length)
        a->longest = (int)length;
    return strings_put(&a->names, name, length, id << 3 | flags);
}

/* The longest name that text begins with: its value and length; -1: none. */
static int32_t longest_at(const struct added *a, const char *text, size_t length, size_t *taken)
{
    if (!a->begins[(unsigned char)text[0]])
        return -1;
    size_t n = length < (size_t)a->longest ? length : (size_t)a->longest;
    for (; n > 0; n--) {
        int32_t value = a->lengths[n] ? strings_get(&a->names, text, n) : -1;
        if (value >= 0) {
            *taken = n;
            return value;
        }
    }
    return -1;
}

static bool stands_alone(const char *text, size_t length, size_t from, size_t end)
{
    int32_t code;
    if (normalize_character_before(&code, text, from) && normalize_is_word(code))
        return false;
    return !normalize_character(&code, text + end, length - end) || !normalize_is_word(code);
}

int32_t added_next(const struct added *a, const char *text, size_t length, size_t *from,
                   size_t *end)
{
    size_t begin = *end, taken, n;
    int32_t code;
    for (size_t at = begin; at < length; at++) {
        int32_t value = longest_at(a, text + at, length - at, &taken);
        if (value < 0)
            continue;
        if ((value & ADDED_SINGLE_WORD) && !stands_alone(text, length, at, at + taken)) {
            at += taken - 1;
            continue;
        }
        *from = at;
        *end = at + taken;
        while ((value & ADDED_LSTRIP) &&
               (n = normalize_character_before(&code, text + begin, *from - begin)) > 0 &&
               normalize_is_space(code))
            *from -= n;
        while ((value & ADDED_RSTRIP) &&
               (n = normalize_character(&code, text + *end, length - *end)) > 0 &&
               normalize_is_space(code))
            *end += n;
        return value >> 3;
    }
    *from = *end = length;
    return -1;
}
