/* The recognizer's life (folder, random start, walk), its encoders and heads. prefill.c has the
 * rest. */
#include "models/recognizer.h"

#include "base/file.h"
#include "models/params.h"
#include "text/tokenizer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT_BYTES = 1 << 20 };

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
    }
    mark = param_enter(v, "mome.");
    mome_params(&r->mome, v);
    param_leave(v, mark);
}

void recognizer_head_params(struct recognizer *r, struct param_visitor *v)
{
    linear_params(&r->audio_head, v, "audio_head", PARAM_LINEAR);
    linear_params(&r->video_head, v, "video_head", PARAM_LINEAR);
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
    r->tokens.prompt[task] = memory_new(length + 1, sizeof(int32_t));
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

static int router_count(const struct recognizer_config *config)
{
    if (!config->mome.separate_routers)
        return 1;
    return (config->projector.audio_rate_count + 1) * (config->projector.video_rate_count + 1);
}

static int build_parts(struct recognizer *r, struct error *err)
{
    const struct recognizer_config *config = &r->config;
    const struct projector_config *p = &config->projector;
    int rc;
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
    if ((rc = llama_init(&r->llm, &config->llm, err)) != 0 ||
        (rc = mome_init(&r->mome, &config->mome, config->llm.layers, config->llm.d,
                        router_count(config), err)) != 0)
        return rc;
    struct param_allocator allocator;
    param_allocator_init(&allocator, err);
    recognizer_params(r, &allocator.visitor);
    return allocator.code;
}

/* Everything but the numbers; takes the tokenizer. `file` is named in errors. */
static int build(struct recognizer **out, const struct recognizer_config *config,
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
    if (r->config.llm.vocab < tokenizer_size(tokenizer)) {
        rc = error_set(err, ERROR_FORMAT, "%s: \"llm.vocab\" is %d, the tokenizer has %d tokens",
                       file, r->config.llm.vocab, tokenizer_size(tokenizer));
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
    int rc = build(r, config, tokenizer, "configuration", err);
    if (rc != 0)
        return rc;
    struct param_initialiser initialiser;
    param_initialiser_init(&initialiser, seed);
    recognizer_params(*r, &initialiser.visitor);
    return 0;
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
    tokenizer_free(r->tokenizer);
    memory_free(r);
}

/* ---- the folder -------------------------------------------------------------------------- */

struct folder_paths {
    char *config, *tokenizer, *weights;
};

static void folder_paths_release(struct folder_paths *p)
{
    memory_free(p->config);
    memory_free(p->tokenizer);
    memory_free(p->weights);
}

static int folder_paths_init(struct folder_paths *p, const char *folder, struct error *err)
{
    p->config = file_join(folder, "config.json");
    p->tokenizer = file_join(folder, "tokenizer.json");
    p->weights = file_join(folder, "model.safetensors");
    if (p->config && p->tokenizer && p->weights)
        return 0;
    folder_paths_release(p);
    return error_set(err, ERROR_MEMORY, "%s: no memory for its name", folder);
}

static int read_config(struct recognizer_config *config, const char *path, struct error *err)
{
    char *text;
    size_t size;
    int rc = file_read(&text, &size, path, CONFIG_LIMIT_BYTES, err);
    if (rc != 0)
        return rc;
    rc = config_from_json(config, text, path, err);
    memory_free(text);
    return rc;
}

static int list_params(struct param_list *list, struct recognizer *r, struct error *err)
{
    param_list_init(list, err);
    recognizer_params(r, &list->visitor);
    return list->code;
}

int recognizer_open(struct recognizer **r, const char *folder, struct error *err)
{
    struct folder_paths paths;
    struct recognizer_config config;
    struct tokenizer *tokenizer;
    struct param_list list = {0};
    *r = NULL;
    int rc = folder_paths_init(&paths, folder, err);
    if (rc != 0)
        return rc;
    if ((rc = read_config(&config, paths.config, err)) != 0 ||
        (rc = tokenizer_load(&tokenizer, paths.tokenizer, err)) != 0 ||
        (rc = build(r, &config, tokenizer, paths.config, err)) != 0 ||
        (rc = list_params(&list, *r, err)) != 0 ||
        (rc = params_load(&list, paths.weights, err)) != 0) {
        recognizer_free(*r);
        *r = NULL;
    }
    param_list_release(&list);
    folder_paths_release(&paths);
    return rc;
}

static int write_config(const struct recognizer_config *config, const char *path, struct error *err)
{
    char *text = config_to_json(config);
    if (!text)
        return error_set(err, ERROR_MEMORY, "%s: no memory to write it", path);
    int rc = file_write(path, text, strlen(text), err);
    memory_free(text);
    return rc;
}

int recognizer_save(struct recognizer *r, const char *folder, bool bf16, struct error *err)
{
    struct folder_paths paths;
    struct param_list list = {0};
    int rc = folder_paths_init(&paths, folder, err);
    if (rc != 0)
        return rc;
    if ((rc = file_make_folder(folder, err)) == 0 && (rc = list_params(&list, r, err)) == 0 &&
        (rc = params_save(&list, paths.weights, bf16, "{}", err)) == 0 &&
        (rc = tokenizer_save(r->tokenizer, paths.tokenizer, err)) == 0)
        rc = write_config(&r->config, paths.config, err);
    param_list_release(&list);
    folder_paths_release(&paths);
    return rc;
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
