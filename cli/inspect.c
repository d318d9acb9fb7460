/* mome inspect MODEL: what a model folder holds. */
#include "cli/command.h"
#include "models/params.h"
#include "models/recognizer.h"
#include "text/tokenizer.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help_text[] =
    "usage: mome inspect MODEL [--tensors]\n\n"
    "Parts of a model folder with their sizes: parameters in all, active per token (of the routed\n"
    "experts only the K chosen ones count), bytes in float32 memory; rates; the MoME module.\n\n"
    "  --tensors   every tensor with its shape\n";

static const struct {
    const char *prefix, *title;
} parts[] = {{"audio.", "audio encoder (Whisper type)"},
             {"video.", "video encoder (AV-HuBERT type)"},
             {"projector.", "projectors"},
             {"llm.", "language model (Llama type)"},
             {"mome.", "MoME experts and routers"}};

#define PARTS (sizeof parts / sizeof parts[0])

static long long count_part(const struct param_list *list, const char *prefix, bool print)
{
    long long sum = 0;
    for (int64_t i = 0; i < list->count; i++) {
        const struct param_entry *p = &list->entries[i];
        if (strncmp(p->name, prefix, strlen(prefix)))
            continue;
        sum += param_trains(p->kind) ? tensor_count(p->tensor) : 0;
        if (!print)
            continue;
        printf("    %-58s [", p->name);
        for (int d = 0; d < p->tensor->dims; d++)
            printf("%s%lld", d ? ", " : "", (long long)p->tensor->shape[d]);
        printf("]\n");
    }
    return sum;
}

/* Of Nr routed experts K run for a token: the others' share of the module is idle. */
static long long idle_parameters(const struct recognizer_config *c)
{
    const struct mome_config *m = &c->mome;
    if (m->placement == MOME_NONE)
        return 0;
    long long d = c->llm.d, b = m->bottleneck;
    long long expert = 2 * d * b + (m->biases ? d + b : 0);
    return (long long)c->llm.layers * (m->routed - m->active) * expert;
}

static void print_rates(const char *name, const int *rates, int count)
{
    printf("%s rates ", name);
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? ", " : "", rates[i]);
    printf("\n");
}

static void print_model(const struct recognizer *r, const struct param_list *list, bool tensors)
{
    static const char *const placements[] = {"none", "mhsa", "ffn", "layer"};
    const struct recognizer_config *c = &r->config;
    long long total = 0;
    for (size_t i = 0; i < PARTS; i++) {
        long long n = count_part(list, parts[i].prefix, false);
        printf("%-32s %12lld parameters %9.1f MB\n", parts[i].title, n, (double)n * 4 / 1e6);
        if (tensors)
            count_part(list, parts[i].prefix, true);
        total += n;
    }
    printf("%-32s %12lld parameters %9.1f MB, %lld active per token\n\n", "total", total,
           (double)total * 4 / 1e6, total - idle_parameters(c));
    if (c->has_audio) {
        printf("sound    %d mels, d %d, %d layers, %d heads; ", c->audio.mels, c->audio.d,
               c->audio.layers, c->audio.heads);
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
}

int command_inspect(int argc, char **argv)
{
    enum { TENSORS = 256, HELP };
    static const struct option options[] = {
        {"tensors", no_argument, NULL, TENSORS}, {"help", no_argument, NULL, HELP}, {0}};
    bool tensors = false;
    int option;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option != TENSORS)
            return command_bad_option("inspect", option, argv);
        tensors = true;
    }
    if (argc - optind != 1)
        return command_usage("inspect", "takes one model folder", NULL);
    struct recognizer *r = NULL;
    struct param_list list;
    struct error err = {0};
    int rc = recognizer_open(&r, argv[optind], &err);
    if (rc)
        return command_failed(&err);
    param_list_init(&list, &err);
    recognizer_params(r, &list.visitor);
    rc = list.code;
    if (!rc)
        print_model(r, &list, tensors);
    param_list_release(&list);
    recognizer_free(r);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
