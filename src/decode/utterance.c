#include "decode/utterance.h"
#include "base/memory.h"

const char *fallback_name(enum fallback f)
{
    static const char *const names[FALLBACK_COUNT] = {
        [FALLBACK_NO_SOUND] = "no_sound",
        [FALLBACK_DROWNED] = "drowned",
        [FALLBACK_NO_FACE] = "no_face",
    };
    return names[f];
}

void utterance_release(struct utterance *u)
{
    for (int i = 0; i < u->n_best_count; i++)
        memory_free(u->n_best[i].text);
    memory_free(u->n_best);
    words_release(&u->words);
    expert_slots_release(&u->experts);
    *u = (struct utterance){0};
}
