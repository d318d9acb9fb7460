/*
 * The model folder: config.json, model.safetensors, tokenizer.json (or, where the LLM is a
 * published file, that one's tokenizer with our tokens added), and the published files that
 * config.json refers to. Loading never makes memory for what a file's own memory can be.
 */
#include "models/recognizer.h"

#include "base/file.h"
#include "models/params.h"
#include "models/part.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT_BYTES = 1 << 20 };

static const char *const prefixes[CONFIG_PARTS] = {"audio.", "video.", "llm."};

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

/* `text` with the members of `changes`, both JSON objects, laid over it: free. */
static char *changed_json(const char *text, const char *changes)
{
    json_t *base = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *over = json_loads(changes, JSON_REJECT_DUPLICATES, NULL);
    char *result = NULL;
    if (base && over && json_object_update_recursive(base, over) == 0)
        result = json_dumps(base, 0);
    json_decref(base);
    json_decref(over);
    return result;
}

/* changes NULL: none. */
static int read_config(struct recognizer_config *config, const char *path, const char *changes,
                       struct error *err)
{
    char *text, *changed = NULL;
    size_t size;
    int rc = file_read(&text, &size, path, CONFIG_LIMIT_BYTES, err);
    if (rc != 0)
        return rc;
    if (changes && !(changed = changed_json(text, changes)))
        rc = error_set(err, ERROR_FORMAT, "%s: not a JSON object", path);
    else
        rc = config_from_json(config, changed ? changed : text, path, err);
    free(changed);
    memory_free(text);
    return rc;
}

int recognizer_read_config(struct recognizer_config *config, const char *folder,
                           const char *changes, struct error *err)
{
    struct folder_paths paths;
    int rc = folder_paths_init(&paths, folder, err);
    if (rc != 0)
        return rc;
    rc = read_config(config, paths.config, changes, err);
    folder_paths_release(&paths);
    return rc;
}

static int list_params(struct param_list *list, struct recognizer *r, struct error *err)
{
    param_list_init(list, err);
    recognizer_params(r, &list->visitor);
    return list->code;
}

/* ---- parts ------------------------------------------------------------------------------- */

/* The part that a parameter belongs to, of those that are referred to; -1: the model's own. */
static int part_of(const struct recognizer *r, const char *name)
{
    for (int k = 0; k < CONFIG_PARTS; k++)
        if (r->parts[k] && strncmp(name, prefixes[k], strlen(prefixes[k])) == 0)
            return k;
    return -1;
}

/* Numbers of a part that the model's own file has others for. */
static bool is_changed(const struct recognizer *r, const struct param_entry *e)
{
    return r->own && weights_find(r->own, e->name);
}

static void add(struct param_list *to, const struct param_entry *e, size_t prefix)
{
    to->visitor.visit(&to->visitor, e->name + prefix, e->tensor, e->kind);
}

static int load_part(struct recognizer *r, int kind, const struct param_list *all,
                     struct part_report *report, struct error *err)
{
    struct param_list list;
    param_list_init(&list, err);
    for (int64_t i = 0; i < all->count; i++)
        if (part_of(r, all->entries[i].name) == kind && !is_changed(r, &all->entries[i]))
            add(&list, &all->entries[i], strlen(prefixes[kind]));
    int rc = list.code ? list.code : part_load(r->parts[kind], &list, report, err);
    param_list_release(&list);
    return rc;
}

int recognizer_take_parts(struct recognizer *r, struct part *const *parts,
                          struct part_report *reports, struct error *err)
{
    struct param_list all;
    memcpy(r->parts, parts, sizeof r->parts);
    int rc = list_params(&all, r, err);
    for (int k = 0; k < CONFIG_PARTS && rc == 0; k++)
        if (parts[k])
            rc = load_part(r, k, &all, reports ? &reports[k] : NULL, err);
    param_list_release(&all);
    return rc;
}

/* some: what the file lacks, or has in another shape, is left for recognizer_start. */
static int load_own(struct recognizer *r, bool some, struct error *err)
{
    struct param_list all, own;
    param_list_init(&own, err);
    int rc = list_params(&all, r, err);
    for (int64_t i = 0; rc == 0 && i < all.count; i++)
        if (part_of(r, all.entries[i].name) < 0 || is_changed(r, &all.entries[i]))
            add(&own, &all.entries[i], 0);
    if (rc == 0 && (rc = own.code) == 0)
        rc = some ? params_borrow_some(&own, r->own, err) : params_borrow(&own, r->own, err);
    param_list_release(&own);
    param_list_release(&all);
    return rc;
}

/* Paths in config.json count from its folder; in memory they are absolute. */
static int open_parts(struct part *parts[CONFIG_PARTS], struct recognizer_config *config,
                      const char *folder, struct error *err)
{
    int rc = 0;
    for (int k = 0; k < CONFIG_PARTS && rc == 0; k++) {
        char absolute[PATH_MAX];
        if (!config->parts[k][0])
            continue;
        char *path = file_join(folder, config->parts[k]);
        if (!path)
            return error_set(err, ERROR_MEMORY, "%s: no memory for its name", folder);
        if (!realpath(path, absolute) || strlen(absolute) >= CONFIG_MAX_PATH)
            rc = error_set(err, ERROR_IO,
                           "%s: the %s part %s is not there: fetch it (the model's README.md "
                           "says how), or assemble the model anew",
                           folder, part_kind_name((enum part_kind)k), path);
        else
            rc = part_open(&parts[k], (enum part_kind)k, absolute, err);
        if (rc == 0)
            memcpy(config->parts[k], absolute, strlen(absolute) + 1);
        memory_free(path);
    }
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------- */

/* The folder's, or the published LLM's. */
static int open_tokenizer(struct tokenizer **t, const char *path, const struct part *llm,
                          struct error *err)
{
    if (!llm)
        return tokenizer_load(t, path, err);
    int rc = part_tokenizer(llm, t, err);
    return rc ? rc : part_add_tokens(*t, err);
}

/* changed: other settings than the folder's, or NULL. */
static int open_model(struct recognizer **r, const struct folder_paths *paths, const char *folder,
                      const struct recognizer_config *changed, struct error *err)
{
    struct recognizer_config config;
    struct tokenizer *tokenizer = NULL;
    struct part *parts[CONFIG_PARTS] = {NULL};
    int rc = 0;
    if (changed)
        config = *changed;
    else
        rc = read_config(&config, paths->config, NULL, err);
    if (rc != 0)
        return rc;
    rc = open_parts(parts, &config, folder, err);
    if (rc == 0)
        rc = open_tokenizer(&tokenizer, paths->tokenizer, parts[PART_LLM], err);
    if (rc != 0)
        tokenizer_free(tokenizer);
    else
        rc = recognizer_declare(r, &config, tokenizer, paths->config, err);
    if (rc != 0) {
        for (int k = 0; k < CONFIG_PARTS; k++)
            part_close(parts[k]);
        return rc;
    }
    if ((rc = weights_open(&(*r)->own, paths->weights, err)) != 0) {
        memcpy((*r)->parts, parts, sizeof parts);
        return rc;
    }
    rc = recognizer_take_parts(*r, parts, NULL, err);
    return rc != 0 ? rc : load_own(*r, changed != NULL, err);
}

static int open_folder(struct recognizer **r, const char *folder,
                       const struct recognizer_config *changed, struct error *err)
{
    struct folder_paths paths;
    *r = NULL;
    int rc = folder_paths_init(&paths, folder, err);
    if (rc != 0)
        return rc;
    rc = open_model(r, &paths, folder, changed, err);
    if (rc != 0) {
        recognizer_free(*r);
        *r = NULL;
    }
    folder_paths_release(&paths);
    return rc;
}

int recognizer_open(struct recognizer **r, const char *folder, struct error *err)
{
    return open_folder(r, folder, NULL, err);
}

/* A new rate's projector starts as the nearest one that the folder has. */
static int start_projectors(struct projector *projectors, int count, struct error *err)
{
    bool there[CONFIG_MAX_RATES];
    int rc = 0;
    for (int i = 0; i < count; i++)
        there[i] = projectors[i].in.weight.data || projectors[i].in.weight.stored;
    for (int i = 0; i < count; i++) {
        int best = -1;
        for (int k = 0; !there[i] && k < count; k++)
            if (there[k] && (best < 0 || abs(projectors[k].rate - projectors[i].rate) <
                                             abs(projectors[best].rate - projectors[i].rate)))
                best = k;
        if (best >= 0 && !projectors[i].stack)
            rc = rc ? rc : projector_copy(&projectors[i], &projectors[best], err);
    }
    return rc;
}

int recognizer_open_changed(struct recognizer **r, const char *folder,
                            const struct recognizer_config *config, uint64_t seed,
                            struct error *err)
{
    int rc = open_folder(r, folder, config, err);
    if (rc != 0)
        return rc;
    const struct projector_config *p = &config->projector;
    if (config->has_audio)
        rc = start_projectors((*r)->audio_projectors, p->audio_rate_count, err);
    if (rc == 0 && config->has_video)
        rc = start_projectors((*r)->video_projectors, p->video_rate_count, err);
    if (rc != 0 || (rc = recognizer_start(*r, seed, err)) != 0) {
        recognizer_free(*r);
        *r = NULL;
    }
    return rc;
}

/* ---- saving ------------------------------------------------------------------------------ */

/* `path` seen from `folder`, both absolute: "../" for each folder of the way that is not shared. */
static int relative(char out[CONFIG_MAX_PATH], const char *folder, const char *path)
{
    size_t shared = 0, at = 0;
    size_t i = 0;
    for (; folder[i] && folder[i] == path[i]; i++)
        if (folder[i] == '/')
            shared = i + 1;
    if (!folder[i] && path[i] == '/')
        shared = i + 1;
    const char *rest = strlen(folder) >= shared ? folder + shared : "";
    for (const char *p = rest; *p; p++)
        if (p == rest || (p[-1] == '/' && *p != '/'))
            at += (size_t)snprintf(out + at, CONFIG_MAX_PATH - at, "../");
        else if (at + 8 > CONFIG_MAX_PATH)
            return ERROR_LIMIT;
    int n = snprintf(out + at, CONFIG_MAX_PATH - at, "%s", path + shared);
    return n >= 0 && (size_t)n < CONFIG_MAX_PATH - at ? 0 : ERROR_LIMIT;
}

static int write_config(const struct recognizer *r, const char *folder, const char *path,
                        struct error *err)
{
    struct recognizer_config config = r->config;
    char absolute[PATH_MAX];
    config.has_parts = false;
    for (int k = 0; k < CONFIG_PARTS; k++) {
        config.parts[k][0] = '\0';
        if (!r->parts[k])
            continue;
        config.has_parts = true;
        if (!realpath(folder, absolute) ||
            relative(config.parts[k], absolute, r->config.parts[k]) != 0)
            return error_set(err, ERROR_LIMIT, "%s: no path from there to %s", folder,
                             r->config.parts[k]);
    }
    char *text = config_to_json(&config);
    if (!text)
        return error_set(err, ERROR_MEMORY, "%s: no memory to write it", path);
    int rc = file_write(path, text, strlen(text), err);
    memory_free(text);
    return rc;
}

/* What is borrowed from a part is the published number; anything else is the model's own. */
static int list_own(struct param_list *own, struct recognizer *r, struct error *err)
{
    struct param_list all;
    int rc = list_params(&all, r, err);
    param_list_init(own, err);
    for (int64_t i = 0; rc == 0 && i < all.count; i++) {
        const struct param_entry *e = &all.entries[i];
        if (part_of(r, e->name) < 0 || !e->tensor->borrowed || is_changed(r, e))
            add(own, e, 0);
    }
    param_list_release(&all);
    return rc ? rc : own->code;
}

int recognizer_save(struct recognizer *r, const char *folder, bool bf16, struct error *err)
{
    struct folder_paths paths;
    struct param_list list = {0};
    int rc = folder_paths_init(&paths, folder, err);
    if (rc != 0)
        return rc;
    if ((rc = file_make_folder(folder, err)) == 0 && (rc = list_own(&list, r, err)) == 0 &&
        (rc = params_save(&list, paths.weights, bf16, "{}", err)) == 0 &&
        (r->parts[PART_LLM] || (rc = tokenizer_save(r->tokenizer, paths.tokenizer, err)) == 0))
        rc = write_config(r, folder, paths.config, err);
    param_list_release(&list);
    folder_paths_release(&paths);
    return rc;
}
