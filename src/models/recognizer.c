/* The recognizer's life (random start, walk), its encoders and heads. recognizer_folder.c opens and
 * saves it, prefill.c runs it. */
#include "models/recognizer.h"

#include "models/params.h"
#include "models/part.h"
#include "text/tokenizer.h"

#include <assert.h>
#include <string.h>

/* ---- the walk ---------------------------------------------------------------------------- */

static void projector_walk(struct projector *projectors, int count, const char *modality,
                           struct param_visitor *v)
{
    for (int i = 0; i < count; i++) {
        size_t mark = param_enter(v, "projector.%s.%d.", modality, projectors[i].rate);
        projector_params(&projectors[i], v);
        param_leave(v, mark);
    }
}

static void adapters_walk(struct recognizer *r, struct param_visitor *v)
{
    size_t mark = param_enter(v, "mome.");
    mome_params(&r->mome, v);
    param_leave(v, mark);
    mark = param_enter(v, "lora.");
    if (r->llm.layers)
        llama_lora_params(&r->llm, v);
    param_leave(v, mark);
    mark = param_enter(v, "video_lora.");
    if (r->video.layers)
        avhubert_lora_params(&r->video, v);
    param_leave(v, mark);
}

/* Parts that were never made have no layers: so a recognizer half built can be walked to free it.
 */
void recognizer_params(struct recognizer *r, struct param_visitor *v)
{
    size_t mark;
    if (r->audio.layers) {
        mark = param_enter(v, "audio.");
        whisper_params(&r->audio, v);
        param_leave(v, mark);
        projector_walk(r->audio_projectors, r->config.projector.audio_rate_count, "audio", v);
    }
    if (r->video.layers) {
        mark = param_enter(v, "video.");
        avhubert_params(&r->video, v);
        param_leave(v, mark);
        projector_walk(r->video_projectors, r->config.projector.video_rate_count, "video", v);
    }
    if (r->llm.layers) {
        mark = param_enter(v, "llm.");
        llama_params(&r->llm, v);
        param_leave(v, mark);
        param_visit(v, "projector.tokens.weight", &r->llm.extra, PARAM_NORMAL);
    }
    adapters_walk(r, v);
}

void recognizer_head_params(struct recognizer *r, struct param_visitor *v)
{
    linear_params(&r->audio_head, v, "audio_head", PARAM_LINEAR);
    linear_params(&r->video_head, v, "video_head", PARAM_LINEAR);
}

void recognizer_adapter_parameters(struct recognizer *r, int64_t *total, int64_t *active)
{
    const struct mome_config *m = &r->config.mome;
    const struct lora_config *l = &r->config.lora;
    int64_t d = r->config.llm.d, layers = r->config.llm.layers, idle = 0;
    int pairs = config_pair_count(&r->config);
    struct param_counter counter;
    param_counter_init(&counter);
    adapters_walk(r, &counter.visitor);
    *total = counter.parameters;
    if (r->mome.count > 0) {
        int64_t expert = 2 * d * m->bottleneck + (m->biases ? d + m->bottleneck : 0);
        idle += (m->routed - m->active) * expert * (m->routed > 0);
        idle += m->separate_routers ? pairs * m->routed * d : 0;
    }
    if (l->inner > 0 && l->per_rate) {
        const struct llama_config *llm = &r->config.llm;
        int64_t out = (int64_t)(llm->heads + llm->kv_heads) * llm->head_dim;
        idle += (pairs - 1) * l->inner * (2 * d + out);
    }
    *active = *total - layers * idle;
}

/* ---- building ---------------------------------------------------------------------------- */

static int special(int32_t *id, const struct recognizer *r, const char *name, struct error *err)
{
    *id = tokenizer_special(r->tokenizer, name);
    if (*id >= 0)
        return 0;
    return error_set(err, ERROR_FORMAT, "the tokenizer has no special token %s", name);
}

static int prompt_tokens(struct recognizer *r, enum task task, struct error *err)
{
    const char *text = r->config.prompts[task];
    size_t length = strlen(text);
    r->tokens.prompt[task] = memory_new(tokenizer_room(r->tokenizer, length), sizeof(int32_t));
    if (!r->tokens.prompt[task])
        return error_set(err, ERROR_MEMORY, "no memory for a prompt");
    int64_t n = tokenizer_encode(r->tokenizer, r->tokens.prompt[task], text, length, err);
    r->tokens.prompt_count[task] = n > 0 ? (int)n : 0;
    return n < 0 ? (int)n : 0;
}

static int find_tokens(struct recognizer *r, struct error *err)
{
    struct token_ids *t = &r->tokens;
    int rc;
    if ((rc = special(&t->bos, r, r->config.bos, err)) != 0 ||
        (rc = special(&t->eos, r, r->config.eos, err)) != 0)
        return rc;
    if (r->config.has_audio && ((rc = special(&t->audio_open, r, "<audio>", err)) != 0 ||
                                (rc = special(&t->audio_close, r, "</audio>", err)) != 0))
        return rc;
    if (r->config.has_video && ((rc = special(&t->video_open, r, "<video>", err)) != 0 ||
                                (rc = special(&t->video_close, r, "</video>", err)) != 0))
        return rc;
    for (int task = 0; task < TASK_COUNT; task++)
        if ((rc = prompt_tokens(r, (enum task)task, err)) != 0)
            return rc;
    return 0;
}

static int build_parts(struct recognizer *r, struct error *err)
{
    const struct recognizer_config *config = &r->config;
    const struct projector_config *p = &config->projector;
    int pairs = config_pair_count(config), rc;
    if (config->has_audio && (rc = whisper_init(&r->audio, &config->audio, err)) != 0)
        return rc;
    if (config->has_video && (rc = avhubert_init(&r->video, &config->video, err)) != 0)
        return rc;
    for (int i = 0; config->has_audio && i < p->audio_rate_count; i++)
        projector_init(&r->audio_projectors[i], p, p->audio_rates[i], config->audio.d,
                       config->llm.d);
    for (int i = 0; config->has_video && i < p->video_rate_count; i++)
        projector_init(&r->video_projectors[i], p, p->video_rates[i], config->video.d,
                       config->llm.d);
    if ((rc = llama_init(&r->llm, &config->llm, err)) != 0)
        return rc;
    llama_add_lora(&r->llm, &config->lora, pairs);
    if (config->has_video)
        avhubert_add_lora(&r->video, &config->video_lora);
    return mome_init(&r->mome, &config->mome, config->llm.layers, config->llm.d,
                     config->mome.separate_routers ? pairs + 1 : 1, err);
}

/* Ids that have an embedding. */
static int embedded(const struct llama_config *llm)
{
    int extra = llm->extra_tokens > 0 ? llm->extra_from + llm->extra_tokens : 0;
    return extra > llm->vocab ? extra : llm->vocab;
}

int recognizer_declare(struct recognizer **out, const struct recognizer_config *config,
                       struct tokenizer *tokenizer, const char *file, struct error *err)
{
    struct recognizer *r = memory_new(1, sizeof *r);
    int rc = 0;
    *out = NULL;
    if (!r) {
        tokenizer_free(tokenizer);
        return error_set(err, ERROR_MEMORY, "no memory for a model");
    }
    r->config = *config;
    r->tokenizer = tokenizer;
    if (r->config.llm.vocab == 0)
        r->config.llm.vocab = tokenizer_size(tokenizer);
    if ((rc = config_check(&r->config, file, err)) != 0)
        goto out;
    if (embedded(&r->config.llm) < tokenizer_size(tokenizer)) {
        rc = error_set(err, ERROR_FORMAT, "%s: \"llm.vocab\" is %d, the tokenizer has %d tokens",
                       file, embedded(&r->config.llm), tokenizer_size(tokenizer));
        goto out;
    }
    if ((rc = find_tokens(r, err)) != 0 || (rc = build_parts(r, err)) != 0)
        goto out;
    *out = r;
    return 0;
out:
    recognizer_free(r);
    return rc;
}

int recognizer_new(struct recognizer **r, const struct recognizer_config *config,
                   struct tokenizer *tokenizer, uint64_t seed, struct error *err)
{
    int rc = recognizer_declare(r, config, tokenizer, "configuration", err);
    if (rc == 0 && (rc = recognizer_start(*r, seed, err)) != 0) {
        recognizer_free(*r);
        *r = NULL;
    }
    return rc;
}

/* What has numbers keeps them, the running statistics of a part's norms too. */
int recognizer_start(struct recognizer *r, uint64_t seed, struct error *err)
{
    struct param_list list;
    struct param_allocator allocator;
    struct param_initialiser initialiser;
    param_allocator_init(&allocator, err);
    param_initialiser_init(&initialiser, seed);
    param_list_init(&list, err);
    recognizer_params(r, &list.visitor);
    for (int64_t i = 0; list.code == 0 && allocator.code == 0 && i < list.count; i++) {
        struct param_entry *e = &list.entries[i];
        if (e->tensor->data || e->tensor->stored)
            continue;
        allocator.visitor.visit(&allocator.visitor, e->name, e->tensor, e->kind);
        if (allocator.code == 0)
            initialiser.visitor.visit(&initialiser.visitor, e->name, e->tensor, e->kind);
    }
    int rc = list.code ? list.code : allocator.code;
    param_list_release(&list);
    return rc;
}

void recognizer_free(struct recognizer *r)
{
    if (!r)
        return;
    struct param_visitor releaser;
    param_releaser_init(&releaser);
    recognizer_params(r, &releaser);
    recognizer_head_params(r, &releaser);
    whisper_release(&r->audio);
    avhubert_release(&r->video);
    llama_release(&r->llm);
    mome_release(&r->mome);
    for (int task = 0; task < TASK_COUNT; task++)
        memory_free(r->tokens.prompt[task]);
    for (int k = 0; k < CONFIG_PARTS; k++)
        part_close(r->parts[k]);
    weights_close(r->own);
    tokenizer_free(r->tokenizer);
    memory_free(r);
}

/* ---- encoders and heads ------------------------------------------------------------------ */

struct tensor *recognizer_encode_audio(struct recognizer *r, struct compute *c,
                                       struct tensor *logmel, const int64_t *lengths)
{
    assert(r->config.has_audio);
    return whisper_forward(&r->audio, c, logmel, lengths);
}

struct tensor *recognizer_encode_video(struct recognizer *r, struct compute *c,
                                       struct tensor *pictures, const int64_t *lengths)
{
    assert(r->config.has_video);
    return avhubert_forward(&r->video, c, pictures, lengths);
}

int recognizer_add_heads(struct recognizer *r, int audio_classes, int video_classes, uint64_t seed,
                         struct error *err)
{
    assert(r->audio_head.weight.dims == 0 && r->video_head.weight.dims == 0);
    if (audio_classes > 0 && r->config.has_audio)
        linear_init(&r->audio_head, r->config.audio.d, audio_classes, true);
    if (video_classes > 0 && r->config.has_video)
        linear_init(&r->video_head, r->config.video.d, video_classes, true);
    struct param_allocator allocator;
    param_allocator_init(&allocator, err);
    recognizer_head_params(r, &allocator.visitor);
    if (allocator.code != 0)
        return allocator.code;
    struct param_initialiser initialiser;
    param_initialiser_init(&initialiser, seed);
    recognizer_head_params(r, &initialiser.visitor);
    return 0;
}

struct tensor *recognizer_audio_head(struct recognizer *r, struct compute *c, struct tensor *states)
{
    return linear_forward(&r->audio_head, c, states);
}

struct tensor *recognizer_video_head(struct recognizer *r, struct compute *c, struct tensor *states)
{
    return linear_forward(&r->video_head, c, states);
}
