/* A model folder from published parts: configuration, tokenizer, numbers, in this order. */
#include "models/assemble.h"

#include "models/part_naming.h"
#include "models/recognizer.h"
#include "text/tokenizer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct assembly {
    const struct assemble_options *options;
    struct assemble_report *report;
    struct part *parts[PART_KINDS];
    struct recognizer_config config;
    struct tokenizer *tokenizer;
    struct recognizer *r;
};

/* ---- parts ------------------------------------------------------------------------------- */

static int open_one(struct assembly *a, int kind, const char *path, struct error *err)
{
    char absolute[PATH_MAX];
    if (!realpath(path, absolute) || strlen(absolute) >= CONFIG_MAX_PATH)
        return error_set(err, ERROR_IO, "%s: no such file or folder", path);
    int rc = part_open(&a->parts[kind], (enum part_kind)kind, absolute, err);
    if (rc == 0 && kind < CONFIG_PARTS)
        memcpy(a->config.parts[kind], absolute, strlen(absolute) + 1);
    return rc;
}

/* A published checkpoint of adapters has the video encoder that it was trained with. */
static int open_video(struct assembly *a, struct error *err)
{
    const char *video = a->options->paths[PART_VIDEO];
    const char *adapters = a->options->paths[PART_ADAPTERS];
    struct error none = {0};
    if (adapters && !a->parts[PART_ADAPTERS]->naming->ours &&
        open_one(a, PART_VIDEO, adapters, &none) == 0) {
        a->report->video_from_adapters = true;
        return 0;
    }
    return video ? open_one(a, PART_VIDEO, video, err) : 0;
}

static int open_parts(struct assembly *a, struct error *err)
{
    static const enum part_kind order[] = {PART_AUDIO, PART_LLM, PART_ADAPTERS};
    const char *const *paths = a->options->paths;
    int rc = 0;
    if (!paths[PART_LLM])
        return error_set(err, ERROR_USAGE, "a model needs an LLM: --llm FILE or FOLDER");
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof *order; i++)
        if (paths[order[i]])
            rc = open_one(a, order[i], paths[order[i]], err);
    if (rc == 0)
        rc = open_video(a, err);
    if (rc == 0 && !a->parts[PART_AUDIO] && !a->parts[PART_VIDEO])
        rc = error_set(err, ERROR_USAGE, "a model needs an encoder: --audio or --video");
    for (int k = 0; rc == 0 && k < PART_KINDS; k++) {
        if (!a->parts[k])
            continue;
        snprintf(a->report->parts[k].description, sizeof a->report->parts[k].description, "%s",
                 part_description(a->parts[k]));
        a->report->parts[k].licence = part_licence(a->parts[k]);
    }
    return rc;
}

/* ---- configuration ----------------------------------------------------------------------- */

static void choose_projectors(struct assembly *a)
{
    const struct assemble_options *o = a->options;
    struct projector_config *p = &a->config.projector;
    p->hidden = o->projector_hidden ? o->projector_hidden : 2048;
    if (o->audio_rate_count > 0) {
        p->audio_rate_count = o->audio_rate_count;
        memcpy(p->audio_rates, o->audio_rates, sizeof p->audio_rates);
    }
    if (o->video_rate_count > 0) {
        p->video_rate_count = o->video_rate_count;
        memcpy(p->video_rates, o->video_rates, sizeof p->video_rates);
    }
}

static int configure(struct assembly *a, struct error *err)
{
    struct recognizer_config *c = &a->config;
    struct part *adapters = a->parts[PART_ADAPTERS];
    int rc = 0;
    c->has_audio = c->has_video = false;
    choose_projectors(a);
    for (int k = 0; rc == 0 && k < CONFIG_PARTS; k++)
        if (a->parts[k])
            rc = part_config(a->parts[k], c, err);
    if (rc == 0 && adapters && (rc = part_adapter_rates(adapters, &c->projector, err)) == 0)
        rc = part_config(adapters, c, err);
    if (a->options->mome && (!adapters || !adapters->naming->ours))
        c->mome = *a->options->mome;
    else if (adapters && !adapters->naming->ours)
        c->mome.placement = MOME_NONE;
    if (!adapters || !adapters->naming->ours)
        c->audio.exact_window = !a->options->window_trim;
    c->has_parts = !a->options->copy;
    return rc;
}

/* Ids behind the published ones have embeddings of the model's own. */
static int add_tokens(struct assembly *a, struct error *err)
{
    int rc = part_tokenizer(a->parts[PART_LLM], &a->tokenizer, err);
    if (rc != 0)
        return rc;
    if (!a->config.eos[0])
        return error_set(err, ERROR_FORMAT, "%s: nothing says which token ends a text",
                         a->options->paths[PART_LLM]);
    struct llama_config *llm = &a->config.llm;
    int published = llm->extra_tokens > 0 ? llm->extra_from : tokenizer_size(a->tokenizer);
    rc = part_add_tokens(a->tokenizer, err);
    llm->extra_from = published;
    llm->extra_tokens = tokenizer_size(a->tokenizer) - published;
    if (rc == 0 && published > llm->vocab)
        rc = error_set(err, ERROR_FORMAT, "%s: %d embeddings, but its tokenizer has %d tokens",
                       a->options->paths[PART_LLM], llm->vocab, published);
    return rc;
}

/* ---- numbers ----------------------------------------------------------------------------- */

static int list_named(struct param_list *out, const struct assembly *a, const char *prefix,
                      bool strip, struct error *err)
{
    struct param_list all;
    param_list_init(&all, err);
    param_list_init(out, err);
    recognizer_params(a->r, &all.visitor);
    size_t length = strlen(prefix);
    for (int64_t i = 0; all.code == 0 && i < all.count; i++) {
        struct param_entry *e = &all.entries[i];
        if (strncmp(e->name, prefix, length) == 0)
            out->visitor.visit(&out->visitor, e->name + (strip ? length : 0), e->tensor, e->kind);
    }
    int rc = all.code ? all.code : out->code;
    param_list_release(&all);
    return rc;
}

static int load_named(struct assembly *a, const char *prefix, struct error *err)
{
    struct part_report *report = &a->report->parts[PART_ADAPTERS].tensors;
    struct param_list list;
    int64_t before = report->loaded;
    int rc = list_named(&list, a, prefix, false, err);
    if (rc == 0 && list.count > 0) {
        part_report_release(report); /* left over is what still is, after the last */
        rc = part_load(a->parts[PART_ADAPTERS], &list, report, err);
        report->loaded += before;
    }
    param_list_release(&list);
    return rc;
}

static int merge(struct assembly *a, enum part_kind kind, const char *prefix, struct error *err)
{
    struct param_list list;
    int rc = list_named(&list, a, prefix, true, err);
    if (rc == 0)
        rc = part_merge(a->parts[PART_ADAPTERS], kind, &list, &a->report->merged, err);
    param_list_release(&list);
    return rc;
}

/* LoRA into the LLM and the video encoder; projectors and added tokens; of a model of ours the
   experts too, and LoRA that is not merged. */
static int load_adapters(struct assembly *a, struct error *err)
{
    static const char *const prefixes[] = {"mome.", "lora.", "projector."};
    if (!a->parts[PART_ADAPTERS])
        return 0;
    bool ours = a->parts[PART_ADAPTERS]->naming->ours;
    int rc = merge(a, PART_LLM, "llm.", err);
    if (rc == 0)
        rc = merge(a, PART_VIDEO, "video.", err);
    for (size_t i = ours ? 0 : 2; rc == 0 && i < sizeof prefixes / sizeof *prefixes; i++)
        rc = load_named(a, prefixes[i], err);
    return rc;
}

static int load(struct assembly *a, struct error *err)
{
    struct part_report reports[CONFIG_PARTS] = {0};
    int rc = recognizer_declare(&a->r, &a->config, a->tokenizer, a->options->output, err);
    a->tokenizer = NULL;
    if (rc != 0)
        return rc;
    rc = recognizer_take_parts(a->r, a->parts, reports, err);
    for (int k = 0; k < CONFIG_PARTS; k++) {
        a->parts[k] = NULL;
        a->report->parts[k].tensors = reports[k];
    }
    if (rc == 0 && (rc = load_adapters(a, err)) == 0)
        rc = recognizer_start(a->r, a->options->seed, err);
    return rc;
}

/* Copied: all numbers are the model's own, and no part is referred to. */
static int save(struct assembly *a, struct error *err)
{
    struct part *parts[CONFIG_PARTS];
    memcpy(parts, a->r->parts, sizeof parts);
    if (a->options->copy) {
        memset(a->r->parts, 0, sizeof a->r->parts);
        memset(a->r->config.parts, 0, sizeof a->r->config.parts);
    }
    int rc = recognizer_save(a->r, a->options->output, false, err);
    memcpy(a->r->parts, parts, sizeof parts);
    return rc;
}

int recognizer_assemble(const struct assemble_options *options, struct assemble_report *report,
                        struct error *err)
{
    struct assembly a = {.options = options, .report = report};
    *report = (struct assemble_report){0};
    config_default(&a.config);
    int rc = open_parts(&a, err);
    if (rc == 0)
        rc = configure(&a, err);
    if (rc == 0)
        rc = add_tokens(&a, err);
    if (rc == 0)
        rc = load(&a, err);
    if (rc == 0)
        rc = save(&a, err);
    tokenizer_free(a.tokenizer);
    recognizer_free(a.r);
    for (int k = 0; k < PART_KINDS; k++)
        part_close(a.parts[k]);
    if (rc != 0)
        assemble_report_release(report);
    return rc;
}

void assemble_report_release(struct assemble_report *report)
{
    for (int k = 0; k < PART_KINDS; k++)
        part_report_release(&report->parts[k].tensors);
    *report = (struct assemble_report){0};
}
