/* mome assemble: published parts become a model folder. */
#include "models/assemble.h"
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help_text[] =
    "usage: mome assemble --llm L [--audio W] [--video V] [--adapters A] -o DIR [OPTIONS]\n\n"
    "Makes a model folder out of published parts, each in its publisher's own format. A part is a\n"
    "file or a Hugging Face folder; at least one of --audio and --video is needed.\n\n"
    "  mome assemble --audio openai/whisper-medium.en --video large_vox_iter5.pt \\\n"
    "      --llm meta-llama/Llama-3.2-1B --adapters omni-avsr.ckpt -o models/omni\n"
    "  mome assemble --audio ggml-base.en.bin --llm SmolLM2-135M-Q8_0.gguf -o models/small\n\n"
    "  --audio W        Whisper, tiny to large-v3: Hugging Face, OpenAI .pt, whisper.cpp .bin,\n"
    "                   CTranslate2\n"
    "  --video V        AV-HuBERT, base or large, pre-trained or fine-tuned (fairseq .pt). Its\n"
    "                   licence does not allow commercial use\n"
    "  --llm L          Llama 2, 3, 3.1, 3.2, TinyLlama, SmolLM2, Qwen2, Qwen2.5: folder or GGUF\n"
    "  --adapters A     what was trained to join them: a Llama-AVSR or Omni-AVSR checkpoint, or a\n"
    "                   model folder of this program. Without it, projectors and experts are "
    "random\n"
    "                   numbers, and what the model says means nothing until they are trained\n"
    "  -o, --output DIR the model folder\n"
    "  --copy           copy all weights into DIR; default: DIR refers to the parts' files\n"
    "  --audio-window W exact (default): sound is padded with silence to 30 s, as Whisper was\n"
    "                   published and as published adapters expect; trim: only what is there.\n"
    "                   Adapters of this program's own say themselves which it was\n\n"
    "Without --adapters:\n"
    "  --audio-rates R  encoder frames that make one token, a list (default 4,16)\n"
    "  --video-rates R  (default 2,5)\n"
    "  --hidden N       width inside the projectors (default 2048)\n"
    "  --mome P         where the experts stand: none, mhsa, ffn, layer (default mhsa)\n"
    "  --routed N       experts to choose from (default 23)\n"
    "  --active N       of them used for a token (default 4)\n"
    "  --shared N       experts that are always used (default 1)\n"
    "  --bottleneck N   width inside an expert (default 12)\n"
    "  --seed N         of what starts at random (default 1)\n\n"
    "  --left-over      name every tensor that the model has no use for\n\n"
    "Prints for each part what it is and how many of its tensors were loaded and left over; one\n"
    "that is missing is an error. Exit code: 0 good, 1 failed, 2 wrong usage.\n";

enum { LEFT_SHOWN = 3 };

struct assemble {
    struct assemble_options options;
    struct mome_config mome;
    bool mome_given, left_over;
};

static int read_rates(int *rates, int *count, const char *list)
{
    char copy[128], *rest, *item;
    *count = 0;
    if (strlen(list) >= sizeof copy)
        return -1;
    memcpy(copy, list, strlen(list) + 1);
    for (item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest))
        if (*count == CONFIG_MAX_RATES || option_integer(&rates[(*count)++], item, 1, 1000))
            return -1;
    return *count ? 0 : -1;
}

static int read_placement(enum mome_placement *placement, const char *name)
{
    static const char *const names[MOME_PLACEMENTS] = {"none", "mhsa", "ffn", "layer"};
    for (int i = 0; i < MOME_PLACEMENTS; i++)
        if (!strcmp(name, names[i])) {
            *placement = (enum mome_placement)i;
            return 0;
        }
    return -1;
}

static int read_window(bool *trim, const char *name)
{
    *trim = !strcmp(name, "trim");
    return *trim || !strcmp(name, "exact") ? 0 : -1;
}

enum {
    AUDIO = 256,
    VIDEO,
    LLM,
    ADAPTERS,
    COPY,
    WINDOW,
    AUDIO_RATES,
    VIDEO_RATES,
    HIDDEN,
    MOME,
    ROUTED,
    ACTIVE,
    SHARED,
    BOTTLENECK,
    SEED,
    LEFT_OVER,
    HELP
};

static const struct option long_options[] = {
    {"audio", required_argument, NULL, AUDIO},
    {"video", required_argument, NULL, VIDEO},
    {"llm", required_argument, NULL, LLM},
    {"adapters", required_argument, NULL, ADAPTERS},
    {"output", required_argument, NULL, 'o'},
    {"copy", no_argument, NULL, COPY},
    {"audio-window", required_argument, NULL, WINDOW},
    {"audio-rates", required_argument, NULL, AUDIO_RATES},
    {"video-rates", required_argument, NULL, VIDEO_RATES},
    {"hidden", required_argument, NULL, HIDDEN},
    {"mome", required_argument, NULL, MOME},
    {"routed", required_argument, NULL, ROUTED},
    {"active", required_argument, NULL, ACTIVE},
    {"shared", required_argument, NULL, SHARED},
    {"bottleneck", required_argument, NULL, BOTTLENECK},
    {"seed", required_argument, NULL, SEED},
    {"left-over", no_argument, NULL, LEFT_OVER},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* An option that wants a number or a word; -1: `takes` says what it takes. */
static int read_setting(struct assemble *a, int option, const char **takes)
{
    struct assemble_options *o = &a->options;
    int seed, rc;
    *takes = "takes a whole number, not";
    switch (option) {
    case WINDOW:
        *takes = "--audio-window takes exact or trim, not";
        return read_window(&o->window_trim, optarg);
    case AUDIO_RATES:
        *takes = "--audio-rates takes numbers with commas between, not";
        return read_rates(o->audio_rates, &o->audio_rate_count, optarg);
    case VIDEO_RATES:
        *takes = "--video-rates takes numbers with commas between, not";
        return read_rates(o->video_rates, &o->video_rate_count, optarg);
    case MOME:
        a->mome_given = true;
        *takes = "--mome takes none, mhsa, ffn or layer, not";
        return read_placement(&a->mome.placement, optarg);
    case HIDDEN:
        *takes = "--hidden takes 1 to 65536, not";
        return option_integer(&o->projector_hidden, optarg, 1, 65536);
    case ROUTED:
        a->mome_given = true;
        *takes = "--routed takes 0 to 1024, not";
        return option_integer(&a->mome.routed, optarg, 0, 1024);
    case ACTIVE:
        a->mome_given = true;
        *takes = "--active takes 0 to 1024, not";
        return option_integer(&a->mome.active, optarg, 0, 1024);
    case SHARED:
        a->mome_given = true;
        *takes = "--shared takes 0 to 1024, not";
        return option_integer(&a->mome.shared, optarg, 0, 1024);
    case BOTTLENECK:
        a->mome_given = true;
        *takes = "--bottleneck takes 1 to 8192, not";
        return option_integer(&a->mome.bottleneck, optarg, 1, 8192);
    default:
        *takes = "--seed takes a whole number, not";
        rc = option_integer(&seed, optarg, 0, 2147483647);
        o->seed = rc ? o->seed : (uint64_t)seed;
        return rc;
    }
}

static int read_option(struct assemble *a, int option, char **argv)
{
    struct assemble_options *o = &a->options;
    const char *takes;
    if (option == AUDIO)
        o->paths[PART_AUDIO] = optarg;
    else if (option == VIDEO)
        o->paths[PART_VIDEO] = optarg;
    else if (option == LLM)
        o->paths[PART_LLM] = optarg;
    else if (option == ADAPTERS)
        o->paths[PART_ADAPTERS] = optarg;
    else if (option == 'o')
        o->output = optarg;
    else if (option == COPY)
        o->copy = true;
    else if (option == LEFT_OVER)
        a->left_over = true;
    else if (option < AUDIO || option >= HELP)
        return command_bad_option("assemble", option, argv);
    else if (read_setting(a, option, &takes))
        return command_usage("assemble", takes, optarg);
    return EXIT_GOOD;
}

static void print_left_over(const struct part_report *r, bool all)
{
    for (int64_t i = 0; i < r->left_over && (all || i < LEFT_SHOWN); i++)
        printf("          left over: %s\n", r->left[i]);
    if (!all && r->left_over > LEFT_SHOWN)
        printf("          and %lld more (--left-over names them)\n",
               (long long)(r->left_over - LEFT_SHOWN));
}

static void print_report(const struct assemble *a, const struct assemble_report *report)
{
    for (int kind = 0; kind < PART_KINDS; kind++) {
        const struct part_report *r = &report->parts[kind].tensors;
        if (!report->parts[kind].description[0])
            continue;
        printf("%-8s  %s: %lld tensors loaded, %lld missing, %lld left over\n",
               part_kind_name((enum part_kind)kind), report->parts[kind].description,
               (long long)r->loaded, (long long)r->missing, (long long)r->left_over);
        print_left_over(r, a->left_over);
    }
    if (report->video_from_adapters)
        printf("The video encoder is the adapters', which were trained with it.\n");
    if (report->merged)
        printf("LoRA was merged into %lld weights.\n", (long long)report->merged);
    if (!a->options.paths[PART_ADAPTERS])
        printf("Projectors and experts are random: what it says means nothing until they are "
               "trained.\n");
    printf("%s is made%s\n", a->options.output,
           a->options.copy ? "" : "; the parts' files must stay where they are");
    fflush(stdout);
    for (int kind = 0; kind < PART_KINDS; kind++)
        if (report->parts[kind].licence)
            fprintf(stderr, "mome: %s: %s\n",
                    a->options.paths[kind] ? a->options.paths[kind]
                                           : part_kind_name((enum part_kind)kind),
                    report->parts[kind].licence);
}

/* What is missing or contradicts itself on the command line. */
static const char *find_contradiction(const struct assemble_options *o)
{
    if (!o->paths[PART_LLM])
        return "needs --llm L";
    if (!o->paths[PART_AUDIO] && !o->paths[PART_VIDEO] && !o->paths[PART_ADAPTERS])
        return "needs --audio W, --video V or both";
    return o->output ? NULL : "needs -o DIR";
}

int command_assemble(int argc, char **argv)
{
    struct recognizer_config defaults;
    config_default(&defaults);
    struct assemble a = {.options = {.seed = 1}, .mome = defaults.mome};
    struct assemble_report report = {0};
    struct error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, ":ho:", long_options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        int rc = read_option(&a, option, argv);
        if (rc)
            return rc;
    }
    if (optind < argc)
        return command_usage("assemble", "takes parts by their options, not", argv[optind]);
    const char *wrong = find_contradiction(&a.options);
    if (wrong)
        return command_usage("assemble", wrong, NULL);
    a.options.mome = a.mome_given ? &a.mome : NULL;
    int rc = recognizer_assemble(&a.options, &report, &err);
    if (!rc)
        print_report(&a, &report);
    assemble_report_release(&report);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
