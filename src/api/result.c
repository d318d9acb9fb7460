/* Utterances as mome.h shows them. */
#include "api/api.h"

#include "base/memory.h"

#include <assert.h>

static_assert((int)MOME_TASK_ASR == TASK_ASR && (int)MOME_TASK_VSR == TASK_VSR &&
                  (int)MOME_TASK_AVSR == TASK_AVSR,
              "tasks have the same numbers inside");
static_assert((int)MOME_FALLBACK_NO_FACE == FALLBACK_NO_FACE &&
                  (int)MOME_FALLBACK_DROWNED == FALLBACK_DROWNED &&
                  (int)MOME_FALLBACK_NO_SOUND == FALLBACK_NO_SOUND,
              "fallbacks have the same numbers inside");

void api_result_release(struct api_result *r)
{
    utterance_release(&r->utterance);
    memory_free(r->text);
    memory_free(r->words);
    memory_free(r->alternatives);
    memory_free(r->expert_share);
    *r = (struct api_result){0};
}

static void show_lists(struct api_result *r)
{
    const struct utterance *u = &r->utterance;
    for (int i = 0; i < u->words.count; i++) {
        const struct word *w = &u->words.list[i];
        r->words[i] = (mome_word){w->text, w->start, w->end, w->confidence};
    }
    for (int i = 0; i < u->n_best_count; i++)
        r->alternatives[i] = (mome_alternative){u->n_best[i].text, u->n_best[i].score};
    expert_slots_share(r->expert_share, &u->experts);
}

int api_result_set(struct api_result *r, struct utterance *u, bool final, struct error *err)
{
    api_result_release(r);
    r->utterance = *u;
    *u = (struct utterance){0};
    u = &r->utterance;
    r->text = words_text(&u->words);
    r->words = memory_new((size_t)u->words.count + 1, sizeof *r->words);
    r->alternatives = memory_new((size_t)u->n_best_count + 1, sizeof *r->alternatives);
    r->expert_share = memory_new((size_t)u->experts.layers * (size_t)u->experts.routed + 1,
                                 sizeof *r->expert_share);
    if (!r->text || !r->words || !r->alternatives || !r->expert_share) {
        api_result_release(r);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    show_lists(r);
    r->result = (mome_result){
        .start = u->start,
        .end = u->end,
        .final = final,
        .text = r->text,
        .words = r->words,
        .word_count = (size_t)u->words.count,
        .alternatives = r->alternatives,
        .alternative_count = (size_t)u->n_best_count,
        .task = (mome_task)u->task,
        .fallback = (mome_fallback)u->fallback,
        .audio_rate = u->audio_rate,
        .video_rate = u->video_rate,
        .face = u->face,
        .media_tokens = u->media_tokens,
        .encode_seconds = u->encode_seconds,
        .decode_seconds = u->decode_seconds,
        .expert_share = u->experts.count ? r->expert_share : NULL,
        .expert_layers = (size_t)u->experts.layers,
        .expert_count = (size_t)u->experts.routed,
        .settled = (size_t)(final ? u->words.count : u->settled),
    };
    return 0;
}
