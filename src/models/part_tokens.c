/*
 * The tokenizer of a published LLM and the names of its tokens that begin and end a text: from
 * tokenizer.json, tokenizer_config.json and config.json beside the file, or from inside a GGUF. A
 * model without a token to begin with (Qwen) begins with the one that ends.
 */
#include "models/part_naming.h"

#include "base/file.h"
#include "text/tokenizer_gguf.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_LIMIT_BYTES = 64 << 20 };

/* ---- GGUF -------------------------------------------------------------------------------- */

struct gguf_lists {
    const struct weights_array *tokens, *merges, *scores, *types;
};

static const char *gguf_token(const void *arg, int64_t i, size_t *length)
{
    const struct gguf_lists *l = arg;
    return weights_array_text(l->tokens, i, length);
}

static const char *gguf_merge(const void *arg, int64_t i, size_t *length)
{
    const struct gguf_lists *l = arg;
    return weights_array_text(l->merges, i, length);
}

static double gguf_score(const void *arg, int64_t i)
{
    const struct gguf_lists *l = arg;
    return weights_array_number(l->scores, i);
}

static double gguf_type(const void *arg, int64_t i)
{
    const struct gguf_lists *l = arg;
    return weights_array_number(l->types, i);
}

static const struct weights_array *list(const struct weights *w, const char *key, bool text,
                                        int64_t wanted)
{
    const struct weights_array *a = weights_array(w, key);
    bool good =
        a && weights_array_is_text(a) == text && (wanted < 0 || weights_array_count(a) == wanted);
    return good ? a : NULL;
}

static int gguf_tokenizer(const struct weights *w, struct tokenizer **t, struct error *err)
{
    struct gguf_lists l = {.tokens = list(w, "tokenizer.ggml.tokens", true, -1)};
    if (!l.tokens)
        return error_set(err, ERROR_FORMAT, "%s: a GGUF without a tokenizer in it",
                         weights_path(w));
    int64_t count = weights_array_count(l.tokens);
    l.merges = list(w, "tokenizer.ggml.merges", true, -1);
    l.scores = list(w, "tokenizer.ggml.scores", false, count);
    l.types = list(w, "tokenizer.ggml.token_type", false, count);
    const char *model = weights_text(w, "tokenizer.ggml.model");
    double space = model && strcmp(model, "llama") == 0;
    weights_number(w, "tokenizer.ggml.add_space_prefix", &space);
    int rc = tokenizer_from_gguf(t,
                                 &(struct tokenizer_source){
                                     .model = model,
                                     .pre = weights_text(w, "tokenizer.ggml.pre"),
                                     .tokens = count,
                                     .merges = l.merges ? weights_array_count(l.merges) : 0,
                                     .add_space_prefix = space != 0,
                                     .has_scores = l.scores != NULL,
                                     .has_types = l.types != NULL,
                                     .arg = &l,
                                     .token = gguf_token,
                                     .merge = gguf_merge,
                                     .score = gguf_score,
                                     .type = gguf_type,
                                 },
                                 err);
    return rc == 0 ? 0 : error_prefix(err, "%s", weights_path(w));
}

int part_tokenizer(const struct part *p, struct tokenizer **t, struct error *err)
{
    struct stat st;
    *t = NULL;
    if (weights_format(p->weights) == WEIGHTS_GGUF)
        return gguf_tokenizer(p->weights, t, err);
    char *path = file_join(p->folder, "tokenizer.json");
    if (!path)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", p->folder);
    int rc = stat(path, &st) == 0
                 ? tokenizer_load(t, path, err)
                 : error_set(err, ERROR_IO, "%s: the LLM's tokenizer.json must lie beside it",
                             weights_path(p->weights));
    memory_free(path);
    return rc;
}

int part_add_tokens(struct tokenizer *t, struct error *err)
{
    static const char *const added[] = {"<pad>", "<audio>", "</audio>", "<video>", "</video>"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof added / sizeof *added; i++)
        rc = tokenizer_add_special(t, added[i], err);
    return rc;
}

/* ---- names ------------------------------------------------------------------------------- */

static bool take(char out[CONFIG_MAX_TEXT], const char *name, size_t length)
{
    if (!name || length == 0 || length >= CONFIG_MAX_TEXT || memchr(name, '\0', length))
        return false;
    memcpy(out, name, length);
    out[length] = '\0';
    return true;
}

static json_t *read_beside(const struct part *p, const char *name)
{
    char *path = file_join(p->folder, name), *text = NULL;
    size_t size;
    struct error unread;
    json_t *json = NULL;
    if (path && file_read(&text, &size, path, JSON_LIMIT_BYTES, &unread) == 0)
        json = json_loadb(text, size, 0, NULL);
    memory_free(text);
    memory_free(path);
    return json;
}

/* tokenizer_config.json: "bos_token": "<s>" or {"content": "<s>", ...} */
static bool named(char out[CONFIG_MAX_TEXT], const json_t *settings, const char *key)
{
    const json_t *j = json_object_get(settings, key);
    if (json_is_object(j))
        j = json_object_get(j, "content");
    return take(out, json_string_value(j), json_string_length(j));
}

/* config.json: "bos_token_id": 1 or [1, ...]; tokenizer.json: "added_tokens": [{"id", "content"}]
 */
static bool numbered(char out[CONFIG_MAX_TEXT], const struct part *p, const json_t *tokens,
                     const char *key)
{
    const json_t *id = json_object_get(p->json, key), *added;
    size_t i;
    if (json_is_array(id))
        id = json_array_get(id, 0);
    if (!json_is_integer(id))
        return false;
    json_array_foreach(json_object_get(tokens, "added_tokens"), i, added)
    {
        const json_t *content = json_object_get(added, "content");
        if (json_equal((json_t *)id, json_object_get(added, "id")))
            return take(out, json_string_value(content), json_string_length(content));
    }
    return false;
}

static bool beside(char out[CONFIG_MAX_TEXT], const struct part *p, const json_t *settings,
                   const char *which)
{
    char key[32];
    snprintf(key, sizeof key, "%s_token", which);
    if (named(out, settings, key))
        return true;
    snprintf(key, sizeof key, "%s_token_id", which);
    json_t *tokens = json_object_get(p->json, key) ? read_beside(p, "tokenizer.json") : NULL;
    bool found = numbered(out, p, tokens, key);
    json_decref(tokens);
    return found;
}

static bool inside(char out[CONFIG_MAX_TEXT], const struct weights *w, const char *which)
{
    const struct weights_array *tokens = list(w, "tokenizer.ggml.tokens", true, -1);
    char key[64];
    double id;
    size_t length = 0;
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", which);
    if (!tokens || !weights_number(w, key, &id) || !(id >= 0) ||
        id >= (double)weights_array_count(tokens))
        return false;
    const char *text = weights_array_text(tokens, (int64_t)id, &length);
    return take(out, text, length);
}

void part_token_names(const struct part *p, struct recognizer_config *config)
{
    bool gguf = weights_format(p->weights) == WEIGHTS_GGUF;
    if (p->naming->ours) {
        memcpy(config->bos, p->config.bos, sizeof config->bos);
        memcpy(config->eos, p->config.eos, sizeof config->eos);
        return;
    }
    json_t *settings = gguf ? NULL : read_beside(p, "tokenizer_config.json");
    if (!(gguf ? inside(config->eos, p->weights, "eos") : beside(config->eos, p, settings, "eos")))
        config->eos[0] = '\0';
    if (!(gguf ? inside(config->bos, p->weights, "bos") : beside(config->bos, p, settings, "bos")))
        memcpy(config->bos, config->eos, sizeof config->bos);
    json_decref(settings);
}
