#include "text/strings.h"
#include "base/memory.h"

#include <string.h>

#define MAX_BYTES ((size_t)512 << 20)

/* FNV-1a, then mixed, so that the low bits depend on every byte. */
static size_t hash(const char *bytes, size_t length)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

static struct string_slot *slot_of(const struct strings *s, const char *bytes, size_t length)
{
    for (size_t i = hash(bytes, length);; i++) {
        struct string_slot *slot = &s->slots[i & (s->capacity - 1)];
        if (!slot->length ||
            (slot->length == length && memcmp(s->bytes.data + slot->start, bytes, length) == 0))
            return slot;
    }
}

static bool grow(struct strings *s)
{
    struct strings larger = *s;
    larger.capacity = s->capacity ? 2 * s->capacity : 64;
    larger.slots = memory_new(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < s->capacity; i++)
        if (s->slots[i].length)
            *slot_of(&larger, s->bytes.data + s->slots[i].start, s->slots[i].length) = s->slots[i];
    memory_free(s->slots);
    *s = larger;
    return true;
}

void strings_init(struct strings *s)
{
    *s = (struct strings){0};
    strbuf_init(&s->bytes, MAX_BYTES);
}

void strings_release(struct strings *s)
{
    strbuf_release(&s->bytes);
    memory_free(s->slots);
    strings_init(s);
}

int32_t strings_get(const struct strings *s, const char *bytes, size_t length)
{
    if (!s->capacity || !length)
        return -1;
    const struct string_slot *slot = slot_of(s, bytes, length);
    return slot->length ? slot->value : -1;
}

bool strings_put(struct strings *s, const char *bytes, size_t length, int32_t value)
{
    if (2 * (s->count + 1) > s->capacity && !grow(s))
        return false;
    struct string_slot *slot = slot_of(s, bytes, length);
    if (!slot->length) {
        size_t start = s->bytes.length;
        strbuf_add(&s->bytes, bytes, length);
        if (s->bytes.failed)
            return false;
        *slot = (struct string_slot){start, length, 0};
        s->count++;
    }
    slot->value = value;
    return true;
}
