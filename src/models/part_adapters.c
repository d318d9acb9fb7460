/*
 * What is trained between and inside published parts.
 *
 * Of Llama-AVSR and Omni-AVSR (Cappellazzo et al. 2025; names read in their checkpoints' code):
 *
 *     [model.]{audio,video}_proj[.N].{0,2,3}.{weight,bias}   one for all rates, or N = the rate's
 *                                                             place in the list; 3, a layer norm,
 *                                                             only where the keys are
 *     [model.]llm.model.layers.L.self_attn.lora_{down,up}_{Q,V}.weight
 *     [model.]llm.model.embed_tokens.weight                   its last rows: the added tokens
 *     hyper_parameters.{rank, alpha, downsample_ratio_audio, ...}   in Lightning's files
 *
 *     LoRA: W + (alpha / rank) up down; "rank" divides: down is [d / rank, d]. So the factor cannot
 *     be told from the shapes; without hyper_parameters it is 1/8, as in all published commands.
 *
 * Of our own models: projectors, experts and LoRA of a model folder, by our own names.
 */
#include "models/part_naming.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files of our own -------------------------------------------------------------------- */

const struct part_rule part_own_rules[PART_KINDS][2] = {
    [PART_AUDIO] = {{"*", "audio.*", LAYOUT_SAME, NULL}},
    [PART_VIDEO] = {{"*", "video.*", LAYOUT_SAME, NULL}},
    [PART_LLM] = {{"*", "llm.*", LAYOUT_SAME, NULL}},
    [PART_ADAPTERS] = {{"*", "*", LAYOUT_SAME, NULL}},
};

int part_configure_own(const struct part *p, struct recognizer_config *config, struct error *err)
{
    char *path = file_join(p->folder, "config.json");
    char *text = p->json ? json_dumps(p->json, 0) : NULL;
    int rc;
    if (!p->json)
        rc = error_set(err, ERROR_FORMAT, "%s: no config.json beside it", weights_path(p->weights));
    else if (!path || !text)
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", weights_path(p->weights));
    else
        rc = config_from_json(config, text, path, err);
    free(text);
    memory_free(path);
    return rc;
}

/* ---- published checkpoints --------------------------------------------------------------- */

static const struct part_rule published[] = {
    {"projector.tokens.weight", "llm.model.embed_tokens.weight", LAYOUT_LAST_ROWS, NULL},
    {"*", "*", LAYOUT_SAME, NULL},
    {0},
};

struct modality {
    const char *name;
    int *rates, *count;
};

static void modalities(struct modality m[2], struct projector_config *p)
{
    m[0] = (struct modality){"audio", p->audio_rates, &p->audio_rate_count};
    m[1] = (struct modality){"video", p->video_rates, &p->video_rate_count};
}

/* "projector.audio.RATE.2.bias" as "audio_proj.PLACE.2.bias" or "audio_proj.2.bias" */
static bool rename_projector(const struct part *p, char *out, size_t room, const char *name)
{
    struct projector_config config = p->config.projector;
    struct modality m[2];
    modalities(m, &config);
    for (int k = 0; k < 2; k++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "projector.%s.", m[k].name);
        if (strncmp(name, prefix, strlen(prefix)) != 0)
            continue;
        char *rest;
        long rate = strtol(name + strlen(prefix), &rest, 10);
        int place = 0;
        while (place < *m[k].count && m[k].rates[place] != rate)
            place++;
        if (part_side(p, 0, "%s_proj.0.weight", m[k].name) > 0)
            snprintf(out, room, "%s_proj%s", m[k].name, rest);
        else
            snprintf(out, room, "%s_proj.%d%s", m[k].name, place, rest);
        return true;
    }
    return false;
}

/* As many projectors as there are; 1 that serves any number of rates; 0: none. */
static int projectors(const struct part *p, const char *modality, bool *single)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "%s_proj.%%d.0.weight", modality);
    *single = part_side(p, 0, "%s_proj.0.weight", modality) > 0;
    return *single ? 1 : part_count(p, pattern);
}

/* From "hyper_parameters.downsample_ratio_audio", one number or several; false: not said. */
static bool said_rates(const struct part *p, const char *modality, int *rates, int *count)
{
    char key[96];
    double value;
    snprintf(key, sizeof key, "hyper_parameters.downsample_ratio_%s", modality);
    if (weights_number(p->weights, key, &value)) {
        rates[0] = part_int(value);
        *count = 1;
        return true;
    }
    int n = 0;
    for (; n < CONFIG_MAX_RATES; n++) {
        snprintf(key, sizeof key, "hyper_parameters.downsample_ratio_%s.%d", modality, n);
        if (!weights_number(p->weights, key, &value))
            break;
        rates[n] = part_int(value);
    }
    if (n > 0)
        *count = n;
    return n > 0;
}

int part_adapter_rates(struct part *p, const struct projector_config *rates, struct error *err)
{
    struct projector_config wanted = *rates;
    struct modality to[2], from[2];
    if (p->naming->ours)
        return 0;
    modalities(to, &p->config.projector);
    modalities(from, &wanted);
    for (int k = 0; k < 2; k++) {
        bool single;
        int n = projectors(p, to[k].name, &single);
        if (n > 0 && !said_rates(p, to[k].name, to[k].rates, to[k].count)) {
            *to[k].count = *from[k].count;
            memcpy(to[k].rates, from[k].rates, sizeof wanted.audio_rates);
        }
        if (n > 0 && !single && *to[k].count != n)
            return error_set(err, ERROR_USAGE,
                             "%s: %d %s projectors, but %d rates; name theirs, in their order",
                             weights_path(p->weights), n, to[k].name, *to[k].count);
    }
    return 0;
}

static bool has_norm(const struct part *p, const char *modality)
{
    return part_side(p, 0, "%s_proj.0.3.weight", modality) > 0 ||
           part_side(p, 0, "%s_proj.3.weight", modality) > 0;
}

static int64_t first_side(const struct part *p, int dimension, const char *modality)
{
    int64_t side = part_side(p, dimension, "%s_proj.0.weight", modality);
    return side ? side : part_side(p, dimension, "%s_proj.0.0.weight", modality);
}

static int configure(const struct part *p, struct recognizer_config *config, struct error *err)
{
    struct projector_config *c = &config->projector;
    bool single, hears = projectors(p, "audio", &single) > 0,
                 sees = projectors(p, "video", &single) > 0;
    c->hidden = part_int((double)first_side(p, 0, hears ? "audio" : "video"));
    c->norm = has_norm(p, hears ? "audio" : "video");
    if (hears && sees && c->norm != has_norm(p, "video"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: only one of audio_proj and video_proj ends in a layer norm",
                         weights_path(p->weights));
    if (part_side(p, 0, "llm.model.layers.0.self_attn.lora_down_Q.audio.weight") > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: LoRA of its own for each task, which one set of weights cannot hold",
                         weights_path(p->weights));
    if (hears)
        said_rates(p, "audio", c->audio_rates, &c->audio_rate_count);
    if (sees)
        said_rates(p, "video", c->video_rates, &c->video_rate_count);
    config->mome.placement = MOME_NONE;
    return 0;
}

/* Stacked frames make the first layer as many times wider as the rate says. */
static int find_stacking(const struct part *p, struct recognizer_config *config, struct error *err)
{
    const struct projector_config *c = &config->projector;
    bool hears = config->has_audio && first_side(p, 1, "audio") > 0;
    int64_t width = first_side(p, 1, hears ? "audio" : "video");
    int64_t d = hears ? config->audio.d : config->video.d;
    int64_t rate = hears ? c->audio_rates[0] : c->video_rates[0];
    config->projector.stack = width == d * rate && rate > 1;
    if (width == d || config->projector.stack)
        return 0;
    return error_set(err, ERROR_FORMAT,
                     "%s: projectors of %lld numbers, the encoder has %lld (rate %lld)",
                     weights_path(p->weights), (long long)width, (long long)d, (long long)rate);
}

int part_adapter_config(const struct part *p, struct recognizer_config *config, struct error *err)
{
    config->projector = p->config.projector;
    if (p->naming->ours) {
        config->mome = p->config.mome;
        config->lora = p->config.lora;
        if (part_merges(p))
            config->lora.inner = 0;
        config->audio.exact_window = p->config.audio.exact_window;
        config->longest_seconds = p->config.longest_seconds;
        memcpy(config->prompts, p->config.prompts, sizeof config->prompts);
        return 0;
    }
    return find_stacking(p, config, err);
}

/* ---- LoRA -------------------------------------------------------------------------------- */

static int factor(float *out, const struct part *p, const char *name, const char *letter,
                  const struct stored_tensor *t, int64_t rows, int64_t width, struct error *err)
{
    if (t->dims == 2 && t->shape[0] == rows && t->shape[1] == width) {
        int rc = stored_read(out, t, 0, t->count, err);
        return rc == 0 ? 0 : error_prefix(err, "%s", weights_path(p->weights));
    }
    return error_set(err, ERROR_FORMAT, "%s: LoRA's %s for %s of %.100s has the wrong shape",
                     weights_path(p->weights), t->name, letter, name);
}

/* W [out, in] += scale up [out, r] down [r, in] */
static int merge_one(const struct part *p, struct param_entry *entry, const char *letter,
                     const struct stored_tensor *down, const struct stored_tensor *up, float scale,
                     struct error *err)
{
    struct tensor *w = entry->tensor;
    int64_t in = tensor_width(w), out = tensor_rows(w), rank = down->dims > 0 ? down->shape[0] : 0;
    float *d = memory_new((size_t)down->count, sizeof *d);
    float *u = memory_new((size_t)up->count, sizeof *u);
    int rc = d && u ? 0 : error_set(err, ERROR_MEMORY, "no memory for LoRA");
    if (rc == 0 && (rc = factor(d, p, entry->name, letter, down, rank, in, err)) == 0 &&
        (rc = factor(u, p, entry->name, letter, up, out, rank, err)) == 0 &&
        (rc = parameter_own(w, err)) == 0) {
        for (int64_t o = 0; o < out; o++)
            for (int64_t r = 0; r < rank; r++)
                for (int64_t i = 0; i < in; i++)
                    w->data[o * in + i] += scale * u[o * rank + r] * d[r * in + i];
        parameter_changed(w);
    }
    memory_free(d);
    memory_free(u);
    return rc;
}

/* "[model.]layers.L.self_attn.q_proj.weight" in the file: theirs
   "....self_attn.lora_down_Q.weight", ours "layers.L.q.down.weight". */
static void name_factor(char out[STORED_MAX_NAME], const struct part *p, const char *prefix,
                        const char *name, const char *letter, const char *which)
{
    const char *end = strstr(name, *letter == 'Q' ? "q_proj" : "v_proj");
    const char *layer = strstr(name, "layers.");
    if (p->naming->ours && layer)
        snprintf(out, STORED_MAX_NAME, "%slayers.%d.%s.%s.weight", prefix, atoi(layer + 7),
                 *letter == 'Q' ? "q" : "v", which);
    else
        snprintf(out, STORED_MAX_NAME, "%s%.*slora_%s_%s.weight", prefix, (int)(end - name), name,
                 which, letter);
}

int part_merge_lora(const struct part *p, const char *prefix, const struct param_list *list,
                    float scale, int64_t *merged, struct error *err)
{
    for (int64_t i = 0; i < list->count; i++) {
        struct param_entry *e = &list->entries[i];
        const char *q = strstr(e->name, "q_proj.weight"), *v = strstr(e->name, "v_proj.weight");
        const char *letter = q ? "Q" : "V";
        char down[STORED_MAX_NAME], up[STORED_MAX_NAME];
        if (!q && !v)
            continue;
        name_factor(down, p, prefix, e->name, letter, "down");
        name_factor(up, p, prefix, e->name, letter, "up");
        const struct stored_tensor *down_t = part_find(p, down), *up_t = part_find(p, up);
        if (!down_t && !up_t)
            continue;
        int rc = down_t && up_t ? merge_one(p, e, letter, down_t, up_t, scale, err)
                                : error_set(err, ERROR_FORMAT,
                                            "%s: LoRA for %.100s lacks one of its two "
                                            "factors",
                                            weights_path(p->weights), e->name);
        if (rc != 0)
            return rc;
        ++*merged;
    }
    return 0;
}

bool part_merges(const struct part *adapters)
{
    const struct lora_config *l = &adapters->config.lora;
    return !adapters->naming->ours || (l->inner > 0 && !l->per_rate);
}

int part_merge(const struct part *adapters, enum part_kind kind, const struct param_list *list,
               int64_t *merged, struct error *err)
{
    const struct recognizer_config *ours = &adapters->config;
    double rank, alpha;
    float scale = 0.125f;
    if (adapters->naming->ours && kind == PART_VIDEO)
        return part_merge_lora(adapters, "video_lora.", list, ours->video_lora.scale, merged, err);
    if (kind == PART_VIDEO || !part_merges(adapters)) /* theirs is merged with the encoder itself */
        return 0;
    if (adapters->naming->ours)
        return part_merge_lora(adapters, "lora.", list, ours->lora.scale, merged, err);
    if (weights_number(adapters->weights, "hyper_parameters.rank", &rank) &&
        weights_number(adapters->weights, "hyper_parameters.alpha", &alpha) && rank > 0)
        scale = (float)(alpha / rank);
    return part_merge_lora(adapters, "llm.", list, scale, merged, err);
}

/* ---- the table --------------------------------------------------------------------------- */

#define PUBLISHED(probe)                                                                           \
    {                                                                                              \
        .kind = PART_ADAPTERS, .family = "projectors and LoRA", .publisher = "Llama-AVSR",         \
        .probes = {probe, NULL}, .rules = published, .rename = rename_projector,                   \
        .configure = configure,                                                                    \
    }
const struct part_naming part_adapter_namings[] = {
    PUBLISHED("audio_proj.0.weight"),
    PUBLISHED("audio_proj.0.0.weight"),
    PUBLISHED("video_proj.0.weight"),
    PUBLISHED("video_proj.0.0.weight"),
    {.kind = PART_ADAPTERS,
     .family = "projectors and experts",
     .publisher = "mome",
     .probes = {"projector.", NULL},
     .rules = part_own_rules[PART_ADAPTERS],
     .ours = true,
     .configure = part_configure_own},
    {0},
};
