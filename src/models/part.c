/*
 * Finding out what a file is, and giving the tensors of a part their numbers by its rules
 * (part_naming.h).
 */
#include "models/part_naming.h"

#include "base/file.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_LIMIT_BYTES = 4 << 20, CAPTURES = 3 };

static const struct part_naming *const namings[PART_KINDS] = {
    [PART_AUDIO] = part_audio_namings,
    [PART_VIDEO] = part_video_namings,
    [PART_LLM] = part_llm_namings,
    [PART_ADAPTERS] = part_adapter_namings,
};

const char *part_kind_name(enum part_kind kind)
{
    static const char *const names[PART_KINDS] = {"audio", "video", "llm", "adapters"};
    return names[kind];
}

static const char *kind_wanted(enum part_kind kind)
{
    static const char *const names[PART_KINDS] = {
        "a Whisper model", "an AV-HuBERT model", "a Llama-type LLM",
        "projectors (of Llama-AVSR, Omni-AVSR or a model of ours)"};
    return names[kind];
}

/* ---- finding tensors --------------------------------------------------------------------- */

const struct stored_tensor *part_find(const struct part *p, const char *name)
{
    char full[STORED_MAX_NAME + 1];
    if (snprintf(full, sizeof full, "%s%s", p->prefix, name) >= (int)sizeof full)
        return NULL;
    const struct stored_tensor *t = weights_find(p->weights, full);
    if (t)
        p->used[t - weights_at(p->weights, 0)] = true;
    return t;
}

int64_t part_side(const struct part *p, int dimension, const char *format, ...)
{
    char name[STORED_MAX_NAME + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const struct stored_tensor *t = part_find(p, name);
    return t && dimension < t->dims ? t->shape[dimension] : 0;
}

int part_count(const struct part *p, const char *format)
{
    const char *number = strstr(format, "%d");
    int count = 0;
    for (;; count++) {
        char name[STORED_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s%d%s", (int)(number - format), format, count, number + 2);
        if (!part_find(p, name))
            return count;
    }
}

bool part_json_number(const struct part *p, const char *key, double *value)
{
    const json_t *j = json_object_get(p->json, key);
    if (json_is_boolean(j))
        *value = json_is_true(j);
    else if (json_is_number(j))
        *value = json_number_value(j);
    else
        return false;
    return true;
}

/* ---- what it is -------------------------------------------------------------------------- */

static bool architecture_is(const struct weights *w, const char *wanted)
{
    const char *found = wanted ? weights_text(w, "general.architecture") : NULL;
    return !wanted || (found && strcmp(found, wanted) == 0);
}

/* A model of ours is known by how names begin. */
static bool begins(const struct weights *w, const char *probe)
{
    for (int i = 0; i < weights_count(w); i++)
        if (strncmp(weights_at(w, i)->name, probe, strlen(probe)) == 0)
            return true;
    return false;
}

/* The shortest text before a name that ends in the first probe and behind which the second is also
   there; false: none. */
static bool find_prefix(char *prefix, const struct weights *w, const struct part_naming *n)
{
    size_t tail = strlen(n->probes[0]), best = SIZE_MAX;
    prefix[0] = '\0';
    if (n->ours)
        return begins(w, n->probes[0]) && (!n->probes[1] || begins(w, n->probes[1]));
    if (!architecture_is(w, n->architecture))
        return false;
    for (int i = 0; i < weights_count(w); i++) {
        const char *name = weights_at(w, i)->name;
        size_t length = strlen(name);
        if (length < tail || length - tail >= best ||
            strcmp(name + length - tail, n->probes[0]) != 0)
            continue;
        char other[2 * STORED_MAX_NAME];
        snprintf(other, sizeof other, "%.*s%s", (int)(length - tail), name,
                 n->probes[1] ? n->probes[1] : n->probes[0]);
        if (!weights_find(w, other))
            continue;
        best = length - tail;
        snprintf(prefix, STORED_MAX_NAME + 1, "%.*s", (int)best, name);
    }
    return best != SIZE_MAX;
}

static const struct part_naming *find_naming(char *prefix, const struct weights *w,
                                             enum part_kind kind)
{
    for (const struct part_naming *n = namings[kind]; n->family; n++)
        if (find_prefix(prefix, w, n))
            return n;
    return NULL;
}

static int refuse(const struct weights *w, enum part_kind kind, struct error *err)
{
    char prefix[STORED_MAX_NAME + 1];
    const char *wanted = kind_wanted(kind), *path = weights_path(w);
    for (int other = PART_KINDS - 1; other >= 0; other--) { /* adapters hold other parts too */
        const struct part_naming *n = find_naming(prefix, w, (enum part_kind)other);
        if (n)
            return error_set(err, ERROR_FORMAT, "%s: this is %s (%s), %s was expected", path,
                             other == PART_ADAPTERS ? n->family
                                                    : kind_wanted((enum part_kind)other),
                             n->publisher, wanted);
    }
    const char *architecture = weights_text(w, "general.architecture");
    if (architecture)
        return error_set(err, ERROR_FORMAT,
                         "%s: this is a GGUF file of a %.60s model, %s was "
                         "expected",
                         path, architecture, wanted);
    if (weights_count(w) == 0)
        return error_set(err, ERROR_FORMAT, "%s: no tensors, %s was expected", path, wanted);
    return error_set(err, ERROR_FORMAT,
                     "%s: %s was expected; its tensors are others, such as %.80s", path, wanted,
                     weights_at(w, 0)->name);
}

/* ---- opening ----------------------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    struct stat st;
    char *folder = memory_strdup(path);
    if (!folder || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return folder;
    char *slash = strrchr(folder, '/');
    if (slash == folder)
        slash++;
    if (slash) {
        *slash = '\0';
        return folder;
    }
    memory_free(folder);
    return memory_strdup(".");
}

/* config.json, where there is one. */
static int read_json(json_t **json, const char *folder, struct error *err)
{
    char *path = file_join(folder, "config.json"), *text = NULL;
    size_t size;
    struct stat st;
    json_error_t fault;
    int rc = path ? 0 : error_set(err, ERROR_MEMORY, "%s: out of memory", folder);
    *json = NULL;
    if (rc == 0 && stat(path, &st) == 0 &&
        (rc = file_read(&text, &size, path, JSON_LIMIT_BYTES, err)) == 0) {
        *json = json_loadb(text, size, 0, &fault);
        if (!*json)
            rc = error_set(err, ERROR_FORMAT, "%s:%d: %s", path, fault.line, fault.text);
        memory_free(text);
    }
    memory_free(path);
    return rc;
}

static void describe(struct part *p)
{
    int d = p->config.llm.d, layers = p->config.llm.layers;
    const char *model = json_string_value(json_object_get(p->json, "model_type"));
    const char *family = model && strcmp(model, "qwen2") == 0 ? "Qwen2" : p->naming->family;
    const struct stored_tensor *t = part_find(p, p->naming->probes[0]);
    if (p->kind == PART_AUDIO)
        d = p->config.audio.d, layers = p->config.audio.layers;
    if (p->kind == PART_VIDEO)
        d = p->config.video.d, layers = p->config.video.layers;
    if (p->kind == PART_ADAPTERS || !t)
        snprintf(p->description, sizeof p->description, "%s (%s)", family, p->naming->publisher);
    else
        snprintf(p->description, sizeof p->description, "%s, %d layers of %d (%s, %s)", family,
                 layers, d, p->naming->publisher, dtype_name(t->dtype));
}

static int open_file(struct part *p, const char *path, struct error *err)
{
    char prefix[STORED_MAX_NAME + 1];
    int rc = weights_open(&p->weights, path, err);
    if (rc != 0)
        return rc;
    p->naming = find_naming(prefix, p->weights, p->kind);
    if (!p->naming)
        return refuse(p->weights, p->kind, err);
    p->prefix = memory_strdup(prefix);
    p->folder = folder_of(path);
    p->used = memory_new((size_t)weights_count(p->weights), sizeof *p->used);
    if (!p->prefix || !p->folder || !p->used)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    return read_json(&p->json, p->folder, err);
}

/* What the file says must be good by itself; the rest of the configuration is not its business. */
static int configure(struct part *p, struct error *err)
{
    config_default(&p->config);
    p->config.llm.vocab = 1;
    int rc = p->naming->configure(p, &p->config, err);
    return rc != 0 ? rc : config_check(&p->config, weights_path(p->weights), err);
}

int part_open(struct part **out, enum part_kind kind, const char *path, struct error *err)
{
    struct part *p = memory_new(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    p->kind = kind;
    int rc = open_file(p, path, err);
    if (rc == 0)
        rc = configure(p, err);
    if (rc != 0) {
        part_close(p);
        return rc;
    }
    describe(p);
    *out = p;
    return 0;
}

void part_close(struct part *p)
{
    if (!p)
        return;
    for (int64_t i = 0; i < p->memory_count; i++)
        memory_free(p->memory[i]);
    memory_free(p->memory);
    memory_free(p->used);
    memory_free(p->prefix);
    memory_free(p->folder);
    json_decref(p->json);
    weights_close(p->weights);
    memory_free(p);
}

const char *part_description(const struct part *p)
{
    return p->description;
}

/* Of our own models, those that hold a copy of the published network. */
const char *part_licence(const struct part *p)
{
    bool published = !p->naming->ours || p->config.video.audio_branch_zeros;
    return p->kind == PART_VIDEO && published
               ? "AV-HuBERT's licence (Meta Platforms) allows non-commercial research only"
               : NULL;
}

int part_config(const struct part *p, struct recognizer_config *config, struct error *err)
{
    switch (p->kind) {
    case PART_AUDIO:
        config->has_audio = true;
        config->audio = p->config.audio;
        return 0;
    case PART_VIDEO:
        config->has_video = true;
        config->video = p->config.video;
        return 0;
    case PART_LLM:
        config->llm = p->config.llm;
        part_token_names(p, config);
        return 0;
    case PART_ADAPTERS:
    case PART_KINDS:
        break;
    }
    return part_adapter_config(p, config, err);
}

/* ---- loading ----------------------------------------------------------------------------- */

struct capture {
    const char *text;
    int length;
};

/* Whether the name fits; what '%' and '*' stood for. */
static bool fits(const char *pattern, const char *name, struct capture captures[CAPTURES])
{
    int n = 0;
    for (; *pattern; pattern++) {
        const char *start = name;
        if (*pattern == '*') {
            captures[n] = (struct capture){name, (int)strlen(name)};
            return true;
        }
        if (*pattern != '%') {
            if (*pattern != *name++)
                return false;
            continue;
        }
        while (isdigit((unsigned char)*name))
            name++;
        if (name == start)
            return false;
        captures[n++] = (struct capture){start, (int)(name - start)};
    }
    return *name == '\0';
}

static void fill_in(char *out, size_t room, const char *pattern, const struct capture *captures)
{
    size_t at = 0;
    for (; *pattern && at + 1 < room; pattern++) {
        if (*pattern == '%' || *pattern == '*') {
            int n = snprintf(out + at, room - at, "%.*s", captures->length, captures->text);
            at += (size_t)n < room - at ? (size_t)n : room - at - 1;
            captures++;
        } else {
            out[at++] = *pattern;
        }
    }
    out[at] = '\0';
}

/* Whisper's position table is left out of some files: it is a formula. */
static int give_sinusoids(struct part *p, struct param_entry *entry, struct error *err)
{
    struct tensor *t = entry->tensor;
    struct tensor table = {.dims = t->dims, .shape = {t->shape[0], t->shape[1]}};
    table.data = part_memory(p, (size_t)tensor_count(t) * sizeof(float), err);
    if (!table.data)
        return err->code;
    struct param_initialiser formula;
    param_initialiser_init(&formula, 0);
    formula.visitor.visit(&formula.visitor, entry->name, &table, PARAM_SINUSOID);
    parameter_borrow(t, table.dims, table.shape, DTYPE_F32, table.data);
    return 0;
}

static bool lies_in(const struct tensor *t, const struct stored_tensor *from)
{
    uintptr_t at = (uintptr_t)(t->stored ? t->stored : t->data), start = (uintptr_t)from->data;
    return at >= start && at - start < (uintptr_t)from->bytes;
}

/* *missing: their name for it, where the file has none. */
static int load_one(struct part *p, struct param_entry *entry, char missing[STORED_MAX_NAME],
                    struct error *err)
{
    missing[0] = '\0';
    char renamed[STORED_MAX_NAME];
    const char *ours = entry->name;
    if (p->naming->rename && p->naming->rename(p, renamed, sizeof renamed, ours))
        ours = renamed;
    for (const struct part_rule *r = p->naming->rules; r->ours; r++) {
        struct capture captures[CAPTURES] = {0};
        char name[STORED_MAX_NAME], scale_name[STORED_MAX_NAME];
        if (!fits(r->ours, ours, captures))
            continue;
        fill_in(name, sizeof name, r->theirs, captures);
        const struct stored_tensor *from = part_find(p, name), *scale = NULL;
        if (from && r->scale) {
            fill_in(scale_name, sizeof scale_name, r->scale, captures);
            scale = part_find(p, scale_name);
        }
        if (from && (scale || !r->scale)) {
            missing[0] = '\0';
            int rc = part_give(p, entry, r, from, scale, err);
            if (rc == 0 && !lies_in(entry->tensor, from))
                weights_forget(p->weights, from);
            return rc;
        }
        if (!missing[0])
            snprintf(missing, STORED_MAX_NAME, "%s", name);
    }
    if (entry->kind == PARAM_SINUSOID) {
        missing[0] = '\0';
        return give_sinusoids(p, entry, err);
    }
    if (!missing[0])
        snprintf(missing, STORED_MAX_NAME, "%s", entry->name);
    return 0;
}

/* A model of ours has other parts, which are no business of this one. */
static bool is_other_part(const struct part *p, const char *name)
{
    static const char *const parts[] = {"audio.", "video.", "llm."};
    bool named[PART_KINDS] = {false};
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
        named[k] = strncmp(name, parts[k], strlen(parts[k])) == 0;
    named[PART_ADAPTERS] = !named[PART_AUDIO] && !named[PART_VIDEO] && !named[PART_LLM];
    return p->naming->ours && !named[p->kind];
}

static int report_left(const struct part *p, struct part_report *report, struct error *err)
{
    int count = weights_count(p->weights), left = 0;
    for (int i = 0; i < count; i++) {
        p->used[i] |= is_other_part(p, weights_at(p->weights, i)->name);
        left += !p->used[i];
    }
    report->left = memory_new((size_t)left, sizeof *report->left);
    for (int i = 0; report->left && i < count; i++) {
        if (p->used[i])
            continue;
        report->left[report->left_over] = memory_strdup(weights_at(p->weights, i)->name);
        if (!report->left[report->left_over++])
            break;
    }
    if (report->left_over == left && (left == 0 || report->left[left - 1]))
        return 0;
    return error_set(err, ERROR_MEMORY, "%s: out of memory", weights_path(p->weights));
}

int part_load(struct part *p, const struct param_list *list, struct part_report *report,
              struct error *err)
{
    char name[STORED_MAX_NAME], first[STORED_MAX_NAME] = "";
    struct part_report counts = {0};
    int rc = 0;
    if (p->kind == PART_LLM) /* of the others' files only a part is wanted */
        weights_expect(p->weights);
    for (int64_t i = 0; rc == 0 && i < list->count; i++) {
        rc = load_one(p, &list->entries[i], name, err);
        if (name[0] && counts.missing++ == 0)
            snprintf(first, sizeof first, "%s", name);
        else if (!name[0])
            counts.loaded++;
    }
    if (rc == 0 && counts.missing > 0)
        rc = error_set(err, ERROR_FORMAT, "%s: tensor %s%.100s is missing, and %lld more (%s)",
                       weights_path(p->weights), p->prefix, first, (long long)counts.missing - 1,
                       p->description);
    int64_t merged = 0;
    if (rc == 0 && p->kind == PART_VIDEO && !p->naming->ours) /* Llama-AVSR's factor */
        rc = part_merge_lora(p, "", list, 2, &merged, err);
    if (rc == 0 && report)
        rc = report_left(p, &counts, err);
    if (report)
        *report = counts;
    return rc;
}

void part_report_release(struct part_report *r)
{
    for (int64_t i = 0; i < r->left_over; i++)
        memory_free(r->left[i]);
    memory_free(r->left);
    *r = (struct part_report){0};
}
