#include "decode/utterance.h"
#include "base/memory.h"

#include <string.h>

const char *fallback_name(enum fallback f)
{
    static const char *const names[FALLBACK_COUNT] = {
        [FALLBACK_NO_SOUND] = "no_sound",
        [FALLBACK_DROWNED] = "drowned",
        [FALLBACK_NO_FACE] = "no_face",
    };
    return names[f];
}

char *utterance_text(const struct utterance *u)
{
    size_t length = 1;
    for (int i = 0; i < u->words.count; i++)
        length += strlen(u->words.list[i].text) + 1;
    char *text = memory_new(length, 1), *to = text;
    for (int i = 0; text && i < u->words.count; i++) {
        if (i)
            *to++ = ' ';
        to = stpcpy(to, u->words.list[i].text);
    }
    return text;
}

void utterance_release(struct utterance *u)
{
    for (int i = 0; i < u->n_best_count; i++)
        memory_free(u->n_best[i].text);
    memory_free(u->n_best);
    words_release(&u->words);
    *u = (struct utterance){0};
}
