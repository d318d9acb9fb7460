/* A model folder: its parts with their sizes, its rates, its experts. */
#include "base/memory.h"
#include "cli/inspect.h"
#include "models/params.h"
#include "models/part.h"
#include "models/recognizer.h"
#include "text/text_json.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *prefix, *title;
} parts[] = {{"audio.", "audio encoder (Whisper type)"},
             {"video.", "video encoder (AV-HuBERT type)"},
             {"projector.", "projectors"},
             {"llm.", "language model (Llama type)"},
             {"mome.", "MoME experts and routers"},
             {"lora.", "LoRA of the language model"},
             {"video_lora.", "LoRA of the video encoder"}};

#define PARTS (sizeof parts / sizeof parts[0])

/* Parameters and bytes of a part, as they lie in memory. */
struct size {
    int64_t parameters, bytes;
};

static bool in_part(const struct param_entry *e, const char *prefix)
{
    return strncmp(e->name, prefix, strlen(prefix)) == 0;
}

static enum dtype type_of(const struct tensor *t)
{
    return t->stored ? t->dtype : DTYPE_F32;
}

static struct size part_size(const struct param_list *list, const char *prefix)
{
    struct size sum = {0};
    for (int64_t i = 0; i < list->count; i++) {
        const struct param_entry *e = &list->entries[i];
        int64_t count = tensor_count(e->tensor);
        if (!in_part(e, prefix))
            continue;
        sum.parameters += param_trains(e->kind) ? count : 0;
        sum.bytes += dtype_bytes(type_of(e->tensor), count);
    }
    return sum;
}

static void print_tensors(const struct param_list *list, const char *prefix)
{
    for (int64_t i = 0; i < list->count; i++) {
        const struct tensor *t = list->entries[i].tensor;
        if (in_part(&list->entries[i], prefix))
            inspect_print_tensor(list->entries[i].name, type_of(t), t->dims, t->shape);
    }
}

/* Adapters that a request has no use for: the experts not chosen, other rates' LoRA. */
static long long idle_parameters(struct recognizer *r)
{
    int64_t total, active;
    recognizer_adapter_parameters(r, &total, &active);
    return (long long)(total - active);
}

static void print_rates(const char *name, const int *rates, int count)
{
    printf("%s rates ", name);
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? ", " : "", rates[i]);
    printf("\n");
}

static void print_parts(struct recognizer *r, const struct param_list *list, bool tensors)
{
    struct size total = {0};
    for (size_t i = 0; i < PARTS; i++) {
        struct size n = part_size(list, parts[i].prefix);
        if (n.parameters == 0 && strstr(parts[i].prefix, "lora"))
            continue;
        printf("%-32s %12lld parameters %9.1f MB\n", parts[i].title, (long long)n.parameters,
               (double)n.bytes / 1e6);
        if (tensors)
            print_tensors(list, parts[i].prefix);
        total.parameters += n.parameters;
        total.bytes += n.bytes;
    }
    printf("%-32s %12lld parameters %9.1f MB, %lld active per token\n\n", "total",
           (long long)total.parameters, (double)total.bytes / 1e6,
           (long long)total.parameters - idle_parameters(r));
}

/* Where the parts come from that are published files. */
static void print_published(const struct recognizer *r)
{
    for (int k = 0; k < CONFIG_PARTS; k++) {
        if (!r->parts[k])
            continue;
        printf("%-8s is %s: %s\n", part_kind_name((enum part_kind)k), r->config.parts[k],
               part_description(r->parts[k]));
        if (part_licence(r->parts[k]))
            printf("         %s\n", part_licence(r->parts[k]));
    }
}

static void print_model(struct recognizer *r, const struct param_list *list, bool tensors)
{
    static const char *const placements[] = {"none", "mhsa", "ffn", "layer"};
    const struct recognizer_config *c = &r->config;
    print_parts(r, list, tensors);
    print_published(r);
    if (c->has_audio) {
        printf("sound    %d mels, d %d, %d layers, %d heads, window %s; ", c->audio.mels,
               c->audio.d, c->audio.layers, c->audio.heads,
               c->audio.exact_window ? "exact" : "trim");
        print_rates("audio", c->projector.audio_rates, c->projector.audio_rate_count);
    }
    if (c->has_video) {
        printf("lips     trunk %d %d %d %d, d %d, %d layers, %d heads; ", c->video.widths[0],
               c->video.widths[1], c->video.widths[2], c->video.widths[3], c->video.d,
               c->video.layers, c->video.heads);
        print_rates("video", c->projector.video_rates, c->projector.video_rate_count);
    }
    printf("LLM      d %d, %d layers, %d heads (%d of keys), ffn %d, %d tokens, head %s\n",
           c->llm.d, c->llm.layers, c->llm.heads, c->llm.kv_heads, c->llm.ffn,
           tokenizer_size(r->tokenizer), c->llm.tied ? "tied" : "of its own");
    printf("MoME     placement %s", placements[c->mome.placement]);
    if (c->mome.placement != MOME_NONE)
        printf(", %d routed experts (%d active) + %d shared, bottleneck %d, %s", c->mome.routed,
               c->mome.active, c->mome.shared, c->mome.bottleneck,
               c->mome.separate_routers ? "a router for each rate pair"
                                        : "one router for all rates");
    printf("\n");
    if (c->lora.inner > 0)
        printf("LoRA     on q and v, inner %d, scale %g, %s\n", c->lora.inner,
               (double)c->lora.scale,
               !c->lora.per_rate ? "one for all rates"
               : c->lora.global  ? "one for all rates and one for each rate pair"
                                 : "one for each rate pair");
    if (c->video_lora.inner > 0)
        printf("lips     LoRA on q and v, inner %d, scale %g\n", c->video_lora.inner,
               (double)c->video_lora.scale);
}

static int print_json(struct recognizer *r, const struct param_list *list, const char *folder)
{
    json_t *sizes = json_object(), *tensors = json_array();
    char *text = config_to_json(&r->config);
    struct size total = {0};
    for (size_t i = 0; i < PARTS; i++) {
        struct size n = part_size(list, parts[i].prefix);
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strlen(parts[i].prefix) - 1, parts[i].prefix);
        json_object_set_new(sizes, name,
                            json_pack("{s:I, s:I}", "parameters", (json_int_t)n.parameters, "bytes",
                                      (json_int_t)n.bytes));
        total.parameters += n.parameters;
        total.bytes += n.bytes;
    }
    for (int64_t i = 0; i < list->count; i++) {
        const struct tensor *t = list->entries[i].tensor;
        enum dtype type = type_of(t);
        json_array_append_new(tensors,
                              inspect_tensor_json(list->entries[i].name, type, t->dims, t->shape,
                                                  dtype_bytes(type, tensor_count(t))));
    }
    json_t *root = json_pack(
        "{s:o, s:s, s:I, s:I, s:I, s:o, s:o?, s:o}", "path", text_json(folder), "format",
        "model folder", "parameters", (json_int_t)total.parameters, "active_parameters",
        (json_int_t)(total.parameters - idle_parameters(r)), "bytes", (json_int_t)total.bytes,
        "parts", sizes, "config", text ? json_loads(text, 0, NULL) : NULL, "tensors", tensors);
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(1)) : -1;
    putchar('\n');
    json_decref(root);
    memory_free(text);
    return rc;
}

int inspect_model(const char *folder, const struct inspect_options *options, struct error *err)
{
    struct recognizer *r = NULL;
    struct param_list list;
    int rc = recognizer_open(&r, folder, err);
    if (rc)
        return rc;
    param_list_init(&list, err);
    recognizer_params(r, &list.visitor);
    rc = list.code;
    if (!rc && !options->json)
        print_model(r, &list, options->tensors);
    else if (!rc && print_json(r, &list, folder))
        rc = error_set(err, ERROR_IO, "%s: cannot be told as JSON", folder);
    param_list_release(&list);
    recognizer_free(r);
    return rc;
}
